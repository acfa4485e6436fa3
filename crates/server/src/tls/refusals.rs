//! Connections that are not served because one end speaks TLS and the other does not, or because a handshake failed: what the peer
//! and the log are told.

use crate::net::Address;
use damselfly_engine::replication::driver::LineLimit;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The first byte of a TLS client: the type of a handshake record (RFC 8446, 5.1). No request begins so.
const HANDSHAKE: u8 = 22;

/// What a TLS client is told where TLS is not spoken. It can't read it, but its error says that this is no TLS, and who looks at
/// the bytes sees why; a replica of this server repeats it.
const SPEAKS_NO_TLS: &[u8] =
    b"-ERR this port does not speak TLS: the server runs without --tls, or this is an admin port with --no_tls_on_admin_port\r\n";

/// Lines that are logged in [`WINDOW_MS`].
const MAX_LINES: u32 = 10;
/// See [`MAX_LINES`].
const WINDOW_MS: u64 = 10_000;
/// How often the same is said of the same peer.
const REPEAT_MS: u64 = 60_000;
/// Peers with a reason each of which it is known what was said.
const MAX_PEERS: usize = 256;
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

/// What was said of peers that were not served, so that one that tries again and again does not fill the log.
struct Said {
    lines: LineLimit,
    /// By peer and reason: when it was said last, and how often it was so since.
    peers: BTreeMap<(String, String), (u64, u64)>,
}

impl Said {
    const fn new() -> Said {
        Said {
            lines: LineLimit::new(MAX_LINES, WINDOW_MS),
            peers: BTreeMap::new(),
        }
    }

    /// Whether a line is logged: `Some` with how often the same was not said since it was, and how many lines in all.
    fn admit(&mut self, now_ms: u64, peer: String, why: &str) -> Option<(u64, u64)> {
        // Numbers in a reason, a time for example, are no new reason.
        let reason = why.chars().filter(|it| !it.is_ascii_digit()).collect();
        let key = (peer, reason);
        if let Some((said_ms, repeated)) = self.peers.get_mut(&key)
            && now_ms < *said_ms + REPEAT_MS
        {
            *repeated += 1;
            return None;
        }
        let unsaid = self.lines.admit(now_ms)?;
        let repeated = self.peers.remove(&key).map_or(0, |(_, repeated)| repeated);
        if self.peers.len() >= MAX_PEERS {
            self.peers
                .retain(|_, (said_ms, _)| now_ms < *said_ms + REPEAT_MS);
        }
        if self.peers.len() < MAX_PEERS {
            self.peers.insert(key, (now_ms, 0));
        }
        Some((repeated, unsaid))
    }
}

/// Logs why a client is not served: the same of one peer once a minute, and not more than a few lines in a while, whoever tries.
pub(super) fn log(peer: &Address, why: &str) {
    static SAID: Mutex<Said> = Mutex::new(Said::new());
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let now_ms = BEGUN.elapsed().as_millis() as u64;
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((repeated, unsaid)) = said.admit(now_ms, peer.host(), why) {
        tracing::warn!(%peer, why, repeated, unsaid, "client not served: TLS");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tries_again_and_again_is_told_of_once_a_minute() {
        let mut said = Said::new();
        let mut admit = |now_ms, peer: &str, why| said.admit(now_ms, peer.to_owned(), why);
        assert_eq!(admit(0, "a", "expired 5 s ago"), Some((0, 0)));
        assert_eq!(admit(1_000, "a", "expired 6 s ago"), None);
        assert_eq!(admit(1_000, "a", "unknown CA"), Some((0, 0)));
        assert_eq!(admit(1_000, "b", "unknown CA"), Some((0, 0)));
        assert_eq!(admit(59_999, "a", "expired 7 s ago"), None);
        assert_eq!(admit(60_000, "a", "expired 8 s ago"), Some((2, 0)));
        assert_eq!(admit(61_000, "a", "expired 9 s ago"), None);
    }

    #[test]
    fn many_peers_fill_neither_the_log_nor_memory() {
        let mut said = Said::new();
        let mut lines = 0;
        for number in 0..100_000u64 {
            let line = said.admit(number, format!("peer {}", number % 5_000), "no");
            lines += u32::from(line.is_some());
        }
        assert!(lines <= 11 * MAX_LINES, "{lines}");
        assert!(said.peers.len() <= MAX_PEERS);
    }
}
