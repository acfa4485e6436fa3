//! REPLICAOF, ROLE, REPLCONF, DFLY, WAIT.

use super::EngineDataSet;
use super::handover::{Request, answer_takeover};
use super::info::RoleWords;
use crate::command::{Command, CommandError, CommandResult, Flags, Group, Handler, Keys};
use crate::families::options::is_word;
use crate::session::{AsyncResult, Session};
use crate::socket::Socket;
use damselfly_replication::driver::{CommandOutcome, FlowTicket};
use damselfly_replication::replica::{LinkPhase, Role};
use damselfly_replication::{PrimaryDataSet, SyncId};
use damselfly_resp::ReplyWriter;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Whom REPLICAOF names; `None` is nobody.
fn named<'a>(args: &[&'a [u8]]) -> Result<Option<(&'a str, u16)>, CommandError> {
    if args[1].eq_ignore_ascii_case(b"no") && args[2].eq_ignore_ascii_case(b"one") {
        return Ok(None);
    }
    let host =
        std::str::from_utf8(args[1]).map_err(|_| CommandError::text("ERR Invalid master host"))?;
    let port = std::str::from_utf8(args[2])
        .ok()
        .and_then(|port| port.parse::<u16>().ok());
    let port = port.ok_or(CommandError::text("ERR Invalid master port"))?;
    Ok(Some((host, port)))
}

fn replicaof<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let primary = named(args)?;
        let handle = session.thread.engine.replication().link.clone();
        let (role, status) = handle.status();
        let follows =
            primary.is_some_and(|(host, port)| role == Role::Replica(format!("{host}:{port}")));
        if follows && status.is_some_and(|status| status.phase == LinkPhase::StableSync) {
            ReplyWriter::new(out, session.proto).simple("OK Already connected to specified master");
            return Ok(());
        }
        let result = match primary {
            _ if session.executing => {
                replicaof_at_once(session, primary, follows).await;
                Ok(())
            }
            Some((host, port)) => handle.follow(host, port).await,
            None => handle.follow_no_one().await,
        };
        result.map_err(|error| CommandError::owned(error.to_string()))?;
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

/// REPLICAOF between MULTI and EXEC, as Sentinel sends it. Nobody waits for a primary there: it is followed from here on, and
/// connected when that succeeds, as Redis does always.
async fn replicaof_at_once(session: &Session, primary: Option<(&str, u16)>, follows: bool) {
    let engine = &session.thread.engine;
    let handle = engine.replication().link.clone();
    match primary {
        Some(_) if follows => {}
        Some((host, port)) => engine.follow_at_once(host, port),
        // What the transaction holds would be waited for.
        None if session.executing_on_shards => {
            tokio::task::spawn_local(async move { handle.follow_no_one().await });
        }
        None => drop(handle.follow_no_one().await),
    }
}

/// REPLCONF and DFLY: what a replica says on its control connection.
fn from_replica<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        if let Some(request) = Request::parse(args) {
            return answer_takeover(session, request, out).await;
        }
        if is_word(args[0], "dfly") && is_word(args[1], "load") {
            return crate::files::dfly_load(session, args, out).await;
        }
        let hub = &session.thread.engine.replication().hub;
        let peer = session.peer_ip.clone();
        let connection = session.replica.get_or_insert_with(|| hub.connection(peer));
        if let CommandOutcome::BecomesFlow(ticket) = connection.handle_command(args, out).await {
            let engine = session.thread.engine.clone();
            session.flow = Some(ticket.gauge());
            session.upgrade = Some(Box::new(move |stream, rest, killed| {
                Box::pin(serve_flow(
                    EngineDataSet(engine),
                    ticket,
                    stream,
                    rest,
                    killed,
                ))
            }));
        }
        Ok(())
    })
}

/// Hands a connection to the thread of its flow's shard, and waits for the end of the flow.
async fn serve_flow(
    data: EngineDataSet,
    ticket: FlowTicket,
    socket: Box<dyn Socket>,
    rest: Vec<u8>,
    killed: CancellationToken,
) {
    let (sync, flow) = (ticket.sync_id(), ticket.flow());
    let Ok(attach) = socket.detach() else {
        return;
    };
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    let shard_data = data.clone();
    data.run_on_shard(
        flow,
        Box::new(move || {
            Box::pin(async move {
                let _ended = guard;
                match attach() {
                    Ok(socket) => ticket.run(shard_data.shard(flow), socket, rest).await,
                    Err(error) => tracing::warn!(%error, flow, "a flow's socket can't be watched"),
                }
            })
        }),
    );
    tokio::select! {
        () = ended.cancelled() => {}
        () = killed.cancelled() => {
            end_link(&data, sync);
            ended.cancelled().await;
        }
    }
}

fn end_link(data: &EngineDataSet, sync: SyncId) {
    data.0
        .replication()
        .hub
        .end(sync, "a flow's connection was killed");
}

fn role(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let engine: &Arc<_> = &session.thread.engine;
    let words = RoleWords::of(engine);
    let replication = engine.replication();
    let (role, status) = replication.link.status();
    let Role::Replica(address) = role else {
        let replicas = replication.hub.replicas();
        out.array(2);
        out.bulk("master");
        out.array(replicas.len());
        for replica in replicas {
            out.array(3);
            out.bulk(&replica.ip);
            out.bulk(replica.port.to_string());
            out.bulk(words.replica_state(replica.state));
        }
        return Ok(());
    };
    let (host, port) = address.rsplit_once(':').unwrap_or((&address, "0"));
    out.array(4);
    out.bulk(words.replica());
    out.bulk(host);
    out.bulk(port);
    out.bulk(words.link_state(status.map_or(LinkPhase::Connecting, |status| status.phase)));
    Ok(())
}

const OWN: Flags = Flags::ADMIN
    .or(Flags::NO_SCRIPT)
    .or(Flags::STALE)
    .or(Flags::LOADING);

/// The rows.
pub static COMMANDS: &[Command] = &[
    row(
        "replicaof",
        3,
        "5.0.0",
        Handler::Async(replicaof),
        "Makes the server follow another one, or none.",
    )
    .with(
        Flags::ADMIN
            .or(Flags::NO_SCRIPT)
            .or(Flags::STALE)
            .or(Flags::LOADING),
    )
    .with(Flags::NO_ASYNC_LOADING)
    .takes("args(host-port(host port:integer)|no-one(NO ONE))"),
    row(
        "slaveof",
        3,
        "1.0.0",
        Handler::Async(replicaof),
        "Makes the server follow another one, or none.",
    )
    .with(
        Flags::ADMIN
            .or(Flags::NO_SCRIPT)
            .or(Flags::STALE)
            .or(Flags::LOADING),
    )
    .with(Flags::NO_ASYNC_LOADING)
    .takes("args(host-port(host port:integer)|no-one(NO ONE))")
    .replaced("5.0.0", "`REPLICAOF`"),
    row(
        "role",
        1,
        "2.8.12",
        Handler::Session(role),
        "Tells whether the server is a primary or a replica.",
    )
    .with(
        Flags::FAST
            .or(Flags::NO_SCRIPT)
            .or(Flags::STALE)
            .or(Flags::LOADING)
            .or(Flags::ACL_ADMIN),
    ),
    row(
        "replconf",
        -1,
        "3.0.0",
        Handler::Async(from_replica),
        "What a replica tells its primary of itself.",
    )
    .with(OWN.or(Flags::ALLOW_BUSY))
    .with(Flags::SYSTEM),
    row(
        "dfly",
        -2,
        "1.0.0",
        Handler::Async(from_replica),
        "Flows of replication between servers.",
    )
    .with(OWN)
    .takes("subcommand [arg...]")
    .with(Flags::SYSTEM),
    row(
        "wait",
        3,
        "3.0.0",
        Handler::Async(super::wait::wait),
        "Waits until replicas have this connection's writes.",
    )
    .with(Flags::NO_SCRIPT.or(Flags::ACL_CONNECTION))
    .hints("request_policy:all_shards response_policy:agg_min")
    .takes("numreplicas:integer timeout:integer"),
];

pub(super) const fn row(
    name: &'static str,
    arity: i16,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(
        name,
        arity,
        Keys::None,
        Group::Replication,
        since,
        handler,
        summary,
    )
}
