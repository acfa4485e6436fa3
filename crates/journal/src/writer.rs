//! Runs to the bytes of one stream.

use std::rc::Rc;

use crc_fast::{CrcAlgorithm, Digest};

use crate::{
    lsn::Lsn,
    record::StreamLevel,
    run::{Entry, Run},
    wire::{
        CHECK_BYTES, MAX_UINT_BYTES, OP_CHECK, OP_COMMAND, OP_LSN, OP_PING, OP_SELECT, OP_TXN,
        put_uint,
    },
};

/// Two CHECKs of a stream are at most this many bytes apart, unless one single record is longer.
pub const CHECK_INTERVAL_BYTES: usize = 64 << 10;

/// What one stream needs to write records: the db it has selected, and the checksum since the last CHECK.
///
/// It appends to a buffer of the caller's; bytes already written may be taken from that buffer at any time.
/// At level 1 the caller ends every gathered write with [`end_write`](Self::end_write), before the bytes go out.
#[derive(Debug)]
pub struct RecordWriter {
    level: StreamLevel,
    /// `None` before the first SELECT, which stands even before records of db 0.
    db: Option<u16>,
    check: Option<CheckState>,
}

#[derive(Debug)]
struct CheckState {
    crc: Digest,
    bytes: usize,
}

impl RecordWriter {
    /// For the stable sync of a flow.
    pub fn stable(level: StreamLevel) -> RecordWriter {
        let check = (level == StreamLevel::Extended).then(|| CheckState {
            crc: Digest::new(CrcAlgorithm::Crc32Iscsi),
            bytes: 0,
        });
        RecordWriter {
            level,
            db: None,
            check,
        }
    }

    /// For the journal blobs of a flow's full sync: one writer for all of them, since they keep their selected db from
    /// blob to blob. No CHECKs: the RDB stream has its own checksum.
    pub fn blobs(level: StreamLevel) -> RecordWriter {
        RecordWriter {
            level,
            db: None,
            check: None,
        }
    }

    /// Appends a run: TXN where the level has it and the run needs it, then its records.
    pub fn run(&mut self, out: &mut Vec<u8>, run: &Rc<Run>) {
        self.run_from(out, run, run.first_lsn());
    }

    /// Appends the records of a run from `from` on: for a peer of level 0 that resumes within a run.
    pub fn run_from(&mut self, out: &mut Vec<u8>, run: &Rc<Run>, from: Lsn) {
        let skip = from.since(run.first_lsn()) as usize;
        let records = run.len().saturating_sub(skip);
        if records == 0 {
            return;
        }
        if self.level == StreamLevel::Extended && (run.len() > 1 || run.shards() > 1) {
            self.txn(out, run, records as u64);
        }
        for entry in run.entries().skip(skip) {
            self.entry(out, run, entry);
        }
    }

    /// Appends an LSN record: `last` is the number of the record written last.
    pub fn lsn(&mut self, out: &mut Vec<u8>, last: Lsn) {
        self.checked(out, MAX_UINT_BYTES, |out| {
            out.push(OP_LSN);
            put_uint(out, last.0);
        });
    }

    /// Ends a gathered write: appends a CHECK, where the stream has them and something was written since the last one.
    pub fn end_write(&mut self, out: &mut Vec<u8>) {
        let Some(state) = &mut self.check else { return };
        if state.bytes == 0 {
            return;
        }
        out.push(OP_CHECK);
        out.extend_from_slice(&(state.crc.finalize_reset() as u32).to_le_bytes());
        state.bytes = 0;
    }

    fn txn(&mut self, out: &mut Vec<u8>, run: &Run, records: u64) {
        self.checked(out, 3 * MAX_UINT_BYTES, |out| {
            out.push(OP_TXN);
            for value in [run.txid(), run.shards() as u64, records] {
                put_uint(out, value);
            }
        });
    }

    fn entry(&mut self, out: &mut Vec<u8>, run: &Run, entry: Entry<'_>) {
        let reference = self.level == StreamLevel::Reference;
        if entry.is_ping() || reference && entry.extended_only {
            return self.checked(out, 1, |out| out.push(OP_PING));
        }
        let select = (self.db != Some(entry.db)).then_some(entry.db);
        self.db = Some(entry.db);
        self.checked(out, entry.payload.len() + MAX_UINT_BYTES, |out| {
            if let Some(db) = select {
                out.push(OP_SELECT);
                put_uint(out, db as u64);
            }
            if reference && run.shards() != 1 {
                out.push(OP_COMMAND);
                put_uint(out, run.txid());
                put_uint(out, 1);
                out.extend_from_slice(&entry.payload[run.command_head_len()..]);
            } else {
                out.extend_from_slice(entry.payload);
            }
        });
    }

    /// Lets `write` append about `estimate` bytes, and keeps the distance between CHECKs.
    fn checked(&mut self, out: &mut Vec<u8>, estimate: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if self
            .check
            .as_ref()
            .is_some_and(|state| state.bytes + estimate + CHECK_BYTES > CHECK_INTERVAL_BYTES)
        {
            self.end_write(out);
        }
        let start = out.len();
        write(out);
        let Some(state) = &mut self.check else { return };
        state.crc.update(&out[start..]);
        state.bytes += out.len() - start;
        if state.bytes + CHECK_BYTES > CHECK_INTERVAL_BYTES {
            self.end_write(out);
        }
    }
}
