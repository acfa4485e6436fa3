//! A session runs a script.

use super::cache::parse;
use super::host::{Place, ScriptHost};
use super::{Running, ScriptOptions};
use crate::acl::User;
use crate::command::{Command, CommandError, CommandResult, Handler, KeyPositions};
use crate::coordinator::{Scope, ShardPlan, Transaction, on_core};
use crate::core::{CommandBatch, KeyLock, LockMode, ScriptPart, ShardCore, key_hash};
use crate::engine::Role;
use crate::session::{Session, is_everywhere};
use damselfly_lua::{Interpreter, Job, Library, Progress, Script, ScriptFlags};
use damselfly_resp::{Proto, ReplyWriter};
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A script that is to be run.
pub(crate) struct ScriptCall<'a> {
    /// What runs.
    pub(crate) code: Code,
    /// The keys that it has declared.
    pub(crate) keys: &'a [&'a [u8]],
    /// Its other arguments.
    pub(crate) args: &'a [&'a [u8]],
    /// It was called by a command that lets it read only.
    pub(crate) read_only: bool,
    /// Whose rules it is under, where another thread has asked already.
    pub(crate) limits: Option<Limits>,
}

/// What a command runs.
#[derive(Debug, Clone)]
pub(crate) enum Code {
    /// A script.
    Script(Arc<Script>),
    /// A function of a library, by its place in it.
    Function(Arc<Library>, usize),
}

impl Code {
    /// What it says of itself.
    pub(super) fn flags(&self) -> ScriptFlags {
        match self {
            Code::Script(script) => script.flags,
            Code::Function(library, at) => library.functions[*at].flags,
        }
    }

    /// The name of the function.
    fn function(&self) -> Option<&str> {
        match self {
            Code::Script(_) => None,
            Code::Function(library, at) => Some(&library.functions[*at].name),
        }
    }

    pub(super) fn job(&self, proto: Proto) -> Job {
        match self {
            Code::Script(script) => Job::Eval(script.clone(), proto),
            Code::Function(library, at) => {
                let name = library.functions[*at].name.clone();
                Job::Call(library.clone(), name, proto)
            }
        }
    }
}

impl ScriptCall<'_> {
    /// Whether it may change data, as far as its flags say.
    pub(crate) fn may_write(&self) -> bool {
        let flags = self.code.flags();
        !self.read_only && (flags.compatible || !flags.no_writes)
    }

    /// The command that calls a function, as FUNCTION STATS shows it.
    pub(super) fn command(&self) -> Vec<Vec<u8>> {
        let name: &[u8] = if self.read_only {
            b"FCALL_RO"
        } else {
            b"FCALL"
        };
        let function = self.code.function().unwrap_or_default();
        let keys = self.keys.len().to_string();
        let head = [name, function.as_bytes(), keys.as_bytes()];
        let words = head.iter().chain(self.keys).chain(self.args);
        words.map(|word| word.to_vec()).collect()
    }
}

/// A user, and the client as ACL LOG shows it; `None`: everything is allowed.
pub(crate) type Limits = Option<(Arc<User>, Vec<u8>)>;

/// What a script wants of the shards.
pub(super) struct Plan {
    pub(super) shards: Vec<ShardPlan>,
    /// It may use any key.
    global: bool,
    writes: bool,
}

impl Session {
    /// Whose rules the commands of its scripts are under.
    fn script_limits(&mut self) -> Limits {
        let user = self.limits()?;
        let client = (self.describe)(self);
        Some((user, client))
    }

    fn script_options(&self) -> ScriptOptions {
        self.thread.engine.options.scripts
    }

    /// The script of this text, compiled at least once.
    pub(crate) fn script_of(&self, body: &[u8]) -> Result<Arc<Script>, CommandError> {
        let (cache, pool) = (&self.thread.engine.scripts.cache, &self.thread.scripts);
        let generation = cache.generation();
        if let Some(script) = pool.with_text(generation, body) {
            return Ok(script);
        }
        let script = Arc::new(parse(body).map_err(CommandError::Echo)?);
        let script = match cache.get(&script.sha) {
            Some(known) => known,
            None => {
                self.compile(&script)?;
                cache.insert(script.clone());
                script
            }
        };
        pool.remember(generation, &script);
        Ok(script)
    }

    /// The script of this name.
    pub(crate) fn script_named(&self, name: &[u8]) -> Option<Arc<Script>> {
        let (cache, pool) = (&self.thread.engine.scripts.cache, &self.thread.scripts);
        let generation = cache.generation();
        let known = pool.with_name(generation, name);
        known.or_else(|| {
            let script = cache.get(name)?;
            pool.remember(generation, &script);
            Some(script)
        })
    }

    pub(super) fn interpreter(&self) -> Result<Interpreter, CommandError> {
        let generation = self.thread.engine.scripts.cache.generation();
        let limit = self.script_options().memory_limit;
        self.thread
            .scripts
            .take(generation, limit)
            .map_err(|error| {
                CommandError::owned(format!("ERR no Lua state could be made: {error}"))
            })
    }

    pub(super) fn give_back(&self, interpreter: Interpreter) {
        let generation = self.thread.engine.scripts.cache.generation();
        self.thread.scripts.put(generation, interpreter);
    }

    fn compile(&self, script: &Arc<Script>) -> CommandResult {
        let mut interpreter = self.interpreter()?;
        interpreter.start(Job::Compile(script.clone()), None);
        let failed = interpreter.output(|text| (!text.is_empty()).then(|| text.to_vec()));
        self.give_back(interpreter);
        failed.map_or(Ok(()), |text| Err(CommandError::Echo(text)))
    }

    /// What keeps a script with a first line of its own from running, asked before it begins.
    pub(super) fn check_script(&self, call: &ScriptCall<'_>) -> CommandResult {
        let flags = call.code.flags();
        if flags.compatible || flags.no_writes {
            return Ok(());
        }
        if self.thread.engine.role() == Role::Replica && !self.is_internal {
            return Err(CommandError::ReadOnly);
        }
        if call.read_only {
            return Err(CommandError::text(
                "ERR Can not execute a script with write flag using *_ro command.",
            ));
        }
        Ok(())
    }

    /// Whether the script may use keys that it has not declared.
    pub(super) fn is_global_script(&self, flags: ScriptFlags) -> bool {
        self.script_options().undeclared_keys || flags.undeclared_keys
    }

    /// Whether the script may write.
    pub(super) fn script_writes(&self, call: &ScriptCall<'_>) -> bool {
        let flags = call.code.flags();
        let may_write = self.thread.engine.role() == Role::Primary || self.is_internal;
        may_write && !call.read_only && (flags.compatible || !flags.no_writes)
    }

    pub(super) fn script_plan(&self, call: &ScriptCall<'_>) -> Plan {
        let engine = &self.thread.engine;
        let flags = call.code.flags();
        let writes = self.script_writes(call);
        let global = self.is_global_script(flags);
        let all = if global || engine.mesh.shards() == 1 {
            0..engine.mesh.shards()
        } else {
            0..0
        };
        let grows = writes && !flags.compatible && !flags.allow_oom;
        let empty = |shard| ShardPlan {
            shard,
            writes,
            grows,
            ..ShardPlan::default()
        };
        let mut plans: BTreeMap<usize, ShardPlan> =
            all.map(|shard| (shard, empty(shard))).collect();
        let mode = if writes {
            LockMode::Exclusive
        } else {
            LockMode::Shared
        };
        for key in call.keys {
            let shard = engine.mesh.shard_of(key);
            let plan = plans.entry(shard).or_insert_with(|| empty(shard));
            plan.locks.push(KeyLock {
                key: key_hash(key),
                mode,
            });
        }
        Plan {
            shards: plans.into_values().collect(),
            global,
            writes,
        }
    }

    /// Adds what a queued script wants of the shards. Whether it is on all keys.
    pub(crate) fn add_script_to_plan(
        &self,
        row: &'static Command,
        args: &[&[u8]],
        plans: &mut BTreeMap<usize, ShardPlan>,
    ) -> bool {
        let Handler::Script(kind) = row.handler else {
            return false;
        };
        let Ok(call) = kind.read(self, args) else {
            return false;
        };
        let plan = self.script_plan(&call);
        for wanted in plan.shards {
            let shard = wanted.shard;
            let to = plans.entry(shard).or_insert_with(|| ShardPlan {
                shard,
                ..ShardPlan::default()
            });
            to.writes |= wanted.writes;
            to.locks.extend(wanted.locks);
        }
        plan.global
    }

    /// Runs a script to its end, inside of a transaction that covers its shards if there is one.
    pub(crate) async fn run_script(
        &mut self,
        call: &ScriptCall<'_>,
        within: Option<&Transaction>,
        out: &mut Vec<u8>,
    ) -> CommandResult {
        self.check_script(call)?;
        let plan = self.script_plan(call);
        if within.is_some() {
            return self
                .run_script_as(call, plan, Place::Transaction, within, out)
                .await;
        }
        let only = match plan.shards.as_slice() {
            [only] => Some(only.shard),
            _ => None,
        };
        if let Some(shard) = only.filter(|shard| !self.thread.owns(*shard)) {
            return self.run_script_away(call, shard, out).await;
        }
        if only.is_some()
            && plan.shards.iter().any(|plan| plan.grows)
            && !self.thread.with_core_now(ShardCore::has_room_for_script)
        {
            return Err(CommandError::OutOfMemory);
        }
        let begin = |core: &mut ShardCore| core.begin_script(plan.writes);
        let result = match only.and_then(|_| self.thread.with_core_now(begin)) {
            Some(effects) => {
                let here = Place::Here(effects);
                self.run_script_as(call, plan, here, None, out).await
            }
            None if plan.shards.is_empty() => {
                self.run_script_as(call, plan, Place::Nowhere, None, out)
                    .await
            }
            None => self.run_script_in_transaction(call, plan, out).await,
        };
        self.record_published().await;
        result
    }

    async fn run_script_in_transaction(
        &mut self,
        call: &ScriptCall<'_>,
        plan: Plan,
        out: &mut Vec<u8>,
    ) -> CommandResult {
        let scope = Scope {
            global: plan.global,
            replays: self.is_internal,
        };
        let transaction = Transaction::begin(&self.thread, plan.shards.clone(), scope).await?;
        self.run_script_as(call, plan, Place::Transaction, Some(&transaction), out)
            .await
    }

    /// Runs a script on the thread of the shard that all its keys live on.
    async fn run_script_away(
        &mut self,
        call: &ScriptCall<'_>,
        shard: usize,
        out: &mut Vec<u8>,
    ) -> CommandResult {
        let owned = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
        let (keys, args) = (owned(call.keys), owned(call.args));
        let (code, read_only) = (call.code.clone(), call.read_only);
        let limits = self.script_limits();
        let (id, db, proto) = (self.id, self.db, self.proto);
        let (is_internal, caller) = (self.is_internal, self.caller(true));
        let away = self.thread.call(shard, move |thread, answer| {
            let thread = thread.clone();
            tokio::task::spawn_local(async move {
                let mut session = Session::with_id(thread, Rc::new(()), id);
                (session.db, session.proto) = (db, proto);
                (session.is_internal, session.acts_for) = (is_internal, Some(caller));
                let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                let call = ScriptCall {
                    code,
                    keys: &keys,
                    args: &args,
                    read_only,
                    limits: Some(limits),
                };
                let mut out = Vec::new();
                let result = Box::pin(session.run_script(&call, None, &mut out)).await;
                answer.send((result, out, session.has_written(shard)));
            });
        });
        let (result, reply, wrote) = away.await;
        if wrote {
            self.note_written(shard);
        }
        out.extend_from_slice(&reply);
        result
    }

    async fn run_script_as(
        &mut self,
        call: &ScriptCall<'_>,
        plan: Plan,
        place: Place,
        within: Option<&Transaction>,
        out: &mut Vec<u8>,
    ) -> CommandResult {
        let mut interpreter = self.interpreter()?;
        let host = self.script_host(call, plan.global, place, Instant::now());
        interpreter.input(call.keys.iter().copied(), call.args.iter().copied());
        let progress = interpreter.start(call.code.job(self.proto), Some(host.clone()));
        let run = ScriptRun {
            host,
            call: Some(call),
            plan,
            within,
            own: None,
        };
        self.drive_script(run, interpreter, progress, out).await;
        Ok(())
    }

    /// What a script's interpreter asks.
    pub(super) fn script_host(
        &mut self,
        call: &ScriptCall<'_>,
        global: bool,
        place: Place,
        began: Instant,
    ) -> Rc<ScriptHost> {
        let limits = call.limits.clone().unwrap_or_else(|| self.script_limits());
        let (user, client) = limits.unzip();
        let flags = call.code.flags();
        let declared: Option<SmallVec<[u64; 8]>> =
            (!global).then(|| call.keys.iter().map(|key| key_hash(key)).collect());
        Rc::new(ScriptHost {
            thread: self.thread.clone(),
            db: Cell::new(self.db),
            place: RefCell::new(place),
            running: Arc::new(Running::new(call.code.function().map(str::to_owned), began)),
            declared,
            user,
            client: client.unwrap_or_default(),
            read_only: call.read_only || (!flags.compatible && flags.no_writes),
            allow_oom: !flags.compatible && flags.allow_oom,
            is_internal: self.is_internal,
            caller: self.caller(true),
            since: Cell::new(began),
        })
    }

    /// Drives a script that has been started to its end.
    pub(super) async fn drive_script(
        &mut self,
        mut run: ScriptRun<'_>,
        mut interpreter: Interpreter,
        progress: Progress,
        out: &mut Vec<u8>,
    ) {
        let before = (self.db, self.proto, self.executing);
        self.executing = true;
        run.drive(self, &mut interpreter, progress).await;
        let ScriptRun {
            host, plan, own, ..
        } = run;
        // What it did is in the journal before it is answered.
        drop(own);
        (self.db, self.proto, self.executing) = before;
        interpreter.output(|reply| out.extend_from_slice(reply));
        self.give_back(interpreter);
        if host.running.wrote.load(Ordering::Relaxed) {
            plan.shards
                .iter()
                .for_each(|plan| self.note_written(plan.shard));
        }
    }
}

/// A script under way.
pub(super) struct ScriptRun<'a> {
    pub(super) host: Rc<ScriptHost>,
    /// What was called, where that has not been noted yet.
    pub(super) call: Option<&'a ScriptCall<'a>>,
    pub(super) plan: Plan,
    /// The transaction that it is a part of.
    pub(super) within: Option<&'a Transaction>,
    /// The transaction that it has become.
    pub(super) own: Option<Transaction>,
}

impl ScriptRun<'_> {
    async fn drive(
        &mut self,
        session: &mut Session,
        interpreter: &mut Interpreter,
        begun: Progress,
    ) {
        let mut progress = begun;
        let mut is_noted = false;
        loop {
            match progress {
                Progress::Done => break,
                Progress::Pause => {
                    self.promote();
                    let running = &self.host.thread.engine.scripts.running;
                    if !is_noted {
                        self.call.iter().for_each(|call| self.host.note_call(call));
                        running.add(&self.host.running);
                        is_noted = true;
                    }
                    if running.check(&self.host.running) {
                        self.tell_waiting();
                    }
                    tokio::task::yield_now().await;
                    self.host.since.set(Instant::now());
                }
                Progress::Call => self.call(session, interpreter).await,
            }
            progress = interpreter.resume();
        }
        if is_noted {
            self.host
                .thread
                .engine
                .scripts
                .running
                .remove(&self.host.running);
        }
        self.host.end();
    }

    /// Has the commands that wait on the shards looked at again: those that wait for this script are refused.
    fn tell_waiting(&self) {
        for plan in &self.plan.shards {
            on_core(&self.host.thread, plan.shard, ShardCore::wake);
        }
    }

    /// From here on others may run on the shard: what has been running in place becomes a transaction.
    pub(super) fn promote(&mut self) {
        if !matches!(*self.host.place.borrow(), Place::Here(_)) {
            return;
        }
        if let Place::Here(effects) = self.host.place.replace(Place::Transaction) {
            let plan = &self.plan.shards[0];
            let locks = if self.plan.global {
                Vec::new()
            } else {
                plan.locks.clone()
            };
            let thread = &self.host.thread;
            self.own = Some(Transaction::adopt(
                thread,
                plan.shard,
                locks,
                self.plan.writes,
                effects,
            ));
        }
    }

    /// Runs a command that the interpreter could not run in place.
    async fn call(&mut self, session: &mut Session, interpreter: &mut Interpreter) {
        let (args, proto) = interpreter.command(|words, proto, _| {
            let args: Vec<Vec<u8>> = words.iter().map(<[u8]>::to_vec).collect();
            (args, proto)
        });
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        (session.db, session.proto) = (self.host.db.get(), proto);
        let mut reply = Vec::new();
        let result = match self.host.admit(&args) {
            Ok((row, keys)) => {
                let result = self.run_row(session, row, &args, &keys, &mut reply).await;
                self.host.db.set(session.db);
                self.host.show(row, &args);
                result
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            error.write(&mut ReplyWriter::new(&mut reply, proto));
        }
        interpreter.reply(&reply);
    }

    async fn run_row(
        &mut self,
        session: &mut Session,
        row: &'static Command,
        args: &[&[u8]],
        keys: &KeyPositions,
        reply: &mut Vec<u8>,
    ) -> CommandResult {
        let proto = session.proto;
        match row.handler {
            Handler::Session(handler) => {
                return handler(session, args, &mut ReplyWriter::new(reply, proto));
            }
            Handler::Publish(space) => {
                let receivers = session.publish_line(space, args);
                ReplyWriter::new(reply, proto).integer(receivers as i64);
                return Ok(());
            }
            Handler::Async(handler) => {
                self.promote();
                return handler(session, args, reply).await;
            }
            _ => self.promote(),
        }
        let Some(transaction) = self.own.as_ref().or(self.within) else {
            return session.run_spread(row, args, reply).await;
        };
        let only = if is_everywhere(row) || row.looks_further(args) {
            None
        } else {
            session.only_shard(args, keys)
        };
        let Some(shard) = only else {
            return session.run_in(transaction, row, args, reply).await;
        };
        let shard = match transaction.shards() {
            [] => return session.run_spread(row, args, reply).await,
            [first, ..] if keys.is_empty() => *first,
            _ => shard,
        };
        reply.extend(self.hop(transaction, shard, session, row, args, keys).await);
        Ok(())
    }

    /// Runs a command on the only shard that it needs.
    async fn hop(
        &self,
        transaction: &Transaction,
        shard: usize,
        session: &Session,
        row: &'static Command,
        args: &[&[u8]],
        keys: &KeyPositions,
    ) -> Vec<u8> {
        let (proto, db, caller) = (session.proto, session.db, session.caller(row.is_read()));
        let (allow_oom, is_internal) = (self.host.allow_oom, self.host.is_internal);
        let mut batch = CommandBatch::new(proto);
        batch.push(row, db, args, keys.clone(), caller);
        let (keys, args) = (
            keys.clone(),
            args.iter().map(|arg| arg.to_vec()).collect::<Vec<_>>(),
        );
        let hop = transaction.hop(shard, batch.writes(), move |core, effects| {
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            let part = ScriptPart {
                row,
                db,
                args: &args,
                keys: &keys,
                allow_oom,
                is_internal,
            };
            let mut reply = Vec::new();
            let mut out = ReplyWriter::new(&mut reply, proto);
            core.as_caller(caller, |core| match core.refuses(&part, effects) {
                Some(error) => out.error(error.reply()),
                None => core.run_in_transaction(row, db, &args, &keys, effects, &mut out),
            });
            reply
        });
        hop.answer().await
    }
}
