//! What ROLE and INFO say of replication.

use crate::engine::Engine;
use crate::thread::Thread;
use damselfly_replication::driver::{LinkStatus, ReplicaStatus};
use damselfly_replication::primary::SessionState;
use damselfly_replication::replica::{LinkPhase, Role};
use std::fmt::Write;
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// The words for roles and states, Dragonfly's or Redis's.
pub(super) struct RoleWords {
    valkey: bool,
}

impl RoleWords {
    pub(super) fn of(engine: &Engine) -> RoleWords {
        RoleWords {
            valkey: engine
                .replication()
                .shown
                .valkey_compatible
                .load(Ordering::Relaxed),
        }
    }

    pub(super) fn replica(&self) -> &'static str {
        if self.valkey { "slave" } else { "replica" }
    }

    /// The state of a replica of ours.
    pub(super) fn replica_state(&self, state: SessionState) -> String {
        match (self.valkey, state) {
            (true, SessionState::StableSync) => "online".to_owned(),
            (_, state) => state.to_string(),
        }
    }

    /// The state of our own link.
    pub(super) fn link_state(&self, phase: LinkPhase) -> String {
        match (self.valkey, phase) {
            (true, LinkPhase::StableSync) => "online".to_owned(),
            (_, phase) => phase.to_string(),
        }
    }
}

/// Records journalled so far, over all shards.
pub async fn master_repl_offset(thread: &Rc<Thread>) -> u64 {
    let next = thread
        .on_all_shards(|core| core.journal.next_lsn().0 - 1)
        .await;
    next.iter().sum()
}

/// The lines of `INFO replication`, with its heading.
pub async fn replication_section(thread: &Rc<Thread>) -> String {
    let offset = master_repl_offset(thread).await;
    let backlog = thread
        .on_all_shards(|core| {
            let journal = &core.journal;
            (
                journal.keeps_backlog(),
                journal.backlog_bytes(),
                journal.first_lsn().0 - 1,
            )
        })
        .await;
    let engine = &thread.engine;
    let replication = engine.replication();
    let mut text = String::from("# Replication\r\n");
    let (role, status) = replication.link.status();
    match &role {
        Role::Primary => text.push_str("role:master\r\n"),
        Role::Replica(address) => {
            replica_lines(&mut text, engine, address, status.as_ref(), offset)
        }
    }
    skipped_lines(&mut text, engine, role != Role::Primary);
    let words = RoleWords::of(engine);
    let replicas = replication.hub.replicas();
    let _ = write!(text, "connected_slaves:{}\r\n", replicas.len());
    if let Some(good) = replication.good.count(&replicas) {
        let _ = write!(text, "min_slaves_good_slaves:{good}\r\n");
    }
    for (index, replica) in replicas.iter().enumerate() {
        replica_line(&mut text, index, replica, &words);
    }
    let lineage = engine.lineage();
    let _ = write!(
        text,
        "master_failover_state:{}\r\nmaster_replid:{}\r\nmaster_replid2:{}\r\nmaster_repl_offset:{offset}\r\nsecond_repl_offset:-1\r\n",
        replication.handover.phase().as_str(),
        lineage.replid(),
        if lineage.is_relay() {
            lineage.history().as_str().to_owned()
        } else {
            "0".repeat(40)
        },
    );
    let is_active = backlog.iter().any(|(kept, ..)| *kept);
    // The number of the first record that is kept, over all shards.
    let first = 1 + backlog.iter().map(|(.., before)| before).sum::<u64>();
    let _ = write!(
        text,
        "repl_backlog_active:{}\r\nrepl_backlog_size:{}\r\nrepl_backlog_first_byte_offset:{}\r\nrepl_backlog_histlen:{}\r\n",
        u8::from(is_active),
        replication.shown.backlog_max_bytes.load(Ordering::Relaxed),
        if is_active { first } else { 0 },
        backlog.iter().map(|(_, bytes, _)| bytes).sum::<usize>(),
    );
    text
}

/// What was passed over of the primary's data: a promoted replica goes on saying it.
fn skipped_lines(text: &mut String, engine: &Engine, replica: bool) {
    let (keys, records) = engine.skipped.counts();
    if replica || keys + records > 0 {
        let _ = write!(
            text,
            "rdb_skipped_keys:{keys}\r\nrdb_skipped_records:{records}\r\n"
        );
    }
}

/// Dragonfly's lag is in records; Redis's and Valkey's is the age of the last ack in seconds.
fn replica_line(text: &mut String, index: usize, replica: &ReplicaStatus, words: &RoleWords) {
    let lag = match words.valkey {
        true => replica.ack_age_ms.unwrap_or(0) / 1_000,
        false => replica.lag_records,
    };
    let _ = write!(
        text,
        "slave{index}:ip={},port={},state={},lag={lag},offset={},lag_bytes={},lag_ms={}\r\n",
        replica.ip,
        replica.port,
        words.replica_state(replica.state),
        replica.acked_records(),
        replica.lag_bytes,
        replica.lag_ms,
    );
}

/// How far a full sync is. Redis's fields as far as they can be told: nobody says how many bytes will come, but how many keys.
fn sync_lines(text: &mut String, status: &LinkStatus) {
    let Some(progress) = status.full_sync() else {
        return;
    };
    let read: u64 = status.flows.iter().map(|flow| flow.received_bytes).sum();
    let idle = status.flows.iter().map(|flow| flow.last_io_ms).min();
    let _ = write!(
        text,
        "master_sync_read_bytes:{read}\r\nmaster_sync_perc:{:.2}\r\nmaster_sync_last_io_seconds_ago:{}\r\nmaster_sync_keys_loaded:{}\r\n",
        progress.percent().unwrap_or(0.0),
        idle.map_or(-1, |ms| (ms / 1000) as i64),
        progress.keys_done,
    );
    if let Some(total) = progress.keys_total {
        let _ = write!(text, "master_sync_keys_expected:{total}\r\n");
    }
}

fn replica_lines(
    text: &mut String,
    engine: &Engine,
    address: &str,
    status: Option<&LinkStatus>,
    journalled: u64,
) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    let phase = status.map_or(LinkPhase::Connecting, |status| status.phase);
    let up = if phase == LinkPhase::StableSync {
        "up"
    } else {
        "down"
    };
    let idle = status
        .and_then(|status| status.last_io_ms)
        .map_or(-1, |ms| (ms / 1000) as i64);
    let _ = write!(
        text,
        "role:slave\r\nmaster_host:{host}\r\nmaster_port:{port}\r\nmaster_link_status:{up}\r\n\
         master_last_io_seconds_ago:{idle}\r\nmaster_sync_in_progress:{}\r\n",
        u8::from(phase == LinkPhase::FullSync),
    );
    if let Some(status) = status {
        sync_lines(text, status);
        if let Some(ms) = status.down_ms {
            let _ = write!(text, "master_link_down_since_seconds:{}\r\n", ms / 1_000);
        }
        let executed = status.executed.iter().map(|lsn| lsn.0.saturating_sub(1));
        // Before its flows are open again a link tells nothing; the journal goes as far, where it relays.
        let offset = match status.executed.is_empty() {
            true => journalled,
            false => executed.sum(),
        };
        let _ = write!(
            text,
            "slave_read_repl_offset:{offset}\r\nslave_repl_offset:{offset}\r\n"
        );
        if let Some(error) = &status.last_error {
            let name = if phase == LinkPhase::Failed {
                "master_link_error"
            } else {
                "master_link_last_error"
            };
            let _ = write!(
                text,
                "{name}:{}\r\n",
                error.to_string().replace(['\r', '\n'], " ")
            );
        }
        let stats = &status.stats;
        let _ = write!(
            text,
            "psync_attempts:{}\r\npsync_successes:{}\r\nmaster_full_syncs:{}\r\nmaster_reconnects:{}\r\n",
            stats.psync_attempts, stats.psync_successes, stats.full_syncs, stats.reconnects
        );
    }
    let shown = &engine.replication().shown;
    let _ = write!(
        text,
        "slave_priority:{}\r\nslave_read_only:1\r\nreplica_announced:{}\r\n",
        shown.priority.load(Ordering::Relaxed),
        u8::from(shown.announced.load(Ordering::Relaxed)),
    );
}
