//! What a primary has done for all its replicas since it started.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counted on whatever thread it happens.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) full_syncs: AtomicU64,
    pub(super) partial_syncs: AtomicU64,
    pub(super) partial_refused: AtomicU64,
    pub(super) full_sync_bytes: AtomicU64,
    pub(super) stream_bytes: AtomicU64,
}

/// What was counted, for INFO and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncCounts {
    /// Full syncs that were begun.
    pub full_syncs: u64,
    /// Partial syncs that were begun.
    pub partial_syncs: u64,
    /// Links that offered to go on, and could not.
    pub partial_refused: u64,
    /// Bytes of full syncs that sockets have accepted.
    pub full_sync_bytes: u64,
    /// Bytes of records that sockets have accepted.
    pub stream_bytes: u64,
}

impl Tally {
    fn fields(&self) -> [&AtomicU64; 5] {
        [
            &self.full_syncs,
            &self.partial_syncs,
            &self.partial_refused,
            &self.full_sync_bytes,
            &self.stream_bytes,
        ]
    }

    pub(super) fn counts(&self) -> SyncCounts {
        let [
            full_syncs,
            partial_syncs,
            partial_refused,
            full_sync_bytes,
            stream_bytes,
        ] = self.fields().map(|field| field.load(Relaxed));
        SyncCounts {
            full_syncs,
            partial_syncs,
            partial_refused,
            full_sync_bytes,
            stream_bytes,
        }
    }

    pub(super) fn reset(&self) {
        self.fields()
            .iter()
            .for_each(|field| field.store(0, Relaxed));
    }
}
