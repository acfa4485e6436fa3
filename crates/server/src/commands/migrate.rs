//! MIGRATE: keys go to another server (Redis 7.0, `cluster.c`).
//!
//! Redis stops everything until the other server has answered. Here others go on meanwhile; a key is deleted if it still holds
//! what was sent, and otherwise stays, which is told as an error.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::time::Duration;

use damselfly_engine::command::{Hidden, KeyPositions};
use damselfly_engine::families::options::{Words, integer, is_word};
use damselfly_engine::replicate::{SecureUpstream, Transport};
use damselfly_engine::resp::{Reply, ReplyDecoder, ReplyLimits, ReplyWriter, encode_command};
use damselfly_engine::session::{AsyncResult, HandedOver};
use damselfly_engine::socket::Socket;
use damselfly_engine::{
    Command, CommandError, CommandResult, Flags, Group, Handler, Keys, Session,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::service::ServerThread;

/// Bytes of replies that are read at once.
const READ_BYTES: usize = 4096;
/// The timeout where none is given.
const DEFAULT_TIMEOUT_MS: i64 = 1_000;

const CONNECT: CommandError = CommandError::text("IOERR error or timeout connecting to the client");
const WRITE: CommandError = CommandError::text("IOERR error or timeout writing to target instance");
const READ: CommandError = CommandError::text("IOERR error or timeout reading to target instance");
const CHANGED: CommandError = CommandError::text(
    "ERR A key was written to while it was sent: the target instance has what it held before, and here it stays",
);

/// What is asked for.
struct Request<'a> {
    target: (String, u16),
    db: i64,
    timeout: Duration,
    copy: bool,
    replace: bool,
    /// The arguments of AUTH, if it is to be sent.
    auth: &'a [&'a [u8]],
    keys: &'a [&'a [u8]],
}

impl<'a> Request<'a> {
    fn parse(args: &'a [&'a [u8]]) -> Result<Request<'a>, CommandError> {
        let (mut copy, mut replace, mut auth) = (false, false, &args[..0]);
        let mut keys = &args[3..4];
        let mut words = Words::from(args, 6);
        while let Some(word) = words.next() {
            let at = args.len() - words.left();
            if is_word(word, "COPY") {
                copy = true;
            } else if is_word(word, "REPLACE") {
                replace = true;
            } else if is_word(word, "AUTH") || is_word(word, "AUTH2") {
                let count = word.len() - 3;
                auth = args.get(at..at + count).ok_or(CommandError::Syntax)?;
                words = Words::from(args, at + count);
            } else if is_word(word, "KEYS") {
                if !args[3].is_empty() {
                    return Err(CommandError::text(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                    ));
                }
                keys = &args[at..];
                break;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let (timeout_ms, db) = (integer(args[5])?, integer(args[4])?);
        let timeout_ms = if timeout_ms > 0 {
            timeout_ms
        } else {
            DEFAULT_TIMEOUT_MS
        };
        let port = std::str::from_utf8(args[2])
            .ok()
            .and_then(|text| text.parse().ok());
        Ok(Request {
            target: (
                String::from_utf8_lossy(args[1]).into_owned(),
                port.unwrap_or(0),
            ),
            db,
            timeout: Duration::from_millis(timeout_ms.unsigned_abs()),
            copy,
            replace,
            auth,
            keys,
        })
    }

    /// What the other server is told: commands, those before the keys' own, and how many these are.
    fn commands(&self, found: &[HandedOver]) -> (Vec<u8>, usize) {
        let mut wire = Vec::new();
        let mut before = 1;
        if !self.auth.is_empty() {
            encode_command(&mut wire, &[&[&b"AUTH"[..]], self.auth].concat());
            before += 1;
        }
        encode_command(&mut wire, &[b"SELECT", self.db.to_string().as_bytes()]);
        for key in found {
            let ttl = key.ttl_ms.map_or(0, |ttl| ttl.max(1)).to_string();
            let line: [&[u8]; 4] = [b"RESTORE", &key.key, ttl.as_bytes(), &key.payload];
            let replace: &[&[u8]] = if self.replace { &[b"REPLACE"] } else { &[] };
            encode_command(&mut wire, &[&line, replace].concat());
        }
        (wire, before)
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = io::Result<T>>,
        error: CommandError,
    ) -> Result<T, CommandError> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(Ok(done)) => Ok(done),
            // As Redis says it, which notices late.
            Ok(Err(failure)) if failure.kind() == ErrorKind::ConnectionRefused => Err(WRITE),
            Ok(Err(_)) | Err(_) => Err(error),
        }
    }
}

/// The replies of the other server, one after another.
struct Replies<'a> {
    request: &'a Request<'a>,
    stream: Box<dyn Socket>,
    decoder: ReplyDecoder,
    unread: Vec<u8>,
}

impl Replies<'_> {
    async fn next(&mut self) -> Result<Reply, CommandError> {
        loop {
            let mut rest = &self.unread[..];
            let decoded = self.decoder.decode(&mut rest).map_err(|_| READ)?;
            let used = self.unread.len() - rest.len();
            self.unread.drain(..used);
            if let Some(reply) = decoded {
                return Ok(reply);
            }
            let mut bytes = [0; READ_BYTES];
            let read = self
                .request
                .within(self.stream.read(&mut bytes), READ)
                .await?;
            if read == 0 {
                return Err(READ);
            }
            self.unread.extend_from_slice(&bytes[..read]);
        }
    }
}

/// Connects to the other server, as encrypted as a link to a primary would be.
async fn connect(session: &Session, host: &str, port: u16) -> io::Result<Box<dyn Socket>> {
    let stream = TcpStream::connect((host, port)).await?;
    let Some(server) = ServerThread::on(&session.thread) else {
        return Ok(Box::new(stream));
    };
    match server.shared.tls.secure(stream, host).await {
        Ok(Transport::Plain(stream)) => Ok(Box::new(stream)),
        Ok(Transport::Secure(stream)) => Ok(stream),
        Err(error) => {
            tracing::warn!(host, port, %error, "MIGRATE");
            Err(io::Error::other(error))
        }
    }
}

/// What the other server says of an error.
fn refusal(reply: &Reply) -> Option<CommandError> {
    let text = reply.as_error()?;
    Some(CommandError::echo(
        "ERR Target instance replied with error: ",
        text,
        "",
    ))
}

/// Sends the keys, and deletes those that were taken.
async fn send(session: &mut Session, request: &Request<'_>, found: &[HandedOver]) -> CommandResult {
    let (host, port) = (&*request.target.0, request.target.1);
    let stream = connect(session, host, port);
    let mut stream = request.within(stream, CONNECT).await?;
    let (wire, before) = request.commands(found);
    request.within(stream.write_all(&wire), WRITE).await?;
    let mut replies = Replies {
        request,
        stream,
        decoder: ReplyDecoder::new(ReplyLimits::default()),
        unread: Vec::new(),
    };
    let mut result = Ok(());
    for _ in 0..before {
        let refused = refusal(&replies.next().await?);
        result = result.and(refused.map_or(Ok(()), Err));
    }
    // What was restored where nobody knows is none of ours.
    let may_end = result.is_ok() && !request.copy;
    for key in found {
        let refused = refusal(&replies.next().await?);
        let is_taken = refused.is_none();
        result = result.and(refused.map_or(Ok(()), Err));
        if is_taken && may_end && !session.end_of(key).await? {
            result = result.and(Err(CHANGED));
        }
    }
    result
}

fn migrate<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let request = Request::parse(args)?;
        let mut found = Vec::new();
        for key in request.keys {
            found.extend(session.hand_over(key).await);
        }
        let proto = session.proto;
        if found.is_empty() {
            ReplyWriter::new(out, proto).simple("NOKEY");
            return Ok(());
        }
        send(session, &request, &found).await?;
        ReplyWriter::new(out, proto).ok();
        Ok(())
    })
}

/// The key argument, or what stands behind KEYS.
fn keys(args: &[&[u8]]) -> Result<KeyPositions, CommandError> {
    let behind = (6..args.len()).find(|at| is_word(args[*at], "KEYS"));
    Ok(match behind {
        Some(at) if args.get(3).is_some_and(|key| key.is_empty()) => {
            (at as u32 + 1..args.len() as u32).collect()
        }
        _ => [3].into_iter().collect(),
    })
}

/// Passwords.
fn hides(args: &[&[u8]], at: usize) -> bool {
    let is = |before: usize, word| at >= 6 + before && is_word(args[at - before], word);
    is(1, "AUTH") || is(1, "AUTH2") || is(2, "AUTH2")
}

/// The rows.
pub static COMMANDS: &[Command] = &[Command::new(
    "migrate",
    -6,
    Keys::Custom(keys),
    Group::Generic,
    "2.6.0",
    Handler::Async(migrate),
    "Moves keys to another server, or copies them.",
)
.with(Flags::WRITES.or(Flags::DANGEROUS).or(Flags::NO_MULTI))
.access("RW access delete")
.hides(Hidden::Some(hides))
.hints("nondeterministic_output").takes("host port:integer key_or_empty_string(key|\"\"=empty_string:token) destination-db:integer timeout:integer [COPY@3.0.0] [REPLACE@3.0.0] [authentication([AUTH=password@4.0.7]|[AUTH2=username_password(username password)@6.0.0])] [KEYS=key@3.0.6...]")];
