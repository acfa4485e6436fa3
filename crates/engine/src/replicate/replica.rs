//! The engine as a data set that follows a primary.

use super::loader::{ParallelLoader, passed_over};
use super::primary::{EngineDataSet, TXID_AUX, run_local};
use crate::core::{ApplyJob, ShardCore};
use crate::files::RedisPosition;
use crate::thread::Thread;
use damselfly_journal::{Lsn, MAX_TXID};
use damselfly_replication::primary::FlowEnd;
use damselfly_replication::{
    DataError, Effect, Fork, LsnVector, Origin, ReplId, Resume, TransactionPart,
};
use damselfly_replication::{Dialect, ReplicaDataSet, ReplicaFlowSink, ThreadJob, Upstream};
use damselfly_snapshot::{Assembled, Assembler, BuildError, Event, LastUse, ModuleId, Refused};
use damselfly_store::{DbIndex, UnixMs, Value};
use std::rc::Rc;

/// Entries for other shards that are collected before they are sent.
const LOAD_BATCH: usize = 256;

impl ReplicaDataSet for EngineDataSet {
    type Flow = EngineFlow;

    fn replid(&self) -> ReplId {
        self.0.lineage().replid()
    }

    fn origin(&self) -> Option<Origin> {
        Some(self.0.lineage().origin())
    }

    fn restored(&self) -> Vec<Fork> {
        self.0.lineage().restored().to_vec()
    }

    async fn become_replica(&self, _address: &str) -> Option<Resume> {
        let next = super::role::follow(&Thread::current()).await;
        let lineage = self.0.lineage();
        if !lineage.is_as_loaded(&next) {
            *self.0.redis_position.lock().await = None;
        }
        lineage.resume(next)
    }

    async fn become_primary(&self) {
        super::role::lead(&Thread::current()).await;
    }

    fn run_on_flow(&self, flow: usize, _flows: usize, job: ThreadJob) {
        run_local(&self.0, flow % self.0.mesh.threads(), job);
    }

    fn open_flow(&self, flow: usize, upstream: &Upstream) -> EngineFlow {
        EngineFlow {
            relay: upstream.is_relayed_by(self.0.mesh.shards()),
            psync: upstream.dialect == Dialect::Psync,
            may_stray: upstream.level == 0,
            ..EngineFlow::of_file(flow, false)
        }
    }

    async fn begin_full_sync(&self, _upstream: &Upstream) -> Result<(), DataError> {
        let thread = Thread::current();
        self.0.set_loading(true);
        // Whatever the change asks for: all data goes, and with it the journals and the links of our own replicas.
        let _ = self
            .0
            .change_lineage(|lineage| lineage.full_sync_begun(crate::engine::new_replid()));
        *self.0.redis_position.lock().await = None;
        discard_all(&thread, "the data set is replaced by a full sync").await;
        Ok(())
    }

    async fn enter_stable(
        &self,
        upstream: &Upstream,
        full: bool,
        lsns: &[Lsn],
    ) -> Result<(), DataError> {
        let thread = Thread::current();
        RedisPosition::entered(
            &mut *self.0.redis_position.lock().await,
            upstream,
            full,
            lsns,
        );
        let relay = upstream.is_relayed_by(self.0.mesh.shards());
        let change = self.0.change_lineage(|lineage| {
            lineage.adopt(upstream.origin);
            lineage.stable_entered(upstream.history, relay, lsns)
        });
        if change.end_replicas {
            self.0.end_replicas("the data set follows another history");
        }
        let lsns = lsns.to_vec();
        thread
            .on_all_threads(move |thread| {
                if change.end_replicas {
                    thread.flows.end_all(&FlowEnd::Session {
                        why: "the data set follows another history".to_owned(),
                    });
                }
                thread.try_with_core(|core| {
                    core.relays = relay;
                    if relay && (full || core.journal.next_lsn() != lsns[usize::from(core.id)]) {
                        core.journal.start_at(lsns[usize::from(core.id)]);
                    } else if change.restart_journal {
                        core.journal.start_at(Lsn::FIRST);
                    }
                    core.journal.keep_backlog(true);
                    if full {
                        core.space.waits.touch_where(|_, _| true);
                        core.serve_ready(false);
                    }
                });
            })
            .await;
        self.0.set_loading(false);
        Ok(())
    }

    async fn apply_transaction(
        &self,
        parts: Vec<(usize, TransactionPart)>,
    ) -> Result<(), DataError> {
        super::apply::transaction(&Thread::current(), parts).await
    }

    async fn apply_global(&self, parts: Vec<(usize, TransactionPart)>) -> Result<(), DataError> {
        super::apply::global(&Thread::current(), parts).await
    }

    async fn link_ended(&self, _vector: Option<&LsnVector>) {
        // Flows have stopped: nothing is applied any more. What a promotion needs is in the journals.
    }
}

/// Empties all shards and journals, and ends the links of our own replicas.
pub(crate) async fn discard_all(thread: &Rc<Thread>, why: &'static str) {
    thread.engine.skipped.clear();
    thread.engine.scripts.forget_libraries();
    begin_anew(thread, why, true).await;
}

/// Begins all journals anew, and ends the links of our own replicas; the data stays.
pub(crate) async fn begin_journals(thread: &Rc<Thread>, why: &'static str) {
    begin_anew(thread, why, false).await;
}

async fn begin_anew(thread: &Rc<Thread>, why: &'static str, discards: bool) {
    thread.engine.end_replicas(why);
    thread
        .on_all_threads(move |thread| {
            thread.flows.end_all(&FlowEnd::Session {
                why: why.to_owned(),
            });
            thread.try_with_core(|core| {
                core.journal.keep_backlog(false);
                core.journal.start_at(Lsn::FIRST);
                // Whether this link relays is said when it enters stable sync; the one before may have had other shards.
                core.relays = false;
                if discards {
                    core.space.flush(None);
                    core.serve_ready(false);
                }
            });
            thread.clean_up();
        })
        .await;
}

/// Takes what comes over one flow, or out of one file.
pub struct EngineFlow {
    flow: usize,
    /// Both ends have as many shards: flow *i* feeds shard *i*, and its records are relayed as they came.
    relay: bool,
    /// The only flow of a Redis: its commands come as clients sent them.
    psync: bool,
    /// A record may have keys of other shards than its flow's: Dragonfly writes such.
    may_stray: bool,
    thread: Rc<Thread>,
    /// Takes the entries of a Redis.
    loader: ParallelLoader,
    assembler: Assembler,
    /// Entries for shards of other threads.
    others: Vec<Vec<Loaded>>,
    collected: usize,
}

/// An entry of a full sync.
struct Loaded {
    db: DbIndex,
    key: Vec<u8>,
    value: Value,
    expire_at: Option<UnixMs>,
    used: LastUse,
}

impl Loaded {
    fn put(self, core: &mut ShardCore) {
        core.space
            .load(self.db, &self.key, self.value, self.expire_at, self.used);
    }
}

pub(super) fn known_db(db: u32, dbnum: u16) -> Result<DbIndex, DataError> {
    let known = u16::try_from(db).ok().filter(|db| *db < dbnum);
    known.map(DbIndex).ok_or_else(|| {
        DataError::terminal(format!(
            "database {db} is beyond this server's {dbnum} (see --dbnum)"
        ))
    })
}

impl ReplicaFlowSink for EngineFlow {
    fn load(&mut self, event: &Event<'_>) -> Result<(), DataError> {
        if self.loader.take(event)? {
            return Ok(());
        }
        if let Event::Aux {
            key: TXID_AUX,
            value,
        } = event
        {
            let end = std::str::from_utf8(value)
                .ok()
                .and_then(|end| end.parse().ok());
            let end = end.filter(|end| *end <= MAX_TXID);
            self.thread.engine.mesh.raise_txid(end.unwrap_or(0));
        }
        if let Event::ModuleAux(module) = event {
            return self.refuse_module(*module);
        }
        if let Event::Function(source) = event {
            return self.load_library(source);
        }
        match self.assembler.take(event).map_err(refusal)? {
            None => {}
            Some(Assembled::Skipped {
                db,
                key,
                type_byte,
                reason,
            }) => passed_over(&self.thread.engine, db, key, type_byte, reason),
            Some(Assembled::Entry {
                db,
                key,
                value,
                expire_ms,
                used,
            }) => {
                let db = known_db(db, self.thread.engine.options.dbnum)?;
                let shard = self.thread.engine.mesh.shard_of(key);
                if self.thread.owns(shard) {
                    self.thread
                        .with_core_now(|core| core.space.load(db, key, value, expire_ms, used));
                } else {
                    self.others[shard].push(Loaded {
                        db,
                        key: key.to_vec(),
                        value,
                        expire_at: expire_ms,
                        used,
                    });
                    self.collected += 1;
                }
            }
        }
        Ok(())
    }

    async fn keep_pace(&mut self) -> Result<(), DataError> {
        if self.psync {
            self.loader.keep_pace().await?;
            if self.collected == 0 {
                return Ok(());
            }
        }
        self.settle().await
    }

    async fn settle(&mut self) -> Result<(), DataError> {
        self.loader.settle().await?;
        if self.collected == 0 {
            return Ok(());
        }
        self.collected = 0;
        let calls: Vec<_> = self
            .others
            .iter_mut()
            .enumerate()
            .filter(|(_, entries)| !entries.is_empty())
            .map(|(shard, entries)| {
                let entries = std::mem::replace(entries, Vec::with_capacity(LOAD_BATCH));
                self.thread.call(shard, move |thread, answer| {
                    thread.with_core(|core| entries.into_iter().for_each(|entry| entry.put(core)));
                    answer.send(());
                })
            })
            .collect();
        crate::thread::join(calls).await;
        Ok(())
    }

    async fn apply(&mut self, part: &TransactionPart) -> Result<(), DataError> {
        if self.psync {
            return self.apply_psync(std::slice::from_ref(part)).await.1;
        }
        if part.txid() > 0 {
            self.thread.engine.mesh.raise_txid(part.txid());
        }
        if self.relay && self.thread.owns(self.flow) {
            if self.may_stray && !super::apply::is_home(&self.thread, self.flow, part) {
                return super::apply::foreign(&self.thread, self.flow, part).await;
            }
            return self.apply_here(part).await;
        }
        super::apply::spread(&self.thread, part).await
    }

    async fn apply_all(&mut self, parts: &[TransactionPart]) -> (usize, Result<(), DataError>) {
        if self.psync {
            return self.apply_psync(parts).await;
        }
        let (mut done, mut result) = (0, Ok(()));
        if self.relay && !self.may_stray && self.thread.owns(self.flow) {
            let latest = parts.iter().map(TransactionPart::txid).max();
            self.thread.engine.mesh.raise_txid(latest.unwrap_or(0));
            let table = &self.thread.engine.table;
            (done, result) = self.thread.with_core(|core| core.apply_ready(table, parts));
        }
        while result.is_ok() && done < parts.len() {
            result = self.apply(&parts[done]).await;
            done += usize::from(result.is_ok());
        }
        (done, result)
    }
}

impl EngineFlow {
    /// What a module saved: there is no place for it.
    #[cold]
    fn refuse_module(&self, module: ModuleId) -> Result<(), DataError> {
        let name = module.to_string();
        let args: [&[u8]; 2] = [b"module data of", name.as_bytes()];
        let error = DataError::terminal(format!(
            "data of module {name} is in the full sync, which is not here; --rdb_unknown_types=skip passes over it"
        ));
        self.thread
            .engine
            .skipped
            .record(None, DbIndex(0), &args, error)
    }

    /// What takes the entries of a file; `file` is its number, for errors. `splits`: its decoder is one of
    /// [`splitting`](damselfly_snapshot::RdbDecoder::splitting). To be called on a thread of the engine.
    pub(crate) fn of_file(file: usize, splits: bool) -> EngineFlow {
        let thread = Thread::current();
        let shards = thread.engine.mesh.shards();
        EngineFlow {
            flow: file,
            relay: false,
            psync: splits,
            may_stray: false,
            loader: ParallelLoader::new(
                thread.clone(),
                thread.engine.options.replication.replica.limits.rdb.clone(),
            ),
            assembler: Assembler::new(thread.engine.skipped.is_enabled()),
            others: (0..shards).map(|_| Vec::new()).collect(),
            collected: 0,
            thread,
        }
    }

    /// The file has so many bytes: it may announce no more keys than fit in.
    pub(crate) fn bounded_by(mut self, bytes: u64) -> EngineFlow {
        self.loader.bound_by(bytes);
        self
    }

    /// Executes parts of a Redis's stream, and notes where in it the data stands then.
    async fn apply_psync(&self, parts: &[TransactionPart]) -> (usize, Result<(), DataError>) {
        let engine = &self.thread.engine;
        let mut position = engine.redis_position.lock().await;
        let (done, result) = super::psync::apply_all(&self.thread, parts).await;
        let end = parts.last().and_then(TransactionPart::stream_end);
        let end = end.filter(|_| result.is_ok());
        *position = end.and_then(|(next, db)| {
            let replid = match &*position {
                Some(position) => position.replid,
                None => engine.replication().link.status().1?.upstream?.replid,
            };
            Some(RedisPosition {
                replid,
                offset: next.0.checked_sub(1)?,
                db,
            })
        });
        (done, result)
    }

    /// A library of functions.
    fn load_library(&self, source: &[u8]) -> Result<(), DataError> {
        let Err(error) = crate::script::libraries::load(&self.thread, source) else {
            return Ok(());
        };
        let name = source.split(|byte| *byte == b'\n').next();
        let args: [&[u8]; 3] = [b"FUNCTION", b"LOAD", name.unwrap_or_default()];
        let error = DataError::terminal(format!(
            "{}: {error}; --rdb_unknown_types=skip passes over such libraries",
            super::shown(&args)
        ));
        self.thread
            .engine
            .skipped
            .record(None, DbIndex(0), &args, error)
    }

    /// Executes a part on this thread's shard, at once if nothing holds it back.
    async fn apply_here(&self, part: &TransactionPart) -> Result<(), DataError> {
        let table = &self.thread.engine.table;
        if let Some(result) = self.thread.with_core(|core| core.try_apply(table, part)) {
            return result;
        }
        let (answer, applied) = self.thread.answer();
        let job = ApplyJob::new(
            self.thread.engine.clone(),
            vec![part.clone()],
            Box::new(move |result| answer.send(result)),
        );
        self.thread.with_core(|core| core.submit(Box::new(job)));
        applied.await
    }
}

/// An entry that has no place here, and what can be done.
#[cold]
pub(super) fn refusal(refused: Refused) -> DataError {
    DataError::terminal(match refused.reason {
        BuildError::OutOfOrder => refused.to_string(),
        _ => format!("{refused}; --rdb_unknown_types=skip passes over such keys"),
    })
}

/// The commands of a part, with their databases.
pub(super) fn commands(
    part: &TransactionPart,
) -> impl Iterator<Item = (DbIndex, damselfly_resp::ArgVec<'_>)> {
    part.effects().filter_map(|effect| match effect {
        Effect::Command { db, args } => Some((DbIndex(db), args)),
        Effect::Ping => None,
    })
}
