//! MULTI, EXEC, DISCARD, WATCH.

use super::checks::exec_aborted;
use super::spread::is_everywhere;
use super::{AsyncResult, Begun, Pipeline, Session};
use crate::command::{
    Command, CommandError, CommandResult, Flags, Group, Handler, KeyPositions, Keys,
};
use crate::coordinator::{Scope, ShardPlan, Transaction};
use crate::core::{CommandBatch, KeyLock, LockMode, key_hash};
use crate::watch::DirtyFlag;
use damselfly_resp::ReplyWriter;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Commands that one transaction may queue.
const MAX_QUEUED: usize = 1 << 20;
/// Bytes of arguments that one transaction may queue.
const MAX_QUEUED_BYTES: usize = 1 << 30;

/// A transaction that is being queued.
#[derive(Default)]
pub struct MultiState {
    queue: Vec<QueuedCommand>,
    bytes: usize,
    /// A command was refused: EXEC will answer EXECABORT.
    refused: bool,
    /// A command waits while writes are paused.
    writes: bool,
}

impl MultiState {
    /// Number of commands queued.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether something queued waits while writes are paused.
    pub(super) fn writes(&self) -> bool {
        self.writes
    }

    /// A command was refused: the transaction is lost.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }
}

/// One queued command.
pub struct QueuedCommand {
    row: &'static Command,
    args: Vec<Vec<u8>>,
}

impl QueuedCommand {
    fn args(&self) -> Vec<&[u8]> {
        self.args.iter().map(Vec::as_slice).collect()
    }
}

impl Session {
    /// Whether the command is put into the transaction's queue.
    pub(super) fn queues(&self, row: &Command) -> bool {
        self.multi.is_some() && !row.flags.has(Flags::UNQUEUED)
    }

    pub(super) fn enqueue(
        &mut self,
        row: &'static Command,
        args: &[&[u8]],
        pipeline: &mut Pipeline,
    ) -> Begun {
        let writes = self.waits_with_writes(row, args);
        let multi = self
            .multi
            .as_mut()
            .expect("queued only between MULTI and EXEC");
        multi.writes |= writes;
        multi.bytes += args.iter().map(|arg| arg.len()).sum::<usize>();
        if multi.queue.len() >= MAX_QUEUED || multi.bytes > MAX_QUEUED_BYTES {
            multi.refused = true;
            pipeline.reply(self.proto, |out| {
                out.error("ERR the transaction is too large")
            });
            return Begun::Done;
        }
        multi.queue.push(QueuedCommand {
            row,
            args: args.iter().map(|arg| arg.to_vec()).collect(),
        });
        pipeline.reply(self.proto, |out| out.simple("QUEUED"));
        Begun::Done
    }

    /// Forgets all watched keys, everywhere.
    pub async fn unwatch(&mut self) {
        let dirty = std::mem::take(&mut self.dirty);
        for (db, key) in std::mem::take(&mut self.watched) {
            let shard = self.thread.engine.mesh.shard_of(&key);
            let dirty = dirty.clone();
            self.thread
                .on_shard(shard, move |core| core.space.watch.remove(db, &key, &dirty))
                .await;
        }
    }

    async fn watch(&mut self, keys: &[&[u8]]) {
        for key in keys {
            let id = (self.db, key.to_vec());
            if self.watched.contains(&id) {
                continue;
            }
            let (db, key) = id.clone();
            let dirty: DirtyFlag = self.dirty.clone();
            let shard = self.thread.engine.mesh.shard_of(&key);
            self.thread
                .on_shard(shard, move |core| core.space.watch.add(db, &key, dirty))
                .await;
            self.watched.push(id);
        }
    }

    async fn exec(&mut self, out: &mut Vec<u8>) -> CommandResult {
        let Some(multi) = self.multi.take() else {
            return Err(CommandError::text("ERR EXEC without MULTI"));
        };
        if multi.refused {
            self.unwatch().await;
            return Err(CommandError::text(
                "EXECABORT Transaction discarded because of previous errors.",
            ));
        }
        let result = match self.check_queue(&multi.queue) {
            Ok(()) => self.exec_queue(&multi.queue, out).await,
            Err(error) => Err(error),
        };
        self.unwatch().await;
        result.map_err(|error| exec_aborted(&error))
    }

    /// What would have been refused now, had it not been queued before.
    fn check_queue(&self, queue: &[QueuedCommand]) -> CommandResult {
        queue
            .iter()
            .try_for_each(|queued| self.check_state(queued.row))
    }

    async fn exec_queue(&mut self, queue: &[QueuedCommand], out: &mut Vec<u8>) -> CommandResult {
        let (plans, is_global) = self.exec_plan(queue)?;
        let global = queue
            .iter()
            .any(|queued| is_everywhere(queued.row) || queued.row.looks_further(&queued.args()))
            || is_global;
        for plan in plans.iter().filter(|plan| plan.writes) {
            self.note_written(plan.shard);
        }
        let transaction = Transaction::begin(
            &self.thread,
            plans,
            Scope {
                global,
                replays: self.is_internal,
            },
        )
        .await?;
        self.executing = true;
        self.executing_on_shards = !transaction.shards().is_empty();
        let result = self.exec_in(&transaction, queue, out).await;
        self.executing = false;
        // Behind what the transaction has done to shard 0.
        drop(transaction);
        self.record_published().await;
        result
    }

    /// The shards and locks of all queued commands, and of the watched keys; and whether a script is on all keys.
    fn exec_plan(&self, queue: &[QueuedCommand]) -> Result<(Vec<ShardPlan>, bool), CommandError> {
        let (mut plans, mut is_global) = (BTreeMap::new(), false);
        for queued in queue.iter().filter(|queued| queued.row.is_script()) {
            is_global |= self.add_script_to_plan(queued.row, &queued.args(), &mut plans);
        }
        for queued in queue.iter().filter(|queued| queued.row.is_data()) {
            // A command whose keys can't be read fails when it runs; it needs no locks.
            let _ = self.add_to_plan(queued.row, &queued.args(), &mut plans);
        }
        for (_, key) in &self.watched {
            let shard = self.thread.engine.mesh.shard_of(key);
            let plan = plans.entry(shard).or_insert_with(|| ShardPlan {
                shard,
                ..ShardPlan::default()
            });
            plan.locks.push(KeyLock {
                key: key_hash(key),
                mode: LockMode::Shared,
            });
        }
        Ok((plans.into_values().collect(), is_global))
    }

    async fn exec_in(
        &mut self,
        transaction: &Transaction,
        queue: &[QueuedCommand],
        out: &mut Vec<u8>,
    ) -> CommandResult {
        if self.dirty.load(Ordering::Acquire) {
            ReplyWriter::new(out, self.proto).null_array();
            return Ok(());
        }
        ReplyWriter::new(out, self.proto).array(queue.len());
        queue
            .iter()
            .for_each(|queued| self.thread.stats.borrow_mut().count(queued.row));
        let mut at = 0;
        while at < queue.len() {
            let run = self.local_run(&queue[at..]);
            if run.is_empty() {
                self.exec_one(transaction, &queue[at], out).await;
                at += 1;
            } else {
                let end = at + run.len();
                self.exec_run(transaction, &queue[at..end], run, out).await;
                at = end;
            }
        }
        Ok(())
    }

    /// The shards of the commands up to the first that needs more than one shard.
    fn local_run(&self, queue: &[QueuedCommand]) -> Vec<(usize, KeyPositions)> {
        queue
            .iter()
            .map_while(|queued| self.placement(queued))
            .collect()
    }

    /// The only shard of a command, and its keys.
    fn placement(&self, queued: &QueuedCommand) -> Option<(usize, KeyPositions)> {
        if !queued.row.is_data() || is_everywhere(queued.row) {
            return None;
        }
        let args = queued.args();
        if queued.row.looks_further(&args) || self.is_denied(queued.row, &args) {
            return None;
        }
        let keys = queued.row.keys.positions(&args).ok()?;
        self.only_shard(&args, &keys).map(|shard| (shard, keys))
    }

    /// Runs consecutive commands that need one shard each: one visit to every shard, all at once.
    async fn exec_run(
        &self,
        transaction: &Transaction,
        queue: &[QueuedCommand],
        run: Vec<(usize, KeyPositions)>,
        out: &mut Vec<u8>,
    ) {
        let mut batches: BTreeMap<usize, CommandBatch> = BTreeMap::new();
        let mut places = Vec::with_capacity(queue.len());
        for (queued, (shard, keys)) in queue.iter().zip(run) {
            let batch = batches
                .entry(shard)
                .or_insert_with(|| CommandBatch::new(self.proto));
            let at = batch.push(
                queued.row,
                self.db,
                &queued.args(),
                keys,
                self.caller(queued.row.is_read()),
            );
            places.push((shard, at));
        }
        let hops: Vec<_> = batches
            .into_iter()
            .map(|(shard, mut batch)| {
                let hop = transaction.hop(shard, batch.writes(), move |core, effects| {
                    batch.run_in_transaction(core, effects);
                    batch.take_reply()
                });
                (shard, hop)
            })
            .collect();
        let mut replies = BTreeMap::new();
        for (shard, hop) in hops {
            let mut reply = hop.answer().await;
            self.note_slow(std::mem::take(&mut reply.slow));
            replies.insert(shard, reply);
        }
        for (shard, index) in places {
            out.extend_from_slice(replies[&shard].get(index));
        }
        for queued in queue {
            self.show(queued.row, &queued.args());
        }
    }

    async fn exec_one(
        &mut self,
        transaction: &Transaction,
        queued: &QueuedCommand,
        out: &mut Vec<u8>,
    ) {
        let (args, before, others) = (queued.args(), out.len(), self.pushes_len());
        let timer = self.thread.slow.borrow().begin(queued.row, &args);
        let is_denied = self.is_denied(queued.row, &args);
        if queued.row.is_script() && !is_denied {
            self.show(queued.row, &args);
        }
        let result = match queued.row.handler {
            _ if is_denied => self.check_queued(queued.row, &args),
            Handler::Session(handler) => {
                handler(self, &args, &mut ReplyWriter::new(out, self.proto))
            }
            Handler::Async(handler) => handler(self, &args, out).await,
            Handler::Publish(space) => {
                self.publish(space, &args, out);
                Ok(())
            }
            Handler::Script(kind) => match kind.read(self, &args) {
                Ok(call) => self.run_script(&call, Some(transaction), out).await,
                Err(error) => Err(error),
            },
            _ => self.run_in(transaction, queued.row, &args, out).await,
        };
        if !queued.row.is_script() && !is_denied {
            self.show(queued.row, &args);
        }
        if let Some(begun) = timer {
            self.note_if_slow(queued.row, &args, begun.elapsed());
        }
        if let Err(error) = result {
            if error.is_error() {
                self.thread.stats.borrow_mut().failed(queued.row, &error);
            }
            error.write(&mut ReplyWriter::new(out, self.proto));
        }
        self.insert_own_pushes(others, out, before);
    }
}

fn multi(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    if session.multi.is_some() {
        return Err(CommandError::text("ERR MULTI calls can not be nested"));
    }
    session.multi = Some(MultiState::default());
    out.ok();
    Ok(())
}

fn exec<'a>(session: &'a mut Session, _: &'a [&'a [u8]], out: &'a mut Vec<u8>) -> AsyncResult<'a> {
    Box::pin(session.exec(out))
}

fn discard<'a>(
    session: &'a mut Session,
    _: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        if session.multi.take().is_none() {
            return Err(CommandError::text("ERR DISCARD without MULTI"));
        }
        session.unwatch().await;
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

fn watch<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        if session.multi.is_some() {
            return Err(CommandError::text("ERR WATCH inside MULTI is not allowed"));
        }
        session.watch(&args[1..]).await;
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

fn unwatch<'a>(
    session: &'a mut Session,
    _: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        session.unwatch().await;
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

const CONTROL: Flags = Flags::NO_SCRIPT.or(Flags::LOADING).or(Flags::STALE);
const QUICK: Flags = CONTROL.or(Flags::FAST).or(Flags::ALLOW_BUSY);

/// The commands of transactions.
pub static COMMANDS: &[Command] = &[
    row(
        "multi",
        1,
        Handler::Session(multi),
        "1.2.0",
        "Starts a transaction.",
    )
    .with(QUICK),
    row(
        "exec",
        1,
        Handler::Async(exec),
        "1.2.0",
        "Executes all commands in a transaction.",
    )
    .with(Flags::SKIP_MONITOR.or(Flags::ENDS_MULTI)),
    row(
        "discard",
        1,
        Handler::Async(discard),
        "2.0.0",
        "Discards a transaction.",
    )
    .with(QUICK),
    Command::new(
        "watch",
        -2,
        Keys::ALL,
        Group::Transactions,
        "2.2.0",
        Handler::Async(watch),
        "Monitors changes to keys to determine the execution of a transaction.",
    )
    .with(QUICK)
    .with(Flags::UNQUEUED)
    .access("RO")
    .takes("key..."),
    Command::new(
        "unwatch",
        1,
        Keys::None,
        Group::Transactions,
        "2.2.0",
        Handler::Async(unwatch),
        "Forgets about watched keys of a transaction.",
    )
    .with(QUICK),
];

const fn row(
    name: &'static str,
    arity: i16,
    handler: Handler,
    since: &'static str,
    summary: &'static str,
) -> Command {
    Command::new(
        name,
        arity,
        Keys::None,
        Group::Transactions,
        since,
        handler,
        summary,
    )
    .with(CONTROL)
    .with(Flags::UNQUEUED)
}
