//! Everything that INFO tells, gathered from all threads at one time.

use crate::clients::ClientKind;
use crate::counters::Rates;
use crate::service::{ServerThread, SessionHost};
use crate::{Config, Shared};
use damselfly_engine::cleaning::CleaningStats;
use damselfly_engine::core::ShardCore;
use damselfly_engine::keyspace::KeyspaceStats;
use damselfly_engine::replicate::replication_section;
use damselfly_engine::stats::CommandStats;
use damselfly_engine::store::DbIndex;
use damselfly_engine::thread::{Thread, unix_ms};
use damselfly_engine::{CommandError, Engine, Session};
use std::rc::Rc;
use std::sync::Arc;

/// Buckets of a shard in which INFO looks for the mean time to live.
const TTL_BUCKETS: usize = 32;

/// All numbers.
pub(crate) struct Report {
    pub(crate) engine: Arc<Engine>,
    pub(crate) shared: Shared,
    pub(crate) config: Arc<Config>,
    /// The section of replication, with its headline.
    pub(crate) replication: String,
    /// The sums over all threads.
    pub(crate) sums: ThreadReport,
}

/// The numbers of one thread, or their sums.
#[derive(Default)]
pub(crate) struct ThreadReport {
    pub(crate) commands: CommandStats,
    pub(crate) clients: Clients,
    pub(crate) traffic: Traffic,
    pub(crate) shards: Shards,
    pub(crate) cleaning: CleaningStats,
}

/// Of clients.
#[derive(Default)]
pub(crate) struct Clients {
    /// Ordinary ones.
    pub(crate) normal: u64,
    /// Those whose command waits for others.
    pub(crate) blocked: u64,
    /// Bytes of their buffers.
    pub(crate) normal_bytes: u64,
    /// Bytes of the buffers of replicas' connections.
    pub(crate) replica_bytes: u64,
    /// The largest input buffer.
    pub(crate) max_input: u64,
    /// The largest output buffer.
    pub(crate) max_output: u64,
}

/// Of sockets.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) input_bytes: u64,
    pub(crate) output_bytes: u64,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) rates: Rates,
}

/// Of shards.
#[derive(Default)]
pub(crate) struct Shards {
    /// Bytes of the data.
    pub(crate) used_bytes: u64,
    /// Bytes of tables: no keys, no values.
    pub(crate) table_bytes: u64,
    /// Bytes of tables that wait for the next keys.
    pub(crate) free_slots_bytes: u64,
    /// Bytes of journal that are kept.
    pub(crate) backlog_bytes: u64,
    /// Values that wait to be freed.
    pub(crate) garbage: u64,
    /// Commands that wait for a snapshot or a slow replica.
    pub(crate) parked: u64,
    /// Changes of data.
    pub(crate) changes: u64,
    /// Keys that clients have read and may keep.
    pub(crate) tracked_keys: usize,
    /// The clients at all of them.
    pub(crate) tracked_items: usize,
    pub(crate) lookups: KeyspaceStats,
    pub(crate) databases: Vec<Database>,
}

/// Of one database.
#[derive(Default, Clone)]
pub(crate) struct Database {
    pub(crate) keys: u64,
    pub(crate) expires: u64,
    /// Bytes of the table.
    pub(crate) table_bytes: u64,
    /// Keys whose time to live was looked at.
    pub(crate) ttl_samples: u64,
    /// The sum of those times, in milliseconds.
    pub(crate) ttl_ms: u64,
    /// Those of them whose time has passed.
    pub(crate) stale: u64,
}

impl Report {
    /// Asks all threads, for a client.
    pub(crate) async fn gather(session: &Session) -> Result<Report, CommandError> {
        let host = session.host.downcast_ref::<SessionHost>();
        let host = host.ok_or(CommandError::text(
            "ERR this session has no server that it could tell of",
        ))?;
        let shared = host.server.shared.clone();
        Ok(Report::of(&session.thread, shared).await)
    }

    /// Asks all threads.
    pub(crate) async fn of(thread: &Rc<Thread>, shared: Shared) -> Report {
        let mut sums = ThreadReport::default();
        for report in thread.on_all_threads(ThreadReport::of).await {
            sums.add(report);
        }
        Report {
            engine: thread.engine.clone(),
            config: shared.settings.load(),
            shared,
            replication: replication_section(thread).await,
            sums,
        }
    }

    /// Bytes in use: data, kept journal, buffers of clients.
    pub(crate) fn used_memory(&self) -> u64 {
        let Clients {
            normal_bytes,
            replica_bytes,
            ..
        } = self.sums.clients;
        self.sums.shards.used_bytes + self.sums.shards.backlog_bytes + normal_bytes + replica_bytes
    }

    /// Seconds since the start.
    pub(crate) fn uptime_s(&self) -> u64 {
        self.shared.facts.started.elapsed().as_secs()
    }
}

impl ThreadReport {
    fn of(thread: &Rc<Thread>) -> ThreadReport {
        let mut report = ThreadReport {
            commands: thread.stats.borrow().clone(),
            cleaning: thread.cleaned.get(),
            ..ThreadReport::default()
        };
        if let Some(server) = ServerThread::on(thread) {
            report.clients = Clients::of(&server);
            report.traffic = Traffic::of(&server);
        }
        if let Some((commands, shard)) =
            thread.try_with_core(|core| (core.stats.clone(), Shards::of(core)))
        {
            report.commands.add(&commands);
            report.shards = shard;
        }
        report
    }

    fn add(&mut self, other: ThreadReport) {
        self.commands.add(&other.commands);
        self.clients.add(&other.clients);
        self.traffic.add(&other.traffic);
        self.shards.add(other.shards);
        self.cleaning.add(&other.cleaning);
    }
}

impl Clients {
    fn of(server: &ServerThread) -> Clients {
        let mut clients = Clients::default();
        for entry in server.clients.entries() {
            let buffers = entry.buffers.get();
            clients.blocked += u64::from(entry.is_blocked());
            if entry.kind.get() == ClientKind::Normal {
                clients.normal += 1;
                clients.normal_bytes += buffers.total() as u64;
            } else {
                clients.replica_bytes += buffers.total() as u64;
            }
            clients.max_input = clients.max_input.max(buffers.input as u64);
            clients.max_output = clients.max_output.max(buffers.output_size as u64);
        }
        clients
    }

    fn add(&mut self, other: &Clients) {
        self.normal += other.normal;
        self.blocked += other.blocked;
        self.normal_bytes += other.normal_bytes;
        self.replica_bytes += other.replica_bytes;
        self.max_input = self.max_input.max(other.max_input);
        self.max_output = self.max_output.max(other.max_output);
    }
}

impl Traffic {
    fn of(server: &ServerThread) -> Traffic {
        let counters = &server.counters;
        Traffic {
            input_bytes: counters.input_bytes.get(),
            output_bytes: counters.output_bytes.get(),
            reads: counters.reads.get(),
            writes: counters.writes.get(),
            rates: counters.rates(),
        }
    }

    fn add(&mut self, other: &Traffic) {
        self.input_bytes += other.input_bytes;
        self.output_bytes += other.output_bytes;
        self.reads += other.reads;
        self.writes += other.writes;
        self.rates.commands += other.rates.commands;
        self.rates.changes += other.rates.changes;
        self.rates.input += other.rates.input;
        self.rates.output += other.rates.output;
    }
}

impl Shards {
    fn of(core: &mut ShardCore) -> Shards {
        let store = &core.space.store;
        let databases: Vec<_> = (0..store.dbnum()).map(DbIndex).collect();
        Shards {
            used_bytes: store.used_memory() as u64,
            table_bytes: databases
                .iter()
                .map(|db| store.memory(*db).table as u64)
                .sum(),
            free_slots_bytes: store.free_slots_memory() as u64,
            backlog_bytes: core.journal.backlog_bytes() as u64,
            garbage: core.space.garbage_len() as u64,
            parked: core.parked_len() as u64,
            changes: core.space.changes,
            tracked_keys: core.space.tracking.totals().0,
            tracked_items: core.space.tracking.totals().1,
            lookups: core.space.stats(),
            databases: databases.iter().map(|db| Database::of(core, *db)).collect(),
        }
    }

    fn add(&mut self, other: Shards) {
        self.used_bytes += other.used_bytes;
        self.table_bytes += other.table_bytes;
        self.free_slots_bytes += other.free_slots_bytes;
        self.backlog_bytes += other.backlog_bytes;
        self.garbage += other.garbage;
        self.parked += other.parked;
        self.changes += other.changes;
        self.tracked_keys += other.tracked_keys;
        self.tracked_items += other.tracked_items;
        self.lookups.hits += other.lookups.hits;
        self.lookups.misses += other.lookups.misses;
        self.lookups.expired += other.lookups.expired;
        self.lookups.evicted += other.lookups.evicted;
        self.lookups.freed_later += other.lookups.freed_later;
        self.databases.resize(
            self.databases.len().max(other.databases.len()),
            Database::default(),
        );
        self.databases
            .iter_mut()
            .zip(&other.databases)
            .for_each(|(sum, db)| sum.add(db));
    }
}

impl Database {
    fn of(core: &ShardCore, db: DbIndex) -> Database {
        let store = &core.space.store;
        let (keys, expires) = (store.len(db) as u64, store.expires_len(db) as u64);
        let mut database = Database {
            keys,
            expires,
            table_bytes: store.memory(db).table as u64,
            ..Database::default()
        };
        if expires > 0 {
            let (mut found, now) = (Vec::new(), unix_ms());
            store.expiring_slice(db, 0, TTL_BUCKETS, i64::MAX, &mut found);
            let at =
                |key: &damselfly_engine::store::Key| store.get(db, key.as_bytes())?.expire_at();
            database.ttl_samples = found.len() as u64;
            for left in found.iter().filter_map(at).map(|at| at - now) {
                database.ttl_ms += left.max(0) as u64;
                database.stale += u64::from(left <= 0);
            }
        }
        database
    }

    fn add(&mut self, other: &Database) {
        self.keys += other.keys;
        self.expires += other.expires;
        self.table_bytes += other.table_bytes;
        self.ttl_samples += other.ttl_samples;
        self.ttl_ms += other.ttl_ms;
        self.stale += other.stale;
    }

    /// The mean time to live of the keys that have one, in milliseconds, from a sample.
    pub(crate) fn mean_ttl_ms(&self) -> u64 {
        self.ttl_ms.checked_div(self.ttl_samples).unwrap_or(0)
    }
}
