//! Intents of scheduled transactions on keys.

use super::TxId;
use hashbrown::HashMap;
use smallvec::SmallVec;

/// What a transaction will do with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Only read: others may read too.
    Shared,
    /// Perhaps change.
    Exclusive,
}

/// An intent on one key, by its hash, whatever the database. (A collision only makes somebody wait needlessly.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLock {
    /// [`key_hash`] of the key.
    pub key: u64,
    /// How.
    pub mode: LockMode,
}

/// The hash that names a key in lock tables, the same in every database.
pub fn key_hash(key: &[u8]) -> u64 {
    xxhash_rust::xxh64::xxh64(key, 0)
}

/// Who holds or waits for what.
#[derive(Default)]
pub(super) struct LockTable {
    keys: HashMap<u64, SmallVec<[(TxId, LockMode); 2]>, foldhash::fast::RandomState>,
    global: SmallVec<[TxId; 2]>,
}

impl LockTable {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.global.is_empty()
    }

    /// Whether an access that belongs to no transaction has to wait.
    pub(super) fn conflicts(&self, key: u64, mode: LockMode) -> bool {
        if !self.global.is_empty() {
            return true;
        }
        self.keys.get(&key).is_some_and(|holders| {
            mode == LockMode::Exclusive
                || holders.iter().any(|(_, held)| *held == LockMode::Exclusive)
        })
    }

    /// Whether a transaction over all keys is scheduled.
    pub(super) fn is_global(&self) -> bool {
        !self.global.is_empty()
    }

    pub(super) fn add(&mut self, tx: TxId, locks: &[KeyLock], global: bool) {
        if global {
            self.global.push(tx);
        }
        for lock in locks {
            self.keys.entry(lock.key).or_default().push((tx, lock.mode));
        }
    }

    pub(super) fn remove(&mut self, tx: TxId, locks: &[KeyLock]) {
        self.global.retain(|other| *other != tx);
        for lock in locks {
            if let Some(holders) = self.keys.get_mut(&lock.key) {
                holders.retain(|(other, _)| *other != tx);
                if holders.is_empty() {
                    self.keys.remove(&lock.key);
                }
            }
        }
    }
}
