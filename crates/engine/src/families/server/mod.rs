//! Commands about the server that need no socket: COMMAND, TIME, LASTSAVE.

mod command;
mod docs;
mod lolwut;

use crate::command::{Command, CommandResult, Flags, Group, Handler, Keys};
use crate::session::Session;
use damselfly_resp::ReplyWriter;
use std::time::{SystemTime, UNIX_EPOCH};

fn time(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    out.array(2);
    out.bulk(since.as_secs().to_string());
    out.bulk(since.subsec_micros().to_string());
    Ok(())
}

const EASY: Flags = Flags::LOADING.or(Flags::STALE);
const FAST: Flags = EASY.or(Flags::FAST);

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("command", -1, "2.8.13", Handler::Session(command::all), "Says what commands there are.").with(EASY.or(Flags::ACL_CONNECTION)).container(command::SUBCOMMANDS).hints("nondeterministic_output_order"),
    row("time", 1, "2.6.0", Handler::Session(time), "The server's time: seconds and microseconds.").with(FAST).hints("nondeterministic_output"),
    row("lolwut", -1, "5.0.0", Handler::Session(lolwut::lolwut), "Draws something, and tells the version.").with(Flags::FAST.or(Flags::READS))
        .takes("[VERSION=version:integer]"),
    row("monitor", 1, "1.0.0", Handler::Session(crate::session::monitor), "Shows the commands of all clients as they run.").with(EASY.or(Flags::ADMIN).or(Flags::NO_SCRIPT)),
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
