//! REPLTAKEOVER on a replica, and DFLY TAKEOVER, what it sends to its primary (PROTOCOL 6).

use super::{HeldWrites, Turn, await_last_records};
use crate::command::{Command, CommandError, CommandResult, Flags, Handler};
use crate::engine::Role;
use crate::files::{Target, save_at_end};
use crate::replicate::commands::row;
use crate::replicate::{acks, role};
use crate::session::{AsyncResult, Session};
use crate::thread::Thread;
use damselfly_replication::driver::LinkStatus;
use damselfly_replication::primary::{DflyCommand, SessionState};
use damselfly_replication::replica::{LinkPhase, Role as LinkRole};
use damselfly_replication::{Dialect, SyncId};
use damselfly_resp::{Proto, ReplyWriter, parse_i64};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

/// What the primary's answer may take beyond the time that it was given.
const ANSWER_SLACK_MS: u64 = 5_000;

/// How long the replica may take to read its answer before the primary ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a replica asks of its primary.
#[derive(Debug, Clone, Copy)]
pub(in crate::replicate) struct Request {
    /// How long the primary may wait for the replica.
    seconds: u64,
    /// Whether the primary saves before it ends.
    save: bool,
    /// For which replica.
    sync_id: SyncId,
}

impl Request {
    /// A takeover, if these arguments ask for one.
    pub(in crate::replicate) fn parse(args: &[&[u8]]) -> Option<Result<Request, CommandError>> {
        if !args[0].eq_ignore_ascii_case(b"dfly") {
            return None;
        }
        match DflyCommand::parse(args) {
            Ok(DflyCommand::TakeOver {
                seconds,
                save,
                sync_id,
            }) => Some(Ok(Request {
                seconds,
                save,
                sync_id,
            })),
            _ => None,
        }
    }
}

/// Carries a takeover out on the primary, and answers. One that succeeds ends the server when the answer was read, and the data
/// saved if that is asked for: it does not change any more, and clients need not wait for a disk.
pub(in crate::replicate) async fn answer_takeover(
    session: &mut Session,
    request: Result<Request, CommandError>,
    out: &mut Vec<u8>,
) -> CommandResult {
    let request = request?;
    let target = match request.save {
        true => Some(Target::new(
            &session.thread.engine.files.settings(),
            None,
            None,
        )?),
        false => None,
    };
    let (done, answer) = oneshot::channel();
    let thread = session.thread.clone();
    // In a task of its own: what has begun is brought to its end, whatever becomes of the connection.
    tokio::task::spawn_local(async move {
        let result = give_over(&thread, request).await;
        drop(done.send(result));
    });
    answer
        .await
        .unwrap_or(Err(CommandError::text("ERR the server is shutting down")))?;
    let end = session.thread.engine.shutdown_token().clone().drop_guard();
    session.upgrade = Some(Box::new(move |mut stream, _, killed| {
        Box::pin(async move {
            let _end = end;
            let mut ignored = [0; 64];
            tokio::select! {
                _ = stream.read(&mut ignored) => {}
                () = tokio::time::sleep(FAREWELL) => {}
                () = killed.cancelled() => {}
            }
            if let Some(target) = target
                && let Err(error) = save_at_end(&Thread::current(), target).await
            {
                tracing::error!(%error, "what was taken over is not saved here");
            }
        })
    }));
    ReplyWriter::new(out, Proto::Resp2).ok();
    Ok(())
}

/// Takes no writes any more once the replica has executed everything; else all is as it was.
async fn give_over(thread: &Rc<Thread>, request: Request) -> CommandResult {
    let engine = &thread.engine;
    if engine.role() == Role::Replica {
        return Err(CommandError::text("ERR a replica can't be taken over"));
    }
    let hub = &engine.replication().hub;
    let replicas = hub.replicas();
    let replica = replicas
        .iter()
        .find(|replica| replica.sync_id == request.sync_id)
        .ok_or(CommandError::text("ERR syncid not found"))?;
    if replica.state != SessionState::StableSync {
        return Err(CommandError::text("ERR invalid state"));
    }
    let _turn = Turn::take(engine).ok_or(CommandError::text(
        "ERR a takeover or failover is in progress",
    ))?;
    tracing::info!(ip = replica.ip, port = replica.port, "a replica takes over");
    let held = HeldWrites::hold(thread).await;
    let caught_up = acks::wait_until(thread, &held.targets, |found| {
        found.contains(&request.sync_id)
    });
    let result = tokio::select! {
        biased;
        _ = caught_up => Ok(()),
        () = hub.ended(request.sync_id) => Err("ERR the replica's link broke during the takeover"),
        () = tokio::time::sleep(Duration::from_secs(request.seconds)) => Err("ERR Takeover failed! The replica did not catch up in time"),
    };
    if let Err(why) = result {
        tracing::warn!("{why}; this primary goes on");
        return Err(CommandError::text(why));
    }
    let next = role::follow(thread).await;
    if request.save {
        // So that the server that is started from the file can follow by a partial sync.
        await_last_records(thread, next, request.sync_id).await;
    }
    tracing::info!("taken over: this server ends");
    Ok(())
}

fn take_over<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let seconds = parse_i64(args[1]).ok_or(CommandError::NotInteger)?;
        let seconds =
            u64::try_from(seconds).map_err(|_| CommandError::text("ERR timeout is negative"))?;
        let save = match args.get(2) {
            None => false,
            Some(word) if args.len() == 3 && word.eq_ignore_ascii_case(b"save") => true,
            Some(_) => return Err(CommandError::Syntax),
        };
        let link = session.thread.engine.replication().link.clone();
        // Whoever asks twice is told the same.
        if let (LinkRole::Replica(address), status) = link.status() {
            let sync_id = ready_link(status)?;
            let (host, port) = address.rsplit_once(':').unwrap_or((&address, "0"));
            let (words, sync_id) = (seconds.to_string(), sync_id.to_string());
            let mut command = vec!["DFLY", "TAKEOVER", words.as_str()];
            command.extend(save.then_some("SAVE"));
            command.push(sync_id.as_str());
            let limit_ms = seconds
                .saturating_mul(1_000)
                .saturating_add(ANSWER_SLACK_MS);
            let port = port.parse().unwrap_or(0);
            link.ask_server(host, port, &command, limit_ms)
                .await
                .map_err(|error| {
                    CommandError::owned(format!("ERR Couldn't execute takeover: {error}"))
                })?;
            link.follow_no_one()
                .await
                .map_err(|error| CommandError::owned(error.to_string()))?;
        }
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

/// The number of a link over which a takeover may be asked for.
fn ready_link(status: Option<LinkStatus>) -> Result<SyncId, CommandError> {
    let upstream = status.as_ref().and_then(|status| status.upstream.as_ref());
    if upstream.is_some_and(|upstream| upstream.dialect == Dialect::Psync) {
        return Err(CommandError::text(
            "ERR A Redis primary can't be taken over: pause its clients' writes, wait for this replica, then REPLICAOF NO ONE",
        ));
    }
    status
        .filter(|status| status.phase == LinkPhase::StableSync)
        .and_then(|status| status.sync_id)
        .ok_or(CommandError::text("ERR Full sync not done"))
}

pub(super) const ROW: Command = row(
    "repltakeover",
    -2,
    "1.0.0",
    Handler::Async(take_over),
    "Makes this replica the primary when it has all of the present one's writes; that one ends.",
)
.with(
    Flags::ADMIN
        .or(Flags::NO_SCRIPT)
        .or(Flags::NO_MULTI)
        .or(Flags::STALE)
        .or(Flags::LOADING),
)
.takes("seconds:integer [SAVE]");
