//! A network in memory, whose connections break after so many bytes.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use damselfly_replication::{LinkError, driver::Connect};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

#[derive(Clone, Debug, Default)]
pub struct Net(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    listeners: Mutex<HashMap<u16, UnboundedSender<CutStream>>>,
    /// Bytes that each next connection carries; none: as many as it likes.
    cuts: Mutex<Vec<i64>>,
    down: AtomicBool,
    live: Mutex<Vec<Arc<AtomicI64>>>,
}

/// Capacity of a direction: small, so that backpressure is felt.
const PIPE_BYTES: usize = 8 << 10;

impl Net {
    pub fn listen(&self, port: u16) -> UnboundedReceiver<CutStream> {
        let (sender, receiver) = unbounded_channel();
        self.0.listeners.lock().unwrap().insert(port, sender);
        receiver
    }

    pub fn close(&self, port: u16) {
        self.0.listeners.lock().unwrap().remove(&port);
    }

    /// The next connections break after these numbers of bytes.
    pub fn plan_cuts(&self, cuts: Vec<i64>) {
        *self.0.cuts.lock().unwrap() = cuts;
    }

    /// All connections break when their next byte moves.
    pub fn cut_all(&self) {
        for budget in self.0.live.lock().unwrap().drain(..) {
            budget.store(0, SeqCst);
        }
    }

    pub fn set_down(&self, down: bool) {
        self.0.down.store(down, SeqCst);
    }
}

impl Connect for Net {
    type Stream = CutStream;

    async fn connect(&self, host: &str, port: u16) -> Result<CutStream, LinkError> {
        let refused = |why: &str| LinkError::Connect {
            why: format!("{host}:{port}: {why}"),
        };
        if self.0.down.load(SeqCst) {
            return Err(refused("the network is down"));
        }
        let listener = self
            .0
            .listeners
            .lock()
            .unwrap()
            .get(&port)
            .cloned()
            .ok_or_else(|| refused("nobody listens"))?;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let budget = self.0.cuts.lock().unwrap().pop().unwrap_or(i64::MAX);
        let budget = Arc::new(AtomicI64::new(budget));
        self.0.live.lock().unwrap().push(budget.clone());
        listener
            .send(CutStream {
                stream: far,
                budget: budget.clone(),
            })
            .map_err(|_| refused("the listener is gone"))?;
        Ok(CutStream {
            stream: near,
            budget,
        })
    }
}

#[derive(Debug)]
pub struct CutStream {
    stream: DuplexStream,
    budget: Arc<AtomicI64>,
}

impl CutStream {
    fn spend(&self, bytes: usize) -> io::Result<()> {
        if self.budget.fetch_sub(bytes as i64, SeqCst) <= bytes as i64 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for CutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.budget.load(SeqCst) <= 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for CutStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // A part of what is written before the cut still arrives.
        let left = usize::try_from(self.budget.load(SeqCst).max(0)).unwrap_or(usize::MAX);
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let bytes = &bytes[..bytes.len().min(left)];
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(Ok(written)) => {
                let _ = self.spend(written);
                Poll::Ready(Ok(written))
            }
            other => other,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
