//! The replicas of a primary: greetings, sessions, and the flows that they get.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use damselfly_journal::StreamLevel;
use damselfly_resp::{Proto, ReplyWriter};
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};

use super::{
    clock::{Clock, Random},
    primary_flow::{FlowStats, FlowTicket},
};
use crate::{
    config::PrimaryConfig,
    dataset::{PrimaryDataSet, PrimaryShard},
    error::DataError,
    ids::SyncId,
    lineage::Lineage,
    primary::{
        DflyCommand, DflyError, FlowClaim, FlowEnd, FlowRequest, PeerGreeting, PrimaryIdentity, PrimarySession,
        ReplconfAnswer, SessionOutput, SessionState, write_greeting,
    },
};

/// All replicas of a primary. A handle: clones share it, and may go wherever the data set's handle may.
#[derive(Clone, Debug)]
pub struct PrimaryHub<D> {
    pub(super) data: D,
    pub(super) shared: Arc<HubShared>,
}

#[derive(Debug)]
pub(super) struct HubShared {
    pub(super) config: PrimaryConfig,
    pub(super) random: Random,
    pub(super) clock: Clock,
    next_id: AtomicU64,
    /// Locked for a moment only, never across an await.
    sessions: Mutex<BTreeMap<SyncId, Arc<SessionShared>>>,
}

/// What other threads see of a session.
#[derive(Debug)]
pub(super) struct SessionShared {
    pub(super) sync_id: SyncId,
    messages: UnboundedSender<SessionMessage>,
    pub(super) level: u8,
    board: Mutex<Board>,
    pub(super) flows: Vec<Arc<FlowStats>>,
}

#[derive(Debug)]
struct Board {
    ip: String,
    port: u16,
    client_id: Option<String>,
    state: SessionState,
}

/// One replica, for ROLE, INFO and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Its link.
    pub sync_id: SyncId,
    /// Its address: announced, or that of its control connection.
    pub ip: String,
    /// The port that it announced.
    pub port: u16,
    /// The name that it announced.
    pub client_id: Option<String>,
    /// Where its session is.
    pub state: SessionState,
    /// The most records that one of its flows has not acked.
    pub lag_records: u64,
    /// Bytes of all flows that the network has not accepted.
    pub unsent_bytes: u64,
    /// Milliseconds since the oldest last ack of its flows, in stable sync.
    pub ack_age_ms: Option<u64>,
    /// Bytes sent: of full syncs, and of records.
    pub sent_bytes: (u64, u64),
}

pub(super) enum SessionMessage {
    Flow { request: FlowRequest, reply: oneshot::Sender<Result<bool, DflyError>> },
    Sync(oneshot::Sender<Result<(), DflyError>>),
    StartStable(oneshot::Sender<Result<(), DflyError>>),
    ClaimsChecked(Vec<FlowClaim>, bool),
    Cut(Result<(), String>),
    Stable(Result<(), String>),
    FlowFinished,
    Cancel(String),
}

impl<D: PrimaryDataSet> PrimaryHub<D> {
    /// The hub of a data set.
    pub fn new(data: D, config: PrimaryConfig, random: Random) -> PrimaryHub<D> {
        let shared = HubShared { config, random, clock: Clock::start(), next_id: AtomicU64::new(1), sessions: Mutex::default() };
        PrimaryHub { data, shared: Arc::new(shared) }
    }

    /// What a new client connection of address `ip` needs, should it turn out to be a replica.
    pub fn connection(&self, ip: impl Into<String>) -> ReplicaConnection<D> {
        ReplicaConnection { hub: self.clone(), ip: ip.into(), peer: PeerGreeting::default(), session: None }
    }

    /// Every replica.
    pub fn replicas(&self) -> Vec<ReplicaStatus> {
        let now_ms = self.shared.clock.now_ms();
        self.sessions().values().map(|session| session.status(now_ms)).collect()
    }

    /// Ends the links of all replicas; they come back and greet again. To be called when a
    /// [`LineageChange`](crate::LineageChange) says so.
    pub fn end_all(&self, why: &str) {
        for session in self.sessions().values() {
            session.send(SessionMessage::Cancel(why.to_owned()));
        }
    }

    /// Ends the link of one replica; `false` if there is none.
    pub fn end(&self, sync_id: SyncId, why: &str) -> bool {
        let session = self.session(sync_id);
        session.is_some_and(|session| session.send(SessionMessage::Cancel(why.to_owned())))
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<SyncId, Arc<SessionShared>>> {
        self.shared.sessions.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn session(&self, sync_id: SyncId) -> Option<Arc<SessionShared>> {
        self.sessions().get(&sync_id).cloned()
    }

    /// Opens a session for a peer that greets, and runs it on the present thread.
    fn open(&self, ip: &str, peer: &PeerGreeting) -> Result<(Arc<SessionShared>, PrimaryIdentity), DflyError> {
        self.data.readiness().map_err(DflyError::NotReady)?;
        if self.sessions().len() >= self.shared.config.max_sessions {
            return Err(DflyError::TooManyReplicas);
        }
        let (lineage, flows) = (self.data.lineage(), self.data.shard_count());
        let level = if peer.extensions { self.shared.config.level } else { 0 };
        let (messages, inbox) = unbounded_channel();
        let sync_id = SyncId(self.shared.next_id.fetch_add(1, Relaxed));
        let board = Board { ip: ip.to_owned(), port: 0, client_id: None, state: SessionState::Preparation };
        let stats = (0..flows).map(|_| Arc::default()).collect();
        let session = Arc::new(SessionShared { sync_id, messages, level, board: Mutex::new(board), flows: stats });
        session.describe(ip, peer);
        self.sessions().insert(sync_id, session.clone());
        let now_ms = self.shared.clock.now_ms();
        let machine = PrimarySession::new(now_ms, &self.shared.config, sync_id, lineage.replid(), flows, level);
        let task = SessionTask {
            hub: self.clone(),
            machine,
            lineage: lineage.clone(),
            shared: session.clone(),
            inbox,
            flow_replies: BTreeMap::new(),
            reply: None,
        };
        tokio::task::spawn_local(task.run());
        let identity = PrimaryIdentity {
            replid: lineage.replid(),
            history: lineage.history(),
            flows,
            level: peer.extensions.then_some(level),
        };
        Ok((session, identity))
    }
}

impl SessionShared {
    pub(super) fn send(&self, message: SessionMessage) -> bool {
        self.messages.send(message).is_ok()
    }

    /// Whether its cleaning up has begun: what is attached to a shard later is nobody's.
    pub(super) fn is_cancelled(&self) -> bool {
        self.board().state == SessionState::Cancelled
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn describe(&self, ip: &str, peer: &PeerGreeting) {
        let mut board = self.board();
        board.ip = peer.ip.clone().unwrap_or_else(|| ip.to_owned());
        board.port = peer.port;
        board.client_id = peer.client_id.clone();
    }

    fn status(&self, now_ms: u64) -> ReplicaStatus {
        let board = self.board();
        let load = |field: fn(&FlowStats) -> &AtomicU64| self.flows.iter().map(move |flow| field(flow).load(Relaxed));
        let stable = board.state == SessionState::StableSync;
        ReplicaStatus {
            sync_id: self.sync_id,
            ip: board.ip.clone(),
            port: board.port,
            client_id: board.client_id.clone(),
            state: board.state,
            lag_records: load(|flow| &flow.lag).max().unwrap_or(0),
            unsent_bytes: load(|flow| &flow.unsent).sum(),
            ack_age_ms: load(|flow| &flow.acked_ms).min().filter(|_| stable).map(|acked| now_ms.saturating_sub(acked)),
            sent_bytes: (load(|flow| &flow.full_sync_bytes).sum(), load(|flow| &flow.stream_bytes).sum()),
        }
    }
}

/// A client connection as far as replication is concerned: what it told of itself, and the session that it controls.
/// Dropping it, when the connection closes, ends that session.
#[derive(Debug)]
pub struct ReplicaConnection<D> {
    hub: PrimaryHub<D>,
    ip: String,
    peer: PeerGreeting,
    session: Option<Arc<SessionShared>>,
}

/// What became of a command.
#[derive(Debug)]
pub enum CommandOutcome {
    /// The answer, if there is one, was written.
    Answered,
    /// The connection is a flow from now on: hand its stream and what was read behind the command to
    /// [`FlowTicket::run`], on the thread of shard [`FlowTicket::flow`].
    BecomesFlow(FlowTicket),
}

impl<D: PrimaryDataSet> ReplicaConnection<D> {
    /// What the peer told of itself.
    pub fn peer(&self) -> &PeerGreeting {
        &self.peer
    }

    /// The session that this connection controls.
    pub fn sync_id(&self) -> Option<SyncId> {
        self.session.as_ref().map(|session| session.sync_id)
    }

    /// Carries out `REPLCONF` or `DFLY` with all its arguments, and appends the answer to `out`. The caller has
    /// authenticated and authorised the client.
    pub async fn handle_command(&mut self, args: &[&[u8]], out: &mut Vec<u8>) -> CommandOutcome {
        if args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"REPLCONF")) {
            self.replconf(args, out);
            return CommandOutcome::Answered;
        }
        let result = match DflyCommand::parse(args) {
            Ok(DflyCommand::Flow(request)) => match self.flow(request).await {
                Ok(ticket) => return CommandOutcome::BecomesFlow(ticket),
                Err(error) => Err(error),
            },
            Ok(DflyCommand::Sync(sync_id)) => self.ask(sync_id, SessionMessage::Sync).await,
            Ok(DflyCommand::StartStable(sync_id)) => self.ask(sync_id, SessionMessage::StartStable).await,
            Ok(DflyCommand::ReplicaOffset) => match next_lsns(&self.hub.data).await {
                Ok(lsns) => {
                    let mut reply = ReplyWriter::new(out, Proto::Resp2);
                    reply.array(lsns.len());
                    lsns.into_iter().for_each(|lsn| reply.integer(lsn as i64));
                    return CommandOutcome::Answered;
                }
                Err(error) => Err(DflyError::Data(error.message)),
            },
            Ok(DflyCommand::TakeOver { .. }) => Err(DflyError::NoTakeOver),
            Err(error) => Err(error),
        };
        let mut reply = ReplyWriter::new(out, Proto::Resp2);
        match result {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error.to_string()),
        }
        CommandOutcome::Answered
    }

    fn replconf(&mut self, args: &[&[u8]], out: &mut Vec<u8>) {
        match self.peer.handle_replconf(args) {
            ReplconfAnswer::Nothing => {}
            ReplconfAnswer::Error(text) => ReplyWriter::new(out, Proto::Resp2).error(text),
            ReplconfAnswer::Ok => {
                if let Some(session) = &self.session {
                    session.describe(&self.ip, &self.peer);
                }
                ReplyWriter::new(out, Proto::Resp2).ok();
            }
            ReplconfAnswer::OpenSession => {
                if let Some(old) = self.session.take() {
                    old.send(SessionMessage::Cancel("the replica greeted again".to_owned()));
                }
                match self.hub.open(&self.ip, &self.peer) {
                    Ok((session, identity)) => {
                        write_greeting(out, &identity, session.sync_id);
                        self.session = Some(session);
                    }
                    Err(error) => ReplyWriter::new(out, Proto::Resp2).error(error.to_string()),
                }
            }
        }
    }

    async fn ask(
        &self,
        sync_id: SyncId,
        message: impl FnOnce(oneshot::Sender<Result<(), DflyError>>) -> SessionMessage,
    ) -> Result<(), DflyError> {
        let session = self.hub.session(sync_id).ok_or(DflyError::SyncIdNotFound)?;
        let (reply, answer) = oneshot::channel();
        session.send(message(reply));
        answer.await.unwrap_or(Err(DflyError::SyncIdNotFound))
    }

    async fn flow(&self, request: FlowRequest) -> Result<FlowTicket, DflyError> {
        let session = self.hub.session(request.sync_id).ok_or(DflyError::SyncIdNotFound)?;
        let flow = request.flow;
        let (reply, answer) = oneshot::channel();
        session.send(SessionMessage::Flow { request, reply });
        let partial = answer.await.unwrap_or(Err(DflyError::SyncIdNotFound))?;
        Ok(FlowTicket::new(self.hub.shared.clone(), session, flow, partial))
    }
}

impl<D> Drop for ReplicaConnection<D> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.send(SessionMessage::Cancel("the control connection closed".to_owned()));
        }
    }
}

/// The next LSN of each shard, at one point.
async fn next_lsns<D: PrimaryDataSet>(data: &D) -> Result<Vec<u64>, DataError> {
    let found: Arc<Vec<AtomicU64>> = Arc::new((0..data.shard_count()).map(|_| AtomicU64::new(0)).collect());
    let slots = found.clone();
    let action = move |index: usize, shard: &D::Shard| {
        let next = shard.with_journal(|journal| journal.next_lsn());
        slots[index].store(next.0, Relaxed);
    };
    data.on_every_shard(Arc::new(action)).await?;
    Ok(found.iter().map(|lsn| lsn.load(Relaxed)).collect())
}

/// Drives the machine of one session, on the thread of its control connection.
struct SessionTask<D> {
    hub: PrimaryHub<D>,
    machine: PrimarySession,
    /// As it was at the greeting.
    lineage: Lineage,
    shared: Arc<SessionShared>,
    inbox: UnboundedReceiver<SessionMessage>,
    flow_replies: BTreeMap<usize, oneshot::Sender<Result<bool, DflyError>>>,
    reply: Option<oneshot::Sender<Result<(), DflyError>>>,
}

impl<D: PrimaryDataSet> SessionTask<D> {
    async fn run(mut self) {
        loop {
            while let Some(output) = self.machine.poll_output() {
                if let SessionOutput::Cancel(why) = output {
                    return self.cancel(&why);
                }
                self.execute(output);
            }
            self.shared.board().state = self.machine.state();
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

    fn handle(&mut self, message: SessionMessage) {
        match message {
            SessionMessage::Flow { request, reply } => {
                if self.flow_replies.contains_key(&request.flow) {
                    drop(reply.send(Err(DflyError::InvalidState)));
                    return;
                }
                self.flow_replies.insert(request.flow, reply);
                self.machine.handle_flow(request.replid, request.flow, request.offer);
            }
            SessionMessage::Sync(reply) => {
                self.take_reply(reply);
                self.machine.handle_sync();
            }
            SessionMessage::StartStable(reply) => {
                self.take_reply(reply);
                self.machine.handle_start_stable();
            }
            SessionMessage::ClaimsChecked(claims, granted) => self.machine.handle_claims_checked(&claims, granted),
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
            SessionOutput::Cut => self.on_shards(cut::<D>(self.shared.sync_id, &self.hub), SessionMessage::Cut),
            SessionOutput::StartStable { partial } => {
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
    fn on_shards(&self, action: FallibleAction<D::Shard>, done: fn(Result<(), String>) -> SessionMessage) {
        let (data, session) = (self.hub.data.clone(), self.shared.clone());
        tokio::task::spawn_local(async move {
            let failure: Arc<Mutex<Option<String>>> = Arc::default();
            let noted = failure.clone();
            let noting = move |index: usize, shard: &D::Shard| {
                if let Err(why) = action(index, shard) {
                    noted.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(why);
                }
            };
            let result = data.on_every_shard(Arc::new(noting)).await.map_err(|error| error.message);
            let failure = failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
            session.send(done(result.and_then(|()| failure.map_or(Ok(()), Err))));
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
                let Some(claim) = wanted.iter().find(|claim| claim.flow == index) else { return };
                let pinned = shard.with_journal(|journal| {
                    admits.admits_flow(claim.id, index, claim.lsn, journal.next_lsn())
                        && shard.flows().pin(sync_id, claim.lsn, journal, borders_only)
                });
                grant.fetch_and(pinned, Relaxed);
            };
            let done = data.on_every_shard(Arc::new(action)).await.is_ok();
            let granted = done && granted.load(Relaxed) && data.lineage() == lineage;
            session.send(SessionMessage::ClaimsChecked(claims, granted));
        });
    }

    fn cancel(self, why: &str) {
        tracing::info!(sync_id = %self.shared.sync_id, why, "replica link ended");
        self.shared.board().state = SessionState::Cancelled;
        let sync_id = self.shared.sync_id;
        self.hub.sessions().remove(&sync_id);
        for index in 0..self.hub.data.shard_count() {
            let (data, why) = (self.hub.data.clone(), why.to_owned());
            // Not as a transaction: writers may be waiting for just these flows.
            let job = move || Box::pin(async move { detach(&data.shard(index), sync_id, why) }) as Pin<Box<dyn Future<Output = ()>>>;
            self.hub.data.run_on_shard(index, Box::new(job));
        }
    }
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

const GONE: &str = "a flow of the link is gone";

/// On each shard: snapshot and journal begin to feed the flow, at one point.
fn cut<D: PrimaryDataSet>(sync_id: SyncId, hub: &PrimaryHub<D>) -> FallibleAction<D::Shard> {
    let shards = hub.data.shard_count();
    Box::new(move |index, shard| {
        let handle = shard.flows().get(sync_id).filter(|handle| !handle.has_ended()).ok_or(GONE)?;
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
fn start_stable<D: PrimaryDataSet>(sync_id: SyncId, clock: Clock, partial: bool) -> FallibleAction<D::Shard> {
    Box::new(move |_, shard| {
        let handle = shard.flows().get(sync_id).filter(|handle| !handle.has_ended()).ok_or(GONE)?;
        let now_ms = clock.now_ms();
        shard.with_journal(|journal| {
            if partial {
                let (lsn, pin) = shard.flows().take_pin(sync_id).ok_or("the backlog is no longer pinned")?;
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
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
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
        self.texts.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())).collect()
    }
}

/// What a flow's stream is to be written as.
pub(super) fn stream_level(level: u8) -> StreamLevel {
    StreamLevel::from_announced(u64::from(level))
}

