//! A client's session: what a connection has said so far, and running its commands.
//!
//! A connection drives it so: [`Session::begin`] for every request it has read; where that
//! answers [`Begun::Wait`], first [`Session::finish`], then [`Session::run_waiting`] with the
//! same arguments; and [`Session::finish`] before it sends what the [`Pipeline`] holds. After `run_waiting`
//! the session may be blocked ([`Session::waiter`]): then nothing begins until [`Session::try_unblock`] says that the command has ended.

mod access;
mod blocking;
mod chain;
mod checks;
mod handover;
mod key_by_key;
mod libraries;
mod monitor;
mod multi;
mod pause;
mod pipeline;
mod push;
mod spread;

pub use blocking::Blocked;
pub use chain::{Chain, ChainResult, ChainRun};
pub(crate) use checks::UNKNOWN_ECHO_BYTES;
pub use handover::HandedOver;
pub use libraries::LibraryHandler;
pub(crate) use monitor::monitor;
pub use multi::{COMMANDS as TRANSACTION_COMMANDS, MultiState, QueuedCommand};
pub use pipeline::Pipeline;
pub(crate) use spread::{is_everywhere, push_restore};

use crate::acl::{Permit, Restricted};
use crate::command::{
    Command, CommandError, CommandResult, Flags, Handler, KeyPositions, Keys, Spread,
};
use crate::core::{CommandBatch, Step};
use crate::pause::Paused;
use crate::pubsub::{PushQueue, Subscriptions};
use crate::replicate::EngineDataSet;
use crate::script::SuspendedScript;
use crate::slow::SlowCommand;
use crate::socket::Socket;
use crate::thread::Thread;
use crate::tracking::{Caller, Tracking};
use crate::watch::DirtyFlag;
use damselfly_journal::Lsn;
use damselfly_replication::driver::{FlowGauge, ReplicaConnection};
use damselfly_resp::{Proto, ReplyWriter};
use damselfly_store::DbIndex;
use smallvec::SmallVec;
use std::any::Any;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A handler that runs on the connection, at once.
pub type SessionHandler = fn(&mut Session, &[&[u8]], &mut ReplyWriter<'_>) -> CommandResult;

/// What an [`AsyncHandler`] returns.
pub type AsyncResult<'a> = Pin<Box<dyn Future<Output = CommandResult> + 'a>>;

/// A handler that runs on the connection and may wait. It appends its reply (in `session.proto`) to the buffer.
pub type AsyncHandler =
    for<'a> fn(&'a mut Session, &'a [&'a [u8]], &'a mut Vec<u8>) -> AsyncResult<'a>;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// Its reply is in the pipeline, or will be when the pipeline is finished.
    Done,
    /// It has to wait for others: finish the pipeline, then [`Session::run_waiting`].
    Wait,
    /// It may not begin now: finish the pipeline, wait for [`Session::until_unpaused`], and begin it anew.
    Paused,
}

/// What a connection has said so far.
pub struct Session {
    /// The thread that it lives on.
    pub thread: Rc<Thread>,
    /// Its id, as CLIENT ID gives it.
    pub id: u64,
    /// The selected database.
    pub db: DbIndex,
    /// The protocol of its replies.
    pub proto: Proto,
    /// Name, as CLIENT SETNAME sets it.
    pub name: Vec<u8>,
    /// Between MULTI and EXEC.
    pub multi: Option<MultiState>,
    /// Keys under WATCH.
    pub watched: Vec<(DbIndex, Vec<u8>)>,
    /// Raised when one of them changes.
    pub dirty: DirtyFlag,
    /// Whether the connection should be closed after its replies are sent.
    pub close: bool,
    /// Whether it comes from the server itself (a replica's link to its primary): may write on a replica.
    pub is_internal: bool,
    /// Whether its uses of keys don't count (CLIENT NO-TOUCH).
    pub no_touch: bool,
    /// Whether EXEC is running the queued commands: nothing may block.
    pub(crate) executing: bool,
    /// Whether that holds any shard, so that a cut would wait for it.
    pub(crate) executing_on_shards: bool,
    /// Shards that it has written to, for WAIT: bit *i* of word *i / 64*.
    pub written: Vec<u64>,
    /// What a WAIT has waited for, on shards to which nothing was written since.
    pub(crate) waited_for: Vec<(usize, Lsn)>,
    /// Commands so far.
    pub commands: u64,
    /// Name of the last command.
    pub last_command: &'static str,
    /// Row of the last command.
    pub last_row: Option<&'static Command>,
    /// The peer's address and port.
    pub peer: String,
    /// The peer's address, without its port.
    pub peer_ip: String,
    /// Its user, and what that may do.
    pub(crate) permit: Permit,
    /// Commands that its connection may not run, whoever its user is.
    pub restricted: Option<Arc<Restricted>>,
    /// Whether it is the default user's without a password.
    pub(crate) is_trusted: bool,
    /// Says who it is, as CLIENT LIST does.
    pub describe: fn(&Session) -> Vec<u8>,
    /// The command that waits for others.
    blocked: Option<Blocked>,
    /// The script that has begun and goes on in [`Session::run_waiting`].
    pub(crate) suspended: Option<Box<SuspendedScript>>,
    /// Which pauses hold the command that has met one.
    waits_with: Paused,
    /// What waits to be pushed to the client, if it has ever asked for anything that is pushed.
    pub pushes: Option<Rc<PushQueue>>,
    /// What it subscribes to.
    pub subscriptions: Subscriptions,
    /// Which keys it is told of.
    pub tracking: Tracking,
    /// Whether it sees the commands of all others.
    monitors: bool,
    /// For whom it works, if not for itself: a script's session on another thread.
    pub(crate) acts_for: Option<Caller>,
    /// Kills the connection.
    pub kill: CancellationToken,
    /// What its transaction has published, to be recorded when it has ended.
    published: Vec<(DbIndex, Vec<Vec<u8>>)>,
    /// What a replica at the other end has said of itself.
    pub replica: Option<ReplicaConnection<EngineDataSet>>,
    /// Set by a command that takes the socket over (DFLY FLOW); the connection hands it over after the reply is sent.
    pub upgrade: Option<Upgrade>,
    /// What the flow shows that the socket becomes then, if it becomes one.
    pub flow: Option<FlowGauge>,
    /// What the embedder knows of the connection.
    pub host: Rc<dyn Any>,
}

/// Takes a connection's socket, the bytes read from it that no command has used, and the token that kills the connection;
/// runs until the socket is done with.
pub type Upgrade = Box<
    dyn FnOnce(Box<dyn Socket>, Vec<u8>, CancellationToken) -> Pin<Box<dyn Future<Output = ()>>>,
>;

impl Session {
    /// A session on this thread.
    pub fn new(thread: Rc<Thread>, host: Rc<dyn Any>) -> Session {
        let id = thread.engine.next_client_id();
        Session::with_id(thread, host, id)
    }

    /// A session that stands for the connection of this id.
    pub(crate) fn with_id(thread: Rc<Thread>, host: Rc<dyn Any>, id: u64) -> Session {
        let words = thread.engine.mesh.shards().div_ceil(64);
        let permit = Permit::new(&thread.engine.acl);
        Session {
            thread,
            id,
            db: DbIndex(0),
            proto: Proto::Resp2,
            name: Vec::new(),
            multi: None,
            watched: Vec::new(),
            dirty: DirtyFlag::default(),
            close: false,
            is_internal: false,
            no_touch: false,
            executing: false,
            executing_on_shards: false,
            written: vec![0; words],
            waited_for: Vec::new(),
            commands: 0,
            last_command: "NULL",
            last_row: None,
            peer: String::new(),
            peer_ip: String::new(),
            permit,
            restricted: None,
            is_trusted: false,
            describe: |session| format!("id={}", session.id).into_bytes(),
            blocked: None,
            suspended: None,
            waits_with: Paused::All,
            pushes: None,
            subscriptions: Subscriptions::default(),
            tracking: Tracking::default(),
            monitors: false,
            acts_for: None,
            kill: CancellationToken::new(),
            published: Vec::new(),
            replica: None,
            upgrade: None,
            flow: None,
            host,
        }
    }

    /// Looks at the clock: to be called when new input has come.
    pub fn tick(&self) {
        self.thread.tick();
    }

    /// Fetches what requests will read, all at once. Changes nothing.
    pub fn warm<'a>(&self, requests: impl Iterator<Item = &'a [&'a [u8]]>) {
        let thread = &self.thread;
        if !thread.owns_any() {
            return;
        }
        let mesh = &thread.engine.mesh;
        let behind = self.key_behind();
        let keys: SmallVec<[&[u8]; 32]> = requests
            .filter_map(|args| args.get(if args.len() > 3 { behind } else { 1 }).copied())
            .filter(|key| thread.owns(mesh.shard_of(key)))
            .collect();
        thread.with_core_now(|core| core.warm(self.db, &keys));
    }

    /// Where a request with several arguments has a key, most likely: it is the first, unless the last command was a script's.
    fn key_behind(&self) -> usize {
        match self.last_row.map(|row| row.keys) {
            Some(Keys::Counted { first, .. }) => first.into(),
            _ => 1,
        }
    }

    /// Runs a request if it can be run without waiting, or puts it into a batch for its shard.
    pub fn begin(&mut self, args: &[&[u8]], pipeline: &mut Pipeline) -> Begun {
        self.commands += 1;
        let row = match self.admit(args) {
            Ok(row) => row,
            Err(error) => {
                return self.refuse(args, &error, pipeline);
            }
        };
        if self.meets_pause(row, args) {
            return Begun::Paused;
        }
        if self.tracking.caching {
            self.begin_tracked(row.flags.has(Flags::OF_CLIENT));
        }
        if self.queues(row) {
            return self.enqueue(row, args, pipeline);
        }
        match row.handler {
            Handler::Session(handler) => self.begin_session(row, handler, args, pipeline),
            _ if row.blocks.is_some() => Begun::Wait,
            Handler::Async(_) | Handler::Global(_) | Handler::Library(_) | Handler::Publish(_) => {
                Begun::Wait
            }
            Handler::Script(kind) => self.begin_script(row, kind, args, pipeline),
            Handler::Read(_) | Handler::Write(_) | Handler::Rewrite(_) => {
                let begun = self.begin_data(row, args, pipeline);
                if begun == Begun::Done {
                    self.show(row, args);
                }
                begun
            }
        }
    }

    fn begin_session(
        &mut self,
        row: &'static Command,
        handler: SessionHandler,
        args: &[&[u8]],
        pipeline: &mut Pipeline,
    ) -> Begun {
        let (proto, thread) = (self.proto, self.thread.clone());
        let timer = thread.stats.borrow_mut().begin(row);
        let timer = timer.or_else(|| thread.slow.borrow().begin(row, args));
        pipeline.reply(proto, |out| {
            if let Err(error) = handler(self, args, out) {
                thread.stats.borrow_mut().failed(row, &error);
                out.error(error.reply());
            }
        });
        self.show(row, args);
        if let Some(begun) = timer {
            let took = begun.elapsed();
            thread.stats.borrow_mut().took(row, took);
            self.note_if_slow(row, args, took);
        }
        Begun::Done
    }

    #[inline]
    fn begin_data(
        &mut self,
        row: &'static Command,
        args: &[&[u8]],
        pipeline: &mut Pipeline,
    ) -> Begun {
        if matches!(row.spread, Spread::All(_)) && self.thread.engine.mesh.shards() > 1 {
            return Begun::Wait;
        }
        if matches!(row.spread, Spread::Follow(_))
            && let Err(error) = self.check_other_keys(row, args)
        {
            return self.fail(row, &error, pipeline);
        }
        if row.looks_further(args) {
            return Begun::Wait;
        }
        let keys = match row.keys.positions(args) {
            Ok(keys) => keys,
            Err(error) => return self.fail(row, &error, pipeline),
        };
        match self.only_shard(args, &keys) {
            Some(shard) => self.begin_on_shard(shard, row, args, keys, pipeline),
            None => return Begun::Wait,
        }
        Begun::Done
    }

    /// Answers a command that fails before it reaches a shard.
    fn fail(&self, row: &'static Command, error: &CommandError, pipeline: &mut Pipeline) -> Begun {
        self.thread.stats.borrow_mut().rejected(Some(row), error);
        pipeline.reply(self.proto, |out| out.error(error.reply()));
        Begun::Done
    }

    fn begin_on_shard(
        &mut self,
        shard: usize,
        row: &'static Command,
        args: &[&[u8]],
        keys: KeyPositions,
        pipeline: &mut Pipeline,
    ) {
        if row.is_write() {
            self.note_written(shard);
        }
        if self.thread.owns(shard) && !pipeline.has_batch(shard) {
            let (thread, db, caller) = (&self.thread, self.db, self.caller(row.is_read()));
            let step = pipeline.reply(self.proto, |out| {
                thread.with_core_now(|core| {
                    let step =
                        core.as_caller(caller, |core| core.try_command(row, db, args, &keys, out));
                    if core.slow.has_found() {
                        self.note_slow(core.slow.take());
                    }
                    step
                })
            });
            if step == Step::Done {
                return;
            }
            pipeline.take_back();
        }
        pipeline.defer(shard, self.proto, |batch: &mut CommandBatch| {
            batch.push(row, self.db, args, keys, self.caller(row.is_read()))
        });
    }

    /// The only shard of these keys; `None` if there are several. Without keys it is the first.
    pub(crate) fn only_shard(&self, args: &[&[u8]], keys: &KeyPositions) -> Option<usize> {
        let mesh = &self.thread.engine.mesh;
        let mut shards = keys.iter().map(|at| mesh.shard_of(args[*at as usize]));
        let first = shards.next().unwrap_or(0);
        shards.all(|shard| shard == first).then_some(first)
    }

    /// Sends the batches that are still here and waits for all replies.
    pub async fn finish(&mut self, pipeline: &mut Pipeline) {
        let before = pipeline.out.len();
        self.finish_replies(pipeline).await;
        self.insert_pushes(&mut pipeline.out, before);
    }

    /// [`Session::finish`], with nothing of what has been pushed meanwhile.
    pub async fn finish_replies(&mut self, pipeline: &mut Pipeline) {
        let slow = pipeline.finish(&self.thread).await;
        self.note_slow(slow);
        self.thread.clean_up();
    }

    /// Runs a request for which [`Session::begin`] answered [`Begun::Wait`]. The pipeline has been finished.
    /// There is no reply yet if the session is blocked afterwards ([`Session::waiter`]): see [`Session::unblocked`].
    pub async fn run_waiting(&mut self, args: &[&[u8]], out: &mut Vec<u8>) {
        if let Some(script) = self.suspended.take() {
            return self.go_on_with_script(*script, args, out).await;
        }
        let result = match self.admit_waiting(args) {
            Ok(row) => self.run_counted(row, args, out).await,
            Err(error) => Err(self.abort_exec(args, error).await),
        };
        if let Err(error) = result {
            ReplyWriter::new(out, self.proto).error(error.reply());
        }
    }

    /// [`Session::run_row`], with its statistics. (The time has the waiting in it.)
    async fn run_counted(
        &mut self,
        row: &'static Command,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> CommandResult {
        let thread = self.thread.clone();
        thread.stats.borrow_mut().count(row);
        let begun = std::time::Instant::now();
        let result = self.run_shown(row, args, out).await;
        let mut stats = thread.stats.borrow_mut();
        let took = begun.elapsed();
        stats.took(row, took);
        if let Err(error) = &result {
            stats.failed(row, error);
        }
        drop(stats);
        // Waiting for keys takes as long as it is meant to.
        if self.blocked.is_none() {
            self.note_if_slow(row, args, took);
        }
        result
    }

    /// Notes a command that ran here, if it took long.
    pub(crate) fn note_if_slow(&self, row: &Command, args: &[&[u8]], took: std::time::Duration) {
        let mut slow = self.thread.slow.borrow_mut();
        slow.note(row, args, took);
        if slow.has_found() {
            let found = slow.take();
            self.note_slow(found);
        }
    }

    /// Notes commands of this client that took long.
    pub(crate) fn note_slow(&self, commands: Vec<SlowCommand>) {
        let log = &self.thread.engine.slow;
        if self.is_internal {
            return log.add_records(commands);
        }
        for command in commands {
            log.add(command, crate::thread::unix_ms(), &self.peer, &self.name);
        }
    }

    /// [`Session::run_row`], shown to those who look on: a script before its commands.
    async fn run_shown(
        &mut self,
        row: &'static Command,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> CommandResult {
        if row.is_script() {
            self.show(row, args);
            return self.run_row(row, args, out).await;
        }
        let result = self.run_row(row, args, out).await;
        self.show(row, args);
        result
    }

    /// Runs one admitted command to its end, whatever its kind, outside of any transaction.
    async fn run_row(
        &mut self,
        row: &'static Command,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> CommandResult {
        match row.handler {
            Handler::Async(handler) => handler(self, args, out).await,
            Handler::Script(kind) => {
                let call = kind.read(self, args)?;
                self.run_script(&call, None, out).await
            }
            Handler::Session(handler) => {
                handler(self, args, &mut ReplyWriter::new(out, self.proto))
            }
            Handler::Publish(space) => {
                self.publish(space, args, out);
                self.record_published().await;
                Ok(())
            }
            _ if row.blocks.is_some() => self.run_blocking(row, args, out).await,
            _ => self.run_spread(row, args, out).await,
        }
    }

    /// The connection ends: nothing of it stays behind in the shards.
    pub async fn end(&mut self) {
        self.multi = None;
        self.stop_waiting();
        self.unsubscribe_all();
        self.untrack();
        self.stop_monitoring();
        self.thread.push_queues.borrow_mut().remove(&self.id);
        self.unwatch().await;
    }

    /// Remembers that this connection wrote to the shard.
    pub(crate) fn note_written(&mut self, shard: usize) {
        self.written[shard / 64] |= 1 << (shard % 64);
        self.waited_for.retain(|(waited, _)| *waited != shard);
    }

    /// Whether this connection wrote to the shard.
    pub fn has_written(&self, shard: usize) -> bool {
        self.written[shard / 64] & (1 << (shard % 64)) != 0
    }
}

/// `ERR wrong number of arguments`, with the name that Redis prints.
pub fn arity_error(name: &str) -> CommandError {
    CommandError::Arity(name.to_owned())
}
