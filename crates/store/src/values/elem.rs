//! Elements of large forms, and how they are hashed.

use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

use foldhash::quality::FixedState;

/// The bytes of an element of a large form.
pub(super) type Elem = Box<[u8]>;

/// The element of `bytes`.
pub(super) fn elem(bytes: &[u8]) -> Elem {
    bytes.into()
}

/// The bytes of `elem`.
#[inline]
pub(super) fn bytes(elem: &Elem) -> &[u8] {
    elem
}

/// What `elem` owns on the heap.
#[inline]
pub(super) fn heap(elem: &Elem) -> usize {
    elem.len()
}

static SEED: OnceLock<FixedState> = OnceLock::new();

/// Fixes the seed of the hash tables of all collections of this process, so that a simulation can be
/// repeated. False: too late, the seed is in use already.
pub fn seed_hashing(seed: u64) -> bool {
    SEED.set(FixedState::with_seed(seed)).is_ok()
}

/// The hash of an element, seeded at random per process.
#[inline]
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let state = SEED.get_or_init(|| {
        FixedState::with_seed(foldhash::quality::RandomState::default().hash_one(0u64))
    });
    let mut hasher = state.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}
