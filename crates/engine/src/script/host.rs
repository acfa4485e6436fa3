//! What a running script's commands may do, and those of them that run in place.

use super::{Running, ScriptCall};
use crate::acl::{Denied, LogContext, LogEntry, User};
use crate::command::{Command, CommandError, Flags, KeyPositions};
use crate::context::Effects;
use crate::core::{ScriptPart, Step, key_hash};
use crate::session::is_everywhere;
use crate::thread::Thread;
use crate::tracking::Caller;
use damselfly_lua::{Called, Host, Tick, Words};
use damselfly_resp::{ArgVec, Proto, ReplyWriter};
use damselfly_store::DbIndex;
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Time after which a script gives others their turn.
const TURN: Duration = Duration::from_millis(5);
const DENIED_COMMAND: &str =
    "ERR The user executing the script can't run this command or subcommand";
const DENIED_KEY: &str = "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments";
const DENIED_CHANNEL: &str =
    "ERR The user executing the script can't publish to the channel mentioned in the command";
const KILLED: &str = "ERR Script killed by user with SCRIPT KILL...";
const UNDECLARED: CommandError = CommandError::text("ERR script tried accessing undeclared key");

/// Where a script's commands run.
pub(crate) enum Place {
    /// On this thread's shard, at once; these are the effects so far.
    Here(Effects),
    /// In a transaction of the coordinator's.
    Transaction,
    /// It has no keys: commands without keys run anywhere.
    Nowhere,
}

/// A script that runs, as its interpreter sees it.
pub(crate) struct ScriptHost {
    pub(crate) thread: Rc<Thread>,
    pub(crate) db: Cell<DbIndex>,
    pub(crate) place: RefCell<Place>,
    pub(crate) running: Arc<Running>,
    /// The keys that it may use, by their hashes; `None` is any.
    pub(crate) declared: Option<SmallVec<[u64; 8]>>,
    /// Whose rules its commands are under; `None`: nobody's.
    pub(crate) user: Option<Arc<User>>,
    pub(crate) read_only: bool,
    pub(crate) allow_oom: bool,
    pub(crate) is_internal: bool,
    pub(crate) caller: Caller,
    /// The client, as ACL LOG shows it.
    pub(crate) client: Vec<u8>,
    /// When it got its turn.
    pub(crate) since: Cell<Instant>,
}

impl ScriptHost {
    /// Notes what was called, for FUNCTION STATS.
    pub(super) fn note_call(&self, call: &ScriptCall<'_>) {
        if self.running.function.is_some() {
            let _ = self.running.command.set(call.command());
        }
    }

    /// The script has ended. What it did in place is journalled.
    pub(super) fn end(&self) {
        if let Place::Here(effects) = self.place.replace(Place::Nowhere) {
            self.thread.with_core_now(|core| core.end_script(effects));
        }
    }

    /// The row of a command that the script may run.
    pub(crate) fn admit(
        &self,
        args: &[&[u8]],
    ) -> Result<(&'static Command, KeyPositions), CommandError> {
        let table = &self.thread.engine.table;
        let row = table.find(args[0]).and_then(|row| subcommand(row, args));
        let row =
            row.ok_or_else(|| CommandError::text("ERR Unknown Redis command called from script"))?;
        if !row.accepts(args.len()) {
            return Err(CommandError::text(
                "ERR Wrong number of args calling Redis command from script",
            ));
        }
        if row.flags.has(Flags::NO_SCRIPT) {
            return Err(CommandError::text(
                "ERR This Redis command is not allowed from script",
            ));
        }
        self.check_user(row, args)?;
        if self.read_only && row.may_replicate() {
            return Err(CommandError::text(
                "ERR Write commands are not allowed from read-only scripts.",
            ));
        }
        if row.is_write() {
            self.admit_write()?;
        }
        if let Some(check) = row.in_scripts {
            check(args)?;
        }
        let keys = row.keys.positions(args)?;
        self.check_declared(row, args, &keys)?;
        if row.is_write() {
            self.running.wrote.store(true, Ordering::Relaxed);
        }
        Ok((row, keys))
    }

    /// Whether the user may run the command. A denial is noted in ACL LOG.
    fn check_user(&self, row: &'static Command, args: &[&[u8]]) -> Result<(), CommandError> {
        let Some(user) = &self.user else {
            return Ok(());
        };
        let acl = &self.thread.engine.acl;
        let Err((denied, at)) = user.check(acl.catalog(), row, args) else {
            return Ok(());
        };
        let name = &acl.catalog().get(acl.catalog().of_row(row)).name;
        let object = match denied {
            Denied::Command => name.as_bytes(),
            _ => args.get(at).copied().unwrap_or_default(),
        };
        acl.log(LogEntry {
            count: 1,
            denied,
            context: LogContext::Lua,
            object: object.to_vec(),
            user: user.name.clone(),
            at: crate::thread::unix_ms(),
            client: self.client.clone(),
        });
        Err(CommandError::text(match denied {
            Denied::Key => DENIED_KEY,
            Denied::Channel => DENIED_CHANNEL,
            _ => DENIED_COMMAND,
        }))
    }

    fn admit_write(&self) -> Result<(), CommandError> {
        if self.is_internal {
            return Ok(());
        }
        self.thread.engine.check_writable()
    }

    fn check_declared(
        &self,
        row: &'static Command,
        args: &[&[u8]],
        keys: &KeyPositions,
    ) -> Result<(), CommandError> {
        let Some(declared) = &self.declared else {
            return Ok(());
        };
        let shards = self.thread.engine.mesh.shards();
        let all = keys
            .iter()
            .all(|at| declared.contains(&key_hash(args[*at as usize])));
        if !all || (shards > 1 && (is_everywhere(row) || row.looks_further(args))) {
            return Err(UNDECLARED);
        }
        Ok(())
    }

    /// Shows a command that has run to those who look on.
    #[inline]
    pub(crate) fn show(&self, row: &'static Command, args: &[&[u8]]) {
        if self.thread.engine.monitors.any() {
            crate::monitor::show(&self.thread, self.db.get(), "lua", 0, row, args);
        }
    }

    /// Runs a command in place, if it can run there.
    fn run_here(
        &self,
        row: &'static Command,
        args: &[&[u8]],
        keys: &KeyPositions,
        out: &mut ReplyWriter<'_>,
    ) -> Step {
        let mut place = self.place.borrow_mut();
        let Place::Here(effects) = &mut *place else {
            return Step::Parked;
        };
        let part = ScriptPart {
            row,
            db: self.db.get(),
            args,
            keys,
            allow_oom: self.allow_oom,
            is_internal: self.is_internal,
        };
        self.thread.with_core_now(|core| {
            core.as_caller(self.caller, |core| core.run_in_script(&part, effects, out))
        })
    }
}

impl Host for ScriptHost {
    fn call(&self, args: &[&[u8]], proto: Proto, reply: &mut Vec<u8>) -> Called {
        let mut out = ReplyWriter::new(reply, proto);
        match self.admit(args) {
            Err(error) => {
                error.write(&mut out);
                Called::Replied
            }
            Ok((row, keys)) if row.is_data() => match self.run_here(row, args, &keys, &mut out) {
                Step::Done => {
                    self.show(row, args);
                    Called::Replied
                }
                Step::Parked => Called::Later,
            },
            Ok(_) => Called::Later,
        }
    }

    fn tick(&self) -> Tick {
        if self.running.kill.load(Ordering::Relaxed) {
            return Tick::Kill(KILLED);
        }
        if self.since.get().elapsed() >= TURN {
            Tick::Pause
        } else {
            Tick::Go
        }
    }

    fn may_run(&self, words: &Words) -> Option<bool> {
        let args: ArgVec<'_> = words.iter().collect();
        let row = self.thread.engine.table.find(args[0])?;
        let row = subcommand(row, &args)?;
        let catalog = self.thread.engine.acl.catalog();
        let may = |user: &Arc<User>| user.check(catalog, row, &args).is_ok();
        Some(self.user.as_ref().is_none_or(may))
    }
}

/// The row that a command line means, subcommands included.
fn subcommand(row: &'static Command, args: &[&[u8]]) -> Option<&'static Command> {
    if row.subcommands.is_empty() {
        return Some(row);
    }
    let Some(word) = args.get(1) else {
        return Some(row);
    };
    let loose = row.flags.has(Flags::LOOSE_SUBCOMMANDS).then_some(row);
    row.subcommand(word).or(loose)
}
