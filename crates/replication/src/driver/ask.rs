//! One command to another server, on a connection of its own: what servers say to each other beside their links.

use damselfly_resp::{Reply, ReplyDecoder};

use super::{
    clock::Clock,
    conn::{Conn, IoEvent},
    connect::Connect,
    replica::LinkOptions,
};
use crate::{
    error::LinkError,
    replica::{accepted, auth_args, encode_strings},
};

/// What an errand is called in errors.
const STEP: &str = "the command";

/// Connects, authenticates as a link would, sends `command`, and gives its answer when that comes within `limit_ms`.
///
/// # Errors
/// No connection, no answer, or the answer is an error.
pub(super) async fn ask<C: Connect>(
    options: &LinkOptions<C>,
    host: &str,
    port: u16,
    command: &[String],
    limit_ms: u64,
) -> Result<Reply, LinkError> {
    let clock = Clock::start();
    let connect_ms = options.config.connect_timeout_ms.min(limit_ms);
    let stream = tokio::select! {
        stream = options.connect.connect(host, port) => stream?,
        () = clock.sleep_until(Some(connect_ms)) => {
            return Err(LinkError::Timeout { step: "connect", limit_ms: connect_ms });
        }
    };
    let mut conn = Conn::new(stream);
    if let Some(auth) = &options.config.auth {
        encode_strings(conn.out(), &auth_args(auth));
    }
    encode_strings(conn.out(), command);
    let answers = 1 + usize::from(options.config.auth.is_some());
    tokio::select! {
        reply = last_answer(&mut conn, answers) => reply,
        () = clock.sleep_until(Some(limit_ms)) => Err(LinkError::Timeout { step: STEP, limit_ms }),
    }
}

/// The last of so many answers, when none of them is an error.
async fn last_answer<S>(conn: &mut Conn<S>, mut answers: usize) -> Result<Reply, LinkError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut decoder = ReplyDecoder::default();
    loop {
        let len = match conn.next(true).await {
            IoEvent::Wrote(_) => continue,
            IoEvent::Read(len) => len,
            IoEvent::Closed(why) => {
                let connection = "other server's".to_owned();
                return Err(LinkError::Closed { connection, why });
            }
        };
        let mut input = conn.input(len);
        let not_redis = |error: damselfly_resp::ProtocolError| LinkError::NotRedis {
            why: error.to_string(),
        };
        while let Some(reply) = decoder.decode(&mut input).map_err(not_redis)? {
            let reply = accepted(STEP, reply)?;
            answers -= 1;
            if answers == 0 {
                return Ok(reply);
            }
        }
    }
}
