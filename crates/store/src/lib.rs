//! The data of one shard: values, the bucket-versioned table, databases, expiry times, memory accounting.
//!
//! What it is not: there are no commands here, no wire, no clock and no random numbers (time and randomness are
//! arguments), no threads. It does not decide that a key has expired; it only stores when. It does not know snapshots:
//! they are [`Observer`]s, who see each bucket once before it changes.
//!
//! - [`Shard`]: all databases of a shard; everything goes through it.
//! - [`Value`]: a [`StrValue`] or a collection ([`values`]), in 16 bytes. [`Key`]: 16 bytes.
//! - [`Observer`], [`BucketView`], [`Shard::prepare`], [`Shard::walk_next`]: consistent snapshots while writes go on.
//!
//! ```
//! use damselfly_store::{DbIndex, Shard, ShardOptions, Value};
//!
//! let mut shard = Shard::new(ShardOptions { dbnum: 16, hash_seed: 7 });
//! let db = DbIndex(0);
//! shard.insert(db, b"greeting", Value::string(b"hello"), Some(1_700_000_000_000));
//! if let Some(mut entry) = shard.get_mut(db, b"greeting")
//!     && let Value::Str(string) = &mut *entry
//! {
//!     string.append(b" world");
//! }
//! let entry = shard.get(db, b"greeting").expect("just inserted");
//! let Value::Str(string) = entry.value() else { panic!("a string") };
//! assert_eq!(&*string.bytes(), b"hello world");
//! assert_eq!(entry.expire_at(), Some(1_700_000_000_000));
//! ```

mod access;
mod compact;
mod db;
mod flushed;
mod memory;
mod observers;
mod packed;
mod shard;
mod table;
mod value;
pub mod values;

/// Milliseconds since the Unix epoch.
pub type UnixMs = i64;

pub use access::Access;
pub use compact::{INT_TEXT_MAX, Key, StrValue};
pub use db::{BucketId, BucketView, DbIndex, EntryMut, EntryRef};
pub use flushed::Flushed;
pub use memory::{KindUsage, MemoryByKind};
pub use observers::{CutVersion, Observer, ObserverId};
pub use shard::{Among, Intent, Shard, ShardOptions};
pub use table::{TableId, WalkCursor};
pub use value::{Kind, Value};
