//! Commands of sets.

mod algebra;
mod members;
mod random;

use crate::command::{Command, Flags, Group, Handler, Keys};

use Handler::{Read, Rewrite, Write};

const fn row(
    name: &'static str,
    arity: i16,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    keyed(name, arity, Keys::ONE, since, handler, summary)
}

const fn keyed(
    name: &'static str,
    arity: i16,
    keys: Keys,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, keys, Group::Set, since, handler, summary)
}

const FAST: Flags = Flags::FAST;
const GROWS: Flags = Flags::DENY_OOM;
const COUNTED: Keys = Keys::Counted {
    count: 1,
    first: 2,
    extra: 0,
};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("sadd", -3, "1.0.0", Write(members::sadd), "Adds members to a set, made if need be.").with(GROWS.or(FAST)),
    row("srem", -3, "1.0.0", Write(members::srem), "Removes members of a set.").with(FAST),
    row("scard", 2, "1.0.0", Read(members::scard), "Returns the number of members of a set.").with(FAST),
    row("sismember", 3, "1.0.0", Read(members::sismember), "Tells whether a set has a member.").with(FAST),
    row("smismember", -3, "6.2.0", Read(members::smismember), "Tells which members a set has.").with(FAST),
    row("smembers", 2, "1.0.0", Read(members::smembers), "Returns all members of a set."),
    row("sscan", -3, "2.8.0", Read(members::sscan), "Walks the members of a set in steps."),
    keyed("smove", 4, Keys::TWO, "1.0.0", Write(members::smove), "Moves a member from a set to another.").with(FAST),
    row("spop", -2, "1.0.0", Rewrite(random::spop), "Removes and returns random members of a set.").with(FAST),
    row("srandmember", -2, "1.0.0", Read(random::srandmember), "Returns random members of a set."),
    keyed("sinter", -2, Keys::ALL, "1.0.0", Read(algebra::sinter), "Returns what is in all of some sets."),
    keyed("sintercard", -3, COUNTED, "7.0.0", Read(algebra::sintercard), "Counts what is in all of some sets."),
    keyed("sunion", -2, Keys::ALL, "1.0.0", Read(algebra::sunion), "Returns what is in any of some sets."),
    keyed("sdiff", -2, Keys::ALL, "1.0.0", Read(algebra::sdiff), "Returns what is in a set and in none of others."),
    keyed("sinterstore", -3, Keys::ALL, "1.0.0", Write(algebra::sinterstore), "Stores what is in all of some sets.").with(GROWS),
    keyed("sunionstore", -3, Keys::ALL, "1.0.0", Write(algebra::sunionstore), "Stores what is in any of some sets.").with(GROWS),
    keyed("sdiffstore", -3, Keys::ALL, "1.0.0", Write(algebra::sdiffstore), "Stores what is in a set and in none of others.").with(GROWS),
];
