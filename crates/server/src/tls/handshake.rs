//! The beginning of a client's connection where TLS is spoken: whether it speaks it, and the handshake.

use super::stream::{Carrier, TlsStream};
use super::{Loaded, refusals};
use crate::http;
use crate::net::{Address, Door, Stream};
use rustls::ServerConfig;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How long a client may take for its handshake.
const LIMIT: Duration = Duration::from_secs(10);

/// What a client reads that sends a request in the clear.
const NEEDS_TLS: &[u8] =
    b"-ERR this port speaks TLS only, as --tls asks for; connect over TLS (redis-cli --tls)\r\n";

/// The same on the admin port.
const ADMIN_NEEDS_TLS: &[u8] = b"-ERR this admin port speaks TLS only, as --tls asks for; connect over TLS (redis-cli --tls), or start the server with \
    --no_tls_on_admin_port=true\r\n";

/// The same where the request is one of HTTP.
const HTTP_NEEDS_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
    this port speaks TLS only, as --tls asks for; the address begins with https://\n";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("it does not speak TLS")]
    Plain {
        socket: TcpStream,
        speaks_http: bool,
    },
    #[error("{0}")]
    Handshake(io::Error),
    #[error("no handshake within {} s", LIMIT.as_secs())]
    Silent,
    #[error("it closed the connection")]
    Gone,
}

/// The stream that a client is served on, encrypted if that is asked for; `None` if it is not served. It and the log know why then.
pub(crate) async fn encrypted(
    socket: TcpStream,
    peer: &Address,
    door: Door,
    tls: &Loaded,
    stop: &CancellationToken,
) -> Option<Stream> {
    let Some(config) = tls.server.clone() else {
        return Some(Stream::Tcp(socket));
    };
    let received = tokio::select! {
        received = tokio::time::timeout(LIMIT, receive(socket, config)) => received,
        () = stop.cancelled() => return None,
    };
    match received.unwrap_or(Err(Refusal::Silent)) {
        Ok(stream) => return Some(Stream::Tls(Box::new(stream))),
        Err(Refusal::Gone) => {}
        Err(Refusal::Plain {
            socket,
            speaks_http,
        }) => {
            refusals::log(peer, "it does not speak TLS, as --tls asks for");
            let line = match door {
                _ if speaks_http => HTTP_NEEDS_TLS,
                Door::Admin => ADMIN_NEEDS_TLS,
                _ => NEEDS_TLS,
            };
            refusals::tell(socket, line).await;
        }
        Err(refusal) => refusals::log(peer, &refusal.to_string()),
    }
    None
}

async fn receive(socket: TcpStream, config: Arc<ServerConfig>) -> Result<TlsStream, Refusal> {
    let mut first = [0; http::FIRST_BYTES];
    match socket.peek(&mut first).await {
        Ok(0) => return Err(Refusal::Gone),
        Ok(len) if !refusals::is_tls(&first[..len]) => {
            let speaks_http = http::begins_as_http(&first[..len]);
            return Err(Refusal::Plain {
                socket,
                speaks_http,
            });
        }
        Ok(_) => {}
        Err(error) => return Err(Refusal::Handshake(error)),
    }
    let accepting = TlsAcceptor::from(config).accept(Carrier::new(socket));
    let stream = accepting.await.map_err(Refusal::Handshake)?;
    Ok(TlsStream::new(stream))
}
