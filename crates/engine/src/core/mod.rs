//! The core of a shard: synchronous, free of any runtime. It admits commands,
//! runs them on the keyspace, and journals their effects in one run.
//!
//! A command that has to wait is *parked* and tried again from the start when
//! something that could let it go on has happened ([`ShardCore::run_parked`]).

mod admission;
pub(crate) mod execute;
mod freeze;
mod jobs;
mod locks;
mod slices;
mod transactions;

pub use freeze::CutAction;
pub(crate) use execute::{read, write};
pub use jobs::{BatchCommand, BatchReply, CommandBatch, Job};
pub use locks::{KeyLock, LockMode, key_hash};
pub use transactions::{Hop, HopReply, TxId, TxShared, TxSpec, TxState};

use crate::keyspace::Keyspace;
use damselfly_journal::{Journal, JournalOptions};
use damselfly_store::BucketView;
use freeze::Freeze;
use jobs::ParkedQueue;
use locks::LockTable;
use std::collections::BTreeMap;
use std::rc::Rc;
use transactions::ShardTransaction;

/// Whether a step went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It has been applied.
    Done,
    /// It waits; nothing has changed.
    Parked,
}

/// What may hold writes back while it streams the data set somewhere: a snapshot in progress.
pub trait WriteBarrier {
    /// Whether a change of this bucket has to wait. Asking is also a request to serialize the bucket soon.
    fn blocks(&self, bucket: &BucketView<'_>) -> bool;
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
    /// Limit of used memory for this shard in bytes; 0 is none.
    pub max_memory: usize,
    /// Commands that ran here.
    pub commands_run: u64,
    barriers: Vec<(u64, Rc<dyn WriteBarrier>)>,
    next_barrier: u64,
    locks: LockTable,
    transactions: BTreeMap<TxId, ShardTransaction>,
    last_started: TxId,
    freeze: Freeze,
    parked: ParkedQueue,
    expiry_cursor: slices::ExpiryCursor,
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
            max_memory: 0,
            commands_run: 0,
            barriers: Vec::new(),
            next_barrier: 0,
            locks: LockTable::default(),
            transactions: BTreeMap::new(),
            last_started: TxId(0),
            freeze: Freeze::None,
            parked: ParkedQueue::default(),
            expiry_cursor: slices::ExpiryCursor::default(),
        }
    }

    /// Adds a snapshot that may hold writes back. Returns its handle.
    pub fn add_barrier(&mut self, barrier: Rc<dyn WriteBarrier>) -> u64 {
        self.next_barrier += 1;
        self.barriers.push((self.next_barrier, barrier));
        self.next_barrier
    }

    /// Takes a snapshot's hold away; run the parked commands afterwards.
    pub fn remove_barrier(&mut self, handle: u64) {
        self.barriers.retain(|(other, _)| *other != handle);
    }

    /// Whether a consumer of the journal holds so much that writes have to wait.
    fn is_over_budget(&self) -> bool {
        self.journal.is_over_budget()
    }

    /// Something that commands may wait for has happened: a budget, a bucket, a lock is free. Tries them again.
    pub fn wake(&mut self) {
        self.advance_transactions();
        self.run_parked();
    }

    /// Commands, batches and transactions that wait here.
    pub fn parked_len(&self) -> usize {
        self.parked.len()
    }
}
