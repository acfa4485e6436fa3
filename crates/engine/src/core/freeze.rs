//! One point of the transaction order on all shards: the cut of a snapshot, the
//! hand-over to stable sync, a change of role.
//!
//! Its coordinator first freezes every shard, then reads which of the queued
//! transactions have been decided, and tells every shard to act after exactly
//! those. Transactions that nobody has applied yet are overtaken, so that one
//! that is parked on a slow link holds nothing up.

use super::{ShardCore, TxId, TxShared};
use std::sync::Arc;

/// What happens at the point, on one shard.
pub type CutAction = Box<dyn FnOnce(&mut ShardCore) + Send>;

/// Whether a shard is being held for a cut.
#[derive(Default)]
pub(super) enum Freeze {
    /// It is not.
    #[default]
    None,
    /// Nothing begins until the coordinator has seen all shards.
    Frozen,
    /// These go on to their end, then the action runs.
    Cutting {
        before: Vec<TxId>,
        action: CutAction,
    },
}

impl Freeze {
    /// Whether a hop of this transaction may run.
    pub(super) fn lets_pass(&self, id: TxId) -> bool {
        match self {
            Freeze::None => true,
            Freeze::Frozen => false,
            Freeze::Cutting { before, .. } => before.contains(&id),
        }
    }
}

impl ShardCore {
    /// Holds everything back. Returns the transactions that are queued here. One freeze at a time.
    pub fn freeze(&mut self) -> Vec<Arc<TxShared>> {
        self.freeze = Freeze::Frozen;
        self.queued()
    }

    /// Runs `action` when the transactions `before`, as far as they are here, have been concluded; then goes on.
    pub fn cut(&mut self, before: &[TxId], action: CutAction) {
        let here = before.iter().copied().filter(|id| self.transactions.contains_key(id)).collect();
        self.freeze = Freeze::Cutting { before: here, action };
        self.cut_when_ready();
        self.advance_transactions();
    }

    pub(super) fn after_conclusion(&mut self, id: TxId) {
        if let Freeze::Cutting { before, .. } = &mut self.freeze {
            before.retain(|other| *other != id);
        }
        self.cut_when_ready();
    }

    fn cut_when_ready(&mut self) {
        let ready = matches!(&self.freeze, Freeze::Cutting { before, .. } if before.is_empty());
        if ready && let Freeze::Cutting { action, .. } = std::mem::take(&mut self.freeze) {
            action(self);
            self.advance_transactions();
            self.run_parked();
        }
    }
}
