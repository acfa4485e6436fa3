//! What all threads of an engine share, and starting and stopping the threads.

use crate::acl::{Acl, Restricted};
use crate::command::{Command, CommandError, CommandResult, CommandTable};
use crate::core::ShardCore;
use crate::events::{EventFlags, EventHub};
use crate::eviction::{EvictionOptions, MemoryLedger, MemoryShare};
use crate::files::{Files, RedisPosition};
use crate::mesh::Mesh;
use crate::monitor::Monitors;
use crate::pause::Pauses;
use crate::pubsub::{Index, OutputLimits, PublishedEvents};
use crate::replicate::{Replication, ReplicationOptions, Skipped};
use crate::script::{ScriptOptions, Scripts};
use crate::slow::{SlowLog, Thresholds};
use crate::thread::Thread;
use crate::tracking::{TrackingIndex, TrackingTable};
use crate::world;
use damselfly_journal::JournalOptions;
use damselfly_replication::{Lineage, ReplId};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use tokio_util::sync::CancellationToken;

/// Settings of an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Threads; connections are spread over them.
    pub threads: usize,
    /// Shards, one on each of the first threads; at most `threads`.
    pub shards: usize,
    /// Databases.
    pub dbnum: u16,
    /// Limit of used memory over all shards in bytes; 0 is none.
    pub max_memory: u64,
    /// Which keys give way to the limit.
    pub eviction: EvictionOptions,
    /// Which keyspace events are told.
    pub events: EventFlags,
    /// Bytes of journal kept for replicas that come back, over all shards.
    pub backlog_max_bytes: u64,
    /// Time for which journal is kept, in milliseconds; 0 leaves it to the bytes.
    pub backlog_time_ms: u64,
    /// Whether a replica passes over values of types and records of commands that are not known, instead of ending the
    /// link with an error; [`Skipped::enable`] changes it later.
    pub skip_unknown_types: bool,
    /// How scripts are run.
    pub scripts: ScriptOptions,
    /// How replication goes.
    pub replication: ReplicationOptions,
    /// Seed of hashing and random choices.
    pub seed: u64,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            threads: 1,
            shards: 1,
            dbnum: 16,
            max_memory: 0,
            eviction: EvictionOptions::default(),
            events: EventFlags::default(),
            backlog_max_bytes: 64 << 20,
            backlog_time_ms: 0,
            skip_unknown_types: false,
            scripts: ScriptOptions::default(),
            replication: ReplicationOptions::default(),
            seed: 0x9E37_79B9_7F4A_7C15,
        }
    }
}

/// The limits among the settings that may change while the engine runs; for all shards together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineLimits {
    /// As [`EngineOptions::max_memory`].
    pub max_memory: u64,
    /// As [`EngineOptions::eviction`].
    pub eviction: EvictionOptions,
    /// As [`EngineOptions::events`].
    pub events: EventFlags,
    /// As [`EngineOptions::backlog_max_bytes`].
    pub backlog_max_bytes: u64,
    /// As [`EngineOptions::backlog_time_ms`].
    pub backlog_time_ms: u64,
    /// Which commands are slow.
    pub slow: Thresholds,
}

/// What kind of node this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Takes writes.
    Primary = 0,
    /// Follows a primary.
    Replica = 1,
}

/// Ends the links of all replicas, for this reason.
pub type EndReplicas = Box<dyn Fn(&str) + Send + Sync>;

/// The shared part of an engine.
pub struct Engine {
    /// The threads' mailboxes.
    pub mesh: Mesh,
    /// The commands.
    pub table: CommandTable,
    /// Who may do what.
    pub acl: Acl,
    /// Commands that only administrators' connections may run, if there are such; sessions are told by whoever makes them.
    pub restricted: OnceLock<Arc<Restricted>>,
    /// What took long.
    pub slow: Arc<SlowLog>,
    /// The settings it was started with.
    pub options: EngineOptions,
    /// What a replica passed over, because it does not know it.
    pub skipped: Arc<Skipped>,
    /// What all shards use, against the limit.
    pub memory: Arc<MemoryLedger>,
    /// What is known of scripts.
    pub scripts: Scripts,
    /// Who is told what happens to keys.
    pub events: Arc<EventHub>,
    /// Who subscribes to what.
    pub subscriptions: Index,
    /// Who tracks which keys.
    pub tracking: Arc<TrackingIndex>,
    /// Who sees the commands of all others.
    pub monitors: Monitors,
    /// What clients have to wait for.
    pub pauses: Arc<Pauses>,
    /// How much may wait for clients that do not read.
    pub output_limits: Arc<OutputLimits>,
    /// Whether anybody needs records of what is published: whether the journal of shard 0 is active.
    pub(crate) records_publishing: Arc<AtomicBool>,
    /// Its snapshots in files.
    pub files: Files,
    /// Where the data stands in the stream of the Redis that it follows; held while commands of it are executed.
    pub(crate) redis_position: tokio::sync::Mutex<Option<RedisPosition>>,
    /// Serializes cuts.
    pub(crate) cuts: tokio::sync::Mutex<()>,
    /// When it was made, in Unix milliseconds.
    pub started_at: damselfly_store::UnixMs,
    role: AtomicU8,
    loading: AtomicBool,
    lineage: Mutex<Lineage>,
    replication: OnceLock<Replication>,
    end_replicas: OnceLock<EndReplicas>,
    next_client: AtomicU64,
    stop: CancellationToken,
    shutdown: CancellationToken,
}

impl Engine {
    /// An engine whose threads are not running; for [`Engine::start`] and for simulators.
    pub fn new(options: EngineOptions, commands: &[&'static [Command]]) -> Arc<Engine> {
        let families: Vec<&'static [Command]> = crate::families::ALL
            .iter()
            .copied()
            .chain(commands.iter().copied())
            .collect();
        let memory = Arc::new(MemoryLedger::new(options.shards));
        let scripts = Scripts::new(options.scripts);
        let skipped = Arc::new(Skipped::default());
        skipped.enable(options.skip_unknown_types);
        let events = EventHub::default();
        events.deliver_to(Box::new(PublishedEvents));
        let table = CommandTable::new(&families);
        Arc::new(Engine {
            tracking: Arc::new(TrackingIndex::new(options.threads)),
            monitors: Monitors::new(options.threads),
            mesh: Mesh::new(options.threads, options.shards),
            acl: Acl::new(&table),
            restricted: OnceLock::new(),
            slow: Arc::default(),
            table,
            options,
            memory,
            events: Arc::new(events),
            subscriptions: Index::default(),
            pauses: Arc::default(),
            output_limits: Arc::default(),
            records_publishing: Arc::default(),
            scripts,
            skipped,
            files: Files::default(),
            redis_position: tokio::sync::Mutex::new(None),
            cuts: tokio::sync::Mutex::new(()),
            started_at: crate::thread::unix_ms(),
            role: AtomicU8::new(Role::Primary as u8),
            loading: AtomicBool::new(false),
            lineage: Mutex::new(Lineage::new(new_replid())),
            replication: OnceLock::new(),
            end_replicas: OnceLock::new(),
            next_client: AtomicU64::new(1),
            stop: CancellationToken::new(),
            shutdown: CancellationToken::new(),
        })
    }

    /// Starts the threads. `commands` are added to the engine's own.
    ///
    /// # Errors
    /// A thread or its runtime can't be created.
    pub fn start(
        options: EngineOptions,
        commands: &[&'static [Command]],
    ) -> std::io::Result<RunningEngine> {
        let engine = Engine::new(options, commands);
        let threads = (0..engine.mesh.threads())
            .map(|index| {
                let engine = engine.clone();
                let runtime = move || run_thread(index, &engine);
                std::thread::Builder::new()
                    .name(format!("shard-{index}"))
                    .spawn(runtime)
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        // Nobody may see the engine before its first thread has started replication.
        engine.replication.wait();
        Ok(RunningEngine { engine, threads })
    }

    /// A new shard for this engine.
    pub fn new_shard(&self, index: usize) -> ShardCore {
        let seed = self
            .options
            .seed
            .wrapping_add((index as u64).wrapping_mul(0xA24B_AED4_963E_E407));
        let mut core = ShardCore::new(
            index as u16,
            self.options.dbnum,
            seed,
            JournalOptions::default(),
        );
        core.skipped = self.skipped.clone();
        core.slow_log = self.slow.clone();
        core.scripts = self.scripts.running.clone();
        core.pauses = self.pauses.clone();
        if index == 0 {
            core.journal.tell_active(self.records_publishing.clone());
        }
        core.space.events = self.events.clone();
        core.space.tracking = TrackingTable::new(self.tracking.clone(), index);
        core.memory = MemoryShare::new(self.memory.clone(), index);
        let EngineOptions {
            max_memory,
            eviction,
            events,
            backlog_max_bytes,
            backlog_time_ms,
            ..
        } = self.options;
        self.limit_shard(
            &mut core,
            EngineLimits {
                max_memory,
                eviction,
                events,
                backlog_max_bytes,
                backlog_time_ms,
                slow: self.slow.thresholds(),
            },
        );
        core
    }

    /// Gives a shard its part of new limits.
    pub fn limit_shard(&self, core: &mut ShardCore, limits: EngineLimits) {
        let shards = self.mesh.shards() as u64;
        self.memory.set_max(limits.max_memory);
        self.events.set_flags(limits.events);
        core.set_eviction(limits.eviction);
        core.slow.set(limits.slow);
        core.publish_memory();
        let backlog_max_bytes = (limits.backlog_max_bytes / shards) as usize;
        core.journal.set_options(JournalOptions {
            backlog_max_bytes,
            backlog_max_ms: (limits.backlog_time_ms > 0).then_some(limits.backlog_time_ms),
            pinned_max_bytes: 2 * backlog_max_bytes,
        });
    }

    /// What kind of node this is.
    pub fn role(&self) -> Role {
        if self.role.load(Ordering::Relaxed) == Role::Primary as u8 {
            Role::Primary
        } else {
            Role::Replica
        }
    }

    /// Whether clients may write.
    ///
    /// # Errors
    /// [`CommandError::ReadOnly`] on a replica, [`CommandError::NoReplicas`] on a primary that wants more of them.
    pub(crate) fn check_writable(&self) -> CommandResult {
        if self.role() == Role::Replica {
            return Err(CommandError::ReadOnly);
        }
        match self.try_replication() {
            Some(replication) if replication.good.are_lacking() => Err(CommandError::NoReplicas),
            _ => Ok(()),
        }
    }

    /// Changes the role; the shards are told by whoever changes it, at a cut.
    pub fn set_role(&self, role: Role) {
        self.role.store(role as u8, Ordering::Relaxed);
    }

    /// The replication of a running engine.
    ///
    /// # Panics
    /// The engine's threads are not running.
    pub fn replication(&self) -> &Replication {
        self.replication
            .get()
            .expect("started before any command runs")
    }

    /// The replication, once it has started.
    pub(crate) fn try_replication(&self) -> Option<&Replication> {
        self.replication.get()
    }

    /// Which sequence of records the journals hold.
    pub fn lineage(&self) -> Lineage {
        self.lineage
            .lock()
            .expect("nobody panics while changing it")
            .clone()
    }

    /// Changes the lineage.
    pub fn change_lineage<R>(&self, change: impl FnOnce(&mut Lineage) -> R) -> R {
        change(
            &mut self
                .lineage
                .lock()
                .expect("nobody panics while changing it"),
        )
    }

    /// Ends the links of all replicas, those that are still preparing too; they come back and greet again.
    pub(crate) fn end_replicas(&self, why: &str) {
        if let Some(end) = self.end_replicas.get() {
            end(why);
        }
    }

    /// Says how the links of all replicas are ended, for whoever has the hub: once, before any comes.
    pub fn ends_replicas_with(&self, end: EndReplicas) {
        let _ = self.end_replicas.set(end);
    }

    /// Whether the data set is being replaced: most commands are refused.
    pub fn is_loading(&self) -> bool {
        self.loading.load(Ordering::Relaxed)
    }

    /// Says whether the data set is being replaced.
    pub fn set_loading(&self, loading: bool) {
        self.loading.store(loading, Ordering::Relaxed);
    }

    /// Whether what is published has to be recorded for somebody.
    pub(crate) fn records_publishing(&self) -> bool {
        self.records_publishing.load(Ordering::Acquire)
    }

    /// An id for a connection.
    pub fn next_client_id(&self) -> u64 {
        self.next_client.fetch_add(1, Ordering::Relaxed)
    }

    /// Cancelled when the server is to end because a replica has taken over: whoever started the engine ends it then.
    pub fn shutdown_token(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Cancelled when the engine stops.
    pub fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }
}

/// An engine with its threads. Dropped, it stops them and waits for them.
pub struct RunningEngine {
    engine: Arc<Engine>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl RunningEngine {
    /// The shared part.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Stops the threads and waits for them.
    pub fn stop(self) {}
}

impl Drop for RunningEngine {
    fn drop(&mut self) {
        self.engine.stop.cancel();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a shard thread panicked");
            }
        }
    }
}

fn run_thread(index: usize, engine: &Arc<Engine>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .expect("the operating system gives an event queue to a thread that it has just given");
    let stop = engine.stop.clone();
    runtime.block_on(async {
        let thread = Thread::new(index, engine.clone());
        thread.enter();
        if index == 0 {
            let replication = Replication::start(engine);
            let hub = replication.hub.clone();
            engine.ends_replicas_with(Box::new(move |why| hub.end_all(why)));
            let _ = engine.replication.set(replication);
        }
        start_tasks(&thread);
        stop.cancelled().await;
    });
}

/// Starts what every thread of an engine does beside its connections: for the threads here, and for simulators.
/// To be called inside the thread's runtime (or its `LocalSet`).
pub fn start_tasks(thread: &Rc<Thread>) {
    tokio::task::spawn_local(thread.clone().serve_inbox());
    tokio::task::spawn_local(crate::cleaning::clean_actively(thread.clone()));
    if thread.index == 0 {
        tokio::task::spawn_local(crate::pause::end_in_time(thread.clone()));
    }
}

/// A replication id that nobody else draws.
pub fn new_replid() -> ReplId {
    let words = [world::random(), world::random(), world::random()];
    ReplId::from_random(std::array::from_fn(|index| {
        words[index / 8].to_le_bytes()[index % 8]
    }))
}
