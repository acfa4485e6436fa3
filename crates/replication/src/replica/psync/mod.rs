//! The one flow of a Redis or Valkey primary: `Preparing → Opened → Loading → Loaded → Streaming`, or `Continued → Streaming`
//! when it goes on where the link broke. The protocol is that of Redis 5 to 7 (`replication.c` names its parts).

mod commands;
mod preparation;
mod transfer;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use damselfly_journal::Lsn;
use damselfly_snapshot::RdbDecoder;

use self::{
    commands::{Commands, Item},
    preparation::{Framing, Heard, Preparation},
    transfer::Transfer,
};
use super::{
    flow::FlowOutput,
    machine::FlowMachine,
    message::{FlowCommand, FlowEvent, FlowSpec},
    request::encode_strings,
};
use crate::{
    config::ReplicaConfig,
    error::{DataError, LinkError},
    part::TransactionPart,
};

/// Parts that are handed out together: they spread over all shards.
const PARTS_AT_ONCE: usize = 256;
/// No part is added to so many bytes.
const BYTES_AT_ONCE: usize = 256 << 10;
/// `REDIS` and the version: with an RDB that can't be read the old data stays.
const HEADER_BYTES: usize = 9;

/// A point of the stream: the number of the next byte, and the database that is selected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    next: Lsn,
    db: u16,
}

/// The sans-IO machine of the flow. It is driven as [`ReplicaFlow`](super::ReplicaFlow) is.
#[derive(Debug)]
pub struct PsyncFlow {
    config: ReplicaConfig,
    phase: Phase,
    /// Parts are being executed; where the stream stands behind each.
    busy: Option<Vec<Position>>,
    /// An ack is wanted as soon as they are.
    ack_wanted: bool,
    events: VecDeque<FlowEvent>,
    transmit: Vec<u8>,
    paused: bool,
    /// What was found behind the parts that are being executed.
    behind: Option<LinkError>,
    /// An empty list of parts, for reuse.
    spare: Vec<TransactionPart>,
    /// The flow ends as soon as nothing is being executed: for this reason, or because it was told to.
    ending: Option<Option<LinkError>>,
    /// When bytes came last, or when they became due.
    received_ms: u64,
    /// When an ack or a sign of life went out last.
    told_ms: u64,
}

#[derive(Debug)]
enum Phase {
    Preparing(Preparation),
    /// The transfer has begun; the first of it, until its header is there.
    Opened {
        framing: Framing,
        at: Position,
        first: Vec<u8>,
    },
    /// The header can be read: the link discards the old data.
    Granted(Box<Transfer>),
    Loading(Box<Transfer>),
    /// What the next commands stand on, and the first bytes of them; the data set enters stable sync.
    Loaded(Position, Vec<u8>),
    Streaming(Box<Streaming>),
    Stopped,
}

#[derive(Debug)]
struct Streaming {
    commands: Commands,
    executed: Position,
}

impl PsyncFlow {
    /// A flow whose connection stands: it greets and sends `PSYNC`.
    pub fn new(now_ms: u64, config: ReplicaConfig, spec: &FlowSpec) -> PsyncFlow {
        let mut transmit = Vec::new();
        let preparation = Preparation::new(&config, spec.offer.as_ref(), &mut transmit);
        PsyncFlow {
            config,
            phase: Phase::Preparing(preparation),
            busy: None,
            ack_wanted: false,
            events: VecDeque::new(),
            transmit,
            paused: false,
            behind: None,
            spare: Vec::new(),
            ending: None,
            received_ms: now_ms,
            told_ms: now_ms,
        }
    }

    fn handle_heard(&mut self, heard: Heard, rest: Vec<u8>) {
        match heard {
            Heard::Restarts(replid) => self.events.push_back(FlowEvent::Identified(replid)),
            Heard::Continues(replid, at) => {
                self.events.push_back(FlowEvent::Identified(replid));
                self.events.push_back(FlowEvent::Granted { partial: true });
                self.phase = Phase::Loaded(at, rest);
            }
            Heard::Transfers(framing, at) => {
                self.phase = Phase::Opened {
                    framing,
                    at,
                    first: rest,
                };
            }
        }
    }

    fn poll_preparation(&mut self) -> FlowOutput<'static> {
        let Phase::Preparing(preparation) = &mut self.phase else {
            return FlowOutput::Idle;
        };
        match preparation.poll(&mut self.transmit) {
            Ok(None) => FlowOutput::Idle,
            Ok(Some(heard)) => {
                let rest = match heard {
                    Heard::Restarts(_) => Vec::new(),
                    _ => preparation.take_rest(),
                };
                self.handle_heard(heard, rest);
                FlowOutput::Again
            }
            Err(error) => self.failed(error),
        }
    }

    /// Only an RDB whose version is known is worth discarding data for.
    fn poll_header(&mut self) -> FlowOutput<'static> {
        let Phase::Opened { framing, at, first } = &mut self.phase else {
            return FlowOutput::Idle;
        };
        if first.len() < HEADER_BYTES {
            return FlowOutput::Idle;
        }
        let mut probe = RdbDecoder::new(self.config.limits.rdb.clone());
        probe.feed(&first[..HEADER_BYTES]);
        if let Err(error) = probe.next() {
            return self.failed(LinkError::Rdb { flow: 0, error });
        }
        let mut transfer = Transfer::new(&self.config, framing.clone(), *at);
        transfer.feed(first);
        self.phase = Phase::Granted(Box::new(transfer));
        self.events.push_back(FlowEvent::Granted { partial: false });
        FlowOutput::Again
    }

    /// A failure is noted, not handled: the event that may be returned borrows the phase.
    fn poll_transfer(&mut self) -> FlowOutput<'_> {
        let Phase::Loading(transfer) = &mut self.phase else {
            return FlowOutput::Idle;
        };
        match transfer.poll() {
            Ok(Some(event)) => FlowOutput::Load(event),
            Ok(None) => FlowOutput::Again,
            Err(None) => FlowOutput::Idle,
            Err(Some(error)) => {
                self.ending = Some(Some(error));
                FlowOutput::Again
            }
        }
    }

    fn poll_transfer_end(&mut self) -> FlowOutput<'static> {
        let Phase::Loading(transfer) = &mut self.phase else {
            return FlowOutput::Idle;
        };
        match transfer.poll_end() {
            Ok(None) => FlowOutput::Idle,
            Ok(Some((at, rest))) => {
                self.phase = Phase::Loaded(at, rest);
                self.events.extend([
                    FlowEvent::Cut,
                    FlowEvent::Selected(at.db),
                    FlowEvent::Tail(at.next),
                ]);
                FlowOutput::Again
            }
            Err(error) => self.failed(error),
        }
    }

    fn poll_commands(&mut self) -> FlowOutput<'static> {
        if let Some(error) = self.behind.take() {
            return self.failed(error);
        }
        let Phase::Streaming(streaming) = &mut self.phase else {
            return FlowOutput::Idle;
        };
        let (mut parts, mut ends, mut bytes) = (std::mem::take(&mut self.spare), Vec::new(), 0);
        while parts.len() < PARTS_AT_ONCE && bytes <= BYTES_AT_ONCE && !self.ack_wanted {
            let item = match streaming.commands.poll() {
                Ok(None) => break,
                Ok(Some(item)) => item,
                Err(error) => {
                    self.behind = Some(error);
                    break;
                }
            };
            let at = streaming.commands.at();
            self.ack_wanted |= item == Item::AckWanted;
            match (item, ends.last_mut()) {
                (Item::Part(mut part), _) => {
                    part.ends_at(at.next, at.db);
                    bytes += part.bytes();
                    parts.push(part);
                    ends.push(at);
                }
                (_, Some(end)) => *end = at,
                (_, None) => streaming.executed = at,
            }
        }
        if !parts.is_empty() {
            self.busy = Some(ends);
            return FlowOutput::Apply(parts);
        }
        self.spare = parts;
        if std::mem::take(&mut self.ack_wanted) {
            self.ack(self.received_ms);
            return FlowOutput::Again;
        }
        match self.behind {
            Some(_) => FlowOutput::Again,
            None => FlowOutput::Idle,
        }
    }

    fn stream(&mut self, now_ms: u64, next: Lsn) {
        let Phase::Loaded(at, rest) = &mut self.phase else {
            return;
        };
        let at = Position { next, db: at.db };
        let mut commands = Commands::new(&self.config, at);
        commands.feed(rest);
        self.phase = Phase::Streaming(Box::new(Streaming {
            commands,
            executed: at,
        }));
        // A Redis that sent its data without a file begins its stream with this ack.
        self.ack(now_ms);
    }

    /// `REPLCONF ACK <bytes executed>`, which has no answer.
    fn ack(&mut self, now_ms: u64) {
        if let Some(next) = self.executed() {
            let offset = (next.0 - 1).to_string();
            encode_strings(&mut self.transmit, &["REPLCONF", "ACK", &offset]);
            self.told_ms = now_ms;
        }
    }

    /// Tells the primary every second how far this end is, or, while it loads, that it lives.
    fn tell_if_due(&mut self, now_ms: u64) {
        if now_ms < self.told_ms + self.config.ack_interval_ms {
            return;
        }
        match &self.phase {
            Phase::Streaming(_) => self.ack(now_ms),
            Phase::Granted(_) | Phase::Loading(_) | Phase::Loaded(..) => {
                self.transmit.push(b'\n');
                self.told_ms = now_ms;
            }
            _ => {}
        }
    }

    fn tells(&self) -> bool {
        !matches!(
            self.phase,
            Phase::Preparing(_) | Phase::Opened { .. } | Phase::Stopped
        )
    }

    /// The limit of silence, and what it is called, while bytes are expected.
    fn silence(&self) -> Option<(u64, LinkError)> {
        if !self.wants_input() {
            return None;
        }
        Some(match &self.phase {
            Phase::Preparing(preparation) if !preparation.is_patient() => {
                let limit_ms = self.config.handshake_timeout_ms;
                let step = preparation.waits_for();
                (limit_ms, LinkError::Timeout { step, limit_ms })
            }
            _ => {
                let limit_ms = self.config.replication_timeout_ms;
                (limit_ms, LinkError::Silence { flow: 0, limit_ms })
            }
        })
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

    /// What is being executed is executed to its end.
    fn finish_if_free(&mut self) {
        if self.busy.is_some() {
            return;
        }
        if let Some(error) = self.ending.take() {
            let executed = self.executed();
            if let Phase::Streaming(streaming) = &self.phase {
                self.events
                    .push_back(FlowEvent::Selected(streaming.executed.db));
            }
            self.events
                .push_back(FlowEvent::Stopped { executed, error });
            self.phase = Phase::Stopped;
        }
    }
}

impl FlowMachine for PsyncFlow {
    fn poll_transmit(&mut self, into: &mut Vec<u8>) -> bool {
        let any = !self.transmit.is_empty();
        into.append(&mut self.transmit);
        any
    }

    fn wants_input(&self) -> bool {
        let reads = matches!(
            self.phase,
            Phase::Preparing(_) | Phase::Opened { .. } | Phase::Loading(_) | Phase::Streaming(_)
        );
        reads && self.busy.is_none() && !self.paused && self.ending.is_none()
    }

    fn executed(&self) -> Option<Lsn> {
        match &self.phase {
            Phase::Streaming(streaming) => Some(streaming.executed.next),
            _ => None,
        }
    }

    fn deadline(&self) -> Option<u64> {
        let silence = self
            .silence()
            .map(|(limit_ms, _)| self.received_ms + limit_ms);
        let tell = self
            .tells()
            .then_some(self.told_ms + self.config.ack_interval_ms);
        silence.into_iter().chain(tell).min()
    }

    fn handle_timeout(&mut self, now_ms: u64) {
        self.tell_if_due(now_ms);
        if let Some((limit_ms, error)) = self.silence()
            && now_ms >= self.received_ms + limit_ms
        {
            self.end(Some(error));
        }
    }

    fn handle_closed(&mut self, why: String) {
        let connection = "replication".to_owned();
        self.end(Some(LinkError::Closed { connection, why }));
    }

    fn handle_data_error(&mut self, error: DataError) {
        self.busy = None;
        self.end(Some(LinkError::Data(error)));
    }

    fn handle_bytes(&mut self, now_ms: u64, bytes: &[u8]) {
        self.received_ms = now_ms;
        match &mut self.phase {
            Phase::Preparing(preparation) => preparation.feed(bytes),
            Phase::Opened { first, .. } => first.extend_from_slice(bytes),
            Phase::Loading(transfer) => transfer.feed(bytes),
            Phase::Streaming(streaming) => streaming.commands.feed(bytes),
            // Nobody reads then: what comes all the same has no place.
            Phase::Granted(_) | Phase::Loaded(..) => self.end(Some(LinkError::StreamOrder {
                flow: 0,
                what: "bytes before they were asked for",
            })),
            Phase::Stopped => {}
        }
        self.tell_if_due(now_ms);
    }

    fn handle_command(&mut self, now_ms: u64, command: FlowCommand) {
        self.received_ms = now_ms;
        match command {
            FlowCommand::Stop => self.end(None),
            FlowCommand::Pause => self.paused = true,
            FlowCommand::Resume => self.paused = false,
            FlowCommand::Load => {
                self.phase = match std::mem::replace(&mut self.phase, Phase::Stopped) {
                    Phase::Granted(transfer) => Phase::Loading(transfer),
                    other => other,
                };
            }
            FlowCommand::Stream(next) => self.stream(now_ms, next),
            FlowCommand::ExpectTail | FlowCommand::Release { .. } => {}
        }
    }

    fn handle_applied(&mut self, now_ms: u64, done: usize, mut parts: Vec<TransactionPart>) {
        self.received_ms = now_ms;
        let ends = self.busy.take().unwrap_or_default();
        if let Phase::Streaming(streaming) = &mut self.phase {
            if let Some(end) = done.checked_sub(1).and_then(|last| ends.get(last)) {
                streaming.executed = *end;
            }
            parts
                .drain(..)
                .for_each(|part| streaming.commands.recycle(part));
        }
        parts.clear();
        self.spare = parts;
        if std::mem::take(&mut self.ack_wanted) {
            self.ack(now_ms);
        }
        self.tell_if_due(now_ms);
        self.finish_if_free();
    }

    fn poll_output(&mut self) -> FlowOutput<'_> {
        if self.ending.is_some() {
            self.finish_if_free();
        }
        if let Some(event) = self.events.pop_front() {
            return FlowOutput::Event(event);
        }
        if matches!(self.phase, Phase::Stopped) {
            return FlowOutput::Close;
        }
        if self.busy.is_some() || self.paused || self.ending.is_some() {
            return FlowOutput::Idle;
        }
        match &self.phase {
            Phase::Preparing(_) => self.poll_preparation(),
            Phase::Opened { .. } => self.poll_header(),
            Phase::Loading(transfer) if transfer.is_ended() => self.poll_transfer_end(),
            Phase::Loading(_) => self.poll_transfer(),
            Phase::Streaming(_) => self.poll_commands(),
            Phase::Granted(_) | Phase::Loaded(..) | Phase::Stopped => FlowOutput::Idle,
        }
    }
}
