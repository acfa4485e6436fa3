//! A large full sync under writes at a rate: equal contents, no second sync, bounded memory.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use damselfly_tests::await_synced;
use damselfly_tests::load::{Fill, Load, LoadPlan, Pipe, Text, key_name};
use damselfly_tests::machine::{MemoryWatch, cpu_seconds};
use damselfly_tests::{Client, Psync, Rng};

use crate::pair::{Pair, SYNC_DEADLINE, THREADS, described, follow};
use crate::{Result, Scale};

const WRITES_PER_SECOND: u64 = 50_000;
/// The claim is void if the machine does not bring about this share of the writes.
const LEAST_SHARE: f64 = 0.8;
const VALUE_BYTES: usize = 64;
/// How long the writes alone are watched.
const ALONE: Duration = Duration::from_secs(10);
const COOL_DOWN: Duration = Duration::from_secs(2);
const MIB: f64 = (1 << 20) as f64;
/// DESIGN 9: 32 MiB, the backlog and an output limit for each flow, in MiB.
const EXTRA_MIB: f64 = 32.0 + 64.0 + THREADS as f64;

/// Runs it.
pub fn run(scale: &Scale) -> Result {
    let pair = Pair::apart()?;
    let fill = Fill {
        keys: 0..scale.keys,
        value_bytes: VALUE_BYTES,
        connections: 2,
    };
    let start = Instant::now();
    fill.write(pair.primary.address())?;
    println!(
        "    {} keys in {:.1} s, {:.0} MiB resident",
        scale.keys,
        start.elapsed().as_secs_f64(),
        pair.primary.resident_bytes() as f64 / MIB
    );
    let watch = MemoryWatch::start(pair.primary.pid());
    let load = writes(pair.primary.address(), scale.keys);
    std::thread::sleep(ALONE);
    println!("    writes alone: {}", described(&load.stop()));
    let alone = watch.peak();
    let watch = MemoryWatch::start(pair.primary.pid());
    let share = sync(&pair, scale)?;
    let peak = watch.peak();
    pair.settle()?;
    let verdicts = [
        no_second_sync(&mut pair.replica.client()),
        memory(peak, alone),
        share,
    ];
    verdicts.into_iter().collect()
}

/// The full sync under writes. Gives the verdict on their rate.
fn sync(pair: &Pair, scale: &Scale) -> Result<Result> {
    let mut replica = pair.replica.client();
    let load = writes(pair.primary.address(), scale.keys);
    let used = || cpu_seconds(pair.primary.pid()) + cpu_seconds(pair.replica.pid());
    let (cpu, start, written) = (used(), Instant::now(), load.commands());
    follow(&mut replica, pair.primary.address())?;
    await_synced(SYNC_DEADLINE, &mut replica)?;
    let took = start.elapsed().as_secs_f64();
    let rate = (load.commands() - written) as f64 / took;
    println!(
        "    stable sync after {took:.2} s, {:.2} s of processor at both ends, {rate:.0} writes/s meanwhile",
        used() - cpu
    );
    std::thread::sleep(COOL_DOWN);
    let report = load.stop();
    println!("    under sync: {}", described(&report));
    if report.errors + report.breaks > 0 {
        return Err("writes were refused".into());
    }
    match rate >= WRITES_PER_SECOND as f64 * LEAST_SHARE {
        true => Ok(Ok(())),
        false => Ok(Err(format!(
            "only {rate:.0} of {WRITES_PER_SECOND} writes a second: is the machine busy?"
        )
        .into())),
    }
}

fn memory(peak: u64, alone: u64) -> Result {
    let extra = (peak as f64 - alone as f64) / MIB;
    println!(
        "    primary's peak {:.0} MiB with the sync, {:.0} MiB by the writes alone: {extra:.1} MiB extra, {EXTRA_MIB} allowed",
        peak as f64 / MIB,
        alone as f64 / MIB
    );
    match extra <= EXTRA_MIB {
        true => Ok(()),
        false => Err(format!("{extra:.1} MiB extra, {EXTRA_MIB} allowed").into()),
    }
}

fn no_second_sync(replica: &mut Client) -> Result {
    let psync = Psync::of(replica);
    println!("    {psync:?}");
    match psync.full_syncs == 1 && psync.reconnects == 0 {
        true => Ok(()),
        false => Err("the replica had to start again".into()),
    }
}

fn writes(address: SocketAddr, keys: u64) -> Load {
    let plan = LoadPlan {
        connections: 2,
        pipeline: 32,
        rate: Some(WRITES_PER_SECOND),
        ..LoadPlan::default()
    };
    Load::start(address, plan, move |number| {
        let (mut rng, mut text) = (
            Rng::new(number as u64),
            Text::new(number as u64, VALUE_BYTES),
        );
        move |pipe: &mut Pipe| {
            let name = key_name(rng.below(keys));
            pipe.queue(&[b"SET", name.as_bytes(), text.slice(VALUE_BYTES)]);
        }
    })
}
