//! Waiting for the end of a pause (CLIENT PAUSE).

use super::{MultiState, Session};
use crate::command::{Command, Flags, Handler};
use crate::pause::Paused;

impl Session {
    /// Whether a command that has been admitted has to wait for the end of a pause.
    #[inline]
    pub(super) fn meets_pause(&mut self, row: &'static Command, args: &[&[u8]]) -> bool {
        match self.thread.engine.pauses.strongest() {
            None => false,
            Some(paused) => self.is_paused(paused, row, args),
        }
    }

    #[cold]
    fn is_paused(&mut self, paused: Paused, row: &'static Command, args: &[&[u8]]) -> bool {
        if self.is_internal || self.is_monitor() {
            return false;
        }
        let ends_multi = row.flags.has(Flags::ENDS_MULTI);
        let of_queue = ends_multi && self.multi.as_ref().is_some_and(MultiState::writes);
        self.waits_with = match of_queue || self.waits_with_writes(row, args) {
            true => Paused::Writes,
            false => Paused::All,
        };
        paused >= self.waits_with
    }

    /// Whether EXEC or a script is running its commands.
    pub fn is_in_transaction(&self) -> bool {
        self.executing
    }

    /// Whether a command line waits while writes are paused: replicas may be told of it.
    pub(super) fn waits_with_writes(&self, row: &'static Command, args: &[&[u8]]) -> bool {
        match row.handler {
            Handler::Script(kind) => {
                !row.is_read() && kind.read(self, args).map_or(true, |call| call.may_write())
            }
            _ => row.may_replicate(),
        }
    }

    /// Until the pause has ended for which [`Session::begin`] answered [`Begun::Paused`](super::Begun::Paused); the request is
    /// to be begun anew then. Can be dropped and called again.
    pub async fn until_unpaused(&self) {
        let waits_with = self.waits_with;
        let pauses = &self.thread.engine.pauses;
        pauses.ended(|paused| paused >= waits_with).await;
    }
}
