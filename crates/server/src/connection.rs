//! One client connection: bytes in, requests to its session, replies out.

use crate::clients::{Buffers, ClientEntry, Replies};
use crate::http::{self, Sniffed};
use crate::net::Stream;
use crate::pushes;
use crate::service::SessionHost;
use crate::tls::{is_tls, refuse_tls};
use crate::waiting::Link;
use damselfly_engine::resp::{ArgVec, ProtocolError, ReplyWriter, RequestDecoder, RequestLimits};
use damselfly_engine::{Begun, Pipeline, Session};
use smallvec::SmallVec;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::WaitForCancellationFuture;

/// Bytes asked of the socket at once.
const READ_BYTES: usize = 16 * 1024;
/// Replies and batches held before they are sent, although more requests have been read.
const FLUSH_BYTES: usize = 256 * 1024;
/// Requests decoded before the first of them runs.
const READ_AHEAD: usize = 32;
/// Requests from which on fetching what they need ahead is worth its cost.
const WORTH_WARMING: usize = 4;
/// Capacity that buffers keep when they are empty.
const KEPT_BYTES: usize = 64 * 1024;

/// Time for telling a peer that the connection ends.
const GOODBYE: std::time::Duration = std::time::Duration::from_millis(100);

/// Why a connection ended.
enum End {
    /// The peer closed it, or it asked to be closed.
    Closed,
    /// CLIENT KILL, idle for too long, or the server stops.
    Killed,
    /// The session handed the socket to somebody else.
    Upgraded,
    /// It is a TLS client, and this is no TLS.
    SpeaksTls,
    /// It is a client of HTTP, and may be.
    SpeaksHttp,
}

/// Ends when the client is killed.
pub(crate) type Killed<'a, 'token> = Pin<&'a mut WaitForCancellationFuture<'token>>;

/// Serves a connection to its end.
pub(crate) async fn serve(
    stream: Stream,
    session: Session,
    host: Rc<SessionHost>,
    limits: RequestLimits,
    takes_http: bool,
) {
    let mut connection = Connection {
        stream,
        session,
        host,
        decoder: RequestDecoder::new(limits),
        input: Vec::with_capacity(READ_BYTES),
        ahead: Vec::new(),
        pipeline: Pipeline::default(),
        is_new: true,
        takes_http,
    };
    let end = connection.run().await;
    if matches!(end, Ok(End::SpeaksHttp)) {
        return connection.serve_http().await;
    }
    connection.session.end().await;
    if connection.stream.holds_back() && !matches!(end, Ok(End::Upgraded)) {
        connection.say_goodbye().await;
    }
    match end {
        Ok(End::Upgraded) => connection.hand_over().await,
        Ok(End::SpeaksTls) => {
            let peer = connection.host.entry.addr.clone();
            refuse_tls(connection.stream, &peer).await;
        }
        Ok(End::Killed) => tracing::debug!(id = connection.session.id, "client killed"),
        Ok(End::Closed | End::SpeaksHttp) => {}
        Err(error) => {
            tracing::debug!(id = connection.session.id, %error, "client connection failed")
        }
    }
}

struct Connection {
    stream: Stream,
    session: Session,
    host: Rc<SessionHost>,
    decoder: RequestDecoder,
    /// Bytes read that are no complete request yet.
    input: Vec<u8>,
    /// Bytes read while a command waited, behind the input.
    ahead: Vec<u8>,
    pipeline: Pipeline,
    /// Whether it may still turn out to speak something else than RESP.
    is_new: bool,
    /// Whether that may be HTTP.
    takes_http: bool,
}

impl Connection {
    /// Whether the first bytes that came are those of TLS or HTTP.
    #[cold]
    fn speaks_otherwise(&mut self) -> Option<End> {
        self.is_new = false;
        if is_tls(&self.input) {
            return Some(End::SpeaksTls);
        }
        if !self.takes_http {
            return None;
        }
        let sniffed = http::sniff(&self.input);
        self.is_new = sniffed == Sniffed::Unclear;
        (sniffed == Sniffed::Http).then_some(End::SpeaksHttp)
    }

    async fn serve_http(self) {
        http::serve(self.stream, self.session, self.host, self.input).await;
    }

    async fn run(&mut self) -> io::Result<End> {
        // Waited for from one end of the connection to the other, not anew for every request.
        let kill = self.host.entry.kill_token();
        let mut killed = pin!(kill.cancelled());
        loop {
            if !self.ahead.is_empty() {
                self.input.append(&mut self.ahead);
            } else if let Some(end) = self.read(killed.as_mut()).await? {
                return Ok(end);
            }
            if self.is_new
                && let Some(end) = self.speaks_otherwise()
            {
                return Ok(end);
            }
            let refused = self.execute_input(killed.as_mut()).await;
            self.host.entry.update(&self.session, self.buffers());
            if let Some(end) = self.send(killed.as_mut()).await? {
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

    /// Reads some bytes, and sends what is pushed meanwhile. An end is where there are no bytes to come.
    async fn read(&mut self, mut killed: Killed<'_, '_>) -> io::Result<Option<End>> {
        if self.input.is_empty() && self.input.capacity() > KEPT_BYTES {
            self.input = Vec::with_capacity(READ_BYTES);
        }
        self.input
            .reserve(READ_BYTES.max(self.decoder.missing_bytes().min(READ_BYTES * 64)));
        loop {
            // The control connection of a replica ends with its link.
            let link_ended = self
                .session
                .replica
                .as_ref()
                .map(|replica| replica.session_ended());
            let link_ended = async {
                match link_ended {
                    Some(ended) => ended.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = killed.as_mut() => return Ok(Some(End::Killed)),
                () = link_ended => return Ok(Some(End::Closed)),
                read = self.stream.read_buf(&mut self.input) => {
                    let bytes = read?;
                    self.host.server.counters.read(bytes);
                    return Ok((bytes == 0).then_some(End::Closed));
                }
                () = pushes::ready(self.session.pushes.as_deref()) => {}
            }
            if let Some(end) = self.send(killed.as_mut()).await? {
                return Ok(Some(end));
            }
        }
    }

    fn buffers(&self) -> Buffers {
        Buffers {
            input: self.input.len(),
            input_free: self.input.capacity() - self.input.len(),
            output: self.pipeline.out.len(),
            output_size: self.pipeline.out.capacity(),
        }
    }

    /// Runs every complete request. Whether the rest can't be understood.
    async fn execute_input(&mut self, mut killed: Killed<'_, '_>) -> bool {
        let mut at = 0;
        self.session.tick();
        let refused = loop {
            match self.execute_ahead(at).await {
                Ok(0) => break false,
                Ok(used) => at += used,
                Err(error) => {
                    let proto = self.session.proto;
                    self.pipeline.reply(proto, |out: &mut ReplyWriter<'_>| {
                        out.protocol_error(&error)
                    });
                    break true;
                }
            }
            if self.session.close || self.session.upgrade.is_some() {
                break false;
            }
            if self.pipeline.pending_bytes() > FLUSH_BYTES {
                self.session.finish(&mut self.pipeline).await;
                if !matches!(self.send(killed.as_mut()).await, Ok(None)) {
                    self.pipeline.out.clear();
                    break true;
                }
            }
        };
        self.session.finish(&mut self.pipeline).await;
        self.input.drain(..at);
        refused
    }

    /// Reads a few requests ahead from `at` on, so that what they need can be fetched together, and runs them.
    /// How many bytes they were.
    async fn execute_ahead(&mut self, at: usize) -> Result<usize, ProtocolError> {
        let Connection {
            session,
            pipeline,
            decoder,
            input,
            ahead,
            host,
            stream,
            ..
        } = self;
        let mut link = Link {
            stream,
            ahead,
            host,
        };
        let mut requests: SmallVec<[(ArgVec<'_>, usize); 1]> = SmallVec::new();
        let mut read = at;
        let mut stopped = Ok(());
        while requests.len() < READ_AHEAD {
            let mut args = ArgVec::new();
            match decoder.decode(&input[read..], &mut args) {
                Ok(Some(used)) => read += used,
                Ok(None) => break,
                Err(error) => {
                    stopped = Err(error);
                    break;
                }
            }
            if let Some(unescaped) = decoder.take_unescaped() {
                run_requests(session, pipeline, &requests, &mut link).await;
                let args: ArgVec<'_> = unescaped.iter().map(Vec::as_slice).collect();
                execute(session, pipeline, &args, &mut link).await;
                return Ok(read - at);
            }
            requests.push((args, read));
        }
        let end = run_requests(session, pipeline, &requests, &mut link)
            .await
            .unwrap_or(at);
        match stopped {
            Err(error) if end == requests.last().map_or(at, |(_, end)| *end) => Err(error),
            _ => Ok(end - at),
        }
    }

    /// Sends the replies, and what is pushed behind them. An end is where the client was killed while it did not read them.
    async fn send(&mut self, killed: Killed<'_, '_>) -> io::Result<Option<End>> {
        let (out, queue) = (&self.pipeline.out, self.session.pushes.as_deref());
        let entry = &self.host.entry;
        let killed = tokio::select! {
            biased;
            written = pushes::send_all(&mut self.stream, out, queue, entry) => {
                self.host.server.counters.wrote(written?);
                false
            }
            () = killed => true,
        };
        self.pipeline.out.clear();
        self.pipeline.out.shrink_to(KEPT_BYTES);
        self.host.entry.sent(self.pipeline.out.capacity());
        Ok(killed.then_some(End::Killed))
    }

    /// Ends the encryption, so that the peer sees that nothing is missing. One that does not read is not waited for.
    async fn say_goodbye(&mut self) {
        drop(tokio::time::timeout(GOODBYE, self.stream.shutdown()).await);
    }

    /// Lets whoever takes the socket serve it to its end.
    async fn hand_over(mut self) {
        if let Some(upgrade) = self.session.upgrade.take() {
            let entry = &self.host.entry;
            entry.kind.set(crate::clients::ClientKind::Replica);
            entry.becomes(self.session.flow.take());
            let socket = self.stream.into_socket();
            upgrade(socket, self.input, self.host.entry.kill_token()).await;
        }
    }
}

/// Runs requests in their order, until one of them ends the session's reading. Where the last one that ran ends in the input.
async fn run_requests(
    session: &mut Session,
    pipeline: &mut Pipeline,
    requests: &[(ArgVec<'_>, usize)],
    link: &mut Link<'_>,
) -> Option<usize> {
    if requests.len() >= WORTH_WARMING {
        session.warm(requests.iter().map(|(args, _)| args.as_slice()));
    }
    let mut end = None;
    for (args, at) in requests {
        if !args.is_empty() {
            execute(session, pipeline, args, link).await;
        }
        end = Some(*at);
        if session.close || session.upgrade.is_some() {
            break;
        }
    }
    end
}

#[inline]
async fn execute(
    session: &mut Session,
    pipeline: &mut Pipeline,
    args: &[&[u8]],
    link: &mut Link<'_>,
) {
    if link.host.entry.replies.get() != Replies::On {
        return execute_unanswered(session, pipeline, args, link).await;
    }
    let mut begun = session.begin(args, pipeline);
    if begun == Begun::Paused {
        begun = Box::pin(begin_paused(session, pipeline, args, link)).await;
    }
    if begun == Begun::Wait {
        session.finish(pipeline).await;
        let before = run_waiting(session, pipeline, args, link).await;
        drop_reply(pipeline, before, &link.host.entry);
        session.insert_pushes(&mut pipeline.out, before);
    } else if session.pushes.is_some() {
        pipeline.insert_pushes(session);
    }
}

/// Begins a request that a pause holds, when none does any more. `Paused`: the client is gone.
#[cold]
async fn begin_paused(
    session: &mut Session,
    pipeline: &mut Pipeline,
    args: &[&[u8]],
    link: &mut Link<'_>,
) -> Begun {
    loop {
        session.finish(pipeline).await;
        link.wait_unpaused(session, pipeline).await;
        if session.close {
            return Begun::Paused;
        }
        let begun = session.begin(args, pipeline);
        if begun != Begun::Paused {
            return begun;
        }
    }
}

/// Runs a request of a client that may not want its reply: alone, so that the reply can be told from others.
async fn execute_unanswered(
    session: &mut Session,
    pipeline: &mut Pipeline,
    args: &[&[u8]],
    link: &mut Link<'_>,
) {
    session.finish(pipeline).await;
    let mut before = pipeline.out.len();
    let replies = &link.host.entry.replies;
    if replies.get() == Replies::SkipNext {
        replies.set(Replies::Skip);
    }
    let mut begun = session.begin(args, pipeline);
    if begun == Begun::Paused {
        begun = Box::pin(begin_paused(session, pipeline, args, link)).await;
    }
    if begun == Begun::Wait {
        before = run_waiting(session, pipeline, args, link).await;
    }
    session.finish_replies(pipeline).await;
    drop_reply(pipeline, before, &link.host.entry);
    session.insert_pushes(&mut pipeline.out, before);
}

/// Runs a request that has to wait for others, for clients if need be. Where its reply begins.
async fn run_waiting(
    session: &mut Session,
    pipeline: &mut Pipeline,
    args: &[&[u8]],
    link: &mut Link<'_>,
) -> usize {
    let before = pipeline.out.len();
    session.run_waiting(args, &mut pipeline.out).await;
    if session.waiter().is_none() {
        return before;
    }
    link.wait(session, pipeline).await;
    // Everything before has been sent.
    0
}

fn drop_reply(pipeline: &mut Pipeline, before: usize, entry: &ClientEntry) {
    if entry.replies.get() != Replies::On {
        pipeline.out.truncate(before);
    }
    if entry.replies.get() == Replies::Skip {
        entry.replies.set(Replies::On);
    }
}
