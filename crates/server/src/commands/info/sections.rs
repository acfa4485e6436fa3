//! The short sections.

use super::process::{Cpu, system_name};
use super::report::Report;
use super::text::Text;
use damselfly_engine::families::connection::REDIS_VERSION;
use damselfly_engine::files::LoadProgress;
use damselfly_engine::store::UnixMs;
use damselfly_engine::thread::unix_ms;
use std::sync::atomic::{AtomicU64, Ordering};
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

pub(super) fn persistence(report: &Report, text: &mut Text) {
    let files = &report.engine.files;
    let (status, now) = (files.status(), unix_ms());
    let is_loading = report.engine.is_loading();
    text.field("loading", u8::from(is_loading));
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
    text.field("current_save_keys_processed", status.keys_processed);
    text.field("current_save_keys_total", status.keys_total);
    let changes = report.sums.shards.changes.saturating_sub(status.changes);
    text.field("rdb_changes_since_last_save", changes);
    let running = status.running_since;
    text.field("rdb_bgsave_in_progress", u8::from(running.is_some()));
    let last = status.last_saved.unwrap_or(report.engine.started_at);
    text.field("rdb_last_save_time", last / 1000);
    let well = if status.has_failed { "err" } else { "ok" };
    text.field("rdb_last_bgsave_status", well);
    let took = status.last_took_ms.map_or(-1, |ms| (ms / 1000) as i64);
    text.field("rdb_last_bgsave_time_sec", took);
    let since = running.map_or(-1, |since| (now - since) / 1000);
    text.field("rdb_current_bgsave_time_sec", since);
    text.field("rdb_saves", status.saves);
    text.fields(&["rdb_last_cow_size", "rdb_last_load_keys_expired"], 0);
    let keys_loaded = files.loading.keys.load(Ordering::Relaxed);
    text.field("rdb_last_load_keys_loaded", keys_loaded);
    text.field("aof_enabled", 0);
    without_aof(text);
    if is_loading {
        loading(&files.loading, now, text);
    }
}

fn without_aof(text: &mut Text) {
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

/// How far a load is.
fn loading(progress: &LoadProgress, now: UnixMs, text: &mut Text) {
    let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let (total, loaded) = (load(&progress.total_bytes), load(&progress.loaded_bytes));
    let since = load(&progress.since);
    let elapsed_s = now.unsigned_abs().saturating_sub(since) / 1000;
    let eta_s = match loaded {
        0 => 1,
        loaded => elapsed_s * total.saturating_sub(loaded) / loaded,
    };
    let percent = loaded as f64 * 100.0 / total.max(1) as f64;
    text.field("loading_start_time", since / 1000);
    text.field("loading_total_bytes", total);
    text.field("loading_rdb_used_mem", 0);
    text.field("loading_loaded_bytes", loaded);
    text.field("loading_loaded_perc", format!("{percent:.2}"));
    text.field("loading_eta_seconds", eta_s);
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
