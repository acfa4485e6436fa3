//! What is checked before any command runs, in Redis's order.

use super::{Begun, Pipeline, Session, arity_error};
use crate::command::{Command, CommandError, CommandResult, Flags, echoed};
use crate::thread::unix_ms;
use damselfly_replication::driver::LineLimit;
use std::sync::{Mutex, PoisonError};

/// Bytes of an unknown command's arguments that its error repeats (Redis: 128).
pub(crate) const UNKNOWN_ECHO_BYTES: usize = 128;

impl Session {
    /// The row that these arguments mean, if the command may run now.
    pub(super) fn admit(&mut self, args: &[&[u8]]) -> Result<&'static Command, CommandError> {
        let row = self.find(args)?;
        self.last_command = row.name;
        self.last_row = Some(row);
        // What ends a transaction is asked for when it has to end it, too.
        let ends_multi = row.flags.has(Flags::ENDS_MULTI);
        if !ends_multi {
            self.check_authenticated(row)?;
        }
        if self.restricted.is_some() {
            self.check_restricted(row)?;
        }
        if row.flags.has(Flags::NO_MULTI) && self.multi.is_some() {
            return Err(CommandError::text(
                "ERR Command not allowed inside a transaction",
            ));
        }
        if !ends_multi {
            self.check_access(row, args)?;
        }
        self.check_role(row)?;
        self.check_subscription(row)?;
        self.check_loading(row)?;
        self.check_monitor(row, args)?;
        Ok(row)
    }

    /// The row of a request that [`Session::admit`] has admitted before.
    pub(super) fn admit_waiting(
        &mut self,
        args: &[&[u8]],
    ) -> Result<&'static Command, CommandError> {
        let row = self.find(args)?;
        if row.flags.has(Flags::ENDS_MULTI) {
            self.check_authenticated(row)?;
            self.check_access(row, args)?;
        }
        self.check_subscription(row)?;
        Ok(row)
    }

    /// Whether the command may run while the client listens.
    pub(super) fn check_subscription(&self, row: &'static Command) -> CommandResult {
        if !self.is_listening() || row.flags.has(Flags::IN_SUBSCRIPTION) {
            return Ok(());
        }
        let name = self.thread.engine.table.full_name(row);
        Err(CommandError::owned(format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        )))
    }

    /// Whether the server is in a state for the command.
    pub(super) fn check_state(&self, row: &Command) -> CommandResult {
        self.check_role(row)?;
        self.check_loading(row)
    }

    fn check_role(&self, row: &Command) -> CommandResult {
        let engine = &self.thread.engine;
        if row.is_write() && !self.is_internal {
            engine.check_writable()?;
        }
        Ok(())
    }

    fn check_loading(&self, row: &Command) -> CommandResult {
        if self.thread.engine.is_loading() && !row.flags.has(Flags::LOADING) {
            return Err(CommandError::text(
                "LOADING Redis is loading the dataset in memory",
            ));
        }
        let running = &self.thread.engine.scripts.running;
        if running.is_busy() && !row.flags.has(Flags::ALLOW_BUSY) && !self.is_internal {
            return Err(running.busy_error());
        }
        Ok(())
    }

    /// The row that these arguments name, whether they fit it or not.
    pub(super) fn named(&self, args: &[&[u8]]) -> Option<&'static Command> {
        self.thread.engine.table.resolve(args)
    }

    /// The row that these arguments mean, subcommands included, with the right number of arguments.
    pub fn find(&self, args: &[&[u8]]) -> Result<&'static Command, CommandError> {
        let row = self
            .thread
            .engine
            .table
            .find(args[0])
            .ok_or_else(|| unknown_command(args))?;
        if row.subcommands.is_empty() {
            return if row.accepts(args.len()) {
                Ok(row)
            } else {
                Err(arity_error(row.name))
            };
        }
        let Some(word) = args.get(1) else {
            return if row.accepts(1) {
                Ok(row)
            } else {
                Err(arity_error(row.name))
            };
        };
        match row.subcommand(word) {
            Some(sub) if sub.accepts(args.len()) => Ok(sub),
            _ if row.flags.has(Flags::LOOSE_SUBCOMMANDS) => Ok(row),
            Some(sub) => Err(arity_error(&format!("{}|{}", row.name, sub.name))),
            None => Err(unknown_subcommand(row, word)),
        }
    }

    /// At most a line a minute, as Redis has it.
    fn log_http(&self) {
        static LINES: Mutex<LineLimit> = Mutex::new(LineLimit::new(1, 60_000));
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unsaid) = lines.admit(unix_ms().unsigned_abs()) {
            tracing::warn!(
                id = self.id,
                peer = self.peer_ip,
                unsaid,
                "a client speaks HTTP, perhaps to attack; it is disconnected"
            );
        }
    }

    /// Answers a request that may not run. A transaction that is being queued is lost by it.
    pub(super) fn refuse(
        &mut self,
        args: &[&[u8]],
        error: &CommandError,
        pipeline: &mut Pipeline,
    ) -> Begun {
        if is_http(args[0]) {
            self.log_http();
            self.close = true;
            return Begun::Done;
        }
        if self.close {
            return Begun::Done;
        }
        let row = self.named(args);
        if row.is_some_and(|row| row.flags.has(Flags::ENDS_MULTI)) {
            // Which ends the transaction, and the watching of keys on other threads.
            return Begun::Wait;
        }
        self.thread.stats.borrow_mut().rejected(row, error);
        if let Some(multi) = &mut self.multi {
            multi.refuse();
        }
        pipeline.reply(self.proto, |out| out.error(error.reply()));
        Begun::Done
    }

    /// What a refused EXEC answers; there is no transaction any more.
    pub(super) async fn abort_exec(&mut self, args: &[&[u8]], error: CommandError) -> CommandError {
        let row = self.named(args);
        self.thread.stats.borrow_mut().rejected(row, &error);
        if !row.is_some_and(|row| row.flags.has(Flags::ENDS_MULTI)) {
            return error;
        }
        self.multi = None;
        self.unwatch().await;
        exec_aborted(&error)
    }
}

/// The error of an EXEC that may not run.
pub(super) fn exec_aborted(error: &CommandError) -> CommandError {
    let text = error.reply();
    CommandError::echo(
        "EXECABORT Transaction discarded because of: ",
        text.strip_prefix(b"ERR ").unwrap_or(&text),
        "",
    )
}

/// Whether a request begins as HTTP does: a browser was made to send it, and what follows is not the user's will.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

fn unknown_command(args: &[&[u8]]) -> CommandError {
    let mut echo = Vec::new();
    for arg in &args[1..] {
        if echo.len() >= UNKNOWN_ECHO_BYTES {
            break;
        }
        let shown = echoed(arg, UNKNOWN_ECHO_BYTES - echo.len());
        echo.extend_from_slice(&[b"'", shown, b"' "].concat());
    }
    let name = echoed(args[0], UNKNOWN_ECHO_BYTES);
    CommandError::Echo(
        [
            b"ERR unknown command '",
            name,
            b"', with args beginning with: ",
            &echo,
        ]
        .concat(),
    )
}

fn unknown_subcommand(row: &Command, word: &[u8]) -> CommandError {
    let after = format!("'. Try {} HELP.", row.name.to_ascii_uppercase());
    CommandError::echo(
        "ERR unknown subcommand '",
        echoed(word, UNKNOWN_ECHO_BYTES),
        &after,
    )
}
