//! Commands of sets.

mod algebra;
mod apart;
mod expiry;
mod members;
mod random;

use crate::command::{Command, CommandError, Flags, Group, Handler, Keys, Spread};
use crate::context::ReadContext;
use damselfly_store::values::{Expiring, Set, SetAt};

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

/// The set of a key without the members that have expired; an empty one counts as absent.
fn members_now<'a>(cx: &ReadContext<'a>, key: &[u8]) -> Result<Option<SetAt<'a>>, CommandError> {
    let set = cx.typed::<Set>(key)?.map(|set| set.at(cx.now()));
    Ok(set.filter(|set| !set.is_empty()))
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
    row("sadd", -3, "1.0.0", Write(members::sadd), "Adds members to a set, made if need be.").with(GROWS.or(FAST)).access("RW insert")
        .takes("key member...").changes(&[("2.4.0", "Takes several members.")]),
    row("saddex", -4, "1.0.0", Rewrite(expiry::saddex), "Adds members to a set, made if need be, that expire after some seconds.").with(GROWS.or(FAST).or(Flags::DRAGONFLY)).access("RW insert")
        .takes("key [KEEPTTL] seconds:integer member..."),
    row("srem", -3, "1.0.0", Write(members::srem), "Removes members of a set.").with(FAST).access("RW delete")
        .takes("key member...").changes(&[("2.4.0", "Takes several members.")]),
    row("scard", 2, "1.0.0", Read(members::scard), "Returns the number of members of a set.").with(FAST).access("RO")
        .takes("key"),
    row("sismember", 3, "1.0.0", Read(members::sismember), "Tells whether a set has a member.").with(FAST).access("RO")
        .takes("key member"),
    row("smismember", -3, "6.2.0", Read(members::smismember), "Tells which members a set has.").with(FAST)
        .takes("key member..."),
    row("smembers", 2, "1.0.0", Read(members::smembers), "Returns all members of a set.").hints("nondeterministic_output_order")
        .takes("key"),
    row("sscan", -3, "2.8.0", Read(members::sscan), "Walks the members of a set in steps.").hints("nondeterministic_output")
        .takes("key cursor:integer [MATCH=pattern] [COUNT=count:integer]"),
    keyed("smove", 4, Keys::TWO, "1.0.0", Write(members::smove), "Moves a member from a set to another.").spread(Spread::Chain(apart::smove)).with(FAST).access("RW access delete;RW insert")
        .takes("source:key destination:key member"),
    row("spop", -2, "1.0.0", Rewrite(random::spop), "Removes and returns random members of a set.").with(FAST).access("RW access delete").hints("nondeterministic_output")
        .takes("key [count:integer@3.2.0]"),
    row("srandmember", -2, "1.0.0", Read(random::srandmember), "Returns random members of a set.").hints("nondeterministic_output")
        .takes("key [count:integer@2.6.0]"),
    keyed("sinter", -2, Keys::ALL, "1.0.0", Read(algebra::sinter), "Returns what is in all of some sets.").hints("nondeterministic_output_order")
        .takes("key..."),
    keyed("sintercard", -3, COUNTED, "7.0.0", Read(algebra::sintercard), "Counts what is in all of some sets.")
        .takes("numkeys:integer key... [LIMIT=limit:integer]"),
    keyed("sunion", -2, Keys::ALL, "1.0.0", Read(algebra::sunion), "Returns what is in any of some sets.").hints("nondeterministic_output_order")
        .takes("key..."),
    keyed("sdiff", -2, Keys::ALL, "1.0.0", Read(algebra::sdiff), "Returns what is in a set and in none of others.").hints("nondeterministic_output_order")
        .takes("key..."),
    keyed("sinterstore", -3, Keys::ALL, "1.0.0", Write(algebra::sinterstore), "Stores what is in all of some sets.").with(GROWS).access("RW update;RO access")
        .takes("destination:key key..."),
    keyed("sunionstore", -3, Keys::ALL, "1.0.0", Write(algebra::sunionstore), "Stores what is in any of some sets.").with(GROWS).access("OW update;RO access")
        .takes("destination:key key..."),
    keyed("sdiffstore", -3, Keys::ALL, "1.0.0", Write(algebra::sdiffstore), "Stores what is in a set and in none of others.").with(GROWS).access("OW update;RO access")
        .takes("destination:key key..."),
];
