//! Where a client came in, and where it comes from.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

/// The kind of listener that a client came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `--port`.
    Public,
    /// `--admin_port`: restricted commands are allowed.
    Admin,
    /// `--unixsocket`: no TLS, and never a stranger.
    Unix,
}

/// An end of a client's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Of TCP.
    Ip(SocketAddr),
    /// The path of a Unix socket.
    Unix(Arc<str>),
}

impl Address {
    /// The address without its port, as it is logged and compared.
    pub fn host(&self) -> String {
        match self {
            Address::Ip(address) => address.ip().to_canonical().to_string(),
            Address::Unix(path) => path.to_string(),
        }
    }

    /// Whether it is of this machine for sure.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Ip(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => true,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Ip(address)
    }
}

impl fmt::Display for Address {
    /// As Redis shows it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(out),
            Address::Unix(path) => write!(out, "{path}:0"),
        }
    }
}

/// A socket that no runtime watches.
#[derive(Debug)]
pub enum RawSocket {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixStream),
}

impl AsRawFd for RawSocket {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            RawSocket::Tcp(socket) => socket.as_raw_fd(),
            RawSocket::Unix(socket) => socket.as_raw_fd(),
        }
    }
}
