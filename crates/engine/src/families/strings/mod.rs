//! Commands on strings.

mod counters;
mod get;
mod lcs;
mod many;
mod ranges;
mod set;

use crate::command::{Command, Flags, Group, Handler, Keys, Merge, Spread};

const WRITES: Flags = Flags::DENY_OOM;
const FAST_WRITES: Flags = Flags::DENY_OOM.or(Flags::FAST);

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    one("append", 3, "2.0.0", Handler::Write(ranges::append), "Adds to the end of a string, which is made if there is none.").with(FAST_WRITES).access("RW insert"),
    one("decr", 2, "1.0.0", Handler::Write(counters::decr), "Subtracts one from a number.").with(FAST_WRITES),
    one("decrby", 3, "1.0.0", Handler::Write(counters::decrby), "Subtracts from a number.").with(FAST_WRITES),
    one("get", 2, "1.0.0", Handler::Read(get::get), "The string of a key.").with(Flags::FAST),
    one("getdel", 2, "6.2.0", Handler::Rewrite(get::getdel), "The string of a key, which is deleted.").with(Flags::FAST).access("RW access delete"),
    one("getex", -2, "6.2.0", Handler::Rewrite(get::getex), "The string of a key, whose expiry is set or removed.").with(Flags::FAST),
    one("getrange", 4, "2.4.0", Handler::Read(ranges::getrange), "A part of a string."),
    one("getset", 3, "1.0.0", Handler::Rewrite(set::getset), "The string of a key, and a new one in its place.").with(FAST_WRITES),
    one("incr", 2, "1.0.0", Handler::Write(counters::incr), "Adds one to a number.").with(FAST_WRITES),
    one("incrby", 3, "1.0.0", Handler::Write(counters::incrby), "Adds to a number.").with(FAST_WRITES),
    one("incrbyfloat", 3, "2.6.0", Handler::Rewrite(counters::incrbyfloat), "Adds to a number that need not be whole.").with(FAST_WRITES),
    row("lcs", -3, Keys::TWO, "7.0.0", Handler::Read(lcs::lcs), "The longest common subsequence of two strings."),
    row("mget", -2, Keys::ALL, "1.0.0", Handler::Read(many::mget), "The strings of several keys.").with(Flags::FAST).spread(Spread::Split(Merge::ByKey)),
    row("mset", -3, Keys::PAIRS, "1.0.1", Handler::Write(many::mset), "Sets several keys at once.").with(WRITES).spread(Spread::Split(Merge::Same)).access("OW update"),
    row("msetnx", -3, Keys::PAIRS, "1.0.1", Handler::Write(many::msetnx), "Sets several keys at once, if none of them exists.").with(WRITES).access("OW insert").hints("request_policy:multi_shard response_policy:agg_min"),
    one("psetex", 4, "2.6.0", Handler::Rewrite(set::psetex), "Sets a string that lives for some milliseconds.").with(WRITES).access("OW update"),
    one("set", -3, "1.0.0", Handler::Rewrite(set::set), "Sets the string of a key, whatever it held before.").with(WRITES).access("RW access update variable_flags").line_access(set::access),
    one("setex", 4, "2.0.0", Handler::Rewrite(set::setex), "Sets a string that lives for some seconds.").with(WRITES).access("OW update"),
    one("setnx", 3, "1.0.0", Handler::Write(set::setnx), "Sets the string of a key that does not exist.").with(FAST_WRITES).access("OW insert"),
    one("setrange", 4, "2.2.0", Handler::Write(ranges::setrange), "Overwrites a part of a string.").with(WRITES).access("RW update"),
    one("strlen", 2, "2.2.0", Handler::Read(ranges::strlen), "The length of a string in bytes.").with(Flags::FAST).access("RO"),
    one("substr", 4, "1.0.0", Handler::Read(ranges::getrange), "A part of a string; the old name of GETRANGE."),
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

const fn row(
    name: &'static str,
    arity: i16,
    keys: Keys,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, keys, Group::String, since, handler, summary)
}
