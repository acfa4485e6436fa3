//! Scripts: EVAL and its kin, FCALL, FUNCTION, SCRIPT.

mod admin;
mod functions;

use crate::command::{Command, CommandError, Flags, Group, Handler, Keys};
use crate::script::{Code, ScriptCall};
use crate::session::Session;

/// Hexadecimal digits of a script's name.
const NAME_LEN: usize = 40;

/// How a command says which script it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptSource {
    /// By its text.
    Text,
    /// By the SHA-1 sum of its text.
    Name,
    /// By the name of a function of a library.
    Function,
}

/// What a row says of the scripts that it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptKind {
    source: ScriptSource,
    read_only: bool,
}

impl ScriptKind {
    /// What a command line asks for.
    pub(crate) fn read<'a>(
        self,
        session: &Session,
        args: &'a [&'a [u8]],
    ) -> Result<ScriptCall<'a>, CommandError> {
        if self.source == ScriptSource::Name && args[1].len() != NAME_LEN {
            return Err(no_script());
        }
        if self.source == ScriptSource::Function {
            return self.read_function(session, args);
        }
        let (keys, rest) = keys_and_args(args)?;
        let script = match self.source {
            ScriptSource::Name => session.script_named(args[1]).ok_or_else(no_script)?,
            _ => session.script_of(args[1])?,
        };
        Ok(ScriptCall {
            code: Code::Script(script),
            keys,
            args: rest,
            read_only: self.read_only,
            limits: None,
        })
    }

    fn read_function<'a>(
        self,
        session: &Session,
        args: &'a [&'a [u8]],
    ) -> Result<ScriptCall<'a>, CommandError> {
        let found = session.thread.engine.scripts.libraries.function(args[1]);
        let (library, at) = found.ok_or(CommandError::text("ERR Function not found"))?;
        let (keys, rest) = keys_and_args(args).map_err(|error| match error {
            CommandError::NotInteger => CommandError::text("ERR Bad number of keys provided"),
            other => other,
        })?;
        Ok(ScriptCall {
            code: Code::Function(library, at),
            keys,
            args: rest,
            read_only: self.read_only,
            limits: None,
        })
    }
}

fn no_script() -> CommandError {
    CommandError::text("NOSCRIPT No matching script. Please use EVAL.")
}

/// The words of a command line.
type Words<'a> = &'a [&'a [u8]];

/// The keys and the other arguments of a script, as the number before them says.
fn keys_and_args<'a>(args: Words<'a>) -> Result<(Words<'a>, Words<'a>), CommandError> {
    let number = damselfly_resp::parse_i64(args[2]).ok_or(CommandError::NotInteger)?;
    let available = args.len() - 3;
    if number > available as i64 {
        return Err(CommandError::text(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    let Ok(number) = usize::try_from(number) else {
        return Err(CommandError::text("ERR Number of keys can't be negative"));
    };
    Ok(args[3..].split_at(number))
}

const DECLARED: Keys = Keys::Counted {
    count: 2,
    first: 3,
    extra: 0,
};
const SCRIPT: Flags = Flags::NO_SCRIPT.or(Flags::STALE).or(Flags::SKIP_MONITOR);

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("eval", "2.6.0", ScriptSource::Text, false, "Runs a script.")
        .takes("script numkeys:integer [key...] [arg...]"),
    row("evalsha", "2.6.0", ScriptSource::Name, false, "Runs a script that is known by its SHA-1 sum.")
        .takes("sha1 numkeys:integer [key...] [arg...]"),
    row("eval_ro", "7.0.0", ScriptSource::Text, true, "Runs a script that may only read.").with(Flags::READS)
        .takes("script numkeys:integer [key...] [arg...]"),
    row("evalsha_ro", "7.0.0", ScriptSource::Name, true, "Runs a script that may only read, and is known by its SHA-1 sum.").with(Flags::READS)
        .takes("sha1 numkeys:integer [key...] [arg...]"),
    row("fcall", "7.0.0", ScriptSource::Function, false, "Runs a function of a library.")
        .takes("function numkeys:integer [key...] [arg...]"),
    row("fcall_ro", "7.0.0", ScriptSource::Function, true, "Runs a function of a library that may only read.").with(Flags::READS)
        .takes("function numkeys:integer [key...] [arg...]"),
    functions::FUNCTION,
    admin::SCRIPT,
];

const fn row(
    name: &'static str,
    since: &'static str,
    source: ScriptSource,
    read_only: bool,
    summary: &'static str,
) -> Command {
    let kind = ScriptKind { source, read_only };
    let access = if read_only {
        "RO access"
    } else {
        "RW access update"
    };
    Command::new(
        name,
        -3,
        DECLARED,
        Group::Scripting,
        since,
        Handler::Script(kind),
        summary,
    )
    .with(SCRIPT)
    .access(access)
}
