//! The records of stable sync: decoding, counting, acks (PROTOCOL 4 and 5).

use damselfly_journal::{Lsn, RecordDecoder, StreamLevel};

use super::{assembler::Assembler, message::FlowSpec};
use crate::{config::ReplicaConfig, error::LinkError, part::TransactionPart};

#[derive(Debug)]
pub(super) struct Streaming {
    flow: usize,
    records: RecordDecoder,
    assembler: Assembler,
    executed: Lsn,
    unacked: u64,
    acked_ms: u64,
}

impl Streaming {
    pub(super) fn new(now_ms: u64, config: &ReplicaConfig, spec: &FlowSpec, lsn: Lsn) -> Streaming {
        let level = StreamLevel::from_announced(u64::from(spec.upstream.level));
        Streaming {
            flow: spec.flow,
            records: RecordDecoder::stable(level, config.limits.records),
            assembler: Assembler::new(spec.flow, config.limits.max_transaction_bytes, Some(lsn)),
            executed: lsn,
            unacked: 0,
            acked_ms: now_ms,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.records.feed(bytes);
    }

    /// The next LSN to execute.
    pub(super) fn executed(&self) -> Lsn {
        self.executed
    }

    /// The next complete part; `None` until more bytes come.
    pub(super) fn poll(&mut self) -> Result<Option<TransactionPart>, LinkError> {
        let flow = self.flow;
        while let Some(record) = self
            .records
            .next()
            .map_err(|error| LinkError::Journal { flow, error })?
        {
            if self.assembler.push(&record)? {
                return Ok(Some(self.assembler.take()));
            }
        }
        Ok(None)
    }

    pub(super) fn recycle(&mut self, part: TransactionPart) {
        self.assembler.recycle(part);
    }

    /// So many records more are executed.
    pub(super) fn advance(&mut self, next: Option<Lsn>, records: u64) {
        self.executed = next.unwrap_or_else(|| self.executed.plus(records));
        self.unacked += records;
    }

    pub(super) fn ack_due_ms(&self, config: &ReplicaConfig) -> u64 {
        self.acked_ms + config.ack_interval_ms
    }

    pub(super) fn ack_if_due(
        &mut self,
        now_ms: u64,
        at_once: bool,
        config: &ReplicaConfig,
        out: &mut Vec<u8>,
    ) {
        if at_once || self.unacked > config.ack_records || now_ms >= self.ack_due_ms(config) {
            self.ack(now_ms, out);
        }
    }

    /// `REPLCONF ACK <next lsn>`, which has no answer.
    pub(super) fn ack(&mut self, now_ms: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("REPLCONF ACK {}\r\n", self.executed).as_bytes());
        self.acked_ms = now_ms;
        self.unacked = 0;
    }
}
