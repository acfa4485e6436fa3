//! SCRIPT: what is known of scripts, and ending them.

use crate::command::{Command, CommandError, CommandResult, Flags, Group, Handler, Keys};
use crate::families::options::is_word;
use crate::script::Killed;
use crate::session::Session;
use damselfly_resp::ReplyWriter;

fn load(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.bulk(session.script_of(args[2])?.sha);
    Ok(())
}

fn exists(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.array(args.len() - 2);
    for name in &args[2..] {
        let is_known = session.thread.engine.scripts.cache.get(name).is_some();
        out.integer(is_known.into());
    }
    Ok(())
}

fn flush(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    match args {
        [_, _] => {}
        [_, _, how] if is_word(how, "SYNC") || is_word(how, "ASYNC") => {}
        _ => {
            return Err(CommandError::text(
                "ERR SCRIPT FLUSH only support SYNC|ASYNC option",
            ));
        }
    }
    session.thread.engine.scripts.cache.flush();
    out.ok();
    Ok(())
}

fn kill(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    session.thread.engine.scripts.running.kill(Killed::Script)?;
    out.ok();
    Ok(())
}

/// There is no debugger; what asks for none is granted.
fn debug(_: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    if is_word(args[2], "NO") {
        out.ok();
        return Ok(());
    }
    if is_word(args[2], "YES") || is_word(args[2], "SYNC") {
        return Err(CommandError::text("ERR there is no debugger of scripts"));
    }
    Err(CommandError::text("ERR Use SCRIPT DEBUG YES/SYNC/NO"))
}

const HELP: &[&str] = &[
    "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DEBUG (YES|SYNC|NO)",
    "    Set the debug mode for subsequent scripts executed.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Return information about the existence of the scripts in the script cache.",
    "FLUSH [ASYNC|SYNC]",
    "    Flush the Lua scripts cache. Very dangerous on replicas.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the scripts cache.",
    "    * SYNC: Synchronously flush the scripts cache.",
    "KILL",
    "    Kill the currently executing Lua script.",
    "LOAD <script>",
    "    Load a script into the scripts cache without executing it.",
    "HELP",
    "    Prints this help.",
];

fn help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.array(HELP.len());
    HELP.iter().for_each(|line| out.simple(line));
    Ok(())
}

const EVERYWHERE: &str = "request_policy:all_nodes response_policy:all_succeeded";

#[rustfmt::skip]
static SUBCOMMANDS: &[Command] = &[
    sub("debug", 3, "3.2.0", Handler::Session(debug), "Says whether scripts are debugged: they are not.")
        .takes("mode(YES|SYNC|NO)"),
    sub("exists", -3, "2.6.0", Handler::Session(exists), "Says which scripts are known.").hints("request_policy:all_shards response_policy:agg_logical_and")
        .takes("sha1..."),
    sub("flush", -2, "2.6.0", Handler::Session(flush), "Forgets all scripts.").hints(EVERYWHERE)
        .takes("[async(ASYNC|SYNC)@6.2.0]"),
    HELP_ROW,
    sub("kill", 2, "2.6.0", Handler::Session(kill), "Ends a script that runs for too long.").with(Flags::ALLOW_BUSY).hints("request_policy:all_shards response_policy:one_succeeded"),
    sub("load", 3, "2.6.0", Handler::Session(load), "Makes a script known.").with(Flags::STALE).hints(EVERYWHERE)
        .takes("script"),
];

const HELP_ROW: Command = Command {
    flags: Flags::LOADING.or(Flags::STALE),
    ..sub(
        "help",
        2,
        "5.0.0",
        Handler::Session(help),
        "Says what there is.",
    )
};

/// The container.
pub(super) const SCRIPT: Command = Command::new(
    "script",
    -2,
    Keys::None,
    Group::Scripting,
    "2.6.0",
    Handler::Session(help),
    "Knows and ends scripts.",
)
.container(SUBCOMMANDS);

const fn sub(
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
        Group::Scripting,
        since,
        handler,
        summary,
    )
    .with(Flags::NO_SCRIPT)
}
