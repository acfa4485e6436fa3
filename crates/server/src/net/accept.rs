//! The loop that accepts connections and hands them on.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{ClientSlot, ClientSlots, StreamOptions, tune};
use crate::settings::Settings;

/// What a client beyond `maxclients` reads (Redis 7.0, `networking.c`, `acceptCommonHandler`).
const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// Pause after the system refused to accept for want of descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(20);

/// A client's connection that nobody serves yet.
#[derive(Debug)]
pub struct Accepted {
    /// The socket: non-blocking, with the configured options.
    pub stream: TcpStream,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Where it came to.
    pub local: SocketAddr,
    /// Its place among the clients, to be dropped with the connection.
    pub slot: ClientSlot,
}

/// Accepts on all listeners until `stop` is cancelled, and gives each connection to `deal`.
/// Must run inside a tokio runtime with its IO and time drivers on.
///
/// # Errors
/// The system's, when a listener can't be registered with the runtime.
pub async fn accept_all(
    listeners: Vec<std::net::TcpListener>,
    settings: Arc<Settings>,
    slots: Arc<ClientSlots>,
    stop: CancellationToken,
    deal: impl Fn(Accepted),
) -> io::Result<()> {
    let listeners = listeners
        .into_iter()
        .map(TcpListener::from_std)
        .collect::<io::Result<Vec<_>>>()?;
    let mut next = 0;
    loop {
        let accepted = tokio::select! {
            accepted = accept_any(&listeners, &mut next) => accepted,
            () = stop.cancelled() => return Ok(()),
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(accepted) = admit(stream, peer, &settings, &slots) {
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
    listeners: &[TcpListener],
    next: &mut usize,
) -> io::Result<(tokio::net::TcpStream, SocketAddr)> {
    std::future::poll_fn(|context| {
        for offset in 0..listeners.len() {
            let index = (*next + offset) % listeners.len();
            if let std::task::Poll::Ready(accepted) = listeners[index].poll_accept(context) {
                *next = index + 1;
                return std::task::Poll::Ready(accepted);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

fn admit(
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    settings: &Settings,
    slots: &Arc<ClientSlots>,
) -> Option<Accepted> {
    let config = settings.load();
    let Some(slot) = slots.take(config.maxclients as usize) else {
        // A fresh socket has room for these few bytes; if not, the client sees just the end.
        let _ = stream.try_write(TOO_MANY_CLIENTS);
        return None;
    };
    let local = stream.local_addr().ok()?;
    if let Err(error) = tune(&stream, StreamOptions::from(&*config)) {
        tracing::debug!(%peer, %error, "cannot set the socket's options");
    }
    let stream = stream.into_std().ok()?;
    Some(Accepted {
        stream,
        peer,
        local,
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
