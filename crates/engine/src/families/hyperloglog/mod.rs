//! HyperLogLogs: how many different elements were added, to within 0.81 %, in at most 12 KiB.
//!
//! They are strings in Redis's representation, byte for byte: `sketch` has the header and the dense form, `sparse` the run-length
//! form of small ones, `estimate` the estimator, `murmur` the hash.

mod commands;
mod debug;
mod estimate;
mod murmur;
mod sketch;
mod sparse;

use crate::command::{Command, Flags, Group, Handler, Keys};

use Handler::{Read, Rewrite, Session, Write};

const fn row(
    name: &'static str,
    arity: i16,
    keys: Keys,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(
        name,
        arity,
        keys,
        Group::HyperLogLog,
        since,
        handler,
        summary,
    )
}

const GROWS: Flags = Flags::DENY_OOM;
const SECOND: Keys = Keys::Range {
    first: 2,
    last: 2,
    step: 1,
};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("pfadd", -2, Keys::ONE, "2.8.9", Write(commands::pfadd), "Adds elements to a HyperLogLog, made if need be.").with(GROWS.or(Flags::FAST)).access("RW insert")
        .takes("key [element...]"),
    row("pfcount", -2, Keys::ALL, "2.8.9", Read(commands::pfcount), "Estimates how many different elements were added to HyperLogLogs.").with(Flags::MAY_REPLICATE)
        .takes("key..."),
    row("pfmerge", -2, Keys::ALL, "2.8.9", Write(commands::pfmerge), "Merges HyperLogLogs into the first one.").with(GROWS).access("RW access insert;RO access")
        .takes("destkey:key sourcekey:key..."),
    row("pfdebug", 3, SECOND, "2.8.9", Rewrite(debug::pfdebug), "Shows the inside of a HyperLogLog.").with(GROWS.or(Flags::ADMIN)).access("RW access")
        .takes("subcommand key").with(Flags::SYSTEM),
    row("pfselftest", 1, Keys::None, "2.8.9", Session(debug::pfselftest), "Checks the estimates of HyperLogLogs.").with(Flags::ADMIN)
        .with(Flags::SYSTEM),
];
