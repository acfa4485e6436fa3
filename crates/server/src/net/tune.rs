//! Options of a connected socket.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::config::Config;

/// Probes that may go unanswered before a connection counts as dead.
const KEEPALIVE_PROBES: u32 = 3;

/// What a connection's socket is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOptions {
    /// Send small packets at once.
    pub nodelay: bool,
    /// Idle time in seconds before the first keepalive probe; 0 = no probes. The probes that
    /// follow, three at most, come at a third of it, so a dead peer is noticed after twice the time.
    pub keepalive: u32,
    /// Longest time in ms that sent data may stay unacknowledged; 0 = the system's default.
    pub user_timeout: u32,
}

impl From<&Config> for StreamOptions {
    fn from(config: &Config) -> Self {
        StreamOptions {
            nodelay: config.tcp_nodelay,
            keepalive: config.tcp_keepalive,
            user_timeout: config.tcp_user_timeout,
        }
    }
}

/// Sets a connected socket's options.
///
/// # Errors
/// The system's; a peer that is already gone causes them too.
pub fn tune<'s, S>(stream: &'s S, options: StreamOptions) -> io::Result<()>
where
    SockRef<'s>: From<&'s S>,
{
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(options.nodelay)?;
    if options.keepalive > 0 {
        let interval =
            Duration::from_secs(u64::from((options.keepalive / KEEPALIVE_PROBES).max(1)));
        let idle = Duration::from_secs(u64::from(options.keepalive));
        let keepalive = TcpKeepalive::new()
            .with_time(idle)
            .with_interval(interval)
            .with_retries(KEEPALIVE_PROBES);
        socket.set_tcp_keepalive(&keepalive)?;
    }
    if options.user_timeout > 0 {
        socket
            .set_tcp_user_timeout(Some(Duration::from_millis(u64::from(options.user_timeout))))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn options_reach_the_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        tune(
            &stream,
            StreamOptions {
                nodelay: true,
                keepalive: 90,
                user_timeout: 5_000,
            },
        )
        .unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(
            socket.tcp_keepalive_time().unwrap(),
            Duration::from_secs(90)
        );
        assert_eq!(
            socket.tcp_keepalive_interval().unwrap(),
            Duration::from_secs(30)
        );
        assert_eq!(
            socket.tcp_user_timeout().unwrap(),
            Some(Duration::from_secs(5))
        );
    }

    #[test]
    fn zero_leaves_keepalive_off() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        tune(
            &stream,
            StreamOptions {
                nodelay: false,
                keepalive: 0,
                user_timeout: 0,
            },
        )
        .unwrap();
        assert!(!SockRef::from(&stream).keepalive().unwrap());
    }
}
