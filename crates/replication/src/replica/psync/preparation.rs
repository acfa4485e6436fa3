//! Until a Redis has said how it goes on: greeting, `PSYNC`, its answer, and the head of the transfer.

use std::collections::VecDeque;

use damselfly_journal::Lsn;
use damselfly_resp::Reply;

use super::Position;
use crate::{
    config::ReplicaConfig,
    error::LinkError,
    ids::{EofToken, ReplId},
    replica::{
        answer::{bad_answer, classify, words},
        message::FlowOffer,
        request::{auth_args, encode_strings},
    },
};

/// Longest line before the transfer.
const MAX_LINE: usize = 4 << 10;

/// A request that was sent, in the order of their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Auth,
    Port,
    Address,
    Capa,
    Psync,
    /// Not asked for: it comes when the primary is ready.
    Transfer,
}

/// How the end of the RDB is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are left.
    Sized(u64),
    /// This stands behind it.
    Marked(EofToken),
}

/// What the lines have told.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// `+FULLRESYNC` of this history: the transfer follows when it is ready.
    Restarts(ReplId),
    /// `+CONTINUE`, perhaps under a new name of the history: commands follow, from here on.
    Continues(ReplId, Position),
    /// The head of the transfer: the RDB follows, then commands from here on.
    Transfers(Framing, Position),
}

/// Sends the greeting at once, and `PSYNC` when that is answered (a Redis refuses it with replies pending); reads lines.
#[derive(Debug)]
pub(super) struct Preparation {
    steps: VecDeque<Step>,
    offer: Option<(ReplId, Position)>,
    /// What is to be sent when the greeting is answered.
    psync: Vec<u8>,
    /// From `+FULLRESYNC`: where the commands behind the transfer begin.
    granted: Option<Position>,
    input: Vec<u8>,
}

impl Preparation {
    pub(super) fn new(
        config: &ReplicaConfig,
        offer: Option<&FlowOffer>,
        out: &mut Vec<u8>,
    ) -> Preparation {
        let mut steps = VecDeque::new();
        let mut ask = |step, args: &[String]| {
            steps.push_back(step);
            encode_strings(out, args);
        };
        let replconf = |words: &[&str]| -> Vec<String> {
            let all = [&["REPLCONF"], words].concat();
            all.iter().map(|word| (*word).to_owned()).collect()
        };
        if let Some(auth) = &config.auth {
            ask(Step::Auth, &auth_args(auth));
        }
        let port = config.announce_port.to_string();
        ask(Step::Port, &replconf(&["listening-port", &port]));
        if let Some(ip) = &config.announce_ip {
            ask(Step::Address, &replconf(&["ip-address", ip]));
        }
        ask(Step::Capa, &replconf(&["capa", "eof", "capa", "psync2"]));
        let offer = match offer {
            Some(FlowOffer::Offset { history, next, db }) => Some((
                *history,
                Position {
                    next: *next,
                    db: *db,
                },
            )),
            _ => None,
        };
        let (id, next) = match &offer {
            Some((history, at)) => (history.to_string(), at.next.to_string()),
            None => ("?".to_owned(), "-1".to_owned()),
        };
        let mut psync = Vec::new();
        encode_strings(&mut psync, &["PSYNC", &id, &next]);
        steps.extend([Step::Psync, Step::Transfer]);
        Preparation {
            steps,
            offer,
            psync,
            granted: None,
            input: Vec::new(),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// What came behind the last line.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    /// What is waited for, for messages.
    pub(super) fn waits_for(&self) -> &'static str {
        self.steps
            .front()
            .map_or("the transfer", |step| step.name())
    }

    /// Whether `PSYNC` is the next to be answered, or was answered: the primary may take its time then, and says that it lives.
    pub(super) fn is_patient(&self) -> bool {
        matches!(
            self.steps.front(),
            None | Some(Step::Psync | Step::Transfer)
        )
    }

    /// What the next lines tell; `None` until more bytes come.
    pub(super) fn poll(&mut self, out: &mut Vec<u8>) -> Result<Option<Heard>, LinkError> {
        while let Some(line) = self.line()? {
            // A newline alone says that the primary lives.
            if line.is_empty() {
                continue;
            }
            if let Some(heard) = self.read(&line)? {
                return Ok(Some(heard));
            }
            if self.steps.front() == Some(&Step::Psync) {
                out.append(&mut self.psync);
            }
        }
        Ok(None)
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>, LinkError> {
        let within = &self.input[..self.input.len().min(MAX_LINE)];
        let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
            if within.len() == MAX_LINE {
                let why = format!("a line without end, \"{}\"", words(within));
                return Err(LinkError::NotRedis { why });
            }
            return Ok(None);
        };
        let mut line: Vec<u8> = self.input.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    fn read(&mut self, line: &[u8]) -> Result<Option<Heard>, LinkError> {
        let step = *self.steps.front().unwrap_or(&Step::Transfer);
        if let Some(text) = line.strip_prefix(b"-") {
            if step != Step::Address {
                return Err(classify(step.name(), text));
            }
            let answer = words(text);
            tracing::info!(step = step.name(), answer, "the primary does not take it");
            self.steps.pop_front();
            return Ok(None);
        }
        match step {
            Step::Psync => self.read_grant(line).map(Some),
            Step::Transfer => self.read_head(line).map(Some),
            _ if line.eq_ignore_ascii_case(b"+OK") => {
                self.steps.pop_front();
                Ok(None)
            }
            _ => Err(self.bad("OK", line)),
        }
    }

    /// `+FULLRESYNC <replid> <offset>` or `+CONTINUE [<replid>]`.
    fn read_grant(&mut self, line: &[u8]) -> Result<Heard, LinkError> {
        let expected = "FULLRESYNC <replid> <offset>, or CONTINUE";
        let mut parts = line
            .split(|byte| *byte == b' ')
            .filter(|part| !part.is_empty());
        let (verb, replid, offset) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let replid = match replid {
            Some(text) => Some(ReplId::parse(text).ok_or_else(|| self.bad(expected, line))?),
            None => None,
        };
        match (verb, replid, offset, self.offer) {
            (b"+FULLRESYNC", Some(replid), Some(offset), _) => {
                let next = parse_offset(offset).ok_or_else(|| self.bad(expected, line))?;
                self.granted = Some(Position { next, db: 0 });
                self.steps.pop_front();
                Ok(Heard::Restarts(replid))
            }
            (b"+CONTINUE", replid, None, Some((history, at))) => {
                Ok(Heard::Continues(replid.unwrap_or(history), at))
            }
            _ => Err(self.bad(expected, line)),
        }
    }

    /// `$<bytes>` or `$EOF:<40 bytes>`.
    fn read_head(&mut self, line: &[u8]) -> Result<Heard, LinkError> {
        let expected = "$<bytes of the RDB>, or $EOF:<mark>";
        let framing = line
            .strip_prefix(b"$")
            .and_then(|head| match head.strip_prefix(b"EOF:") {
                Some(mark) => EofToken::parse(mark).map(Framing::Marked),
                None => parse_number(head).map(Framing::Sized),
            });
        match (framing, self.granted) {
            (Some(framing), Some(at)) => Ok(Heard::Transfers(framing, at)),
            _ => Err(self.bad(expected, line)),
        }
    }

    fn bad(&self, expected: &'static str, line: &[u8]) -> LinkError {
        bad_answer(self.waits_for(), expected, &Reply::Simple(line.to_vec()))
    }
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Auth => "AUTH",
            Step::Port => "REPLCONF listening-port",
            Step::Address => "REPLCONF ip-address",
            Step::Capa => "REPLCONF capa eof capa psync2",
            Step::Psync => "PSYNC",
            Step::Transfer => "the transfer",
        }
    }
}

fn parse_number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 19 && text.iter().all(u8::is_ascii_digit);
    digits
        .then(|| std::str::from_utf8(text).ok()?.parse().ok())
        .flatten()
}

/// An offset says how many bytes there were: the next one has the number behind it.
fn parse_offset(text: &[u8]) -> Option<Lsn> {
    let offset = parse_number(text)?;
    (offset < Lsn::MAX.0).then(|| Lsn(offset + 1))
}
