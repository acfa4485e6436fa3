//! A stream with an output buffer: reads and writes go on side by side, and waiting can be given up at any point.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// An output buffer larger than this is given back when it was sent.
const RETAINED_BYTES: usize = 512 << 10;

pub(super) struct Conn<S> {
    stream: S,
    out: Vec<u8>,
    sent: usize,
    flushing: bool,
    input: Box<[u8]>,
}

/// What happened on the stream.
pub(super) enum IoEvent {
    /// So many bytes of [`Conn::input`] are new.
    Read(usize),
    /// So many bytes were accepted.
    Wrote(usize),
    /// It is closed or broken.
    Closed(String),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conn<S> {
    pub(super) fn new(stream: S) -> Conn<S> {
        Conn {
            stream,
            out: Vec::new(),
            sent: 0,
            flushing: false,
            input: vec![0; READ_BYTES].into(),
        }
    }

    /// Where bytes to be sent are appended.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether everything was accepted.
    pub(super) fn is_drained(&self) -> bool {
        self.out.is_empty()
    }

    /// What was read last.
    pub(super) fn input(&self, len: usize) -> &[u8] {
        &self.input[..len]
    }

    /// Gives the stream back; what was not sent is lost.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// The next thing that happens. May be dropped while it waits: nothing is lost.
    pub(super) async fn next(&mut self, read: bool) -> IoEvent {
        poll_fn(|context| self.poll(context, read)).await
    }

    fn poll(&mut self, context: &mut Context<'_>, read: bool) -> Poll<IoEvent> {
        if let Poll::Ready(event) = self.poll_out(context) {
            return Poll::Ready(event);
        }
        if !read {
            return Poll::Pending;
        }
        let mut buffer = ReadBuf::new(&mut self.input);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(IoEvent::Closed(error.to_string())),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                Poll::Ready(IoEvent::Closed("end of stream".to_owned()))
            }
            Poll::Ready(Ok(())) => Poll::Ready(IoEvent::Read(buffer.filled().len())),
        }
    }

    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<IoEvent> {
        if !self.out.is_empty() {
            return match Pin::new(&mut self.stream).poll_write(context, &self.out[self.sent..]) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(0)) => {
                    Poll::Ready(IoEvent::Closed("the stream takes no bytes".to_owned()))
                }
                Poll::Ready(Ok(bytes)) => {
                    self.accepted(bytes);
                    Poll::Ready(IoEvent::Wrote(bytes))
                }
                Poll::Ready(Err(error)) => Poll::Ready(IoEvent::Closed(error.to_string())),
            };
        }
        if self.flushing {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(Ok(())) => self.flushing = false,
                Poll::Ready(Err(error)) => return Poll::Ready(IoEvent::Closed(error.to_string())),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    fn accepted(&mut self, bytes: usize) {
        self.sent += bytes;
        self.flushing = true;
        if self.sent == self.out.len() {
            self.out.clear();
            self.out.shrink_to(RETAINED_BYTES);
            self.sent = 0;
        }
    }
}
