//! What every journal has held: a hash of each record, by the replid of the sequence, the shard, and the LSN. It outlives the
//! servers, so that contents can be compared with what a dead primary wrote.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use damselfly_journal::{Record, RecordDecoder, RecordLimits, Run, StreamLevel};
use damselfly_replication::{Effect, ReplId, TransactionPart};

use super::world::world;

/// A record that was not seen: it fits every other.
pub const UNSEEN: u64 = 0;

/// The records of one shard's sequence, from some LSN on.
#[derive(Debug, Clone, Default)]
pub struct Log {
    base: u64,
    records: Vec<u64>,
}

impl Log {
    /// An empty log whose first record will have this LSN.
    pub fn starting_at(base: u64) -> Log {
        Log {
            base,
            records: Vec::new(),
        }
    }

    /// The LSN after the last record.
    pub fn next(&self) -> u64 {
        self.base + self.records.len() as u64
    }

    /// Adds a record.
    pub fn push(&mut self, record: u64) {
        self.records.push(record);
    }

    /// The record at `lsn`, if the log has one there.
    pub fn get(&self, lsn: u64) -> Option<u64> {
        let at = lsn.checked_sub(self.base)?;
        self.records.get(at as usize).copied()
    }

    /// What stands before `next`.
    pub fn before(&self, next: u64) -> Log {
        let len = next
            .saturating_sub(self.base)
            .min(self.records.len() as u64);
        let mut log = Log::starting_at(self.base.min(next));
        log.records.extend_from_slice(&self.records[..len as usize]);
        log
    }

    /// The first LSN below `next` where both have a record, and not the same.
    pub fn differs_before(&self, other: &Log, next: u64) -> Option<u64> {
        let from = self.base.max(other.base);
        (from..next).find(|lsn| match (self.get(*lsn), other.get(*lsn)) {
            (Some(one), Some(two)) => !same(one, two),
            _ => true,
        })
    }
}

/// Whether two records may be the same.
pub fn same(one: u64, other: u64) -> bool {
    one == UNSEEN || other == UNSEEN || one == other
}

/// All logs.
#[derive(Default)]
pub struct History {
    logs: BTreeMap<(ReplId, usize), Log>,
}

impl History {
    /// The log of a sequence on one shard.
    pub fn log(&self, replid: ReplId, shard: usize) -> Option<&Log> {
        self.logs.get(&(replid, shard))
    }

    /// The same, to be written.
    pub fn log_mut(&mut self, replid: ReplId, shard: usize, next: u64) -> &mut Log {
        let log = self.logs.entry((replid, shard));
        log.or_insert_with(|| Log::starting_at(next))
    }

    /// Begins a log with what it is known to go on from.
    pub fn set(&mut self, replid: ReplId, shard: usize, log: Log) {
        self.logs.insert((replid, shard), log);
    }
}

/// The records of a run.
pub fn of_run(replid: ReplId, shard: usize, run: &Run) -> Vec<u64> {
    run.entries()
        .map(|entry| {
            let mut decoder = RecordDecoder::blobs(StreamLevel::Extended, RecordLimits::default());
            decoder.feed(entry.payload);
            match decoder.next() {
                Ok(Some(Record::Command { args, .. })) => {
                    let (replid, lsn) = (replid.as_str(), entry.lsn);
                    world().note_key(
                        format_args!("{} {shard} journals {lsn}", &replid[..6]),
                        entry.db,
                        args.iter(),
                    );
                    of_command(entry.db, args.iter())
                }
                _ => of_ping(),
            }
        })
        .collect()
}

/// The records of a part.
pub fn of_part(part: &TransactionPart) -> Vec<u64> {
    part.effects()
        .map(|effect| match effect {
            Effect::Command { db, args } => of_command(db, args.iter().copied()),
            Effect::Ping => of_ping(),
        })
        .collect()
}

fn of_command<'a>(db: u16, args: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hash = DefaultHasher::new();
    db.hash(&mut hash);
    args.for_each(|arg| arg.hash(&mut hash));
    hash.finish() | 2
}

fn of_ping() -> u64 {
    1
}
