//! FUNCTION: the libraries of functions.

use crate::command::{Command, CommandError, CommandResult, Flags, Group, Handler, Keys};
use crate::families::glob::Glob;
use crate::families::options::is_word;
use crate::script::libraries::{compile, compile_source};
use crate::script::{Killed, LibrarySet};
use crate::session::{Session, UNKNOWN_ECHO_BYTES};
use damselfly_lua::{FunctionInfo, Library, LibrarySource};
use damselfly_resp::ReplyWriter;
use damselfly_snapshot::{dump_functions, restore_functions};
use std::sync::Arc;

type Changed = Result<LibrarySet, CommandError>;

/// FUNCTION LOAD [REPLACE] code
fn load(
    session: &Session,
    libraries: &LibrarySet,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> Changed {
    let (code, options) = args[2..].split_last().expect("the arity asks for it");
    if let Some(other) = options.iter().find(|option| !is_word(option, "REPLACE")) {
        return Err(CommandError::echo("ERR Unknown option given: ", other, ""));
    }
    let source = LibrarySource::of(code).map_err(CommandError::Echo)?;
    if options.is_empty() && libraries.contains(&source.name) {
        return Err(CommandError::owned(format!(
            "ERR Library '{}' already exists",
            source.name
        )));
    }
    let library = compile_source(&session.thread, source, session.is_internal)?;
    let mut changed = libraries.clone();
    changed.insert(library.clone())?;
    out.bulk(&library.source.name);
    Ok(changed)
}

/// FUNCTION DELETE library
fn delete(
    _: &Session,
    libraries: &LibrarySet,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> Changed {
    let mut changed = libraries.clone();
    let name = std::str::from_utf8(args[2]).ok();
    if !name.is_some_and(|name| changed.remove(name)) {
        return Err(CommandError::text("ERR Library not found"));
    }
    out.ok();
    Ok(changed)
}

/// FUNCTION FLUSH [ASYNC|SYNC]
fn flush(_: &Session, _: &LibrarySet, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> Changed {
    match args {
        [_, _] => {}
        [_, _, how] if is_word(how, "SYNC") || is_word(how, "ASYNC") => {}
        [_, _, _] => {
            return Err(CommandError::text(
                "ERR FUNCTION FLUSH only supports SYNC|ASYNC option",
            ));
        }
        _ => return Err(wrong_words(args[1])),
    }
    out.ok();
    Ok(LibrarySet::default())
}

fn wrong_words(word: &[u8]) -> CommandError {
    let word = &word[..word.len().min(UNKNOWN_ECHO_BYTES)];
    let before = "ERR unknown subcommand or wrong number of arguments for '";
    CommandError::echo(before, word, "'. Try FUNCTION HELP.")
}

/// What becomes of libraries of the same name when others are restored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Flush,
    Append,
    Replace,
}

/// FUNCTION RESTORE payload [FLUSH|APPEND|REPLACE]
fn restore(
    session: &Session,
    libraries: &LibrarySet,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> Changed {
    let policy = match args {
        [_, _, _] => Policy::Append,
        [_, _, _, word] if is_word(word, "APPEND") => Policy::Append,
        [_, _, _, word] if is_word(word, "REPLACE") => Policy::Replace,
        [_, _, _, word] if is_word(word, "FLUSH") => Policy::Flush,
        [_, _, _, _] => {
            return Err(CommandError::text(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
        _ => return Err(wrong_words(args[1])),
    };
    let restored = read_payload(session, args[2])?;
    let mut changed = match policy {
        Policy::Flush => LibrarySet::default(),
        _ => libraries.clone(),
    };
    if policy == Policy::Append
        && let Some(known) = restored
            .iter()
            .find(|library| changed.contains(&library.source.name))
    {
        return Err(CommandError::owned(format!(
            "ERR Library {} already exists",
            known.source.name
        )));
    }
    // All that are replaced go first: their functions are in nobody's way.
    restored
        .iter()
        .for_each(|library| _ = changed.remove(&library.source.name));
    restored
        .into_iter()
        .try_for_each(|library| changed.insert(library))?;
    out.ok();
    Ok(changed)
}

/// The libraries of a payload of FUNCTION DUMP.
fn read_payload(session: &Session, payload: &[u8]) -> Result<Vec<Arc<Library>>, CommandError> {
    let sources =
        restore_functions(payload).map_err(|error| CommandError::owned(format!("ERR {error}")))?;
    let mut read = LibrarySet::default();
    for code in sources {
        let library = compile(&session.thread, &code, session.is_internal)?;
        if read.contains(&library.source.name) {
            return Err(CommandError::owned(format!(
                "ERR Library '{}' already exists",
                library.source.name
            )));
        }
        read.insert(library)?;
    }
    Ok(read.iter().cloned().collect())
}

fn dump(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let sources = session.thread.engine.scripts.libraries.sources();
    out.bulk(dump_functions(sources.iter().map(Vec::as_slice)));
    Ok(())
}

/// FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]
fn list(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let (mut pattern, mut with_code) = (None, false);
    let mut words = args[2..].iter();
    while let Some(word) = words.next() {
        if !with_code && is_word(word, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && is_word(word, "LIBRARYNAME") {
            let given = words.next();
            pattern = Some(given.ok_or(CommandError::text(
                "ERR library name argument was not given",
            ))?);
        } else {
            return Err(CommandError::echo("ERR Unknown argument ", word, ""));
        }
    }
    let pattern = pattern.map(|pattern| pattern.to_ascii_lowercase());
    let libraries = session.thread.engine.scripts.libraries.current();
    let shown: Vec<_> = libraries
        .iter()
        .filter(|library| {
            let name = library.source.name.to_ascii_lowercase();
            let pattern = pattern.as_deref().map(Glob::new);
            pattern.is_none_or(|pattern| pattern.matches(name.as_bytes()))
        })
        .collect();
    out.array(shown.len());
    for library in shown {
        out.map(3 + usize::from(with_code));
        out.bulk("library_name");
        out.bulk(&library.source.name);
        out.bulk("engine");
        out.bulk("LUA");
        out.bulk("functions");
        out.array(library.functions.len());
        library
            .functions
            .iter()
            .for_each(|function| describe(function, out));
        if with_code {
            out.bulk("library_code");
            out.bulk(&library.source.code);
        }
    }
    Ok(())
}

fn describe(function: &FunctionInfo, out: &mut ReplyWriter<'_>) {
    out.map(3);
    out.bulk("name");
    out.bulk(&function.name);
    out.bulk("description");
    match &function.description {
        Some(text) => out.bulk(text),
        None => out.null(),
    }
    out.bulk("flags");
    out.set(function.flags.names().count());
    function.flags.names().for_each(|name| out.simple(name));
}

fn stats(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let scripts = &session.thread.engine.scripts;
    let running = scripts.running.function();
    if running.is_none() && scripts.running.is_busy() {
        return Err(scripts.running.busy_error());
    }
    out.map(2);
    out.bulk("running_script");
    match running {
        None => out.null(),
        Some((name, command, elapsed_ms)) => {
            out.map(3);
            out.bulk("name");
            out.bulk(name);
            out.bulk("command");
            out.array(command.len());
            command.iter().for_each(|word| out.bulk(word));
            out.bulk("duration_ms");
            out.integer(elapsed_ms as i64);
        }
    }
    let libraries = scripts.libraries.current();
    out.bulk("engines");
    out.map(1);
    out.bulk("LUA");
    out.map(2);
    out.bulk("libraries_count");
    out.integer(libraries.len() as i64);
    out.bulk("functions_count");
    out.integer(libraries.functions_len() as i64);
    Ok(())
}

fn kill(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let running = &session.thread.engine.scripts.running;
    running.kill(Killed::Function)?;
    out.ok();
    Ok(())
}

const HELP: &[&str] = &[
    "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Create a new library with the given library name and code.",
    "DELETE <LIBRARY NAME>",
    "    Delete the given library.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Return general information on all the libraries:",
    "    * Library name",
    "    * The engine used to run the Library",
    "    * Library description",
    "    * Functions list",
    "    * Library code (if WITHCODE is given)",
    "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
    "STATS",
    "    Return information about the current function running:",
    "    * Function name",
    "    * Command used to run the function",
    "    * Duration in MS that the function is running",
    "    If no function is running, return nil",
    "    In addition, returns a list of available engines.",
    "KILL",
    "    Kill the current running function.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all the libraries.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the libraries.",
    "    * SYNC: Synchronously flush the libraries.",
    "DUMP",
    "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
    "    control how to handle existing libraries (default APPEND):",
    "    * FLUSH: delete all existing libraries.",
    "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
    "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
    "      libraries with the new libraries (notice that even on this option there is a chance of failure",
    "      in case of functions name collision with another library).",
    "HELP",
    "    Prints this help.",
];

fn help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.array(HELP.len());
    HELP.iter().for_each(|line| out.simple(line));
    Ok(())
}

const ALL: &str = "request_policy:all_shards response_policy:all_succeeded";

#[rustfmt::skip]
static SUBCOMMANDS: &[Command] = &[
    sub("delete", 3, Handler::Library(delete), "Deletes a library.").with(Flags::NO_SCRIPT).hints(ALL)
        .takes("library-name"),
    sub("dump", 2, Handler::Session(dump), "Gives all libraries as one payload.").with(Flags::NO_SCRIPT),
    sub("flush", -2, Handler::Library(flush), "Deletes all libraries.").with(Flags::NO_SCRIPT).hints(ALL)
        .takes("[async(ASYNC|SYNC)]"),
    sub("help", 2, Handler::Session(help), "Says what there is.").with(Flags::LOADING.or(Flags::STALE)),
    sub("kill", 2, Handler::Session(kill), "Ends a function that runs for too long.").with(QUICK).hints("request_policy:all_shards response_policy:one_succeeded"),
    sub("list", -2, Handler::Session(list), "Lists libraries and their functions.").with(Flags::NO_SCRIPT).hints("nondeterministic_output_order")
        .takes("[LIBRARYNAME=library-name-pattern] [WITHCODE]"),
    sub("load", -3, Handler::Library(load), "Makes a library known.").with(GROWS).hints(ALL)
        .takes("[REPLACE] function-code"),
    sub("restore", -3, Handler::Library(restore), "Makes the libraries of a payload known.").with(GROWS).hints(ALL)
        .takes("serialized-value [policy(FLUSH|APPEND|REPLACE)]"),
    sub("stats", 2, Handler::Session(stats), "Says what function runs, and how many there are.").with(QUICK).hints("nondeterministic_output request_policy:all_shards response_policy:special"),
];

const QUICK: Flags = Flags::NO_SCRIPT.or(Flags::ALLOW_BUSY);
const GROWS: Flags = Flags::NO_SCRIPT.or(Flags::DENY_OOM);

/// The container.
pub(super) const FUNCTION: Command = sub(
    "function",
    -2,
    Handler::Session(help),
    "Keeps libraries of functions.",
)
.container(SUBCOMMANDS);

const fn sub(name: &'static str, arity: i16, handler: Handler, summary: &'static str) -> Command {
    Command::new(
        name,
        arity,
        Keys::None,
        Group::Scripting,
        "7.0.0",
        handler,
        summary,
    )
}
