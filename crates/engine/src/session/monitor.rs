//! Sessions that see the commands of all others, and showing them the commands of this one.

use super::Session;
use crate::command::{Command, CommandError, CommandResult};
use crate::monitor;
use damselfly_resp::ReplyWriter;

impl Session {
    /// Shows a command that has run, or begins, to those who look on.
    #[inline]
    pub(crate) fn show(&self, row: &'static Command, args: &[&[u8]]) {
        if self.thread.engine.monitors.any() && !self.is_internal {
            monitor::show(&self.thread, self.db, &self.peer, self.id, row, args);
        }
    }

    /// Whether it sees the commands of all others.
    pub fn is_monitor(&self) -> bool {
        self.monitors
    }

    pub(crate) fn stop_monitoring(&mut self) {
        if std::mem::take(&mut self.monitors) {
            monitor::remove(&self.thread, self.id);
        }
    }

    /// Who looks on has nothing to do with keys.
    pub(super) fn check_monitor(&self, row: &'static Command, args: &[&[u8]]) -> CommandResult {
        if self.monitors && (row.is_read() || self.waits_with_writes(row, args)) {
            return Err(CommandError::text(
                "ERR Replica can't interact with the keyspace",
            ));
        }
        Ok(())
    }
}

/// MONITOR. The second one of a client is not even answered.
pub(crate) fn monitor(
    session: &mut Session,
    _: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    if session.executing {
        return Err(CommandError::text(
            "ERR MONITOR isn't allowed for DENY BLOCKING client",
        ));
    }
    if !session.monitors {
        let queue = session.push_queue();
        monitor::add(&session.thread, queue);
        session.monitors = true;
        out.ok();
    }
    Ok(())
}
