//! What link and flows tell each other: plain values, since they may live on different threads.

use damselfly_journal::Lsn;

use crate::{
    dataset::Upstream,
    error::LinkError,
    ids::{LsnVector, ReplId, SyncId},
    part::TransactionPart,
};

/// What a flow needs to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowSpec {
    /// Its index: the shard of the primary.
    pub flow: usize,
    /// Whose flow it is.
    pub upstream: Upstream,
    /// The primary's number for the link.
    pub sync_id: SyncId,
    /// What is offered for a partial sync.
    pub offer: Option<FlowOffer>,
}

/// What `DFLY FLOW` says of what was executed already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowOffer {
    /// To the same Dragonfly primary: everything before this LSN of the flow.
    Lsn(Lsn),
    /// Of a history: everything before these LSNs, one per flow.
    Vector {
        /// Which history.
        history: ReplId,
        /// The LSNs.
        lsns: LsnVector,
    },
    /// To a Redis: everything before this byte of a history, where this database is selected.
    Offset {
        /// Which history.
        history: ReplId,
        /// The number of the next byte.
        next: Lsn,
        /// The database.
        db: u16,
    },
}

/// From the link to a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowCommand {
    /// `DFLY SYNC` was accepted, and the old data is discarded: take the full-sync stream.
    Load,
    /// `DFLY STARTSTABLE` was accepted: the tail of the full-sync stream has to come now.
    ExpectTail,
    /// The data set has entered stable sync: execute records, from this LSN on.
    Stream(Lsn),
    /// The rendezvous in which the flow waits has been executed.
    Release {
        /// Its transaction.
        txid: u64,
    },
    /// Read nothing until `Resume`.
    Pause,
    /// Read on.
    Resume,
    /// Finish what is being executed, and stop.
    Stop,
}

/// From a flow to the link.
#[derive(Clone, Debug, PartialEq)]
pub enum FlowEvent {
    /// A Redis told whose history it goes on with; its answer to `PSYNC` was no refusal.
    Identified(ReplId),
    /// The database that is selected where the next [`Tail`](FlowEvent::Tail) or [`Stopped`](FlowEvent::Stopped) says, in the stream of a Redis.
    Selected(u16),
    /// `DFLY FLOW` was answered.
    Granted {
        /// `PARTIAL`, not `FULL`.
        partial: bool,
    },
    /// Everything that stood at the cut is here.
    Cut,
    /// The full-sync stream ended well; the next record has this LSN.
    Tail(Lsn),
    /// A record is reached that several flows execute together; the flow waits for its release.
    Arrived {
        /// The flow's part.
        part: TransactionPart,
        /// Whether it is a global command, which all flows share.
        global: bool,
    },
    /// The flow has stopped, and executes nothing more. The last of its events.
    Stopped {
        /// The next LSN it would execute; `None` before stable sync.
        executed: Option<Lsn>,
        /// Why, unless it was told to.
        error: Option<LinkError>,
    },
}
