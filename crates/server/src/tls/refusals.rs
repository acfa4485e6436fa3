//! Connections that are not served because one end speaks TLS and the other does not, or because a handshake failed: what the peer
//! and the log are told.

use crate::net::Address;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The first byte of a TLS client: the type of a handshake record (RFC 8446, 5.1). No request begins so.
const HANDSHAKE: u8 = 22;

/// What a TLS client is told where TLS is not spoken. It can't read it, but its error says that this is no TLS, and who looks at
/// the bytes sees why; a replica of this server repeats it.
const SPEAKS_NO_TLS: &[u8] =
    b"-ERR this port does not speak TLS: the server runs without --tls, or this is an admin port with --no_tls_on_admin_port\r\n";

/// Lines that are logged in a [`WINDOW`].
const MAX_LINES: u32 = 10;
/// See [`MAX_LINES`].
const WINDOW: Duration = Duration::from_secs(10);
/// Time for reading what a refused peer still sends: closed before, its socket would throw away the answer.
const LINGER: Duration = Duration::from_millis(200);

/// Whether a peer begins as a TLS client does.
pub(crate) fn is_tls(first: &[u8]) -> bool {
    first.first() == Some(&HANDSHAKE)
}

/// Turns away a TLS client where TLS is not spoken.
pub(crate) async fn refuse_tls(stream: impl AsyncRead + AsyncWrite + Unpin, peer: &Address) {
    log(peer, "it speaks TLS, which this port does not (--tls)");
    tell(stream, SPEAKS_NO_TLS).await;
}

/// Sends a last line and closes.
pub(crate) async fn tell(mut stream: impl AsyncRead + AsyncWrite + Unpin, line: &[u8]) {
    let told = async {
        stream.write_all(line).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    drop(tokio::time::timeout(LINGER, told).await);
}

/// Logs why a client is not served: not more than a few lines in a while, whoever tries.
pub(super) fn log(peer: &Address, why: &str) {
    static LINES: Mutex<Option<(Instant, u32)>> = Mutex::new(None);
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let (since, count) = lines.get_or_insert((now, 0));
    if now.duration_since(*since) > WINDOW {
        if *count > MAX_LINES {
            let unsaid = *count - MAX_LINES;
            tracing::warn!(
                unsaid,
                "more clients were turned away before TLS was agreed on"
            );
        }
        (*since, *count) = (now, 0);
    }
    *count += 1;
    if *count <= MAX_LINES {
        tracing::warn!(%peer, why, "client not served: TLS");
    }
}
