//! Why a replica link ends, and whether trying again can help.

use damselfly_snapshot::RdbError;

/// Whether the same attempt may succeed later without anybody changing anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The link is tried again after a pause.
    Retriable,
    /// The link stays down, named in INFO; the data is kept.
    Terminal,
}

/// Why a replica link ended.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The host has no address.
    #[error("cannot resolve {host}: {why}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// No connection.
    #[error("cannot connect: {why}")]
    Connect {
        /// What the system said.
        why: String,
    },
    /// No encrypted connection: the handshake failed, at either end. Retriable: certificates are replaced while servers run.
    #[error("cannot encrypt the connection: {why}")]
    Tls {
        /// Why.
        why: String,
    },
    /// A connection of the link closed, or reading or writing it failed.
    #[error("the {connection} connection closed: {why}")]
    Closed {
        /// `control` or `flow <n>`.
        connection: String,
        /// `end of stream` or what the system said.
        why: String,
    },
    /// No answer in time.
    #[error("no answer to {step} within {limit_ms} ms")]
    Timeout {
        /// What was waited for.
        step: &'static str,
        /// The limit.
        limit_ms: u64,
    },
    /// Nothing came for too long.
    #[error("flow {flow} was silent for {limit_ms} ms")]
    Silence {
        /// The flow.
        flow: usize,
        /// The limit.
        limit_ms: u64,
    },
    /// The peer is busy in a way that passes (`LOADING`, `BUSY`, `MASTERDOWN`, too many clients, …).
    #[error("the primary is not ready ({step}): {answer}")]
    NotReady {
        /// The request that was refused.
        step: &'static str,
        /// Its words.
        answer: String,
    },
    /// The peer wants other credentials.
    #[error("authentication failed ({step}): {answer}")]
    Auth {
        /// The request that was refused.
        step: &'static str,
        /// Its words.
        answer: String,
    },
    /// The peer refused a request for good.
    #[error("the primary refused {step}: {answer}")]
    Refused {
        /// The request.
        step: &'static str,
        /// Its words.
        answer: String,
    },
    /// The peer forgot or changed what the attempt stood on; a new greeting helps.
    #[error("the primary gave up this attempt ({step}): {answer}")]
    AttemptLost {
        /// The request.
        step: &'static str,
        /// Its words.
        answer: String,
    },
    /// What answers is no Redis-compatible server.
    #[error("the peer is not a Redis-compatible server: {why}")]
    NotRedis {
        /// What came.
        why: String,
    },
    /// An answer of the right protocol but the wrong shape.
    #[error("bad answer to {step}: expected {expected}, got {got}")]
    BadAnswer {
        /// The request.
        step: &'static str,
        /// What should have come.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// The primary has no flow or more than 1,024.
    #[error("the primary announces {got} flows, expected 1..=1024")]
    FlowCount {
        /// The announced number.
        got: i64,
    },
    /// The primary is this very server.
    #[error("the primary is this server itself (same replication id)")]
    SelfReplication,
    /// The primary came back with a data set of another beginning: with nothing, or nearly so.
    #[error(
        "the primary has begun anew with nothing; this replica keeps its data (REPLICAOF again follows it all the same, and so does --follow_blank_master)"
    )]
    BlankPrimary,
    /// The primary came back out of a file that holds less than this replica has.
    #[error(
        "the primary has come back with older data ({behind}); this replica keeps its own (REPLICAOF again follows it all the same, and so does --follow_blank_master)"
    )]
    OlderPrimary {
        /// Where it is behind.
        behind: String,
    },
    /// The primary is not the one that the link has followed.
    #[error(
        "the primary holds another data set than the one that was followed (--break_replication_on_master_restart)"
    )]
    OtherPrimary,
    /// The primary was left at a failover.
    #[error(
        "the primary was left at a failover: its data set is of epoch {theirs}, this replica's of epoch {own} (to follow it all the same: REPLICAOF NO ONE, then REPLICAOF)"
    )]
    Fenced {
        /// Of this data set.
        own: u64,
        /// Of the primary's.
        theirs: u64,
    },
    /// Some flows were granted a partial sync and some a full one.
    #[error("the primary granted partial sync on some flows only")]
    MixedGrant,
    /// The full-sync stream is damaged or has something that is not known.
    #[error("flow {flow}: full-sync stream: {error}")]
    Rdb {
        /// The flow.
        flow: usize,
        /// What and where.
        error: RdbError,
    },
    /// The 40 bytes after the trailer are not the flow's token.
    #[error("flow {flow}: wrong EOF token")]
    EofToken {
        /// The flow.
        flow: usize,
    },
    /// The full-sync stream has a part out of its order.
    #[error("flow {flow}: {what}")]
    StreamOrder {
        /// The flow.
        flow: usize,
        /// What stood where it may not.
        what: &'static str,
    },
    /// A journal record is damaged, too large, or unknown.
    #[error("flow {flow}: journal: {error}")]
    Journal {
        /// The flow.
        flow: usize,
        /// What and where.
        error: damselfly_journal::JournalError,
    },
    /// The primary's LSN record differs from what was counted here.
    #[error("flow {flow}: the primary wrote record {announced}, {counted} was counted here")]
    LsnMismatch {
        /// The flow.
        flow: usize,
        /// What the record says.
        announced: u64,
        /// What was counted.
        counted: u64,
    },
    /// Records of a transaction do not agree with each other.
    #[error("flow {flow}: transaction {txid}: {what}")]
    Transaction {
        /// The flow.
        flow: usize,
        /// Its id.
        txid: u64,
        /// What does not agree.
        what: &'static str,
    },
    /// A part of the stream is over a configured limit.
    #[error("flow {flow}: {what} exceeds {limit}")]
    Limit {
        /// The flow.
        flow: usize,
        /// Which part.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A command of a Redis primary is malformed.
    #[error("flow {flow}: command stream: {error}")]
    Command {
        /// The flow.
        flow: usize,
        /// What is wrong with it.
        error: damselfly_resp::ProtocolError,
    },
    /// The flows wait for each other for ever, or disagree on a global command.
    #[error("rendezvous of transaction {txid}: {what}")]
    Rendezvous {
        /// The transaction.
        txid: u64,
        /// What went wrong.
        what: &'static str,
    },
    /// A Dragonfly primary flushed in the middle of a full sync; only a new one gives the right contents (PROTOCOL 3).
    #[error("flow {flow}: the primary flushed inside the full sync")]
    FlushInFullSync {
        /// The flow.
        flow: usize,
    },
    /// The data set refused what the stream holds, or could not take it.
    #[error("the data set: {0}")]
    Data(#[from] DataError),
}

impl LinkError {
    /// Whether trying again may help.
    pub fn severity(&self) -> Severity {
        use LinkError::*;
        match self {
            Resolve { .. }
            | Connect { .. }
            | Tls { .. }
            | Closed { .. }
            | Timeout { .. }
            | Silence { .. }
            | NotReady { .. } => Severity::Retriable,
            AttemptLost { .. }
            | MixedGrant
            | Fenced { .. }
            | EofToken { .. }
            | LsnMismatch { .. }
            | FlushInFullSync { .. } => Severity::Retriable,
            Rdb { error, .. } => rdb_severity(error),
            Journal { error, .. } if error.is_retriable() => Severity::Retriable,
            Data(error) => error.severity,
            _ => Severity::Terminal,
        }
    }

    /// Shorthand for `severity() == Terminal`.
    pub fn is_terminal(&self) -> bool {
        self.severity() == Severity::Terminal
    }
}

/// What is unknown stays unknown at the next attempt; damage does not.
fn rdb_severity(error: &RdbError) -> Severity {
    match error {
        RdbError::UnsupportedType { .. }
        | RdbError::Unsupported { .. }
        | RdbError::UnknownOpcode { .. }
        | RdbError::TooLarge { .. }
        | RdbError::BadVersion { .. } => Severity::Terminal,
        _ => Severity::Retriable,
    }
}

/// What a data set says when it cannot do what replication asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DataError {
    /// Whether the link is tried again.
    pub severity: Severity,
    /// Why, for people.
    pub message: String,
}

impl DataError {
    /// A failure that a new attempt may not meet.
    pub fn retriable(message: impl Into<String>) -> DataError {
        DataError {
            severity: Severity::Retriable,
            message: message.into(),
        }
    }

    /// A failure that every attempt would meet.
    pub fn terminal(message: impl Into<String>) -> DataError {
        DataError {
            severity: Severity::Terminal,
            message: message.into(),
        }
    }
}
