//! Commands of sorted sets.

mod add;
mod algebra;
mod algebra_args;
mod blocking;
mod bounds;
mod members;
mod pop;
mod range;
mod range_args;
mod remove;
mod scores;

pub(super) use add::zadd_as_part;

use crate::command::{Command, Flags, Found, Group, Handler, Keys, Spread};

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
    Command::new(name, arity, keys, Group::SortedSet, since, handler, summary)
}

const FAST: Flags = Flags::FAST;
const GROWS: Flags = Flags::DENY_OOM;
const GROWS_FAST: Flags = GROWS.or(FAST);
const COUNTED: Keys = Keys::Counted {
    count: 1,
    first: 2,
    extra: 0,
};
/// As [`COUNTED`], behind a timeout.
const COUNTED_LATE: Keys = Keys::Counted {
    count: 2,
    first: 3,
    extra: 0,
};
/// Keys before a timeout.
const BUT_LAST: Keys = Keys::Range {
    first: 1,
    last: -2,
    step: 1,
};
const FIRST: Spread = Spread::KeyByKey(Found::First);
const COUNTED_STORE: Keys = Keys::Counted {
    count: 2,
    first: 3,
    extra: 1,
};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("zadd", -4, "1.2.0", Write(add::zadd), "Sets scores of members of a sorted set, made if need be.").with(GROWS_FAST).access("RW update")
        .takes("key [condition(NX|XX)@3.0.2] [comparison(GT|LT)@6.2.0] [CH=change:token@3.0.2] [INCR=increment:token@3.0.2] score_member(score:double member)...").changes(&[("2.4.0", "Takes several members.")]),
    row("zincrby", 4, "1.2.0", Write(add::zincrby), "Adds to the score of a member of a sorted set.").with(GROWS_FAST)
        .takes("key increment:integer member"),
    row("zcard", 2, "1.2.0", Read(members::zcard), "Returns the number of members of a sorted set.").with(FAST).access("RO")
        .takes("key"),
    row("zscore", 3, "1.2.0", Read(members::zscore), "Returns the score of a member of a sorted set.").with(FAST)
        .takes("key member"),
    row("zmscore", -3, "6.2.0", Read(members::zmscore), "Returns the scores of members of a sorted set.").with(FAST)
        .takes("key member..."),
    row("zrank", 3, "2.0.0", Read(members::zrank), "Returns the place of a member of a sorted set.").with(FAST)
        .takes("key member"),
    row("zrevrank", 3, "2.0.0", Read(members::zrevrank), "Returns the place of a member from the highest score on.").with(FAST)
        .takes("key member"),
    row("zrandmember", -2, "6.2.0", Read(members::zrandmember), "Returns random members of a sorted set.").hints("nondeterministic_output")
        .takes("key [options(count:integer [WITHSCORES])]"),
    row("zscan", -3, "2.8.0", Read(members::zscan), "Walks the members of a sorted set in steps.").hints("nondeterministic_output")
        .takes("key cursor:integer [MATCH=pattern] [COUNT=count:integer]"),
    row("zcount", 4, "2.0.0", Read(range::zcount), "Counts the members within a range of scores.").with(FAST)
        .takes("key min:double max:double"),
    row("zlexcount", 4, "2.8.9", Read(range::zlexcount), "Counts the members within a range of names.").with(FAST)
        .takes("key min max"),
    row("zrange", -4, "1.2.0", Read(range::zrange), "Returns the members within a range of ranks, scores or names.")
        .takes("key start stop [sortby(BYSCORE|BYLEX)@6.2.0] [REV@6.2.0] [LIMIT=offset_count(offset:integer count:integer)@6.2.0] [WITHSCORES]"),
    row("zrevrange", -4, "1.2.0", Read(range::zrevrange), "Returns a range of ranks, the highest score first.")
        .takes("key start:integer stop:integer [WITHSCORES]").replaced("6.2.0", "`ZRANGE` with `REV`"),
    row("zrangebyscore", -4, "1.0.5", Read(range::zrangebyscore), "Returns the members within a range of scores.")
        .takes("key min:double max:double [WITHSCORES@2.0.0] [LIMIT=offset_count(offset:integer count:integer)]").replaced("6.2.0", "`ZRANGE` with `BYSCORE`"),
    row("zrevrangebyscore", -4, "2.2.0", Read(range::zrevrangebyscore), "Returns a range of scores, the highest first.")
        .takes("key max:double min:double [WITHSCORES] [LIMIT=offset_count(offset:integer count:integer)]").changes(&[("2.1.6", "Ranges may leave out their ends.")]).replaced("6.2.0", "`ZRANGE` with `REV` and `BYSCORE`"),
    row("zrangebylex", -4, "2.8.9", Read(range::zrangebylex), "Returns the members within a range of names.")
        .takes("key min max [LIMIT=offset_count(offset:integer count:integer)]").replaced("6.2.0", "`ZRANGE` with `BYLEX`"),
    row("zrevrangebylex", -4, "2.8.9", Read(range::zrevrangebylex), "Returns a range of names, the last first.")
        .takes("key max min [LIMIT=offset_count(offset:integer count:integer)]").replaced("6.2.0", "`ZRANGE` with `REV` and `BYLEX`"),
    keyed("zrangestore", -5, Keys::TWO, "6.2.0", Write(range::zrangestore), "Stores a range of a sorted set.").with(GROWS).access("OW update;RO access")
        .takes("dst:key src:key min max [sortby(BYSCORE|BYLEX)] [REV] [LIMIT=offset_count(offset:integer count:integer)]"),
    row("zrem", -3, "1.2.0", Write(remove::zrem), "Removes members of a sorted set.").with(FAST).access("RW delete")
        .takes("key member...").changes(&[("2.4.0", "Takes several members.")]),
    row("zremrangebyrank", 4, "2.0.0", Write(remove::zremrangebyrank), "Removes the members within a range of ranks.").access("RW delete")
        .takes("key start:integer stop:integer"),
    row("zremrangebyscore", 4, "1.2.0", Write(remove::zremrangebyscore), "Removes the members within a range of scores.").access("RW delete")
        .takes("key min:double max:double"),
    row("zremrangebylex", 4, "2.8.9", Write(remove::zremrangebylex), "Removes the members within a range of names.").access("RW delete")
        .takes("key min max"),
    row("zpopmin", -2, "5.0.0", Write(pop::zpopmin), "Removes and returns the members with the lowest scores.").with(FAST).access("RW access delete")
        .takes("key [count:integer]"),
    row("zpopmax", -2, "5.0.0", Write(pop::zpopmax), "Removes and returns the members with the highest scores.").with(FAST).access("RW access delete")
        .takes("key [count:integer]"),
    keyed("zmpop", -4, COUNTED, "7.0.0", Rewrite(pop::zmpop), "Removes and returns members of the first sorted set that has any.").access("RW access delete")
        .takes("numkeys:integer key... where(MIN|MAX) [COUNT=count:integer]"),
    keyed("bzpopmin", -3, BUT_LAST, "5.0.0", Rewrite(blocking::bzpopmin), "Removes and returns the member with the lowest score of the first sorted set that has any, or waits.").with(FAST).with(Flags::NO_SCRIPT).blocks(blocking::POP).spread(FIRST).access("RW access delete")
        .takes("key... timeout:double").changes(&[("6.0.0", "The timeout may have a fraction.")]),
    keyed("bzpopmax", -3, BUT_LAST, "5.0.0", Rewrite(blocking::bzpopmax), "Removes and returns the member with the highest score of the first sorted set that has any, or waits.").with(FAST).with(Flags::NO_SCRIPT).blocks(blocking::POP).spread(FIRST).access("RW access delete")
        .takes("key... timeout:double").changes(&[("6.0.0", "The timeout may have a fraction.")]),
    keyed("bzmpop", -5, COUNTED_LATE, "7.0.0", Rewrite(blocking::bzmpop), "Removes and returns members of the first sorted set that has any, or waits for some.").blocks(blocking::MULTI_POP).spread(FIRST).access("RW access delete")
        .takes("timeout:double numkeys:integer key... where(MIN|MAX) [COUNT=count:integer]"),
    keyed("zunion", -3, COUNTED, "6.2.0", Read(algebra::zunion), "Returns what is in any of some sorted sets.")
        .takes("numkeys:integer key... [WEIGHTS=weight:integer...] [AGGREGATE=aggregate(SUM|MIN|MAX)] [WITHSCORES]"),
    keyed("zinter", -3, COUNTED, "6.2.0", Read(algebra::zinter), "Returns what is in all of some sorted sets.")
        .takes("numkeys:integer key... [WEIGHTS=weight:integer...] [AGGREGATE=aggregate(SUM|MIN|MAX)] [WITHSCORES]"),
    keyed("zdiff", -3, COUNTED, "6.2.0", Read(algebra::zdiff), "Returns what is in a sorted set and in none of others.")
        .takes("numkeys:integer key... [WITHSCORES]"),
    keyed("zintercard", -3, COUNTED, "7.0.0", Read(algebra::zintercard), "Counts what is in all of some sorted sets.")
        .takes("numkeys:integer key... [LIMIT=limit:integer]"),
    keyed("zunionstore", -4, COUNTED_STORE, "2.0.0", Write(algebra::zunionstore), "Stores what is in any of some sorted sets.").with(GROWS)
        .takes("destination:key numkeys:integer key... [WEIGHTS=weight:integer...] [AGGREGATE=aggregate(SUM|MIN|MAX)]"),
    keyed("zinterstore", -4, COUNTED_STORE, "2.0.0", Write(algebra::zinterstore), "Stores what is in all of some sorted sets.").with(GROWS)
        .takes("destination:key numkeys:integer key... [WEIGHTS=weight:integer...] [AGGREGATE=aggregate(SUM|MIN|MAX)]"),
    keyed("zdiffstore", -4, COUNTED_STORE, "6.2.0", Write(algebra::zdiffstore), "Stores what is in a sorted set and in none of others.").with(GROWS)
        .takes("destination:key numkeys:integer key..."),
];
