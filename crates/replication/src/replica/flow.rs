//! One flow on the replica's side: `Opening → Granted → Loading → AwaitStable → Streaming`, or straight from `Granted`
//! to `Streaming` on PARTIAL.

use std::collections::VecDeque;

use damselfly_journal::Lsn;
use damselfly_snapshot::Event;

use super::{
    answer::{accepted, bad_answer, expect_text},
    loading::{Loading, Token},
    message::{FlowCommand, FlowEvent, FlowOffer, FlowSpec},
    request::{auth_args, encode_strings},
    streaming::Streaming,
};
use crate::{
    config::ReplicaConfig,
    error::{DataError, LinkError},
    ids::{EofToken, write_vector},
    part::{TransactionPart, is_flush, is_global_command, is_library_command},
};
use damselfly_resp::{Reply, ReplyDecoder, ReplyLimits};

/// An answer to `DFLY FLOW` is short.
const REPLY_LIMITS: ReplyLimits = ReplyLimits {
    max_line: 4 << 10,
    max_bulk_len: 4 << 10,
    max_bytes: 8 << 10,
    max_items: 16,
    max_depth: 2,
};

/// Parts that are handed out together, so that what they need can be fetched together.
pub(super) const PARTS_AT_ONCE: usize = 32;
/// No part is added to so many bytes.
const BYTES_AT_ONCE: usize = 64 << 10;

/// The sans-IO machine of one flow.
///
/// The contract: after every `handle_*` call, call [`poll_output`](Self::poll_output) until it is
/// [`FlowOutput::Idle`], doing what the outputs say; send what [`poll_transmit`](Self::poll_transmit) gives; then wait
/// for a command, for [`deadline`](Self::deadline), for the end of what is executed, and, only if
/// [`wants_input`](Self::wants_input), for bytes.
#[derive(Debug)]
pub struct ReplicaFlow {
    config: ReplicaConfig,
    spec: FlowSpec,
    phase: Phase,
    /// What is being executed, and holds the stream up.
    busy: Busy,
    events: VecDeque<FlowEvent>,
    transmit: Vec<u8>,
    paused: bool,
    /// What was found behind the parts that are being executed.
    behind: Option<Result<TransactionPart, LinkError>>,
    /// An empty list of parts, for reuse.
    spare: Vec<TransactionPart>,
    /// The flow ends as soon as nothing is being executed: for this reason, or because it was told to.
    ending: Option<Option<LinkError>>,
    /// When bytes came last, or when they became due.
    received_ms: u64,
}

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub enum FlowOutput<'a> {
    /// Something happened inside; ask again.
    Again,
    /// Tell the link.
    Event(FlowEvent),
    /// Hand this to [`ReplicaFlowSink::load`](crate::ReplicaFlowSink::load).
    Load(Event<'a>),
    /// Execute these parts one after the other with [`ReplicaFlowSink::apply_all`](crate::ReplicaFlowSink::apply_all),
    /// then call [`handle_applied`](ReplicaFlow::handle_applied). Nothing more comes before that.
    Apply(Vec<TransactionPart>),
    /// The flow is over and [`FlowEvent::Stopped`] was given: close the connection, forget the machine.
    Close,
    /// Nothing until something happens.
    Idle,
}

#[derive(Debug)]
enum Phase {
    Opening(Opening),
    /// `DFLY FLOW` was answered; the link says how to go on.
    Granted(Granted),
    Loading(Box<Loading>),
    /// The tail was read; these are the first bytes of records.
    AwaitStable(Vec<u8>),
    Streaming(Box<Streaming>),
    Stopped,
}

#[derive(Debug)]
struct Opening {
    replies: ReplyDecoder,
    /// `AUTH` was sent, and not answered yet.
    authenticating: bool,
    deadline_ms: u64,
}

#[derive(Debug)]
struct Granted {
    token: EofToken,
    partial: bool,
}

/// What the flow waits for before it reads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Busy {
    No,
    /// `handle_applied`.
    Apply,
    /// The release of this transaction.
    Meeting {
        txid: u64,
        next: Option<Lsn>,
        records: u64,
    },
}

/// Who executes a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// This flow.
    Alone,
    /// The flows that have a part of its transaction.
    Together,
    /// All flows: it is a global command.
    Everywhere,
}

impl ReplicaFlow {
    /// A flow whose connection stands: it sends `DFLY FLOW`.
    pub fn new(now_ms: u64, config: ReplicaConfig, spec: FlowSpec) -> ReplicaFlow {
        let mut transmit = Vec::new();
        if let Some(auth) = &config.auth {
            encode_strings(&mut transmit, &auth_args(auth));
        }
        encode_flow_request(&mut transmit, &spec);
        let deadline_ms = now_ms + config.handshake_timeout_ms;
        let opening = Opening {
            replies: ReplyDecoder::new(REPLY_LIMITS),
            authenticating: config.auth.is_some(),
            deadline_ms,
        };
        ReplicaFlow {
            config,
            spec,
            phase: Phase::Opening(opening),
            busy: Busy::No,
            events: VecDeque::new(),
            transmit,
            paused: false,
            behind: None,
            spare: Vec::new(),
            ending: None,
            received_ms: now_ms,
        }
    }

    /// Which flow it is.
    pub fn spec(&self) -> &FlowSpec {
        &self.spec
    }

    /// Appends what is to be sent; `false` if nothing.
    pub fn poll_transmit(&mut self, into: &mut Vec<u8>) -> bool {
        let any = !self.transmit.is_empty();
        into.append(&mut self.transmit);
        any
    }

    /// Whether bytes of the connection may be read now.
    pub fn wants_input(&self) -> bool {
        let reads = matches!(
            self.phase,
            Phase::Opening(_) | Phase::Loading(_) | Phase::Streaming(_)
        );
        reads && self.busy == Busy::No && !self.paused && self.ending.is_none()
    }

    /// The next LSN that it would execute; `None` before stable sync.
    pub fn executed(&self) -> Option<Lsn> {
        match &self.phase {
            Phase::Streaming(streaming) => Some(streaming.executed()),
            _ => None,
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn deadline(&self) -> Option<u64> {
        let silence = self
            .silence_counts()
            .then(|| self.received_ms + self.config.replication_timeout_ms);
        match &self.phase {
            Phase::Opening(opening) => Some(opening.deadline_ms),
            Phase::Streaming(streaming) => {
                let ack = streaming.ack_due_ms(&self.config);
                Some(silence.map_or(ack, |silence| silence.min(ack)))
            }
            _ => silence,
        }
    }

    /// Dragonfly is silent when it has nothing to say, and every primary may be between a flow's cut and its tail.
    fn silence_counts(&self) -> bool {
        self.wants_input()
            && match &self.phase {
                Phase::Loading(loading) => loading.expects_bytes(),
                Phase::Streaming(_) => self.spec.upstream.level > 0,
                _ => false,
            }
    }

    /// Looks at the clock: acks, and limits in time.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        let limit_ms = self.config.replication_timeout_ms;
        match &mut self.phase {
            Phase::Opening(opening) if now_ms >= opening.deadline_ms => {
                let limit_ms = self.config.handshake_timeout_ms;
                self.end(Some(LinkError::Timeout {
                    step: "DFLY FLOW",
                    limit_ms,
                }));
            }
            Phase::Streaming(streaming) if now_ms >= streaming.ack_due_ms(&self.config) => {
                streaming.ack(now_ms, &mut self.transmit)
            }
            _ => {}
        }
        if self.silence_counts() && now_ms >= self.received_ms + limit_ms {
            self.end(Some(LinkError::Silence {
                flow: self.spec.flow,
                limit_ms,
            }));
        }
    }

    /// The connection closed or failed.
    pub fn handle_closed(&mut self, why: impl Into<String>) {
        let connection = format!("flow {}", self.spec.flow);
        self.end(Some(LinkError::Closed {
            connection,
            why: why.into(),
        }));
    }

    /// The data set refused an item or a part: call [`handle_applied`](Self::handle_applied) first for parts before it.
    pub fn handle_data_error(&mut self, error: DataError) {
        self.busy = Busy::No;
        self.end(Some(LinkError::Data(error)));
    }

    /// Bytes came.
    pub fn handle_bytes(&mut self, now_ms: u64, bytes: &[u8]) {
        self.received_ms = now_ms;
        let result = match &mut self.phase {
            Phase::Opening(_) => self.handle_answer(bytes),
            Phase::Loading(loading) => {
                loading.feed(bytes);
                Ok(())
            }
            Phase::Streaming(streaming) => {
                streaming.feed(bytes);
                Ok(())
            }
            Phase::Granted(_) | Phase::AwaitStable(_) => {
                Err(self.order("bytes before they were asked for"))
            }
            Phase::Stopped => Ok(()),
        };
        if let Err(error) = result {
            self.end(Some(error));
        }
    }

    /// The link says something. What has no meaning in the present phase is ignored.
    pub fn handle_command(&mut self, now_ms: u64, command: FlowCommand) {
        self.received_ms = now_ms;
        match (command, &mut self.phase) {
            (FlowCommand::Stop, _) => self.end(None),
            (FlowCommand::Pause, _) => self.paused = true,
            (FlowCommand::Resume, _) => self.paused = false,
            (FlowCommand::Load, Phase::Granted(granted)) if !granted.partial => {
                let loading = Loading::new(&self.config, &self.spec, granted.token);
                self.phase = Phase::Loading(Box::new(loading));
            }
            (FlowCommand::ExpectTail, Phase::Loading(loading)) => loading.expect_tail(),
            (FlowCommand::Stream(lsn), Phase::AwaitStable(rest)) => {
                let rest = std::mem::take(rest);
                self.stream(now_ms, lsn, &rest);
            }
            (FlowCommand::Stream(lsn), Phase::Granted(granted)) if granted.partial => {
                self.stream(now_ms, lsn, &[])
            }
            (FlowCommand::Release { txid }, _) => self.release(now_ms, txid),
            (FlowCommand::Load | FlowCommand::ExpectTail | FlowCommand::Stream(_), _) => {}
        }
    }

    /// Of the parts of the last [`FlowOutput::Apply`] the first `done` have been executed, and no more of them will be.
    pub fn handle_applied(&mut self, now_ms: u64, done: usize, mut parts: Vec<TransactionPart>) {
        self.received_ms = now_ms;
        self.busy = Busy::No;
        match &mut self.phase {
            Phase::Loading(loading) => parts.drain(..).for_each(|part| loading.recycle(part)),
            Phase::Streaming(streaming) => {
                let executed = &parts[..done];
                let ping = executed.iter().any(TransactionPart::has_ping);
                for part in executed {
                    streaming.advance(part.next_lsn(), part.len() as u64);
                }
                streaming.ack_if_due(now_ms, ping, &self.config, &mut self.transmit);
                parts.drain(..).for_each(|part| streaming.recycle(part));
            }
            _ => parts.clear(),
        }
        self.spare = parts;
        self.finish_if_free();
    }

    fn release(&mut self, now_ms: u64, released: u64) {
        let Busy::Meeting {
            txid,
            next,
            records,
        } = self.busy
        else {
            return;
        };
        if txid != released {
            return;
        }
        self.busy = Busy::No;
        if let Phase::Streaming(streaming) = &mut self.phase {
            streaming.advance(next, records);
            streaming.ack_if_due(now_ms, false, &self.config, &mut self.transmit);
        }
    }

    /// See [`FlowOutput`].
    pub fn poll_output(&mut self) -> FlowOutput<'_> {
        if self.ending.is_some() {
            self.finish_if_free();
        }
        if let Some(event) = self.events.pop_front() {
            return FlowOutput::Event(event);
        }
        if matches!(self.phase, Phase::Stopped) {
            return FlowOutput::Close;
        }
        if self.busy != Busy::No || self.paused || self.ending.is_some() {
            return FlowOutput::Idle;
        }
        match &self.phase {
            Phase::Loading(loading) if loading.is_in_token() => self.poll_token(),
            Phase::Loading(loading) if loading.is_in_blob() => self.poll_part(),
            Phase::Loading(_) => self.poll_stream(),
            Phase::Streaming(_) => self.poll_part(),
            _ => FlowOutput::Idle,
        }
    }

    /// The full-sync stream. A failure is noted, not handled: the event that may be returned borrows the phase.
    fn poll_stream(&mut self) -> FlowOutput<'_> {
        let Phase::Loading(loading) = &mut self.phase else {
            return FlowOutput::Idle;
        };
        match loading.poll(&mut self.events) {
            Ok(Some(event)) => FlowOutput::Load(event),
            Ok(None) => FlowOutput::Again,
            Err(None) => FlowOutput::Idle,
            Err(Some(error)) => {
                self.ending = Some(Some(error));
                FlowOutput::Again
            }
        }
    }

    fn poll_token(&mut self) -> FlowOutput<'_> {
        let Phase::Loading(loading) = &mut self.phase else {
            return FlowOutput::Idle;
        };
        match loading.poll_token() {
            Ok(Token::Missing) => FlowOutput::Idle,
            Ok(Token::Complete { lsn, rest }) => {
                self.phase = Phase::AwaitStable(rest);
                self.events.push_back(FlowEvent::Tail(lsn));
                FlowOutput::Again
            }
            Err(error) => self.failed(error),
        }
    }

    /// Records, of a blob or of stable sync: those that this flow executes alone are taken together.
    fn poll_part(&mut self) -> FlowOutput<'_> {
        let mut alone = std::mem::take(&mut self.spare);
        let mut bytes = 0;
        let behind = loop {
            if alone.len() == PARTS_AT_ONCE || bytes > BYTES_AT_ONCE {
                break None;
            }
            match self.next_part() {
                Ok(Some((part, Place::Alone))) => {
                    bytes += part.bytes();
                    alone.push(part);
                }
                other => break Some(other),
            }
        };
        if !alone.is_empty() {
            self.behind = behind
                .and_then(Result::transpose)
                .map(|found| found.map(|(part, _)| part));
            self.busy = Busy::Apply;
            return FlowOutput::Apply(alone);
        }
        self.spare = alone;
        match behind {
            Some(Ok(Some((part, place)))) => self.arrived(part, place == Place::Everywhere),
            // The blob ended, or the stream has no more yet.
            Some(Ok(None)) | None if self.is_streaming() => FlowOutput::Idle,
            Some(Ok(None)) | None => FlowOutput::Again,
            Some(Err(error)) => self.failed(error),
        }
    }

    /// The next part, and who executes it.
    fn next_part(&mut self) -> Result<Option<(TransactionPart, Place)>, LinkError> {
        let part = match (self.behind.take(), &mut self.phase) {
            (Some(behind), _) => Some(behind?),
            (None, Phase::Loading(loading)) if loading.is_in_blob() => loading.poll_blob()?,
            (None, Phase::Streaming(streaming)) => streaming.poll()?,
            _ => None,
        };
        part.map(|part| {
            let place = self.place(&part)?;
            Ok((part, place))
        })
        .transpose()
    }

    fn is_streaming(&self) -> bool {
        matches!(self.phase, Phase::Streaming(_))
    }

    /// Who executes a part: this flow alone, or several together.
    fn place(&self, part: &TransactionPart) -> Result<Place, LinkError> {
        let (flow, level) = (self.spec.flow, self.spec.upstream.level);
        let streaming = self.is_streaming();
        let has_global = part.has(is_global_command);
        if level == 0 && !streaming && has_global && part.has(is_flush) {
            return Err(LinkError::FlushInFullSync { flow });
        }
        if has_global && part.len() == 1 {
            return Ok(Place::Everywhere);
        }
        // What changes libraries is no shard's own business, even if there is one shard only.
        let several = part.shards() > 1 && (streaming || has_global);
        let shared = has_global && part.txid() > 0 && part.has(is_library_command);
        let meets = level > 0 && (several || shared);
        match part.txid() {
            _ if !meets => Ok(Place::Alone),
            0 => Err(LinkError::Transaction {
                flow,
                txid: 0,
                what: "it touches several shards, and has no id",
            }),
            _ => Ok(Place::Together),
        }
    }

    fn arrived(&mut self, part: TransactionPart, global: bool) -> FlowOutput<'static> {
        self.busy = Busy::Meeting {
            txid: part.txid(),
            next: part.next_lsn(),
            records: part.len() as u64,
        };
        FlowOutput::Event(FlowEvent::Arrived { part, global })
    }

    fn handle_answer(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let mut input = bytes;
        while let Phase::Opening(opening) = &mut self.phase {
            let decoded = opening.replies.decode(&mut input);
            let Some(reply) = decoded.map_err(|error| LinkError::NotRedis {
                why: error.to_string(),
            })?
            else {
                break;
            };
            if std::mem::take(&mut opening.authenticating) {
                expect_text("AUTH", reply, "OK")?;
                continue;
            }
            let granted = read_grant(reply, self.spec.offer.is_some())?;
            // Looked at first: a grant that is told is acted on, and what follows may cost the data.
            if !input.is_empty() {
                break;
            }
            self.events.push_back(FlowEvent::Granted {
                partial: granted.partial,
            });
            self.phase = Phase::Granted(granted);
        }
        if input.is_empty() {
            Ok(())
        } else {
            Err(self.order("bytes right behind the answer to DFLY FLOW"))
        }
    }

    fn stream(&mut self, now_ms: u64, lsn: Lsn, rest: &[u8]) {
        let mut streaming = Streaming::new(now_ms, &self.config, &self.spec, lsn);
        streaming.feed(rest);
        streaming.ack(now_ms, &mut self.transmit);
        self.phase = Phase::Streaming(Box::new(streaming));
    }

    fn order(&self, what: &'static str) -> LinkError {
        LinkError::StreamOrder {
            flow: self.spec.flow,
            what,
        }
    }

    fn failed(&mut self, error: LinkError) -> FlowOutput<'static> {
        self.end(Some(error));
        FlowOutput::Again
    }

    fn end(&mut self, error: Option<LinkError>) {
        if !matches!(self.phase, Phase::Stopped) {
            self.ending.get_or_insert(error);
            self.finish_if_free();
        }
    }

    /// A part that is being executed is executed to its end; a meeting may be executed, and its parts count then, without this flow.
    fn finish_if_free(&mut self) {
        if self.busy == Busy::Apply {
            return;
        }
        if let Some(error) = self.ending.take() {
            let executed = self.executed();
            self.events
                .push_back(FlowEvent::Stopped { executed, error });
            self.phase = Phase::Stopped;
        }
    }
}

/// The answer to `DFLY FLOW`: `FULL` or `PARTIAL`, and the EOF token.
fn read_grant(reply: Reply, offered: bool) -> Result<Granted, LinkError> {
    let reply = accepted("DFLY FLOW", reply)?;
    let bad = || {
        bad_answer(
            "DFLY FLOW",
            "[FULL or PARTIAL, a token of 40 bytes]",
            &reply,
        )
    };
    let Some([grant, token]) = reply.as_items() else {
        return Err(bad());
    };
    let token = token.as_text().and_then(EofToken::parse).ok_or_else(bad)?;
    match grant.as_text() {
        Some(b"FULL") => Ok(Granted {
            token,
            partial: false,
        }),
        Some(b"PARTIAL") if offered => Ok(Granted {
            token,
            partial: true,
        }),
        _ => Err(bad()),
    }
}

/// `DFLY FLOW <replid> <sync id> <i> [<lsn> | <last replid> <vector>]` (PROTOCOL 2).
fn encode_flow_request(out: &mut Vec<u8>, spec: &FlowSpec) {
    let mut args = vec![
        b"DFLY".to_vec(),
        b"FLOW".to_vec(),
        spec.upstream.replid.as_bytes().to_vec(),
        spec.sync_id.to_string().into_bytes(),
        spec.flow.to_string().into_bytes(),
    ];
    match &spec.offer {
        None | Some(FlowOffer::Offset { .. }) => {}
        Some(FlowOffer::Lsn(lsn)) => args.push(lsn.to_string().into_bytes()),
        Some(FlowOffer::Vector { history, lsns }) => {
            args.push(history.as_bytes().to_vec());
            let mut vector = Vec::new();
            write_vector(&mut vector, lsns);
            args.push(vector);
        }
    }
    encode_strings(out, &args);
}
