//! `/status.json`: the topology as this server sees it. Times are milliseconds, sizes bytes; `null` is what is not known.

use crate::builder::Shared;
use crate::commands::info::report::Report;
use damselfly_engine::replicate::{PrimaryStatus, replication_status};
use damselfly_engine::replication::Dialect;
use damselfly_engine::replication::driver::{
    LinkFlowStatus, LinkStatus, ReplicaFlowStatus, ReplicaStatus, SyncProgress,
};
use damselfly_engine::replication::primary::SessionState;
use damselfly_engine::thread::{Thread, unix_ms};
use serde::Serialize;
use std::rc::Rc;

/// All of it.
#[derive(Serialize)]
pub(super) struct Document {
    time_ms: i64,
    server: Server,
    primary: Option<Primary>,
    replicas: Vec<Replica>,
}

#[derive(Serialize)]
struct Server {
    name: String,
    role: &'static str,
    version: &'static str,
    run_id: String,
    lineage: String,
    history: String,
    uptime_s: u64,
    shards: usize,
    keys: u64,
    memory_bytes: u64,
    max_memory_bytes: u64,
    clients: u64,
    commands_per_second: f64,
    writes_per_second: f64,
    is_loading: bool,
}

#[derive(Serialize)]
struct Primary {
    host: String,
    port: u16,
    phase: &'static str,
    phase_ms: u64,
    dialect: Option<&'static str>,
    full_sync: Option<FullSync>,
    last_io_ms: Option<u64>,
    down_ms: Option<u64>,
    full_syncs: u64,
    partial_sync_attempts: u64,
    partial_syncs: u64,
    reconnects: u64,
    last_error: Option<String>,
    flows: Vec<PrimaryFlow>,
}

#[derive(Serialize)]
struct PrimaryFlow {
    next_lsn: Option<u64>,
    last_io_ms: u64,
    received_bytes: u64,
    keys_loaded: u64,
    keys_expected: Option<u64>,
}

#[derive(Serialize)]
struct Replica {
    id: String,
    host: String,
    port: u16,
    name: Option<String>,
    phase: &'static str,
    phase_ms: u64,
    dialect: Option<&'static str>,
    full_sync: Option<FullSync>,
    lag: Lag,
    ack_age_ms: Option<u64>,
    ack_interval_ms: Option<u64>,
    unsent_bytes: u64,
    sent_full_sync_bytes: u64,
    sent_record_bytes: u64,
    flows: Vec<ReplicaFlow>,
}

#[derive(Serialize)]
struct ReplicaFlow {
    lag: Lag,
    ack_age_ms: Option<u64>,
    unsent_bytes: u64,
    sent_full_sync_bytes: u64,
    sent_record_bytes: u64,
    keys_sent: u64,
    keys_total: u64,
}

#[derive(Serialize)]
struct Lag {
    records: u64,
    bytes: u64,
    ms: u64,
}

#[derive(Serialize)]
struct FullSync {
    keys_done: u64,
    keys_total: Option<u64>,
    percent: Option<f64>,
    remaining_ms: Option<u64>,
    elapsed_ms: u64,
}

impl Document {
    /// Asks all threads.
    pub(super) async fn gather(thread: &Rc<Thread>, shared: Shared) -> Document {
        let report = Report::of(thread, shared).await;
        let status = replication_status(&thread.engine);
        Document {
            time_ms: unix_ms(),
            server: Server::of(&report, status.primary.is_some()),
            primary: status.primary.map(Primary::of),
            replicas: status.replicas.into_iter().map(Replica::of).collect(),
        }
    }
}

impl Server {
    fn of(report: &Report, is_replica: bool) -> Server {
        let lineage = report.engine.lineage();
        let databases = report.sums.shards.databases.iter();
        Server {
            name: name(report),
            role: if is_replica { "replica" } else { "primary" },
            version: env!("CARGO_PKG_VERSION"),
            run_id: report.shared.facts.run_id.clone(),
            lineage: lineage.replid().to_string(),
            history: lineage.history().to_string(),
            uptime_s: report.uptime_s(),
            shards: report.engine.mesh.shards(),
            keys: databases.map(|database| database.keys).sum(),
            memory_bytes: report.used_memory(),
            max_memory_bytes: report.config.maxmemory,
            clients: report.sums.clients.normal,
            commands_per_second: report.sums.traffic.rates.commands,
            writes_per_second: report.sums.traffic.rates.changes,
            is_loading: report.engine.is_loading(),
        }
    }
}

/// What the server is called: the address that it announces, or one that it listens on, or the machine's name.
fn name(report: &Report) -> String {
    let config = &report.config;
    let port = match config.announce_port {
        0 => config.port.to_string(),
        port => port.to_string(),
    };
    if !config.replica_announce_ip.is_empty() {
        return format!("{}:{port}", config.replica_announce_ip);
    }
    let mut addresses = report.shared.addresses.iter();
    match addresses.find(|address| !address.ip().is_unspecified()) {
        Some(address) if config.announce_port == 0 => address.to_string(),
        Some(address) => format!("{}:{port}", address.ip()),
        None => {
            let system = rustix::system::uname();
            format!("{}:{port}", system.nodename().to_string_lossy())
        }
    }
}

impl Primary {
    fn of(status: PrimaryStatus) -> Primary {
        let link = status.link.as_ref();
        let stats = link.map(|link| link.stats).unwrap_or_default();
        Primary {
            host: status.host.clone(),
            port: status.port,
            phase: status.state.as_str(),
            phase_ms: link.map_or(0, |link| link.phase_ms),
            dialect: link.and_then(dialect),
            full_sync: link.and_then(LinkStatus::full_sync).map(FullSync::of),
            last_io_ms: link.and_then(|link| link.last_io_ms),
            down_ms: link.and_then(|link| link.down_ms),
            full_syncs: stats.full_syncs,
            partial_sync_attempts: stats.psync_attempts,
            partial_syncs: stats.psync_successes,
            reconnects: stats.reconnects,
            last_error: link
                .and_then(|link| link.last_error.as_ref())
                .map(ToString::to_string),
            flows: link.map_or_else(Vec::new, |link| {
                link.flows.iter().map(PrimaryFlow::of).collect()
            }),
        }
    }
}

/// Whom the primary is like, once it was greeted.
fn dialect(link: &LinkStatus) -> Option<&'static str> {
    let upstream = link.upstream.as_ref()?;
    Some(match upstream.dialect {
        Dialect::Psync => "redis",
        Dialect::Flows => flows_dialect(upstream.level),
    })
}

fn flows_dialect(level: u8) -> &'static str {
    match level {
        0 => "dragonfly",
        _ => "damselfly",
    }
}

impl PrimaryFlow {
    fn of(flow: &LinkFlowStatus) -> PrimaryFlow {
        PrimaryFlow {
            next_lsn: flow.executed.map(|lsn| lsn.0),
            last_io_ms: flow.last_io_ms,
            received_bytes: flow.received_bytes,
            keys_loaded: flow.keys_loaded,
            keys_expected: flow.keys_expected,
        }
    }
}

impl Replica {
    fn of(status: ReplicaStatus) -> Replica {
        Replica {
            id: status.sync_id.to_string(),
            phase: match status.state {
                SessionState::Preparation => "handshake",
                SessionState::FullSync => "full_sync",
                SessionState::StableSync => "stable_sync",
                SessionState::Cancelled => "broken",
            },
            phase_ms: status.state_ms,
            dialect: Some(flows_dialect(status.level)),
            full_sync: status.full_sync.map(FullSync::of),
            lag: Lag {
                records: status.flows.iter().map(|flow| flow.lag_records).sum(),
                bytes: status.lag_bytes,
                ms: status.lag_ms,
            },
            ack_age_ms: status.ack_age_ms,
            ack_interval_ms: status.ack_interval_ms,
            unsent_bytes: status.unsent_bytes,
            sent_full_sync_bytes: status.sent_bytes.0,
            sent_record_bytes: status.sent_bytes.1,
            flows: status.flows.iter().map(ReplicaFlow::of).collect(),
            host: status.ip,
            port: status.port,
            name: status.client_id,
        }
    }
}

impl ReplicaFlow {
    fn of(flow: &ReplicaFlowStatus) -> ReplicaFlow {
        ReplicaFlow {
            lag: Lag {
                records: flow.lag_records,
                bytes: flow.lag_bytes,
                ms: flow.lag_ms,
            },
            ack_age_ms: flow.ack_age_ms,
            unsent_bytes: flow.unsent_bytes,
            sent_full_sync_bytes: flow.sent_bytes.0,
            sent_record_bytes: flow.sent_bytes.1,
            keys_sent: flow.snapshot_keys.0,
            keys_total: flow.snapshot_keys.1,
        }
    }
}

impl FullSync {
    fn of(progress: SyncProgress) -> FullSync {
        FullSync {
            keys_done: progress.keys_done,
            keys_total: progress.keys_total,
            percent: progress.percent(),
            remaining_ms: progress.remaining_ms(),
            elapsed_ms: progress.elapsed_ms,
        }
    }
}
