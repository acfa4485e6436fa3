//! Who is served: what a connection has to be before it may say anything.

use crate::builder::Shared;
use crate::net::{Address, Door, RawSocket, Stream};
use crate::tls::{self, encrypted};
use damselfly_engine::acl::{Acl, DEFAULT_NAME};
use damselfly_engine::replication::driver::LineLimit;
use std::io;
use std::sync::{Mutex, PoisonError};
use tokio::net::{TcpStream, UnixStream};

/// What strangers read (Redis 7.0, `networking.c`, `clientAcceptHandler`).
const DENIED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the \
default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers \
to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode \
no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not \
publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just \
disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then \
restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. \
4) Setup a an authentication password for the default user. NOTE: You only need to do one of the above things in order for the \
server to start accepting connections from the outside.\r\n";

/// The stream that a client is served on; `None` if it is not: it and the log know why.
pub(crate) async fn admitted(
    socket: RawSocket,
    peer: &Address,
    door: Door,
    shared: &Shared,
    acl: &Acl,
) -> Option<Stream> {
    let stream = match opened(socket, peer, door, shared).await {
        Ok(stream) => stream?,
        Err(error) => {
            tracing::warn!(%peer, %error, "cannot watch a new connection");
            return None;
        }
    };
    if is_stranger(&stream, peer, door, shared, acl) {
        if let Some(unsaid) = may_log(shared) {
            tracing::warn!(%peer, unsaid, "client not served: protected mode, and no password is set");
        }
        shared.clients.count_rejected();
        tls::tell(stream, DENIED).await;
        return None;
    }
    Some(stream)
}

/// Whether one more stranger may have a line in the log; and how many had none.
fn may_log(shared: &Shared) -> Option<u64> {
    static LINES: Mutex<LineLimit> = Mutex::new(LineLimit::new(10, 10_000));
    let now_ms = shared.facts.started.elapsed().as_millis() as u64;
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.admit(now_ms)
}

async fn opened(
    socket: RawSocket,
    peer: &Address,
    door: Door,
    shared: &Shared,
) -> io::Result<Option<Stream>> {
    let socket = match socket {
        RawSocket::Tcp(socket) => TcpStream::from_std(socket)?,
        RawSocket::Unix(socket) => return Ok(Some(Stream::Unix(UnixStream::from_std(socket)?))),
    };
    if door == Door::Admin && shared.settings.load().admin.no_tls {
        return Ok(Some(Stream::Tcp(socket)));
    }
    Ok(encrypted(socket, peer, door, &shared.tls.current(), &shared.stop).await)
}

/// Whether somebody from elsewhere comes to a server that asks nobody who they are. An admin port that was opened on purpose, by
/// leaving out TLS or the password, is open.
fn is_stranger(stream: &Stream, peer: &Address, door: Door, shared: &Shared, acl: &Acl) -> bool {
    let config = shared.settings.load();
    if !config.protected_mode || peer.is_local() {
        return false;
    }
    if door == Door::Admin && (config.admin.no_tls || config.admin.nopass) {
        return false;
    }
    let is_certified = matches!(stream, Stream::Tls(stream) if stream.peer_is_certified());
    let user = acl.user(DEFAULT_NAME);
    !is_certified && user.is_some_and(|user| user.needs_no_password && user.is_enabled)
}
