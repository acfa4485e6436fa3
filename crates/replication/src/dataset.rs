//! What a data set provides so that it can be replicated.
//!
//! A data set is anything whose changes can be written as commands (lists of byte strings): the engine's shards, or a
//! plain map of some service. It implements the primary's traits, the replica's traits, or both.
//!
//! [`PrimaryDataSet`] and [`ReplicaDataSet`] are handles: cloned and sent to the threads that own the shards. What they
//! give there ([`PrimaryShard`], [`ReplicaFlowSink`]) stays on that thread. A data set that lives in one thread, and is not
//! `Send`, makes its handle with [`OnThread`](crate::OnThread), and runs jobs with `spawn_local`.
//!
//! No future of these traits is dropped before it ends, except when its thread's runtime ends.

use std::{future::Future, pin::Pin, sync::Arc};

use damselfly_journal::{Journal, Lsn};
use damselfly_snapshot::Event;

use crate::{
    error::DataError,
    ids::{LsnVector, ReplId},
    lineage::{Fork, Lineage, Origin, Resume},
    part::TransactionPart,
    primary::{FlowHandle, FlowTable},
};

/// Work for another thread: called there once, and the future it gives is run there to its end (`spawn_local`).
pub type ThreadJob = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// What is to be done on every shard at one point of the transaction order. Called with the shard's index, on its thread.
pub type ShardAction<S> = Arc<dyn Fn(usize, &S) + Send + Sync>;

/// A data set that replicas can follow.
///
/// # Contract
/// * Every change is appended to the journal of its shard while that [is active](Journal::is_active), in the same
///   step as the change itself; a transaction of several records or shards is one run per shard, and runs of several
///   shards stand in ascending txid order on each.
/// * While a snapshot runs, what stood at its cut under a key is written to its [`FlowHandle`] before the record of
///   the key's first change is appended.
/// * Before a transaction changes anything it waits until no flow of its shards is over its budget
///   ([`FlowTable::is_over_budget`]).
pub trait PrimaryDataSet: Clone + Send + 'static {
    /// One shard, on its own thread.
    type Shard: PrimaryShard;

    /// How many shards there are: the number of flows, 1 to 1,024. Never changes.
    fn shard_count(&self) -> usize;

    /// Which sequence of records the journals hold now.
    fn lineage(&self) -> Lineage;

    /// Whether replicas may begin now; `Err` has the error reply that they get instead, such as `LOADING …`.
    fn readiness(&self) -> Result<(), String>;

    /// Whether this server follows a primary itself. Its replicas get half the patience then: waiting for one of them
    /// must not make this server time out upstream.
    fn is_replica(&self) -> bool {
        self.lineage().is_relay()
    }

    /// The shard `index`. Called on its own thread only.
    fn shard(&self, index: usize) -> Self::Shard;

    /// Runs a job on the thread that owns shard `index`. Not a transaction: it may not wait for any.
    fn run_on_shard(&self, index: usize, job: ThreadJob);

    /// Calls `action` once on every shard, at one point of the transaction order (a global transaction without effects).
    fn on_every_shard(
        &self,
        action: ShardAction<Self::Shard>,
    ) -> impl Future<Output = Result<(), DataError>>;
}

/// One shard of a [`PrimaryDataSet`], on its own thread.
pub trait PrimaryShard: 'static {
    /// A running snapshot.
    type Snapshot: ShardSnapshot;

    /// Lends the journal.
    fn with_journal<R>(&self, use_it: impl FnOnce(&mut Journal) -> R) -> R;

    /// The flows that leave this shard.
    fn flows(&self) -> &FlowTable<Self::Snapshot>;

    /// Begins a snapshot whose cut is this very moment, and whose items go to `flow`. Called within [`PrimaryDataSet::on_every_shard`]; must not wait.
    fn begin_snapshot(&self, flow: FlowHandle) -> Self::Snapshot;
}

/// A running snapshot of one shard. Dropping it ends it, whether it was complete or not.
pub trait ShardSnapshot: 'static {
    /// Writes the next slice of what stood at the cut (about 100 µs of work) to the flow, with
    /// [`FlowHandle::write_snapshot`]. Called when the flow has room; it may overshoot by one bucket.
    /// `Ok(true)` when everything has been written.
    fn step(&mut self) -> impl Future<Output = Result<bool, DataError>>;

    /// Keys written so far, and keys that stood at the cut, for those who watch. (0, 0) where nobody counts.
    fn progress(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// An AUX field at the beginning of a flow: how many keys its shard had at the cut. Only of extension level 1 and above.
pub const KEYS_AUX: &[u8] = b"damselfly-keys";

/// What a primary speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A flow for each of its shards (PROTOCOL 2): our own servers, and Dragonfly.
    Flows,
    /// Plain Redis or Valkey: one flow, an RDB and then commands as they are sent by clients. Its LSNs are offsets of
    /// bytes: the LSN is the number of the next byte, as in `PSYNC`.
    Psync,
}

/// The other end of a replica link, as its greeting told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Host and port as they were asked for.
    pub address: String,
    /// What it speaks.
    pub dialect: Dialect,
    /// The primary's own replication id. From [`Dialect::Psync`] it comes with the grant; [`ReplId::UNKNOWN`] before.
    pub replid: ReplId,
    /// The sequence of records that it writes or relays: what an LSN vector belongs to.
    pub history: ReplId,
    /// Its number of shards; 1 with [`Dialect::Psync`], whose keys may live on any shard.
    pub flows: usize,
    /// Its protocol version as numbered on the wire.
    pub version: u64,
    /// Its extension level; 0 is Dragonfly.
    pub level: u8,
    /// Where its data set stands, if it tells.
    pub origin: Option<Origin>,
    /// If it was started from a file: which points of earlier histories that held, the latest first ([`Lineage::restored`]).
    pub restored: Vec<Fork>,
}

impl Upstream {
    /// Whether a data set of `shards` shards takes its records as they come, under its LSNs and history.
    pub fn is_relayed_by(&self, shards: usize) -> bool {
        self.dialect == Dialect::Flows && self.flows == shards
    }
}

/// A data set that can follow a primary.
///
/// An attempt of a link calls, in this order: `open_flow` for each flow, `begin_full_sync` (unless the sync is partial), then the
/// flows' sinks take items and records of the full sync, then `enter_stable`, then the sinks, `apply_transaction` and
/// `apply_global` take records, and at its end, when all of these have returned, `link_ended`. Another attempt may follow.
///
/// A part of several records may hold a global command among others (a MULTI with FLUSHALL). It stands in every part, and is to be
/// executed once, after what stands before it in all parts and before what stands behind it.
pub trait ReplicaDataSet: Clone + Send + 'static {
    /// What takes the items and records of one flow, on the flow's thread.
    type Flow: ReplicaFlowSink;

    /// This server's own replication id now; a peer that greets with it is oneself.
    fn replid(&self) -> ReplId;

    /// Where the data set stands among those of one beginning ([`Lineage::origin`]), if it keeps a lineage.
    fn origin(&self) -> Option<Origin> {
        None
    }

    /// Out of what the server was started ([`Lineage::restored`]), if it followed nobody since.
    fn restored(&self) -> Vec<Fork> {
        Vec::new()
    }

    /// The server is to follow the primary at `address`: from here on it takes no writes of clients. What a former
    /// primary may offer for a partial sync ([`Lineage::resume`], if its journals have held every change), else `None`.
    fn become_replica(&self, address: &str) -> impl Future<Output = Option<Resume>>;

    /// `REPLICAOF NO ONE`: the link has stopped; the server takes writes from here on. See [`Lineage::promoted`].
    fn become_primary(&self) -> impl Future<Output = ()>;

    /// Runs a job on the thread that shall own `flow` of `flows` (with equal shard counts: the thread of that shard).
    fn run_on_flow(&self, flow: usize, flows: usize, job: ThreadJob);

    /// The sink of one flow; called on the flow's thread.
    fn open_flow(&self, flow: usize, upstream: &Upstream) -> Self::Flow;

    /// A full sync has been granted: discards all data, draws a new replication id, clears the journals and ends the
    /// links of one's own replicas; from here to [`enter_stable`](Self::enter_stable) the data set is loading.
    fn begin_full_sync(&self, upstream: &Upstream) -> impl Future<Output = Result<(), DataError>>;

    /// Everything that stood at the cut, and what came with it, is loaded, or partial sync was granted. `lsns` is the next
    /// LSN of each flow. No record has been applied yet after that point. See [`Lineage::stable_entered`].
    fn enter_stable(
        &self,
        upstream: &Upstream,
        full: bool,
        lsns: &[Lsn],
    ) -> impl Future<Output = Result<(), DataError>>;

    /// Executes one transaction over several flows, so that no reader sees one part without the others. Parts are
    /// ordered by flow, each with the flow's index. All of them are executed when it returns.
    fn apply_transaction(
        &self,
        parts: Vec<(usize, TransactionPart)>,
    ) -> impl Future<Output = Result<(), DataError>>;

    /// Executes a global command once; `parts` are its equal records, one per flow (relays note all of them).
    fn apply_global(
        &self,
        parts: Vec<(usize, TransactionPart)>,
    ) -> impl Future<Output = Result<(), DataError>>;

    /// The attempt ended and its flows have stopped; `vector` is what was executed, if the data set had reached stable sync.
    fn link_ended(&self, vector: Option<&LsnVector>) -> impl Future<Output = ()>;
}

/// Takes what comes over one flow. Lives on the flow's thread.
pub trait ReplicaFlowSink: 'static {
    /// Takes one event of the full-sync stream: everything but journal blobs, cut, offset and end. With [`Dialect::Psync`] entries
    /// come as [`Event::Run`], or [`Event::Entry`] and [`Event::Value`], for decoders on as many threads as there are. It must not wait:
    /// what belongs to other threads is collected, and sent in [`settle`](Self::settle).
    ///
    /// # Errors
    /// What the data set has no place for.
    fn load(&mut self, event: &Event<'_>) -> Result<(), DataError>;

    /// Called after every piece of input (at most some 64 KiB): hands on what `load` collected, and waits where too much of it is
    /// under way.
    fn keep_pace(&mut self) -> impl Future<Output = Result<(), DataError>> {
        self.settle()
    }

    /// Called before a record is applied, and when the full sync is complete: waits until what `load` collected is where it
    /// belongs.
    fn settle(&mut self) -> impl Future<Output = Result<(), DataError>>;

    /// Executes one part on this flow alone: a record of the full sync, or of stable sync ([`TransactionPart::first_lsn`] is there).
    /// With [`Dialect::Psync`] that is every part, global commands too, and its keys may live on any shard.
    /// It ignores the clock: what is expired stays until its DEL comes.
    fn apply(&mut self, part: &TransactionPart) -> impl Future<Output = Result<(), DataError>>;

    /// Executes parts that follow each other, each as [`apply`](Self::apply) would; how many were executed, and what came
    /// in the way of the next. To be overridden where they can be executed faster together.
    fn apply_all(
        &mut self,
        parts: &[TransactionPart],
    ) -> impl Future<Output = (usize, Result<(), DataError>)> {
        async {
            for (done, part) in parts.iter().enumerate() {
                if let Err(error) = self.apply(part).await {
                    return (done, Err(error));
                }
            }
            (parts.len(), Ok(()))
        }
    }
}
