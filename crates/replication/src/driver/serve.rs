//! A whole connection of a replica, for data sets that have no server of their own around them.

use damselfly_resp::{ArgVec, Proto, ReplyWriter, RequestDecoder, RequestLimits};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::primary::{CommandOutcome, PrimaryHub, ReplicaConnection};
use crate::{config::Credentials, dataset::PrimaryDataSet};

/// Requests of a replica are short.
const LIMITS: RequestLimits = RequestLimits {
    max_inline: 64 << 10,
    max_multi_bulk_len: 64,
    max_bulk_len: 64 << 10,
};

/// Bytes of requests that may wait.
const MAX_WAITING: usize = 256 << 10;

/// Serves one connection of a replica to its end: `AUTH` if `auth` is set, `PING`, `REPLCONF` and `DFLY`, and the flow
/// that it may become, which goes to the thread of its shard (where it stays registered with the present runtime).
///
/// # Errors
/// What the stream reports, or a request that is none.
pub async fn serve_connection<D, S>(
    hub: PrimaryHub<D>,
    mut stream: S,
    ip: &str,
    auth: Option<&Credentials>,
) -> std::io::Result<()>
where
    D: PrimaryDataSet,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut client = Client {
        connection: hub.connection(ip),
        auth,
        authenticated: auth.is_none(),
    };
    let mut decoder = RequestDecoder::new(LIMITS);
    let (mut input, mut out) = (Vec::new(), Vec::new());
    loop {
        let read = tokio::select! {
            read = stream.read_buf(&mut input) => read?,
            // All connections of a link end together.
            () = client.connection.session_ended() => 0,
        };
        if read == 0 {
            return Ok(());
        }
        let mut at = 0;
        loop {
            let mut args = ArgVec::new();
            let used = match decoder.decode(&input[at..], &mut args) {
                Ok(Some(used)) => used,
                Ok(None) if input.len() - at > MAX_WAITING => {
                    return Err(std::io::Error::other("a request without end"));
                }
                Ok(None) => break,
                Err(error) => return Err(std::io::Error::other(error)),
            };
            if !args.is_empty()
                && let CommandOutcome::BecomesFlow(ticket) = client.handle(&args, &mut out).await
            {
                let rest = input[at + used..].to_vec();
                stream.write_all(&out).await?;
                let (flow, data) = (ticket.flow(), hub.data.clone());
                hub.data.run_on_shard(
                    flow,
                    Box::new(move || Box::pin(ticket.run(data.shard(flow), stream, rest))),
                );
                return Ok(());
            }
            at += used;
        }
        input.drain(..at);
        stream.write_all(&out).await?;
        stream.flush().await?;
        out.clear();
    }
}

struct Client<'a, D> {
    connection: ReplicaConnection<D>,
    auth: Option<&'a Credentials>,
    authenticated: bool,
}

impl<D: PrimaryDataSet> Client<'_, D> {
    async fn handle(&mut self, args: &[&[u8]], out: &mut Vec<u8>) -> CommandOutcome {
        let mut reply = ReplyWriter::new(out, Proto::Resp2);
        match args[0].to_ascii_uppercase().as_slice() {
            b"AUTH" => match self.authenticate(&args[1..]) {
                true => reply.ok(),
                false => {
                    reply.error("WRONGPASS invalid username-password pair or user is disabled.")
                }
            },
            _ if !self.authenticated => reply.error("NOAUTH Authentication required."),
            b"PING" => reply.simple("PONG"),
            b"REPLCONF" | b"DFLY" => return self.connection.handle_command(args, out).await,
            _ => reply.error("ERR unknown command"),
        }
        CommandOutcome::Answered
    }

    fn authenticate(&mut self, args: &[&[u8]]) -> bool {
        let (user, password) = match args {
            [password] => (None, password),
            [user, password] => (Some(*user), password),
            _ => return false,
        };
        let expected = self.auth;
        self.authenticated = expected.is_some_and(|auth| {
            let user_fits = user.is_none()
                || user == Some(auth.user.as_deref().unwrap_or("default").as_bytes());
            user_fits && *password == auth.password.as_bytes()
        });
        self.authenticated
    }
}
