//! What a link wants done, and what it shows.

use std::fmt;

use super::{
    message::{FlowCommand, FlowSpec},
    rendezvous::Meeting,
};
use crate::{dataset::Upstream, error::LinkError, ids::LsnVector};

/// What a link is doing, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPhase {
    /// It connects, or waits before it tries again.
    Connecting,
    /// It greets and opens flows.
    Preparation,
    /// It takes a full sync; the data set is loading.
    FullSync,
    /// It executes records.
    StableSync,
    /// It has given up; see [`ReplicaLink::last_error`](super::ReplicaLink::last_error).
    Failed,
    /// It was stopped.
    Stopped,
}

impl fmt::Display for LinkPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LinkPhase::Connecting | LinkPhase::Failed | LinkPhase::Stopped => "connecting",
            LinkPhase::Preparation => "preparation",
            LinkPhase::FullSync => "full_sync",
            LinkPhase::StableSync => "stable_sync",
        })
    }
}

/// What is to be done. Calls of the data set are made in this order, and their ends are told by the named method; they
/// are never dropped in between.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkOutput {
    /// Connect the control connection; then `handle_connected`, or `handle_closed`.
    Connect,
    /// Send this on the control connection.
    Send(Vec<u8>),
    /// Close the control connection, or stop connecting it.
    Disconnect,
    /// Connect a flow and run a [`ReplicaFlow`](super::ReplicaFlow). A failure to connect is a
    /// [`FlowEvent::Stopped`](super::FlowEvent::Stopped).
    OpenFlow(FlowSpec),
    /// Tell a flow.
    Command(usize, FlowCommand),
    /// Call [`begin_full_sync`](crate::ReplicaDataSet::begin_full_sync); then `handle_full_sync_begun`.
    BeginFullSync(Upstream),
    /// Call [`enter_stable`](crate::ReplicaDataSet::enter_stable); then `handle_stable_entered`.
    EnterStable {
        /// Whose data it is.
        upstream: Upstream,
        /// After a full sync, not a partial one.
        full: bool,
        /// Where each flow goes on.
        lsns: LsnVector,
    },
    /// Call [`apply_transaction`](crate::ReplicaDataSet::apply_transaction) or
    /// [`apply_global`](crate::ReplicaDataSet::apply_global); then `handle_meeting_done`.
    Apply(Meeting),
    /// Call [`link_ended`](crate::ReplicaDataSet::link_ended); then `handle_link_ended`.
    LinkEnded(Option<LsnVector>),
    /// The attempt failed; another one follows after the delay.
    RetryAfter {
        /// Why it failed.
        error: LinkError,
        /// Milliseconds until the next one.
        delay_ms: u64,
    },
    /// The link has given up.
    Failed(LinkError),
    /// The link has stopped, as told; nothing follows.
    Stopped,
}

/// Counters of a link, for INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Attempts that offered to go on with a partial sync.
    pub psync_attempts: u64,
    /// Those that were granted it.
    pub psync_successes: u64,
    /// Full syncs that were begun.
    pub full_syncs: u64,
    /// Attempts that failed, so that another one was made.
    pub reconnects: u64,
}
