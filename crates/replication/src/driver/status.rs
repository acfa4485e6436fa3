//! What links show of themselves: for ROLE, INFO, metrics and the status page.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use damselfly_journal::Lsn;

use super::{primary_flow::FlowStats, replica_flow::FlowProgress};
use crate::{
    dataset::Upstream,
    error::LinkError,
    ids::SyncId,
    primary::SessionState,
    replica::{LinkPhase, LinkStats},
};

/// How far a full sync is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncProgress {
    /// Keys that were sent, or loaded.
    pub keys_done: u64,
    /// Keys that stood at the cut; `None` where the peer does not tell.
    pub keys_total: Option<u64>,
    /// Milliseconds since the full sync began.
    pub elapsed_ms: u64,
}

impl SyncProgress {
    /// 0 to 100; `None` where the total is not known. An empty data set is complete.
    pub fn percent(&self) -> Option<f64> {
        let total = self.keys_total?;
        Some(match total {
            0 => 100.0,
            _ => (self.keys_done as f64 * 100.0 / total as f64).min(100.0),
        })
    }

    /// Milliseconds that it takes yet, at the pace so far; `None` where nothing can be said.
    pub fn remaining_ms(&self) -> Option<u64> {
        let left = self.keys_total?.saturating_sub(self.keys_done);
        match (left, self.keys_done) {
            (0, _) => Some(0),
            (_, 0) => None,
            (left, done) => Some((left as f64 * self.elapsed_ms as f64 / done as f64) as u64),
        }
    }
}

/// One flow to a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaFlowStatus {
    /// Records that it has not acked.
    pub lag_records: u64,
    /// Bytes of these records.
    pub lag_bytes: u64,
    /// Milliseconds since the oldest of these records was written; 0 without any.
    pub lag_ms: u64,
    /// Bytes that the network has not accepted.
    pub unsent_bytes: u64,
    /// Milliseconds since its last ack, in stable sync.
    pub ack_age_ms: Option<u64>,
    /// The next LSN that it wants, as it acked; `None` before stable sync.
    pub acked: Option<Lsn>,
    /// Bytes sent: of full syncs, and of records.
    pub sent_bytes: (u64, u64),
    /// Keys of a full sync that were written to it, and how many there are.
    pub snapshot_keys: (u64, u64),
}

impl ReplicaFlowStatus {
    pub(super) fn of(stats: &FlowStats, stable: bool, now_ms: u64) -> ReplicaFlowStatus {
        let load = |field: &AtomicU64| field.load(Relaxed);
        let oldest = Some(load(&stats.oldest_unacked_ms)).filter(|at| *at != NEVER);
        ReplicaFlowStatus {
            lag_records: load(&stats.lag),
            lag_bytes: load(&stats.lag_bytes),
            lag_ms: oldest.map_or(0, |at| now_ms.saturating_sub(at)),
            unsent_bytes: load(&stats.unsent),
            ack_age_ms: stable.then(|| now_ms.saturating_sub(load(&stats.acked_ms))),
            acked: Some(Lsn(load(&stats.acked))).filter(|lsn| lsn.0 > 0),
            sent_bytes: (load(&stats.full_sync_bytes), load(&stats.stream_bytes)),
            snapshot_keys: (load(&stats.snapshot_done), load(&stats.snapshot_total)),
        }
    }
}

/// No time at all, in an atomic.
pub(super) const NEVER: u64 = u64::MAX;

/// One replica, for ROLE, INFO and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Its link.
    pub sync_id: SyncId,
    /// Its address: announced, or that of its control connection.
    pub ip: String,
    /// The port that it announced.
    pub port: u16,
    /// The name that it announced.
    pub client_id: Option<String>,
    /// How often it acks where nothing else makes it, if it told.
    pub ack_interval_ms: Option<u64>,
    /// Its extension level; 0 is Dragonfly.
    pub level: u8,
    /// Where its session is.
    pub state: SessionState,
    /// Milliseconds since its session came there.
    pub state_ms: u64,
    /// The most records that one of its flows has not acked.
    pub lag_records: u64,
    /// Bytes of the records that were not acked, of all flows.
    pub lag_bytes: u64,
    /// Milliseconds since the oldest record that was not acked was written; 0 without any.
    pub lag_ms: u64,
    /// Bytes of all flows that the network has not accepted.
    pub unsent_bytes: u64,
    /// Milliseconds since the oldest last ack of its flows, in stable sync.
    pub ack_age_ms: Option<u64>,
    /// Bytes sent: of full syncs, and of records.
    pub sent_bytes: (u64, u64),
    /// How far its full sync is, during one.
    pub full_sync: Option<SyncProgress>,
    /// Its flows, by shard.
    pub flows: Vec<ReplicaFlowStatus>,
}

/// What a session says of itself, beside its flows.
pub(super) struct ReplicaName {
    pub(super) sync_id: SyncId,
    pub(super) ip: String,
    pub(super) port: u16,
    pub(super) client_id: Option<String>,
    pub(super) ack_interval_ms: Option<u64>,
    pub(super) level: u8,
    pub(super) state: SessionState,
    pub(super) state_ms: u64,
}

impl ReplicaStatus {
    /// Records that it has acked, over all shards: what a primary's own number of records is compared with.
    pub fn acked_records(&self) -> u64 {
        let acked = self.flows.iter().filter_map(|flow| flow.acked);
        acked.map(|next| next.0 - 1).sum()
    }

    pub(super) fn of(name: ReplicaName, flows: Vec<ReplicaFlowStatus>) -> ReplicaStatus {
        let sum = |field: fn(&ReplicaFlowStatus) -> u64| flows.iter().map(field).sum();
        let keys_done = sum(|flow| flow.snapshot_keys.0);
        let keys_total = sum(|flow| flow.snapshot_keys.1);
        ReplicaStatus {
            sync_id: name.sync_id,
            ip: name.ip,
            port: name.port,
            client_id: name.client_id,
            ack_interval_ms: name.ack_interval_ms,
            level: name.level,
            state: name.state,
            state_ms: name.state_ms,
            lag_records: flows.iter().map(|flow| flow.lag_records).max().unwrap_or(0),
            lag_bytes: sum(|flow| flow.lag_bytes),
            lag_ms: flows.iter().map(|flow| flow.lag_ms).max().unwrap_or(0),
            unsent_bytes: sum(|flow| flow.unsent_bytes),
            ack_age_ms: flows.iter().filter_map(|flow| flow.ack_age_ms).max(),
            sent_bytes: (sum(|flow| flow.sent_bytes.0), sum(|flow| flow.sent_bytes.1)),
            full_sync: (name.state == SessionState::FullSync).then_some(SyncProgress {
                keys_done,
                keys_total: Some(keys_total),
                elapsed_ms: name.state_ms,
            }),
            flows,
        }
    }
}

/// One flow of a link to a primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFlowStatus {
    /// The next LSN to execute; `None` before stable sync.
    pub executed: Option<Lsn>,
    /// Milliseconds since bytes came last.
    pub last_io_ms: u64,
    /// Bytes that came since the flow was opened.
    pub received_bytes: u64,
    /// Keys of a full sync that came.
    pub keys_loaded: u64,
    /// Keys of the full sync, if the primary told.
    pub keys_expected: Option<u64>,
}

impl LinkFlowStatus {
    pub(super) fn of(progress: &FlowProgress, now_ms: u64) -> LinkFlowStatus {
        let executed = progress.executed.load(Relaxed);
        let expected = progress.keys_expected.load(Relaxed);
        LinkFlowStatus {
            executed: (executed > 0).then_some(Lsn(executed)),
            last_io_ms: now_ms.saturating_sub(progress.received_ms.load(Relaxed)),
            received_bytes: progress.received_bytes.load(Relaxed),
            keys_loaded: progress.keys_loaded.load(Relaxed),
            keys_expected: (expected != NEVER).then_some(expected),
        }
    }
}

/// What a link shows.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// What it is doing.
    pub phase: LinkPhase,
    /// Milliseconds since it began to.
    pub phase_ms: u64,
    /// Who is at the other end, once it was greeted.
    pub upstream: Option<Upstream>,
    /// Counters.
    pub stats: LinkStats,
    /// Why the last attempt ended.
    pub last_error: Option<LinkError>,
    /// The next LSN of each flow; empty before stable sync.
    pub executed: Vec<Lsn>,
    /// Milliseconds since bytes came last.
    pub last_io_ms: Option<u64>,
    /// Milliseconds since the link was last in stable sync, or since it began; `None` while it is.
    pub down_ms: Option<u64>,
    /// The number that the primary gave to the link.
    pub sync_id: Option<SyncId>,
    /// Bytes that came on all its flows, those of earlier attempts, too.
    pub received_bytes: u64,
    /// The flows of the present attempt, or of the last one.
    pub flows: Vec<LinkFlowStatus>,
}

impl LinkStatus {
    /// How far a full sync is, during one.
    pub fn full_sync(&self) -> Option<SyncProgress> {
        (self.phase == LinkPhase::FullSync).then(|| SyncProgress {
            keys_done: self.flows.iter().map(|flow| flow.keys_loaded).sum(),
            keys_total: self.flows.iter().map(|flow| flow.keys_expected).sum(),
            elapsed_ms: self.phase_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(keys_done: u64, keys_total: Option<u64>) -> SyncProgress {
        SyncProgress {
            keys_done,
            keys_total,
            elapsed_ms: 1_000,
        }
    }

    #[test]
    fn the_end_is_estimated_from_the_pace_so_far() {
        let quarter = progress(250, Some(1_000));
        assert_eq!(quarter.percent(), Some(25.0));
        assert_eq!(quarter.remaining_ms(), Some(3_000));
        let begun = progress(0, Some(1_000));
        assert_eq!((begun.percent(), begun.remaining_ms()), (Some(0.0), None));
        let empty = progress(0, Some(0));
        assert_eq!(
            (empty.percent(), empty.remaining_ms()),
            (Some(100.0), Some(0))
        );
        let untold = progress(7, None);
        assert_eq!((untold.percent(), untold.remaining_ms()), (None, None));
    }
}
