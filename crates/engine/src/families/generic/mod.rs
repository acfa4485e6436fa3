//! Commands on keys of any type, and on whole databases.

mod dump;
mod expiry;
mod flush;
mod keys;
mod moving;
mod object;
mod scan;
mod sort;

pub(super) use expiry::{expire_key, persist_key};
pub(crate) use keys::delete_key;

use crate::command::{Command, Flags, Group, Handler, Keys, Merge, Spread};
use crate::families::element_expiry;

const FAST: Flags = Flags::FAST;
const DANGEROUS: Flags = Flags::DANGEROUS;

/// A destination may stand among the options.
const SORTED: Keys = Keys::OneAndAfter {
    words: &["STORE"],
    from: 2,
    skips: &[("LIMIT", 2), ("BY", 1), ("GET", 1)],
};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("copy", -3, Keys::TWO, "6.2.0", Handler::Rewrite(moving::copy), "Copies a key, to another database if asked.").with(Flags::DENY_OOM).spread(Spread::GatherAll).access("RO access;OW update")
        .takes("source:key destination:key [DB=destination-db:integer] [REPLACE]"),
    server("dbsize", 1, "1.0.0", Handler::Read(scan::dbsize), "The number of keys in the database.").with(FAST).spread(Spread::All(Merge::Sum)),
    many("del", -2, "1.0.0", Handler::Write(keys::del), "Deletes keys.").access("RM delete")
        .takes("key..."),
    one("dump", 2, "2.6.0", Handler::Read(dump::dump), "The value of a key in a form that RESTORE takes.").hints("nondeterministic_output")
        .takes("key"),
    many("exists", -2, "1.0.0", Handler::Read(keys::exists), "How many of these keys exist.").with(FAST).access("RO")
        .takes("key...").changes(&[("3.0.3", "Takes several keys.")]),
    one("expire", -3, "1.0.0", Handler::Rewrite(expiry::expire), "Lets a key expire after some seconds.").with(FAST).access("RW update")
        .takes("key seconds:integer [condition(NX|XX|GT|LT)@7.0.0]"),
    one("expireat", -3, "1.2.0", Handler::Rewrite(expiry::expireat), "Lets a key expire at a time in seconds.").with(FAST).access("RW update")
        .takes("key unix-time-seconds:unix-time [condition(NX|XX|GT|LT)@7.0.0]"),
    one("expiretime", 2, "7.0.0", Handler::Read(expiry::expiretime), "When a key expires, in Unix seconds.").with(FAST)
        .takes("key"),
    one("fieldexpire", -4, "1.0.0", Handler::Rewrite(element_expiry::fieldexpire), "Lets fields of a hash or members of a set expire after some seconds.").with(Flags::DRAGONFLY).with(Flags::DENY_OOM.or(FAST)).access("RW update")
        .takes("key seconds:integer element..."),
    one("fieldexpireat", -4, "1.0.0", Handler::Rewrite(element_expiry::fieldexpireat), "Lets fields of a hash or members of a set expire at a time in seconds.").with(Flags::DRAGONFLY).with(Flags::DENY_OOM.or(FAST)).access("RW update")
        .takes("key unix-time-seconds:unix-time element..."),
    one("fieldttl", 3, "1.0.0", Handler::Read(element_expiry::fieldttl), "Returns how many seconds a field of a hash or a member of a set has left.").with(Flags::DRAGONFLY).with(FAST)
        .takes("key element"),
    server("flushall", -1, "1.0.0", Handler::Global(flush::flushall), "Deletes all keys of all databases.").with(DANGEROUS).hints("request_policy:all_shards response_policy:all_succeeded")
        .takes("[async(ASYNC@4.0.0|SYNC@6.2.0)]"),
    server("flushdb", -1, "1.0.0", Handler::Global(flush::flushdb), "Deletes all keys of the database.").with(DANGEROUS).hints("request_policy:all_shards response_policy:all_succeeded")
        .takes("[async(ASYNC@4.0.0|SYNC@6.2.0)]"),
    row("keys", 2, Keys::None, "1.0.0", Handler::Read(scan::keys), "All keys that match a pattern.").with(DANGEROUS).spread(Spread::All(Merge::Append)).hints("request_policy:all_shards nondeterministic_output_order")
        .takes("pattern"),
    one("move", 3, "1.0.0", Handler::Rewrite(moving::move_key), "Moves a key to another database.").with(FAST).spread(Spread::GatherAll)
        .takes("key db:integer"),
    row("object", -2, Keys::None, "2.2.3", Handler::Session(object::help), "Looks into how a key's value is kept.").container(object::SUBCOMMANDS),
    one("persist", 2, "2.2.0", Handler::Write(expiry::persist), "Takes the expiry of a key away.").with(FAST).access("RW update")
        .takes("key"),
    one("pexpire", -3, "2.6.0", Handler::Rewrite(expiry::pexpire), "Lets a key expire after some milliseconds.").with(FAST).access("RW update")
        .takes("key milliseconds:integer [condition(NX|XX|GT|LT)@7.0.0]"),
    one("pexpireat", -3, "2.6.0", Handler::Rewrite(expiry::pexpireat), "Lets a key expire at a time in milliseconds.").with(FAST).access("RW update")
        .takes("key unix-time-milliseconds:unix-time [condition(NX|XX|GT|LT)@7.0.0]"),
    one("pexpiretime", 2, "7.0.0", Handler::Read(expiry::pexpiretime), "When a key expires, in Unix milliseconds.").with(FAST)
        .takes("key"),
    one("pttl", 2, "2.6.0", Handler::Read(expiry::pttl), "Milliseconds until a key expires.").with(FAST).hints("nondeterministic_output")
        .takes("key").changes(&[("2.8.0", "Answers -2 where there is no key.")]),
    row("randomkey", 1, Keys::None, "1.0.0", Handler::Async(scan::randomkey), "Some key of the database.").with(Flags::READS).hints("request_policy:all_shards nondeterministic_output"),
    row("rename", 3, Keys::TWO, "1.0.0", Handler::Write(moving::rename), "Gives a key another name, over whatever has it.").access("RW access delete;OW update")
        .takes("key newkey:key"),
    row("renamenx", 3, Keys::TWO, "1.0.0", Handler::Write(moving::renamenx), "Gives a key another name, if that is free.").with(FAST).access("RW access delete;OW insert")
        .takes("key newkey:key").changes(&[("3.2.0", "Both names may be the same.")]),
    one("restore", -4, "2.6.0", Handler::Rewrite(dump::restore), "Makes a key of what DUMP gave.").with(Flags::DENY_OOM).with(DANGEROUS).access("OW update")
        .takes("key ttl:integer serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] [IDLETIME=seconds:integer@5.0.0] [FREQ=frequency:integer@5.0.0]"),
    Command::new("restore-asking", -4, Keys::ONE, Group::Server, "3.0.0", Handler::Rewrite(dump::restore), "RESTORE, as nodes of a cluster say it to each other.").with(Flags::ACL_KEYSPACE).with(Flags::DENY_OOM).with(DANGEROUS).access("OW update")
        .takes("key ttl:integer serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] [IDLETIME=seconds:integer@5.0.0] [FREQ=frequency:integer@5.0.0]").with(Flags::SYSTEM),
    row("scan", -2, Keys::None, "2.8.0", Handler::Async(scan::scan), "Goes over the keys of the database, some at a time.").with(Flags::READS).hints("nondeterministic_output request_policy:special")
        .takes("cursor:integer [MATCH=pattern] [COUNT=count:integer] [TYPE=type@6.0.0]"),
    row("sort", -2, SORTED, "1.0.0", Handler::Rewrite(sort::sort), "The elements of a list, a set or a sorted set in order, to be stored if asked.").with(Flags::DENY_OOM).with(DANGEROUS.or(Flags::ACL_COLLECTIONS)).spread(Spread::Follow(sort::FOLLOW)).access("RO access;OW update")
        .takes("key [BY=pattern] [LIMIT=offset_count(offset:integer count:integer)] [GET=pattern...+] [order(ASC|DESC)] [ALPHA=sorting:token] [STORE=destination:key]"),
    one("sort_ro", -2, "7.0.0", Handler::Read(sort::sort_ro), "The elements of a list, a set or a sorted set in order.").with(DANGEROUS.or(Flags::ACL_COLLECTIONS)).spread(Spread::Follow(sort::FOLLOW))
        .takes("key [BY=pattern] [LIMIT=offset_count(offset:integer count:integer)] [GET=pattern...+] [order(ASC|DESC)] [ALPHA=sorting:token]"),
    server("swapdb", 3, "4.0.0", Handler::Global(flush::swapdb), "Exchanges two databases.").with(FAST).with(DANGEROUS)
        .takes("index1:integer index2:integer"),
    many("touch", -2, "3.2.1", Handler::Read(keys::touch), "How many of these keys exist, marking them as used.").with(FAST).access("RO")
        .takes("key..."),
    one("ttl", 2, "1.0.0", Handler::Read(expiry::ttl), "Seconds until a key expires.").with(FAST).hints("nondeterministic_output")
        .takes("key").changes(&[("2.8.0", "Answers -2 where there is no key.")]),
    one("type", 2, "1.0.0", Handler::Read(keys::type_of), "The type of a key's value.").with(FAST).access("RO")
        .takes("key"),
    many("unlink", -2, "4.0.0", Handler::Write(keys::del), "Deletes keys; big values are freed later.").with(FAST).access("RM delete")
        .takes("key..."),
];

/// A row of a command on one key.
const fn one(
    name: &'static str,
    arity: i16,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    row(name, arity, Keys::ONE, since, handler, summary)
}

/// A row of a command on any number of keys, that counts.
const fn many(
    name: &'static str,
    arity: i16,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    row(name, arity, Keys::ALL, since, handler, summary).spread(Spread::Split(Merge::Sum))
}

const fn server(
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
    .with(Flags::ACL_KEYSPACE)
}

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
