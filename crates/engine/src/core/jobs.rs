//! Work that may be parked: batches of commands from other threads or from a
//! connection that could not go on in place.

use super::{HopWrites, ShardCore, Step};
use crate::command::{Command, KeyPositions};
use crate::context::Effects;
use crate::slow::SlowCommand;
use crate::tracking::Caller;
use damselfly_resp::{ArgVec, Proto, ReplyWriter};
use damselfly_store::DbIndex;
use hashbrown::HashMap;
use std::collections::VecDeque;

/// Work for a shard that can be tried again.
pub trait Job {
    /// Tries to go on. Called again from where it stopped after it was parked.
    fn step(&mut self, core: &mut ShardCore) -> Step;
    /// Hashes of the keys that later work must not overtake it on.
    fn keys(&self, visit: &mut dyn FnMut(u64));
}

/// One command of a batch: where its arguments stand in the batch's bytes.
pub struct BatchCommand {
    /// Its row.
    pub row: &'static Command,
    /// Its database.
    pub db: DbIndex,
    /// Number of arguments.
    pub args: u32,
    /// Positions of its keys.
    pub keys: KeyPositions,
    /// For whom it runs.
    pub caller: Caller,
}

/// Consecutive commands of one pipeline that all go to one shard.
pub struct CommandBatch {
    commands: Vec<BatchCommand>,
    ends: Vec<u32>,
    bytes: Vec<u8>,
    proto: Proto,
    next: usize,
    next_arg: usize,
    reply: BatchReply,
}

/// The replies of a batch.
#[derive(Default, Debug)]
pub struct BatchReply {
    /// All replies, one after another.
    pub bytes: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<usize>,
    /// The commands that took long.
    pub slow: Vec<SlowCommand>,
}

impl CommandBatch {
    /// An empty batch whose replies are written in this protocol.
    pub fn new(proto: Proto) -> CommandBatch {
        CommandBatch {
            commands: Vec::new(),
            ends: Vec::new(),
            bytes: Vec::new(),
            proto,
            next: 0,
            next_arg: 0,
            reply: BatchReply::default(),
        }
    }

    /// Adds a command; its index in the batch.
    pub fn push(
        &mut self,
        row: &'static Command,
        db: DbIndex,
        args: &[&[u8]],
        keys: KeyPositions,
        caller: Caller,
    ) -> usize {
        for arg in args {
            self.bytes.extend_from_slice(arg);
            self.ends.push(self.bytes.len() as u32);
        }
        self.commands.push(BatchCommand {
            row,
            db,
            args: args.len() as u32,
            keys,
            caller,
        });
        self.commands.len() - 1
    }

    /// Number of commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Bytes of all arguments.
    pub fn arg_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The replies, when the batch is done.
    pub fn take_reply(&mut self) -> BatchReply {
        std::mem::take(&mut self.reply)
    }

    fn arg(&self, at: usize) -> &[u8] {
        arg(&self.bytes, &self.ends, at)
    }

    fn args<'a>(bytes: &'a [u8], ends: &[u32], from: usize, count: u32) -> ArgVec<'a> {
        (from..from + count as usize)
            .map(|at| arg(bytes, ends, at))
            .collect()
    }

    /// Runs all commands inside a transaction.
    pub(crate) fn run_in_transaction(&mut self, core: &mut ShardCore, effects: &mut Effects) {
        while self.next < self.commands.len() {
            let command = &self.commands[self.next];
            let args = Self::args(&self.bytes, &self.ends, self.next_arg, command.args);
            let mut out = ReplyWriter::new(&mut self.reply.bytes, self.proto);
            let timer = core.slow.begin(command.row, &args);
            core.as_caller(command.caller, |core| {
                core.run_in_transaction(
                    command.row,
                    command.db,
                    &args,
                    &command.keys,
                    effects,
                    &mut out,
                );
            });
            if let Some(begun) = timer {
                core.slow.note(command.row, &args, begun.elapsed());
                self.reply.slow.append(&mut core.slow.take());
            }
            self.reply.ends.push(self.reply.bytes.len());
            self.next += 1;
            self.next_arg += command.args as usize;
        }
    }

    /// What its writing commands may change.
    pub(crate) fn writes(&self) -> HopWrites {
        if self
            .commands
            .iter()
            .any(|command| command.row.reaches_other_databases())
        {
            return HopWrites::Everything;
        }
        let mut first = 0;
        let mut found = Vec::new();
        for command in &self.commands {
            if command.row.is_write() {
                found.extend(
                    command
                        .keys
                        .iter()
                        .map(|at| (command.db, self.arg(first + *at as usize).to_vec())),
                );
            }
            first += command.args as usize;
        }
        HopWrites::Keys(found)
    }

    /// Fetches what the commands will read, all at once.
    fn warm(&self, core: &ShardCore) {
        let mut first = 0;
        let mut keys: Vec<&[u8]> = Vec::with_capacity(self.commands.len());
        for command in &self.commands {
            keys.extend(
                command
                    .keys
                    .first()
                    .map(|at| self.arg(first + *at as usize)),
            );
            first += command.args as usize;
        }
        core.warm(self.commands[0].db, &keys);
    }

    fn step_one(&mut self, core: &mut ShardCore) -> Step {
        let command = &self.commands[self.next];
        let args = Self::args(&self.bytes, &self.ends, self.next_arg, command.args);
        let mut out = ReplyWriter::new(&mut self.reply.bytes, self.proto);
        let step = core.as_caller(command.caller, |core| {
            core.try_command(command.row, command.db, &args, &command.keys, &mut out)
        });
        if step == Step::Done {
            if core.slow.has_found() {
                self.reply.slow.append(&mut core.slow.take());
            }
            self.reply.ends.push(self.reply.bytes.len());
            self.next_arg += command.args as usize;
            self.next += 1;
        }
        step
    }
}

fn arg<'a>(bytes: &'a [u8], ends: &[u32], at: usize) -> &'a [u8] {
    let start = if at == 0 { 0 } else { ends[at - 1] as usize };
    &bytes[start..ends[at] as usize]
}

impl Job for CommandBatch {
    fn step(&mut self, core: &mut ShardCore) -> Step {
        if self.next == 0 && self.commands.len() > 1 {
            self.warm(core);
        }
        while self.next < self.commands.len() {
            if self.step_one(core) == Step::Parked {
                return Step::Parked;
            }
        }
        Step::Done
    }

    fn keys(&self, visit: &mut dyn FnMut(u64)) {
        if let Some(command) = self.commands.get(self.next) {
            for at in &command.keys {
                visit(super::key_hash(self.arg(self.next_arg + *at as usize)));
            }
        }
    }
}

/// What waits, in the order of its arrival, and on which keys.
#[derive(Default)]
pub(super) struct ParkedQueue {
    jobs: VecDeque<Box<dyn Job>>,
    keys: HashMap<u64, u32, foldhash::fast::RandomState>,
}

impl ParkedQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether somebody already waits with this key.
    pub(super) fn waits_for(&self, key: u64) -> bool {
        self.keys.contains_key(&key)
    }

    fn push(&mut self, job: Box<dyn Job>) {
        self.count(&*job);
        self.jobs.push_back(job);
    }

    /// Lets a job wait in front of all that wait now.
    pub(super) fn push_front(&mut self, job: Box<dyn Job>) {
        self.count(&*job);
        self.jobs.push_front(job);
    }

    fn count(&mut self, job: &dyn Job) {
        job.keys(&mut |key| *self.keys.entry(key).or_default() += 1);
    }
}

impl ShardCore {
    /// Runs the job now, or when it can go on.
    pub fn submit(&mut self, mut job: Box<dyn Job>) {
        if job.step(self) == Step::Parked {
            self.parked.push(job);
        }
    }

    /// Tries everything that waits, in the order of arrival.
    pub fn run_parked(&mut self) {
        if self.parked.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.parked);
        for job in waiting.jobs {
            self.submit(job);
        }
    }
}

impl BatchReply {
    /// The reply of the command at this index.
    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}
