//! One attempt of a link after its greeting: flows, meetings, calls of the data set, and how it ends.

use damselfly_journal::Lsn;
use damselfly_resp::{ReplyDecoder, ReplyLimits};

use super::{
    greeting::Greeted,
    message::{FlowOffer, FlowSpec},
    rendezvous::Rendezvous,
};
use crate::{
    config::ReplicaConfig,
    dataset::Dialect,
    error::LinkError,
    ids::{LsnVector, ReplId},
    lineage::Resume,
};

/// Answers on the control connection are short.
const REPLY_LIMITS: ReplyLimits = ReplyLimits {
    max_line: 4 << 10,
    max_bulk_len: 4 << 10,
    max_bytes: 64 << 10,
    max_items: 2048,
    max_depth: 4,
};

/// What the attempt is at.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stage {
    /// `DFLY FLOW` was sent on every flow.
    OpenFlows,
    /// `DFLY SYNC` was sent.
    SyncRequested,
    /// The data set discards what it has.
    Discarding,
    /// The full-sync streams come, not all cuts yet.
    Loading,
    /// `DFLY STARTSTABLE` was sent, or answered and not all tails are here.
    StableRequested {
        /// Whether it was answered.
        accepted: bool,
    },
    /// The data set goes over to stable sync.
    Entering,
    /// Records are executed.
    Stable,
    /// It is over; flows and calls of the data set come to their ends.
    Draining {
        /// Why; `None`: it was told to stop.
        error: Option<LinkError>,
    },
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) peer: Greeted,
    pub(super) stage: Stage,
    pub(super) replies: ReplyDecoder,
    pub(super) rendezvous: Rendezvous,
    /// Flows that were opened and have not stopped.
    pub(super) running: Vec<bool>,
    /// Per flow: `Some(partial)` once `DFLY FLOW` was answered.
    pub(super) grants: Vec<Option<bool>>,
    pub(super) cuts: Vec<bool>,
    pub(super) tails: Vec<Option<Lsn>>,
    /// Calls of the data set that have not returned.
    pub(super) calls: usize,
    /// The data set was asked to do something, and is to be told of the end.
    pub(super) touched: bool,
    /// What is executed, once the data set is in stable sync.
    pub(super) executed: Option<LsnVector>,
    /// The database that is selected there, in the stream of a Redis.
    pub(super) db: u16,
    /// The data set failed in the middle: what it holds is uncertain.
    pub(super) tainted: bool,
    /// When the present stage must have ended.
    pub(super) deadline_ms: Option<u64>,
}

impl Session {
    pub(super) fn new(now_ms: u64, config: &ReplicaConfig, peer: Greeted) -> Session {
        let flows = peer.upstream.flows;
        // A Redis may prepare for long, and says every second that it does: its flow has an ear for that.
        let deadline_ms = (peer.upstream.dialect == Dialect::Flows)
            .then(|| now_ms + config.connect_timeout_ms + config.handshake_timeout_ms);
        Session {
            peer,
            stage: Stage::OpenFlows,
            replies: ReplyDecoder::new(REPLY_LIMITS),
            rendezvous: Rendezvous::new(flows),
            running: vec![true; flows],
            grants: vec![None; flows],
            cuts: vec![false; flows],
            tails: vec![None; flows],
            calls: 0,
            touched: false,
            executed: None,
            db: 0,
            tainted: false,
            deadline_ms,
        }
    }

    pub(super) fn speaks_psync(&self) -> bool {
        self.peer.upstream.dialect == Dialect::Psync
    }

    pub(super) fn flows(&self) -> usize {
        self.peer.upstream.flows
    }

    /// What to tell flow `flow`: the whole vector to our own servers, one LSN to the very same Dragonfly primary.
    pub(super) fn spec(&self, flow: usize, resume: Option<&Resume>) -> FlowSpec {
        let upstream = &self.peer.upstream;
        let offer = resume.map(|resume| match (upstream.dialect, upstream.level) {
            (Dialect::Psync, _) => FlowOffer::Offset {
                history: resume.history,
                next: resume.lsns[flow],
                db: resume.db,
            },
            (Dialect::Flows, 0) => FlowOffer::Lsn(resume.lsns[flow]),
            (Dialect::Flows, _) => FlowOffer::Vector {
                history: resume.history,
                lsns: resume.lsns.clone(),
            },
        });
        FlowSpec {
            flow,
            upstream: upstream.clone(),
            sync_id: self.peer.sync_id,
            offer,
        }
    }

    /// Whether a partial sync may be asked for with `resume`.
    pub(super) fn can_offer(&self, resume: &Resume) -> bool {
        let upstream = &self.peer.upstream;
        let same = self.speaks_psync()
            || upstream.level > 0
            || upstream.replid == resume.replid && upstream.version >= 1;
        same && resume.lsns.len() == upstream.flows
    }

    /// All flows' grants, if all were answered: `Some(Some(partial))`, or `Some(None)` for a mix.
    pub(super) fn grant(&self) -> Option<Option<bool>> {
        let first = self.grants[0]?;
        let mut same = true;
        for grant in &self.grants {
            same &= (*grant)? == first;
        }
        Some(same.then_some(first))
    }

    pub(super) fn is_partial(&self) -> bool {
        self.grant() == Some(Some(true))
    }

    /// The journal offsets of all flows, once all tails are here.
    pub(super) fn all_tails(&self) -> Option<LsnVector> {
        self.tails.iter().copied().collect()
    }

    /// Whether nothing of it runs any more.
    pub(super) fn is_quiet(&self) -> bool {
        self.calls == 0 && self.running.iter().all(|running| !running)
    }

    /// Everything below `lsn` of `flow` is executed.
    pub(super) fn advance(&mut self, flow: usize, lsn: Lsn) {
        if let Some(executed) = &mut self.executed {
            executed[flow] = executed[flow].max(lsn);
        }
    }

    /// A Redis said whose history it goes on with.
    pub(super) fn identify(&mut self, replid: ReplId) {
        let upstream = &mut self.peer.upstream;
        (upstream.replid, upstream.history) = (replid, replid);
    }

    /// What the next attempt can stand on; `None` if the data set is not whole, or was not touched.
    pub(super) fn resume(&self) -> Option<Resume> {
        let lsns = self.executed.clone().filter(|_| !self.tainted)?;
        let upstream = &self.peer.upstream;
        Some(Resume {
            replid: upstream.replid,
            history: upstream.history,
            lsns,
            db: self.db,
        })
    }
}
