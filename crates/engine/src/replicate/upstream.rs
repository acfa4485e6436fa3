//! The connections that this server made to its primary: what CLIENT LIST shows of them, and how CLIENT KILL closes them.

use crate::engine::Engine;
use crate::socket::Socket;
use crate::thread::unix_ms;
use damselfly_replication::LinkError;
use damselfly_replication::driver::{Connect, TcpConnect};
use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// All that are open: the control connection and the flows of the link, and the connection of a candidate that is being greeted.
#[derive(Debug, Default)]
pub struct UpstreamConnections {
    /// Locked for a moment only.
    open: Mutex<BTreeMap<u64, Open>>,
}

/// What is known of one.
#[derive(Debug, Clone)]
pub struct UpstreamConnection {
    /// Its id, which no client ever has.
    pub id: u64,
    /// The primary.
    pub addr: SocketAddr,
    /// Our end.
    pub laddr: SocketAddr,
    /// Its descriptor.
    pub fd: i32,
    /// When it was made, in Unix milliseconds.
    pub connected_at: i64,
    /// When bytes came or went last, in Unix milliseconds.
    pub active_at: i64,
}

#[derive(Debug)]
struct Open {
    shown: UpstreamConnection,
    active_at: Arc<AtomicI64>,
    /// The same socket once more, to shut it down while others read it.
    socket: std::net::TcpStream,
}

impl UpstreamConnections {
    /// All, in the order of their ids.
    pub fn list(&self) -> Vec<UpstreamConnection> {
        self.lock().values().map(Open::shown).collect()
    }

    /// Closes those that are wanted, which breaks the link: it is made again as after any break. Their ids.
    pub fn kill(&self, wanted: impl Fn(&UpstreamConnection) -> bool) -> Vec<u64> {
        let open = self.lock();
        let wanted = open.values().filter(|open| wanted(&open.shown()));
        wanted
            .map(|open| {
                // Both ends see the end of the stream. One that is broken already needs nothing.
                let _ = open.socket.shutdown(Shutdown::Both);
                open.shown.id
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn shown(&self) -> UpstreamConnection {
        UpstreamConnection {
            active_at: self.active_at.load(Ordering::Relaxed),
            ..self.shown.clone()
        }
    }
}

/// Encrypts connections to a primary, as its owner is configured at the time.
pub trait SecureUpstream: std::fmt::Debug + Send + Sync {
    /// Makes a connection to `host` a secure one, or gives it back if it is to stay plain. The caller bounds it in time.
    fn secure<'a>(&'a self, socket: TcpStream, host: &'a str) -> Securing<'a>;
}

/// What [`SecureUpstream::secure`] does.
pub type Securing<'a> = Pin<Box<dyn Future<Output = Result<Transport, LinkError>> + 'a>>;

/// What carries the bytes of a connection to the primary.
pub enum Transport {
    /// TCP.
    Plain(TcpStream),
    /// Something over TCP.
    Secure(Box<dyn Socket>),
}

/// TCP, perhaps with something over it, each connection among the [`UpstreamConnections`] as long as it lives.
#[derive(Clone)]
pub(super) struct UpstreamConnect {
    pub(super) engine: Arc<Engine>,
    pub(super) connections: Arc<UpstreamConnections>,
    pub(super) secure: Option<Arc<dyn SecureUpstream>>,
}

impl Connect for UpstreamConnect {
    type Stream = UpstreamStream;

    async fn connect(&self, host: &str, port: u16) -> Result<UpstreamStream, LinkError> {
        let stream = TcpConnect.connect(host, port).await?;
        let (listed, active_at) = self.listed(&stream).map_err(|error| LinkError::Connect {
            why: error.to_string(),
        })?;
        let transport = match &self.secure {
            Some(secure) => secure.secure(stream, host).await?,
            None => Transport::Plain(stream),
        };
        Ok(UpstreamStream {
            transport,
            active_at,
            _listed: listed,
        })
    }
}

impl UpstreamConnect {
    fn listed(&self, stream: &TcpStream) -> io::Result<(Listed, Arc<AtomicI64>)> {
        let now = unix_ms();
        let shown = UpstreamConnection {
            id: self.engine.next_client_id(),
            addr: stream.peer_addr()?,
            laddr: stream.local_addr()?,
            fd: stream.as_raw_fd(),
            connected_at: now,
            active_at: now,
        };
        self.engine.slow.set_upstream(shown.addr.to_string());
        let (id, active_at) = (shown.id, Arc::new(AtomicI64::new(now)));
        let socket = stream.as_fd().try_clone_to_owned()?.into();
        let open = Open {
            shown,
            active_at: active_at.clone(),
            socket,
        };
        self.connections.lock().insert(id, open);
        let listed = Listed {
            id,
            connections: self.connections.clone(),
        };
        Ok((listed, active_at))
    }
}

/// A connection to the primary.
pub(super) struct UpstreamStream {
    transport: Transport,
    active_at: Arc<AtomicI64>,
    _listed: Listed,
}

/// Takes a connection out of the list when dropped.
struct Listed {
    id: u64,
    connections: Arc<UpstreamConnections>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
    }
}

impl UpstreamStream {
    /// Notes that something moved, and hands on what came of it.
    fn noted<T>(&self, polled: Poll<T>) -> Poll<T> {
        if polled.is_ready() {
            self.active_at.store(unix_ms(), Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Transport::Secure(socket) => Pin::new(socket).poll_read(context, buffer),
        };
        self.noted(polled)
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Transport::Secure(socket) => Pin::new(socket).poll_write(context, bytes),
        };
        self.noted(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_flush(context),
            Transport::Secure(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Transport::Secure(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}
