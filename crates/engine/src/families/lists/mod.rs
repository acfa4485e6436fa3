//! Commands of lists.

mod apart;
mod blocking;
mod ends;
mod inside;

use crate::command::{Command, Flags, Found, Group, Handler, Keys, Spread};
use damselfly_store::values::List;

use Handler::{Read, Rewrite, Write};

const fn row(
    name: &'static str,
    arity: i16,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, Keys::ONE, Group::List, since, handler, summary)
}

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
const GROWS: Flags = Flags::DENY_OOM;
const GROWS_FAST: Flags = Flags::DENY_OOM.or(Flags::FAST);

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("lpush", -3, "1.0.0", Write(ends::lpush), "Puts elements before the first of a list, made if need be.").with(GROWS_FAST).access("RW insert")
        .takes("key element...").changes(&[("2.4.0", "Takes several elements.")]),
    row("rpush", -3, "1.0.0", Write(ends::rpush), "Puts elements behind the last of a list, made if need be.").with(GROWS_FAST).access("RW insert")
        .takes("key element...").changes(&[("2.4.0", "Takes several elements.")]),
    row("lpushx", -3, "2.2.0", Write(ends::lpushx), "Puts elements before the first of a list that exists.").with(GROWS_FAST).access("RW insert")
        .takes("key element...").changes(&[("4.0.0", "Takes several elements.")]),
    row("rpushx", -3, "2.2.0", Write(ends::rpushx), "Puts elements behind the last of a list that exists.").with(GROWS_FAST).access("RW insert")
        .takes("key element...").changes(&[("4.0.0", "Takes several elements.")]),
    row("lpop", -2, "1.0.0", Write(ends::lpop), "Removes and returns the first elements of a list.").with(Flags::FAST).access("RW access delete")
        .takes("key [count:integer@6.2.0]"),
    row("rpop", -2, "1.0.0", Write(ends::rpop), "Removes and returns the last elements of a list.").with(Flags::FAST).access("RW access delete")
        .takes("key [count:integer@6.2.0]"),
    two("rpoplpush", 3, "1.2.0", Write(ends::rpoplpush), "Moves the last element of a list to the front of another.").spread(Spread::Chain(apart::rpoplpush)).access("RW access delete;RW insert")
        .takes("source:key destination:key").replaced("6.2.0", "`LMOVE` with `RIGHT` and `LEFT`"),
    two("lmove", 5, "6.2.0", Write(ends::lmove), "Moves an element from an end of a list to an end of another.").spread(Spread::Chain(apart::lmove)).access("RW access delete;RW insert")
        .takes("source:key destination:key wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT)"),
    Command::new("lmpop", -4, COUNTED, Group::List, "7.0.0", Rewrite(ends::lmpop), "Removes and returns elements of the first list that has any.").access("RW access delete")
        .takes("numkeys:integer key... where(LEFT|RIGHT) [COUNT=count:integer]"),
    Command::new("blpop", -3, BUT_LAST, Group::List, "2.0.0", Rewrite(blocking::blpop), "Removes and returns the first element of the first list that has any, or waits for one.").with(Flags::NO_SCRIPT).blocks(blocking::POP).spread(FIRST).access("RW access delete")
        .takes("key... timeout:double").changes(&[("6.0.0", "The timeout may have a fraction.")]),
    Command::new("brpop", -3, BUT_LAST, Group::List, "2.0.0", Rewrite(blocking::brpop), "Removes and returns the last element of the first list that has any, or waits for one.").with(Flags::NO_SCRIPT).blocks(blocking::POP).spread(FIRST).access("RW access delete")
        .takes("key... timeout:double").changes(&[("6.0.0", "The timeout may have a fraction.")]),
    Command::new("blmpop", -5, COUNTED_LATE, Group::List, "7.0.0", Rewrite(blocking::blmpop), "Removes and returns elements of the first list that has any, or waits for some.").blocks(blocking::MULTI_POP).spread(FIRST).access("RW access delete")
        .takes("timeout:double numkeys:integer key... where(LEFT|RIGHT) [COUNT=count:integer]"),
    two("blmove", 6, "6.2.0", Rewrite(blocking::blmove), "Moves an element from an end of a list to an end of another, or waits for one.").with(Flags::NO_SCRIPT).blocks(blocking::MOVE).spread(Spread::Chain(blocking::blmove_apart)).access("RW access delete;RW insert")
        .takes("source:key destination:key wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT) timeout:double"),
    two("brpoplpush", 4, "2.2.0", Rewrite(blocking::brpoplpush), "Moves the last element of a list to the front of another, or waits for one.").with(Flags::NO_SCRIPT).blocks(blocking::MOVE).spread(Spread::Chain(blocking::brpoplpush_apart)).access("RW access delete;RW insert")
        .takes("source:key destination:key timeout:double").changes(&[("6.0.0", "The timeout may have a fraction.")]).replaced("6.2.0", "`BLMOVE` with `RIGHT` and `LEFT`"),
    row("llen", 2, "1.0.0", Read(inside::llen), "Returns the length of a list.").with(Flags::FAST).access("RO")
        .takes("key"),
    row("lrange", 4, "1.0.0", Read(inside::lrange), "Returns a range of elements of a list.")
        .takes("key start:integer stop:integer"),
    row("lindex", 3, "1.0.0", Read(inside::lindex), "Returns the element at an index of a list.")
        .takes("key index:integer"),
    row("lpos", -3, "6.0.6", Read(inside::lpos), "Returns the indexes of equal elements in a list.")
        .takes("key element [RANK=rank:integer] [COUNT=num-matches:integer] [MAXLEN=len:integer]"),
    row("lset", 4, "1.0.0", Write(inside::lset), "Replaces the element at an index of a list.").with(GROWS).access("RW update")
        .takes("key index:integer element"),
    row("linsert", 5, "2.2.0", Write(inside::linsert), "Puts an element before or behind another one in a list.").with(GROWS).access("RW insert")
        .takes("key where(BEFORE|AFTER) pivot element"),
    row("lrem", 4, "1.0.0", Write(inside::lrem), "Removes equal elements from a list.").access("RW delete")
        .takes("key count:integer element"),
    row("ltrim", 4, "1.0.0", Write(inside::ltrim), "Removes what lies outside a range of a list.").access("RW delete")
        .takes("key start:integer stop:integer"),
];

const fn two(
    name: &'static str,
    arity: i16,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, Keys::TWO, Group::List, since, handler, summary).with(GROWS)
}

/// The position that an index, which may count from the end, means in a list.
fn position(list: &List, index: i64) -> Option<usize> {
    let index = if index < 0 {
        index + list.len() as i64
    } else {
        index
    };
    usize::try_from(index)
        .ok()
        .filter(|index| *index < list.len())
}
