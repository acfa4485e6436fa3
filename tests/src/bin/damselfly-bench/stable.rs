//! Stable sync: what a record costs, once the replica has everything.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use damselfly_tests::load::{Load, LoadPlan, Pipe, Text, key_name};
use damselfly_tests::machine::cpu_seconds;
use damselfly_tests::{Client, PeerKind, Rng, within};

use crate::case::{
    CLIENT_CORE, Case, Ratio, Round, Rounds, Row, SERVER_CORE, Scale, Target, bind, on_one_core,
};
use crate::full_sync::{SMALL_BYTES, follow, none_refused};

const CATCH_UP_DEADLINE: Duration = Duration::from_secs(120);
/// Written last; on a replica with it, everything before it was executed.
const MARKER: &str = "bench:marker";

/// One case: writes at full speed through a pair of one thread each.
pub const CASES: &[Case] = &[Case {
    name: "stable-sync",
    summary: "SET, pipeline 32, to a primary with a replica, one thread each",
    rows: &[
        Row {
            what: "stable sync, records by CPU second of the replica",
            unit: "records/s",
            ratio: Ratio::Ours,
            target: Target::RatioAtLeast(2.0),
        },
        Row {
            what: "… CPU of the primary, write and record",
            unit: "µs/record",
            ratio: Ratio::Theirs,
            target: Target::None,
        },
        Row {
            what: "… until the replica has it, clients on the replica's core",
            unit: "records/s",
            ratio: Ratio::Ours,
            target: Target::None,
        },
    ],
    rounds: Rounds::All,
    needs: None,
    start,
}];

fn start(kind: PeerKind, scale: Scale) -> io::Result<Round> {
    let (primary, replica) = (on_one_core(kind)?, on_one_core(kind)?);
    bind(primary.pid(), SERVER_CORE)?;
    bind(replica.pid(), CLIENT_CORE)?;
    let (mut writer, mut reader) = (primary.client(), replica.client());
    follow(&mut reader, primary.address())?;
    let records = scale.requests * Scale::PIPELINED;
    let mut round = 0;
    Ok(Box::new(move || {
        round += 1;
        let used = || [cpu_seconds(replica.pid()), cpu_seconds(primary.pid())];
        let (before, start) = (used(), Instant::now());
        let written = write(primary.address(), records, scale.speed_keys)?;
        await_marker(&mut writer, &mut reader, round)?;
        let (after, took) = (used(), start.elapsed().as_secs_f64());
        let written = written as f64;
        let each = |end: usize| (after[end] - before[end]) * 1e6 / written;
        Ok(vec![1e6 / each(0), each(1), written / took])
    }))
}

/// At least this many writes.
fn write(address: SocketAddr, records: u64, keys: u64) -> io::Result<u64> {
    let plan = LoadPlan {
        connections: 4,
        pipeline: 32,
        ..LoadPlan::default()
    };
    let load = Load::start(address, plan, move |number| {
        let (mut rng, mut text) = (
            Rng::new(number as u64),
            Text::new(number as u64, SMALL_BYTES),
        );
        move |pipe: &mut Pipe| {
            let name = key_name(rng.below(keys));
            pipe.queue(&[b"SET", name.as_bytes(), text.slice(SMALL_BYTES)]);
        }
    });
    while load.commands() < records {
        std::thread::sleep(Duration::from_millis(1));
    }
    none_refused(load)
}

fn await_marker(writer: &mut Client, reader: &mut Client, round: u64) -> io::Result<()> {
    writer.ok(&format!("SET {MARKER} {round}"));
    let arrived = || {
        let value = reader.call(&format!("GET {MARKER}")).as_integer();
        (value == Some(round as i64)).then_some(())
    };
    within(CATCH_UP_DEADLINE, arrived)
        .ok_or_else(|| io::Error::other("the replica did not catch up"))
}
