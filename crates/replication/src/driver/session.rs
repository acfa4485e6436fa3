//! Runs the session of one replica, on the thread of its control connection.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use damselfly_journal::StreamLevel;
use tokio::sync::{mpsc::UnboundedReceiver, oneshot};

use super::{
    clock::Clock,
    primary::{PrimaryHub, SessionMessage, SessionShared},
};
use crate::{
    dataset::{PrimaryDataSet, PrimaryShard},
    ids::SyncId,
    lineage::Lineage,
    primary::{DflyError, FlowClaim, FlowEnd, PrimarySession, SessionOutput, SessionState},
};

/// Drives the machine of one session, on the thread of its control connection.
pub(super) struct SessionTask<D> {
    hub: PrimaryHub<D>,
    machine: PrimarySession,
    /// As it was at the greeting.
    lineage: Lineage,
    shared: Arc<SessionShared>,
    inbox: UnboundedReceiver<SessionMessage>,
    flow_replies: BTreeMap<usize, oneshot::Sender<Result<bool, DflyError>>>,
    reply: Option<oneshot::Sender<Result<(), DflyError>>>,
    /// Whether a partial sync was refused.
    is_refused: bool,
    /// The state that the log knows.
    state: SessionState,
}

impl<D: PrimaryDataSet> SessionTask<D> {
    pub(super) fn new(
        hub: PrimaryHub<D>,
        machine: PrimarySession,
        lineage: Lineage,
        shared: Arc<SessionShared>,
        inbox: UnboundedReceiver<SessionMessage>,
    ) -> SessionTask<D> {
        SessionTask {
            hub,
            machine,
            lineage,
            shared,
            inbox,
            flow_replies: BTreeMap::new(),
            reply: None,
            is_refused: false,
            state: SessionState::Preparation,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            while let Some(output) = self.machine.poll_output() {
                if let SessionOutput::Cancel(why) = output {
                    return self.cancel(&why);
                }
                self.execute(output);
            }
            let now_ms = self.hub.shared.clock.now_ms();
            self.note_state(now_ms);
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(message) => self.handle(message),
                    None => self.machine.cancel("nobody is left"),
                },
                () = self.hub.shared.clock.sleep_until(self.machine.deadline()) => {
                    self.machine.handle_timeout(self.hub.shared.clock.now_ms());
                }
            }
        }
    }

    fn note_state(&mut self, now_ms: u64) {
        let state = self.machine.state();
        if state != self.state {
            self.state = state;
            if let Some(unsaid) = self.may_log() {
                let ((ip, port), sync_id) = (self.shared.name(), self.shared.sync_id);
                tracing::info!(%sync_id, ip, port, %state, unsaid, "replica");
            }
        }
        self.shared.set_state(state, now_ms);
    }

    /// Whether a line may be logged, and how many were not.
    fn may_log(&self) -> Option<u64> {
        let hub = &self.hub.shared;
        let mut lines = hub
            .lines
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        lines.admit(hub.clock.now_ms())
    }

    fn handle(&mut self, message: SessionMessage) {
        match message {
            SessionMessage::Flow { request, reply } => {
                if self.flow_replies.contains_key(&request.flow) {
                    drop(reply.send(Err(DflyError::InvalidState)));
                    return;
                }
                self.flow_replies.insert(request.flow, reply);
                self.machine
                    .handle_flow(request.replid, request.flow, request.offer);
            }
            SessionMessage::Sync(reply) => {
                self.take_reply(reply);
                self.machine.handle_sync();
            }
            SessionMessage::StartStable(reply) => {
                self.take_reply(reply);
                self.machine.handle_start_stable();
            }
            SessionMessage::ClaimsChecked(claims, granted) => {
                if !granted && !std::mem::replace(&mut self.is_refused, true) {
                    self.hub.shared.tally.partial_refused.fetch_add(1, Relaxed);
                }
                self.machine.handle_claims_checked(&claims, granted)
            }
            SessionMessage::Cut(result) => self.machine.handle_cut(result),
            SessionMessage::Stable(result) => self.machine.handle_stable(result),
            SessionMessage::FlowFinished => self.machine.handle_flow_finished(),
            SessionMessage::Cancel(why) => self.machine.cancel(&why),
        }
    }

    fn take_reply(&mut self, reply: oneshot::Sender<Result<(), DflyError>>) {
        if let Some(earlier) = self.reply.replace(reply) {
            drop(earlier.send(Err(DflyError::InvalidState)));
        }
    }

    fn execute(&mut self, output: SessionOutput) {
        match output {
            SessionOutput::CheckClaims(claims) => self.check(claims),
            SessionOutput::AnswerFlow(flow, result) => {
                if let Some(reply) = self.flow_replies.remove(&flow) {
                    drop(reply.send(result));
                }
            }
            SessionOutput::Cut => {
                self.hub.shared.tally.full_syncs.fetch_add(1, Relaxed);
                let action = cut::<D>(self.shared.sync_id, &self.hub);
                self.on_shards(action, SessionMessage::Cut);
            }
            SessionOutput::StartStable { partial } => {
                let partials = u64::from(partial);
                self.hub
                    .shared
                    .tally
                    .partial_syncs
                    .fetch_add(partials, Relaxed);
                let action = start_stable::<D>(self.shared.sync_id, self.hub.shared.clock, partial);
                self.on_shards(action, SessionMessage::Stable);
            }
            SessionOutput::Reply(result) => {
                if let Some(reply) = self.reply.take() {
                    drop(reply.send(result));
                }
            }
            SessionOutput::Cancel(_) => {}
        }
    }

    /// Runs an action that may fail on some shard, at one point.
    fn on_shards(
        &self,
        action: FallibleAction<D::Shard>,
        done: fn(Result<(), String>) -> SessionMessage,
    ) {
        let (data, session, lineage) = (
            self.hub.data.clone(),
            self.shared.clone(),
            self.lineage.clone(),
        );
        tokio::task::spawn_local(async move {
            let failure: Arc<Mutex<Option<String>>> = Arc::default();
            let noted = failure.clone();
            let noting = move |index: usize, shard: &D::Shard| {
                if let Err(why) = action(index, shard) {
                    noted
                        .lock()
                        .unwrap_or_else(|poisoned| poisoned.into_inner())
                        .get_or_insert(why);
                }
            };
            let result = data
                .on_every_shard(Arc::new(noting))
                .await
                .map_err(|error| error.message);
            let failure = failure
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .take();
            // From here on a change of lineage ends the flows. Before, only this sees it; and what the replica was greeted
            // with must be the name of what it gets.
            let changed = (data.lineage() != lineage).then(|| LINEAGE_CHANGED.to_owned());
            session.send(done(
                result.and_then(|()| failure.or(changed).map_or(Ok(()), Err)),
            ));
        });
    }

    fn check(&self, claims: Vec<FlowClaim>) {
        let (data, session) = (self.hub.data.clone(), self.shared.clone());
        let (lineage, sync_id) = (self.lineage.clone(), self.shared.sync_id);
        let borders_only = self.machine.level() > 0;
        tokio::task::spawn_local(async move {
            let granted = Arc::new(AtomicBool::new(true));
            let (wanted, admits, grant) = (claims.clone(), lineage.clone(), granted.clone());
            let action = move |index: usize, shard: &D::Shard| {
                let Some(claim) = wanted.iter().find(|claim| claim.flow == index) else {
                    return;
                };
                let pinned = shard.with_journal(|journal| {
                    admits.admits_flow(claim.id, index, claim.lsn, journal.next_lsn())
                        && shard.flows().pin(sync_id, claim.lsn, journal, borders_only)
                });
                grant.fetch_and(pinned, Relaxed);
            };
            let done = data.on_every_shard(Arc::new(action)).await.is_ok();
            let granted = done && granted.load(Relaxed) && data.lineage() == lineage;
            if !granted {
                log_left_out(&session, &lineage, &claims);
            }
            session.send(SessionMessage::ClaimsChecked(claims, granted));
        });
    }

    fn cancel(self, why: &str) {
        if let Some(unsaid) = self.may_log() {
            let ((ip, port), state) = (self.shared.name(), self.state);
            tracing::info!(sync_id = %self.shared.sync_id, ip, port, was = %state, why, unsaid, "replica link ended");
        }
        let now_ms = self.hub.shared.clock.now_ms();
        self.shared.set_state(SessionState::Cancelled, now_ms);
        let sync_id = self.shared.sync_id;
        self.hub.forget(sync_id);
        for index in 0..self.hub.data.shard_count() {
            let (data, why) = (self.hub.data.clone(), why.to_owned());
            // Not as a transaction: writers may be waiting for just these flows.
            let job = move || {
                Box::pin(async move { detach(&data.shard(index), sync_id, why) })
                    as Pin<Box<dyn Future<Output = ()>>>
            };
            self.hub.data.run_on_shard(index, Box::new(job));
        }
    }
}

/// What a replica has of the history that this one left at a promotion, or was loaded without, goes with its full sync: nobody gets it back.
fn log_left_out(session: &SessionShared, lineage: &Lineage, claims: &[FlowClaim]) {
    let left_out = claims.iter().map(|claim| {
        let records = lineage.records_left_out(claim.id, claim.flow, claim.lsn);
        (claim.flow, records)
    });
    let left_out: Vec<_> = left_out.filter(|(_, records)| *records > 0).collect();
    if left_out.is_empty() {
        return;
    }
    let records: u64 = left_out.iter().map(|(_, records)| records).sum();
    let flows = left_out
        .iter()
        .map(|(flow, lost)| format!("{flow}: {lost}"));
    let flows = flows.collect::<Vec<_>>().join(", ");
    let (ip, port) = session.name();
    tracing::warn!(
        sync_id = %session.sync_id, ip, port, records, flows,
        "a replica has records that are not in this history; a full sync drops them"
    );
}

/// Ends the flow of a link on one shard, and forgets all that was kept for it.
pub(super) fn detach(shard: &impl PrimaryShard, sync_id: SyncId, why: String) {
    if let Some(handle) = shard.flows().get(sync_id) {
        handle.end(FlowEnd::Session { why });
    }
    let snapshot = shard.with_journal(|journal| shard.flows().detach(sync_id, journal));
    // Its end may reach into the shard; the journal is no longer lent.
    drop(snapshot);
}

type FallibleAction<S> = Box<dyn Fn(usize, &S) -> Result<(), String> + Send + Sync>;

// After any of these a new greeting helps; "invalid state" is how a replica knows (PROTOCOL 2).
const GONE: &str = "invalid state: a flow of the link is gone";
const UNPINNED: &str = "invalid state: the backlog is no longer pinned";
const LINEAGE_CHANGED: &str = "invalid state: the lineage changed";

/// On each shard: snapshot and journal begin to feed the flow, at one point.
fn cut<D: PrimaryDataSet>(sync_id: SyncId, hub: &PrimaryHub<D>) -> FallibleAction<D::Shard> {
    let shards = hub.data.shard_count();
    Box::new(move |index, shard| {
        let handle = shard
            .flows()
            .get(sync_id)
            .filter(|handle| !handle.has_ended())
            .ok_or(GONE)?;
        handle.with_flow(|flow| flow.begin_full_sync(&header(index, shards).fields()));
        let snapshot = shard.begin_snapshot(handle.clone());
        shard.flows().put_snapshot(sync_id, snapshot);
        shard.with_journal(|journal| {
            // Left over from an offer that was refused on another shard.
            if let Some((_, pin)) = shard.flows().take_pin(sync_id) {
                journal.unpin(pin);
            }
            journal.keep_backlog(true);
            shard.flows().consume(&handle, journal);
        });
        handle.wake();
        Ok(())
    })
}

/// On each shard: the tail of the full sync and then records, or records from the pinned backlog on.
fn start_stable<D: PrimaryDataSet>(
    sync_id: SyncId,
    clock: Clock,
    partial: bool,
) -> FallibleAction<D::Shard> {
    Box::new(move |_, shard| {
        let handle = shard
            .flows()
            .get(sync_id)
            .filter(|handle| !handle.has_ended())
            .ok_or(GONE)?;
        let now_ms = clock.now_ms();
        shard.with_journal(|journal| {
            if partial {
                let (lsn, pin) = shard.flows().take_pin(sync_id).ok_or(UNPINNED)?;
                handle.with_flow(|flow| flow.resume_stable(now_ms, lsn, pin));
                shard.flows().consume(&handle, journal);
            } else {
                handle.with_flow(|flow| flow.enter_stable(now_ms, journal.next_lsn()));
            }
            Ok::<(), String>(())
        })?;
        handle.wake();
        Ok(())
    })
}

/// The AUX fields of a flow's stream (PROTOCOL 3).
struct Header {
    texts: Vec<(&'static str, String)>,
}

fn header(index: usize, shards: usize) -> Header {
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let mut texts = vec![
        ("redis-ver", "6.2.11".to_owned()),
        ("df-ver", format!("damselfly-{}", env!("CARGO_PKG_VERSION"))),
        ("redis-bits", "64".to_owned()),
        ("ctime", seconds.to_string()),
        ("aof-preamble", "0".to_owned()),
    ];
    if index == 0 {
        texts.push(("shard-count", shards.to_string()));
    }
    texts.push(("shard-id", index.to_string()));
    Header { texts }
}

impl Header {
    fn fields(&self) -> Vec<(&[u8], &[u8])> {
        self.texts
            .iter()
            .map(|(key, value)| (key.as_bytes(), value.as_bytes()))
            .collect()
    }
}

/// What a flow's stream is to be written as.
pub(super) fn stream_level(level: u8) -> StreamLevel {
    StreamLevel::from_announced(u64::from(level))
}
