//! Full sync of many strings, both servers on all cores: at rest, under writes, and what readers
//! notice of it.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use damselfly_tests::load::{Fill, Latencies, Load, LoadPlan, Pipe, Text, key_name};
use damselfly_tests::machine::cpu_seconds;
use damselfly_tests::{Peer, PeerKind, Rng, await_synced, replicaof};

use crate::case::{Case, Ratio, Round, Rounds, Row, Target};

/// Threads and shards of ours at each end.
pub const THREADS: usize = 2;
pub const SMALL_BYTES: usize = 64;
const BIG_BYTES: usize = 1024;
const SYNC_DEADLINE: Duration = Duration::from_secs(300);
/// Redis reaps the process that wrote its snapshot a tenth of a second later, and only then is its
/// time known.
const REAP_PAUSE: Duration = Duration::from_millis(300);
/// How long writers run before a sync begins.
const WARM_UP: Duration = Duration::from_millis(300);
/// How long readers are watched at rest.
const IDLE_WATCH: Duration = Duration::from_secs(3);
/// A reader's requests a second: enough to notice a stall of a millisecond, few enough to cost little.
const READS_PER_SECOND: u64 = 2_000;

const SECONDS: Row = Row {
    what: "full sync, small strings, until stable sync",
    unit: "s",
    ratio: Ratio::Theirs,
    target: Target::RatioAtLeast(3.0),
};

const fn row(what: &'static str, unit: &'static str, ratio: Ratio, target: Target) -> Row {
    Row {
        what,
        unit,
        ratio,
        target,
    }
}

/// The full syncs.
pub const CASES: &[Case] = &[
    Case {
        name: "full-sync",
        summary: "full sync of strings with 16 B keys and 64 B values, at rest",
        rows: &[
            SECONDS,
            row("… CPU of both ends", "s", Ratio::Theirs, Target::None),
        ],
        rounds: Rounds::Half,
        needs: None,
        start: |kind, scale| at_rest(kind, scale.keys, SMALL_BYTES),
    },
    Case {
        name: "full-sync-writes",
        summary: "the same under writes as fast as they are answered",
        rows: &[
            row(
                "… under unthrottled writes",
                "s",
                Ratio::Theirs,
                Target::None,
            ),
            row("… writes meanwhile", "op/s", Ratio::Ours, Target::None),
        ],
        rounds: Rounds::Half,
        needs: None,
        start: |kind, scale| under_writes(kind, scale.keys),
    },
    Case {
        name: "full-sync-1k",
        summary: "full sync of strings of 1 KB",
        rows: &[
            row("full sync, 1 KB strings", "MB/s", Ratio::Ours, Target::None),
            row("… CPU of both ends", "s", Ratio::Theirs, Target::None),
        ],
        rounds: Rounds::Half,
        needs: None,
        start: |kind, scale| {
            let mut round = at_rest(kind, scale.big_keys, BIG_BYTES)?;
            let megabytes = (scale.big_keys * BIG_BYTES as u64) as f64 / 1e6;
            Ok(Box::new(move || {
                let values = round()?;
                Ok(vec![megabytes / values[0], values[1]])
            }))
        },
    },
    Case {
        name: "p99",
        summary: "GET, one connection, at rest and during a full sync",
        rows: &[
            row("GET p99 at rest", "µs", Ratio::Theirs, Target::None),
            row(
                "GET p99 during a full sync",
                "µs",
                Ratio::Theirs,
                Target::None,
            ),
            row(
                "p99 during a full sync / at rest",
                "×",
                Ratio::Ours,
                Target::OursAtMost(2.0),
            ),
        ],
        rounds: Rounds::Half,
        needs: None,
        start: |kind, scale| readers(kind, scale.keys),
    },
];

/// A primary with this many strings in it.
pub fn filled(kind: PeerKind, keys: u64, value_bytes: usize) -> io::Result<Peer> {
    let primary = kind.start(THREADS)?;
    let fill = Fill {
        keys: 0..keys,
        value_bytes,
        connections: 2,
    };
    fill.write(primary.address())?;
    Ok(primary)
}

/// What a full sync took.
struct Sync {
    seconds: f64,
    cpu_seconds: f64,
}

/// A new replica comes, synchronizes and goes.
fn sync(kind: PeerKind, primary: &Peer) -> io::Result<Sync> {
    let replica = kind.start(THREADS)?;
    let used = || cpu_seconds(primary.pid()) + cpu_seconds(replica.pid());
    let (before, start) = (used(), Instant::now());
    let mut client = replica.client();
    follow(&mut client, primary.address())?;
    let seconds = start.elapsed().as_secs_f64();
    std::thread::sleep(REAP_PAUSE);
    Ok(Sync {
        seconds,
        cpu_seconds: used() - before,
    })
}

/// Makes it a replica and waits until it is in stable sync.
pub fn follow(replica: &mut damselfly_tests::Client, primary: SocketAddr) -> io::Result<()> {
    if let Some(error) = replicaof(replica, primary).as_error() {
        let text = String::from_utf8_lossy(error);
        return Err(io::Error::other(format!("REPLICAOF: {text}")));
    }
    await_synced(SYNC_DEADLINE, replica)
}

fn at_rest(kind: PeerKind, keys: u64, value_bytes: usize) -> io::Result<Round> {
    let primary = filled(kind, keys, value_bytes)?;
    Ok(Box::new(move || {
        let sync = sync(kind, &primary)?;
        Ok(vec![sync.seconds, sync.cpu_seconds])
    }))
}

fn under_writes(kind: PeerKind, keys: u64) -> io::Result<Round> {
    let primary = filled(kind, keys, SMALL_BYTES)?;
    Ok(Box::new(move || {
        let load = overwrite(primary.address(), keys, None);
        std::thread::sleep(WARM_UP);
        let before = (load.commands(), Instant::now());
        let sync = sync(kind, &primary)?;
        let writes = (load.commands() - before.0) as f64 / before.1.elapsed().as_secs_f64();
        none_refused(load)?;
        Ok(vec![sync.seconds, writes])
    }))
}

/// Overwrites the strings of a filled server, as fast as it answers or at a rate.
pub fn overwrite(address: SocketAddr, keys: u64, rate: Option<u64>) -> Load {
    let plan = LoadPlan {
        connections: 2,
        pipeline: 32,
        rate,
        ..LoadPlan::default()
    };
    Load::start(address, plan, move |number| {
        let mut rng = Rng::new(number as u64);
        let mut text = Text::new(number as u64, SMALL_BYTES);
        move |pipe: &mut Pipe| {
            let name = key_name(rng.below(keys));
            pipe.queue(&[b"SET", name.as_bytes(), text.slice(SMALL_BYTES)]);
        }
    })
}

/// Ends a load of which every command must have succeeded.
pub fn none_refused(load: Load) -> io::Result<u64> {
    let report = load.stop();
    match (report.errors, report.breaks) {
        (0, 0) => Ok(report.commands),
        (errors, breaks) => Err(io::Error::other(format!(
            "{errors} commands were refused, {breaks} connections broke"
        ))),
    }
}

fn readers(kind: PeerKind, keys: u64) -> io::Result<Round> {
    let primary = filled(kind, keys, SMALL_BYTES)?;
    Ok(Box::new(move || {
        let load = read(primary.address(), keys);
        std::thread::sleep(IDLE_WATCH);
        let idle = load.stop().latencies;
        let load = read(primary.address(), keys);
        sync(kind, &primary)?;
        let during = load.stop().latencies;
        let micros = |times: &Latencies| times.percentile(0.99).as_nanos() as f64 / 1e3;
        let (idle, during) = (micros(&idle), micros(&during));
        Ok(vec![idle, during, during / idle])
    }))
}

fn read(address: SocketAddr, keys: u64) -> Load {
    let plan = LoadPlan {
        rate: Some(READS_PER_SECOND),
        ..LoadPlan::default()
    };
    Load::start(address, plan, move |number| {
        let mut rng = Rng::new(number as u64);
        move |pipe: &mut Pipe| {
            let name = key_name(rng.below(keys));
            pipe.queue(&[b"GET", name.as_bytes()]);
        }
    })
}
