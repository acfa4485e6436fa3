//! The sections that count: connections, commands, errors, latencies.

use super::report::{Database, Report};
use super::text::Text;
use damselfly_engine::pubsub::Kind;
use damselfly_engine::stats::RowStats;
use std::collections::BTreeMap;
use std::time::Duration;

/// The percentiles that `latency-tracking-info-percentiles` names by default.
const PERCENTILES: [(&str, f64); 3] = [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)];

pub(super) fn stats(report: &Report, text: &mut Text) {
    traffic(report, text);
    let syncs = report.engine.replication().hub.counts();
    text.field("sync_full", syncs.full_syncs);
    text.field("sync_partial_ok", syncs.partial_syncs);
    text.field("sync_partial_err", syncs.partial_refused);
    keys(report, text);
    for (name, kind) in [
        ("pubsub_channels", Kind::Channel),
        ("pubsub_patterns", Kind::Pattern),
        ("pubsubshard_channels", Kind::Shard),
    ] {
        text.field(name, report.engine.subscriptions.len(kind));
    }
    text.fields(&["latest_fork_usec", "total_forks"], 0);
    text.fields(
        &[
            "migrate_cached_sockets",
            "slave_expires_tracked_keys",
            "active_defrag_hits",
        ],
        0,
    );
    text.fields(
        &[
            "active_defrag_misses",
            "active_defrag_key_hits",
            "active_defrag_key_misses",
        ],
        0,
    );
    text.fields(
        &["total_active_defrag_time", "current_active_defrag_time"],
        0,
    );
    text.field("tracking_total_keys", report.sums.shards.tracked_keys);
    text.field("tracking_total_items", report.sums.shards.tracked_items);
    text.field("tracking_total_prefixes", report.engine.tracking.prefixes());
    text.field("unexpected_error_replies", 0);
    text.field("total_error_replies", report.sums.commands.total_errors());
    text.field("dump_payload_sanitizations", 0);
    text.field("total_reads_processed", report.sums.traffic.reads);
    text.field("total_writes_processed", report.sums.traffic.writes);
    text.fields(
        &[
            "io_threaded_reads_processed",
            "io_threaded_writes_processed",
        ],
        0,
    );
    text.field("client_query_buffer_limit_disconnections", 0);
    text.field(
        "client_output_buffer_limit_disconnections",
        report.engine.output_limits.dropped(),
    );
    text.fields(&["reply_buffer_shrinks", "reply_buffer_expands"], 0);
    text.field("parked_commands", report.sums.shards.parked);
}

fn traffic(report: &Report, text: &mut Text) {
    let traffic = &report.sums.traffic;
    text.field(
        "total_connections_received",
        report.shared.clients.accepted(),
    );
    text.field("total_commands_processed", report.sums.commands.total());
    text.field(
        "instantaneous_ops_per_sec",
        traffic.rates.commands.round() as u64,
    );
    text.field("total_net_input_bytes", traffic.input_bytes);
    text.field("total_net_output_bytes", traffic.output_bytes);
    let replication = report.engine.replication();
    let received = replication.link.status().1;
    let received = received.map_or(0, |link| link.received_bytes);
    text.field("total_net_repl_input_bytes", received);
    let sent = replication.hub.counts();
    let sent = sent.full_sync_bytes + sent.stream_bytes;
    text.field("total_net_repl_output_bytes", sent);
    text.field(
        "instantaneous_input_kbps",
        format_args!("{:.2}", traffic.rates.input / 1024.0),
    );
    text.field(
        "instantaneous_output_kbps",
        format_args!("{:.2}", traffic.rates.output / 1024.0),
    );
    text.fields(
        &[
            "instantaneous_input_repl_kbps",
            "instantaneous_output_repl_kbps",
        ],
        "0.00",
    );
    text.field("rejected_connections", report.shared.clients.rejected());
}

fn keys(report: &Report, text: &mut Text) {
    let lookups = report.sums.shards.lookups;
    text.field("expired_keys", lookups.expired);
    let cleaning = &report.sums.cleaning;
    text.field(
        "expired_stale_perc",
        format_args!("{:.2}", stale_percent(report)),
    );
    text.field("expired_time_cap_reached_count", cleaning.expiry_unfinished);
    text.field("expire_cycle_cpu_milliseconds", cleaning.expiry.as_millis());
    text.field("evicted_keys", lookups.evicted);
    text.field("evicted_clients", 0);
    text.field(
        "total_eviction_exceeded_time",
        cleaning.over_limit.as_millis(),
    );
    text.field(
        "current_eviction_exceeded_time",
        cleaning.over_limit_now.as_millis(),
    );
    text.field("keyspace_hits", lookups.hits);
    text.field("keyspace_misses", lookups.misses);
}

/// How many of a hundred keys with a time to live have passed it and are still there, from a sample.
fn stale_percent(report: &Report) -> f64 {
    let databases = &report.sums.shards.databases;
    let sum = |of: fn(&Database) -> u64| databases.iter().map(of).sum::<u64>();
    sum(|database| database.stale) as f64 * 100.0
        / sum(|database| database.ttl_samples).max(1) as f64
}

/// All commands that were called or refused, under their full names.
fn by_name(report: &Report) -> BTreeMap<String, &RowStats> {
    let rows = report.sums.commands.rows();
    rows.map(|stats| (report.engine.table.full_name(stats.row), stats))
        .collect()
}

/// The time of all calls is taken from those that were timed.
pub(super) fn commands(report: &Report, text: &mut Text) {
    for (name, stats) in by_name(report) {
        let per_call = if stats.calls == 0 {
            0.0
        } else {
            stats.usec_per_call()
        };
        let RowStats {
            calls,
            rejected,
            failed,
            ..
        } = stats;
        let line = format!(
            "calls={calls},usec={},usec_per_call={per_call:.2},rejected_calls={rejected},failed_calls={failed}",
            (per_call * *calls as f64).round() as u64,
        );
        text.field(format_args!("cmdstat_{name}"), line);
    }
}

pub(super) fn errors(report: &Report, text: &mut Text) {
    for (kind, count) in report.sums.commands.errors() {
        text.field(
            format_args!("errorstat_{kind}"),
            format_args!("count={count}"),
        );
    }
}

pub(super) fn latencies(report: &Report, text: &mut Text) {
    for (name, stats) in by_name(report) {
        let percentile = |percent| {
            stats
                .histogram
                .percentile(percent)
                .map_or(0.0, microseconds)
        };
        let times =
            PERCENTILES.map(|(label, percent)| format!("{label}={:.3}", percentile(percent)));
        if stats.samples > 0 {
            text.field(
                format_args!("latency_percentiles_usec_{name}"),
                times.join(","),
            );
        }
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
