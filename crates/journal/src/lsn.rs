//! The number of a record.

use std::fmt;

/// The number of a record in one shard's journal. The first record has 1; every COMMAND and every PING takes one.
///
/// "Offset" and "ack" always mean the *next* LSN: an ack of `n` says that everything below `n` is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The number of the first record of a data set.
    pub const FIRST: Lsn = Lsn(1);

    /// The highest that is taken from a peer: a million records a second reach it in 140 years, and the sum over all shards of a
    /// server is still a number.
    pub const MAX: Lsn = Lsn(1 << 52);

    /// The number `count` records further on.
    #[must_use]
    pub fn plus(self, count: u64) -> Lsn {
        Lsn(self.0.saturating_add(count))
    }

    /// How many records lie from `earlier` (inclusive) to this one (exclusive); 0 when `earlier` is not earlier.
    pub fn since(self, earlier: Lsn) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Default for Lsn {
    fn default() -> Lsn {
        Lsn::FIRST
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
