//! Runs one flow of a primary, on its shard's thread.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    clock::Clock,
    conn::{Conn, IoEvent},
    primary::{HubShared, SessionMessage, SessionShared},
    session::{detach, stream_level},
    status::NEVER,
};
use crate::{
    config::PrimaryConfig,
    dataset::{PrimaryShard, ShardSnapshot},
    primary::{FlowEnd, FlowHandle, FlowStage, PrimaryFlow, SiblingFlow},
};

/// What a flow shows to other threads.
#[derive(Debug)]
pub(super) struct FlowStats {
    pub(super) tail_sent: AtomicBool,
    pub(super) accepted_ms: AtomicU64,
    pub(super) lag: AtomicU64,
    pub(super) lag_bytes: AtomicU64,
    /// When the oldest record that was not acked was written; [`NEVER`] without any.
    pub(super) oldest_unacked_ms: AtomicU64,
    /// Keys of a full sync that were written.
    pub(super) snapshot_done: AtomicU64,
    /// Keys that stood at its cut.
    pub(super) snapshot_total: AtomicU64,
    pub(super) unsent: AtomicU64,
    pub(super) acked_ms: AtomicU64,
    /// The next LSN that the replica wants; 0 before stable sync.
    pub(super) acked: AtomicU64,
    pub(super) full_sync_bytes: AtomicU64,
    pub(super) stream_bytes: AtomicU64,
}

impl Default for FlowStats {
    fn default() -> FlowStats {
        let zero = || AtomicU64::new(0);
        FlowStats {
            tail_sent: AtomicBool::new(false),
            accepted_ms: zero(),
            lag: zero(),
            lag_bytes: zero(),
            oldest_unacked_ms: AtomicU64::new(NEVER),
            snapshot_done: zero(),
            snapshot_total: zero(),
            unsent: zero(),
            acked_ms: zero(),
            acked: zero(),
            full_sync_bytes: zero(),
            stream_bytes: zero(),
        }
    }
}

impl FlowStats {
    fn note_snapshot(&self, (done, total): (u64, u64)) {
        self.snapshot_done.store(done, Relaxed);
        self.snapshot_total.store(total, Relaxed);
    }

    fn as_sibling(&self) -> SiblingFlow {
        SiblingFlow {
            tail_sent: self.tail_sent.load(Relaxed),
            accepted: self.full_sync_bytes.load(Relaxed) + self.stream_bytes.load(Relaxed),
            unsent: self.unsent.load(Relaxed),
            accepted_ms: self.accepted_ms.load(Relaxed),
        }
    }
}

/// A connection's right to become a flow: made where `DFLY FLOW` was read, used on the thread of the shard.
#[derive(Debug)]
pub struct FlowTicket {
    hub: Arc<HubShared>,
    config: PrimaryConfig,
    session: Arc<SessionShared>,
    flow: usize,
    partial: bool,
    used: bool,
}

impl FlowTicket {
    pub(super) fn new(
        hub: Arc<HubShared>,
        config: PrimaryConfig,
        session: Arc<SessionShared>,
        flow: usize,
        partial: bool,
    ) -> FlowTicket {
        FlowTicket {
            hub,
            config,
            session,
            flow,
            partial,
            used: false,
        }
    }

    /// The flow's index, which is that of its shard.
    pub fn flow(&self) -> usize {
        self.flow
    }

    /// What the flow will show of itself, for whoever lists its connection.
    pub fn gauge(&self) -> FlowGauge {
        FlowGauge {
            stats: self.session.flows[self.flow].clone(),
            clock: self.hub.clock,
        }
    }

    /// The number of its link.
    pub fn sync_id(&self) -> crate::ids::SyncId {
        self.session.sync_id
    }
}

/// What a flow shows of itself, as long as somebody holds this.
#[derive(Clone, Debug)]
pub struct FlowGauge {
    stats: Arc<FlowStats>,
    clock: Clock,
}

impl FlowGauge {
    /// Bytes that the network has not accepted.
    pub fn unsent_bytes(&self) -> u64 {
        self.stats.unsent.load(Relaxed)
    }

    /// Milliseconds since its last ack; `None` before the first.
    pub fn ack_age_ms(&self) -> Option<u64> {
        let acked_ms = Some(self.stats.acked_ms.load(Relaxed)).filter(|at| *at > 0);
        acked_ms.map(|at| self.clock.now_ms().saturating_sub(at))
    }
}

impl Drop for FlowTicket {
    fn drop(&mut self) {
        if !self.used {
            self.session.send(SessionMessage::Cancel(format!(
                "flow {} was not taken up",
                self.flow
            )));
        }
    }
}

impl FlowTicket {
    /// Answers `DFLY FLOW` and serves the flow until it ends. `rest` is what was read behind the command.
    /// `shard` is the one with the index [`flow`](Self::flow); called on its thread.
    pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        shard: impl PrimaryShard,
        stream: S,
        rest: Vec<u8>,
    ) {
        self.used = true;
        let clock = self.hub.clock;
        let level = stream_level(self.session.level);
        let token = self.hub.random.token();
        let flow = PrimaryFlow::new(
            clock.now_ms(),
            self.config.clone(),
            level,
            token,
            self.partial,
        );
        let handle = shard.flows().attach(self.session.sync_id, flow);
        let mut task = Task {
            shard,
            handle,
            conn: Conn::new(stream),
            clock,
            session: self.session.clone(),
            hub: self.hub.clone(),
            flow: self.flow,
        };
        let why = match task.input(&rest) {
            Ok(()) if self.session.is_cancelled() => FlowEnd::Session {
                why: "it was cancelled".to_owned(),
            },
            Ok(()) => task.serve().await,
            Err(end) => end,
        };
        task.publish();
        let Task { shard, handle, .. } = task;
        handle.end(why.clone());
        detach(&shard, handle.sync_id(), String::new());
        self.session
            .send(SessionMessage::Cancel(format!("flow {}: {why}", self.flow)));
    }
}

struct Task<H, S> {
    shard: H,
    handle: FlowHandle,
    conn: Conn<S>,
    clock: Clock,
    session: Arc<SessionShared>,
    hub: Arc<HubShared>,
    flow: usize,
}

impl<H: PrimaryShard, S: AsyncRead + AsyncWrite + Unpin> Task<H, S> {
    async fn serve(&mut self) -> FlowEnd {
        loop {
            if let Some(why) = self.handle.ended() {
                return why;
            }
            if let Err(end) = self.prepare() {
                return end;
            }
            let deadline = self.handle.with_flow(|flow| flow.deadline());
            let result = tokio::select! {
                event = self.conn.next(true) => self.happened(event),
                () = poll_fn(|context| self.handle.poll_wake(context)) => Ok(()),
                () = self.clock.sleep_until(deadline) => {
                    let now_ms = self.clock.now_ms();
                    let siblings = self.siblings();
                    self.handle.with_flow(|flow| flow.handle_timeout(now_ms, &siblings))
                }
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    /// Starts the walk, reads on in the backlog, and takes what is to be sent.
    fn prepare(&mut self) -> Result<(), FlowEnd> {
        if let Some(snapshot) = self.shard.flows().take_snapshot(self.handle.sync_id()) {
            self.stats().note_snapshot(snapshot.progress());
            let (handle, session) = (self.handle.clone(), self.session.clone());
            tokio::task::spawn_local(walk(handle, snapshot, session, self.flow));
        }
        if self.handle.stage() == FlowStage::CatchUp && self.handle.has_room() {
            let handle = &self.handle;
            self.shard
                .with_journal(|journal| handle.with_flow(|flow| flow.catch_up(journal)))?;
        }
        if self.conn.is_drained() {
            let (now_ms, out) = (self.clock.now_ms(), self.conn.out());
            self.handle
                .with_flow(|flow| flow.poll_transmit(now_ms, out));
        }
        self.publish();
        Ok(())
    }

    fn happened(&mut self, event: IoEvent) -> Result<(), FlowEnd> {
        let now_ms = self.clock.now_ms();
        match event {
            IoEvent::Wrote(bytes) => {
                self.handle
                    .with_flow(|flow| flow.handle_sent(now_ms, bytes));
                Ok(())
            }
            IoEvent::Read(len) => receive(&self.handle, now_ms, self.conn.input(len)),
            IoEvent::Closed(why) => Err(FlowEnd::Closed { why }),
        }
    }

    fn input(&mut self, bytes: &[u8]) -> Result<(), FlowEnd> {
        receive(&self.handle, self.clock.now_ms(), bytes)
    }

    /// The other flows of the link, as they published themselves.
    fn siblings(&self) -> Vec<SiblingFlow> {
        let others = self.session.flows.iter().enumerate();
        others
            .filter(|(index, _)| *index != self.flow)
            .map(|(_, stats)| stats.as_sibling())
            .collect()
    }

    fn stats(&self) -> &FlowStats {
        &self.session.flows[self.flow]
    }

    fn publish(&self) {
        let (stats, now_ms) = (self.stats(), self.clock.now_ms());
        self.handle.with_flow(|flow| {
            flow.note_time(now_ms);
            let behind = flow.behind();
            stats.lag_bytes.store(behind.bytes, Relaxed);
            let oldest = behind.oldest_ms.unwrap_or(NEVER);
            stats.oldest_unacked_ms.store(oldest, Relaxed);
            let own = flow.as_sibling();
            stats.tail_sent.store(own.tail_sent, Relaxed);
            stats.unsent.store(own.unsent, Relaxed);
            stats.accepted_ms.store(own.accepted_ms, Relaxed);
            stats.lag.store(flow.lag(), Relaxed);
            stats.acked_ms.store(flow.acked_ms().unwrap_or(0), Relaxed);
            stats
                .acked
                .store(flow.acked().map_or(0, |lsn| lsn.0), Relaxed);
            let (full_sync, stream) = flow.sent_bytes();
            let tally = &self.hub.tally;
            note_sent(&stats.full_sync_bytes, full_sync, &tally.full_sync_bytes);
            note_sent(&stats.stream_bytes, stream, &tally.stream_bytes);
        });
    }
}

/// Notes how many bytes a flow has sent, and adds what is new to those of all flows.
fn note_sent(flow: &AtomicU64, sent: u64, all: &AtomicU64) {
    let before = flow.swap(sent, Relaxed);
    if sent > before {
        all.fetch_add(sent - before, Relaxed);
    }
}

fn receive(handle: &FlowHandle, now_ms: u64, bytes: &[u8]) -> Result<(), FlowEnd> {
    let acked = handle.with_flow(|flow| {
        Ok(flow
            .handle_bytes(now_ms, bytes)?
            .then(|| flow.acked())
            .flatten())
    })?;
    if let Some(lsn) = acked {
        handle.acked(lsn);
    }
    Ok(())
}

/// Takes the snapshot's items slice by slice, when there is room. The snapshot ends with it.
async fn walk(
    handle: FlowHandle,
    mut snapshot: impl ShardSnapshot,
    session: Arc<SessionShared>,
    flow: usize,
) {
    loop {
        poll_fn(|context| handle.poll_room(context)).await;
        if handle.has_ended() {
            return;
        }
        let step = tokio::select! {
            biased;
            () = poll_fn(|context| handle.poll_end(context)) => return,
            step = snapshot.step() => step,
        };
        session.flows[flow].note_snapshot(snapshot.progress());
        match step {
            Ok(false) => tokio::task::yield_now().await,
            Ok(true) => break,
            Err(error) => return handle.end(FlowEnd::Data { why: error.message }),
        }
    }
    drop(snapshot);
    if !handle.has_ended() {
        // The session hears of it before the replica can.
        handle.with_flow(PrimaryFlow::finish_snapshot);
        session.send(SessionMessage::FlowFinished);
        handle.wake();
    }
}
