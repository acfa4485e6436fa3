//! An encrypted connection, and the socket below it.

use damselfly_engine::socket::{Attach, Socket};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// First bytes of a peer that are kept, in case that it does not speak TLS at all.
const KEPT_BYTES: usize = 256;

/// The TCP connection below TLS: it can be taken from one thread's runtime to another's while the encryption goes on.
#[derive(Debug)]
pub(super) struct Carrier {
    socket: Place,
    /// What came first, until the handshake is done.
    first: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Place {
    Watched(TcpStream),
    Between(std::net::TcpStream),
    /// It could not be moved.
    Lost,
}

impl Carrier {
    pub(super) fn new(socket: TcpStream) -> Carrier {
        Carrier {
            socket: Place::Watched(socket),
            first: Some(Vec::new()),
        }
    }

    /// The first bytes that came, once.
    pub(super) fn take_first(&mut self) -> Vec<u8> {
        self.first.take().unwrap_or_default()
    }

    fn detach(&mut self) -> io::Result<()> {
        if let Place::Watched(socket) = std::mem::replace(&mut self.socket, Place::Lost) {
            self.socket = Place::Between(socket.into_std()?);
        }
        Ok(())
    }

    fn attach(&mut self) -> io::Result<()> {
        if let Place::Between(socket) = std::mem::replace(&mut self.socket, Place::Lost) {
            self.socket = Place::Watched(TcpStream::from_std(socket)?);
        }
        Ok(())
    }

    fn watched(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        match &mut self.socket {
            Place::Watched(socket) => Ok(Pin::new(socket)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Carrier {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.watched()?.poll_read(context, buffer))?;
        if let Some(first) = &mut self.first {
            let came = &buffer.filled()[before..];
            let room = KEPT_BYTES.saturating_sub(first.len());
            first.extend_from_slice(&came[..came.len().min(room)]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.watched()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.watched()?.poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched()?.poll_shutdown(context)
    }
}

/// An encrypted connection of either side, after its handshake.
#[derive(Debug)]
pub struct TlsStream(tokio_rustls::TlsStream<Carrier>);

impl TlsStream {
    pub(super) fn new(stream: impl Into<tokio_rustls::TlsStream<Carrier>>) -> TlsStream {
        let mut stream = TlsStream(stream.into());
        stream.carrier().first = None;
        stream
    }

    fn carrier(&mut self) -> &mut Carrier {
        self.0.get_mut().0
    }

    /// Whether the peer has shown a certificate, which was found good.
    pub fn peer_is_certified(&self) -> bool {
        self.0.get_ref().1.peer_certificates().is_some()
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut tokio_rustls::TlsStream<Carrier>> {
        Pin::new(&mut self.get_mut().0)
    }
}

impl Socket for TlsStream {
    fn detach(mut self: Box<Self>) -> io::Result<Attach> {
        self.carrier().detach()?;
        Ok(Box::new(move || {
            self.carrier().attach()?;
            Ok(self)
        }))
    }
}

impl AsyncRead for TlsStream {
    /// The end of the connection is an end, whether it was announced or not: what is carried says by itself whether it is whole.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(self.inner().poll_read(context, buffer)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => Poll::Ready(read),
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(context)
    }
}
