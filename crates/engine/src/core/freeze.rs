//! One point of the transaction order on all shards: the cut of a snapshot, the
//! hand-over to stable sync, a change of role.
//!
//! Its coordinator first freezes every shard, then reads which of the queued
//! transactions have been decided, and tells every shard to act after exactly
//! those. Transactions that nobody has applied yet are overtaken, so that one
//! that is parked on a slow link holds nothing up. None of them stands in front
//! of a decided one, for that was ready on all its shards.

use super::{ShardCore, TxId, TxShared};
use std::sync::Arc;

/// What happens at the point, on one shard's thread, while the shard is held and not borrowed.
pub type CutAction = Box<dyn FnOnce() + Send>;

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
    /// The action can run: whoever drives the shard takes it, runs it, and thaws the shard.
    Ready(CutAction),
    /// The action is running.
    Acting,
}

impl Freeze {
    /// Whether a hop of this transaction may run.
    pub(super) fn lets_pass(&self, id: TxId) -> bool {
        match self {
            Freeze::None => true,
            Freeze::Frozen | Freeze::Ready(_) | Freeze::Acting => false,
            Freeze::Cutting { before, .. } => before.contains(&id),
        }
    }
}

impl ShardCore {
    /// Who waits here and for what, for people who look for the reason.
    pub fn waiting(&self) -> String {
        let held = match &self.freeze {
            Freeze::None => "not held".to_owned(),
            Freeze::Frozen => "frozen".to_owned(),
            Freeze::Cutting { before, .. } => format!("held for a cut behind {before:?}"),
            Freeze::Ready(_) | Freeze::Acting => "acting".to_owned(),
        };
        let (parked, full) = (self.parked_len(), self.is_over_budget());
        let queued: Vec<String> = self.queue_lines().collect();
        format!(
            "{held}, {parked} parked, over budget: {full}, queue: [{}]",
            queued.join(", ")
        )
    }

    /// Holds everything back. Returns the transactions that are queued here. One freeze at a time.
    pub fn freeze(&mut self) -> Vec<Arc<TxShared>> {
        self.freeze = Freeze::Frozen;
        self.queued()
    }

    /// Makes `action` due when the transactions `before`, as far as they are here, have been concluded.
    /// Whoever drives the shard looks for it with [`ShardCore::take_cut`] after every call.
    pub fn cut(&mut self, before: &[TxId], action: CutAction) {
        let here = before
            .iter()
            .copied()
            .filter(|id| self.transactions.contains_key(id))
            .collect();
        self.freeze = Freeze::Cutting {
            before: here,
            action,
        };
        self.cut_when_ready();
        self.advance_transactions();
    }

    /// The action that is due now. It is to be run at once, then [`ShardCore::thaw`] to be called.
    pub fn take_cut(&mut self) -> Option<CutAction> {
        match std::mem::take(&mut self.freeze) {
            Freeze::Ready(action) => {
                self.freeze = Freeze::Acting;
                Some(action)
            }
            other => {
                self.freeze = other;
                None
            }
        }
    }

    /// Lets everything go on after the action.
    pub fn thaw(&mut self) {
        self.freeze = Freeze::None;
        self.wake();
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
            self.freeze = Freeze::Ready(action);
        }
    }
}
