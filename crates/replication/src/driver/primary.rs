//! The replicas of a primary: greetings, sessions, and the flows that they get.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use damselfly_resp::{Proto, ReplyWriter};
use tokio::sync::{
    mpsc::{UnboundedSender, unbounded_channel},
    oneshot, watch,
};

use super::{
    clock::{Clock, Random},
    line_limit::LineLimit,
    primary_flow::{FlowStats, FlowTicket},
    session::SessionTask,
    status::{ReplicaFlowStatus, ReplicaName, ReplicaStatus},
    tally::{SyncCounts, Tally},
};
use crate::{
    config::PrimaryConfig,
    dataset::{PrimaryDataSet, PrimaryShard},
    error::DataError,
    ids::SyncId,
    primary::{
        DflyCommand, DflyError, FlowClaim, FlowRequest, PeerGreeting, PrimaryIdentity,
        PrimarySession, ReplconfAnswer, SessionState, write_greeting,
    },
};

/// Lines that the log has of replicas within [`LOG_WINDOW_MS`], however many come and go.
const LOG_LINES: u32 = 60;
/// See [`LOG_LINES`].
const LOG_WINDOW_MS: u64 = 60_000;

/// All replicas of a primary. A handle: clones share it, and may go wherever the data set's handle may.
#[derive(Clone, Debug)]
pub struct PrimaryHub<D> {
    pub(super) data: D,
    pub(super) shared: Arc<HubShared>,
}

#[derive(Debug)]
pub(super) struct HubShared {
    config: Mutex<PrimaryConfig>,
    pub(super) random: Random,
    pub(super) clock: Clock,
    next_id: AtomicU64,
    pub(super) tally: Tally,
    /// What the log says of replicas.
    pub(super) lines: Mutex<LineLimit>,
    /// Locked for a moment only, never across an await.
    sessions: Mutex<BTreeMap<SyncId, Arc<SessionShared>>>,
}

/// What other threads see of a session.
#[derive(Debug)]
pub(super) struct SessionShared {
    pub(super) sync_id: SyncId,
    messages: UnboundedSender<SessionMessage>,
    pub(super) level: u8,
    ended: watch::Sender<bool>,
    board: Mutex<Board>,
    pub(super) flows: Vec<Arc<FlowStats>>,
}

#[derive(Debug)]
struct Board {
    ip: String,
    port: u16,
    client_id: Option<String>,
    ack_interval_ms: Option<u64>,
    state: SessionState,
    state_since_ms: u64,
}

pub(super) enum SessionMessage {
    Flow {
        request: FlowRequest,
        reply: oneshot::Sender<Result<bool, DflyError>>,
    },
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
        let shared = HubShared {
            config: Mutex::new(config),
            random,
            clock: Clock::start(),
            next_id: AtomicU64::new(1),
            tally: Tally::default(),
            lines: Mutex::new(LineLimit::new(LOG_LINES, LOG_WINDOW_MS)),
            sessions: Mutex::default(),
        };
        PrimaryHub {
            data,
            shared: Arc::new(shared),
        }
    }

    /// What a new client connection of address `ip` needs, should it turn out to be a replica.
    pub fn connection(&self, ip: impl Into<String>) -> ReplicaConnection<D> {
        ReplicaConnection {
            hub: self.clone(),
            ip: ip.into(),
            peer: PeerGreeting::default(),
            session: None,
        }
    }

    /// The present settings.
    pub fn config(&self) -> PrimaryConfig {
        self.shared
            .config
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone()
    }

    /// Sets what sessions and flows made from now on use.
    pub fn set_config(&self, config: PrimaryConfig) {
        *self
            .shared
            .config
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = config;
    }

    /// Every replica.
    pub fn replicas(&self) -> Vec<ReplicaStatus> {
        let now_ms = self.shared.clock.now_ms();
        self.sessions()
            .values()
            .map(|session| session.status(now_ms))
            .collect()
    }

    /// What was done for replicas since the start, or since [`reset_counts`](Self::reset_counts).
    pub fn counts(&self) -> SyncCounts {
        self.shared.tally.counts()
    }

    /// Counts from 0 again.
    pub fn reset_counts(&self) {
        self.shared.tally.reset();
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

    /// Ready when the link of this replica has ended, or there is none.
    pub fn ended(&self, sync_id: SyncId) -> impl Future<Output = ()> + use<D> {
        let ended = self
            .session(sync_id)
            .map(|session| session.ended.subscribe());
        async move {
            if let Some(mut ended) = ended {
                drop(ended.wait_for(|ended| *ended).await);
            }
        }
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<SyncId, Arc<SessionShared>>> {
        self.shared
            .sessions
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn forget(&self, sync_id: SyncId) {
        self.sessions().remove(&sync_id);
    }

    fn session(&self, sync_id: SyncId) -> Option<Arc<SessionShared>> {
        self.sessions().get(&sync_id).cloned()
    }

    /// Opens a session for a peer that greets, and runs it on the present thread.
    fn open(
        &self,
        ip: &str,
        peer: &PeerGreeting,
    ) -> Result<(Arc<SessionShared>, PrimaryIdentity), DflyError> {
        self.data.readiness().map_err(DflyError::NotReady)?;
        let config = self.config();
        if self.sessions().len() >= config.max_sessions {
            return Err(DflyError::TooManyReplicas);
        }
        let (lineage, flows) = (self.data.lineage(), self.data.shard_count());
        let level = if peer.extensions { config.level } else { 0 };
        let (messages, inbox) = unbounded_channel();
        let sync_id = SyncId(self.shared.next_id.fetch_add(1, Relaxed));
        let board = Board {
            ip: ip.to_owned(),
            port: 0,
            client_id: None,
            ack_interval_ms: None,
            state: SessionState::Preparation,
            state_since_ms: self.shared.clock.now_ms(),
        };
        let stats = (0..flows).map(|_| Arc::default()).collect();
        let session = Arc::new(SessionShared {
            sync_id,
            messages,
            level,
            ended: watch::Sender::new(false),
            board: Mutex::new(board),
            flows: stats,
        });
        session.describe(ip, peer);
        self.sessions().insert(sync_id, session.clone());
        let now_ms = self.shared.clock.now_ms();
        let machine = PrimarySession::new(now_ms, &config, sync_id, lineage.replid(), flows, level);
        let task = SessionTask::new(
            self.clone(),
            machine,
            lineage.clone(),
            session.clone(),
            inbox,
        );
        tokio::task::spawn_local(task.run());
        let identity = PrimaryIdentity {
            replid: lineage.replid(),
            history: lineage.history(),
            flows,
            level: peer.extensions.then_some(level),
            origin: lineage.announced(),
            restored: lineage.restored().to_vec(),
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

    /// Address and announced port, as the log names the replica.
    pub(super) fn name(&self) -> (String, u16) {
        let board = self.board();
        (board.ip.clone(), board.port)
    }

    pub(super) fn set_state(&self, state: SessionState, now_ms: u64) {
        {
            let mut board = self.board();
            if board.state != state {
                (board.state, board.state_since_ms) = (state, now_ms);
            }
        }
        if state == SessionState::Cancelled {
            self.ended.send_replace(true);
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn describe(&self, ip: &str, peer: &PeerGreeting) {
        let mut board = self.board();
        board.ip = peer.ip.clone().unwrap_or_else(|| ip.to_owned());
        board.port = peer.port;
        board.client_id = peer.client_id.clone();
        board.ack_interval_ms = peer.ack_interval_ms;
    }

    fn status(&self, now_ms: u64) -> ReplicaStatus {
        let board = self.board();
        let stable = board.state == SessionState::StableSync;
        let flows = self.flows.iter();
        let flows = flows.map(|flow| ReplicaFlowStatus::of(flow, stable, now_ms));
        let name = ReplicaName {
            sync_id: self.sync_id,
            ip: board.ip.clone(),
            port: board.port,
            client_id: board.client_id.clone(),
            ack_interval_ms: board.ack_interval_ms,
            level: self.level,
            state: board.state,
            state_ms: now_ms.saturating_sub(board.state_since_ms),
        };
        ReplicaStatus::of(name, flows.collect())
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

    /// Ready when the session that this connection controls has ended: the connection is to be closed then, too. Never
    /// ready without a session. Ask again after every command.
    pub fn session_ended(&self) -> impl Future<Output = ()> + use<D> {
        let ended = self
            .session
            .as_ref()
            .map(|session| session.ended.subscribe());
        async move {
            match ended {
                // An error says that the session is gone altogether.
                Some(mut ended) => drop(ended.wait_for(|ended| *ended).await),
                None => std::future::pending().await,
            }
        }
    }

    /// Carries out `REPLCONF` or `DFLY` with all its arguments, and appends the answer to `out`. The caller has
    /// authenticated and authorised the client.
    pub async fn handle_command(&mut self, args: &[&[u8]], out: &mut Vec<u8>) -> CommandOutcome {
        if args
            .first()
            .is_some_and(|name| name.eq_ignore_ascii_case(b"REPLCONF"))
        {
            self.replconf(args, out);
            return CommandOutcome::Answered;
        }
        let result = match DflyCommand::parse(args) {
            Ok(DflyCommand::Flow(request)) => match self.flow(request).await {
                Ok(ticket) => return CommandOutcome::BecomesFlow(ticket),
                Err(error) => Err(error),
            },
            Ok(DflyCommand::Sync(sync_id)) => self.ask(sync_id, SessionMessage::Sync).await,
            Ok(DflyCommand::StartStable(sync_id)) => {
                self.ask(sync_id, SessionMessage::StartStable).await
            }
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
                    old.send(SessionMessage::Cancel(
                        "the replica greeted again".to_owned(),
                    ));
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
        let session = self
            .hub
            .session(request.sync_id)
            .ok_or(DflyError::SyncIdNotFound)?;
        let flow = request.flow;
        let (reply, answer) = oneshot::channel();
        session.send(SessionMessage::Flow { request, reply });
        let partial = answer.await.unwrap_or(Err(DflyError::SyncIdNotFound))?;
        let mut config = self.hub.config();
        if self.hub.data.is_replica() {
            // Dropped in time, so that waiting for it does not make this server time out upstream.
            config.replication_timeout_ms /= 2;
        }
        Ok(FlowTicket::new(
            self.hub.shared.clone(),
            config,
            session,
            flow,
            partial,
        ))
    }
}

impl<D> Drop for ReplicaConnection<D> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.send(SessionMessage::Cancel(
                "the control connection closed".to_owned(),
            ));
        }
    }
}

/// The next LSN of each shard, at one point.
async fn next_lsns<D: PrimaryDataSet>(data: &D) -> Result<Vec<u64>, DataError> {
    let found: Arc<Vec<AtomicU64>> =
        Arc::new((0..data.shard_count()).map(|_| AtomicU64::new(0)).collect());
    let slots = found.clone();
    let action = move |index: usize, shard: &D::Shard| {
        let next = shard.with_journal(|journal| journal.next_lsn());
        slots[index].store(next.0, Relaxed);
    };
    data.on_every_shard(Arc::new(action)).await?;
    Ok(found.iter().map(|lsn| lsn.load(Relaxed)).collect())
}
