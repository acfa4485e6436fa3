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
    one("append", 3, "2.0.0", Handler::Write(ranges::append), "Adds to the end of a string, which is made if there is none.").with(FAST_WRITES).access("RW insert")
        .takes("key value"),
    one("decr", 2, "1.0.0", Handler::Write(counters::decr), "Subtracts one from a number.").with(FAST_WRITES)
        .takes("key"),
    one("decrby", 3, "1.0.0", Handler::Write(counters::decrby), "Subtracts from a number.").with(FAST_WRITES)
        .takes("key decrement:integer"),
    one("get", 2, "1.0.0", Handler::Read(get::get), "The string of a key.").with(Flags::FAST)
        .takes("key"),
    one("getdel", 2, "6.2.0", Handler::Rewrite(get::getdel), "The string of a key, which is deleted.").with(Flags::FAST).access("RW access delete")
        .takes("key"),
    one("getex", -2, "6.2.0", Handler::Rewrite(get::getex), "The string of a key, whose expiry is set or removed.").with(Flags::FAST)
        .takes("key [expiration(EX=seconds:integer|PX=milliseconds:integer|EXAT=unix-time-seconds:unix-time|PXAT=unix-time-milliseconds:unix-time|PERSIST)]"),
    one("getrange", 4, "2.4.0", Handler::Read(ranges::getrange), "A part of a string.")
        .takes("key start:integer end:integer"),
    one("getset", 3, "1.0.0", Handler::Rewrite(set::getset), "The string of a key, and a new one in its place.").with(FAST_WRITES)
        .takes("key value").replaced("6.2.0", "`SET` with `GET`"),
    one("incr", 2, "1.0.0", Handler::Write(counters::incr), "Adds one to a number.").with(FAST_WRITES)
        .takes("key"),
    one("incrby", 3, "1.0.0", Handler::Write(counters::incrby), "Adds to a number.").with(FAST_WRITES)
        .takes("key increment:integer"),
    one("incrbyfloat", 3, "2.6.0", Handler::Rewrite(counters::incrbyfloat), "Adds to a number that need not be whole.").with(FAST_WRITES)
        .takes("key increment:double"),
    row("lcs", -3, Keys::TWO, "7.0.0", Handler::Read(lcs::lcs), "The longest common subsequence of two strings.")
        .takes("key1:key key2:key0 [LEN] [IDX] [MINMATCHLEN=len:integer] [WITHMATCHLEN]"),
    row("mget", -2, Keys::ALL, "1.0.0", Handler::Read(many::mget), "The strings of several keys.").with(Flags::FAST).spread(Spread::Split(Merge::ByKey))
        .takes("key..."),
    row("mset", -3, Keys::PAIRS, "1.0.1", Handler::Write(many::mset), "Sets several keys at once.").with(WRITES).spread(Spread::Split(Merge::Same)).access("OW update")
        .takes("key_value(key value)..."),
    row("msetnx", -3, Keys::PAIRS, "1.0.1", Handler::Write(many::msetnx), "Sets several keys at once, if none of them exists.").with(WRITES).access("OW insert").hints("request_policy:multi_shard response_policy:agg_min")
        .takes("key_value(key value)..."),
    one("psetex", 4, "2.6.0", Handler::Rewrite(set::psetex), "Sets a string that lives for some milliseconds.").with(WRITES).access("OW update")
        .takes("key milliseconds:integer value"),
    one("set", -3, "1.0.0", Handler::Rewrite(set::set), "Sets the string of a key, whatever it held before.").with(WRITES).access("RW access update variable_flags").line_access(set::access)
        .takes("key value [condition(NX|XX)@2.6.12] [GET@6.2.0] [expiration(EX=seconds:integer@2.6.12|PX=milliseconds:integer@2.6.12|EXAT=unix-time-seconds:unix-time@6.2.0|PXAT=unix-time-milliseconds:unix-time@6.2.0|KEEPTTL@6.0.0)]").changes(&[("7.0.0", "`NX` and `GET` go together.")]),
    one("setex", 4, "2.0.0", Handler::Rewrite(set::setex), "Sets a string that lives for some seconds.").with(WRITES).access("OW update")
        .takes("key seconds:integer value"),
    one("setnx", 3, "1.0.0", Handler::Write(set::setnx), "Sets the string of a key that does not exist.").with(FAST_WRITES).access("OW insert")
        .takes("key value"),
    one("setrange", 4, "2.2.0", Handler::Write(ranges::setrange), "Overwrites a part of a string.").with(WRITES).access("RW update")
        .takes("key offset:integer value"),
    one("strlen", 2, "2.2.0", Handler::Read(ranges::strlen), "The length of a string in bytes.").with(Flags::FAST).access("RO")
        .takes("key"),
    one("substr", 4, "1.0.0", Handler::Read(ranges::getrange), "A part of a string; the old name of GETRANGE.")
        .takes("key start:integer end:integer").replaced("2.0.0", "`GETRANGE`"),
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
