//! CLIENT: the connections, this one and all others.

mod filter;
mod link;
mod pause;
mod tracking;

use crate::clients::{ClientEntry, Replies};
use crate::service::{ServerThread, SessionHost};
use damselfly_engine::families::connection::check_client_name;
use damselfly_engine::families::options::is_word;
use damselfly_engine::resp::{ReplyWriter, parse_i64};
use damselfly_engine::session::AsyncResult;
use damselfly_engine::thread::{Thread, unix_ms};
use damselfly_engine::waiter::Outcome;
use damselfly_engine::{
    Command, CommandError, CommandResult, Flags, Group, Handler, Keys, Session,
};
use filter::Filter;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The connection of a session.
fn entry(session: &Session) -> Result<&ClientEntry, CommandError> {
    let host = session.host.downcast_ref::<SessionHost>();
    host.map(|host| &*host.entry)
        .ok_or(CommandError::text("ERR this session has no connection"))
}

fn id(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.integer(session.id as i64);
    Ok(())
}

fn getname(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    if session.name.is_empty() {
        out.null()
    } else {
        out.bulk(&session.name)
    }
    Ok(())
}

fn setname(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    check_client_name(args[2])?;
    session.name = args[2].to_vec();
    out.ok();
    Ok(())
}

fn setinfo(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let (option, value) = (args[2], args[3]);
    let (name, version) = match option {
        _ if is_word(option, "lib-name") => (Some(value), None),
        _ if is_word(option, "lib-ver") => (None, Some(value)),
        _ => {
            return Err(CommandError::echo("ERR Unrecognized option '", option, "'"));
        }
    };
    if !value.iter().all(u8::is_ascii_graphic) {
        let option = if name.is_some() {
            "lib-name"
        } else {
            "lib-ver"
        };
        return Err(CommandError::owned(format!(
            "ERR {option} cannot contain spaces, newlines or special characters."
        )));
    }
    entry(session)?.set_library(name, version);
    out.ok();
    Ok(())
}

fn info(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let entry = entry(session)?;
    entry.note(session);
    let mut line = entry.line(unix_ms(), &session.thread.engine.table);
    line.push(b'\n');
    out.verbatim(*b"txt", line);
    Ok(())
}

/// The lines of all clients that the filter takes, in the order of their ids.
async fn lines(session: &Session, filter: Filter) -> BTreeMap<u64, Vec<u8>> {
    let upstream = link::lines(session, &filter);
    let work = move |thread: &Rc<Thread>| {
        let Some(server) = ServerThread::on(thread) else {
            return Vec::new();
        };
        let (now, table) = (unix_ms(), &thread.engine.table);
        let entries = server
            .clients
            .entries()
            .into_iter()
            .filter(|entry| filter.takes(entry, now));
        entries
            .map(|entry| (entry.id, entry.line(now, table)))
            .collect()
    };
    let clients = session
        .thread
        .on_all_threads(work)
        .await
        .into_iter()
        .flatten();
    clients.chain(upstream).collect()
}

fn list<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let filter = Filter::of_list(&args[2..], &session.thread.engine.acl)?;
        entry(session)?.note(session);
        let wanted = filter.ids().map(<[u64]>::to_vec);
        let lines = lines(session, filter).await;
        let mut text = Vec::new();
        // Ids that were asked for come in the order of the asking, as often as they were.
        let order: Vec<_> = wanted.unwrap_or_else(|| lines.keys().copied().collect());
        for line in order.iter().filter_map(|id| lines.get(id)) {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        ReplyWriter::new(out, session.proto).verbatim(*b"txt", text);
        Ok(())
    })
}

fn kill<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let by_address = args.len() == 3;
        let filter = if by_address {
            Filter::of_address(args[2])
        } else {
            Filter::of_kill(&args[2..], session.id, &session.thread.engine.acl)?
        };
        let me = session.id;
        let upstream = link::kill(session, &filter);
        let work = move |thread: &Rc<Thread>| kill_on(thread, &filter, me);
        let killed: Vec<u64> = session
            .thread
            .on_all_threads(work)
            .await
            .into_iter()
            .flatten()
            .chain(upstream)
            .collect();
        // Whoever kills itself still gets the reply.
        session.close |= killed.contains(&me);
        let mut out = ReplyWriter::new(out, session.proto);
        match by_address {
            true if killed.is_empty() => return Err(CommandError::text("ERR No such client")),
            true => out.ok(),
            false => out.integer(killed.len() as i64),
        }
        Ok(())
    })
}

fn kill_on(thread: &Thread, filter: &Filter, me: u64) -> Vec<u64> {
    let Some(server) = ServerThread::on(thread) else {
        return Vec::new();
    };
    let now = unix_ms();
    let entries = server
        .clients
        .entries()
        .into_iter()
        .filter(|entry| filter.takes(entry, now));
    let kill = |entry: Rc<ClientEntry>| {
        if entry.id != me {
            entry.kill();
        }
        entry.id
    };
    entries.map(kill).collect()
}

fn on_or_off(arg: &[u8]) -> Result<bool, CommandError> {
    match arg {
        _ if is_word(arg, "on") => Ok(true),
        _ if is_word(arg, "off") => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

fn no_evict(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    entry(session)?.no_evict.set(on_or_off(args[2])?);
    out.ok();
    Ok(())
}

fn no_touch(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let off = on_or_off(args[2])?;
    entry(session)?.no_touch.set(off);
    session.no_touch = off;
    out.ok();
    Ok(())
}

/// It waits for nobody, but replies before it have to be told from those after it.
fn reply<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let replies = &entry(session)?.replies;
        match args[2] {
            word if is_word(word, "on") => {
                replies.set(Replies::On);
                ReplyWriter::new(out, session.proto).ok();
            }
            word if is_word(word, "off") => replies.set(Replies::Off),
            word if is_word(word, "skip") => {
                if replies.get() != Replies::Off {
                    replies.set(Replies::SkipNext);
                }
            }
            _ => return Err(CommandError::Syntax),
        }
        Ok(())
    })
}

fn unblock<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let (id, outcome) = unblock_args(args)?;
        let work = move |thread: &Rc<Thread>| {
            let entries = ServerThread::on(thread).map(|server| server.clients.entries());
            let mut entries = entries.into_iter().flatten();
            entries.any(|entry| i64::try_from(entry.id) == Ok(id) && entry.unblock(outcome.clone()))
        };
        let unblocked = session.thread.on_all_threads(work).await;
        ReplyWriter::new(out, session.proto).integer(unblocked.contains(&true).into());
        Ok(())
    })
}

/// Whom CLIENT UNBLOCK means, and what becomes of its command.
fn unblock_args(args: &[&[u8]]) -> Result<(i64, Outcome), CommandError> {
    let outcome = match args {
        [_, _, _] => Outcome::TimedOut,
        [_, _, _, word] if is_word(word, "timeout") => Outcome::TimedOut,
        [_, _, _, word] if is_word(word, "error") => Outcome::Unblocked,
        [_, _, _, _] => {
            return Err(CommandError::text(
                "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
        _ => return Err(wrong_line(args)),
    };
    let id = parse_i64(args[2]).ok_or(CommandError::NotInteger)?;
    Ok((id, outcome))
}

/// The answer to a subcommand with too many arguments.
fn wrong_line(args: &[&[u8]]) -> CommandError {
    let before = "ERR unknown subcommand or wrong number of arguments for '";
    CommandError::echo(before, args[1], "'. Try CLIENT HELP.")
}

const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)",
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from the specified address",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "    * ID <client-id>",
    "      Kill connections by client id.",
    "    * MAXAGE <maxage>",
    "      Kill connections older than the specified age.",
    "    * IP, NAME, LIB-NAME, LIB-VER, FLAGS, DB, IDLE, and each with NOT- before it",
    "      Kill connections whose fields in CLIENT LIST are, or are not, these.",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "    * the other options of KILL",
    "      Return clients that KILL would take.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Control server assisted client side caching.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Will not touch LRU/LFU stats when this mode is on.",
    "HELP",
    "    Prints this help.",
];

fn help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    super::write_help(HELP, out);
    Ok(())
}

const EASY: Flags = Flags::LOADING.or(Flags::STALE).or(Flags::OF_CLIENT);
const OWN: Flags = EASY.or(Flags::NO_SCRIPT);
const OTHERS: Flags = OWN.or(Flags::ADMIN);

/// The rows.
pub static COMMANDS: &[Command] = &[row(
    "client",
    -2,
    "2.4.0",
    Handler::Session(help),
    "A container for commands about connections.",
)
.container(SUBCOMMANDS)];

#[rustfmt::skip]
static SUBCOMMANDS: &[Command] = &[
    row("caching", 3, "6.0.0", Handler::Session(tracking::caching), "Whether the keys of the next command are tracked.").with(OWN)
        .takes("mode(YES|NO)"),
    row("getname", 2, "2.6.9", Handler::Session(getname), "The name of the connection.").with(OWN),
    row("getredir", 2, "6.0.0", Handler::Session(tracking::getredir), "Where the connection's tracking notifications go.").with(OWN),
    row("help", 2, "5.0.0", Handler::Session(help), "Says what there is.").with(EASY),
    row("id", 2, "5.0.0", Handler::Session(id), "The number of the connection, which no other ever has.").with(OWN),
    row("info", 2, "6.2.0", Handler::Session(info), "What is known of the connection.").with(OWN).hints("nondeterministic_output"),
    row("kill", -3, "2.4.0", Handler::Async(kill), "Closes connections.").with(OTHERS)
        .takes("filter(ip:port!2.8.12|new-format([ID=client-id:integer@2.8.12]|[TYPE=normal_master_slave_pubsub(NORMAL|MASTER@3.2.0|SLAVE|REPLICA@5.0.0|PUBSUB)@2.8.12]|[USER=username]|[ADDR=ip:port]|[LADDR=ip:port@6.2.0]|[MAXAGE=seconds:integer@7.4.0]|[IDLE=seconds:integer@9.0.0]|[IP=ip@9.0.0]|[NAME=name@9.0.0]|[LIB-NAME=libname@9.0.0]|[LIB-VER=libver@9.0.0]|[FLAGS=flags@9.0.0]|[DB=db:integer@9.0.0]|[SKIPME=yes/no])...)"),
    row("list", -2, "2.4.0", Handler::Async(list), "What is known of all connections.").with(OTHERS).hints("nondeterministic_output")
        .takes("[TYPE=normal_master_replica_pubsub(NORMAL|MASTER|REPLICA|PUBSUB)@5.0.0] [ID=id(client-id:integer...)@6.2.0] [USER=username] [ADDR=ip:port] [LADDR=ip:port] [MAXAGE=seconds:integer@7.4.0] [IDLE=seconds:integer@9.0.0] [IP=ip@9.0.0] [NAME=name@9.0.0] [LIB-NAME=libname@9.0.0] [LIB-VER=libver@9.0.0] [FLAGS=flags@9.0.0] [DB=db:integer@9.0.0]").changes(&[("2.8.12", "Shows `id`."), ("6.0.0", "Shows `user`."), ("6.2.0", "Shows `laddr`, `redir`, `argv-mem` and `tot-mem`."), ("7.0.0", "Shows `resp`, `multi-mem`, `rbs` and `rbp`."), ("7.0.3", "Shows `ssub`.")]),
    row("no-evict", 3, "7.0.0", Handler::Session(no_evict), "Protects the connection from eviction.").with(OTHERS)
        .takes("enabled(ON|OFF)"),
    row("no-touch", 3, "7.2.0", Handler::Session(no_touch), "Whether reads of the connection count as uses of keys.").with(OWN)
        .takes("enabled(ON|OFF)"),
    row("pause", -3, "2.9.50", Handler::Async(pause::pause), "Lets commands of clients wait for some time.").with(OTHERS)
        .takes("timeout:integer [mode(WRITE|ALL)@6.2.0]"),
    row("reply", 3, "3.2.0", Handler::Async(reply), "Which replies the connection wants.").with(OWN)
        .takes("on_off_skip(ON|OFF|SKIP)"),
    row("setinfo", 4, "7.2.0", Handler::Session(setinfo), "Says which library the client uses.").with(OWN)
        .takes("attr(LIB-NAME=libname|LIB-VER=libver)"),
    row("setname", 3, "2.6.9", Handler::Session(setname), "Names the connection.").with(OWN)
        .takes("connection-name"),
    row("tracking", -3, "6.0.0", Handler::Async(tracking::tracking), "Whether the connection is told when keys change that it has read.").with(OWN)
        .takes("status(ON|OFF) [REDIRECT=client-id:integer] [PREFIX=prefix...+] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]"),
    row("trackinginfo", 2, "6.2.0", Handler::Session(tracking::trackinginfo), "Whether the connection tracks keys.").with(OWN),
    row("unblock", -3, "5.0.0", Handler::Async(unblock), "Ends the waiting of another connection's command.").with(OTHERS)
        .takes("client-id:integer [timeout_error(TIMEOUT|ERROR)]"),
    row("unpause", 2, "6.2.0", Handler::Session(pause::unpause), "Ends CLIENT PAUSE.").with(OTHERS),
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
