//! What one transaction does on one flow.

use damselfly_journal::{Lsn, Record, RunBuilder};
use damselfly_resp::ArgVec;

/// The records of one transaction on one flow, in order; a record that stands alone is a part of one record.
///
/// It owns its bytes and is `Send`: the parts of a transaction over several shards are brought together before they
/// are executed. Empty parts are reused, so that a stream of small records allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionPart {
    txid: u64,
    shards: u16,
    first_lsn: Option<Lsn>,
    stream_end: Option<(Lsn, u16)>,
    records: Vec<Meta>,
    arg_ends: Vec<usize>,
    data: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meta {
    db: u16,
    /// Arguments of the records up to this one; a PING adds none.
    args_end: usize,
}

/// One record of a [`TransactionPart`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// A command to execute.
    Command {
        /// Its database.
        db: u16,
        /// Name and arguments; at least the name.
        args: ArgVec<'a>,
    },
    /// Nothing to execute; counted, and relayed.
    Ping,
}

/// Bytes of buffers that an unused part may keep.
const RETAINED_BYTES: usize = 8 << 10;

impl TransactionPart {
    /// An empty part.
    pub fn new() -> TransactionPart {
        TransactionPart::default()
    }

    /// The transaction's id; 0: none.
    pub fn txid(&self) -> u64 {
        self.txid
    }

    /// How many shards of the primary the transaction touches; 1 from a Dragonfly primary, whatever it touches.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// The LSN of the first record; `None` within a full sync, where they are not counted.
    pub fn first_lsn(&self) -> Option<Lsn> {
        self.first_lsn
    }

    /// In the stream of a Redis: the number of the byte behind it, and the database that is selected there.
    pub fn stream_end(&self) -> Option<(Lsn, u16)> {
        self.stream_end
    }

    /// Says where in the stream of a Redis it ends.
    pub(crate) fn ends_at(&mut self, next: Lsn, db: u16) {
        self.stream_end = Some((next, db));
    }

    /// The LSN after the last record; `None` within a full sync.
    pub fn next_lsn(&self) -> Option<Lsn> {
        self.first_lsn
            .map(|first| first.plus(self.records.len() as u64))
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of all strings.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Whether some command of it is of this kind.
    pub(crate) fn has(&self, is: fn(&[&[u8]]) -> bool) -> bool {
        self.effects()
            .any(|effect| matches!(&effect, Effect::Command { args, .. } if is(args)))
    }

    /// The first argument of the first command, nearly always its key, and the database.
    pub fn first_key(&self) -> Option<(u16, &[u8])> {
        let first = self.records.first().filter(|meta| meta.args_end > 1)?;
        Some((first.db, self.arg(1)))
    }

    /// Whether one of the records is a PING.
    pub fn has_ping(&self) -> bool {
        let mut before = 0;
        self.records
            .iter()
            .any(|meta| std::mem::replace(&mut before, meta.args_end) == meta.args_end)
    }

    /// The records in order.
    pub fn effects(&self) -> impl Iterator<Item = Effect<'_>> {
        (0..self.records.len()).map(|index| self.effect(index))
    }

    /// The record at `index`.
    ///
    /// # Panics
    /// When there is none.
    pub fn effect(&self, index: usize) -> Effect<'_> {
        let meta = self.records[index];
        let start = if index == 0 {
            0
        } else {
            self.records[index - 1].args_end
        };
        if start == meta.args_end {
            return Effect::Ping;
        }
        Effect::Command {
            db: meta.db,
            args: (start..meta.args_end).map(|arg| self.arg(arg)).collect(),
        }
    }

    /// Adds all records to `run`, as a relay passes them on.
    pub fn write_to(&self, run: &mut RunBuilder) {
        run.start(self.txid, self.shards);
        for effect in self.effects() {
            match effect {
                Effect::Command { db, args } if is_own_command(&args) => {
                    run.command(db, &args).extended_only()
                }
                Effect::Command { db, args } => run.command(db, &args),
                Effect::Ping => run.ping(),
            };
        }
    }

    /// Empties it and begins the part of another transaction.
    pub fn start(&mut self, txid: u64, shards: u16, first_lsn: Option<Lsn>) {
        self.clear();
        self.stream_end = None;
        (self.txid, self.shards, self.first_lsn) = (txid, shards, first_lsn);
    }

    /// Adds a command.
    pub fn push_command<'a>(&mut self, db: u16, args: impl Iterator<Item = &'a [u8]>) {
        for arg in args {
            self.data.extend_from_slice(arg);
            self.arg_ends.push(self.data.len());
        }
        self.records.push(Meta {
            db,
            args_end: self.arg_ends.len(),
        });
    }

    /// Adds a PING.
    pub fn push_ping(&mut self) {
        self.records.push(Meta {
            db: 0,
            args_end: self.arg_ends.len(),
        });
    }

    /// Adds what `record` is, if it counts.
    pub(crate) fn push(&mut self, db: u16, record: &Record<'_>) {
        match record {
            Record::Command { args, .. } => self.push_command(db, args.iter()),
            Record::Ping => self.push_ping(),
            _ => {}
        }
    }

    fn arg(&self, index: usize) -> &[u8] {
        let start = if index == 0 {
            0
        } else {
            self.arg_ends[index - 1]
        };
        &self.data[start..self.arg_ends[index]]
    }

    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.arg_ends.clear();
        self.data.clear();
        self.data.shrink_to(RETAINED_BYTES);
        self.arg_ends.shrink_to(RETAINED_BYTES / 8);
        self.records.shrink_to(RETAINED_BYTES / 16);
    }
}

/// The commands that act on the whole data set: every flow meets at their record, and they run once (PROTOCOL 4).
pub fn is_global_command(args: &[&[u8]]) -> bool {
    let is = |index: usize, word: &str| {
        args.get(index)
            .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    };
    let first = args.first().copied().unwrap_or_default();
    match first.len() {
        6 => is(0, "SCRIPT") && (is(1, "LOAD") || is(1, "FLUSH")) || is(0, "SWAPDB"),
        7 => is(0, "FLUSHDB"),
        8 => is(0, "FLUSHALL") || is(0, "FUNCTION"),
        _ => false,
    }
}

/// The commands that only our own replicas know, level 1 and later: when elements of a key expire, and libraries of functions.
fn is_own_command(args: &[&[u8]]) -> bool {
    args.first().is_some_and(|name| {
        name.eq_ignore_ascii_case(b"FIELDEXPIREAT") || name.eq_ignore_ascii_case(b"FUNCTION")
    })
}

/// Whether a command is about libraries of functions, which all shards share.
pub(crate) fn is_library_command(args: &[&[u8]]) -> bool {
    args.first()
        .is_some_and(|name| name.eq_ignore_ascii_case(b"FUNCTION"))
}

/// Whether a command removes what a running full sync has sent: FLUSHALL and FLUSHDB.
pub(crate) fn is_flush(args: &[&[u8]]) -> bool {
    args.first().is_some_and(|name| {
        name.eq_ignore_ascii_case(b"FLUSHALL") || name.eq_ignore_ascii_case(b"FLUSHDB")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_keeps_our_own_commands_from_others() {
        let mut part = TransactionPart::new();
        part.start(0, 1, Some(Lsn(1)));
        part.push_command(0, [&b"SADDEX"[..], b"s", b"1", b"m"].into_iter());
        part.push_command(0, [&b"FieldExpireAt"[..], b"s", b"1", b"m"].into_iter());
        let mut run = RunBuilder::new(0, 1);
        part.write_to(&mut run);
        let mut journal =
            damselfly_journal::Journal::new(damselfly_journal::JournalOptions::default());
        let run = journal.append(&mut run, 0);
        let own: Vec<_> = run.entries().map(|entry| entry.extended_only).collect();
        assert_eq!(own, [false, true]);
    }

    #[test]
    fn effects_come_back_in_order() {
        let mut part = TransactionPart::new();
        part.start(7, 2, Some(Lsn(10)));
        part.push_command(3, [&b"SET"[..], b"k", b""].into_iter());
        part.push_ping();
        part.push_command(0, [&b"DEL"[..], b"x"].into_iter());
        let effects: Vec<_> = part.effects().collect();
        assert_eq!(
            effects[0],
            Effect::Command {
                db: 3,
                args: [&b"SET"[..], b"k", b""].into_iter().collect()
            }
        );
        assert_eq!(effects[1], Effect::Ping);
        assert_eq!(
            effects[2],
            Effect::Command {
                db: 0,
                args: [&b"DEL"[..], b"x"].into_iter().collect()
            }
        );
        drop(effects);
        assert_eq!(
            (part.len(), part.next_lsn(), part.bytes()),
            (3, Some(Lsn(13)), 8)
        );
        part.start(0, 1, None);
        assert!(part.is_empty() && part.next_lsn().is_none());
    }

    #[test]
    fn global_commands_are_known() {
        for global in [
            &["flushall"][..],
            &["FLUSHDB", "ASYNC"],
            &["script", "load", "x"],
            &["SCRIPT", "flush"],
            &["FUNCTION", "LOAD", "x"],
        ] {
            let args: Vec<&[u8]> = global.iter().map(|arg| arg.as_bytes()).collect();
            assert!(is_global_command(&args), "{global:?}");
        }
        for other in [
            &["SET", "FLUSHALL"][..],
            &["SCRIPT", "EXISTS"],
            &["SCRIPT"],
            &[],
        ] {
            let args: Vec<&[u8]> = other.iter().map(|arg| arg.as_bytes()).collect();
            assert!(!is_global_command(&args), "{other:?}");
        }
    }
}
