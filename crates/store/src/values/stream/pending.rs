//! What consumers got and have not acknowledged.

use super::StreamId;
use super::runs::{Identified, Runs};

/// A consumer within its group. It is good until the consumer is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerId(pub(super) u32);

impl ConsumerId {
    /// Nobody yet: while a group is being loaded.
    pub(super) const NOBODY: ConsumerId = ConsumerId(u32::MAX);
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingEntry {
    /// The entry's id. The entry itself may be gone.
    pub id: StreamId,
    /// Who has it.
    pub consumer: ConsumerId,
    /// When it was delivered last, Unix milliseconds.
    pub delivered_ms: i64,
    /// How often it was delivered.
    pub deliveries: u64,
}

impl Identified for PendingEntry {
    fn id(&self) -> StreamId {
        self.id
    }
}

/// A consumer of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub(super) name: Box<[u8]>,
    pub(super) seen_ms: i64,
    pub(super) active_ms: i64,
    pub(super) pending: Runs<StreamId>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// When it was last heard of, Unix milliseconds.
    pub fn seen_ms(&self) -> i64 {
        self.seen_ms
    }

    /// When it last got or claimed something, Unix milliseconds; -1 where it never did.
    pub fn active_ms(&self) -> i64 {
        self.active_ms
    }

    /// How many entries are pending for it.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn heap_size(&self) -> usize {
        self.name.len() + self.pending.heap_size()
    }
}
