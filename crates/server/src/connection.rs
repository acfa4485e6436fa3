//! One client connection: bytes in, requests to its session, replies out.

use crate::clients::ClientEntry;
use damselfly_engine::{Begun, Pipeline, Session};
use damselfly_engine::resp::{ArgVec, ProtocolError, ReplyWriter, RequestDecoder, RequestLimits};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes asked of the socket at once.
const READ_BYTES: usize = 16 * 1024;
/// Replies and batches held before they are sent, although more requests have been read.
const FLUSH_BYTES: usize = 256 * 1024;
/// Capacity that buffers keep when they are empty.
const KEPT_BYTES: usize = 64 * 1024;

/// What limits a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// Of one request.
    pub request: RequestLimits,
    /// Time without a request after which it is closed.
    pub idle: Option<Duration>,
}

/// Why a connection ended.
enum End {
    /// The peer closed it, or it asked to be closed.
    Closed,
    /// CLIENT KILL, or the server stops.
    Killed,
    /// No request for too long.
    Idle,
    /// The session handed the socket to somebody else.
    Upgraded,
}

/// Serves a connection to its end.
pub(crate) async fn serve(stream: TcpStream, session: Session, entry: Rc<ClientEntry>, limits: ConnectionLimits) {
    let mut connection = Connection {
        stream,
        session,
        entry,
        decoder: RequestDecoder::new(limits.request),
        input: Vec::with_capacity(READ_BYTES),
        pipeline: Pipeline::default(),
        idle: limits.idle,
    };
    let end = connection.run().await;
    connection.session.end().await;
    match end {
        Ok(End::Upgraded) => connection.hand_over(),
        Ok(End::Idle) => tracing::debug!(id = connection.session.id, "closing an idle client"),
        Ok(End::Killed) => tracing::debug!(id = connection.session.id, "client killed"),
        Ok(End::Closed) => {}
        Err(error) => tracing::debug!(id = connection.session.id, %error, "client connection failed"),
    }
}

struct Connection {
    stream: TcpStream,
    session: Session,
    entry: Rc<ClientEntry>,
    decoder: RequestDecoder,
    /// Bytes read that are no complete request yet.
    input: Vec<u8>,
    pipeline: Pipeline,
    idle: Option<Duration>,
}

impl Connection {
    async fn run(&mut self) -> io::Result<End> {
        loop {
            if let Some(end) = self.read().await? {
                return Ok(end);
            }
            let refused = self.execute_input().await;
            self.entry.update(&self.session, self.input.len());
            if let Some(end) = self.send().await? {
                return Ok(end);
            }
            if self.session.upgrade.is_some() {
                return Ok(End::Upgraded);
            }
            if refused || self.session.close {
                return Ok(End::Closed);
            }
        }
    }

    /// Reads some bytes. An end is where there are none to come.
    async fn read(&mut self) -> io::Result<Option<End>> {
        if self.input.is_empty() && self.input.capacity() > KEPT_BYTES {
            self.input = Vec::with_capacity(READ_BYTES);
        }
        self.input.reserve(READ_BYTES.max(self.decoder.missing_bytes().min(READ_BYTES * 64)));
        let idle = self.idle;
        let timeout = async {
            match idle {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.entry.killed() => Ok(Some(End::Killed)),
            read = self.stream.read_buf(&mut self.input) => Ok((read? == 0).then_some(End::Closed)),
            () = timeout => Ok(Some(End::Idle)),
        }
    }

    /// Runs every complete request. Whether the rest can't be understood.
    async fn execute_input(&mut self) -> bool {
        let mut at = 0;
        let refused = loop {
            match self.execute_one(at).await {
                Ok(Some(used)) => at += used,
                Ok(None) => break false,
                Err(error) => {
                    let proto = self.session.proto;
                    self.pipeline.reply(proto, |out: &mut ReplyWriter<'_>| out.protocol_error(&error));
                    break true;
                }
            }
            if self.session.close || self.session.upgrade.is_some() {
                break false;
            }
            if self.pipeline.pending_bytes() > FLUSH_BYTES {
                self.session.finish(&mut self.pipeline).await;
                if self.stream.write_all(&self.pipeline.out).await.is_err() {
                    break true;
                }
                self.pipeline.out.clear();
            }
        };
        self.session.finish(&mut self.pipeline).await;
        self.input.drain(..at);
        refused
    }

    /// Runs the request that begins at `at`; its length, if it is complete.
    async fn execute_one(&mut self, at: usize) -> Result<Option<usize>, ProtocolError> {
        let mut args = ArgVec::new();
        let Some(used) = self.decoder.decode(&self.input[at..], &mut args)? else { return Ok(None) };
        if let Some(unescaped) = self.decoder.take_unescaped() {
            let args: ArgVec<'_> = unescaped.iter().map(Vec::as_slice).collect();
            execute(&mut self.session, &mut self.pipeline, &args).await;
        } else if !args.is_empty() {
            execute(&mut self.session, &mut self.pipeline, &args).await;
        }
        Ok(Some(used))
    }

    /// Sends the replies. An end is where the client was killed while it did not read them.
    async fn send(&mut self) -> io::Result<Option<End>> {
        if self.pipeline.out.is_empty() {
            return Ok(None);
        }
        let killed = tokio::select! {
            biased;
            written = self.stream.write_all(&self.pipeline.out) => {
                written?;
                false
            }
            () = self.entry.killed() => true,
        };
        self.pipeline.out.clear();
        self.pipeline.out.shrink_to(KEPT_BYTES);
        Ok(killed.then_some(End::Killed))
    }

    fn hand_over(self) {
        if let Some(upgrade) = { self.session }.upgrade.take() {
            upgrade(self.stream, self.input);
        }
    }
}

#[inline]
async fn execute(session: &mut Session, pipeline: &mut Pipeline, args: &[&[u8]]) {
    if session.begin(args, pipeline) == Begun::Wait {
        session.finish(pipeline).await;
        session.run_waiting(args, &mut pipeline.out).await;
    }
}
