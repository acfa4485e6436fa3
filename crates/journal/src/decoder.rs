//! Bytes of a stream to records.

use crc_fast::{CrcAlgorithm, checksum};

use crate::{
    error::JournalError,
    frame::{Frame, FrameRules, Framed, Framer},
    record::{ArgList, Record, RecordLimits, StreamLevel},
    wire::{CHECK_BYTES, OP_CHECK, OP_LSN, OP_TXN},
    writer::CHECK_INTERVAL_BYTES,
};

/// Reads journal records from a stream that comes in any pieces.
///
/// Feed it bytes, then take records until there is none; repeat. In a checked stream (level 1, stable sync) a record
/// comes out only after the CHECK behind it has verified. After an error it gives the same error again for ever.
///
/// Memory: what was fed and not yet taken. It keeps at most one incomplete record
/// ([`RecordLimits::max_record_bytes`]), or in a checked stream one gathered write, beyond the last piece fed; an
/// announced length alone allocates nothing.
#[derive(Debug)]
pub struct RecordDecoder {
    rules: FrameRules,
    buf: Vec<u8>,
    /// Bytes of the stream before `buf[0]`.
    base: u64,
    /// The first byte not given out yet.
    at: usize,
    /// No record that begins at `at` is complete before the buffer has this many bytes.
    needed: usize,
    emit: Framer,
    /// Only in checked streams.
    ahead: Option<Ahead>,
    db: u16,
    open_txn: Option<OpenTxn>,
    failed: Option<JournalError>,
}

/// The search for the next CHECK, ahead of what is given out. Positions in the buffer.
#[derive(Debug, Default)]
struct Ahead {
    framer: Framer,
    at: usize,
    needed: usize,
    /// Everything before is vouched for.
    verified: usize,
}

#[derive(Clone, Copy, Debug)]
struct OpenTxn {
    txid: u64,
    left: u64,
}

impl RecordDecoder {
    /// For the records of stable sync: from the byte after the flow's EOF token, or after the answer PARTIAL, starting at db 0.
    pub fn stable(level: StreamLevel, limits: RecordLimits) -> RecordDecoder {
        let checks = level == StreamLevel::Extended;
        RecordDecoder::new(FrameRules {
            level,
            checks,
            limits,
        })
    }

    /// For the journal blobs of one flow's full sync. They have no CHECKs, and keep their selected db from blob to
    /// blob; call [`finish`](Self::finish) after each.
    pub fn blobs(level: StreamLevel, limits: RecordLimits) -> RecordDecoder {
        RecordDecoder::new(FrameRules {
            level,
            checks: false,
            limits,
        })
    }

    fn new(rules: FrameRules) -> RecordDecoder {
        RecordDecoder {
            rules,
            buf: Vec::new(),
            base: 0,
            at: 0,
            needed: 0,
            emit: Framer::default(),
            ahead: rules.checks.then(Ahead::default),
            db: 0,
            open_txn: None,
            failed: None,
        }
    }

    /// Appends bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.compact();
        self.buf.extend_from_slice(bytes);
    }

    /// The next record; `None` until more bytes come.
    ///
    /// # Errors
    /// Everything in [`JournalError`] that names a byte offset; [`JournalError::is_retriable`] says whether another
    /// connection may help.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, JournalError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.advance() {
            Ok(Some((frame, start))) => Ok(Some(self.record(frame, start))),
            Ok(None) => Ok(None),
            Err(error) => {
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// The database of the records given out now: that of the last SELECT, 0 before the first.
    pub fn db(&self) -> u16 {
        self.db
    }

    /// How many records of the transaction that the last TXN began are still to come; 0 outside of one. Acks and resume
    /// points lie only where it is 0.
    pub fn open_txn_records(&self) -> u64 {
        self.open_txn.map_or(0, |txn| txn.left)
    }

    /// Bytes fed that have not been given out yet.
    pub fn buffered(&self) -> usize {
        self.buf.len() - self.at
    }

    /// Bytes of the stream that have been given out.
    pub fn consumed(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Asserts that what was fed ended with a record: for the end of a journal blob.
    ///
    /// # Errors
    /// [`JournalError::Truncated`] if bytes of a record, or records of a transaction, are missing.
    pub fn finish(&self) -> Result<(), JournalError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let offset = self.base + self.buf.len() as u64;
        if self.buffered() > 0 {
            return Err(self.truncated(offset));
        }
        match self.open_txn {
            Some(txn) => Err(JournalError::Truncated {
                missing: txn.left,
                unit: "records of a transaction",
                offset,
            }),
            None => Ok(()),
        }
    }

    fn truncated(&self, offset: u64) -> JournalError {
        let (needed, at) = self
            .ahead
            .as_ref()
            .map_or((self.needed, self.at), |ahead| (ahead.needed, ahead.at));
        if at == self.buf.len() {
            return JournalError::Truncated {
                missing: CHECK_BYTES as u64,
                unit: "bytes of a CHECK",
                offset,
            };
        }
        let missing = needed.saturating_sub(self.buf.len()).max(1) as u64;
        JournalError::Truncated {
            missing,
            unit: "bytes",
            offset,
        }
    }

    fn advance(&mut self) -> Result<Option<(Frame, usize)>, JournalError> {
        let limit = match self.ahead {
            Some(_) => self.verified()?,
            None => self.buf.len(),
        };
        if self.at >= limit || limit < self.needed {
            return Ok(None);
        }
        let offset = self.base + self.at as u64;
        match self
            .emit
            .frame(&self.buf[self.at..limit], offset, &self.rules)?
        {
            Framed::NeedsAtLeast(len) => {
                self.needed = self.at + len;
                Ok(None)
            }
            Framed::Complete { frame, len } => {
                self.track(&frame, offset)?;
                let start = self.at;
                self.at += len;
                self.needed = 0;
                Ok(Some((frame, start)))
            }
        }
    }

    /// Looks for CHECKs; up to where records may be given out.
    fn verified(&mut self) -> Result<usize, JournalError> {
        let ahead = self.ahead.as_mut().expect("only called in checked streams");
        if ahead.verified > self.at || self.buf.len() < ahead.needed {
            return Ok(ahead.verified);
        }
        ahead.search(&self.buf, self.base, &self.rules)
    }

    /// Keeps db and transaction, and sees that a transaction's records stand together.
    fn track(&mut self, frame: &Frame, offset: u64) -> Result<(), JournalError> {
        match (frame, &mut self.open_txn) {
            (Frame::Select { db }, _) => self.db = *db,
            (Frame::Check(_), _) => {}
            (&Frame::Txn { txid, records, .. }, None) => {
                self.open_txn = Some(OpenTxn {
                    txid,
                    left: records,
                })
            }
            (Frame::Command { txid, .. }, Some(txn)) if *txid != txn.txid => {
                return Err(JournalError::TxnMismatch {
                    expected: txn.txid,
                    got: *txid,
                    offset,
                });
            }
            (Frame::Command { .. } | Frame::Ping, Some(txn)) => {
                txn.left -= 1;
                if txn.left == 0 {
                    self.open_txn = None;
                }
            }
            (Frame::Txn { .. } | Frame::Lsn(_), Some(txn)) => {
                let got = if matches!(frame, Frame::Lsn(_)) {
                    OP_LSN
                } else {
                    OP_TXN
                };
                return Err(JournalError::TxnInterrupted {
                    txid: txn.txid,
                    expected: txn.left,
                    got,
                    offset,
                });
            }
            (Frame::Command { .. } | Frame::Ping | Frame::Lsn(_), None) => {}
        }
        Ok(())
    }

    fn record(&self, frame: Frame, start: usize) -> Record<'_> {
        match frame {
            Frame::Select { db } => Record::Select { db },
            Frame::Command {
                txid,
                shards,
                count,
                strings,
            } => {
                let encoded = &self.buf[start + strings.start..start + strings.end];
                Record::Command {
                    txid,
                    shards,
                    args: ArgList::from_checked(count, encoded),
                }
            }
            Frame::Ping => Record::Ping,
            Frame::Lsn(lsn) => Record::Lsn(lsn),
            Frame::Check(crc) => Record::Check(crc),
            Frame::Txn {
                txid,
                shards,
                records,
            } => Record::Txn {
                txid,
                shards,
                records,
            },
        }
    }

    /// Drops what was given out, when that is at least half, so that every byte moves at most about once.
    fn compact(&mut self) {
        let gone = self.at;
        if gone < self.buf.len() - gone || gone == 0 {
            return;
        }
        self.buf.drain(..gone);
        self.base += gone as u64;
        self.at = 0;
        self.needed = self.needed.saturating_sub(gone);
        if let Some(ahead) = &mut self.ahead {
            ahead.at -= gone;
            ahead.needed = ahead.needed.saturating_sub(gone);
            ahead.verified -= gone;
        }
        self.shrink();
    }

    /// One huge record shall not keep its memory for the life of the link.
    fn shrink(&mut self) {
        if self.buf.capacity() > RETAINED_BYTES && self.buf.len() < RETAINED_BYTES / 4 {
            self.buf.shrink_to(RETAINED_BYTES);
        }
    }
}

/// A buffer larger than this is given back when it is not in use.
const RETAINED_BYTES: usize = 1 << 20;

impl Ahead {
    /// Frames records up to the next CHECK and verifies it. Stops there, so that errors behind it come only when their
    /// turn has come.
    fn search(&mut self, buf: &[u8], base: u64, rules: &FrameRules) -> Result<usize, JournalError> {
        while self.at < buf.len() {
            let offset = base + self.at as u64;
            self.check_due(buf[self.at], base)?;
            let framed = self.framer.frame(&buf[self.at..], offset, rules);
            match framed.map_err(|cause| JournalError::Unverified {
                cause: Box::new(cause),
            })? {
                Framed::NeedsAtLeast(len) => {
                    self.needed = self.at + len;
                    return Ok(self.verified);
                }
                Framed::Complete { frame, len } => {
                    let start = self.at;
                    self.at += len;
                    self.needed = 0;
                    if let Frame::Check(got) = frame {
                        compare(&buf[self.verified..start], got, offset)?;
                        self.verified = self.at;
                        return Ok(self.verified);
                    }
                }
            }
        }
        Ok(self.verified)
    }

    /// A record begins within the interval: a writer puts a CHECK before one that would pass it.
    fn check_due(&self, opcode: u8, base: u64) -> Result<(), JournalError> {
        let got = self.at - self.verified;
        if got <= CHECK_INTERVAL_BYTES || opcode == OP_CHECK {
            return Ok(());
        }
        let offset = base + self.verified as u64;
        Err(JournalError::CheckOverdue {
            limit: CHECK_INTERVAL_BYTES as u64,
            got: got as u64,
            offset,
        })
    }
}

fn compare(bytes: &[u8], got: u32, offset: u64) -> Result<(), JournalError> {
    let expected = checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32;
    if expected == got {
        Ok(())
    } else {
        Err(JournalError::CheckMismatch {
            expected,
            got,
            offset,
        })
    }
}
