//! PUBSUB: which channels have subscribers, and how many.

use super::{EASY, OF_CHANNELS, row};
use crate::command::{Command, CommandError, CommandResult, Handler, echoed};
use crate::families::glob::Glob;
use crate::pubsub::Kind;
use crate::session::Session;
use crate::session::UNKNOWN_ECHO_BYTES;
use damselfly_resp::ReplyWriter;

fn names(
    session: &Session,
    kind: Kind,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let pattern = match args {
        [_, _] => None,
        [_, _, pattern] => Some(Glob::new(pattern)),
        _ => {
            return Err(CommandError::echo(
                "ERR unknown subcommand or wrong number of arguments for '",
                echoed(args[1], UNKNOWN_ECHO_BYTES),
                "'. Try PUBSUB HELP.",
            ));
        }
    };
    let names = session.thread.engine.subscriptions.matching(kind, pattern);
    out.array(names.len());
    names.iter().for_each(|name| out.bulk(name));
    Ok(())
}

fn counts(
    session: &Session,
    kind: Kind,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    out.array((args.len() - 2) * 2);
    for name in &args[2..] {
        out.bulk(name);
        let count = session.thread.engine.subscriptions.count(kind, name);
        out.integer(count as i64);
    }
    Ok(())
}

fn channels(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    names(session, Kind::Channel, args, out)
}

fn shard_channels(
    session: &mut Session,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    names(session, Kind::Shard, args, out)
}

fn numsub(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    counts(session, Kind::Channel, args, out)
}

fn shard_numsub(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    counts(session, Kind::Shard, args, out)
}

fn numpat(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let patterns = session.thread.engine.subscriptions.len(Kind::Pattern);
    out.integer(patterns as i64);
    Ok(())
}

const HELP: &[&str] = &[
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
    "HELP",
    "    Prints this help.",
];

pub(super) fn help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.array(HELP.len());
    HELP.iter().for_each(|line| out.simple(line));
    Ok(())
}

#[rustfmt::skip]
pub(super) static SUBCOMMANDS: &[Command] = &[
    row("channels", -2, "2.8.0", Handler::Session(channels), "The channels that have subscribers.").with(OF_CHANNELS)
        .takes("[pattern]"),
    row("help", 2, "6.2.0", Handler::Session(help), "Says what there is.").with(EASY),
    row("numpat", 2, "2.8.0", Handler::Session(numpat), "How many patterns have subscribers.").with(OF_CHANNELS),
    row("numsub", -2, "2.8.0", Handler::Session(numsub), "How many subscribers channels have.").with(OF_CHANNELS)
        .takes("[channel...]"),
    row("shardchannels", -2, "7.0.0", Handler::Session(shard_channels), "The shard channels that have subscribers.").with(OF_CHANNELS)
        .takes("[pattern]"),
    row("shardnumsub", -2, "7.0.0", Handler::Session(shard_numsub), "How many subscribers shard channels have.").with(OF_CHANNELS)
        .takes("[shardchannel...]"),
];
