//! The replicas of this server: how far behind each is, by flow, and how far its full sync is.

use super::seconds;
use super::text::Text;
use crate::commands::info::report::Report;
use damselfly_engine::replication::driver::{ReplicaFlowStatus, ReplicaStatus};
use std::collections::BTreeMap;

/// Writes all of it; `offset` is the number of records that were journalled.
pub(super) fn write(report: &Report, offset: u64, replicas: &[ReplicaStatus], text: &mut Text) {
    totals(report, offset, replicas.len(), text);
    // Prometheus takes one sample of a name and its labels: of two links with one address the older one is about to end.
    let by_address = replicas
        .iter()
        .map(|replica| ((&replica.ip, replica.port), replica));
    let by_address: BTreeMap<_, _> = by_address.collect();
    let replicas: Vec<&ReplicaStatus> = by_address.into_values().collect();
    lags(&replicas, text);
    full_syncs(&replicas, text);
    flows(&replicas, text);
}

fn totals(report: &Report, offset: u64, connected: usize, text: &mut Text) {
    let counts = report.engine.replication().hub.counts();
    text.gauge(
        "connected_replicas",
        "Links of replicas, in whatever state.",
    )
    .value(connected);
    let help = "Partial syncs that replicas have asked for.";
    text.counter("replication_psync_count", help)
        .value(counts.partial_syncs + counts.partial_refused);
    let mut syncs = text.counter("replication_syncs_total", "Syncs of replicas, by outcome.");
    for (kind, count) in [
        ("full", counts.full_syncs),
        ("partial", counts.partial_syncs),
        ("partial_refused", counts.partial_refused),
    ] {
        syncs.sample(&[("kind", &kind)], count);
    }
    let help = "Bytes that replicas have taken, of full syncs and of records.";
    let mut sent = text.counter("replication_sent_bytes_total", help);
    sent.sample(&[("kind", &"full_sync")], counts.full_sync_bytes);
    sent.sample(&[("kind", &"stream")], counts.stream_bytes);
    let help = "Records journalled, over all shards (master_repl_offset).";
    text.gauge("replication_offset_records", help).value(offset);
    let help = "Bytes of journal kept for replicas that come back.";
    text.gauge("replication_backlog_bytes", help)
        .value(report.sums.shards.backlog_bytes);
}

/// Figures of replicas, with Dragonfly's labels.
fn lags(replicas: &[&ReplicaStatus], text: &mut Text) {
    type Figure = fn(&ReplicaStatus) -> u64;
    let figures: [(&'static str, &'static str, Figure); 5] = [
        (
            "connected_replica_lag_records",
            "Records that a replica has not acked: the most of any of its flows.",
            |replica| replica.lag_records,
        ),
        (
            "connected_replica_lag_bytes",
            "Bytes of the records that a replica has not acked, of all flows.",
            |replica| replica.lag_bytes,
        ),
        (
            "connected_replica_lag_milliseconds",
            "Age of the oldest record that a replica has not acked; 0 without any.",
            |replica| replica.lag_ms,
        ),
        (
            "connected_replica_unsent_bytes",
            "Bytes for a replica that the network has not taken.",
            |replica| replica.unsent_bytes,
        ),
        (
            "connected_replica_offset_records",
            "Records that a replica has acked, over all shards.",
            ReplicaStatus::acked_records,
        ),
    ];
    for (name, help, figure) in figures {
        let mut family = text.gauge(name, help);
        for replica in replicas {
            family.sample(&labels(replica, &replica.state), figure(replica));
        }
    }
    let help = "Seconds since a replica's link came to its state.";
    let mut family = text.gauge("connected_replica_state_seconds", help);
    for replica in replicas {
        let value = seconds(replica.state_ms);
        family.sample(&labels(replica, &replica.state), value);
    }
    let help = "Seconds since the last ack of a replica in stable sync, of its slowest flow.";
    let mut family = text.gauge("connected_replica_ack_age_seconds", help);
    for replica in replicas {
        if let Some(ms) = replica.ack_age_ms {
            family.sample(&labels(replica, &replica.state), seconds(ms));
        }
    }
}

type Label<'a> = (&'static str, &'a dyn std::fmt::Display);

fn labels<'a>(replica: &'a ReplicaStatus, state: &'a dyn std::fmt::Display) -> [Label<'a>; 3] {
    let [ip, port] = address(replica);
    [ip, port, ("replica_state", state)]
}

fn address(replica: &ReplicaStatus) -> [Label<'_>; 2] {
    [("replica_ip", &replica.ip), ("replica_port", &replica.port)]
}

/// Progress, while there is one.
fn full_syncs(replicas: &[&ReplicaStatus], text: &mut Text) {
    let running = || {
        let replicas = replicas.iter();
        replicas.filter_map(|replica| Some((address(replica), replica.full_sync?)))
    };
    let help = "How much of a running full sync is sent, 0 to 100, by keys.";
    let mut percent = text.gauge("connected_replica_sync_percent", help);
    for (labels, sync) in running() {
        if let Some(value) = sync.percent() {
            percent.sample(&labels, format_args!("{value:.2}"));
        }
    }
    let mut keys = text.gauge(
        "connected_replica_sync_keys",
        "Keys of a running full sync.",
    );
    for (labels, sync) in running() {
        let [ip, port] = labels;
        keys.sample(&[ip, port, ("kind", &"sent")], sync.keys_done);
        if let Some(total) = sync.keys_total {
            keys.sample(&[ip, port, ("kind", &"total")], total);
        }
    }
    let help = "Estimated seconds until a running full sync is sent, at the pace so far.";
    let mut remaining = text.gauge("connected_replica_sync_remaining_seconds", help);
    for (labels, sync) in running() {
        if let Some(ms) = sync.remaining_ms() {
            remaining.sample(&labels, seconds(ms));
        }
    }
}

/// The same by flow: the flow's number is that of its shard.
fn flows(replicas: &[&ReplicaStatus], text: &mut Text) {
    type Figure = fn(&ReplicaFlowStatus) -> u64;
    let figures: [(&'static str, &'static str, Figure); 6] = [
        (
            "replica_flow_lag_records",
            "Records that a flow has not acked.",
            |flow| flow.lag_records,
        ),
        (
            "replica_flow_lag_bytes",
            "Bytes of the records that a flow has not acked.",
            |flow| flow.lag_bytes,
        ),
        (
            "replica_flow_lag_milliseconds",
            "Age of the oldest record that a flow has not acked; 0 without any.",
            |flow| flow.lag_ms,
        ),
        (
            "replica_flow_unsent_bytes",
            "Bytes of a flow that the network has not taken.",
            |flow| flow.unsent_bytes,
        ),
        (
            "replica_flow_sync_keys_sent",
            "Keys of the last full sync that were written to a flow.",
            |flow| flow.snapshot_keys.0,
        ),
        (
            "replica_flow_sync_keys",
            "Keys that this full sync has on the flow's shard.",
            |flow| flow.snapshot_keys.1,
        ),
    ];
    for (name, help, figure) in figures {
        let mut family = text.gauge(name, help);
        for replica in replicas {
            for (index, flow) in replica.flows.iter().enumerate() {
                let [ip, port] = address(replica);
                family.sample(&[ip, port, ("flow", &index)], figure(flow));
            }
        }
    }
}
