//! Commands about the connection itself.

use super::options::{db_index, is_word};
use crate::acl::DEFAULT_NAME;
use crate::command::{Command, CommandError, CommandResult, Flags, Group, Handler, Hidden, Keys};
use crate::engine::Role;
use crate::session::{AsyncResult, Session, arity_error};
use damselfly_resp::{Proto, ReplyWriter};
use damselfly_store::DbIndex;

/// The version of Redis that clients are told: its commands and replies are those of this server.
pub const REDIS_VERSION: &str = "7.0.15";

fn ping(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    match args {
        [_, rest @ ..] if rest.len() < 2 && session.is_listening() => {
            out.array(2);
            out.bulk("pong");
            out.bulk(rest.first().unwrap_or(&&b""[..]));
        }
        [_] => out.simple("PONG"),
        [_, text] => out.bulk(text),
        _ => return Err(arity_error("ping")),
    }
    Ok(())
}

fn echo(_: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.bulk(args[1]);
    Ok(())
}

fn select(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    session.db = db_index(args[1], session.thread.engine.options.dbnum)?;
    out.ok();
    Ok(())
}

/// Whether a client may be called so: printable ASCII without blanks.
///
/// # Errors
/// It may not; the text is Redis's.
pub fn check_client_name(name: &[u8]) -> CommandResult {
    if name.iter().all(u8::is_ascii_graphic) {
        return Ok(());
    }
    Err(CommandError::text(
        "ERR Client names cannot contain spaces, newlines or special characters.",
    ))
}

/// Does what HELLO's options ask for, each in its turn; those before a wrong one are done. The protocol, if it names one.
fn hello_options(session: &mut Session, args: &[&[u8]]) -> Result<Option<Proto>, CommandError> {
    let Some(version) = args.get(1) else {
        return Ok(None);
    };
    let proto = proto(version)?;
    let mut rest = &args[2..];
    while let Some((option, after)) = rest.split_first() {
        rest = match after {
            [user, password, after @ ..] if is_word(option, "AUTH") => {
                session.authenticate(args[0], user, password)?;
                after
            }
            [name, after @ ..] if is_word(option, "SETNAME") => {
                check_client_name(name)?;
                session.name = name.to_vec();
                after
            }
            _ => return Err(hello_syntax(option)),
        };
    }
    Ok(Some(proto))
}

fn proto(version: &[u8]) -> Result<Proto, CommandError> {
    match damselfly_resp::parse_i64(version) {
        Some(2) => Ok(Proto::Resp2),
        Some(3) => Ok(Proto::Resp3),
        Some(_) => Err(CommandError::text("NOPROTO unsupported protocol version")),
        None => Err(CommandError::text(
            "ERR Protocol version is not an integer or out of range",
        )),
    }
}

fn hello_syntax(option: &[u8]) -> CommandError {
    CommandError::echo("ERR Syntax error in HELLO option '", option, "'")
}

/// Waits for nobody; it is no [`Handler::Session`] because replies before it must be complete in the old protocol.
fn hello<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let proto = hello_options(session, args)?;
        if session.needs_auth() {
            return Err(CommandError::text(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> \
                 <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
            ));
        }
        session.set_proto(proto.unwrap_or(session.proto));
        greet(session, &mut ReplyWriter::new(out, session.proto));
        Ok(())
    })
}

fn greet(session: &Session, out: &mut ReplyWriter<'_>) {
    out.map(7);
    for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        out.bulk(name);
        out.bulk(value);
    }
    out.bulk("proto");
    out.integer(if session.proto == Proto::Resp3 { 3 } else { 2 });
    out.bulk("id");
    out.integer(session.id as i64);
    out.bulk("mode");
    out.bulk("standalone");
    out.bulk("role");
    out.bulk(if session.thread.engine.role() == Role::Primary {
        "master"
    } else {
        "replica"
    });
    out.bulk("modules");
    out.array(0);
}

/// Whether HELLO's argument at this place is a name or a password.
fn hello_hides(args: &[&[u8]], at: usize) -> bool {
    let is_auth = |back: usize| at >= back + 2 && is_word(args[at - back], "AUTH");
    is_auth(1) || is_auth(2)
}

fn auth(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let (name, password) = match *args {
        [_, password] => (DEFAULT_NAME, password),
        [_, name, password] => (name, password),
        _ => return Err(CommandError::Syntax),
    };
    let default = session.thread.engine.acl.user(DEFAULT_NAME);
    if args.len() == 2 && default.is_some_and(|user| user.needs_no_password) {
        return Err(CommandError::text(
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        ));
    }
    session.authenticate(args[0], name, password)?;
    out.ok();
    Ok(())
}

fn reset<'a>(session: &'a mut Session, _: &'a [&'a [u8]], out: &'a mut Vec<u8>) -> AsyncResult<'a> {
    Box::pin(async move {
        session.multi = None;
        session.unwatch().await;
        session.db = DbIndex(0);
        session.unsubscribe_all();
        session.untrack();
        session.stop_monitoring();
        session.set_proto(Proto::Resp2);
        session.name.clear();
        session.forget_user();
        ReplyWriter::new(out, session.proto).simple("RESET");
        Ok(())
    })
}

fn quit(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    session.close = true;
    out.ok();
    Ok(())
}

const EASY: Flags = Flags::FAST.or(Flags::LOADING).or(Flags::STALE);
const FIRST: Flags = EASY
    .or(Flags::NO_SCRIPT)
    .or(Flags::NO_AUTH)
    .or(Flags::ALLOW_BUSY);
const AT_ONCE: Flags = FIRST.or(Flags::UNQUEUED);

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    // Redis refuses PING while it loads; here it answers, so that monitors see a server that is alive.
    row("ping", -1, "1.0.0", Handler::Session(ping), "Returns the server's liveliness response.").with(Flags::IN_SUBSCRIPTION).with(Flags::FAST.or(Flags::LOADING)).hints("request_policy:all_shards response_policy:all_succeeded")
        .takes("[message]"),
    row("echo", 2, "1.0.0", Handler::Session(echo), "Returns the given string.").with(EASY)
        .takes("message"),
    row("select", 2, "1.0.0", Handler::Session(select), "Changes the selected database.").with(EASY)
        .takes("index:integer"),
    row("hello", -1, "6.0.0", Handler::Async(hello), "Says who the server is, and chooses the protocol of the replies.").with(FIRST).hides(Hidden::Some(hello_hides))
        .takes("[arguments(protover:integer [AUTH=username_password(username password)] [SETNAME=clientname])]").changes(&[("6.2.0", "Says what holds where no protocol is asked for.")]),
    row("auth", -2, "1.0.0", Handler::Session(auth), "Authenticates the connection.").with(FIRST).hides(Hidden::From(1))
        .takes("[username@6.0.0] password"),
    row("reset", 1, "6.2.0", Handler::Async(reset), "Makes the connection as it was when it began.").with(AT_ONCE.or(Flags::IN_SUBSCRIPTION)),
    row("quit", -1, "1.0.0", Handler::Session(quit), "Closes the connection.").with(AT_ONCE.or(Flags::IN_SUBSCRIPTION)),
];

const fn row(
    name: &'static str,
    arity: i16,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(
        name,
        arity,
        Keys::None,
        Group::Connection,
        since,
        handler,
        summary,
    )
}
