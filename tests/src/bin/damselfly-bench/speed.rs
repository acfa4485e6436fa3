//! GET and SET on one core, by `redis-benchmark` from the other one.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use damselfly_tests::load::Fill;
use damselfly_tests::machine::cpu_seconds;
use damselfly_tests::{PeerKind, Process, within};

use crate::case::{CLIENT_CORE, Case, Ratio, Round, Rounds, Row, Scale, Target, bind, on_one_core};

const CONNECTIONS: u64 = 50;
const PIPELINE: u64 = 32;
const VALUE_BYTES: usize = 64;
const DEADLINE: Duration = Duration::from_secs(300);

/// Redis-benchmark's name for the command, and commands in one batch.
#[derive(Clone, Copy)]
struct Test {
    command: &'static str,
    pipeline: u64,
}

macro_rules! case {
    ($name:literal, $command:literal, $pipeline:expr, $title:literal, $target:expr) => {
        Case {
            name: $name,
            summary: concat!($title, ", 50 connections"),
            rows: &[
                Row {
                    what: concat!($title, ", 1 core"),
                    unit: "op/s",
                    ratio: Ratio::Ours,
                    target: Target::RatioAtLeast($target),
                },
                Row {
                    what: concat!($title, ", 1 core, server CPU"),
                    unit: "µs/op",
                    ratio: Ratio::Theirs,
                    target: Target::None,
                },
            ],
            rounds: Rounds::All,
            needs: None,
            start: |kind, scale| {
                start(
                    kind,
                    scale,
                    Test {
                        command: $command,
                        pipeline: $pipeline,
                    },
                )
            },
        }
    };
}

/// Without pipeline and with one.
pub const CASES: &[Case] = &[
    case!("get", "GET", 1, "GET, no pipeline", 1.1),
    case!("set", "SET", 1, "SET, no pipeline", 1.1),
    case!("get-pipeline", "GET", PIPELINE, "GET, pipeline 32", 2.0),
    case!("set-pipeline", "SET", PIPELINE, "SET, pipeline 32", 2.0),
];

fn start(kind: PeerKind, scale: Scale, test: Test) -> io::Result<Round> {
    let server = on_one_core(kind)?;
    let fill = Fill {
        keys: 0..scale.speed_keys,
        value_bytes: VALUE_BYTES,
        connections: 2,
    };
    fill.write(server.address())?;
    let factor = if test.pipeline > 1 {
        Scale::PIPELINED
    } else {
        1
    };
    let requests = scale.requests * factor;
    Ok(Box::new(move || {
        let before = cpu_seconds(server.pid());
        let rate = redis_benchmark(server.address(), test, requests, scale.speed_keys)?;
        let used = cpu_seconds(server.pid()) - before;
        Ok(vec![rate, used * 1e6 / requests as f64])
    }))
}

/// Requests a second, as it says.
fn redis_benchmark(address: SocketAddr, test: Test, requests: u64, keys: u64) -> io::Result<f64> {
    let line = format!(
        "-h {} -p {} -c {CONNECTIONS} -P {} -n {requests} -r {keys} -d {VALUE_BYTES} -t {} --csv",
        address.ip(),
        address.port(),
        test.pipeline,
        test.command
    );
    let arguments: Vec<&str> = line.split(' ').collect();
    let mut client = Process::start(Path::new("redis-benchmark"), &arguments, &[])?;
    bind(client.pid(), CLIENT_CORE)?;
    within(DEADLINE, || client.exit_status());
    let log = client.log();
    let start = format!("\"{}\",\"", test.command);
    log.lines()
        .find_map(|line| line.strip_prefix(&start)?.split('"').next()?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("redis-benchmark {line}:\n{log}")))
}
