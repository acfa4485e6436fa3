//! The records that one transaction leaves on one shard.

use smallvec::SmallVec;

use crate::{
    lsn::Lsn,
    record::ArgList,
    wire::{OP_COMMAND, OP_PING, put_uint, uint_len},
};

/// One transaction's records on one shard, in order, with consecutive LSNs. Immutable; the backlog and all consumers
/// share it as `Rc<Run>`.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    txid: u64,
    shards: u16,
    first_lsn: Lsn,
    entries: SmallVec<[EntryMeta; 1]>,
    /// The payloads, one after the other.
    bytes: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EntryMeta {
    /// Where its payload ends in the run's bytes.
    end: usize,
    db: u16,
    extended_only: bool,
}

/// One record of a [`Run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its number.
    pub lsn: Lsn,
    /// The database it applies to. Without meaning for a PING.
    pub db: u16,
    /// The encoded COMMAND (with the real shard count) or PING; no SELECT.
    pub payload: &'a [u8],
    /// A peer of level 0 can't run it, and gets a PING in its place.
    pub extended_only: bool,
}

impl Entry<'_> {
    /// Whether it is a PING.
    pub fn is_ping(&self) -> bool {
        self.payload == [OP_PING]
    }
}

impl Run {
    /// The transaction; 0: none.
    pub fn txid(&self) -> u64 {
        self.txid
    }

    /// How many shards the transaction touches; at least 1.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// The LSN of the first record.
    pub fn first_lsn(&self) -> Lsn {
        self.first_lsn
    }

    /// The LSN after the last record: what to ack when the run is executed.
    pub fn next_lsn(&self) -> Lsn {
        self.first_lsn.plus(self.entries.len() as u64)
    }

    /// How many records there are; at least one.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The records in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        let mut start = 0;
        self.entries.iter().enumerate().map(move |(i, meta)| {
            let payload = &self.bytes[start..meta.end];
            start = meta.end;
            Entry {
                lsn: self.first_lsn.plus(i as u64),
                db: meta.db,
                payload,
                extended_only: meta.extended_only,
            }
        })
    }

    /// The encoded size of all records, in bytes, without what a stream adds (SELECT, TXN, CHECK).
    pub fn payload_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// What it takes in memory, in bytes: the measure of the backlog.
    pub fn memory(&self) -> usize {
        const RC_COUNTS: usize = 2 * size_of::<usize>();
        let spilled = if self.entries.spilled() {
            self.entries.capacity() * size_of::<EntryMeta>()
        } else {
            0
        };
        RC_COUNTS + size_of::<Run>() + spilled + self.bytes.len()
    }

    /// Bytes from a COMMAND payload's start to its number of strings: opcode, txid, shard count.
    pub(crate) fn command_head_len(&self) -> usize {
        1 + uint_len(self.txid) + uint_len(self.shards as u64)
    }
}

/// Encodes the records of a run. Keep one per shard and [`start`](Self::start) it again for every transaction: it
/// keeps its buffer.
#[derive(Debug)]
pub struct RunBuilder {
    txid: u64,
    shards: u16,
    entries: SmallVec<[EntryMeta; 1]>,
    bytes: Vec<u8>,
}

impl RunBuilder {
    /// For the records of transaction `txid` (0: none), which touches `shards` shards.
    pub fn new(txid: u64, shards: u16) -> RunBuilder {
        RunBuilder {
            txid,
            shards: shards.max(1),
            entries: SmallVec::new(),
            bytes: Vec::new(),
        }
    }

    /// Forgets what it has and begins another transaction's run.
    pub fn start(&mut self, txid: u64, shards: u16) -> &mut Self {
        self.clear();
        self.txid = txid;
        self.shards = shards.max(1);
        self
    }

    /// Adds an effect on database `db`: the command's name and its arguments.
    ///
    /// # Panics
    /// Without a name.
    pub fn command(&mut self, db: u16, args: &[&[u8]]) -> &mut Self {
        assert!(!args.is_empty(), "a command has a name");
        let total: usize = args.iter().map(|arg| arg.len()).sum();
        self.command_head(args.len(), total);
        for arg in args {
            put_uint(&mut self.bytes, arg.len() as u64);
            self.bytes.extend_from_slice(arg);
        }
        self.close(db)
    }

    /// Adds an effect as it was received; to be relayed with [`Journal::append_relayed`](crate::Journal::append_relayed).
    pub fn relayed(&mut self, db: u16, args: ArgList<'_>) -> &mut Self {
        self.command_head(args.len(), args.total_bytes());
        self.bytes.extend_from_slice(args.encoded());
        self.close(db)
    }

    /// Adds a PING.
    pub fn ping(&mut self) -> &mut Self {
        self.bytes.push(OP_PING);
        self.close(0)
    }

    /// Marks the effect added last as one that a peer of level 0 can't run: such a peer gets a PING in its place.
    pub fn extended_only(&mut self) -> &mut Self {
        if let Some(last) = self.entries.last_mut() {
            last.extended_only = true;
        }
        self
    }

    /// Moves what was added into transaction `txid` over `shards` shards: for effects that were encoded before it was
    /// known how many shards have any.
    pub fn retag(&mut self, txid: u64, shards: u16) {
        let head = 1 + uint_len(self.txid) + uint_len(self.shards as u64);
        let old = std::mem::take(&mut self.bytes);
        (self.txid, self.shards) = (txid, shards.max(1));
        let mut start = 0;
        for entry in &mut self.entries {
            let payload = &old[start..entry.end];
            start = entry.end;
            if payload == [OP_PING] {
                self.bytes.push(OP_PING);
            } else {
                self.bytes.push(OP_COMMAND);
                put_uint(&mut self.bytes, txid);
                put_uint(&mut self.bytes, self.shards as u64);
                self.bytes.extend_from_slice(&payload[head..]);
            }
            entry.end = self.bytes.len();
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many records were added.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn command_head(&mut self, count: usize, total: usize) {
        self.bytes.push(OP_COMMAND);
        for value in [self.txid, self.shards as u64, count as u64, total as u64] {
            put_uint(&mut self.bytes, value);
        }
    }

    fn close(&mut self, db: u16) -> &mut Self {
        self.entries.push(EntryMeta {
            end: self.bytes.len(),
            db,
            extended_only: false,
        });
        self
    }

    fn clear(&mut self) {
        const RETAINED_BYTES: usize = 64 << 10;
        self.entries.clear();
        self.bytes.clear();
        self.bytes.shrink_to(RETAINED_BYTES);
    }

    /// The run, numbered from `first_lsn`; the builder is empty afterwards.
    pub(crate) fn take(&mut self, first_lsn: Lsn) -> Run {
        assert!(!self.is_empty(), "a run has records");
        let entries = SmallVec::from_slice(&self.entries);
        let run = Run {
            txid: self.txid,
            shards: self.shards,
            first_lsn,
            entries,
            bytes: self.bytes.as_slice().into(),
        };
        self.clear();
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retagged_records_are_those_of_the_other_transaction() {
        let fill = |builder: &mut RunBuilder| {
            builder.command(0, &[b"SET", b"k", &[7; 100]]).ping();
            builder.command(9, &[b"DEL", b"k"]).extended_only();
        };
        let mut retagged = RunBuilder::new(0, 1);
        fill(&mut retagged);
        retagged.retag(70_000, 1000);
        let mut direct = RunBuilder::new(70_000, 1000);
        fill(&mut direct);
        assert_eq!(retagged.take(Lsn(5)), direct.take(Lsn(5)));
    }
}
