//! A connection whose command waits for others (BLPOP and its like): what was answered before is sent, and the socket is
//! watched meanwhile, so that nothing is served to a client that is gone.

use crate::connection::Killed;
use crate::net::Stream;
use crate::pushes;
use crate::service::SessionHost;
use damselfly_engine::pubsub::PushQueue;
use damselfly_engine::{Pipeline, Session};
use std::io;
use std::pin::pin;
use tokio::io::AsyncReadExt;

/// Bytes that a waiting client may send ahead. Whether it is gone shows behind them: it is not seen where a client sends more.
const MAX_AHEAD: usize = 1 << 20;
/// Bytes asked of the socket at once.
const READ_BYTES: usize = 4 * 1024;

/// A connection's socket, beside its session.
pub(crate) struct Link<'a> {
    /// The socket.
    pub(crate) stream: &'a mut Stream,
    /// What has been read while a command waited.
    pub(crate) ahead: &'a mut Vec<u8>,
    /// The connection.
    pub(crate) host: &'a SessionHost,
}

impl Link<'_> {
    /// Waits until the session's command has ended, and has its reply in the pipeline. The session is to be closed if the client is gone.
    pub(crate) async fn wait(&mut self, session: &mut Session, pipeline: &mut Pipeline) {
        self.host.entry.note_waiter(session.waiter().cloned());
        self.host.entry.note(session);
        let kill = self.host.entry.kill_token();
        let mut killed = pin!(kill.cancelled());
        let queue = session.pushes.clone();
        let queue = queue.as_deref();
        if self
            .send(&mut pipeline.out, queue, killed.as_mut())
            .await
            .is_err()
        {
            session.close = true;
        }
        while !session.close && session.waiter().is_some() {
            tokio::select! {
                biased;
                () = session.unblocked() => {
                    session.try_unblock(&mut pipeline.out).await;
                }
                () = self.ended(killed.as_mut()) => session.close = true,
                () = pushes::ready(queue) => {
                    let sent = self.send(&mut Vec::new(), queue, killed.as_mut()).await;
                    session.close |= sent.is_err();
                }
            }
        }
        session.stop_waiting();
        self.host.entry.note_waiter(None);
    }

    /// Waits until a pause that holds the session's command has ended. The session is to be closed if the client is gone.
    pub(crate) async fn wait_unpaused(&mut self, session: &mut Session, pipeline: &mut Pipeline) {
        self.host.entry.note_paused(true);
        self.host.entry.note(session);
        let kill = self.host.entry.kill_token();
        let mut killed = pin!(kill.cancelled());
        let queue = session.pushes.clone();
        let queue = queue.as_deref();
        let sent = self.send(&mut pipeline.out, queue, killed.as_mut()).await;
        session.close |= sent.is_err();
        while !session.close {
            tokio::select! {
                biased;
                () = session.until_unpaused() => break,
                () = self.ended(killed.as_mut()) => session.close = true,
                () = pushes::ready(queue) => {
                    let sent = self.send(&mut Vec::new(), queue, killed.as_mut()).await;
                    session.close |= sent.is_err();
                }
            }
        }
        self.host.entry.note_paused(false);
    }

    /// Sends the replies of the commands before, and what is pushed behind them. An end is an error, too.
    async fn send(
        &mut self,
        replies: &mut Vec<u8>,
        queue: Option<&PushQueue>,
        killed: Killed<'_, '_>,
    ) -> io::Result<()> {
        let bytes = tokio::select! {
            biased;
            written = pushes::send_all(self.stream, replies, queue, &self.host.entry) => written?,
            () = killed => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        self.host.server.counters.wrote(bytes);
        replies.clear();
        Ok(())
    }

    /// Until the client is gone or killed. Can be dropped and called anew.
    async fn ended(&mut self, mut killed: Killed<'_, '_>) {
        loop {
            tokio::select! {
                biased;
                () = killed.as_mut() => return,
                read = read_ahead(self.stream, self.ahead) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(bytes) => self.host.server.counters.read(bytes),
                },
            }
        }
    }
}

async fn read_ahead(stream: &mut Stream, ahead: &mut Vec<u8>) -> io::Result<usize> {
    if ahead.len() >= MAX_AHEAD {
        return std::future::pending().await;
    }
    ahead.reserve(READ_BYTES);
    stream.read_buf(ahead).await
}
