//! A client's stream as hyper wants it, with what has been read from it already, and a limit for peers that take nothing.

use crate::net::Stream;
use crate::service::SessionHost;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a peer may take no byte of an answer.
const STALL_LIMIT: Duration = Duration::from_secs(20);
/// Bytes read at once.
const READ_BYTES: usize = 4 * 1024;

/// The stream of an HTTP connection.
pub(super) struct HttpStream {
    stream: Stream,
    /// What was read before.
    input: Vec<u8>,
    stalled: Option<Pin<Box<Sleep>>>,
    host: Rc<SessionHost>,
}

impl HttpStream {
    /// A stream of which `input` has been read.
    pub(super) fn new(stream: Stream, input: Vec<u8>, host: Rc<SessionHost>) -> HttpStream {
        HttpStream {
            stream,
            input,
            stalled: None,
            host,
        }
    }

    /// What came of a write, or the end of a peer that has taken nothing for too long.
    fn limited<T>(
        &mut self,
        result: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(STALL_LIMIT)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl Read for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.input.is_empty() {
            let len = self.input.len().min(buffer.remaining());
            buffer.put_slice(&self.input[..len]);
            self.input.drain(..len);
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; READ_BYTES];
        let len = bytes.len().min(buffer.remaining());
        let mut read = ReadBuf::new(&mut bytes[..len]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
        self.host.server.counters.read(read.filled().len());
        buffer.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for HttpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(bytes)) = &written {
            self.host.server.counters.wrote(*bytes);
        }
        self.limited(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.limited(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.limited(shut, context)
    }
}
