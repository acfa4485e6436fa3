//! The DFLY commands of replicas (PROTOCOL 2), parsed.

use crate::{
    ids::{ReplId, SyncId, parse_lsn, parse_vector},
    replica::FlowOffer,
};

/// A `DFLY` command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DflyCommand {
    /// `DFLY FLOW`: this connection becomes a flow.
    Flow(FlowRequest),
    /// `DFLY SYNC`: begin the snapshot.
    Sync(SyncId),
    /// `DFLY STARTSTABLE`: begin stable sync.
    StartStable(SyncId),
    /// `DFLY REPLICAOFFSET`: the next LSN of each shard.
    ReplicaOffset,
    /// `DFLY TAKEOVER`.
    TakeOver {
        /// How long the primary waits for the replica's acks, in seconds.
        seconds: u64,
        /// Whether it saves first.
        save: bool,
        /// For which replica.
        sync_id: SyncId,
    },
}

/// The arguments of `DFLY FLOW`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowRequest {
    /// Whom the replica believes to talk to.
    pub replid: ReplId,
    /// The link.
    pub sync_id: SyncId,
    /// The flow.
    pub flow: usize,
    /// What it has executed already.
    pub offer: Option<FlowOffer>,
}

/// Why a `DFLY` command is refused; the text is the error reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DflyError {
    /// The replid is not this primary's.
    #[error("ERR bad master id")]
    BadMasterId,
    /// It is no `SYNC<n>`.
    #[error("ERR bad sync id")]
    BadSyncId,
    /// There is no such link (any more).
    #[error("ERR syncid not found")]
    SyncIdNotFound,
    /// The link is not where this command belongs.
    #[error("ERR invalid state")]
    InvalidState,
    /// A number is none, or out of its range.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// Wrong arguments.
    #[error("ERR syntax error")]
    Syntax,
    /// No such subcommand.
    #[error("ERR unknown subcommand '{0}'")]
    Unknown(String),
    /// Of a later release.
    #[error("ERR takeover is not supported yet")]
    NoTakeOver,
    /// Too many replicas.
    #[error("ERR max number of replicas reached")]
    TooManyReplicas,
    /// The data set cannot serve replicas now, and says why.
    #[error("{0}")]
    NotReady(String),
    /// The data set failed.
    #[error("ERR {0}")]
    Data(String),
}

impl DflyCommand {
    /// Reads a command with all its arguments (`DFLY` first).
    ///
    /// # Errors
    /// [`DflyError`] with the reply's text.
    pub fn parse(args: &[&[u8]]) -> Result<DflyCommand, DflyError> {
        let subcommand = args.get(1).copied().unwrap_or_default();
        let rest = args.get(2..).unwrap_or_default();
        match subcommand.to_ascii_uppercase().as_slice() {
            b"FLOW" => parse_flow(rest).map(DflyCommand::Flow),
            b"SYNC" => sole_sync_id(rest).map(DflyCommand::Sync),
            b"STARTSTABLE" => sole_sync_id(rest).map(DflyCommand::StartStable),
            b"REPLICAOFFSET" if rest.is_empty() => Ok(DflyCommand::ReplicaOffset),
            b"TAKEOVER" => parse_takeover(rest),
            _ => Err(DflyError::Unknown(
                subcommand.escape_ascii().take(64).map(char::from).collect(),
            )),
        }
    }
}

fn parse_flow(args: &[&[u8]]) -> Result<FlowRequest, DflyError> {
    let [replid, sync_id, flow, offer @ ..] = args else {
        return Err(DflyError::Syntax);
    };
    let replid = ReplId::parse(replid).ok_or(DflyError::BadMasterId)?;
    let sync_id = SyncId::parse(sync_id).ok_or(DflyError::BadSyncId)?;
    let flow = parse_number(flow)
        .and_then(|flow| usize::try_from(flow).ok())
        .ok_or(DflyError::NotAnInteger)?;
    let offer = match offer {
        [] => None,
        [lsn] => Some(FlowOffer::Lsn(
            parse_lsn(lsn).ok_or(DflyError::NotAnInteger)?,
        )),
        [history, lsns] => Some(FlowOffer::Vector {
            history: ReplId::parse(history).ok_or(DflyError::BadMasterId)?,
            lsns: parse_vector(lsns).ok_or(DflyError::NotAnInteger)?,
        }),
        _ => return Err(DflyError::Syntax),
    };
    Ok(FlowRequest {
        replid,
        sync_id,
        flow,
        offer,
    })
}

fn parse_takeover(args: &[&[u8]]) -> Result<DflyCommand, DflyError> {
    let (seconds, save, sync_id) = match args {
        [seconds, sync_id] => (seconds, false, sync_id),
        [seconds, save, sync_id] if save.eq_ignore_ascii_case(b"SAVE") => (seconds, true, sync_id),
        _ => return Err(DflyError::Syntax),
    };
    let seconds = parse_number(seconds).ok_or(DflyError::NotAnInteger)?;
    let sync_id = SyncId::parse(sync_id).ok_or(DflyError::BadSyncId)?;
    Ok(DflyCommand::TakeOver {
        seconds,
        save,
        sync_id,
    })
}

fn sole_sync_id(args: &[&[u8]]) -> Result<SyncId, DflyError> {
    let [sync_id] = args else {
        return Err(DflyError::Syntax);
    };
    SyncId::parse(sync_id).ok_or(DflyError::BadSyncId)
}

fn parse_number(text: &[u8]) -> Option<u64> {
    let short = (1..=9).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    short.then(|| {
        text.iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use damselfly_journal::Lsn;

    const ID: &str = "9f539ca1cd393c9a9bbcd700684d469d966ba9ca";

    fn parse(line: &str) -> Result<DflyCommand, DflyError> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        DflyCommand::parse(&args)
    }

    #[test]
    fn commands() {
        let replid = ReplId::parse(ID.as_bytes()).expect("an id");
        let flow = |offer| {
            Ok(DflyCommand::Flow(FlowRequest {
                replid,
                sync_id: SyncId(3),
                flow: 1,
                offer,
            }))
        };
        assert_eq!(parse(&format!("DFLY FLOW {ID} SYNC3 1")), flow(None));
        assert_eq!(
            parse(&format!("dfly flow {ID} SYNC3 1 25")),
            flow(Some(FlowOffer::Lsn(Lsn(25))))
        );
        let vector = FlowOffer::Vector {
            history: replid,
            lsns: vec![Lsn(1), Lsn(2)],
        };
        assert_eq!(
            parse(&format!("DFLY FLOW {ID} SYNC3 1 {ID} 1-2")),
            flow(Some(vector))
        );
        assert_eq!(parse("DFLY SYNC SYNC1"), Ok(DflyCommand::Sync(SyncId(1))));
        assert_eq!(
            parse("DFLY STARTSTABLE SYNC1"),
            Ok(DflyCommand::StartStable(SyncId(1)))
        );
        assert_eq!(parse("DFLY REPLICAOFFSET"), Ok(DflyCommand::ReplicaOffset));
        assert_eq!(
            parse("DFLY TAKEOVER 5 SAVE SYNC2"),
            Ok(DflyCommand::TakeOver {
                seconds: 5,
                save: true,
                sync_id: SyncId(2)
            })
        );
    }

    #[test]
    fn refusals_have_the_texts_of_the_protocol() {
        for (line, text) in [
            ("DFLY FLOW abc SYNC1 0".to_owned(), "ERR bad master id"),
            (format!("DFLY FLOW {ID} 1 0"), "ERR bad sync id"),
            (
                format!("DFLY FLOW {ID} SYNC1 x"),
                "ERR value is not an integer or out of range",
            ),
            (
                format!("DFLY FLOW {ID} SYNC1 -1"),
                "ERR value is not an integer or out of range",
            ),
            (
                format!("DFLY FLOW {ID} SYNC1 0 x"),
                "ERR value is not an integer or out of range",
            ),
            (
                format!("DFLY FLOW {ID} SYNC1 0 {ID} 1-x"),
                "ERR value is not an integer or out of range",
            ),
            (format!("DFLY FLOW {ID} SYNC1"), "ERR syntax error"),
            ("DFLY SYNC".to_owned(), "ERR syntax error"),
            ("DFLY SYNC 1".to_owned(), "ERR bad sync id"),
            ("DFLY".to_owned(), "ERR unknown subcommand ''"),
        ] {
            assert_eq!(parse(&line).expect_err(&line).to_string(), text, "{line}");
        }
    }
}
