//! Commands about the connection itself.

use crate::command::{Command, CommandResult, Flags, Group, Handler, Keys};
use crate::session::Session;
use damselfly_resp::ReplyWriter;

fn ping(_: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    match args {
        [_] => out.simple("PONG"),
        [_, text] => out.bulk(text),
        _ => return Err(crate::session::arity_error("ping")),
    }
    Ok(())
}

fn echo(_: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.bulk(args[1]);
    Ok(())
}

fn select(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    session.db = super::options::db_index(args[1], session.thread.engine.options.dbnum)?;
    out.ok();
    Ok(())
}

const EASY: Flags = Flags::FAST.or(Flags::LOADING).or(Flags::STALE);

/// The rows.
pub static COMMANDS: &[Command] = &[
    row("ping", -1, "1.0.0", Handler::Session(ping), "Returns the server's liveliness response.").with(Flags::FAST),
    row("echo", 2, "1.0.0", Handler::Session(echo), "Returns the given string.").with(EASY),
    row("select", 2, "1.0.0", Handler::Session(select), "Changes the selected database.").with(EASY),
];

const fn row(
    name: &'static str,
    arity: i16,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, Keys::None, Group::Connection, since, handler, summary).with(Flags::LOADING)
}
