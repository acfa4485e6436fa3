//! `redis-benchmark` with all its default tests, on one core, without pipeline and with one.
//!
//! Each test is a case of its own, so that the servers take turns at it and the processor time is known. Before it an empty server gets what the test
//! finds in a complete run. LRANGE is sent as the command that it is: by name, each run would fill the list anew.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use damselfly_tests::machine::cpu_seconds;
use damselfly_tests::{PeerKind, Process, within};

use crate::case::{CLIENT_CORE, Case, Ratio, Round, Rounds, Row, Target, bind, on_one_core};

const CONNECTIONS: u64 = 50;
const PIPELINE: u64 = 16;
const DEADLINE: Duration = Duration::from_secs(120);
/// LRANGE takes so many times fewer requests.
const FEWER_RANGES: u64 = 4;

/// A test, as arguments of redis-benchmark.
#[derive(Clone, Copy)]
pub struct Test {
    pub arguments: &'static str,
    /// The test that comes before it, and fills.
    pub before: Option<&'static str>,
}

macro_rules! cases {
    ($($title:literal $name:literal $arguments:literal $before:expr,)*) => {
        /// All tests, each without pipeline and with one.
        pub const CASES: &[Case] = &[$(
            case!(concat!("rb-", $name), $title, $arguments, $before, 1, 5),
            case!(
                concat!("rb-", $name, "-pipeline"), concat!($title, ", pipeline 16"),
                $arguments, $before, PIPELINE, 3
            ),
        )*];
    };
}

macro_rules! case {
    ($name:expr, $title:expr, $arguments:expr, $before:expr, $pipeline:expr, $fewer:expr) => {
        Case {
            name: $name,
            summary: $title,
            rows: &[rate($title), CPU],
            rounds: Rounds::All,
            needs: None,
            start: |kind, scale| {
                let test = Test {
                    arguments: $arguments,
                    before: $before,
                };
                start(kind, scale.requests / $fewer, $pipeline, test)
            },
        }
    };
}

cases! {
    "PING_INLINE" "ping-inline" "-t ping_inline" None,
    "PING_MBULK" "ping" "-t ping_mbulk" None,
    "SET" "set" "-t set" None,
    "GET" "get" "-t get" Some("-t set"),
    "INCR" "incr" "-t incr" None,
    "LPUSH" "lpush" "-t lpush" None,
    "RPUSH" "rpush" "-t rpush" None,
    "LPOP" "lpop" "-t lpop" Some("-t lpush"),
    "RPOP" "rpop" "-t rpop" Some("-t lpush"),
    "SADD" "sadd" "-t sadd" None,
    "HSET" "hset" "-t hset" None,
    "SPOP" "spop" "-t spop" Some("-t sadd"),
    "ZADD" "zadd" "-t zadd" None,
    "ZPOPMIN" "zpopmin" "-t zpopmin" Some("-t zadd"),
    "LRANGE_100" "lrange-100" "LRANGE mylist 0 99" Some("-t lpush"),
    "LRANGE_300" "lrange-300" "LRANGE mylist 0 299" Some("-t lpush"),
    "LRANGE_500" "lrange-500" "LRANGE mylist 0 499" Some("-t lpush"),
    "LRANGE_600" "lrange-600" "LRANGE mylist 0 599" Some("-t lpush"),
    "MSET (10 keys)" "mset" "-t mset" None,
}

const fn rate(what: &'static str) -> Row {
    Row {
        what,
        unit: "op/s",
        ratio: Ratio::Ours,
        target: Target::RatioAtLeast(0.9),
    }
}

pub const CPU: Row = Row {
    what: "… server CPU",
    unit: "µs/op",
    ratio: Ratio::Theirs,
    target: Target::None,
};

pub fn start(kind: PeerKind, requests: u64, pipeline: u64, test: Test) -> io::Result<Round> {
    let server = on_one_core(kind)?;
    let requests = if test.arguments.starts_with("LRANGE") {
        requests / FEWER_RANGES
    } else {
        requests
    };
    Ok(Box::new(move || {
        server.client().ok("FLUSHALL");
        if let Some(before) = test.before {
            redis_benchmark(server.address(), requests, PIPELINE, before)?;
        }
        let before = cpu_seconds(server.pid());
        let rate = redis_benchmark(server.address(), requests, pipeline, test.arguments)?;
        let used = cpu_seconds(server.pid()) - before;
        Ok(vec![rate, used * 1e6 / requests as f64])
    }))
}

/// Requests a second, as it says.
fn redis_benchmark(
    address: SocketAddr,
    requests: u64,
    pipeline: u64,
    test: &str,
) -> io::Result<f64> {
    let line = format!(
        "-h {} -p {} -c {CONNECTIONS} -P {pipeline} -n {requests} --csv {test}",
        address.ip(),
        address.port(),
    );
    let arguments: Vec<&str> = line.split(' ').collect();
    let mut client = Process::start(Path::new("redis-benchmark"), &arguments, &[])?;
    bind(client.pid(), CLIENT_CORE)?;
    within(DEADLINE, || client.exit_status());
    let log = client.log();
    // A heading, then one line: the test, its rate, and latencies, all in quotes.
    let mut rates = log
        .lines()
        .filter_map(|line| line.split('"').nth(3)?.parse().ok());
    rates
        .next_back()
        .ok_or_else(|| io::Error::other(format!("redis-benchmark {line}:\n{log}")))
}
