//! The connections of the link to this server's primary, which nobody else opened: control connection and flows, as CLIENT LIST and
//! CLIENT KILL know them.

use super::filter::Filter;
use damselfly_engine::Session;
use damselfly_engine::replicate::UpstreamConnection;
use damselfly_engine::replication::replica::Role;
use damselfly_engine::thread::unix_ms;

/// Those that the filter takes, with their lines. A primary that greets a candidate has no link yet.
pub(super) fn lines(session: &Session, filter: &Filter) -> Vec<(u64, Vec<u8>)> {
    let replication = session.thread.engine.replication();
    if replication.link.status().0 == Role::Primary {
        return Vec::new();
    }
    let now = unix_ms();
    let connections = replication.upstream.list().into_iter();
    connections
        .filter(|connection| filter.takes_upstream(connection, now))
        .map(|connection| (connection.id, line(&connection, now)))
        .collect()
}

/// Closes those that the filter takes: the link breaks, and is made again. Their ids.
pub(super) fn kill(session: &Session, filter: &Filter) -> Vec<u64> {
    let now = unix_ms();
    let upstream = &session.thread.engine.replication().upstream;
    upstream.kill(|connection| filter.takes_upstream(connection, now))
}

/// Like Redis, with `(superuser)` as its user; its buffers are not counted.
fn line(connection: &UpstreamConnection, now: i64) -> Vec<u8> {
    let UpstreamConnection {
        id,
        addr,
        laddr,
        fd,
        connected_at,
        active_at,
    } = connection;
    let (age_s, idle_s) = ((now - connected_at) / 1000, (now - active_at) / 1000);
    format!(
        "id={id} addr={addr} laddr={laddr} fd={fd} name= age={age_s} idle={idle_s} flags=M db=0 sub=0 psub=0 ssub=0 \
         multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r \
         cmd=NULL user=(superuser) redir=-1 resp=2"
    )
    .into_bytes()
}
