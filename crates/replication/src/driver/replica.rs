//! Runs the link of a replica: its control connection, and all that its machine asks for.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
};

use damselfly_journal::Lsn;
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};

use super::{
    clock::{Clock, Random},
    conn::{Conn, IoEvent},
    connect::Connect,
    link_log::LinkLog,
    replica_flow::{FlowJob, FlowProgress},
    status::{LinkFlowStatus, LinkStatus},
};
use crate::{
    config::ReplicaConfig,
    dataset::{ReplicaDataSet, Upstream},
    error::{DataError, LinkError},
    ids::ReplId,
    lineage::Resume,
    replica::{
        FlowCommand, FlowEvent, FlowSpec, Greeted, Greeting, LinkOutput, LinkPhase, LinkStats,
        Meeting, ReplicaLink, Standing,
    },
};

/// A peer that was connected and greeted, and that a link can go on with.
#[derive(Debug)]
pub struct Candidate<S> {
    stream: S,
    greeted: Greeted,
}

impl<S> Candidate<S> {
    /// Who it is.
    pub fn upstream(&self) -> &Upstream {
        &self.greeted.upstream
    }
}

/// How a link is made.
#[derive(Clone, Debug)]
pub struct LinkOptions<C> {
    /// Settings.
    pub config: ReplicaConfig,
    /// How connections are made.
    pub connect: C,
    /// Where random numbers come from.
    pub random: Random,
}

/// A running link. Dropping it does not end the link: [`stop`](Self::stop) does.
#[derive(Clone, Debug)]
pub struct LinkHandle {
    messages: UnboundedSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    /// Locked for a moment only, never across an await.
    board: Mutex<Board>,
}

#[derive(Debug)]
struct Board {
    phase: LinkPhase,
    upstream: Option<Upstream>,
    sync_id: Option<crate::ids::SyncId>,
    stats: LinkStats,
    last_error: Option<LinkError>,
    flows: Vec<Arc<FlowProgress>>,
    /// Bytes that came on flows of earlier attempts.
    received_before: u64,
    /// Since when it has not been in stable sync.
    down_since_ms: Option<u64>,
    /// When the phase began.
    phase_since_ms: u64,
}

impl Board {
    fn received_bytes(&self) -> u64 {
        let flows = self.flows.iter();
        let now: u64 = flows.map(|flow| flow.received_bytes.load(Relaxed)).sum();
        self.received_before + now
    }
}

/// What reaches the task of a link.
pub(super) enum Message {
    Flow(usize, FlowEvent),
    FullSyncBegun(Result<(), DataError>),
    StableEntered(Result<(), DataError>),
    MeetingDone {
        txid: u64,
        nexts: Vec<(usize, Option<Lsn>)>,
        result: Result<(), DataError>,
    },
    LinkEnded,
    Stop(oneshot::Sender<Option<Resume>>),
    Pause(bool),
}

impl LinkHandle {
    /// Ends the link at once, lets what is being executed end, and tells what another link may stand on.
    pub async fn stop(&self) -> Option<Resume> {
        let (sender, receiver) = oneshot::channel();
        self.messages.send(Message::Stop(sender)).ok()?;
        receiver.await.ok().flatten()
    }

    /// Stops reading from the flows, or goes on (`DEBUG REPLICA PAUSE|RESUME`).
    pub fn pause(&self, paused: bool) {
        drop(self.messages.send(Message::Pause(paused)));
    }

    /// What the link is doing.
    pub fn status(&self) -> LinkStatus {
        let board = self
            .shared
            .board
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let now_ms = self.shared.clock.now_ms();
        let flows = board.flows.iter();
        let flows: Vec<_> = flows.map(|flow| LinkFlowStatus::of(flow, now_ms)).collect();
        let executed: Option<Vec<Lsn>> = flows.iter().map(|flow| flow.executed).collect();
        LinkStatus {
            phase: board.phase,
            phase_ms: now_ms.saturating_sub(board.phase_since_ms),
            upstream: board.upstream.clone(),
            stats: board.stats,
            last_error: board.last_error.clone(),
            executed: executed.unwrap_or_default(),
            last_io_ms: flows.iter().map(|flow| flow.last_io_ms).min(),
            down_ms: board
                .down_since_ms
                .map(|since| now_ms.saturating_sub(since)),
            sync_id: board.sync_id,
            received_bytes: board.received_bytes(),
            flows,
        }
    }
}

/// Connects and greets a candidate beside whatever runs; nothing else is touched.
///
/// # Errors
/// Whatever is wrong with it, in the time that the configuration allows.
pub async fn greet<C: Connect>(
    options: &LinkOptions<C>,
    host: &str,
    port: u16,
    own_replid: ReplId,
) -> Result<Candidate<C::Stream>, LinkError> {
    let clock = Clock::start();
    let limit_ms = options.config.connect_timeout_ms;
    let stream = tokio::select! {
        stream = options.connect.connect(host, port) => stream?,
        () = clock.sleep_until(Some(limit_ms)) => return Err(LinkError::Timeout { step: "connect", limit_ms }),
    };
    let mut conn = Conn::new(stream);
    let mut greeting = Greeting::new(options.config.clone(), format!("{host}:{port}"), own_replid);
    let limit_ms = options.config.handshake_timeout_ms;
    let mut deadline = clock.now_ms() + limit_ms;
    loop {
        let request = greeting.poll_transmit();
        if !request.is_empty() {
            deadline = clock.now_ms() + limit_ms;
            conn.out().extend_from_slice(&request);
        }
        tokio::select! {
            event = conn.next(true) => match event {
                IoEvent::Read(len) => if let Some(greeted) = greeting.handle_bytes(conn.input(len))? {
                    return Ok(Candidate { stream: conn.into_inner(), greeted });
                },
                IoEvent::Wrote(_) => {}
                IoEvent::Closed(why) => return Err(LinkError::Closed { connection: "control".to_owned(), why }),
            },
            () = clock.sleep_until(Some(deadline)) => return Err(LinkError::Timeout { step: greeting.step(), limit_ms }),
        }
    }
}

/// Starts the link to `host` and `port` on the present thread: with the candidate's connection, or by connecting. `standing` is what
/// the data set is that it may not undo.
pub fn start_link<D: ReplicaDataSet, C: Connect>(
    data: D,
    options: LinkOptions<C>,
    host: &str,
    port: u16,
    candidate: Option<Candidate<C::Stream>>,
    resume: Option<Resume>,
    standing: Standing,
) -> LinkHandle {
    let clock = Clock::start();
    let (messages, inbox) = unbounded_channel();
    let seed = options.random.next_u64();
    let (config, own) = (options.config.clone(), data.replid());
    let (mut link, control) = match candidate {
        Some(Candidate { stream, greeted }) => (
            ReplicaLink::greeted(0, config, own, resume, seed, greeted),
            Some(Conn::new(stream)),
        ),
        None => (
            ReplicaLink::connecting(0, config, format!("{host}:{port}"), own, resume, seed),
            None,
        ),
    };
    link.set_standing(standing);
    let board = Board {
        phase: link.phase(),
        upstream: link.upstream().cloned(),
        sync_id: None,
        stats: link.stats(),
        last_error: None,
        flows: Vec::new(),
        received_before: 0,
        down_since_ms: Some(clock.now_ms()),
        phase_since_ms: clock.now_ms(),
    };
    let shared = Arc::new(Shared {
        clock,
        board: Mutex::new(board),
    });
    let handle = LinkHandle {
        messages: messages.clone(),
        shared: shared.clone(),
    };
    let task = Task {
        data,
        options,
        host: host.to_owned(),
        port,
        clock,
        link,
        log: LinkLog::new(format!("{host}:{port}")),
        control,
        connecting: None,
        commands: Vec::new(),
        messages,
        inbox,
        shared,
        stoppers: Vec::new(),
    };
    tokio::task::spawn_local(task.run());
    handle
}

type Connecting<S> = Pin<Box<dyn Future<Output = Result<S, LinkError>>>>;

struct Task<D, C: Connect> {
    data: D,
    options: LinkOptions<C>,
    host: String,
    port: u16,
    clock: Clock,
    link: ReplicaLink,
    log: LinkLog,
    control: Option<Conn<C::Stream>>,
    connecting: Option<Connecting<C::Stream>>,
    commands: Vec<UnboundedSender<FlowCommand>>,
    messages: UnboundedSender<Message>,
    inbox: UnboundedReceiver<Message>,
    shared: Arc<Shared>,
    stoppers: Vec<oneshot::Sender<Option<Resume>>>,
}

enum Happened<S> {
    Message(Option<Message>),
    Io(IoEvent),
    Connected(Result<S, LinkError>),
    Timeout,
}

impl<D: ReplicaDataSet, C: Connect> Task<D, C> {
    async fn run(mut self) {
        loop {
            while let Some(output) = self.link.poll_output() {
                self.execute(output);
            }
            self.publish();
            if self.link.phase() == LinkPhase::Stopped {
                let resume = self.link.resume().cloned();
                self.stoppers
                    .drain(..)
                    .for_each(|stopper| drop(stopper.send(resume.clone())));
                return;
            }
            let happened = self.wait().await;
            self.handle(happened);
        }
    }

    async fn wait(&mut self) -> Happened<C::Stream> {
        let control = async {
            match &mut self.control {
                Some(conn) => conn.next(true).await,
                None => std::future::pending().await,
            }
        };
        let connecting = async {
            match &mut self.connecting {
                Some(connecting) => connecting.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            message = self.inbox.recv() => Happened::Message(message),
            event = control => Happened::Io(event),
            connected = connecting => Happened::Connected(connected),
            () = self.clock.sleep_until(self.link.deadline()) => Happened::Timeout,
        }
    }

    fn handle(&mut self, happened: Happened<C::Stream>) {
        let now_ms = self.clock.now_ms();
        match happened {
            Happened::Message(Some(message)) => self.handle_message(now_ms, message),
            // The task itself holds a sender.
            Happened::Message(None) => {}
            Happened::Io(IoEvent::Read(len)) => {
                if let Some(conn) = &self.control {
                    self.link.handle_bytes(now_ms, conn.input(len));
                }
            }
            Happened::Io(IoEvent::Wrote(_)) => {}
            Happened::Io(IoEvent::Closed(why)) => {
                self.control = None;
                self.link.handle_closed(
                    now_ms,
                    LinkError::Closed {
                        connection: "control".to_owned(),
                        why,
                    },
                );
            }
            Happened::Connected(result) => {
                self.connecting = None;
                match result {
                    Ok(stream) => {
                        self.control = Some(Conn::new(stream));
                        self.link.handle_connected(now_ms);
                    }
                    Err(error) => self.link.handle_closed(now_ms, error),
                }
            }
            Happened::Timeout => self.link.handle_timeout(now_ms),
        }
    }

    fn handle_message(&mut self, now_ms: u64, message: Message) {
        match message {
            Message::Flow(flow, event) => self.link.handle_flow_event(now_ms, flow, event),
            Message::FullSyncBegun(result) => {
                self.link.set_own_replid(self.data.replid());
                self.link.handle_full_sync_begun(now_ms, result);
            }
            Message::StableEntered(result) => self.link.handle_stable_entered(now_ms, result),
            Message::MeetingDone {
                txid,
                nexts,
                result,
            } => self.link.handle_meeting_done(now_ms, txid, &nexts, result),
            Message::LinkEnded => self.link.handle_link_ended(now_ms),
            Message::Stop(stopper) => {
                self.stoppers.push(stopper);
                self.link.stop(now_ms);
            }
            Message::Pause(true) => self.link.pause_reading(),
            Message::Pause(false) => self.link.resume_reading(),
        }
    }

    fn execute(&mut self, output: LinkOutput) {
        match output {
            LinkOutput::Connect => {
                self.link.set_own_replid(self.data.replid());
                let (connect, host, port) =
                    (self.options.connect.clone(), self.host.clone(), self.port);
                self.connecting = Some(Box::pin(async move { connect.connect(&host, port).await }));
            }
            LinkOutput::Send(bytes) => {
                if let Some(conn) = &mut self.control {
                    conn.out().extend_from_slice(&bytes);
                }
            }
            LinkOutput::Disconnect => (self.control, self.connecting) = (None, None),
            LinkOutput::OpenFlow(spec) => self.open_flow(spec),
            LinkOutput::Command(flow, command) => {
                if let Some(sender) = self.commands.get(flow) {
                    drop(sender.send(command));
                }
            }
            LinkOutput::BeginFullSync(upstream) => {
                let data = self.data.clone();
                self.call(
                    async move { Message::FullSyncBegun(data.begin_full_sync(&upstream).await) },
                );
            }
            LinkOutput::EnterStable {
                upstream,
                full,
                lsns,
            } => {
                let data = self.data.clone();
                self.call(async move {
                    Message::StableEntered(data.enter_stable(&upstream, full, &lsns).await)
                });
            }
            LinkOutput::Apply(meeting) => self.apply(meeting),
            LinkOutput::LinkEnded(vector) => {
                let data = self.data.clone();
                self.call(async move {
                    data.link_ended(vector.as_ref()).await;
                    Message::LinkEnded
                });
            }
            LinkOutput::RetryAfter { error, delay_ms } => {
                self.log.broken(self.clock.now_ms(), &error, delay_ms);
            }
            LinkOutput::Failed(error) => {
                tracing::error!(%error, address = self.address(), "replica link failed for good")
            }
            LinkOutput::Stopped => tracing::info!(address = self.address(), "replica link stopped"),
        }
    }

    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn apply(&mut self, meeting: Meeting) {
        let data = self.data.clone();
        let Meeting {
            txid,
            global,
            parts,
        } = meeting;
        let nexts = parts
            .iter()
            .map(|(flow, part)| (*flow, part.next_lsn()))
            .collect();
        self.call(async move {
            let result = if global {
                data.apply_global(parts).await
            } else {
                data.apply_transaction(parts).await
            };
            Message::MeetingDone {
                txid,
                nexts,
                result,
            }
        });
    }

    /// Runs a call of the data set to its end, beside the link.
    fn call(&self, call: impl Future<Output = Message> + 'static) {
        let messages = self.messages.clone();
        tokio::task::spawn_local(async move {
            let message = call.await;
            drop(messages.send(message));
        });
    }

    fn open_flow(&mut self, spec: FlowSpec) {
        if spec.flow == 0 {
            self.commands.clear();
            let fresh = || (0..spec.upstream.flows).map(|_| Arc::new(FlowProgress::default()));
            let mut board = self
                .shared
                .board
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            board.received_before = board.received_bytes();
            board.flows = fresh().collect();
            board
                .flows
                .iter()
                .for_each(|flow| flow.received_ms.store(self.clock.now_ms(), Relaxed));
            board.sync_id = Some(spec.sync_id);
        }
        let progress = {
            let board = self
                .shared
                .board
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            board.flows[spec.flow].clone()
        };
        let (sender, commands) = unbounded_channel();
        self.commands.push(sender);
        let (data, flow, upstream) = (self.data.clone(), spec.flow, spec.upstream.clone());
        let flows = upstream.flows;
        let job = FlowJob {
            connect: self.options.connect.clone(),
            host: self.host.clone(),
            port: self.port,
            config: self.options.config.clone(),
            spec,
            clock: self.clock,
            commands,
            messages: self.messages.clone(),
            progress,
        };
        let run = move || {
            let sink = data.open_flow(flow, &upstream);
            Box::pin(job.run(sink)) as Pin<Box<dyn Future<Output = ()>>>
        };
        self.data.run_on_flow(flow, flows, Box::new(run));
    }

    fn publish(&mut self) {
        let mut board = self
            .shared
            .board
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if board.phase != self.link.phase() {
            let now_ms = self.clock.now_ms();
            board.phase = self.link.phase();
            board.phase_since_ms = now_ms;
            let down_ms = board
                .down_since_ms
                .map_or(0, |since| now_ms.saturating_sub(since));
            self.log.entered(now_ms, board.phase, down_ms);
        }
        board.down_since_ms = match board.phase {
            LinkPhase::StableSync => None,
            _ => board.down_since_ms.or(Some(self.clock.now_ms())),
        };
        board.upstream = self.link.upstream().cloned();
        board.stats = self.link.stats();
        board.last_error = self.link.last_error().cloned();
    }
}
