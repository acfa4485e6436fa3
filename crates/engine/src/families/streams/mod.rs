//! Commands of streams and their consumer groups.

mod add;
mod autoclaim;
mod claim;
mod entries;
mod groups;
mod ids;
mod info;
mod pending;
mod propagate;
mod range;
mod read;
mod read_args;
mod read_group;
mod trim_args;

use crate::command::{Command, Flags, Found, Group, Handler, Keys, Spread};
use read_args::READ;
use read_group::READ_GROUP;

use Handler::{Read, Rewrite, Session, Write};

const fn row(
    name: &'static str,
    arity: i16,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    keyed(name, arity, Keys::ONE, since, handler, summary)
}

/// A subcommand: its key is its second argument.
const fn sub(name: &'static str, arity: i16, handler: Handler, summary: &'static str) -> Command {
    keyed(name, arity, Keys::SECOND, "5.0.0", handler, summary)
}

const fn keyed(
    name: &'static str,
    arity: i16,
    keys: Keys,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, keys, Group::Stream, since, handler, summary)
}

const FAST: Flags = Flags::FAST;
const GROWS: Flags = Flags::DENY_OOM;
const GROWS_FAST: Flags = GROWS.or(FAST);
const HELPS: Flags = Flags::LOADING.or(Flags::STALE);

/// Every stream answers for itself.
const EACH: Spread = Spread::KeyByKey(Found::All);

/// Where the keys of XREAD and XREADGROUP are.
const STREAMS: &str = "STREAMS";
const READ_KEYS: Keys = Keys::BehindWord {
    word: STREAMS,
    from: 1,
    find: read_args::keys_of_xread,
};
const READ_GROUP_KEYS: Keys = Keys::BehindWord {
    word: STREAMS,
    from: 4,
    find: read_args::keys_of_xreadgroup,
};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("xadd", -5, "5.0.0", Rewrite(add::xadd), "Adds an entry to a stream, made if need be.").with(GROWS_FAST).access("RW update").hints("nondeterministic_output")
        .takes("key [NOMKSTREAM@6.2.0] [trim(strategy(MAXLEN|MINID@6.2.0) [operator(==equal:token|~=approximately:token)] threshold [LIMIT=count:integer@6.2.0])] id_or_auto(*=auto_id:token|id) field_value(field value)...").changes(&[("7.0.0", "An id may be `<ms>-*`.")]),
    row("xtrim", -4, "5.0.0", Rewrite(add::xtrim), "Removes the oldest entries of a stream.").access("RW delete").hints("nondeterministic_output")
        .takes("key trim(strategy(MAXLEN|MINID@6.2.0) [operator(==equal:token|~=approximately:token)] threshold [LIMIT=count:integer@6.2.0])"),
    row("xdel", -3, "5.0.0", Write(add::xdel), "Removes entries of a stream.").with(FAST).access("RW delete")
        .takes("key id..."),
    row("xsetid", -3, "5.0.0", Write(add::xsetid), "Sets the last id of a stream.").with(GROWS_FAST).access("RW update")
        .takes("key last-id [ENTRIESADDED=entries_added:integer@7.0.0] [MAXDELETEDID=max_deleted_entry_id@7.0.0]"),
    row("xlen", 2, "5.0.0", Read(range::xlen), "Returns the number of entries of a stream.").with(FAST).access("RO")
        .takes("key"),
    row("xrange", -4, "5.0.0", Read(range::xrange), "Returns the entries within a range of ids.")
        .takes("key start end [COUNT=count:integer]").changes(&[("6.2.0", "Ranges may leave out their ends.")]),
    row("xrevrange", -4, "5.0.0", Read(range::xrevrange), "Returns the entries within a range of ids, the last first.")
        .takes("key end start [COUNT=count:integer]").changes(&[("6.2.0", "Ranges may leave out their ends.")]),
    keyed("xread", -4, READ_KEYS, "5.0.0", Read(read::xread), "Returns the entries of some streams after those that a client knows.").spread(EACH).blocks(READ).in_scripts(read_args::xread_in_script)
        .takes("[COUNT=count:integer] [BLOCK=milliseconds:integer] STREAMS=streams(key... id...)"),
    keyed("xreadgroup", -7, READ_GROUP_KEYS, "5.0.0", Rewrite(read_group::xreadgroup), "Delivers entries of some streams to a consumer of a group.").access("RO access").spread(EACH).blocks(READ_GROUP).in_scripts(read_args::xreadgroup_in_script)
        .takes("GROUP=group_consumer(group consumer) [COUNT=count:integer] [BLOCK=milliseconds:integer] [NOACK] STREAMS=streams(key... id...)"),
    row("xack", -4, "5.0.0", Write(pending::xack), "Acknowledges entries that were delivered to a consumer group.").with(FAST).access("RW update")
        .takes("key group id..."),
    row("xpending", -3, "5.0.0", Read(pending::xpending), "Tells what was delivered to a consumer group and not acknowledged.").hints("nondeterministic_output")
        .takes("key group [filters([IDLE=min-idle-time:integer@6.2.0] start end count:integer [consumer])]").changes(&[("6.2.0", "Ranges may leave out their ends.")]),
    row("xclaim", -6, "5.0.0", Rewrite(claim::xclaim), "Gives pending entries to another consumer.").with(FAST).access("RW update").hints("nondeterministic_output")
        .takes("key group consumer min-idle-time id... [IDLE=ms:integer] [TIME=unix-time-milliseconds:unix-time] [RETRYCOUNT=count:integer] [FORCE] [JUSTID] [LASTID=id]"),
    row("xautoclaim", -6, "6.2.0", Rewrite(autoclaim::xautoclaim), "Gives entries that have been pending for long to another consumer.").with(FAST).access("RW delete").hints("nondeterministic_output")
        .takes("key group consumer min-idle-time start [COUNT=count:integer] [JUSTID]").changes(&[("7.0.0", "Tells which entries are no more.")]),
    keyed("xgroup", -2, Keys::None, "5.0.0", Session(groups::help), "Makes, changes and removes consumer groups.").container(GROUP_SUBCOMMANDS),
    keyed("xinfo", -2, Keys::None, "5.0.0", Session(info::help), "Looks into streams and their consumer groups.").container(INFO_SUBCOMMANDS),
];

#[rustfmt::skip]
static GROUP_SUBCOMMANDS: &[Command] = &[
    sub("create", -5, Write(groups::create), "Makes a consumer group.").with(GROWS).access("RW insert")
        .takes("key groupname id(id|$=new_id:token) [MKSTREAM] [ENTRIESREAD=entries_read:integer]").changes(&[("7.0.0", "Takes `ENTRIESREAD`.")]),
    keyed("createconsumer", 5, Keys::SECOND, "6.2.0", Write(groups::create_consumer), "Makes a consumer of a group.").with(GROWS).access("RW insert")
        .takes("key groupname consumername"),
    sub("delconsumer", 5, Write(groups::delete_consumer), "Removes a consumer of a group, and what it has pending.").access("RW delete")
        .takes("key groupname consumername"),
    sub("destroy", 4, Write(groups::destroy), "Removes a consumer group.").access("RW delete")
        .takes("key groupname"),
    keyed("help", 2, Keys::None, "5.0.0", Session(groups::help), "What XGROUP can do.").with(HELPS),
    sub("setid", -5, Write(groups::setid), "Sets the last id that a group has been given.").access("RW update")
        .takes("key groupname id(id|$=new_id:token) [ENTRIESREAD=entries_read:integer]").changes(&[("7.0.0", "Takes `ENTRIESREAD`.")]),
];

#[rustfmt::skip]
static INFO_SUBCOMMANDS: &[Command] = &[
    sub("consumers", 4, Read(info::consumers), "The consumers of a group.").hints("nondeterministic_output")
        .takes("key groupname"),
    sub("groups", 3, Read(info::groups), "The consumer groups of a stream.")
        .takes("key").changes(&[("7.0.0", "Shows `entries-read` and `lag`.")]),
    keyed("help", 2, Keys::None, "5.0.0", Session(info::help), "What XINFO can do.").with(HELPS),
    sub("stream", -3, Read(info::stream), "What a stream holds, and how.")
        .takes("key [FULL=full([COUNT=count:integer])]").changes(&[("6.0.0", "Takes `FULL`."), ("7.0.0", "Shows `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag`.")]),
];
