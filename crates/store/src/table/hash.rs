//! The hash inside the tables: foldhash, seeded per process.

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use std::hash::Hasher;

/// Hashes keys for the tables of one shard. Not the hash that places keys on shards.
pub(crate) struct TableHasher {
    per_hasher: u64,
    shared: SharedSeed,
}

impl TableHasher {
    pub(crate) fn new(seed: u64) -> TableHasher {
        TableHasher {
            per_hasher: seed,
            shared: SharedSeed::from_u64(seed),
        }
    }

    /// The hash of a key. All 64 bits are good.
    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.per_hasher, &self.shared);
        hasher.write(key);
        hasher.finish()
    }
}
