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
    row("copy", -3, Keys::TWO, "6.2.0", Handler::Rewrite(moving::copy), "Copies a key, to another database if asked.").with(Flags::DENY_OOM).spread(Spread::GatherAll).access("RO access;OW update"),
    server("dbsize", 1, "1.0.0", Handler::Read(scan::dbsize), "The number of keys in the database.").with(FAST).spread(Spread::All(Merge::Sum)),
    many("del", -2, "1.0.0", Handler::Write(keys::del), "Deletes keys.").access("RM delete"),
    one("dump", 2, "2.6.0", Handler::Read(dump::dump), "The value of a key in a form that RESTORE takes.").hints("nondeterministic_output"),
    many("exists", -2, "1.0.0", Handler::Read(keys::exists), "How many of these keys exist.").with(FAST).access("RO"),
    one("expire", -3, "1.0.0", Handler::Rewrite(expiry::expire), "Lets a key expire after some seconds.").with(FAST).access("RW update"),
    one("expireat", -3, "1.2.0", Handler::Rewrite(expiry::expireat), "Lets a key expire at a time in seconds.").with(FAST).access("RW update"),
    one("expiretime", 2, "7.0.0", Handler::Read(expiry::expiretime), "When a key expires, in Unix seconds.").with(FAST),
    one("fieldexpire", -4, "1.0.0", Handler::Rewrite(element_expiry::fieldexpire), "Lets fields of a hash or members of a set expire after some seconds.").with(Flags::DRAGONFLY).with(Flags::DENY_OOM.or(FAST)).access("RW update"),
    one("fieldexpireat", -4, "1.0.0", Handler::Rewrite(element_expiry::fieldexpireat), "Lets fields of a hash or members of a set expire at a time in seconds.").with(Flags::DRAGONFLY).with(Flags::DENY_OOM.or(FAST)).access("RW update"),
    one("fieldttl", 3, "1.0.0", Handler::Read(element_expiry::fieldttl), "Returns how many seconds a field of a hash or a member of a set has left.").with(Flags::DRAGONFLY).with(FAST),
    server("flushall", -1, "1.0.0", Handler::Global(flush::flushall), "Deletes all keys of all databases.").with(DANGEROUS).hints("request_policy:all_shards response_policy:all_succeeded"),
    server("flushdb", -1, "1.0.0", Handler::Global(flush::flushdb), "Deletes all keys of the database.").with(DANGEROUS).hints("request_policy:all_shards response_policy:all_succeeded"),
    row("keys", 2, Keys::None, "1.0.0", Handler::Read(scan::keys), "All keys that match a pattern.").with(DANGEROUS).spread(Spread::All(Merge::Append)).hints("request_policy:all_shards nondeterministic_output_order"),
    one("move", 3, "1.0.0", Handler::Rewrite(moving::move_key), "Moves a key to another database.").with(FAST).spread(Spread::GatherAll),
    row("object", -2, Keys::None, "2.2.3", Handler::Session(object::help), "Looks into how a key's value is kept.").container(object::SUBCOMMANDS),
    one("persist", 2, "2.2.0", Handler::Write(expiry::persist), "Takes the expiry of a key away.").with(FAST).access("RW update"),
    one("pexpire", -3, "2.6.0", Handler::Rewrite(expiry::pexpire), "Lets a key expire after some milliseconds.").with(FAST).access("RW update"),
    one("pexpireat", -3, "2.6.0", Handler::Rewrite(expiry::pexpireat), "Lets a key expire at a time in milliseconds.").with(FAST).access("RW update"),
    one("pexpiretime", 2, "7.0.0", Handler::Read(expiry::pexpiretime), "When a key expires, in Unix milliseconds.").with(FAST),
    one("pttl", 2, "2.6.0", Handler::Read(expiry::pttl), "Milliseconds until a key expires.").with(FAST).hints("nondeterministic_output"),
    row("randomkey", 1, Keys::None, "1.0.0", Handler::Async(scan::randomkey), "Some key of the database.").with(Flags::READS).hints("request_policy:all_shards nondeterministic_output"),
    row("rename", 3, Keys::TWO, "1.0.0", Handler::Write(moving::rename), "Gives a key another name, over whatever has it.").access("RW access delete;OW update"),
    row("renamenx", 3, Keys::TWO, "1.0.0", Handler::Write(moving::renamenx), "Gives a key another name, if that is free.").with(FAST).access("RW access delete;OW insert"),
    one("restore", -4, "2.6.0", Handler::Rewrite(dump::restore), "Makes a key of what DUMP gave.").with(Flags::DENY_OOM).with(DANGEROUS).access("OW update"),
    Command::new("restore-asking", -4, Keys::ONE, Group::Server, "3.0.0", Handler::Rewrite(dump::restore), "RESTORE, as nodes of a cluster say it to each other.").with(Flags::ACL_KEYSPACE).with(Flags::DENY_OOM).with(DANGEROUS).access("OW update"),
    row("scan", -2, Keys::None, "2.8.0", Handler::Async(scan::scan), "Goes over the keys of the database, some at a time.").with(Flags::READS).hints("nondeterministic_output request_policy:special"),
    row("sort", -2, SORTED, "1.0.0", Handler::Rewrite(sort::sort), "The elements of a list, a set or a sorted set in order, to be stored if asked.").with(Flags::DENY_OOM).with(DANGEROUS.or(Flags::ACL_COLLECTIONS)).spread(Spread::Follow(sort::FOLLOW)).access("RO access;OW update"),
    one("sort_ro", -2, "7.0.0", Handler::Read(sort::sort_ro), "The elements of a list, a set or a sorted set in order.").with(DANGEROUS.or(Flags::ACL_COLLECTIONS)).spread(Spread::Follow(sort::FOLLOW)),
    server("swapdb", 3, "4.0.0", Handler::Global(flush::swapdb), "Exchanges two databases.").with(FAST).with(DANGEROUS),
    many("touch", -2, "3.2.1", Handler::Read(keys::touch), "How many of these keys exist, marking them as used.").with(FAST).access("RO"),
    one("ttl", 2, "1.0.0", Handler::Read(expiry::ttl), "Seconds until a key expires.").with(FAST).hints("nondeterministic_output"),
    one("type", 2, "1.0.0", Handler::Read(keys::type_of), "The type of a key's value.").with(FAST).access("RO"),
    many("unlink", -2, "4.0.0", Handler::Write(keys::del), "Deletes keys; big values are freed later.").with(FAST).access("RM delete"),
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
