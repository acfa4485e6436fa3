//! The full-sync stream of a flow: entries, journal blobs, cut, tail, EOF token (PROTOCOL 3).

use std::collections::VecDeque;

use damselfly_journal::{Lsn, RecordDecoder, StreamLevel};
use damselfly_snapshot::{Checksum, Event, RdbDecoder};

use super::{
    assembler::Assembler,
    message::{FlowEvent, FlowSpec},
};
use crate::{
    config::ReplicaConfig,
    error::LinkError,
    ids::{EofToken, ID_LEN},
    part::TransactionPart,
};

/// What the bytes behind the trailer are.
pub(super) enum Token {
    /// Not all there yet.
    Missing,
    /// Right; the next record has this LSN, and `rest` is the beginning of the records.
    Complete {
        /// From the journal offset.
        lsn: Lsn,
        /// What came behind the token.
        rest: Vec<u8>,
    },
}

#[derive(Debug)]
pub(super) struct Loading {
    flow: usize,
    level: u8,
    token: EofToken,
    rdb: RdbDecoder,
    blobs: RecordDecoder,
    assembler: Assembler,
    in_blob: bool,
    /// What came behind the trailer, once that was read.
    trailer: Option<Vec<u8>>,
    cut: bool,
    offset: Option<Lsn>,
    tail_due: bool,
}

impl Loading {
    pub(super) fn new(config: &ReplicaConfig, spec: &FlowSpec, token: EofToken) -> Loading {
        let level = StreamLevel::from_announced(u64::from(spec.upstream.level));
        Loading {
            flow: spec.flow,
            level: spec.upstream.level,
            token,
            rdb: RdbDecoder::new(config.limits.rdb.clone()),
            blobs: RecordDecoder::blobs(level, config.limits.records),
            assembler: Assembler::new(spec.flow, config.limits.max_transaction_bytes, None),
            in_blob: false,
            trailer: None,
            cut: false,
            offset: None,
            tail_due: false,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        match &mut self.trailer {
            Some(trailer) => trailer.extend_from_slice(bytes),
            None => self.rdb.feed(bytes),
        }
    }

    pub(super) fn expect_tail(&mut self) {
        self.tail_due = true;
    }

    /// Whether silence is a fault: not between the cut and the tail, when the primary waits for other flows.
    pub(super) fn expects_bytes(&self) -> bool {
        !self.cut || self.tail_due
    }

    pub(super) fn is_in_blob(&self) -> bool {
        self.in_blob
    }

    pub(super) fn is_in_token(&self) -> bool {
        self.trailer.is_some()
    }

    pub(super) fn recycle(&mut self, part: TransactionPart) {
        self.assembler.recycle(part);
    }

    /// The next entry for the data set. `Ok(None)`: something else was read; `Err(None)`: more bytes are needed.
    pub(super) fn poll(
        &mut self,
        events: &mut VecDeque<FlowEvent>,
    ) -> Result<Option<Event<'_>>, Option<LinkError>> {
        let flow = self.flow;
        let order = |what| Err(Some(LinkError::StreamOrder { flow, what }));
        let event = self
            .rdb
            .next()
            .map_err(|error| Some(LinkError::Rdb { flow, error }))?;
        match event.ok_or(None)? {
            Event::JournalBlob { .. } if self.offset.is_some() => {
                order("a journal blob behind the journal offset")
            }
            Event::JournalBlob { records, .. } => {
                self.blobs.feed(records);
                self.in_blob = true;
                Ok(None)
            }
            Event::FullSyncCut if self.cut => order("a second full-sync cut"),
            Event::FullSyncCut => {
                self.cut = true;
                events.push_back(FlowEvent::Cut);
                Ok(None)
            }
            Event::JournalOffset(_) if !self.cut || self.offset.is_some() => {
                order("a journal offset before the cut, or a second one")
            }
            Event::JournalOffset(lsn) if lsn > Lsn::MAX.0 => {
                order("a journal offset that no counting reaches")
            }
            Event::JournalOffset(lsn) => {
                self.offset = Some(Lsn(lsn.max(1)));
                Ok(None)
            }
            Event::Eof(_) if self.offset.is_none() => order("the end before the journal offset"),
            Event::Eof(Checksum::Absent) if self.level > 0 => order("a trailer without checksum"),
            Event::Eof(_) => {
                self.trailer = Some(Vec::new());
                Ok(None)
            }
            Event::Key(_) if self.cut && self.level > 0 => order("an entry behind the cut"),
            other => Ok(Some(other)),
        }
    }

    /// The next part in the journal blob; `None` when it has no more.
    pub(super) fn poll_blob(&mut self) -> Result<Option<TransactionPart>, LinkError> {
        let flow = self.flow;
        let fault = |error| LinkError::Journal { flow, error };
        while let Some(record) = self.blobs.next().map_err(fault)? {
            if self.assembler.push(&record)? {
                return Ok(Some(self.assembler.take()));
            }
        }
        self.blobs.finish().map_err(fault)?;
        self.in_blob = false;
        Ok(None)
    }

    /// The 40 bytes behind the trailer.
    pub(super) fn poll_token(&mut self) -> Result<Token, LinkError> {
        let trailer = self.trailer.get_or_insert_default();
        let behind = self.rdb.take_rest();
        trailer.splice(0..0, behind);
        let got = &trailer[..trailer.len().min(ID_LEN)];
        if !self.token.as_bytes().starts_with(got) {
            return Err(LinkError::EofToken { flow: self.flow });
        }
        if got.len() < ID_LEN {
            return Ok(Token::Missing);
        }
        let lsn = self.offset.unwrap_or(Lsn::FIRST);
        Ok(Token::Complete {
            lsn,
            rest: trailer.split_off(ID_LEN),
        })
    }
}
