//! The command stream of a Redis: as clients send commands, with the database selected and transactions bracketed.

use damselfly_journal::Lsn;
use damselfly_resp::{ArgVec, RequestDecoder, RequestLimits};

use super::Position;
use crate::{config::ReplicaConfig, error::LinkError, part::TransactionPart};

/// Parts that are kept for reuse.
const SPARE_PARTS: usize = super::PARTS_AT_ONCE;
/// Bytes of input that may be kept when all of it was read.
const RETAINED_BYTES: usize = 256 << 10;

/// What stands next in the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A command, or a whole transaction, to be executed.
    Part(TransactionPart),
    /// Nothing to execute; its bytes count.
    Counted,
    /// The primary wants to know at once what was executed.
    AckWanted,
}

#[derive(Debug)]
pub(super) struct Commands {
    decoder: RequestDecoder,
    input: Vec<u8>,
    /// Bytes of `input` that are read.
    read: usize,
    /// Where the stream stands behind them.
    at: Position,
    /// The transaction that has begun, and where.
    open: Option<(TransactionPart, Lsn)>,
    max_bytes: usize,
    spare: Vec<TransactionPart>,
}

impl Commands {
    pub(super) fn new(config: &ReplicaConfig, at: Position) -> Commands {
        let records = &config.limits.records;
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let limits = RequestLimits {
            max_multi_bulk_len: size(records.max_strings),
            max_bulk_len: size(records.max_record_bytes),
            ..RequestLimits::default()
        };
        Commands {
            decoder: RequestDecoder::new(limits),
            input: Vec::new(),
            read: 0,
            at,
            open: None,
            max_bytes: config.limits.max_transaction_bytes,
            spare: Vec::new(),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.input.drain(..self.read);
        self.read = 0;
        if self.input.is_empty() {
            self.input.shrink_to(RETAINED_BYTES);
        }
        self.input.extend_from_slice(bytes);
    }

    /// Where the stream stands behind the last item.
    pub(super) fn at(&self) -> Position {
        self.at
    }

    /// Keeps a part's buffers for later.
    pub(super) fn recycle(&mut self, mut part: TransactionPart) {
        if self.spare.len() < SPARE_PARTS {
            part.clear();
            self.spare.push(part);
        }
    }

    /// The next item; `None` until more bytes come.
    pub(super) fn poll(&mut self) -> Result<Option<Item>, LinkError> {
        // The buffer is lent to the arguments, while the rest of the machine takes them.
        let input = std::mem::take(&mut self.input);
        let item = self.poll_in(&input);
        self.input = input;
        item
    }

    fn poll_in(&mut self, input: &[u8]) -> Result<Option<Item>, LinkError> {
        let mut args = ArgVec::new();
        loop {
            let rest = &input[self.read..];
            let decoded = self.decoder.decode(rest, &mut args);
            let Some(bytes) = decoded.map_err(|error| LinkError::Command { flow: 0, error })?
            else {
                return self.bound(rest.len()).map(|()| None);
            };
            let first = self.at.next;
            self.read += bytes;
            self.at.next = first.plus(bytes as u64);
            let item = match self.decoder.take_unescaped() {
                Some(words) => {
                    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                    self.take(first, &words)?
                }
                None => self.take(first, &args)?,
            };
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    /// What has begun may not grow without end.
    fn bound(&self, unread: usize) -> Result<(), LinkError> {
        let open = self
            .open
            .as_ref()
            .map_or(0, |(_, first)| self.at.next.0 - first.0);
        if open.saturating_add(unread as u64) <= self.max_bytes as u64 {
            return Ok(());
        }
        Err(LinkError::Limit {
            flow: 0,
            what: "a transaction",
            limit: self.max_bytes,
        })
    }

    /// One command; `None` inside of a transaction.
    fn take(&mut self, first: Lsn, args: &[&[u8]]) -> Result<Option<Item>, LinkError> {
        let name = args.first().copied().unwrap_or_default();
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        let counted = |commands: &Commands| commands.open.is_none().then_some(Item::Counted);
        if is("MULTI") {
            let part = self.start(first);
            return match self.open.replace((part, first)) {
                None => Ok(None),
                Some(_) => Err(order("MULTI inside of MULTI")),
            };
        }
        if is("EXEC") {
            // Redis 6.2 sends one alone for a transaction that changed nothing but the consumers of a group.
            return Ok(Some(match self.open.take() {
                Some((part, _)) if !part.is_empty() => Item::Part(part),
                _ => Item::Counted,
            }));
        }
        if is("SELECT") {
            let db = args
                .get(1)
                .and_then(|db| std::str::from_utf8(db).ok()?.parse().ok());
            self.at.db = db.ok_or_else(|| order("SELECT of what is no database"))?;
            return Ok(counted(self));
        }
        if is("REPLCONF") {
            let asks = args
                .get(1)
                .is_some_and(|word| word.eq_ignore_ascii_case(b"GETACK"));
            return Ok(counted(self).map(|counted| if asks { Item::AckWanted } else { counted }));
        }
        if args.is_empty() || is("PING") {
            return Ok(counted(self));
        }
        let db = self.at.db;
        if let Some((part, _)) = &mut self.open {
            part.push_command(db, args.iter().copied());
            return self.bound(0).map(|()| None);
        }
        let mut part = self.start(first);
        part.push_command(db, args.iter().copied());
        Ok(Some(Item::Part(part)))
    }

    fn start(&mut self, first: Lsn) -> TransactionPart {
        let mut part = self.spare.pop().unwrap_or_default();
        part.start(0, 1, Some(first));
        part
    }
}

fn order(what: &'static str) -> LinkError {
    LinkError::StreamOrder { flow: 0, what }
}
