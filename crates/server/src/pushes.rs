//! Sending what a client gets without asking, from where it waits to the socket: the bytes are shared by all who get them,
//! and are not copied here.

use crate::clients::ClientEntry;
use crate::net::Stream;
use damselfly_engine::pubsub::PushQueue;
use damselfly_engine::thread::Thread;
use smallvec::SmallVec;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use tokio::io::AsyncWriteExt;

/// Bytes of replies from which on limits are looked at.
const LARGE_BYTES: usize = 16 * 1024;
/// Pieces that one write takes.
const PIECES: usize = 64;

/// Until a push waits for a client; for ever, if it never asked for any.
pub(crate) async fn ready(queue: Option<&PushQueue>) {
    match queue {
        Some(queue) => poll_fn(|cx| queue.poll_ready(cx)).await,
        None => std::future::pending().await,
    }
}

/// Sends replies, and all pushes that wait behind them. How many bytes they were. Dropped in the middle, the connection can't go on.
pub(crate) async fn send_all(
    stream: &mut Stream,
    replies: &[u8],
    queue: Option<&PushQueue>,
    entry: &ClientEntry,
) -> io::Result<usize> {
    let mut rest = replies;
    while !rest.is_empty() {
        if rest.len() > LARGE_BYTES {
            entry.note_output(rest.len());
            if let Some(queue) = queue {
                queue.note_replies(rest.len());
            }
            entry.check_limits(&Thread::current().engine.output_limits);
        }
        let written = stream.write(rest).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = &rest[written..];
    }
    let mut sent = replies.len();
    if let Some(queue) = queue {
        queue.note_replies(0);
        sent += send(stream, queue).await?;
    }
    if stream.holds_back() {
        stream.flush().await?;
    }
    Ok(sent)
}

async fn send(stream: &mut Stream, queue: &PushQueue) -> io::Result<usize> {
    let mut sent = 0;
    while !queue.is_empty() {
        let mut chunk = queue.take_chunk();
        while !chunk.pushes.is_empty() {
            let pieces: SmallVec<[IoSlice<'_>; PIECES]> = chunk
                .pushes
                .iter()
                .take(PIECES)
                .map(|push| IoSlice::new(push))
                .collect();
            let written = stream.write_vectored(&pieces).await?;
            drop(pieces);
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            chunk.advance(written);
        }
        queue.sent(&chunk);
        sent += chunk.bytes;
    }
    Ok(sent)
}
