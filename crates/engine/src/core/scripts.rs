//! A shard's part in scripts that run on its thread, in place.

use super::freeze::Freeze;
use super::{KeyLock, ShardCore, Step, TxShared, TxSpec};
use crate::command::{Command, CommandError, KeyPositions};
use crate::context::Effects;
use damselfly_resp::ReplyWriter;
use damselfly_store::DbIndex;
use std::sync::Arc;

/// One command of a script.
pub(crate) struct ScriptPart<'a> {
    pub(crate) row: &'static Command,
    pub(crate) db: DbIndex,
    pub(crate) args: &'a [&'a [u8]],
    pub(crate) keys: &'a KeyPositions,
    /// The script may take memory beyond the limit.
    pub(crate) allow_oom: bool,
    pub(crate) is_internal: bool,
}

impl ShardCore {
    /// Whether a script may run here at once: nothing is scheduled or waits that it could get in front of. What it does is
    /// collected in the effects, until [`ShardCore::end_script`] or [`ShardCore::adopt_script`]; nothing else may run meanwhile.
    pub(crate) fn begin_script(&mut self, writes: bool) -> Option<Effects> {
        let is_free = matches!(self.freeze, Freeze::None)
            && self.locks.is_empty()
            && self.transactions.is_empty()
            && self.parked.is_empty()
            && !(writes && (self.is_over_budget() || self.is_paused()));
        is_free.then(|| Effects::new(self.journal.is_active()))
    }

    /// Whether a script that may take memory may begin here.
    pub(crate) fn has_room_for_script(&mut self) -> bool {
        self.has_room()
    }

    /// Runs one command. `Parked`: it has to wait for a snapshot; nothing has been changed.
    pub(crate) fn run_in_script(
        &mut self,
        part: &ScriptPart<'_>,
        effects: &mut Effects,
        out: &mut ReplyWriter<'_>,
    ) -> Step {
        if part.row.is_write() && self.waits_for_snapshot(part) {
            return Step::Parked;
        }
        match self.refuses(part, effects) {
            Some(error) => self.reply(part.row, Err(error), out),
            None => {
                self.run_in_transaction(part.row, part.db, part.args, part.keys, effects, out);
            }
        }
        Step::Done
    }

    /// Whether a snapshot has to send something before the command may run.
    fn waits_for_snapshot(&self, part: &ScriptPart<'_>) -> bool {
        if !self.space.store.is_observed() {
            return false;
        }
        if crate::session::is_everywhere(part.row) {
            return self
                .space
                .snapshots
                .would_park_flush(&self.space.store, None);
        }
        part.keys
            .iter()
            .any(|at| self.is_blocked_for(part.row, part.db, part.args[*at as usize]))
    }

    /// Why a command of a script may not run: the role, or memory. (After its first change a script goes on, as in Redis.)
    pub(crate) fn refuses(
        &mut self,
        part: &ScriptPart<'_>,
        effects: &Effects,
    ) -> Option<CommandError> {
        if !part.row.is_write() {
            return None;
        }
        if self.is_replica && !part.is_internal {
            return Some(CommandError::ReadOnly);
        }
        if part.row.grows() && !part.allow_oom && effects.is_empty() && !self.has_room() {
            return Some(CommandError::OutOfMemory);
        }
        None
    }

    /// The script has ended: its effects become one run of records, and clients that wait for what it changed are served.
    pub(crate) fn end_script(&mut self, effects: Effects) {
        self.journal_alone(effects);
        if self.space.waits.has_ready() {
            self.serve_ready(false);
        }
    }

    /// The script goes on as a transaction, at the head of the queue, which was empty: others may run now.
    pub(crate) fn adopt_script(
        &mut self,
        shared: Arc<TxShared>,
        locks: Vec<KeyLock>,
        writes: bool,
        effects: Effects,
    ) {
        let spec = TxSpec {
            shared,
            global: locks.is_empty(),
            locks,
            writes,
            grows: false,
            replays: true,
        };
        self.adopt(spec, effects);
    }
}
