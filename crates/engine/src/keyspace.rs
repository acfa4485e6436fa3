//! The data of one shard as commands see it: the store, the clock, and what a
//! change must tell others (WATCH, statistics, values to free).

pub use crate::events::EventClass;
use crate::events::EventHub;
use crate::tracking::TrackingTable;
use crate::usage::Usage;
use crate::waits::WaitTable;
use crate::watch::WatchTable;
use damselfly_snapshot::Snapshots;
use damselfly_store::{DbIndex, EntryRef, Flushed, Shard, ShardOptions, UnixMs, Value};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

/// Heap bytes from which a dropped value is freed in slices instead of at once.
const LAZY_FREE_BYTES: usize = 16 * 1024;

/// Counters of one shard's key lookups and expirations.
#[derive(Debug, Default, Clone, Copy)]
pub struct KeyspaceStats {
    /// Lookups by read commands that found a key.
    pub hits: u64,
    /// Lookups by read commands that found none.
    pub misses: u64,
    /// Keys deleted because their time had come.
    pub expired: u64,
    /// Keys deleted to make room.
    pub evicted: u64,
    /// Values that were freed later than they went.
    pub freed_later: u64,
}

/// One shard's data and its surroundings.
pub struct Keyspace {
    /// The databases.
    pub store: Shard,
    /// The time that commands see, in Unix milliseconds; set by whoever drives the shard.
    pub now: UnixMs,
    /// How uses of keys are noted.
    pub usage: Usage,
    /// Who is told what happens to keys.
    pub events: Arc<EventHub>,
    /// The snapshots that run over it.
    pub snapshots: Snapshots,
    /// Keys that connections watch.
    pub watch: WatchTable,
    /// Keys that clients wait for.
    pub waits: WaitTable,
    /// Who has read which keys, to be told when they change.
    pub tracking: TrackingTable,
    /// Where changed keys are noted, for a run on gathered values.
    pub(crate) noted: Option<Vec<(DbIndex, Vec<u8>)>>,
    /// Whether a command only looks for another one: nobody is told of keys that are not there.
    pub(crate) probes: bool,
    /// Changes since the start (`rdb_changes_since_last_save`).
    pub changes: u64,
    hits: Cell<u64>,
    misses: Cell<u64>,
    expired: Cell<u64>,
    evicted: Cell<u64>,
    freed_later: Cell<u64>,
    random: Cell<u64>,
    garbage: Vec<Value>,
    /// A snapshot may still hold on to them.
    flushed: Vec<Rc<Flushed>>,
}

impl Keyspace {
    /// An empty keyspace. `seed` seeds both hashing and the random choices of commands like SPOP.
    pub fn new(dbnum: u16, seed: u64) -> Keyspace {
        Keyspace {
            store: Shard::new(ShardOptions {
                dbnum,
                hash_seed: seed,
            }),
            now: 0,
            usage: Usage::default(),
            events: Arc::default(),
            snapshots: Snapshots::new(),
            watch: WatchTable::default(),
            waits: WaitTable::default(),
            tracking: TrackingTable::default(),
            noted: None,
            changes: 0,
            hits: Cell::default(),
            misses: Cell::default(),
            probes: false,
            expired: Cell::default(),
            evicted: Cell::default(),
            freed_later: Cell::default(),
            random: Cell::new(seed | 1),
            garbage: Vec::new(),
            flushed: Vec::new(),
        }
    }

    /// The next number of the shard's own generator (xorshift64*), good for choices, not for secrets.
    pub fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// The entry, unless it has expired.
    #[inline]
    pub fn live(&self, db: DbIndex, key: &[u8]) -> Option<EntryRef<'_>> {
        self.store
            .get(db, key)
            .filter(|entry| !self.has_passed(entry.expire_at()))
    }

    /// Whether this expiry lies in the past.
    #[inline]
    pub fn has_passed(&self, expire_at: Option<UnixMs>) -> bool {
        expire_at.is_some_and(|at| at <= self.now)
    }

    /// Counts a lookup by a read command.
    #[inline]
    pub(crate) fn count_lookup(&self, found: bool) {
        let counter = if found { &self.hits } else { &self.misses };
        counter.set(counter.get() + 1);
    }

    pub(crate) fn count_expired(&self) {
        self.expired.set(self.expired.get() + 1);
    }

    pub(crate) fn count_evicted(&self) {
        self.evicted.set(self.evicted.get() + 1);
    }

    /// The counters so far.
    pub fn stats(&self) -> KeyspaceStats {
        KeyspaceStats {
            hits: self.hits.get(),
            misses: self.misses.get(),
            expired: self.expired.get(),
            evicted: self.evicted.get(),
            freed_later: self.freed_later.get(),
        }
    }

    /// Sets the counters to zero (CONFIG RESETSTAT).
    pub fn reset_stats(&self) {
        [
            &self.hits,
            &self.misses,
            &self.expired,
            &self.evicted,
            &self.freed_later,
        ]
        .into_iter()
        .for_each(|counter| counter.set(0));
    }

    /// Tells the surroundings that the key has changed.
    pub(crate) fn note_change(&mut self, db: DbIndex, key: &[u8]) {
        if !self.watch.is_empty() {
            self.watch.touch(db, key);
        }
        if !self.waits.is_empty() {
            self.waits.touch(db, key);
        }
        if !self.tracking.is_idle() {
            self.tracking.changed(key);
        }
        self.note_unwatched(db, key);
    }

    /// Tells the surroundings, but for WATCH, that the key has changed.
    pub(crate) fn note_unwatched(&mut self, db: DbIndex, key: &[u8]) {
        self.changes += 1;
        if let Some(noted) = &mut self.noted {
            noted.push((db, key.to_vec()));
        }
    }

    /// Takes a value that is not needed any more; a big one is freed later, in slices.
    pub(crate) fn discard(&mut self, value: Value) {
        if value.heap_size() >= LAZY_FREE_BYTES {
            self.garbage.push(value);
        }
    }

    /// Frees a slice of what was discarded. True when nothing is left.
    pub fn free_slice(&mut self, max_items: usize) -> bool {
        if let Some(value) = self.garbage.last_mut()
            && value.free_slice(max_items)
        {
            self.garbage.pop();
            self.freed_later.set(self.freed_later.get() + 1);
        } else if let Some((at, flushed)) = self
            .flushed
            .iter_mut()
            .enumerate()
            .find_map(|(at, flushed)| Some((at, Rc::get_mut(flushed)?)))
            && flushed.free_slice(max_items)
        {
            self.flushed.swap_remove(at);
        }
        self.garbage_len() == 0
    }

    /// Values, and flushed databases, that can be freed.
    pub fn garbage_len(&self) -> usize {
        let free = |flushed: &&Rc<Flushed>| Rc::strong_count(flushed) == 1;
        self.garbage.len() + self.flushed.iter().filter(free).count()
    }

    /// Empties one database or all; what was in them is freed later, in slices.
    pub fn flush(&mut self, db: Option<DbIndex>) {
        let Keyspace {
            store,
            watch,
            snapshots,
            waits,
            ..
        } = self;
        watch.touch_where(|of, key| db.is_none_or(|db| db == of) && store.contains(of, key));
        waits.touch_where(|of, key| db.is_none_or(|db| db == of) && store.contains(of, key));
        self.tracking.flushed();
        snapshots.on_flush(store, db);
        let flushed = store.flush(db);
        self.changes += flushed.len() as u64;
        if !flushed.is_empty() {
            let flushed = Rc::new(flushed);
            snapshots.keep_flushed(&flushed);
            self.flushed.push(flushed);
        }
    }

    /// Exchanges two databases.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        let Keyspace {
            store,
            watch,
            waits,
            snapshots,
            ..
        } = self;
        watch.touch_where(|of, key| {
            (of == a || of == b) && (store.contains(a, key) || store.contains(b, key))
        });
        waits.touch_where(|of, _| of == a || of == b);
        snapshots.on_swap(store, a, b);
        store.swap(a, b);
        self.changes += 1;
    }
}
