//! The ends of connections, as the driver of the replication crate uses them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use damselfly_replication::LinkError;
use damselfly_replication::driver::Connect;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;

use super::pipe::Reading;
use super::{ConnId, Side};
use crate::sim::world::{pause, world};

/// The port that all servers listen on.
pub const PORT: u16 = 6379;

/// One end of a connection.
#[derive(Debug)]
pub struct SimStream {
    conn: ConnId,
    side: Side,
    timer: Option<Pin<Box<Sleep>>>,
}

impl SimStream {
    fn new(conn: ConnId, side: Side) -> SimStream {
        SimStream {
            conn,
            side,
            timer: None,
        }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let world = world();
            let reading =
                world
                    .net
                    .borrow_mut()
                    .poll_read(self.conn, self.side, context, buffer.remaining());
            match reading {
                Reading::Bytes(bytes) => {
                    buffer.put_slice(&bytes);
                    return Poll::Ready(Ok(()));
                }
                Reading::End => return Poll::Ready(Ok(())),
                Reading::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Reading::Nothing => return Poll::Pending,
                Reading::At(ms) => {
                    let timer = self
                        .timer
                        .insert(Box::pin(tokio::time::sleep_until(world.at(ms))));
                    ready!(timer.as_mut().poll(context));
                }
            }
        }
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        world()
            .net
            .borrow_mut()
            .poll_write(self.conn, self.side, context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        world().net.borrow_mut().close(self.conn, self.side);
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        world().net.borrow_mut().close(self.conn, self.side);
    }
}

/// Makes connections of one server.
#[derive(Debug, Clone)]
pub struct SimConnect {
    /// Which server.
    pub node: usize,
}

impl Connect for SimConnect {
    type Stream = SimStream;

    async fn connect(&self, host: &str, port: u16) -> Result<SimStream, LinkError> {
        connect(self.node, host, port).await
    }
}

/// A connection from one server to another. The caller bounds it in time.
///
/// # Errors
/// As real networks have them: no such name, nobody listens.
pub async fn connect(from: usize, host: &str, port: u16) -> Result<SimStream, LinkError> {
    let world = world();
    let (low, high) = world.plan.net.delay_ms;
    pause(world.draw(|rng| rng.between(low as i64, high as i64)) as u64).await;
    let to = host
        .strip_prefix("node")
        .and_then(|index| index.parse::<usize>().ok());
    if let Some(says) = Impostor::named(host) {
        let conn = world.draw(|rng| world.net.borrow_mut().open(from, usize::MAX, rng));
        world.direct(says.answer(SimStream::new(conn, Side::Server)));
        return Ok(SimStream::new(conn, Side::Client));
    }
    let Some(to) = to.filter(|to| *to < world.nodes().len()) else {
        let why = "no such host".to_owned();
        return Err(LinkError::Resolve {
            host: host.to_owned(),
            why,
        });
    };
    while world.net.borrow().is_apart(from, to) || world.node(to).is_silent() {
        pause(20).await;
    }
    if port != PORT || !world.node(to).is_up() {
        return Err(LinkError::Connect {
            why: "connection refused".to_owned(),
        });
    }
    let conn = world.draw(|rng| world.net.borrow_mut().open(from, to, rng));
    let (client, server) = (
        SimStream::new(conn, Side::Client),
        SimStream::new(conn, Side::Server),
    );
    world.node(to).accept(from, server);
    Ok(client)
}

/// Who answers, and is no primary.
#[derive(Debug, Clone, Copy)]
enum Impostor {
    /// Something else altogether.
    Noise,
    /// A Redis: it knows nothing of shard flows.
    Redis,
}

impl Impostor {
    fn named(host: &str) -> Option<Impostor> {
        match host {
            "noise" => Some(Impostor::Noise),
            "redis" => Some(Impostor::Redis),
            _ => None,
        }
    }

    async fn answer(self, mut stream: SimStream) {
        let mut input = [0; 1_024];
        while let Ok(read) = stream.read(&mut input).await {
            let answer: &[u8] = match self {
                _ if read == 0 => return,
                Impostor::Noise => b"HTTP/1.1 400 Bad Request\r\n\r\n",
                Impostor::Redis if input[..read].windows(4).any(|word| word == b"PING") => {
                    b"+PONG\r\n"
                }
                Impostor::Redis => b"+OK\r\n",
            };
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}
