//! SLOWLOG and LATENCY.

mod graph;
mod histogram;

use damselfly_engine::families::options::is_word;
use damselfly_engine::resp::{ReplyWriter, parse_i64};
use damselfly_engine::slow::{SlowEntry, SlowLog};
use damselfly_engine::{
    Command, CommandError, CommandResult, Flags, Group, Handler, Keys, Session,
};

/// Entries that SLOWLOG GET shows unless asked for more.
const SHOWN: usize = 10;

fn log_of(session: &Session) -> &SlowLog {
    &session.thread.engine.slow
}

fn get(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let most = match args {
        [_, _] => SHOWN,
        [_, _, count] => match parse_i64(count) {
            Some(-1) => usize::MAX,
            Some(count @ 0..) => usize::try_from(count).unwrap_or(usize::MAX),
            _ => {
                return Err(CommandError::text(
                    "ERR count should be greater than or equal to -1",
                ));
            }
        },
        _ => {
            return Err(CommandError::text(
                "ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.",
            ));
        }
    };
    let entries = log_of(session).last(most);
    out.array(entries.len());
    entries.iter().for_each(|entry| write_entry(entry, out));
    Ok(())
}

fn write_entry(entry: &SlowEntry, out: &mut ReplyWriter<'_>) {
    out.array(6);
    out.integer(entry.id as i64);
    out.integer(entry.at / 1000);
    out.integer(i64::try_from(entry.command.took.as_micros()).unwrap_or(i64::MAX));
    out.array(entry.command.args.len());
    entry.command.args.iter().for_each(|arg| out.bulk(arg));
    out.bulk(&entry.peer);
    out.bulk(&entry.name);
}

fn len(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.integer(log_of(session).len() as i64);
    Ok(())
}

fn reset(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    log_of(session).reset();
    out.ok();
    Ok(())
}

fn latest(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let events = log_of(session).latency.events();
    out.array(events.len());
    for (name, event) in events {
        out.array(4);
        out.bulk(name);
        let last = event.samples.back();
        out.integer(last.map_or(0, |sample| sample.at_s));
        out.integer(last.map_or(0, |sample| sample.took_ms as i64));
        out.integer(event.most_ms as i64);
    }
    Ok(())
}

fn history(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let event = log_of(session).latency.event(args[2]).unwrap_or_default();
    out.array(event.samples.len());
    for sample in event.samples {
        out.array(2);
        out.integer(sample.at_s);
        out.integer(sample.took_ms as i64);
    }
    Ok(())
}

fn reset_latency(
    session: &mut Session,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let monitor = &log_of(session).latency;
    let reset = match &args[2..] {
        [] => monitor.reset_all(),
        names => names.iter().filter(|name| monitor.reset(name)).count(),
    };
    out.integer(reset as i64);
    Ok(())
}

const SLOWLOG_HELP: &[&str] = &[
    "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
    "HELP",
    "    Prints this help.",
];

fn slowlog_help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    super::write_help(SLOWLOG_HELP, out);
    Ok(())
}

const LATENCY_HELP: &[&str] = &[
    "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Return a human readable latency analysis report.",
    "GRAPH <event>",
    "    Return an ASCII latency graph for the <event> class.",
    "HISTORY <event>",
    "    Return time-latency samples for the <event> class.",
    "LATEST",
    "    Return the latest latency samples for all events.",
    "RESET [<event> ...]",
    "    Reset latency data of one or more <event> classes.",
    "    (default: reset all data for all event classes)",
    "HISTOGRAM [COMMAND ...]",
    "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
    "    If no commands are specified then all histograms are replied.",
    "HELP",
    "    Prints this help.",
];

fn latency_help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    super::write_help(LATENCY_HELP, out);
    Ok(())
}

const EASY: Flags = Flags::LOADING.or(Flags::STALE);
const ADMIN: Flags = EASY.or(Flags::ADMIN);
const QUIET: Flags = ADMIN.or(Flags::NO_SCRIPT);
const SLOWLOG_HINTS: &str = "request_policy:all_nodes nondeterministic_output";
const LATENCY_HINTS: &str =
    "nondeterministic_output request_policy:all_nodes response_policy:special";

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("slowlog", -2, "2.2.12", Handler::Session(slowlog_help), "A container for commands about commands that took long.").container(SLOWLOG),
    row("latency", -2, "2.8.13", Handler::Session(latency_help), "A container for commands about what took long.").container(LATENCY),
];

#[rustfmt::skip]
static SLOWLOG: &[Command] = &[
    row("get", -2, "2.2.12", Handler::Session(get), "The last commands that took long.").with(ADMIN).hints(SLOWLOG_HINTS)
        .takes("[count:integer]").changes(&[("4.0.0", "Shows the client's address and name.")]),
    row("help", 2, "6.2.0", Handler::Session(slowlog_help), "Says what there is.").with(EASY),
    row("len", 2, "2.2.12", Handler::Session(len), "How many commands took long.").with(ADMIN).hints("request_policy:all_nodes response_policy:agg_sum nondeterministic_output"),
    row("reset", 2, "2.2.12", Handler::Session(reset), "Forgets the commands that took long.").with(ADMIN).hints("request_policy:all_nodes response_policy:all_succeeded"),
];

#[rustfmt::skip]
static LATENCY: &[Command] = &[
    row("doctor", 2, "2.8.13", Handler::Session(graph::doctor), "A report for people about what took long.").with(QUIET).hints(LATENCY_HINTS),
    row("graph", 3, "2.8.13", Handler::Session(graph::graph), "Draws what took long of one kind of event.").with(QUIET).hints(LATENCY_HINTS)
        .takes("event"),
    row("help", 2, "2.8.13", Handler::Session(latency_help), "Says what there is.").with(EASY),
    row("histogram", -2, "7.0.0", Handler::Async(histogram::histogram), "How many calls of commands took how long.").with(QUIET).hints(LATENCY_HINTS)
        .takes("[command...]"),
    row("history", 3, "2.8.13", Handler::Session(history), "What took long of one kind of event.").with(QUIET).hints(LATENCY_HINTS)
        .takes("event"),
    row("latest", 2, "2.8.13", Handler::Session(latest), "What took long last, of all kinds of events.").with(QUIET).hints(LATENCY_HINTS),
    row("reset", -2, "2.8.13", Handler::Session(reset_latency), "Forgets what took long.").with(QUIET).hints("request_policy:all_nodes response_policy:all_succeeded")
        .takes("[event...]"),
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

/// Whether a command's name is one of those that were asked for: its own, or its container's.
fn is_asked(name: &str, asked: &[&[u8]]) -> bool {
    let container = name.split('|').next().unwrap_or_default();
    asked
        .iter()
        .any(|word| is_word(word, name) || is_word(word, container))
}
