//! ACL: users, and what they may do.

mod file;
mod show;

use crate::clients::ClientEntry;
use crate::service::ServerThread;
use damselfly_engine::acl::{self, Acl, DEFAULT_NAME, Denied, User};
use damselfly_engine::command::Hidden;
use damselfly_engine::families::options::{integer, is_word};
use damselfly_engine::resp::ReplyWriter;
use damselfly_engine::session::AsyncResult;
use damselfly_engine::thread::Thread;
use damselfly_engine::{
    Command, CommandError, CommandResult, Flags, Group, Handler, Keys, Session,
};
use std::rc::Rc;
use std::sync::Arc;

pub use file::load_at_start;
pub(super) use file::{reason, replace, set_password};

/// Bits of a generated password: unless said otherwise, and at most.
const PASSWORD_BITS: (i64, i64) = (256, 4096);

fn acl_of(session: &Session) -> &Acl {
    &session.thread.engine.acl
}

fn whoami(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.bulk(&session.user().name);
    Ok(())
}

fn users(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let users = acl_of(session).users();
    out.array(users.len());
    users.keys().for_each(|name| out.bulk(name));
    Ok(())
}

/// Those whose names can't be told from the rest of a line are refused.
fn setuser<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        change_user(session, args)?;
        ReplyWriter::new(out, session.proto).ok();
        end_listeners(session, args[2]).await;
        Ok(())
    })
}

fn change_user(session: &Session, args: &[&[u8]]) -> CommandResult {
    if !acl::is_valid_name(args[2]) {
        return Err(CommandError::text(
            "ERR Usernames can't contain spaces or null characters",
        ));
    }
    let rules = acl::join_selectors(&args[3..]).map_err(|opening| {
        CommandError::echo(
            "ERR Unmatched parenthesis in acl selector starting at '",
            &opening,
            "'.",
        )
    })?;
    acl_of(session)
        .set_user(args[2], &rules)
        .map_err(|(rule, error)| {
            CommandError::echo(
                "ERR Error in ACL SETUSER modifier '",
                &rule,
                &format!("': {error}"),
            )
        })
}

/// Closes the connections of a user that listen to what it may not hear any more.
async fn end_listeners(session: &mut Session, name: &[u8]) {
    let Some(user) = acl_of(session).user(name) else {
        return;
    };
    let me = session.id;
    let end = move |thread: &Rc<Thread>| {
        let allowed = |kind, name: &[u8]| user.may_hear(kind, name);
        let listening = thread.subscribers.borrow().with_other_than(allowed);
        let entries = ServerThread::on(thread).map(|server| server.clients.entries());
        let is_told = |entry: &Rc<ClientEntry>| {
            listening.contains(&entry.id) && entry.user().is_some_and(|its| its.id == user.id)
        };
        let ended: Vec<_> = entries.into_iter().flatten().filter(is_told).collect();
        let others = ended.iter().filter(|entry| entry.id != me);
        others.for_each(|entry| entry.kill());
        ended.iter().any(|entry| entry.id == me)
    };
    let own = session.thread.on_all_threads(end).await;
    session.close |= own.contains(&true);
}

fn deluser<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        if args[2..].contains(&DEFAULT_NAME) {
            return Err(CommandError::text(
                "ERR The 'default' user cannot be removed",
            ));
        }
        let deleted = acl_of(session).delete_users(&args[2..]);
        ReplyWriter::new(out, session.proto).integer(deleted.len() as i64);
        end_clients(session, &deleted).await;
        Ok(())
    })
}

/// Closes the connections of users that were deleted. The session's own gets its reply before.
async fn end_clients(session: &mut Session, deleted: &[Arc<User>]) {
    if deleted.is_empty() {
        return;
    }
    let ids: Vec<u64> = deleted.iter().map(|user| user.id).collect();
    session.close |= ids.contains(&session.user().id);
    let me = session.id;
    let end = move |thread: &Rc<Thread>| {
        let entries = ServerThread::on(thread).map(|server| server.clients.entries());
        for entry in entries.into_iter().flatten().filter(|entry| entry.id != me) {
            if entry.user().is_some_and(|user| ids.contains(&user.id)) {
                entry.kill();
            }
        }
    };
    session.thread.on_all_threads(end).await;
}

fn genpass(_: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let (default, most) = PASSWORD_BITS;
    let bits = match args {
        [_, _] => default,
        [_, _, bits] => integer(bits)?,
        _ => return Err(wrong_number("GENPASS")),
    };
    if !(1..=most).contains(&bits) {
        return Err(CommandError::owned(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to {most}"
        )));
    }
    let password = acl::generate(bits as usize)
        .map_err(|error| CommandError::owned(format!("ERR no random numbers: {error}")))?;
    out.bulk(password);
    Ok(())
}

fn dryrun(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let acl = acl_of(session);
    let user = acl
        .user(args[2])
        .ok_or_else(|| CommandError::echo("ERR User '", args[2], "' not found"))?;
    let line = &args[3..];
    let unknown = || CommandError::echo("ERR Command '", line[0], "' not found");
    let table = &session.thread.engine.table;
    let row = table.find(line[0]).ok_or_else(unknown)?;
    let row = match line.get(1) {
        Some(word) if !row.subcommands.is_empty() && !row.flags.has(Flags::LOOSE_SUBCOMMANDS) => {
            row.subcommand(word).ok_or_else(unknown)?
        }
        Some(word) => row.subcommand(word).unwrap_or(row),
        None => row,
    };
    let catalog = acl.catalog();
    let name = &catalog.get(catalog.of_row(row)).name;
    if !row.accepts(line.len()) {
        return Err(CommandError::Arity(name.clone()));
    }
    let Err((denied, at)) = user.check(catalog, row, line) else {
        out.ok();
        return Ok(());
    };
    let argument = line.get(at).copied().unwrap_or_default();
    let (before, shown, after): (&str, &[u8], &str) = match denied {
        Denied::Key => ("access the '", argument, "' key"),
        Denied::Channel => ("access the '", argument, "' channel"),
        _ => ("run the '", name.as_bytes(), "' command"),
    };
    let before = format!("This user has no permissions to {before}");
    out.bulk(CommandError::echo(&before, shown, after).reply());
    Ok(())
}

fn wrong_number(subcommand: &str) -> CommandError {
    CommandError::owned(format!(
        "ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try ACL HELP."
    ))
}

const HELP: &[&str] = &[
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DELUSER <username> [<username> ...]",
    "    Delete a list of users.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOAD",
    "    Reload users from the ACL file.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "SAVE",
    "    Save the current config to the ACL file.",
    "SETUSER <username> <attribute> [<attribute> ...]",
    "    Create or modify a user with the specified attributes.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
    "HELP",
    "    Prints this help.",
];

fn help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    super::write_help(HELP, out);
    Ok(())
}

const EASY: Flags = Flags::LOADING.or(Flags::STALE);
const OWN: Flags = EASY.or(Flags::NO_SCRIPT);
const ADMIN: Flags = OWN.or(Flags::ADMIN);

/// The rows.
pub static COMMANDS: &[Command] = &[row(
    "acl",
    -2,
    "6.0.0",
    Handler::Session(help),
    "A container for commands about users and what they may do.",
)
.container(SUBCOMMANDS)];

#[rustfmt::skip]
static SUBCOMMANDS: &[Command] = &[
    row("cat", -2, "6.0.0", Handler::Session(show::cat), "The categories of commands, or the commands of one.").with(OWN)
        .takes("[categoryname]"),
    row("deluser", -3, "6.0.0", Handler::Async(deluser), "Deletes users and closes their connections.").with(ADMIN)
        .takes("username..."),
    row("dryrun", -4, "7.0.0", Handler::Session(dryrun), "Whether a user may run a command, without running it.").with(ADMIN)
        .takes("username command [arg...]"),
    row("genpass", -2, "6.0.0", Handler::Session(genpass), "A password that nobody can guess.").with(OWN)
        .takes("[bits:integer]"),
    row("getuser", 3, "6.0.0", Handler::Session(show::getuser), "The rules of a user.").with(ADMIN)
        .takes("username").changes(&[("6.2.0", "Shows the channels."), ("7.0.0", "Shows selectors, and keys and channels as they are written in rules.")]),
    row("help", 2, "6.0.0", Handler::Session(help), "Says what there is.").with(EASY),
    row("list", 2, "6.0.0", Handler::Session(show::list), "All users as lines of a file of users.").with(ADMIN),
    row("load", 2, "6.0.0", Handler::Async(file::load), "Reads the users from the file.").with(ADMIN),
    row("log", -2, "6.0.0", Handler::Session(show::log), "What was denied of late.").with(ADMIN)
        .takes("[operation(count:integer|RESET)]"),
    row("save", 2, "6.0.0", Handler::Session(file::save), "Writes the users to the file.").with(ADMIN),
    row("setuser", -3, "6.0.0", Handler::Async(setuser), "Makes or changes a user.").with(ADMIN).hides(Hidden::From(2))
        .takes("username [rule...]").changes(&[("6.2.0", "Rules may be about channels."), ("7.0.0", "Rules may be selectors, and tell reading keys from writing them.")]),
    row("users", 2, "6.0.0", Handler::Session(users), "The names of all users.").with(ADMIN),
    row("whoami", 2, "6.0.0", Handler::Session(whoami), "The user of the connection.").with(OWN),
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
        Group::Server,
        since,
        handler,
        summary,
    )
}
