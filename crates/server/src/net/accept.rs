//! The loop that accepts connections and hands them on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::{Address, ClientSlot, ClientSlots, Door, RawSocket, StreamOptions, tune};
use crate::settings::Settings;

/// What a client beyond `maxclients` reads (Redis 7.0, `networking.c`, `acceptCommonHandler`).
const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// Pause after the system refused to accept for want of descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(20);

/// A client's connection that nobody serves yet.
#[derive(Debug)]
pub struct Accepted {
    /// The socket: non-blocking, with the configured options.
    pub stream: RawSocket,
    /// Where it comes from.
    pub peer: Address,
    /// Where it came to.
    pub local: Address,
    /// Which listener it came through.
    pub door: Door,
    /// Its place among the clients, to be dropped with the connection.
    pub slot: ClientSlot,
}

/// A listening socket, and which door it is.
#[derive(Debug)]
pub struct Listening {
    /// The door.
    pub door: Door,
    /// The socket, non-blocking.
    pub socket: ListeningSocket,
}

/// A listening socket that no runtime watches.
#[derive(Debug)]
pub enum ListeningSocket {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection as it comes from a listener.
enum Incoming {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    fn watch(socket: ListeningSocket) -> io::Result<Listener> {
        Ok(match socket {
            ListeningSocket::Tcp(socket) => Listener::Tcp(TcpListener::from_std(socket)?),
            ListeningSocket::Unix(socket) => Listener::Unix(UnixListener::from_std(socket)?),
        })
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        match self {
            Listener::Tcp(listener) => listener
                .poll_accept(context)
                .map_ok(|(stream, peer)| Incoming::Tcp(stream, peer)),
            Listener::Unix(listener) => listener
                .poll_accept(context)
                .map_ok(|(stream, _)| Incoming::Unix(stream)),
        }
    }
}

/// Accepts on all listeners until `stop` is cancelled, and gives each connection to `deal`.
/// Must run inside a tokio runtime with its IO and time drivers on.
///
/// # Errors
/// The system's, when a listener can't be registered with the runtime.
pub async fn accept_all(
    listeners: Vec<Listening>,
    settings: Arc<Settings>,
    slots: Arc<ClientSlots>,
    stop: CancellationToken,
    deal: impl Fn(Accepted),
) -> io::Result<()> {
    let watched = |listening: Listening| Ok((listening.door, Listener::watch(listening.socket)?));
    let listeners = listeners
        .into_iter()
        .map(watched)
        .collect::<io::Result<Vec<_>>>()?;
    let mut next = 0;
    loop {
        let accepted = tokio::select! {
            accepted = accept_any(&listeners, &mut next) => accepted,
            () = stop.cancelled() => return Ok(()),
        };
        match accepted {
            Ok((door, incoming)) => {
                if let Some(accepted) = admit(door, incoming, &settings, &slots) {
                    deal(accepted);
                }
            }
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a connection ended while it was accepted")
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for now");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// The next connection of any listener, each listener in its turn. Waits for ever when there is none.
async fn accept_any(
    listeners: &[(Door, Listener)],
    next: &mut usize,
) -> io::Result<(Door, Incoming)> {
    std::future::poll_fn(|context| {
        for offset in 0..listeners.len() {
            let index = (*next + offset) % listeners.len();
            let (door, listener) = &listeners[index];
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                *next = index + 1;
                return Poll::Ready(accepted.map(|incoming| (*door, incoming)));
            }
        }
        Poll::Pending
    })
    .await
}

fn admit(
    door: Door,
    incoming: Incoming,
    settings: &Settings,
    slots: &Arc<ClientSlots>,
) -> Option<Accepted> {
    let config = settings.load();
    let Some(slot) = slots.take(config.maxclients as usize) else {
        // A fresh socket has room for these few bytes; if not, the client sees just the end.
        let _ = match &incoming {
            Incoming::Tcp(stream, _) => stream.try_write(TOO_MANY_CLIENTS),
            Incoming::Unix(stream) => stream.try_write(TOO_MANY_CLIENTS),
        };
        return None;
    };
    let (stream, peer, local) = match incoming {
        Incoming::Tcp(stream, peer) => {
            let local = stream.local_addr().ok()?;
            if let Err(error) = tune(&stream, StreamOptions::from(&*config)) {
                tracing::debug!(%peer, %error, "cannot set the socket's options");
            }
            let stream = RawSocket::Tcp(stream.into_std().ok()?);
            (stream, peer.into(), local.into())
        }
        Incoming::Unix(stream) => {
            let path = Address::Unix(config.unixsocket.to_string_lossy().into());
            let stream = RawSocket::Unix(stream.into_std().ok()?);
            (stream, path.clone(), path)
        }
    };
    Some(Accepted {
        stream,
        peer,
        local,
        door,
        slot,
    })
}

/// Errors that say something of the connection, and nothing of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}
