//! The server by itself: process, clients, memory, commands, keys.

use super::text::Text;
use crate::commands::info::process::{Cpu, resident_bytes};
use crate::commands::info::report::Report;
use damselfly_engine::Role;
use damselfly_engine::replicate::ReplicationStatus;
use damselfly_engine::replication::primary::SessionState;

pub(super) fn process(report: &Report, text: &mut Text) {
    let mut version = text.gauge("version", "1, with the version of this server.");
    version.sample(&[("version", &env!("CARGO_PKG_VERSION"))], 1);
    text.counter("uptime_in_seconds", "Seconds since the start.")
        .value(report.uptime_s());
    let help = "Whether this server is a primary (1) or follows one (0).";
    let is_primary = report.engine.role() == Role::Primary;
    text.gauge("master", help).value(u8::from(is_primary));
    text.gauge("loading", "Whether a file is being loaded at the start.")
        .value(u8::from(report.engine.is_loading()));
    text.gauge("threads", "Threads that carry connections and shards.")
        .value(report.engine.mesh.threads());
    text.gauge("shards", "Shards, each with a flow to every replica.")
        .value(report.engine.mesh.shards());
    let Cpu { user, system } = Cpu::of_process();
    let mut cpu = text.counter("cpu_seconds_total", "Processor time of this process.");
    cpu.sample(&[("mode", &"user")], user);
    cpu.sample(&[("mode", &"system")], system);
}

pub(super) fn memory(report: &Report, status: &ReplicationStatus, text: &mut Text) {
    let used = report.used_memory();
    let help = "Bytes of data, kept journal and buffers of clients.";
    text.gauge("memory_used_bytes", help).value(used);
    text.gauge("memory_used_peak_bytes", "The most of these so far.")
        .value(report.shared.facts.peak_memory(used));
    text.gauge("memory_max_bytes", "The limit, maxmemory; 0 is none.")
        .value(report.config.maxmemory);
    let help = "Bytes of this process that are in memory.";
    text.gauge("used_memory_rss_bytes", help)
        .value(resident_bytes());
    let unsent = |state| {
        let replicas = status.replicas.iter();
        let there = replicas.filter(move |replica| replica.state == state);
        there.map(|replica| replica.unsent_bytes).sum::<u64>()
    };
    let stream = unsent(SessionState::StableSync);
    let full_sync = unsent(SessionState::FullSync);
    let help = "Bytes of records that wait for replicas in stable sync to take them.";
    text.gauge("replication_streaming_bytes", help)
        .value(stream);
    let help = "Bytes of full syncs that wait for replicas to take them.";
    text.gauge("replication_full_sync_bytes", help)
        .value(full_sync);
    let (clients, shards) = (&report.sums.clients, &report.sums.shards);
    let mut classes = text.gauge(
        "memory_by_class_bytes",
        "What memory is used for, in bytes.",
    );
    for (class, bytes) in [
        ("table_used", shards.table_bytes),
        (
            "object_used",
            shards.used_bytes.saturating_sub(shards.table_bytes),
        ),
        ("repl_backlog_buffer", shards.backlog_bytes),
        ("replication_streaming", stream),
        ("replication_full_sync", full_sync),
        ("connection", clients.normal_bytes + clients.replica_bytes),
    ] {
        classes.sample(&[("class", &class)], bytes);
    }
}

pub(super) fn traffic(report: &Report, text: &mut Text) {
    let (clients, traffic) = (&report.sums.clients, &report.sums.traffic);
    let slots = &report.shared.clients;
    text.gauge(
        "connected_clients",
        "Clients, without those of replication.",
    )
    .value(clients.normal);
    text.gauge("max_clients", "The most connections at a time.")
        .value(report.config.maxclients);
    text.gauge("blocked_clients", "Clients whose command waits for others.")
        .value(clients.blocked);
    text.counter("connections_received_total", "Connections accepted.")
        .value(slots.accepted());
    let help = "Connections turned away: too many clients, or protected mode.";
    let mut refused = text.counter("listener_accept_error_total", help);
    refused.sample(&[("reason", &"limit_reached")], slots.rejected());
    text.counter("net_input_recv_total", "Reads of clients' sockets.")
        .value(traffic.reads);
    text.counter("net_input_bytes_total", "Bytes read from clients.")
        .value(traffic.input_bytes);
    text.counter("net_output_bytes_total", "Bytes written to clients.")
        .value(traffic.output_bytes);
    text.counter("reply_total", "Writes to clients' sockets.")
        .value(traffic.writes);
}

/// The time of a command is measured for some of its runs: their number and their time both only grow.
pub(super) fn commands(report: &Report, text: &mut Text) {
    let stats = &report.sums.commands;
    text.counter("commands_processed_total", "Commands that ran.")
        .value(stats.total());
    let name = |row| report.engine.table.full_name(row);
    let mut calls = text.counter("commands_total", "Runs of a command.");
    for row in stats.rows() {
        calls.sample(&[("cmd", &name(row.row))], row.calls);
    }
    let help = "Runs of a command that ended with an error.";
    let mut failed = text.counter("commands_failed_total", help);
    for row in stats.rows().filter(|row| row.failed > 0) {
        failed.sample(&[("cmd", &name(row.row))], row.failed);
    }
    let mut timed = text.counter("commands_timed_total", "Runs of a command that were timed.");
    for row in stats.rows().filter(|row| row.samples > 0) {
        timed.sample(&[("cmd", &name(row.row))], row.samples);
    }
    let help = "Time of these runs; divided by their number, the mean time of the command.";
    let mut time = text.counter("commands_timed_seconds_total", help);
    for row in stats.rows().filter(|row| row.samples > 0) {
        time.sample(&[("cmd", &name(row.row))], row.sampled.as_secs_f64());
    }
    let mut errors = text.counter("error_replies_total", "Errors that were answered, by kind.");
    for (kind, count) in stats.errors() {
        errors.sample(&[("error", kind)], count);
    }
}

pub(super) fn keys(report: &Report, text: &mut Text) {
    let shards = &report.sums.shards;
    let lookups = shards.lookups;
    text.counter("keyspace_hits_total", "Lookups of keys that were there.")
        .value(lookups.hits);
    text.counter("keyspace_misses_total", "Lookups of keys that were not.")
        .value(lookups.misses);
    text.counter("keyspace_mutations_total", "Changes of data.")
        .value(shards.changes);
    text.counter("expired_keys_total", "Keys whose time had come.")
        .value(lookups.expired);
    let help = "Keys that gave way to the limit of memory.";
    text.counter("evicted_keys_total", help)
        .value(lookups.evicted);
    let databases = || {
        let databases = shards.databases.iter().enumerate();
        databases.filter(|(index, db)| *index == 0 || db.keys > 0)
    };
    let mut keys = text.gauge("db_keys", "Keys of a database.");
    for (index, db) in databases() {
        keys.sample(&[("db", &format_args!("db{index}"))], db.keys);
    }
    let mut expiring = text.gauge("db_keys_expiring", "Keys of a database that will expire.");
    for (index, db) in databases() {
        expiring.sample(&[("db", &format_args!("db{index}"))], db.expires);
    }
    let help = "Commands that wait for a snapshot or a slow replica.";
    text.gauge("parked_commands", help).value(shards.parked);
}
