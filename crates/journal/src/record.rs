//! Records as a reader sees them.

use std::fmt;

use crate::{lsn::Lsn, wire};

/// Which records a stream has: the extension level of the greeting (PROTOCOL section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamLevel {
    /// Level 0, a Dragonfly peer: shard counts are always 1, no TXN, no CHECK.
    Reference,
    /// Level 1, our own: real shard counts, TXN, and in the stable stream CHECK.
    Extended,
}

impl StreamLevel {
    /// The level of a peer that announced `level`; a newer peer speaks level 1 with us.
    pub fn from_announced(level: u64) -> StreamLevel {
        if level == 0 {
            StreamLevel::Reference
        } else {
            StreamLevel::Extended
        }
    }
}

/// What a decoder takes from a peer at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// Bytes of one record, framing included.
    pub max_record_bytes: u64,
    /// Strings of one record.
    pub max_strings: u64,
    /// Records of one transaction's part.
    pub max_txn_records: u64,
    /// The highest database index.
    pub max_db: u16,
}

impl Default for RecordLimits {
    /// 1 GiB, 16 Mi strings, 16 Mi records, any index: more than a server with default limits ever writes.
    fn default() -> RecordLimits {
        RecordLimits {
            max_record_bytes: 1 << 30,
            max_strings: 1 << 24,
            max_txn_records: 1 << 24,
            max_db: u16::MAX,
        }
    }
}

/// One record of a stream. Byte strings lie in the decoder's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record<'a> {
    /// The database of the records that follow. Shares the LSN of the next record.
    Select {
        /// Its index.
        db: u16,
    },
    /// An effect to execute. Takes one LSN. (EXPIRED is read as this, too.)
    Command {
        /// The transaction; 0: none.
        txid: u64,
        /// How many shards the transaction touches; always 1 at level 0, where the field means nothing.
        shards: u16,
        /// The command's name and its arguments, at least one string.
        args: ArgList<'a>,
    },
    /// Ack at once. Takes one LSN.
    Ping,
    /// The LSN of the record written last. Not counted.
    Lsn(Lsn),
    /// A CHECK that has verified, with its CRC32C: a gathered write ends here. Level 1; not counted.
    Check(u32),
    /// The next `records` COMMANDs and PINGs (SELECTs not counted) are this shard's part of one transaction. Level 1; not counted.
    Txn {
        /// The transaction; 0 for several effects of one command that has no number.
        txid: u64,
        /// How many shards it touches.
        shards: u16,
        /// How many records follow.
        records: u64,
    },
}

impl Record<'_> {
    /// Whether it takes an LSN.
    pub fn is_counted(&self) -> bool {
        matches!(self, Record::Command { .. } | Record::Ping)
    }
}

/// The strings of a COMMAND, at least one. Iteration reads their lengths as it goes; nothing is allocated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ArgList<'a> {
    count: usize,
    /// Each string's length and bytes; checked when the record was framed.
    encoded: &'a [u8],
}

impl<'a> ArgList<'a> {
    pub(crate) fn from_checked(count: usize, encoded: &'a [u8]) -> ArgList<'a> {
        ArgList { count, encoded }
    }

    pub(crate) fn encoded(&self) -> &'a [u8] {
        self.encoded
    }

    /// How many strings there are, the command's name included; never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.count
    }

    /// The command's name as it was sent.
    pub fn name(&self) -> &'a [u8] {
        self.iter().next().unwrap_or_default()
    }

    /// The strings, the command's name first.
    pub fn iter(&self) -> ArgIter<'a> {
        ArgIter {
            left: self.count,
            rest: self.encoded,
        }
    }

    /// The bytes of all strings together, without their lengths.
    pub fn total_bytes(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }
}

impl<'a> IntoIterator for ArgList<'a> {
    type Item = &'a [u8];
    type IntoIter = ArgIter<'a>;

    fn into_iter(self) -> ArgIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for ArgList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|arg| arg.escape_ascii().to_string()))
            .finish()
    }
}

/// The strings of an [`ArgList`] in order.
#[derive(Clone, Debug)]
pub struct ArgIter<'a> {
    left: usize,
    rest: &'a [u8],
}

impl<'a> Iterator for ArgIter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left == 0 {
            return None;
        }
        let (len, used) = wire::get_uint(self.rest).ok().flatten()?;
        let (arg, rest) = self.rest[used..].split_at_checked(usize::try_from(len).ok()?)?;
        self.left -= 1;
        self.rest = rest;
        Some(arg)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for ArgIter<'_> {}
