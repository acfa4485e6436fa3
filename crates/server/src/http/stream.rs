//! A client's stream as hyper wants it, with what has been read from it already, and a limit for peers that take nothing.

use crate::net::Stream;
use crate::service::SessionHost;
use crate::tls;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::cell::RefCell;
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

/// What a client reads that does not come to the end of its request.
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
    the request did not end in time\n";

/// A client's connection, shared with whoever has the last word on it.
#[derive(Clone)]
pub(super) struct Line(Rc<RefCell<State>>);

struct State {
    stream: Stream,
    /// What was read before.
    input: Vec<u8>,
    /// Whether something has come since the last answer.
    is_asking: bool,
}

impl Line {
    /// A connection of which `input` has been read.
    pub(super) fn new(stream: Stream, input: Vec<u8>) -> Line {
        Line(Rc::new(RefCell::new(State {
            stream,
            is_asking: !input.is_empty(),
            input,
        })))
    }

    /// Answers a request that never ended. Who is silent between two requests is left without a word.
    pub(super) async fn say_that_it_took_too_long(self) {
        // hyper is done with it.
        let state = Rc::try_unwrap(self.0).ok().map(RefCell::into_inner);
        if let Some(state) = state.filter(|state| state.is_asking) {
            tls::tell(state.stream, TOO_SLOW).await;
        }
    }
}

/// The stream of an HTTP connection.
pub(super) struct HttpStream {
    line: Line,
    stalled: Option<Pin<Box<Sleep>>>,
    host: Rc<SessionHost>,
}

impl HttpStream {
    /// The stream of a connection.
    pub(super) fn new(line: Line, host: Rc<SessionHost>) -> HttpStream {
        HttpStream {
            line,
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
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut line = self.line.0.borrow_mut();
        if !line.input.is_empty() {
            let len = line.input.len().min(buffer.remaining());
            buffer.put_slice(&line.input[..len]);
            line.input.drain(..len);
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; READ_BYTES];
        let len = bytes.len().min(buffer.remaining());
        let mut read = ReadBuf::new(&mut bytes[..len]);
        ready!(Pin::new(&mut line.stream).poll_read(context, &mut read))?;
        line.is_asking = true;
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
        let mut line = self.line.0.borrow_mut();
        let written = Pin::new(&mut line.stream).poll_write(context, bytes);
        line.is_asking = false;
        drop(line);
        if let Poll::Ready(Ok(bytes)) = &written {
            self.host.server.counters.wrote(*bytes);
        }
        self.limited(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.line.0.borrow_mut().stream).poll_flush(context);
        self.limited(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.line.0.borrow_mut().stream).poll_shutdown(context);
        self.limited(shut, context)
    }
}
