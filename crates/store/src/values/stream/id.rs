//! [`StreamId`]: where an entry stands in its stream.

use std::fmt;

/// The id of a stream's entry: a time and a number within it. Ids are ordered by both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds, by convention those of the Unix epoch.
    pub ms: u64,
    /// Number within the millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The least id, `0-0`. No entry has it.
    pub const MIN: StreamId = StreamId::new(0, 0);
    /// The greatest id.
    pub const MAX: StreamId = StreamId::new(u64::MAX, u64::MAX);

    /// The id `ms-seq`.
    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// The next greater id; `None` after the greatest.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId::new(self.ms, seq)),
            None => Some(StreamId::new(self.ms.checked_add(1)?, 0)),
        }
    }

    /// The next smaller id; `None` before the least.
    pub fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId::new(self.ms, seq)),
            None => Some(StreamId::new(self.ms.checked_sub(1)?, u64::MAX)),
        }
    }

    /// The id as 16 bytes that sort as ids do.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The id of [`StreamId::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> StreamId {
        let both = u128::from_be_bytes(bytes);
        StreamId::new((both >> 64) as u64, both as u64)
    }

    /// What is to be added to `base` to get here, as nodes write it: each half wraps around.
    pub(super) fn delta(self, base: StreamId) -> (i64, i64) {
        (
            self.ms.wrapping_sub(base.ms) as i64,
            self.seq.wrapping_sub(base.seq) as i64,
        )
    }

    pub(super) fn plus(self, ms: i64, seq: i64) -> StreamId {
        StreamId::new(
            self.ms.wrapping_add_signed(ms),
            self.seq.wrapping_add_signed(seq),
        )
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}
