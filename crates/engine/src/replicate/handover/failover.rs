//! FAILOVER on a primary: it steps down when a replica has everything, promotes that one, and follows it.

use super::{HeldWrites, Phase, Turn, await_last_records};
use crate::command::{Command, CommandError, CommandResult, Flags, Handler};
use crate::engine::Role;
use crate::replicate::commands::row;
use crate::replicate::{acks, role};
use crate::session::Session;
use crate::thread::Thread;
use damselfly_replication::driver::ReplicaStatus;
use damselfly_replication::primary::SessionState;
use damselfly_replication::{LinkError, SyncId};
use damselfly_resp::{ReplyWriter, parse_i64};
use std::rc::Rc;
use std::time::Duration;

/// How long the replica has to answer.
const ANSWER_MS: u64 = 5_000;
/// Between two attempts to learn whether it was promoted.
const RETRY: Duration = Duration::from_millis(200);

/// The options of FAILOVER (Redis 7.0, `replication.c`, `failoverCommand`).
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    to: Option<(String, i64)>,
    timeout_ms: Option<u64>,
    force: bool,
}

impl Options {
    fn parse(words: &[&[u8]]) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut rest = words;
        while let [word, after @ ..] = rest {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            rest = match after {
                [ms, after @ ..] if is("timeout") && options.timeout_ms.is_none() => {
                    let ms = parse_i64(ms).ok_or(CommandError::NotInteger)?;
                    let ms = u64::try_from(ms).ok().filter(|ms| *ms > 0);
                    options.timeout_ms = Some(ms.ok_or(CommandError::text(
                        "ERR FAILOVER timeout must be greater than 0",
                    ))?);
                    after
                }
                [host, port, after @ ..] if is("to") && options.to.is_none() => {
                    let port = parse_i64(port).ok_or(CommandError::NotInteger)?;
                    options.to = Some((String::from_utf8_lossy(host).into_owned(), port));
                    after
                }
                after if is("force") && !options.force => {
                    options.force = true;
                    after
                }
                _ => return Err(CommandError::Syntax),
            };
        }
        Ok(options)
    }

    /// The replicas that may become the primary.
    fn candidates(&self, replicas: Vec<ReplicaStatus>) -> Result<Vec<ReplicaStatus>, CommandError> {
        if replicas.is_empty() {
            return Err(CommandError::text(
                "ERR FAILOVER requires connected replicas.",
            ));
        }
        if self.force && (self.timeout_ms.is_none() || self.to.is_none()) {
            return Err(CommandError::text(
                "ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
            ));
        }
        let Some((host, port)) = &self.to else {
            return Ok(replicas);
        };
        let named =
            |replica: &ReplicaStatus| replica.ip == *host && i64::from(replica.port) == *port;
        let replica = replicas.into_iter().find(named).ok_or(CommandError::text(
            "ERR FAILOVER target HOST and PORT is not a replica.",
        ))?;
        if replica.state != SessionState::StableSync {
            return Err(CommandError::text(
                "ERR FAILOVER target replica is not online.",
            ));
        }
        Ok(vec![replica])
    }
}

fn failover(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let engine = session.thread.engine.clone();
    let replication = engine.replication();
    if let [_, word] = args
        && word.eq_ignore_ascii_case(b"abort")
    {
        if !replication.handover.abort() {
            return Err(CommandError::text("ERR No failover in progress."));
        }
        out.ok();
        return Ok(());
    }
    let options = Options::parse(&args[1..])?;
    if replication.handover.phase() != Phase::None {
        return Err(CommandError::text("ERR FAILOVER already in progress."));
    }
    if engine.role() == Role::Replica {
        return Err(CommandError::text(
            "ERR FAILOVER is not valid when server is a replica.",
        ));
    }
    let candidates = options.candidates(replication.hub.replicas())?;
    let turn =
        Turn::take(&engine).ok_or(CommandError::text("ERR FAILOVER already in progress."))?;
    let thread = session.thread.clone();
    tokio::task::spawn_local(async move {
        if let Err(why) = fail_over(&thread, &options, &candidates, &turn).await {
            tracing::warn!("failover aborted: {why}; this primary goes on");
        }
    });
    out.ok();
    Ok(())
}

/// Becomes a replica of one of the candidates, or stays what it is and says why.
async fn fail_over(
    thread: &Rc<Thread>,
    options: &Options,
    candidates: &[ReplicaStatus],
    turn: &Turn,
) -> Result<(), String> {
    let held = HeldWrites::hold(thread).await;
    let target = choose(thread, options, candidates, turn, &held).await?;
    turn.enter(Phase::InProgress);
    tracing::info!(ip = target.ip, port = target.port, "failing over");
    let link = &thread.engine.replication().link;
    link.ask_server(&target.ip, target.port, &["PING"], ANSWER_MS)
        .await
        .map_err(|error| error.to_string())?;
    let next = role::follow(thread).await;
    drop(held);
    if !options.force {
        await_last_records(thread, next, target.sync_id).await;
    }
    if let Err(why) = promote(thread, target, turn).await {
        role::lead(thread).await;
        return Err(why);
    }
    link.follow_at_once(&target.ip, target.port);
    Ok(())
}

/// The first candidate that has everything, or the one that is forced.
async fn choose<'a>(
    thread: &Rc<Thread>,
    options: &Options,
    candidates: &'a [ReplicaStatus],
    turn: &Turn,
    held: &HeldWrites,
) -> Result<&'a ReplicaStatus, String> {
    let by_id = |sync: &SyncId| candidates.iter().find(|replica| replica.sync_id == *sync);
    let limit = async {
        match options.timeout_ms {
            None => std::future::pending().await,
            Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
    };
    let caught_up = acks::wait_until(thread, &held.targets, |found| {
        found.iter().any(|sync| by_id(sync).is_some())
    });
    tokio::select! {
        biased;
        () = turn.abort.cancelled() => Err("by FAILOVER ABORT".to_owned()),
        found = caught_up => Ok(found.iter().find_map(by_id).expect("what was waited for")),
        () = limit => match options.force {
            true => Ok(&candidates[0]),
            false => Err("no replica caught up in time".to_owned()),
        },
    }
}

/// Makes the replica a primary, however often it has to be asked: it is the same once and twice. An error means that it is
/// none, or that nobody wants to wait any longer.
async fn promote(thread: &Rc<Thread>, target: &ReplicaStatus, turn: &Turn) -> Result<(), String> {
    let link = &thread.engine.replication().link;
    let command = ["REPLICAOF", "NO", "ONE"];
    let (mut heard, mut warned) = (false, false);
    loop {
        let error = match link
            .ask_server(&target.ip, target.port, &command, ANSWER_MS)
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let unsent = matches!(error, LinkError::Connect { .. } | LinkError::Resolve { .. });
        heard |= !unsent;
        let doubtful = matches!(
            error,
            LinkError::Timeout { .. } | LinkError::Closed { .. } | LinkError::NotRedis { .. }
        );
        if !(doubtful || unsent && heard) {
            return Err(error.to_string());
        }
        if !std::mem::replace(&mut warned, true) {
            tracing::warn!(%error, "whether the replica was promoted is not known; it is asked again, until FAILOVER ABORT");
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = turn.abort.cancelled() => return Err("by FAILOVER ABORT".to_owned()),
        }
    }
}

pub(super) const ROW: Command = row(
    "failover",
    -1,
    "6.2.0",
    Handler::Session(failover),
    "Starts a coordinated failover from a server to one of its replicas.",
)
.with(Flags::ADMIN.or(Flags::NO_SCRIPT).or(Flags::STALE))
.takes("[TO=target(host port:integer [FORCE])] [ABORT] [TIMEOUT=milliseconds:integer]");
