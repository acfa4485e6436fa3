//! The short sections.

use super::process::{Cpu, system_name};
use super::report::Report;
use super::text::Text;
use damselfly_engine::families::connection::REDIS_VERSION;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bits of `lru_clock`, a clock of seconds.
const LRU_CLOCK_BITS: u64 = (1 << 24) - 1;
const SECONDS_PER_DAY: u64 = 86_400;

pub(super) fn server(report: &Report, text: &mut Text) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let uptime = report.uptime_s();
    text.field("redis_version", REDIS_VERSION);
    text.field("damselfly_version", env!("CARGO_PKG_VERSION"));
    text.field("redis_git_sha1", "00000000");
    text.field("redis_git_dirty", 0);
    text.field("redis_build_id", 0);
    text.field("redis_mode", "standalone");
    text.field("os", system_name());
    text.field("arch_bits", usize::BITS);
    text.field("monotonic_clock", "POSIX clock_gettime");
    text.field("multiplexing_api", "epoll");
    text.field("atomicvar_api", "rust");
    text.field("process_id", std::process::id());
    text.field("process_supervised", "no");
    text.field("run_id", &report.shared.facts.run_id);
    text.field("tcp_port", report.config.port);
    text.field("server_time_usec", now.as_micros());
    text.field("uptime_in_seconds", uptime);
    text.field("uptime_in_days", uptime / SECONDS_PER_DAY);
    text.field("hz", 10);
    text.field("configured_hz", 10);
    text.field("lru_clock", now.as_secs() & LRU_CLOCK_BITS);
    text.field(
        "executable",
        std::env::current_exe().unwrap_or_default().display(),
    );
    text.field("config_file", "");
    text.field("io_threads_active", 0);
    text.field("thread_count", report.engine.mesh.threads());
    text.field("shard_count", report.engine.mesh.shards());
}

pub(super) fn clients(report: &Report, text: &mut Text) {
    let clients = &report.sums.clients;
    text.field("connected_clients", clients.normal);
    text.field("cluster_connections", 0);
    text.field("maxclients", report.config.maxclients);
    text.field("client_recent_max_input_buffer", clients.max_input);
    text.field("client_recent_max_output_buffer", clients.max_output);
    text.field("blocked_clients", clients.blocked);
    text.field("tracking_clients", report.engine.tracking.clients());
    text.field("clients_in_timeout_table", 0);
}

/// Nothing is saved to files yet; the data set can only be loaded from a primary.
pub(super) fn persistence(report: &Report, text: &mut Text) {
    text.field("loading", u8::from(report.engine.is_loading()));
    text.fields(
        &[
            "async_loading",
            "current_cow_peak",
            "current_cow_size",
            "current_cow_size_age",
        ],
        0,
    );
    text.field("current_fork_perc", "0.00");
    text.fields(
        &["current_save_keys_processed", "current_save_keys_total"],
        0,
    );
    text.field("rdb_changes_since_last_save", report.sums.shards.changes);
    text.field("rdb_bgsave_in_progress", 0);
    text.field("rdb_last_save_time", report.engine.started_at / 1000);
    text.field("rdb_last_bgsave_status", "ok");
    text.fields(
        &["rdb_last_bgsave_time_sec", "rdb_current_bgsave_time_sec"],
        -1,
    );
    text.fields(
        &[
            "rdb_saves",
            "rdb_last_cow_size",
            "rdb_last_load_keys_expired",
            "rdb_last_load_keys_loaded",
            "aof_enabled",
        ],
        0,
    );
    text.fields(&["aof_rewrite_in_progress", "aof_rewrite_scheduled"], 0);
    text.fields(
        &["aof_last_rewrite_time_sec", "aof_current_rewrite_time_sec"],
        -1,
    );
    text.field("aof_last_bgrewrite_status", "ok");
    text.fields(&["aof_rewrites", "aof_rewrites_consecutive_failures"], 0);
    text.field("aof_last_write_status", "ok");
    text.fields(
        &[
            "aof_last_cow_size",
            "module_fork_in_progress",
            "module_fork_last_cow_size",
        ],
        0,
    );
}

pub(super) fn replication(report: &Report, text: &mut Text) {
    let lines = &report.replication;
    text.lines(lines.strip_prefix("# Replication\r\n").unwrap_or(lines));
}

pub(super) fn cpu(_: &Report, text: &mut Text) {
    let Cpu { user, system } = Cpu::of_process();
    text.field("used_cpu_sys", format_args!("{system:.6}"));
    text.field("used_cpu_user", format_args!("{user:.6}"));
    text.fields(
        &["used_cpu_sys_children", "used_cpu_user_children"],
        "0.000000",
    );
}

pub(super) fn cluster(_: &Report, text: &mut Text) {
    text.field("cluster_enabled", 0);
}

pub(super) fn keyspace(report: &Report, text: &mut Text) {
    for (index, db) in report
        .sums
        .shards
        .databases
        .iter()
        .enumerate()
        .filter(|(_, db)| db.keys > 0)
    {
        let line = format!(
            "keys={},expires={},avg_ttl={}",
            db.keys,
            db.expires,
            db.mean_ttl_ms()
        );
        text.field(format_args!("db{index}"), line);
    }
}
