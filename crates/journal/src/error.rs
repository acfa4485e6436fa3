//! What can be wrong with a journal stream.

use crate::lsn::Lsn;

/// A fault in a stream of journal records, or in the order of relayed ones. `offset` counts the bytes of the stream
/// since its decoder was made, up to the record at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The peer sent an opcode that this stream does not have. TXN and CHECK are known only at level 1.
    #[error("unknown journal opcode {got} at byte {offset}: expected one of {expected}")]
    UnknownOpcode {
        /// The opcodes that this stream has.
        expected: &'static str,
        /// The byte that stood there.
        got: u8,
        /// Where.
        offset: u64,
    },
    /// An integer begins with a byte that is no length prefix.
    #[error("bad integer prefix {got:#04x} at byte {offset}: expected 00, 01, 0x80 or 0x81")]
    BadInteger {
        /// The prefix.
        got: u8,
        /// Where the record begins.
        offset: u64,
    },
    /// A record announces more bytes than allowed.
    #[error("record of {got} bytes at byte {offset}: expected at most {limit}")]
    RecordTooLong {
        /// The limit, [`RecordLimits::max_record_bytes`](crate::RecordLimits::max_record_bytes).
        limit: u64,
        /// What the record announces.
        got: u64,
        /// Where the record begins.
        offset: u64,
    },
    /// A record announces more strings than allowed.
    #[error("record of {got} strings at byte {offset}: expected at most {limit}")]
    TooManyStrings {
        /// The limit, [`RecordLimits::max_strings`](crate::RecordLimits::max_strings).
        limit: u64,
        /// What the record announces.
        got: u64,
        /// Where the record begins.
        offset: u64,
    },
    /// A COMMAND without a command.
    #[error("record without strings at byte {offset}: expected at least the command's name")]
    EmptyCommand {
        /// Where the record begins.
        offset: u64,
    },
    /// The strings of a record do not add up to the total that its head announces.
    #[error(
        "strings of {got} bytes at byte {offset}: expected {expected} in all, as the head says"
    )]
    TotalMismatch {
        /// The announced total.
        expected: u64,
        /// What the strings have, or have had when they passed the total.
        got: u64,
        /// Where the record begins.
        offset: u64,
    },
    /// A database index beyond what this side has.
    #[error("database {got} at byte {offset}: expected at most {limit}")]
    DbOutOfRange {
        /// The highest index, [`RecordLimits::max_db`](crate::RecordLimits::max_db).
        limit: u16,
        /// The index sent.
        got: u64,
        /// Where the record begins.
        offset: u64,
    },
    /// A shard count beyond [`MAX_SHARDS`](crate::MAX_SHARDS), or 0 in a TXN.
    #[error("transaction over {got} shards at byte {offset}: expected 1 to {limit}")]
    BadShardCount {
        /// The highest count.
        limit: u16,
        /// The count sent.
        got: u64,
        /// Where the record begins.
        offset: u64,
    },
    /// A transaction id beyond [`MAX_TXID`](crate::MAX_TXID): no primary gets there by counting.
    #[error("transaction id {got} at byte {offset}: expected at most {limit}")]
    BadTxid {
        /// The highest id.
        limit: u64,
        /// The id sent.
        got: u64,
        /// Where the record begins.
        offset: u64,
    },
    /// A TXN that announces no records, or more than allowed.
    #[error("transaction of {got} records at byte {offset}: expected 1 to {limit}")]
    BadTxnLength {
        /// The limit, [`RecordLimits::max_txn_records`](crate::RecordLimits::max_txn_records).
        limit: u64,
        /// The count sent.
        got: u64,
        /// Where the record begins.
        offset: u64,
    },
    /// Another record than COMMAND, PING, SELECT or CHECK stands inside a transaction's part.
    #[error(
        "opcode {got} at byte {offset}: expected {expected} more records of transaction {txid}"
    )]
    TxnInterrupted {
        /// The open transaction.
        txid: u64,
        /// How many of its records are still to come.
        expected: u64,
        /// The opcode of the intruder.
        got: u8,
        /// Where the intruder begins.
        offset: u64,
    },
    /// A COMMAND inside a transaction's part carries another txid.
    #[error("record of transaction {got} at byte {offset}: expected transaction {expected}")]
    TxnMismatch {
        /// The open transaction.
        expected: u64,
        /// The record's.
        got: u64,
        /// Where the record begins.
        offset: u64,
    },
    /// The checksum of a CHECK is not that of the bytes since the last one.
    #[error("CHECK at byte {offset}: expected {expected:#010x} for these bytes, got {got:#010x}")]
    CheckMismatch {
        /// The CRC32C of the bytes that arrived.
        expected: u32,
        /// The CRC32C that the peer sent.
        got: u32,
        /// Where the CHECK begins.
        offset: u64,
    },
    /// A record begins farther from the last CHECK than a gathered write may be long.
    #[error("{got} bytes without CHECK at byte {offset}: expected one within {limit}")]
    CheckOverdue {
        /// The limit, [`CHECK_INTERVAL_BYTES`](crate::CHECK_INTERVAL_BYTES).
        limit: u64,
        /// How many bytes there are.
        got: u64,
        /// Where the bytes begin.
        offset: u64,
    },
    /// The framing of bytes that no CHECK has vouched for is broken. Most likely they were damaged on the way, so the
    /// link is to be tried again.
    #[error("damaged before its CHECK: {cause}")]
    Unverified {
        /// What was found.
        cause: Box<JournalError>,
    },
    /// The stream or blob ended inside a record, a transaction's part, or before its CHECK.
    #[error("the records end at byte {offset}: expected {missing} more {unit}")]
    Truncated {
        /// At least this many are missing.
        missing: u64,
        /// What is missing: `bytes`, `bytes of a CHECK`, or `records of a transaction`.
        unit: &'static str,
        /// Where the end came.
        offset: u64,
    },
    /// A relayed run does not begin at this journal's next LSN.
    #[error("relayed run begins at LSN {got}: expected {expected}")]
    LsnGap {
        /// This journal's next LSN.
        expected: Lsn,
        /// The run's first LSN.
        got: Lsn,
    },
}

impl JournalError {
    /// Whether a new connection may mend it: damage on the way and a lost count do; a format that one side does not
    /// have does not.
    pub fn is_retriable(&self) -> bool {
        matches!(
            self,
            JournalError::CheckMismatch { .. }
                | JournalError::Unverified { .. }
                | JournalError::Truncated { .. }
                | JournalError::LsnGap { .. }
        )
    }
}
