//! Runs one flow of a replica, on the flow's thread.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
};

use damselfly_snapshot::Event;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
};

use super::{
    clock::Clock,
    conn::{Conn, IoEvent},
    connect::Connect,
    replica::Message,
    status::NEVER,
};
use crate::{
    config::ReplicaConfig,
    dataset::{Dialect, KEYS_AUX, ReplicaFlowSink},
    error::{DataError, LinkError},
    part::TransactionPart,
    replica::{FlowCommand, FlowEvent, FlowMachine, FlowOutput, FlowSpec, PsyncFlow, ReplicaFlow},
};

/// Outputs after which the thread is given to others.
const SLICE_OUTPUTS: u32 = 256;

/// What a flow shows to other threads.
#[derive(Debug)]
pub(super) struct FlowProgress {
    /// The next LSN to execute; 0 before stable sync.
    pub(super) executed: AtomicU64,
    /// When bytes came last.
    pub(super) received_ms: AtomicU64,
    /// Bytes that came.
    pub(super) received_bytes: AtomicU64,
    /// Keys of a full sync that came.
    pub(super) keys_loaded: AtomicU64,
    /// Keys of the full sync as the primary tells; [`NEVER`] if it does not.
    pub(super) keys_expected: AtomicU64,
}

impl Default for FlowProgress {
    fn default() -> FlowProgress {
        let zero = || AtomicU64::new(0);
        FlowProgress {
            executed: zero(),
            received_ms: zero(),
            received_bytes: zero(),
            keys_loaded: zero(),
            keys_expected: AtomicU64::new(NEVER),
        }
    }
}

impl FlowProgress {
    /// There is one writer: no read-modify-write on the path of every key.
    fn count_keys(&self, more: u64) {
        let keys = self.keys_loaded.load(Relaxed);
        self.keys_loaded.store(keys + more, Relaxed);
    }

    /// Counts what of a full sync comes.
    fn note_loaded(&self, event: &Event<'_>) {
        match event {
            Event::Key(_) | Event::Text { .. } | Event::Entry { .. } => self.count_keys(1),
            Event::Run { entries, .. } => self.count_keys(entries.len() as u64),
            Event::Aux {
                key: KEYS_AUX,
                value,
            } => {
                let keys = std::str::from_utf8(value).ok();
                let keys = keys.and_then(|keys| keys.parse().ok()).unwrap_or(NEVER);
                self.keys_expected.store(keys, Relaxed);
            }
            // Of a Redis, whose databases come one after the other.
            Event::Resize { keys, .. } => {
                let before = self.keys_expected.load(Relaxed);
                let before = if before == NEVER { 0 } else { before };
                self.keys_expected
                    .store(before.saturating_add(*keys), Relaxed);
            }
            _ => {}
        }
    }
}

/// All that one flow needs on its thread.
pub(super) struct FlowJob<C> {
    pub(super) connect: C,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) config: ReplicaConfig,
    pub(super) spec: FlowSpec,
    pub(super) clock: Clock,
    pub(super) commands: UnboundedReceiver<FlowCommand>,
    pub(super) messages: UnboundedSender<Message>,
    pub(super) progress: Arc<FlowProgress>,
}

struct Task<S, F> {
    flow: F,
    conn: Conn<S>,
    clock: Clock,
    commands: UnboundedReceiver<FlowCommand>,
    progress: Arc<FlowProgress>,
    /// Given by the link when it goes away without a word.
    orphaned: bool,
    /// Something was loaded that may not be in its place yet.
    unsettled: bool,
}

impl<C: Connect> FlowJob<C> {
    pub(super) async fn run(mut self, sink: impl ReplicaFlowSink) {
        let flow = self.spec.flow;
        match self.open().await {
            Ok(stream) => self.stream(stream, sink).await,
            Err(error) => {
                let stopped = FlowEvent::Stopped {
                    executed: None,
                    error,
                };
                drop(self.messages.send(Message::Flow(flow, stopped)));
            }
        }
    }

    /// Connects; `Err(None)` if it was told to stop meanwhile.
    async fn open(&mut self) -> Result<C::Stream, Option<LinkError>> {
        let limit_ms = self.config.connect_timeout_ms;
        let deadline = self.clock.now_ms() + limit_ms;
        let mut connecting = pin!(self.connect.connect(&self.host, self.port));
        loop {
            tokio::select! {
                connected = &mut connecting => return connected.map_err(Some),
                () = self.clock.sleep_until(Some(deadline)) => return Err(Some(LinkError::Timeout { step: "connect a flow", limit_ms })),
                command = self.commands.recv() => if matches!(command, None | Some(FlowCommand::Stop)) {
                    return Err(None);
                },
            }
        }
    }

    async fn stream(self, stream: C::Stream, sink: impl ReplicaFlowSink) {
        let (now_ms, config, spec) = (self.clock.now_ms(), self.config.clone(), self.spec.clone());
        match spec.upstream.dialect {
            Dialect::Flows => {
                let flow = ReplicaFlow::new(now_ms, config, spec);
                self.run_machine(stream, flow, sink).await;
            }
            Dialect::Psync => {
                let flow = PsyncFlow::new(now_ms, config, &spec);
                self.run_machine(stream, flow, sink).await;
            }
        }
    }

    async fn run_machine(
        self,
        stream: C::Stream,
        flow: impl FlowMachine,
        mut sink: impl ReplicaFlowSink,
    ) {
        let index = self.spec.flow;
        let mut task = Task {
            flow,
            conn: Conn::new(stream),
            clock: self.clock,
            commands: self.commands,
            progress: self.progress,
            orphaned: false,
            unsettled: false,
        };
        loop {
            if task.drive(&mut sink, index, &self.messages).await {
                return;
            }
            task.wait().await;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: FlowMachine> Task<S, F> {
    /// Does all that the machine wants now; `true` when the flow is over.
    async fn drive(
        &mut self,
        sink: &mut impl ReplicaFlowSink,
        index: usize,
        messages: &UnboundedSender<Message>,
    ) -> bool {
        let mut outputs = 0;
        let mut loaded = false;
        loop {
            match self.flow.poll_output() {
                FlowOutput::Again => {}
                FlowOutput::Event(event) => {
                    // What was loaded is in its place before the link hears of it.
                    if std::mem::take(&mut self.unsettled) {
                        self.settle(sink).await;
                    }
                    self.publish();
                    drop(messages.send(Message::Flow(index, event)));
                }
                FlowOutput::Load(event) => {
                    (loaded, self.unsettled) = (true, true);
                    self.progress.note_loaded(&event);
                    if let Err(error) = sink.load(&event) {
                        self.flow.handle_data_error(error);
                    }
                }
                FlowOutput::Apply(parts) => {
                    let settle = std::mem::take(&mut self.unsettled);
                    outputs += parts.len() as u32;
                    self.apply(sink, parts, settle).await;
                }
                FlowOutput::Close => return true,
                FlowOutput::Idle if std::mem::take(&mut loaded) => self.keep_pace(sink).await,
                FlowOutput::Idle => break,
            }
            outputs += 1;
            if outputs >= SLICE_OUTPUTS {
                outputs = 0;
                tokio::task::yield_now().await;
            }
        }
        self.publish();
        self.flow.poll_transmit(self.conn.out());
        false
    }

    async fn apply(
        &mut self,
        sink: &mut impl ReplicaFlowSink,
        parts: Vec<TransactionPart>,
        settle: bool,
    ) {
        let mut done = 0;
        let result = self
            .attend(async {
                if settle {
                    sink.settle().await?;
                }
                let result;
                (done, result) = sink.apply_all(&parts).await;
                result
            })
            .await;
        self.flow.handle_applied(self.clock.now_ms(), done, parts);
        if let Err(error) = result {
            self.flow.handle_data_error(error);
        }
    }

    async fn keep_pace(&mut self, sink: &mut impl ReplicaFlowSink) {
        if let Err(error) = self.attend(sink.keep_pace()).await {
            self.flow.handle_data_error(error);
        }
    }

    async fn settle(&mut self, sink: &mut impl ReplicaFlowSink) {
        if let Err(error) = self.attend(sink.settle()).await {
            self.flow.handle_data_error(error);
        }
    }

    /// Waits for the data set, and meanwhile acks, sends and listens to the link.
    async fn attend(
        &mut self,
        work: impl Future<Output = Result<(), DataError>>,
    ) -> Result<(), DataError> {
        let mut work = pin!(work);
        // Most work needs no waiting.
        if let Poll::Ready(result) =
            poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await
        {
            return result;
        }
        loop {
            self.flow.poll_transmit(self.conn.out());
            tokio::select! {
                biased;
                result = &mut work => return result,
                command = self.commands.recv(), if !self.orphaned => self.command(command),
                event = self.conn.next(false) => if let IoEvent::Closed(why) = event {
                    self.flow.handle_closed(why);
                    return work.await;
                },
                () = self.clock.sleep_until(self.flow.deadline()) => self.flow.handle_timeout(self.clock.now_ms()),
            }
        }
    }

    /// Waits until something happens, and tells the machine.
    async fn wait(&mut self) {
        let read = self.flow.wants_input();
        tokio::select! {
            biased;
            command = self.commands.recv(), if !self.orphaned => self.command(command),
            event = self.conn.next(read) => match event {
                IoEvent::Read(len) => {
                    let now_ms = self.clock.now_ms();
                    self.progress.received_ms.store(now_ms, Relaxed);
                    let bytes = &self.progress.received_bytes;
                    bytes.fetch_add(len as u64, Relaxed);
                    self.flow.handle_bytes(now_ms, self.conn.input(len));
                }
                IoEvent::Wrote(_) => {}
                IoEvent::Closed(why) => self.flow.handle_closed(why),
            },
            () = self.clock.sleep_until(self.flow.deadline()) => self.flow.handle_timeout(self.clock.now_ms()),
        }
    }

    fn command(&mut self, command: Option<FlowCommand>) {
        self.orphaned |= command.is_none();
        self.flow
            .handle_command(self.clock.now_ms(), command.unwrap_or(FlowCommand::Stop));
    }

    fn publish(&self) {
        if let Some(executed) = self.flow.executed() {
            self.progress.executed.store(executed.0, Relaxed);
        }
    }
}
