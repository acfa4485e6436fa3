//! Commands of hashes.

mod expiry;
mod extended;
mod fields;
mod numbers;
mod whole;

pub(super) use expiry::effect_of_expiry;

use crate::command::{Command, CommandError, Flags, Group, Handler, Keys};
use crate::context::ReadContext;
use damselfly_store::values::{Expiring, Hash, HashAt};

use Handler::{Read, Rewrite, Write};

const fn row(
    name: &'static str,
    arity: i16,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, Keys::ONE, Group::Hash, since, handler, summary)
}

/// The hash of a key without the fields that have expired; an empty one counts as absent.
fn fields_now<'a>(cx: &ReadContext<'a>, key: &[u8]) -> Result<Option<HashAt<'a>>, CommandError> {
    let hash = cx.typed::<Hash>(key)?.map(|hash| hash.at(cx.now()));
    Ok(hash.filter(|hash| !hash.is_empty()))
}

const FAST: Flags = Flags::FAST;
const GROWS: Flags = Flags::DENY_OOM.or(Flags::FAST);

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("hset", -4, "2.0.0", Write(fields::hset), "Sets fields of a hash, made if need be.").with(GROWS).access("RW update")
        .takes("key field_value(field value)...").changes(&[("4.0.0", "Takes several fields and values.")]),
    row("hmset", -4, "2.0.0", Write(fields::hmset), "Sets fields of a hash, made if need be.").with(GROWS).access("RW update")
        .takes("key field_value(field value)...").replaced("4.0.0", "`HSET`"),
    row("hsetnx", 4, "2.0.0", Write(fields::hsetnx), "Sets a field of a hash that is not there yet.").with(GROWS).access("RW insert")
        .takes("key field value"),
    row("hget", 3, "2.0.0", Read(fields::hget), "Returns the value of a field of a hash.").with(FAST)
        .takes("key field"),
    row("hmget", -3, "2.0.0", Read(fields::hmget), "Returns the values of fields of a hash.").with(FAST)
        .takes("key field..."),
    row("hdel", -3, "2.0.0", Write(fields::hdel), "Removes fields of a hash.").with(FAST).access("RW delete")
        .takes("key field...").changes(&[("2.4.0", "Takes several fields.")]),
    row("hgetdel", -5, "8.0.0", Rewrite(fields::hgetdel), "Returns the values of fields of a hash, which are removed.").with(FAST).access("RW access delete")
        .takes("key FIELDS=fields(numfields:integer field...)"),
    row("hexists", 3, "2.0.0", Read(fields::hexists), "Tells whether a hash has a field.").with(FAST).access("RO")
        .takes("key field"),
    row("hstrlen", 3, "3.2.0", Read(fields::hstrlen), "Returns the length of the value of a field of a hash.").with(FAST).access("RO")
        .takes("key field"),
    row("hincrby", 4, "2.0.0", Write(numbers::hincrby), "Adds an integer to a field of a hash.").with(GROWS)
        .takes("key field increment:integer"),
    row("hincrbyfloat", 4, "2.6.0", Rewrite(numbers::hincrbyfloat), "Adds a float to a field of a hash.").with(GROWS)
        .takes("key field increment:double"),
    row("hlen", 2, "2.0.0", Read(whole::hlen), "Returns the number of fields of a hash.").with(FAST).access("RO")
        .takes("key"),
    row("hgetall", 2, "2.0.0", Read(whole::hgetall), "Returns all fields of a hash with their values.").hints("nondeterministic_output_order")
        .takes("key"),
    row("hkeys", 2, "2.0.0", Read(whole::hkeys), "Returns all fields of a hash.").hints("nondeterministic_output_order")
        .takes("key"),
    row("hvals", 2, "2.0.0", Read(whole::hvals), "Returns the values of all fields of a hash.").hints("nondeterministic_output_order")
        .takes("key"),
    row("hrandfield", -2, "6.2.0", Read(whole::hrandfield), "Returns random fields of a hash.").hints("nondeterministic_output")
        .takes("key [options(count:integer [WITHVALUES])]"),
    row("hscan", -3, "2.8.0", Read(whole::hscan), "Walks the fields of a hash in steps.").hints("nondeterministic_output")
        .takes("key cursor:integer [MATCH=pattern] [COUNT=count:integer]"),
    row("hexpire", -6, "7.4.0", Rewrite(expiry::hexpire), "Lets fields of a hash expire after some seconds.").with(GROWS).access("RW update")
        .takes("key seconds:integer [condition(NX|XX|GT|LT)] FIELDS=fields(numfields:integer field...)"),
    row("hpexpire", -6, "7.4.0", Rewrite(expiry::hpexpire), "Lets fields of a hash expire after some milliseconds.").with(GROWS).access("RW update")
        .takes("key milliseconds:integer [condition(NX|XX|GT|LT)] FIELDS=fields(numfields:integer field...)"),
    row("hexpireat", -6, "7.4.0", Rewrite(expiry::hexpireat), "Lets fields of a hash expire at a time in seconds.").with(GROWS).access("RW update")
        .takes("key unix-time-seconds:unix-time [condition(NX|XX|GT|LT)] FIELDS=fields(numfields:integer field...)"),
    row("hpexpireat", -6, "7.4.0", Rewrite(expiry::hpexpireat), "Lets fields of a hash expire at a time in milliseconds.").with(GROWS).access("RW update")
        .takes("key unix-time-milliseconds:unix-time [condition(NX|XX|GT|LT)] FIELDS=fields(numfields:integer field...)"),
    row("hpersist", -5, "7.4.0", Write(expiry::hpersist), "Takes the expiry of fields of a hash away.").with(FAST).access("RW update")
        .takes("key FIELDS=fields(numfields:integer field...)"),
    row("hsetex", -5, "8.0.0", Rewrite(extended::hsetex), "Sets fields of a hash, made if need be, and when they expire.").with(GROWS).access("RW update")
        .takes("key form(fields([condition(FNX|FXX)] [expiration(EX=seconds:integer|PX=milliseconds:integer|EXAT=unix-time-seconds:unix-time|PXAT=unix-time-milliseconds:unix-time|KEEPTTL)] FIELDS=pairs(numfields:integer field_value(field value)...))|seconds([NX] [KEEPTTL] seconds:integer field_value(field value)...))"),
    row("hgetex", -5, "8.0.0", Rewrite(extended::hgetex), "Returns the values of fields of a hash, and sets when they expire.").with(FAST).access("RW access update")
        .takes("key [expiration(EX=seconds:integer|PX=milliseconds:integer|EXAT=unix-time-seconds:unix-time|PXAT=unix-time-milliseconds:unix-time|PERSIST)] FIELDS=fields(numfields:integer field...)"),
    row("httl", -5, "7.4.0", Read(expiry::httl), "Returns how many seconds fields of a hash have left.").with(FAST)
        .takes("key FIELDS=fields(numfields:integer field...)"),
    row("hpttl", -5, "7.4.0", Read(expiry::hpttl), "Returns how many milliseconds fields of a hash have left.").with(FAST)
        .takes("key FIELDS=fields(numfields:integer field...)"),
    row("hexpiretime", -5, "7.4.0", Read(expiry::hexpiretime), "Returns when fields of a hash expire, in seconds.").with(FAST)
        .takes("key FIELDS=fields(numfields:integer field...)"),
    row("hpexpiretime", -5, "7.4.0", Read(expiry::hpexpiretime), "Returns when fields of a hash expire, in milliseconds.").with(FAST)
        .takes("key FIELDS=fields(numfields:integer field...)"),
];
