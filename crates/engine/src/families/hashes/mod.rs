//! Commands of hashes.

mod fields;
mod numbers;
mod whole;

use crate::command::{Command, Flags, Group, Handler, Keys};

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

const FAST: Flags = Flags::FAST;
const GROWS: Flags = Flags::DENY_OOM.or(Flags::FAST);

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("hset", -4, "2.0.0", Write(fields::hset), "Sets fields of a hash, made if need be.").with(GROWS).access("RW update"),
    row("hmset", -4, "2.0.0", Write(fields::hmset), "Sets fields of a hash, made if need be.").with(GROWS).access("RW update"),
    row("hsetnx", 4, "2.0.0", Write(fields::hsetnx), "Sets a field of a hash that is not there yet.").with(GROWS).access("RW insert"),
    row("hget", 3, "2.0.0", Read(fields::hget), "Returns the value of a field of a hash.").with(FAST),
    row("hmget", -3, "2.0.0", Read(fields::hmget), "Returns the values of fields of a hash.").with(FAST),
    row("hdel", -3, "2.0.0", Write(fields::hdel), "Removes fields of a hash.").with(FAST).access("RW delete"),
    row("hexists", 3, "2.0.0", Read(fields::hexists), "Tells whether a hash has a field.").with(FAST).access("RO"),
    row("hstrlen", 3, "3.2.0", Read(fields::hstrlen), "Returns the length of the value of a field of a hash.").with(FAST).access("RO"),
    row("hincrby", 4, "2.0.0", Write(numbers::hincrby), "Adds an integer to a field of a hash.").with(GROWS),
    row("hincrbyfloat", 4, "2.6.0", Rewrite(numbers::hincrbyfloat), "Adds a float to a field of a hash.").with(GROWS),
    row("hlen", 2, "2.0.0", Read(whole::hlen), "Returns the number of fields of a hash.").with(FAST).access("RO"),
    row("hgetall", 2, "2.0.0", Read(whole::hgetall), "Returns all fields of a hash with their values.").hints("nondeterministic_output_order"),
    row("hkeys", 2, "2.0.0", Read(whole::hkeys), "Returns all fields of a hash.").hints("nondeterministic_output_order"),
    row("hvals", 2, "2.0.0", Read(whole::hvals), "Returns the values of all fields of a hash.").hints("nondeterministic_output_order"),
    row("hrandfield", -2, "6.2.0", Read(whole::hrandfield), "Returns random fields of a hash.").hints("nondeterministic_output"),
    row("hscan", -3, "2.8.0", Read(whole::hscan), "Walks the fields of a hash in steps.").hints("nondeterministic_output"),
];
