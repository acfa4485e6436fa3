//! OBJECT: how a value is kept.

use crate::command::{Command, CommandError, CommandResult, Flags, Group, Handler, Keys};
use crate::context::ReadContext;
use crate::families::debug::encoding_name;
use crate::session::Session;
use crate::usage::Tracking;
use damselfly_resp::ReplyWriter;
use damselfly_store::Value;

/// Numbers below this Redis shares among all keys,
const SHARED_NUMBERS: i64 = 10_000;
/// and this is how often it says that they are referred to.
const SHARED_COUNT: i64 = i32::MAX as i64;

const IDLE_TIME_UNKNOWN: &str = "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
     between policies at runtime LRU and LFU data will take some time to adjust.";
const FREQUENCY_UNKNOWN: &str = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
     between policies at runtime LRU and LFU data will take some time to adjust.";

const KEY: Keys = Keys::Range {
    first: 2,
    last: 2,
    step: 1,
};

/// The rows.
pub(super) static SUBCOMMANDS: &[Command] = &[
    row(
        "encoding",
        3,
        KEY,
        "2.2.3",
        Handler::Read(encoding),
        "The form that Redis would keep the value in.",
    )
    .access("RO")
    .hints("nondeterministic_output")
    .takes("key"),
    row(
        "freq",
        3,
        KEY,
        "4.0.0",
        Handler::Read(freq),
        "How often the key is used; needs an LFU policy.",
    )
    .access("RO")
    .hints("nondeterministic_output")
    .takes("key"),
    row(
        "help",
        2,
        Keys::None,
        "6.2.0",
        Handler::Session(help),
        "What OBJECT can do.",
    )
    .with(Flags::LOADING.or(Flags::STALE)),
    row(
        "idletime",
        3,
        KEY,
        "2.2.3",
        Handler::Read(idletime),
        "Seconds since the last use; needs a policy that is not LFU.",
    )
    .access("RO")
    .hints("nondeterministic_output")
    .takes("key"),
    row(
        "refcount",
        3,
        KEY,
        "2.2.3",
        Handler::Read(refcount),
        "How many refer to the value.",
    )
    .access("RO")
    .hints("nondeterministic_output")
    .takes("key"),
];

const fn row(
    name: &'static str,
    arity: i16,
    keys: Keys,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, keys, Group::Generic, since, handler, summary)
}

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    The form that Redis would keep the value of <key> in.",
    "FREQ <key>",
    "    How often <key> is used; only with an LFU policy.",
    "IDLETIME <key>",
    "    Seconds since the last use of <key>; not with an LFU policy.",
    "REFCOUNT <key>",
    "    How many refer to the value of <key>.",
    "HELP",
    "    Prints this help.",
];

pub(super) fn help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.array(HELP.len());
    HELP.iter().for_each(|line| out.simple(line));
    Ok(())
}

fn encoding(cx: &mut ReadContext<'_>, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    match cx.glance(args[2]) {
        Some(entry) => out.bulk(encoding_name(entry.value())),
        None => out.null(),
    }
    Ok(())
}

fn refcount(cx: &mut ReadContext<'_>, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    match cx.glance(args[2]).map(|entry| entry.value()) {
        Some(Value::Str(string))
            if string
                .as_int()
                .is_some_and(|int| (0..SHARED_NUMBERS).contains(&int)) =>
        {
            out.integer(SHARED_COUNT);
        }
        Some(_) => out.integer(1),
        None => out.null(),
    }
    Ok(())
}

fn idletime(cx: &mut ReadContext<'_>, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    match (cx.glance(args[2]), cx.space().usage.tracking()) {
        (None, _) => out.null(),
        (Some(_), Tracking::Frequency(_)) => return Err(CommandError::text(IDLE_TIME_UNKNOWN)),
        (Some(entry), Tracking::Time) => {
            out.integer(
                entry
                    .access()
                    .idle_s(cx.space().store.access_clock())
                    .into(),
            );
        }
    }
    Ok(())
}

fn freq(cx: &mut ReadContext<'_>, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    match (cx.glance(args[2]), cx.space().usage.tracking()) {
        (None, _) => out.null(),
        (Some(_), Tracking::Time) => return Err(CommandError::text(FREQUENCY_UNKNOWN)),
        (Some(entry), Tracking::Frequency(counting)) => {
            let now_s = cx.space().store.access_clock();
            out.integer(counting.decayed(entry.access(), now_s).into());
        }
    }
    Ok(())
}
