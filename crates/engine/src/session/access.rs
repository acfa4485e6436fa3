//! Whether the session's user may do what it asks for.

use super::Session;
use crate::acl::{DEFAULT_NAME, Denied, LogContext, LogEntry, Restricted, User};
use crate::command::{Command, CommandError, CommandResult};
use crate::thread::unix_ms;
use std::sync::Arc;

/// The answer to whoever has to authenticate first.
const NO_AUTH: CommandError = CommandError::text("NOAUTH Authentication required.");
/// The answer to wrong names and passwords.
const WRONG_PASS: CommandError =
    CommandError::text("WRONGPASS invalid username-password pair or user is disabled.");
/// The answer to whoever came through another door than the administrators'.
const RESTRICTED: CommandError =
    CommandError::text("ERR Cannot execute restricted command (admin only)");
/// The answer to nobody: the connection is closed.
const GONE: CommandError = CommandError::text("NOAUTH the user of this connection was deleted");

impl Session {
    /// The session's user. As it was at its last command; see [`Session::check_line`] for asking what it may do.
    pub fn user(&self) -> &Arc<User> {
        self.permit.user()
    }

    /// The user that its scripts run as; `None`: everything is allowed. [`User::check`] with the engine's catalog says whether
    /// a command line is, from any thread.
    pub fn limits(&mut self) -> Option<Arc<User>> {
        let acl = &self.thread.engine.acl;
        if self.is_internal || (self.permit.is_free(acl) && self.restricted.is_none()) {
            return None;
        }
        let is_there = self.permit.refresh(acl);
        if let Some(restricted) = &self.restricted {
            return Some(Arc::new(
                restricted.limit(self.permit.user(), acl.catalog()),
            ));
        }
        (!is_there || !self.permit.user().is_free()).then(|| self.permit.user().clone())
    }

    /// Whether the connection may run the command (Dragonfly, `--restricted_commands`).
    #[cold]
    pub(super) fn check_restricted(&self, row: &'static Command) -> CommandResult {
        let catalog = self.thread.engine.acl.catalog();
        let is_restricted = |restricted: &Arc<Restricted>| restricted.has(catalog, row);
        match self.restricted.as_ref().is_some_and(is_restricted) && !self.is_internal {
            true => Err(RESTRICTED),
            false => Ok(()),
        }
    }

    /// Makes it the default user's, whatever password that has; after RESET, too.
    pub fn trust(&mut self) {
        self.is_trusted = true;
        self.forget_user();
    }

    /// Whether nobody has to authenticate, or this session has.
    #[inline]
    pub(super) fn check_authenticated(&mut self, row: &Command) -> CommandResult {
        if self.permit.is_free(&self.thread.engine.acl) {
            return Ok(());
        }
        self.check_permit(row)
    }

    #[cold]
    fn check_permit(&mut self, row: &Command) -> CommandResult {
        if self.is_internal {
            return Ok(());
        }
        let acl = &self.thread.engine.acl;
        if !self.permit.refresh(acl) {
            self.close = true;
            return Err(GONE);
        }
        if !row.needs_no_auth() && self.permit.needs_auth(acl) {
            return Err(NO_AUTH);
        }
        Ok(())
    }

    /// Whether the user may run the command line. A denial is noted in ACL LOG.
    #[inline]
    pub(super) fn check_access(&mut self, row: &'static Command, args: &[&[u8]]) -> CommandResult {
        if self.permit.is_free(&self.thread.engine.acl) {
            return Ok(());
        }
        self.check_rules(row, args)
    }

    #[cold]
    fn check_rules(&self, row: &'static Command, args: &[&[u8]]) -> CommandResult {
        let context = self.log_context();
        self.check_line(row, args).map_err(|denied| {
            self.note_denial(denied, row, args, context);
            self.denial(denied.0, row)
        })
    }

    /// Whether the user, as it was at the session's last command, may run a command line; else why not, and which argument is
    /// to blame. Nothing is noted.
    ///
    /// # Errors
    /// It may not.
    pub fn check_line(&self, row: &'static Command, args: &[&[u8]]) -> Result<(), (Denied, usize)> {
        if self.is_internal {
            return Ok(());
        }
        self.user()
            .check(self.thread.engine.acl.catalog(), row, args)
    }

    /// Notes in ACL LOG what was denied.
    pub fn note_denial(
        &self,
        (denied, at): (Denied, usize),
        row: &'static Command,
        args: &[&[u8]],
        context: LogContext,
    ) {
        let catalog = self.thread.engine.acl.catalog();
        let object = match denied {
            Denied::Command => catalog.get(catalog.of_row(row)).name.as_bytes(),
            _ => args.get(at).copied().unwrap_or_default(),
        };
        self.log_denial(denied, object, &self.user().name, context);
    }

    fn log_context(&self) -> LogContext {
        match self.multi.is_some() || self.executing {
            true => LogContext::Multi,
            false => LogContext::TopLevel,
        }
    }

    fn log_denial(&self, denied: Denied, object: &[u8], user: &[u8], context: LogContext) {
        self.thread.engine.acl.log(LogEntry {
            count: 1,
            denied,
            context,
            object: object.to_vec(),
            user: user.to_vec(),
            at: unix_ms(),
            client: (self.describe)(self),
        });
    }

    /// The answer to what was denied.
    pub fn denial(&self, denied: Denied, row: &'static Command) -> CommandError {
        let catalog = self.thread.engine.acl.catalog();
        match denied {
            Denied::Command | Denied::Auth => CommandError::owned(format!(
                "NOPERM this user has no permissions to run the '{}' command",
                catalog.get(catalog.of_row(row)).name
            )),
            Denied::Key => CommandError::text(
                "NOPERM this user has no permissions to access one of the keys used as arguments",
            ),
            Denied::Channel => CommandError::text(
                "NOPERM this user has no permissions to access one of the channels used as arguments",
            ),
        }
    }

    /// Whether a command line asks for other keys than it names, of a user who may not read all.
    pub(super) fn check_other_keys(&self, row: &'static Command, args: &[&[u8]]) -> CommandResult {
        let acl = &self.thread.engine.acl;
        if self.permit.is_free(acl) || self.is_internal {
            return Ok(());
        }
        match row.refuses(args) {
            Some(error) if !self.user().reads_every_key(acl.catalog(), row, args) => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the user may not run a queued command any more.
    pub(super) fn is_denied(&self, row: &'static Command, args: &[&[u8]]) -> bool {
        !self.permit.is_free(&self.thread.engine.acl)
            && (self.check_other_keys(row, args).is_err() || self.check_line(row, args).is_err())
    }

    /// What EXEC answers for a queued command that the user may not run any more.
    pub(super) fn check_queued(&self, row: &'static Command, args: &[&[u8]]) -> CommandResult {
        if self.permit.is_free(&self.thread.engine.acl) {
            return Ok(());
        }
        self.check_other_keys(row, args)?;
        let Err(denied) = self.check_line(row, args) else {
            return Ok(());
        };
        self.note_denial(denied, row, args, LogContext::Multi);
        let reason = match denied.0 {
            Denied::Command => "no permission to execute the command or subcommand",
            Denied::Key => "no permission to touch the specified keys",
            Denied::Channel => {
                "no permission to access one of the channels used as arguments to the command"
            }
            Denied::Auth => "no permission",
        };
        Err(CommandError::owned(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. \
             This command is no longer allowed for the following reason: {reason}"
        )))
    }

    /// Becomes this user's, if the password is right. `command` is what asks for it, for ACL LOG.
    ///
    /// # Errors
    /// WRONGPASS.
    pub fn authenticate(&mut self, command: &[u8], name: &[u8], password: &[u8]) -> CommandResult {
        match self
            .thread
            .engine
            .acl
            .user(name)
            .filter(|user| user.accepts(password))
        {
            Some(user) => {
                self.permit.authenticate(user);
                Ok(())
            }
            None => {
                self.log_denial(Denied::Auth, command, name, self.log_context());
                Err(WRONG_PASS)
            }
        }
    }

    /// Whether this connection and its user may run a command line, asked without running it. A denial is noted in ACL LOG.
    ///
    /// # Errors
    /// What the command would answer.
    pub fn check_permission(&mut self, args: &[&[u8]]) -> CommandResult {
        let row = self.find(args)?;
        self.check_authenticated(row)?;
        self.check_restricted(row)?;
        self.check_access(row, args)
    }

    /// Whether it has to authenticate before most commands.
    pub fn needs_auth(&self) -> bool {
        !self.is_internal && self.permit.needs_auth(&self.thread.engine.acl)
    }

    /// Becomes the default user's again.
    pub fn forget_user(&mut self) {
        let acl = &self.thread.engine.acl;
        self.permit = crate::acl::Permit::new(acl);
        if let Some(user) = acl.user(DEFAULT_NAME).filter(|_| self.is_trusted) {
            self.permit.authenticate(user);
        }
    }
}
