//! The collections: list, hash, set, sorted set, stream.
//!
//! Small ones are packed blobs (`packed`), which keep insertion order as Redis's listpacks do. Past
//! the [`Limits`] they become indexed, and stay so: hashes and sets are arrays of small buckets that grow and shrink by one
//! bucket at a time (linear hashing: Litwin, "Linear Hashing: a new tool for file and table addressing", VLDB 1980),
//! sorted sets add a counted B+tree, lists are a queue of blobs. No operation on a single element ever
//! takes time in proportion to the whole collection.
//!
//! What all have in common:
//! - `heap_size()` is O(1) and counts the bytes requested from the allocator behind the struct (not the struct itself).
//! - `scan(cursor, visit)`: starts with cursor 0, gives the next cursor, 0 at the end. What is in the collection from start
//!   to end is visited at least once, whatever is added and removed in between. Packed forms are visited in one call.
//! - `chunk(cursor, max_bytes, visit)`: reads a value that does not change meanwhile, exactly once, in
//!   order, from cursor 0 on until it returns `None`; a call visits at least one element and stops once `max_bytes` bytes of elements are reached.
//! - `free_slice(max_items)`: drops about so many elements, returns true when nothing is left. It is for
//!   values that nobody reads any more; after the first call the value may only be freed further or dropped.
//! - `random(rng)` is fair: every element has the same chance, if all 64 bits of `rng` are.
//!
//! ```
//! use damselfly_store::values::{Hash, ScoreBound, ZSet};
//!
//! let mut hash = Hash::new();
//! assert!(hash.insert(b"colour", b"blue"));
//! assert_eq!(hash.get(b"colour").as_deref(), Some(&b"blue"[..]));
//!
//! let mut zset = ZSet::new();
//! for (member, score) in [(b"a", 3.0), (b"b", 1.0), (b"c", 2.0)] {
//!     zset.insert(member, score);
//! }
//! let from_two = zset.lower_rank(ScoreBound::Inclusive(2.0));
//! let members: Vec<_> = zset.iter_from_rank(from_two).map(|(member, _)| member.to_vec()).collect();
//! assert_eq!(members, [b"c", b"a"]);
//! ```

mod buckets;
mod elem;
mod gather;
mod hash;
mod intset;
mod limits;
mod list;
#[cfg(test)]
mod scan_tests;
mod segvec;
mod set;
pub mod stream;
#[cfg(test)]
mod test_kit;
mod timed;
mod zset;

pub use crate::packed::Item;
pub use elem::seed_hashing;
pub use gather::Gather;
pub use hash::{Hash, HashAt, HashAtIter, HashIter};
pub use limits::Limits;
pub use list::{List, ListIter};
pub use set::{Set, SetAt, SetAtIter, SetIter};
pub use stream::{Stream, StreamId};
pub use timed::{At, Expiring, Times};
pub use zset::{LexBound, ScoreBound, ZSet, ZSetIter};

// A value points to one of these: a small collection is this many bytes and its blob.
const _: () = assert!(size_of::<Hash>() == 16 && size_of::<List>() == 16);
const _: () = assert!(size_of::<ZSet>() == 16 && size_of::<Set>() == 24);

/// A number in `0..bound` from `rng`; `bound` must not be 0.
fn below(rng: &mut dyn FnMut() -> u64, bound: usize) -> usize {
    // Lemire's multiplication; its bias is below 2^-32 for any collection that fits in memory.
    ((u128::from(rng()) * bound as u128) >> 64) as usize
}
