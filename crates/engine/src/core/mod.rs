//! The core of a shard: synchronous, free of any runtime. It admits commands,
//! runs them on the keyspace, and journals their effects in one run.
//!
//! A command that has to wait is *parked* and tried again from the start when
//! something that could let it go on has happened ([`ShardCore::run_parked`]).

mod admission;
mod apply;
mod blocking;
mod evict;
pub(crate) mod execute;
mod freeze;
mod jobs;
mod locks;
mod scripts;
mod slices;
mod transactions;

pub use apply::ApplyJob;
pub(crate) use apply::{no_database, writer, writer_with_keys};
pub(crate) use blocking::{BlockJob, FirstTry, seats};
pub(crate) use execute::{read, write};
pub use freeze::CutAction;
pub use jobs::{BatchCommand, BatchReply, CommandBatch, Job};
pub use locks::{KeyLock, LockMode, key_hash};
pub(crate) use scripts::ScriptPart;
pub use transactions::{Hop, HopReply, HopWrites, Scheduled, TxId, TxShared, TxSpec, TxState};

use crate::eviction::{EvictionOptions, MemoryLedger, MemoryShare};
use crate::keyspace::Keyspace;
use crate::replicate::Skipped;
use damselfly_journal::{Journal, JournalOptions, RunBuilder};
use damselfly_store::DbIndex;
use freeze::Freeze;
use jobs::ParkedQueue;
use locks::LockTable;
use std::collections::BTreeMap;
use std::sync::Arc;
use transactions::ShardTransaction;

/// Keys from which on a table is taken to be larger than the processor's caches.
const WARM_TABLE_KEYS: usize = 16 * 1024;

/// Whether a step went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It has been applied.
    Done,
    /// It waits; nothing has changed.
    Parked,
}

/// One shard.
pub struct ShardCore {
    /// Index of the shard.
    pub id: u16,
    /// The data.
    pub space: Keyspace,
    /// The journal of its changes.
    pub journal: Journal,
    /// Whether expired keys are deleted here: on primaries, unless `DEBUG SET-ACTIVE-EXPIRE 0`.
    pub expires: bool,
    /// Whether this shard belongs to a replica: expiry is left to the primary.
    pub is_replica: bool,
    /// Whether the journal holds the primary's records as they came, instead of records of its own.
    pub relays: bool,
    /// Whether writes wait: this primary is being handed over.
    pub writes_held: bool,
    /// What all shards use, and the limit.
    pub memory: MemoryShare,
    /// Commands that ran here.
    pub commands_run: u64,
    /// What is passed over of a primary's records, shared with the whole engine.
    pub skipped: Arc<Skipped>,
    /// The scripts that keep others from running.
    pub scripts: Arc<crate::script::RunningScripts>,
    /// What clients have to wait for, shared with the whole engine.
    pub pauses: Arc<crate::pause::Pauses>,
    /// What ran here, how often and how long.
    pub stats: crate::stats::CommandStats,
    /// What of it took long.
    pub slow: crate::slow::SlowWatch,
    /// Where records of a primary go that took long.
    pub slow_log: Arc<crate::slow::SlowLog>,
    /// Whether no write begins here: a pause holds.
    holds_writes: bool,
    locks: LockTable,
    transactions: BTreeMap<TxId, ShardTransaction>,
    last_ready: TxId,
    freeze: Freeze,
    parked: ParkedQueue,
    expiry_cursor: slices::ExpiryCursor,
    eviction: EvictionOptions,
    pool: evict::EvictionPool,
    /// Encodes what is relayed; kept for its buffer.
    relayed: RunBuilder,
    /// The reply to a record, which nobody reads; kept for its buffer.
    unread_reply: Vec<u8>,
}

impl ShardCore {
    /// An empty shard. `seed` seeds hashing and random choices.
    pub fn new(id: u16, dbnum: u16, seed: u64, journal: JournalOptions) -> ShardCore {
        ShardCore {
            id,
            space: Keyspace::new(dbnum, seed),
            journal: Journal::new(journal),
            expires: true,
            is_replica: false,
            relays: false,
            writes_held: false,
            memory: MemoryShare::new(Arc::new(MemoryLedger::new(1)), 0),
            commands_run: 0,
            skipped: Arc::default(),
            scripts: Arc::default(),
            pauses: Arc::default(),
            holds_writes: false,
            stats: crate::stats::CommandStats::default(),
            slow: crate::slow::SlowWatch::default(),
            slow_log: Arc::default(),
            locks: LockTable::default(),
            transactions: BTreeMap::new(),
            last_ready: TxId(0),
            freeze: Freeze::None,
            parked: ParkedQueue::default(),
            expiry_cursor: slices::ExpiryCursor::default(),
            eviction: EvictionOptions::default(),
            pool: evict::EvictionPool::default(),
            relayed: RunBuilder::new(0, 1),
            unread_reply: Vec::new(),
        }
    }

    /// Whether a consumer of the journal, or a snapshot's file, holds so much that writes have to wait, or they wait for a hand-over.
    fn is_over_budget(&self) -> bool {
        self.writes_held
            || self.journal.is_over_budget()
            || (self.space.store.is_observed() && self.space.snapshots.is_over_budget())
    }

    /// Fetches what commands on these keys will read, all at once; worth while where the table is larger than the caches.
    pub fn warm(&self, db: DbIndex, keys: &[&[u8]]) {
        if self.space.store.len(db) >= WARM_TABLE_KEYS {
            self.space.store.warm(db, keys);
        }
    }

    /// Something that commands may wait for has happened: a budget, a bucket, a lock is free. Tries them again.
    pub fn wake(&mut self) {
        self.advance_transactions();
        self.run_parked();
    }

    /// A pause has begun or ended: holds writes back from now on, or lets them go on. Replication is never paused.
    pub(crate) fn follow_pauses(&mut self) {
        self.holds_writes = self.pauses.strongest().is_some();
        if !self.holds_writes {
            self.wake();
        }
    }

    /// Whether a client's write has to wait for the end of a pause.
    fn is_paused(&self) -> bool {
        self.holds_writes && !self.is_replica
    }

    /// Commands, batches and transactions that wait here.
    pub fn parked_len(&self) -> usize {
        self.parked.len()
    }
}
