//! Keys under WATCH: who is to be told when one changes.

use damselfly_store::DbIndex;
use hashbrown::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Raised when one of a connection's watched keys has changed.
pub type DirtyFlag = Arc<AtomicBool>;

/// The watched keys of one shard.
#[derive(Default)]
pub struct WatchTable {
    watchers: HashMap<(DbIndex, Vec<u8>), Vec<DirtyFlag>, foldhash::fast::RandomState>,
}

impl WatchTable {
    /// Whether nobody watches anything.
    pub fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// Raises `flag` at the next change of the key.
    pub fn add(&mut self, db: DbIndex, key: &[u8], flag: DirtyFlag) {
        self.watchers
            .entry((db, key.to_vec()))
            .or_default()
            .push(flag);
    }

    /// Takes all of this flag's registrations for the key away.
    pub fn remove(&mut self, db: DbIndex, key: &[u8], flag: &DirtyFlag) {
        let id = (db, key.to_vec());
        if let Some(flags) = self.watchers.get_mut(&id) {
            flags.retain(|other| !Arc::ptr_eq(other, flag));
            if flags.is_empty() {
                self.watchers.remove(&id);
            }
        }
    }

    /// The key has changed.
    pub fn touch(&mut self, db: DbIndex, key: &[u8]) {
        if let Some(flags) = self.watchers.get(&(db, key.to_vec())) {
            flags
                .iter()
                .for_each(|flag| flag.store(true, Ordering::Relaxed));
        }
    }

    /// Everything that matches has changed (FLUSHALL, SWAPDB, a new data set).
    pub fn touch_where(&mut self, matches: impl Fn(DbIndex, &[u8]) -> bool) {
        for ((db, key), flags) in &self.watchers {
            if matches(*db, key) {
                flags
                    .iter()
                    .for_each(|flag| flag.store(true, Ordering::Relaxed));
            }
        }
    }
}
