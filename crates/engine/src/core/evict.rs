//! Making room: before a command that may take memory, and in the background where that was not enough.

use super::{Freeze, LockMode, ShardCore, key_hash};
use crate::context::Effects;
use crate::eviction::{EvictionOptions, Rank};
use crate::keyspace::{EventClass, Keyspace};
use damselfly_snapshot::Uses;
use damselfly_store::{Among, DbIndex, EntryRef};

/// Candidates that are kept from one eviction to the next.
const POOL: usize = 16;
/// Candidates that are tried before it is given up, where locks and snapshots hold them.
const TRIES: usize = 16;

/// The best candidates of all samples, the best last.
#[derive(Default)]
pub(super) struct EvictionPool {
    candidates: Vec<Candidate>,
    next_db: u16,
}

/// A key that may go.
struct Candidate {
    score: u64,
    db: DbIndex,
    key: Box<[u8]>,
}

/// What became of an attempt to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// There is room.
    Enough,
    /// Not yet, and there is more to let go.
    Later,
    /// There is nothing that could go.
    Nothing,
}

impl EvictionPool {
    fn offer(&mut self, score: u64, db: DbIndex, key: &[u8]) {
        let at = self.candidates.partition_point(|other| other.score < score);
        let full = self.candidates.len() == POOL;
        if full && at == 0 {
            return;
        }
        let twice = |other: &Candidate| other.db == db && *other.key == *key;
        if self.candidates.iter().any(twice) {
            return;
        }
        let key = key.into();
        self.candidates.insert(at, Candidate { score, db, key });
        if full {
            self.candidates.remove(0);
        }
    }
}

impl ShardCore {
    /// Sets how room is made.
    pub fn set_eviction(&mut self, options: EvictionOptions) {
        if self.eviction == options {
            return;
        }
        self.eviction = options;
        self.pool = EvictionPool::default();
        if self.space.usage.tracking() != options.tracking() {
            self.space.usage.track(options.tracking());
        }
    }

    /// What a snapshot that begins now tells of uses.
    pub(crate) fn told_uses(&self) -> Uses {
        self.eviction.told(self.space.store.access_clock())
    }

    /// Whether all shards together use more than they may.
    pub fn is_over_limit(&self) -> bool {
        self.memory.is_limited() && self.memory.excess() > 0
    }

    /// Makes room for a command that may take memory. `false`: there is none.
    #[inline]
    pub(super) fn has_room(&mut self) -> bool {
        // What a primary had room for, its replica takes.
        !self.memory.is_limited() || self.is_replica || self.make_room()
    }

    #[inline(never)]
    fn make_room(&mut self) -> bool {
        self.publish_memory();
        if self.memory.excess() == 0 && self.memory.owed() == 0 {
            return true;
        }
        match self.evict(self.eviction.keys_at_once()) {
            Outcome::Enough | Outcome::Later => true,
            Outcome::Nothing => {
                let excess = self.memory.excess();
                let may_evict = self.eviction.policy.choice().is_some();
                excess == 0 || (may_evict && self.memory.leave_to_fullest(excess))
            }
        }
    }

    /// Goes on making room where a command did not have the time, or where other shards had to. True if there is more to do.
    pub fn evict_slice(&mut self) -> bool {
        if !self.memory.is_limited() || self.holds_writes {
            return false;
        }
        self.publish_memory();
        let due =
            self.memory.owed() > 0 || (self.memory.excess() > 0 && self.memory.is_over_part());
        let is_later =
            !self.is_replica && due && self.evict(self.eviction.keys_at_once()) == Outcome::Later;
        // Who waits for a stream that is gone is told.
        self.serve_ready(false);
        is_later
    }

    /// Lets up to `limit` keys go, until all shards together are within the limit, and nothing is owed.
    fn evict(&mut self, limit: usize) -> Outcome {
        let Some((among, rank)) = self.eviction.policy.choice() else {
            return Outcome::Nothing;
        };
        if !matches!(self.freeze, Freeze::None) {
            return Outcome::Later;
        }
        for _ in 0..limit {
            // Each may have brought its bucket to a snapshot.
            if self.is_over_budget() {
                return Outcome::Later;
            }
            let excess = self.memory.excess();
            if excess == 0 && self.memory.owed() == 0 {
                return Outcome::Enough;
            }
            let before = self.limited_memory();
            match self.evict_one(among, rank) {
                Outcome::Enough => {}
                Outcome::Later => return Outcome::Later,
                Outcome::Nothing => {
                    self.memory.pay(u64::MAX);
                    return Outcome::Nothing;
                }
            }
            let is_over_part = self.memory.is_over_part();
            self.publish_memory();
            let freed = before.saturating_sub(self.limited_memory());
            self.memory.pay(freed);
            if excess > 0 && !is_over_part {
                self.memory.charge_fullest(freed);
            }
        }
        Outcome::Later
    }

    /// Bytes that count against the limit: slots of the tables that are free are there for the next keys.
    fn limited_memory(&self) -> u64 {
        let store = &self.space.store;
        store
            .used_memory()
            .saturating_sub(store.free_slots_memory()) as u64
    }

    /// Tells all shards what this one uses.
    pub(crate) fn publish_memory(&self) {
        let evictable =
            self.eviction.policy.choice().is_some_and(|(among, _)| {
                dbs(&self.space).any(|db| count(&self.space, db, among) > 0)
            });
        self.memory.publish(self.limited_memory(), evictable);
    }

    /// Lets one key go.
    fn evict_one(&mut self, among: Among, rank: Rank) -> Outcome {
        for _ in 0..TRIES {
            let chosen = match rank {
                Rank::Random => self.any(among),
                _ => self.best(among, rank),
            };
            let Some((db, key)) = chosen else {
                return Outcome::Nothing;
            };
            let hash = key_hash(&key);
            let held = self.locks.conflicts(hash, LockMode::Exclusive)
                || self.parked.waits_for(hash)
                || self.is_blocked(db, &key);
            if !held {
                self.evict_key(db, &key);
                return Outcome::Enough;
            }
        }
        Outcome::Later
    }

    fn evict_key(&mut self, db: DbIndex, key: &[u8]) {
        let mut effects = Effects::new(self.journal.is_active());
        if let Some((value, _)) = self.space.store.remove(db, key) {
            self.space.discard(value);
            self.space.count_evicted();
            self.space.note_change(db, key);
            effects.push(db, &[b"DEL", key]);
            self.space
                .events
                .tell(db, EventClass::Evicted, "evicted", key);
        }
        self.journal_alone(effects);
    }

    /// Any key, of one database after the other.
    fn any(&mut self, among: Among) -> Option<(DbIndex, Box<[u8]>)> {
        let dbnum = self.space.store.dbnum();
        let first = self.pool.next_db;
        let mut ahead = (0..dbnum).map(|ahead| DbIndex((first + ahead) % dbnum));
        let db = ahead.find(|db| count(&self.space, *db, among) > 0)?;
        self.pool.next_db = (db.0 + 1) % dbnum;
        let (space, mut found) = (&self.space, None);
        space
            .store
            .sample(db, among, 1, &mut || space.random(), &mut |entry| {
                found = Some(entry.key().into());
            });
        found.map(|key| (db, key))
    }

    /// The best of what has been seen and a new sample of every database.
    fn best(&mut self, among: Among, rank: Rank) -> Option<(DbIndex, Box<[u8]>)> {
        loop {
            if !self.sample(among, rank) {
                return None;
            }
            while let Some(Candidate { score, db, key }) = self.pool.candidates.pop() {
                let entry = self.space.store.get(db, &key);
                let entry =
                    entry.filter(|entry| among == Among::All || entry.expire_at().is_some());
                // It may have been used since, or made anew.
                if entry.is_some_and(|entry| self.score(rank, &entry) >= score) {
                    return Some((db, key));
                }
            }
        }
    }

    /// Takes a sample of every database; false if none has anything that may go.
    fn sample(&mut self, among: Among, rank: Rank) -> bool {
        let mut pool = std::mem::take(&mut self.pool);
        let (space, samples) = (&self.space, self.eviction.samples as usize);
        let mut any = false;
        for db in dbs(space).filter(|db| count(space, *db, among) > 0) {
            any = true;
            space
                .store
                .sample(db, among, samples, &mut || space.random(), &mut |entry| {
                    pool.offer(self.score(rank, &entry), db, entry.key());
                });
        }
        self.pool = pool;
        any
    }

    /// How good a candidate an entry is.
    fn score(&self, rank: Rank, entry: &EntryRef<'_>) -> u64 {
        let now_s = self.space.store.access_clock();
        match rank {
            Rank::Idle => entry.access().idle_s(now_s).into(),
            Rank::Seldom => {
                (u8::MAX - self.eviction.counting.decayed(entry.access(), now_s)).into()
            }
            Rank::Soon => u64::MAX - entry.expire_at().unwrap_or(i64::MAX).max(0).unsigned_abs(),
            Rank::Random => 0,
        }
    }
}

fn dbs(space: &Keyspace) -> impl Iterator<Item = DbIndex> + use<> {
    (0..space.store.dbnum()).map(DbIndex)
}

/// How many keys of a database may go.
fn count(space: &Keyspace, db: DbIndex, among: Among) -> usize {
    match among {
        Among::All => space.store.len(db),
        Among::Expiring => space.store.expires_len(db),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eviction::{EvictionPolicy, MemoryLedger, MemoryShare};
    use damselfly_journal::{JournalOptions, Lsn};
    use damselfly_snapshot::{RdbWriter, SnapshotOptions};
    use damselfly_store::Value;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::Arc;

    const DB: DbIndex = DbIndex(0);

    /// A shard that may use nothing at all.
    fn core(policy: EvictionPolicy) -> ShardCore {
        let mut core = ShardCore::new(0, 2, 1, JournalOptions::default());
        let ledger = Arc::new(MemoryLedger::new(1));
        ledger.set_max(1);
        core.memory = MemoryShare::new(ledger, 0);
        core.set_eviction(EvictionOptions {
            policy,
            tenacity: 100,
            ..EvictionOptions::default()
        });
        core
    }

    fn set(core: &mut ShardCore, key: &str, bytes: usize) {
        let value = Value::string(&vec![b'x'; bytes]);
        core.space.store.insert(DB, key.as_bytes(), value, None);
    }

    #[test]
    fn what_a_snapshot_still_has_to_stream_is_passed_over() {
        let mut core = core(EvictionPolicy::AllKeysLru);
        core.journal.keep_backlog(true);
        set(&mut core, "big", 1 << 20);
        (0..1_000).for_each(|number| set(&mut core, &format!("small:{number}"), 100));
        let written = Rc::new(RefCell::new(RdbWriter::new()));
        let space = &mut core.space;
        let snapshot =
            space
                .snapshots
                .begin(&mut space.store, SnapshotOptions::flow(), written.clone());
        assert!(
            core.has_room(),
            "there will be, once the snapshot has gone on"
        );
        assert!(core.space.store.contains(DB, b"big"));
        assert!(
            core.space.store.len(DB) <= 16,
            "all other buckets are empty"
        );
        let records = core.journal.read_from(Lsn::FIRST).map(Iterator::count);
        assert_eq!(records, Some(1_001 - core.space.store.len(DB)));
        drop(snapshot);
        assert!(
            !core.has_room(),
            "nothing is left, and tables take more than is allowed"
        );
        assert_eq!(core.space.store.len(DB), 0);
    }

    #[test]
    fn the_longest_unused_goes_first() {
        let mut core = core(EvictionPolicy::AllKeysLru);
        for number in 0..10 {
            core.space.tick(number * 1_000);
            set(&mut core, &number.to_string(), 100);
        }
        core.space.tick(10_000);
        core.space.touch_key(DB, b"0");
        core.eviction.samples = 10;
        for expected in (1..10).chain([0]) {
            assert_eq!(core.evict_one(Among::All, Rank::Idle), Outcome::Enough);
            let gone = expected.to_string();
            assert!(!core.space.store.contains(DB, gone.as_bytes()), "{gone}");
        }
        assert_eq!(core.evict_one(Among::All, Rank::Idle), Outcome::Nothing);
    }

    #[test]
    fn a_held_key_stays() {
        use crate::core::{KeyLock, TxId};
        let mut core = core(EvictionPolicy::AllKeysRandom);
        set(&mut core, "held", 100);
        set(&mut core, "free", 100);
        let locks = [KeyLock {
            key: key_hash(b"held"),
            mode: LockMode::Shared,
        }];
        core.locks.add(TxId(1), &locks, false);
        assert!(core.has_room());
        assert!(core.space.store.contains(DB, b"held") && !core.space.store.contains(DB, b"free"));
    }
}
