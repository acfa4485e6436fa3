//! Records to transaction parts.

use damselfly_journal::{Lsn, Record};

use crate::{error::LinkError, part::TransactionPart};

/// Parts kept for reuse.
const SPARE_PARTS: usize = super::flow::PARTS_AT_ONCE + 1;

/// Collects the records of one stream into parts, and counts their LSNs where they are counted.
#[derive(Debug)]
pub(super) struct Assembler {
    flow: usize,
    max_bytes: usize,
    db: u16,
    /// The LSN of the next record; `None` in a full sync.
    next: Option<Lsn>,
    part: TransactionPart,
    /// Records of the open transaction that are still to come.
    missing: u64,
    spare: Vec<TransactionPart>,
}

impl Assembler {
    pub(super) fn new(flow: usize, max_bytes: usize, next: Option<Lsn>) -> Assembler {
        Assembler {
            flow,
            max_bytes,
            db: 0,
            next,
            part: TransactionPart::new(),
            missing: 0,
            spare: Vec::new(),
        }
    }

    /// Takes a record; `true` when a part is complete, to be taken with [`take`](Self::take).
    pub(super) fn push(&mut self, record: &Record<'_>) -> Result<bool, LinkError> {
        match record {
            Record::Select { db } => {
                self.db = *db;
                Ok(false)
            }
            Record::Txn {
                txid,
                shards,
                records,
            } => {
                self.part.start(*txid, *shards, self.next);
                self.missing = *records;
                Ok(false)
            }
            Record::Lsn(last) => self.compare(*last).map(|()| false),
            Record::Command { txid, shards, .. } => self.push_counted(*txid, *shards, record),
            Record::Ping => self.push_counted(0, 1, record),
            _ => Ok(false),
        }
    }

    fn push_counted(
        &mut self,
        txid: u64,
        shards: u16,
        record: &Record<'_>,
    ) -> Result<bool, LinkError> {
        if self.missing == 0 {
            self.part.start(txid, shards, self.next);
            self.missing = 1;
        }
        self.part.push(self.db, record);
        self.next = self.next.map(|next| next.plus(1));
        self.missing -= 1;
        if self.part.bytes() > self.max_bytes {
            return Err(LinkError::Limit {
                flow: self.flow,
                what: "a transaction's part",
                limit: self.max_bytes,
            });
        }
        Ok(self.missing == 0)
    }

    /// The primary says which record it wrote last.
    fn compare(&self, last: Lsn) -> Result<(), LinkError> {
        match self.next {
            Some(next) if next != last.plus(1) => Err(LinkError::LsnMismatch {
                flow: self.flow,
                announced: last.0,
                counted: next.0 - 1,
            }),
            _ => Ok(()),
        }
    }

    /// The complete part.
    pub(super) fn take(&mut self) -> TransactionPart {
        let fresh = self.spare.pop().unwrap_or_default();
        std::mem::replace(&mut self.part, fresh)
    }

    /// Keeps a part's buffers for later.
    pub(super) fn recycle(&mut self, mut part: TransactionPart) {
        if self.spare.len() < SPARE_PARTS {
            part.clear();
            self.spare.push(part);
        }
    }
}
