//! Finds the borders of records in a buffer that grows.

use std::ops::Range;

use crate::{
    error::JournalError,
    lsn::Lsn,
    record::{RecordLimits, StreamLevel},
    wire::{
        self, BadPrefix, CHECK_BYTES, MAX_SHARDS, MAX_TXID, OP_CHECK, OP_COMMAND, OP_EXPIRED,
        OP_LSN, OP_PING, OP_SELECT, OP_TXN,
    },
};

/// What a record says. Ranges are relative to the record's first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Select {
        db: u16,
    },
    Command {
        txid: u64,
        shards: u16,
        count: usize,
        strings: Range<usize>,
    },
    Ping,
    Lsn(Lsn),
    Check(u32),
    Txn {
        txid: u64,
        shards: u16,
        records: u64,
    },
}

/// A complete record, or how many bytes it has at least.
pub(crate) enum Framed {
    Complete { frame: Frame, len: usize },
    NeedsAtLeast(usize),
}

/// The rules by which a stream's records are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameRules {
    pub level: StreamLevel,
    pub checks: bool,
    pub limits: RecordLimits,
}

/// Goes on with a record where it stopped when bytes were missing, so that a large record that comes in small pieces
/// is not read from its start again and again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Framer {
    partial: Option<PartialCommand>,
}

#[derive(Clone, Debug)]
struct PartialCommand {
    txid: u64,
    shards: u16,
    count: usize,
    total: u64,
    strings_at: usize,
    /// Strings whose end is known, and where the next one's length begins.
    seen: usize,
    seen_bytes: u64,
    at: usize,
}

const EXPECTED_REFERENCE: &str = "SELECT 6, EXPIRED 9, COMMAND 10, PING 13, LSN 15";
const EXPECTED_EXTENDED: &str = "SELECT 6, EXPIRED 9, COMMAND 10, PING 13, LSN 15, TXN 33";
const EXPECTED_CHECKED: &str = "SELECT 6, EXPIRED 9, COMMAND 10, PING 13, LSN 15, CHECK 32, TXN 33";

impl Framer {
    /// Reads the record that begins at `buf[0]`. `buf` holds the same bytes as at the last call, and newly arrived
    /// ones, until a record was complete. `offset` is for errors.
    pub fn frame(
        &mut self,
        buf: &[u8],
        offset: u64,
        rules: &FrameRules,
    ) -> Result<Framed, JournalError> {
        if let Some(partial) = self.partial.take() {
            return self.strings(partial, buf, offset, rules);
        }
        let Some(&opcode) = buf.first() else {
            return Ok(Framed::NeedsAtLeast(1));
        };
        let mut fields = Fields { buf, at: 1, offset };
        match opcode {
            OP_SELECT => fields.complete(|[db]| {
                let limit = rules.limits.max_db;
                let index = u16::try_from(db).ok().filter(|&db| db <= limit);
                let db = index.ok_or(JournalError::DbOutOfRange {
                    limit,
                    got: db,
                    offset,
                })?;
                Ok(Frame::Select { db })
            }),
            OP_PING => Ok(Framed::Complete {
                frame: Frame::Ping,
                len: 1,
            }),
            OP_LSN => fields.complete(|[lsn]| Ok(Frame::Lsn(Lsn(lsn)))),
            OP_COMMAND | OP_EXPIRED => match fields.integers::<4>()? {
                Ok(head) => {
                    let partial = PartialCommand::new(head, fields.at, offset, rules)?;
                    self.strings(partial, buf, offset, rules)
                }
                Err(missing) => Ok(missing),
            },
            OP_CHECK if rules.checks => Ok(check(buf)),
            OP_TXN if rules.level == StreamLevel::Extended => {
                fields.complete(|head| txn(head, offset, &rules.limits))
            }
            got => Err(JournalError::UnknownOpcode {
                expected: rules.expected(),
                got,
                offset,
            }),
        }
    }

    fn strings(
        &mut self,
        mut partial: PartialCommand,
        buf: &[u8],
        offset: u64,
        rules: &FrameRules,
    ) -> Result<Framed, JournalError> {
        while partial.seen < partial.count {
            if partial.at >= buf.len() {
                break;
            }
            match wire::get_uint(&buf[partial.at..])
                .map_err(|BadPrefix(got)| JournalError::BadInteger { got, offset })?
            {
                Some((len, used)) => partial.accept(len, used, offset, &rules.limits)?,
                None => break,
            }
        }
        let missing_lengths = partial.seen < partial.count;
        if missing_lengths || buf.len() < partial.at {
            // Only up to the next length: a wrong one shall be found when it is there, not when the record would end.
            let len = (partial.at + missing_lengths as usize).max(buf.len() + 1);
            self.partial = Some(partial);
            return Ok(Framed::NeedsAtLeast(len));
        }
        if partial.seen_bytes != partial.total {
            return Err(JournalError::TotalMismatch {
                expected: partial.total,
                got: partial.seen_bytes,
                offset,
            });
        }
        let PartialCommand {
            txid,
            shards,
            count,
            strings_at,
            at,
            ..
        } = partial;
        Ok(Framed::Complete {
            frame: Frame::Command {
                txid,
                shards,
                count,
                strings: strings_at..at,
            },
            len: at,
        })
    }
}

impl PartialCommand {
    fn new(
        head: [u64; 4],
        at: usize,
        offset: u64,
        rules: &FrameRules,
    ) -> Result<PartialCommand, JournalError> {
        let [txid, shards, count, total] = head;
        let limits = &rules.limits;
        if count > limits.max_strings {
            return Err(JournalError::TooManyStrings {
                limit: limits.max_strings,
                got: count,
                offset,
            });
        }
        if count == 0 {
            return Err(JournalError::EmptyCommand { offset });
        }
        let bytes = total.saturating_add(count).saturating_add(at as u64);
        within(bytes, offset, limits)?;
        let txid = checked_txid(txid, offset)?;
        let shards = match rules.level {
            // What a reference peer writes there means nothing.
            StreamLevel::Reference => 1,
            StreamLevel::Extended => checked_shards(shards, offset)?,
        };
        Ok(PartialCommand {
            txid,
            shards,
            count: count as usize,
            total,
            strings_at: at,
            seen: 0,
            seen_bytes: 0,
            at,
        })
    }

    /// Takes the length of the next string, which may still have to arrive.
    fn accept(
        &mut self,
        len: u64,
        used: usize,
        offset: u64,
        limits: &RecordLimits,
    ) -> Result<(), JournalError> {
        let bytes = self.seen_bytes.saturating_add(len);
        if bytes > self.total {
            return Err(JournalError::TotalMismatch {
                expected: self.total,
                got: bytes,
                offset,
            });
        }
        self.seen += 1;
        self.seen_bytes = bytes;
        self.at += used + len as usize;
        within(self.at as u64, offset, limits)
    }
}

impl FrameRules {
    fn expected(&self) -> &'static str {
        match (self.level, self.checks) {
            (StreamLevel::Reference, _) => EXPECTED_REFERENCE,
            (StreamLevel::Extended, false) => EXPECTED_EXTENDED,
            (StreamLevel::Extended, true) => EXPECTED_CHECKED,
        }
    }
}

fn within(bytes: u64, offset: u64, limits: &RecordLimits) -> Result<(), JournalError> {
    let limit = limits.max_record_bytes;
    if bytes > limit {
        Err(JournalError::RecordTooLong {
            limit,
            got: bytes,
            offset,
        })
    } else {
        Ok(())
    }
}

fn check(buf: &[u8]) -> Framed {
    match buf.get(1..CHECK_BYTES) {
        Some(crc) => {
            let crc = u32::from_le_bytes(crc.try_into().expect("4 bytes"));
            Framed::Complete {
                frame: Frame::Check(crc),
                len: CHECK_BYTES,
            }
        }
        None => Framed::NeedsAtLeast(CHECK_BYTES),
    }
}

fn checked_shards(count: u64, offset: u64) -> Result<u16, JournalError> {
    let shards = u16::try_from(count)
        .ok()
        .filter(|n| (1..=MAX_SHARDS).contains(n));
    shards.ok_or(JournalError::BadShardCount {
        limit: MAX_SHARDS,
        got: count,
        offset,
    })
}

fn checked_txid(txid: u64, offset: u64) -> Result<u64, JournalError> {
    if txid > MAX_TXID {
        return Err(JournalError::BadTxid {
            limit: MAX_TXID,
            got: txid,
            offset,
        });
    }
    Ok(txid)
}

fn txn(
    [txid, shards, records]: [u64; 3],
    offset: u64,
    limits: &RecordLimits,
) -> Result<Frame, JournalError> {
    let txid = checked_txid(txid, offset)?;
    let shards = checked_shards(shards, offset)?;
    if !(1..=limits.max_txn_records).contains(&records) {
        return Err(JournalError::BadTxnLength {
            limit: limits.max_txn_records,
            got: records,
            offset,
        });
    }
    Ok(Frame::Txn {
        txid,
        shards,
        records,
    })
}

/// Integers that stand one after the other.
struct Fields<'a> {
    buf: &'a [u8],
    at: usize,
    offset: u64,
}

impl Fields<'_> {
    /// The next `N` integers, or how many bytes the record has at least.
    fn integers<const N: usize>(&mut self) -> Result<Result<[u64; N], Framed>, JournalError> {
        let mut values = [0; N];
        for value in values.iter_mut() {
            let rest = &self.buf[self.at..];
            match wire::get_uint(rest).map_err(|BadPrefix(got)| JournalError::BadInteger {
                got,
                offset: self.offset,
            })? {
                Some((found, used)) => {
                    *value = found;
                    self.at += used;
                }
                None => return Ok(Err(Framed::NeedsAtLeast(self.buf.len() + 1))),
            }
        }
        Ok(Ok(values))
    }

    /// A record that is `N` integers and nothing else.
    fn complete<const N: usize>(
        &mut self,
        frame: impl FnOnce([u64; N]) -> Result<Frame, JournalError>,
    ) -> Result<Framed, JournalError> {
        Ok(match self.integers::<N>()? {
            Ok(values) => Framed::Complete {
                frame: frame(values)?,
                len: self.at,
            },
            Err(missing) => missing,
        })
    }
}
