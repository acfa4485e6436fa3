//! The link to this server's primary, as a replica knows it.

use super::seconds;
use super::text::Text;
use damselfly_engine::replicate::{LinkState, PrimaryStatus};
use damselfly_engine::replication::driver::LinkStatus;

/// Writes all of it; `journalled` is the number of records in the own journals, which a relay shares with its primary.
pub(super) fn write(primary: &PrimaryStatus, journalled: u64, text: &mut Text) {
    let state = primary.state;
    text.gauge(
        "master_link_status",
        "Whether records are executed as they come.",
    )
    .value(u8::from(state == LinkState::StableSync));
    text.gauge(
        "master_sync_in_progress",
        "Whether a full sync is coming in.",
    )
    .value(u8::from(state == LinkState::FullSync));
    let help = "1 for the state that the link is in, 0 for all others.";
    let mut states = text.gauge("master_link_state", help);
    for other in LinkState::ALL {
        let value = u8::from(other == state);
        states.sample(&[("state", &other.as_str())], value);
    }
    let Some(link) = &primary.link else {
        return;
    };
    times(link, text);
    let executed = link.executed.iter().map(|lsn| lsn.0.saturating_sub(1));
    let executed = match link.executed.is_empty() {
        true => journalled,
        false => executed.sum(),
    };
    let help = "Records executed, over all flows (bytes, where the primary is a Redis).";
    text.gauge("slave_repl_offset", help).value(executed);
    counters(link, text);
    full_sync(link, text);
    flows(link, text);
}

fn times(link: &LinkStatus, text: &mut Text) {
    if let Some(ms) = link.last_io_ms {
        text.gauge(
            "master_last_io_seconds_ago",
            "Seconds since bytes came last.",
        )
        .value(seconds(ms));
    }
    let help = "Seconds since the link came to its state.";
    text.gauge("master_link_state_seconds", help)
        .value(seconds(link.phase_ms));
    let help = "Seconds since the link was last in stable sync, or was made; 0 while it is.";
    text.gauge("master_link_down_seconds", help)
        .value(seconds(link.down_ms.unwrap_or(0)));
}

fn counters(link: &LinkStatus, text: &mut Text) {
    let stats = &link.stats;
    let help = "Attempts of the link that failed, so that another one was made.";
    text.counter("replica_reconnect_count", help)
        .value(stats.reconnects);
    for (name, help, count) in [
        (
            "master_psync_attempts_total",
            "Attempts that offered to go on with a partial sync.",
            stats.psync_attempts,
        ),
        (
            "master_psync_successes_total",
            "Attempts that were granted it.",
            stats.psync_successes,
        ),
        (
            "master_full_syncs_total",
            "Full syncs that were begun.",
            stats.full_syncs,
        ),
        (
            "master_received_bytes_total",
            "Bytes that came on the flows of this link.",
            link.received_bytes,
        ),
    ] {
        text.counter(name, help).value(count);
    }
}

fn full_sync(link: &LinkStatus, text: &mut Text) {
    let Some(sync) = link.full_sync() else {
        return;
    };
    if let Some(percent) = sync.percent() {
        let help = "How much of the full sync is loaded, 0 to 100, by keys.";
        text.gauge("master_sync_percent", help)
            .value(format_args!("{percent:.2}"));
    }
    text.gauge(
        "master_sync_keys_loaded",
        "Keys of the full sync that came.",
    )
    .value(sync.keys_done);
    if let Some(ms) = sync.remaining_ms() {
        let help = "Estimated seconds until the full sync is loaded, at the pace so far.";
        text.gauge("master_sync_remaining_seconds", help)
            .value(seconds(ms));
    }
}

fn flows(link: &LinkStatus, text: &mut Text) {
    let help = "Seconds since bytes came last on a flow.";
    let mut silent = text.gauge("master_flow_last_io_seconds_ago", help);
    for (index, flow) in link.flows.iter().enumerate() {
        silent.sample(&[("flow", &index)], seconds(flow.last_io_ms));
    }
    let mut executed = text.gauge("master_flow_executed_lsn", "The next LSN of a flow.");
    for (index, flow) in link.flows.iter().enumerate() {
        if let Some(lsn) = flow.executed {
            executed.sample(&[("flow", &index)], lsn.0);
        }
    }
}
