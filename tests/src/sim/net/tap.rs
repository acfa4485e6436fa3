//! What is said on a connection, read along: the checkers hear of requests, acks, grants and cuts from the wire itself, not from
//! the machines that are checked. The faults of the wire are put in here.

use damselfly_journal::{Lsn, Record, RecordDecoder, RecordLimits, StreamLevel};
use damselfly_replication::{LsnVector, SyncId, parse_lsn, parse_vector, write_vector};
use damselfly_resp::{ArgVec, RequestDecoder, RequestLimits, encode_command};
use damselfly_snapshot::{Event, Limits, RdbDecoder};

use super::Side;
use crate::sim::fault::Fault;
use crate::sim::world::world;

/// Bytes of the token behind a full sync.
const TOKEN_BYTES: usize = 40;

/// Reads along on one connection.
#[derive(Default)]
pub struct Tap {
    requests: Requests,
    /// Set by `DFLY FLOW`.
    flow: Option<FlowTap>,
    /// Set by `DFLY SYNC` or `DFLY STARTSTABLE` on a control connection.
    sync_id: Option<SyncId>,
}

/// What a replica said.
pub enum Said {
    /// It asks for stable sync.
    StartStable(SyncId),
    /// It acks a flow up to an LSN.
    Ack(usize, Lsn),
}

/// What is known of a flow.
pub struct FlowTap {
    /// The link that it belongs to, by the primary's number.
    pub sync_id: SyncId,
    /// Its index.
    pub flow: usize,
    offer: Option<LsnVector>,
    stream: Stream,
    /// Whether it was granted a partial sync, once that is known.
    pub partial: Option<bool>,
    /// Whether everything that stood at the cut has arrived.
    pub cut: bool,
    /// The LSN after the last record of stable sync that has arrived.
    pub received: Option<u64>,
}

enum Stream {
    Answer(Vec<u8>),
    FullSync {
        rdb: Box<RdbDecoder>,
        offset: u64,
    },
    Token {
        left: usize,
        offset: u64,
    },
    Records {
        decoder: Box<RecordDecoder>,
        next: u64,
    },
    /// It can't be read; the replica will say so itself.
    Lost,
}

#[derive(Default)]
struct Requests {
    bytes: Vec<u8>,
    decoder: Option<RequestDecoder>,
}

impl Requests {
    /// Complete requests in the bytes so far.
    fn feed(&mut self, bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
        self.bytes.extend_from_slice(bytes);
        let decoder = self
            .decoder
            .get_or_insert_with(|| RequestDecoder::new(RequestLimits::default()));
        let (mut at, mut found) = (0, Vec::new());
        loop {
            let mut args = ArgVec::new();
            match decoder.decode(&self.bytes[at..], &mut args) {
                Ok(Some(used)) => {
                    found.push(args.iter().map(|arg| arg.to_vec()).collect());
                    at += used;
                }
                _ => break,
            }
        }
        self.bytes.drain(..at);
        found
    }
}

impl Tap {
    /// The flow that the connection has become.
    pub fn flow(&self) -> Option<&FlowTap> {
        self.flow.as_ref()
    }

    /// The link that it belongs to, as flow or control connection.
    pub fn link(&self) -> Option<SyncId> {
        self.flow.as_ref().map(|flow| flow.sync_id).or(self.sync_id)
    }

    /// The link that the connection controls, once it has asked for something.
    pub fn sync_id(&self) -> Option<SyncId> {
        self.sync_id
    }

    /// Whether a fault rewrites what this side sends, and so must see whole requests.
    pub fn wants_whole(&self, fault: Option<Fault>, side: Side) -> bool {
        side == Side::Client
            && matches!(
                fault,
                Some(Fault::EarlyAck | Fault::ResumeAhead | Fault::ResumeBehind)
            )
    }

    /// The client sent this; `Some` is to be sent instead.
    pub fn on_request_bytes(&mut self, bytes: &[u8], said: &mut Vec<Said>) -> Option<Vec<u8>> {
        let requests = self.requests.feed(bytes);
        let fault = world()
            .fault
            .filter(|fault| self.wants_whole(Some(*fault), Side::Client));
        let mut rewritten = Vec::new();
        for request in requests {
            let changed = fault.and_then(|fault| self.falsify(fault, &request));
            let request = changed.unwrap_or(request);
            said.extend(self.on_request(&request));
            let args: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
            encode_command(&mut rewritten, &args);
        }
        fault.map(|_| rewritten)
    }

    fn on_request(&mut self, request: &[Vec<u8>]) -> Option<Said> {
        let word = |index: usize| {
            request
                .get(index)
                .map(|word| word.to_ascii_uppercase())
                .unwrap_or_default()
        };
        let sync_id = || request.get(2).and_then(|id| SyncId::parse(id));
        match (word(0).as_slice(), word(1).as_slice()) {
            (b"DFLY", b"FLOW") => self.flow = FlowTap::of(request),
            (b"DFLY", b"SYNC") => self.sync_id = sync_id(),
            (b"DFLY", b"STARTSTABLE") => {
                self.sync_id = sync_id();
                return self.sync_id.map(Said::StartStable);
            }
            (b"REPLCONF", b"ACK") => {
                let flow = self.flow.as_ref()?.flow;
                return Some(Said::Ack(flow, parse_lsn(request.get(2)?)?));
            }
            _ => {}
        }
        None
    }

    /// The client received this.
    pub fn on_answer_bytes(&mut self, bytes: &[u8]) {
        if let Some(flow) = &mut self.flow {
            flow.feed(bytes);
        }
    }

    /// A request with a bug in it.
    fn falsify(&self, fault: Fault, request: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let mut request = request.to_vec();
        let is = |index: usize, word: &[u8]| {
            request
                .get(index)
                .is_some_and(|arg| arg.eq_ignore_ascii_case(word))
        };
        if fault == Fault::EarlyAck {
            let received = self.flow.as_ref().and_then(|flow| flow.received)?;
            if !(is(0, b"REPLCONF") && is(1, b"ACK")) {
                return None;
            }
            request[2] = received.to_string().into_bytes();
            return Some(request);
        }
        if !(is(0, b"DFLY") && is(1, b"FLOW") && request.len() == 7) {
            return None;
        }
        let mut lsns = parse_vector(&request[6])?;
        let first = lsns.first_mut()?;
        first.0 = if fault == Fault::ResumeAhead {
            first.0 + 1
        } else {
            first.0.saturating_sub(1).max(1)
        };
        request[6].clear();
        write_vector(&mut request[6], &lsns);
        Some(request)
    }
}

impl FlowTap {
    fn of(request: &[Vec<u8>]) -> Option<FlowTap> {
        let flow = std::str::from_utf8(request.get(4)?).ok()?.parse().ok()?;
        Some(FlowTap {
            sync_id: SyncId::parse(request.get(3)?)?,
            flow,
            offer: request.get(6).and_then(|lsns| parse_vector(lsns)),
            stream: Stream::Answer(Vec::new()),
            partial: None,
            cut: false,
            received: None,
        })
    }

    fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes.to_vec();
        while !rest.is_empty() {
            rest = self.step(&rest);
        }
    }

    /// Reads on; what belongs to the next part of the stream is left.
    fn step(&mut self, bytes: &[u8]) -> Vec<u8> {
        match &mut self.stream {
            Stream::Answer(answer) => {
                answer.extend_from_slice(bytes);
                let lines = answer
                    .iter()
                    .enumerate()
                    .filter(|(_, byte)| **byte == b'\n');
                let Some((end, _)) = lines.clone().nth(2) else {
                    return Vec::new();
                };
                let partial = answer.windows(8).any(|word| word == b"+PARTIAL");
                let rest = answer.split_off(end + 1);
                self.partial = Some(partial);
                self.stream = if partial { self.resumed() } else { full_sync() };
                rest
            }
            Stream::FullSync { rdb, offset } => {
                rdb.feed(bytes);
                loop {
                    match rdb.next() {
                        Ok(Some(Event::FullSyncCut)) => self.cut = true,
                        Ok(Some(Event::JournalOffset(lsn))) => *offset = lsn,
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => {
                            self.stream = Stream::Lost;
                            return Vec::new();
                        }
                    }
                }
                if !rdb.is_ended() {
                    return Vec::new();
                }
                let rest = rdb.take_rest();
                self.stream = Stream::Token {
                    left: TOKEN_BYTES,
                    offset: *offset,
                };
                rest
            }
            Stream::Token { left, offset } => {
                let taken = bytes.len().min(*left);
                *left -= taken;
                if *left == 0 {
                    self.received = Some(*offset);
                    self.stream = records(*offset);
                }
                bytes[taken..].to_vec()
            }
            Stream::Records { decoder, next } => {
                decoder.feed(bytes);
                while let Ok(Some(record)) = decoder.next() {
                    if matches!(record, Record::Command { .. } | Record::Ping) {
                        *next += 1;
                    }
                }
                self.received = Some(*next);
                Vec::new()
            }
            Stream::Lost => Vec::new(),
        }
    }

    fn resumed(&mut self) -> Stream {
        match self.offer.as_ref().and_then(|lsns| lsns.get(self.flow)) {
            Some(lsn) => {
                self.received = Some(lsn.0);
                records(lsn.0)
            }
            None => Stream::Lost,
        }
    }
}

fn full_sync() -> Stream {
    Stream::FullSync {
        rdb: Box::new(RdbDecoder::new(Limits::default())),
        offset: 1,
    }
}

fn records(next: u64) -> Stream {
    let decoder = RecordDecoder::stable(StreamLevel::Extended, RecordLimits::default());
    Stream::Records {
        decoder: Box::new(decoder),
        next,
    }
}
