//! CONFIG: the server's [`Settings`](crate::Settings) for clients.

use std::sync::Arc;

use damselfly_engine::families::glob::Glob;
use damselfly_engine::resp::ReplyWriter;
use damselfly_engine::session::AsyncResult;
use damselfly_engine::{
    Command, CommandError, CommandResult, Engine, Flags, Group, Handler, Keys, Session,
};

use crate::service::SessionHost;
use crate::settings::Settings;

/// The lines of CONFIG HELP (Redis 7.0, `config.c`).
const HELP: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
    "HELP",
    "    Prints this help.",
];

fn settings(session: &Session) -> Option<Arc<Settings>> {
    let host = session.host.downcast_ref::<SessionHost>()?;
    Some(host.server.shared.settings.clone())
}

fn needs_server() -> CommandError {
    CommandError::text("ERR this session has no server whose configuration it could see")
}

fn get(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let settings = settings(session).ok_or_else(needs_server)?;
    let found = settings.get(&args[2..], &|pattern, name| {
        Glob::new(&pattern.to_ascii_lowercase()).matches(name)
    });
    out.map(found.len());
    for (name, value) in found {
        out.bulk(name);
        out.bulk(value);
    }
    Ok(())
}

fn set(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let settings = settings(session).ok_or_else(needs_server)?;
    let refused = |error: crate::SettingError| CommandError::owned(format!("ERR {error}"));
    settings.set(&args[2..]).map_err(refused)?;
    out.ok();
    Ok(())
}

fn reset_statistics<'a>(
    session: &'a mut Session,
    _: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let reset = |thread: &std::rc::Rc<damselfly_engine::thread::Thread>| {
            thread.stats.borrow_mut().reset();
            thread.try_with_core(|core| core.space.reset_stats());
        };
        session.thread.on_all_threads(reset).await;
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

fn rewrite(_: &mut Session, _: &[&[u8]], _: &mut ReplyWriter<'_>) -> CommandResult {
    Err(CommandError::text(
        "ERR The server is running without a config file",
    ))
}

fn help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.array(HELP.len());
    HELP.iter().for_each(|line| out.simple(line));
    Ok(())
}

/// Lets the shards follow the settings that they have a copy of.
pub fn apply_changes(settings: &Settings, engine: &Arc<Engine>) {
    let engine = engine.clone();
    settings.watch(move |config| {
        let shards = engine.mesh.shards();
        let share = usize::try_from(config.maxmemory).unwrap_or(usize::MAX) / shards;
        for shard in 0..shards {
            let task = Box::new(
                move |thread: &std::rc::Rc<damselfly_engine::thread::Thread>| {
                    thread.try_with_core(|core| core.max_memory = share);
                },
            );
            engine.mesh.run_on(shard, task);
        }
    });
}

const ANYTIME: Flags = Flags::ADMIN
    .or(Flags::NO_SCRIPT)
    .or(Flags::LOADING)
    .or(Flags::STALE)
    .or(Flags::DANGEROUS);

/// The rows.
pub static COMMANDS: &[Command] = &[row(
    "config",
    -2,
    Handler::Session(help),
    "A container for server configuration commands.",
)
.container(SUBCOMMANDS)];

static SUBCOMMANDS: &[Command] = &[
    row(
        "get",
        -3,
        Handler::Session(get),
        "Returns the effective values of configuration parameters.",
    )
    .with(ANYTIME),
    row(
        "set",
        -4,
        Handler::Session(set),
        "Sets configuration parameters in-flight.",
    )
    .with(ANYTIME),
    row(
        "resetstat",
        2,
        Handler::Async(reset_statistics),
        "Resets the server's statistics.",
    )
    .with(ANYTIME),
    row(
        "rewrite",
        2,
        Handler::Session(rewrite),
        "Persists the effective configuration to file.",
    )
    .with(ANYTIME),
    row(
        "help",
        2,
        Handler::Session(help),
        "Returns helpful text about the different subcommands.",
    )
    .with(Flags::LOADING.or(Flags::STALE)),
];

const fn row(name: &'static str, arity: i16, handler: Handler, summary: &'static str) -> Command {
    Command::new(
        name,
        arity,
        Keys::None,
        Group::Server,
        "2.0.0",
        handler,
        summary,
    )
}
