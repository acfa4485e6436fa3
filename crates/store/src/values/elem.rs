//! Elements of large forms, and how they are hashed.

use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

use foldhash::quality::FixedState;

/// The bytes of an element of a large form: up to 16 of them in place.
pub(super) type Elem = crate::compact::Key;

static SEED: OnceLock<FixedState> = OnceLock::new();

/// Fixes the seed of the hash tables of all collections of this process, so that a simulation can be
/// repeated. False: too late, the seed is in use already.
pub fn seed_hashing(seed: u64) -> bool {
    SEED.set(FixedState::with_seed(seed)).is_ok()
}

/// The hash of an element, seeded at random per process.
#[inline]
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SEED.get_or_init(random_state).build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

#[cold]
fn random_state() -> FixedState {
    FixedState::with_seed(foldhash::quality::RandomState::default().hash_one(0u64))
}
