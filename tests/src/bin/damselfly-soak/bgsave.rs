//! BGSAVE of many keys under writes: what is in the files is one point in time, no more memory than the buffers, and what readers notice.
//!
//! Every write is stamped with its writer and the number of its batch, and every key is always written by the same writer, so that each
//! value tells when it came. A writer sends its next batch when the last one is answered. A file is of one point in time if for each writer
//! there is a batch `b` so that **every** key stands as batches 1 to `b - 1`, repeated from the seed, left it, apart from those that `b` writes;
//! if the keys of each transaction (over both shards) agree; and if nothing is in it without what its writer knew to be
//! answered, by whichever writer, when it sent it.

mod proof;
mod writer;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use damselfly_tests::load::{Fill, Load, LoadPlan, LoadReport, Pipe, key_name};
use damselfly_tests::machine::MemoryWatch;
use damselfly_tests::{Client, Rng, Server, eventually};

use crate::pair::{THREADS, described};
use crate::{Result, Scale};
use proof::prove;
use writer::{BATCH, VALUE_BYTES, Writers};

const WRITES_PER_SECOND: u64 = 50_000;
/// The claim is void if the machine does not bring about this share of the writes.
const LEAST_SHARE: f64 = 0.8;
/// How long readers are watched at rest, and both beside the writes alone.
const ALONE: Duration = Duration::from_secs(10);
const READS_PER_SECOND: u64 = 2_000;
const SAVE_DEADLINE: Duration = Duration::from_secs(120);
const LOAD_DEADLINE: Duration = Duration::from_secs(120);
const MIB: f64 = (1 << 20) as f64;
/// 32 MiB beside the buffers: what walks and writers may have waiting for the disk (docs/files.md), in MiB.
const EXTRA_MIB: f64 = 32.0 + 16.0;
const NAME: &str = "soak";

/// Runs it.
pub fn run(scale: &Scale) -> Result {
    let mut server = server(&[])?;
    fill(&server, scale.keys)?;
    let idle = reading(&server, scale.keys, a_while)?.0;
    let writers = Writers::new(scale.seed, scale.keys);
    let watch = MemoryWatch::start(server.pid());
    let load = writing(&server, &writers);
    let (beside_writes, ()) = reading(&server, scale.keys, a_while)?;
    let alone = watch.peak();
    let mut verdicts = Vec::new();
    for format in ["DF", "RDB"] {
        verdicts.push(save(&server, scale, &load, format, alone, &idle)?);
    }
    println!("    GET beside the writes alone: {}", p99(&beside_writes));
    let report = load.stop();
    println!("    writes: {}", described(&report));
    if report.errors + report.breaks > 0 {
        return Err("writes were refused".into());
    }
    server.kill();
    for (format, file) in [("DF", "soak-summary.dfs"), ("RDB", "soak.rdb")] {
        let found = loaded(server.dir().join(file))?;
        let proof = prove(&mut found.client(), &writers)?;
        println!("    {format}: {proof}");
    }
    verdicts.into_iter().collect()
}

fn server(flags: &[&str]) -> Result<Server> {
    let threads = format!("--proactor_threads={THREADS}");
    Ok(Server::try_start(&[&[&threads[..]], flags].concat())?)
}

fn fill(server: &Server, keys: u64) -> Result {
    let start = Instant::now();
    let fill = Fill {
        keys: 0..keys,
        value_bytes: VALUE_BYTES,
        connections: 2,
    };
    fill.write(server.address())?;
    println!(
        "    {keys} keys in {:.1} s, {:.0} MiB resident",
        start.elapsed().as_secs_f64(),
        server.resident_bytes() as f64 / MIB
    );
    Ok(())
}

fn writing(server: &Server, writers: &Writers) -> Load {
    let plan = LoadPlan {
        connections: writers.count(),
        pipeline: BATCH,
        // MULTI and EXEC are no writes.
        rate: Some(WRITES_PER_SECOND * BATCH / (BATCH - 2)),
        ..LoadPlan::default()
    };
    Load::start(server.address(), plan, |number| writers.source(number))
}

/// Reads beside `work`.
fn reading<T>(
    server: &Server,
    keys: u64,
    work: impl FnOnce() -> Result<T>,
) -> Result<(LoadReport, T)> {
    let plan = LoadPlan {
        rate: Some(READS_PER_SECOND),
        ..LoadPlan::default()
    };
    let load = Load::start(server.address(), plan, move |number| {
        let mut rng = Rng::new(number as u64);
        move |pipe: &mut Pipe| {
            let name = key_name(rng.below(keys));
            pipe.queue(&[b"GET", name.as_bytes()]);
        }
    });
    let result = work()?;
    Ok((load.stop(), result))
}

fn a_while() -> Result {
    std::thread::sleep(ALONE);
    Ok(())
}

fn p99(report: &LoadReport) -> String {
    let micros = |share| report.latencies.percentile(share).as_micros();
    format!(
        "p50 {} µs, p99 {} µs, longest {} µs",
        micros(0.5),
        micros(0.99),
        report.latencies.longest().as_micros()
    )
}

/// One BGSAVE under the writes. Gives the verdict on memory and on the rate.
fn save(
    server: &Server,
    scale: &Scale,
    load: &Load,
    format: &str,
    alone: u64,
    idle: &LoadReport,
) -> Result<Result> {
    let watch = MemoryWatch::start(server.pid());
    let written = load.commands();
    let (report, took) = reading(server, scale.keys, || bgsave(server, format))?;
    let rate = (load.commands() - written) as f64 / took.as_secs_f64();
    let peak = watch.peak();
    let extra = (peak as f64 - alone as f64) / MIB;
    println!(
        "    BGSAVE {format}: {:.2} s, {rate:.0} commands/s meanwhile; {extra:.1} MiB extra ({EXTRA_MIB} allowed): peak {:.0}, {:.0} by the writes alone",
        took.as_secs_f64(),
        peak as f64 / MIB,
        alone as f64 / MIB
    );
    println!(
        "    GET meanwhile: {}; at rest: {}",
        p99(&report),
        p99(idle)
    );
    Ok(if extra > EXTRA_MIB {
        Err(format!("{format}: {extra:.1} MiB extra, {EXTRA_MIB} allowed").into())
    } else if rate < WRITES_PER_SECOND as f64 * LEAST_SHARE {
        Err(format!("{format}: only {rate:.0} of {WRITES_PER_SECOND} writes a second").into())
    } else {
        Ok(())
    })
}

/// Begins a BGSAVE and waits for its end.
fn bgsave(server: &Server, format: &str) -> Result<Duration> {
    let mut client = server.client();
    let start = Instant::now();
    let reply = client.try_call(&["BGSAVE", format, NAME])?;
    if let Some(error) = reply.as_error() {
        return Err(format!("BGSAVE: {}", String::from_utf8_lossy(error)).into());
    }
    eventually(SAVE_DEADLINE, "the end of BGSAVE", || {
        persistence(&mut client, "rdb_bgsave_in_progress") == "0"
    });
    let took = start.elapsed();
    match &persistence(&mut client, "rdb_last_bgsave_status")[..] {
        "ok" => Ok(took),
        status => Err(format!("BGSAVE ended with {status}").into()),
    }
}

fn persistence(client: &mut Client, field: &str) -> String {
    let info = client.info("persistence");
    info.get(field).cloned().unwrap_or_default()
}

/// A server that has loaded a file.
fn loaded(file: PathBuf) -> Result<Server> {
    let server = server(&[])?;
    let mut client = server.client();
    client.set_timeout(Some(LOAD_DEADLINE))?;
    let start = Instant::now();
    let reply = client.try_call(&["DFLY", "LOAD", &file.to_string_lossy()])?;
    if let Some(error) = reply.as_error() {
        return Err(format!("DFLY LOAD: {}", String::from_utf8_lossy(error)).into());
    }
    println!(
        "    {} loaded in {:.2} s",
        file.display(),
        start.elapsed().as_secs_f64()
    );
    Ok(server)
}
