//! What the tests of this crate share.
#![allow(dead_code, missing_docs)]

use damselfly_journal::{JournalError, Lsn, Record, RecordDecoder};

/// A record that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owned {
    Select(u16),
    Command {
        txid: u64,
        shards: u16,
        args: Vec<Vec<u8>>,
    },
    Ping,
    Lsn(Lsn),
    Check,
    Txn {
        txid: u64,
        shards: u16,
        records: u64,
    },
}

impl From<Record<'_>> for Owned {
    fn from(record: Record<'_>) -> Owned {
        match record {
            Record::Select { db } => Owned::Select(db),
            Record::Command { txid, shards, args } => {
                assert_eq!(args.len(), args.iter().count());
                let args = args.iter().map(<[u8]>::to_vec).collect();
                Owned::Command { txid, shards, args }
            }
            Record::Ping => Owned::Ping,
            Record::Lsn(lsn) => Owned::Lsn(lsn),
            Record::Check(_) => Owned::Check,
            Record::Txn {
                txid,
                shards,
                records,
            } => Owned::Txn {
                txid,
                shards,
                records,
            },
            other => panic!("a record that this test does not know: {other:?}"),
        }
    }
}

/// Feeds `bytes` in pieces that end at the multiples of what `piece` says next, and takes all there is after each.
pub fn decode(
    decoder: &mut RecordDecoder,
    bytes: &[u8],
    mut piece: impl FnMut() -> usize,
) -> (Vec<Owned>, Result<(), JournalError>) {
    let mut records = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(piece().clamp(1, rest.len()));
        rest = tail;
        decoder.feed(head);
        loop {
            match decoder.next() {
                Ok(Some(record)) => records.push(record.into()),
                Ok(None) => break,
                Err(error) => return (records, Err(error)),
            }
        }
    }
    (records, Ok(()))
}

/// Pieces of 1 to `max` bytes, the same for the same seed.
pub fn pieces(seed: u64, max: usize) -> impl FnMut() -> usize {
    let mut state = seed | 1;
    move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        1 + (state >> 33) as usize % max
    }
}
