//! A peer that neither answers nor closes: SIGSTOP.

use std::time::{Duration, Instant};

use damselfly_tests::load::{Fill, LoadPlan, LoadReport};
use damselfly_tests::{is_synced, within};

use crate::pair::{Pair, REPLICATION_TIMEOUT, described};
use crate::{Result, Scale};

/// Enough to fill what the system buffers within seconds, so that writers feel the stuck link.
const PLAN: LoadPlan = LoadPlan {
    connections: 3,
    pipeline: 32,
    rate: Some(40_000),
    timeout: Duration::from_secs(120),
};
/// What timers and a busy machine may add to the timeout.
const SLACK: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_secs(1);
const COOL_DOWN: Duration = Duration::from_secs(2);
const FILLED_KEYS: u64 = 1_000_000;

/// A replica in stable sync.
pub fn replica_in_stable_sync(scale: &Scale) -> Result {
    let mut pair = Pair::synced()?;
    let before = pair.psync();
    let load = pair.load(PLAN, scale.seed);
    std::thread::sleep(WARM_UP);
    freeze_replica(&mut pair, scale.freeze);
    std::thread::sleep(COOL_DOWN);
    let report = load.stop();
    finish(&pair, &report)?;
    println!("    after the thaw {}", pair.psync().since(before));
    Ok(())
}

/// A replica in the middle of a full sync.
pub fn replica_in_full_sync(scale: &Scale) -> Result {
    let mut pair = Pair::apart()?;
    let fill = Fill {
        keys: 0..FILLED_KEYS,
        value_bytes: 64,
        connections: 2,
    };
    fill.write(pair.primary.address())?;
    let load = pair.load(PLAN, scale.seed);
    std::thread::sleep(WARM_UP);
    pair.follow()?;
    let mut client = pair.replica.client();
    let is_early = !is_synced(&mut client);
    freeze_replica(&mut pair, scale.freeze);
    println!(
        "    frozen {} stable sync",
        if is_early { "before" } else { "in" }
    );
    std::thread::sleep(COOL_DOWN);
    let report = load.stop();
    finish(&pair, &report)
}

fn freeze_replica(pair: &mut Pair, time: Duration) {
    println!("    the replica is frozen for {} s", time.as_secs());
    let start = Instant::now();
    pair.replica.freeze();
    let mut primary = pair.primary.client();
    let gone = within(time, || {
        let info = primary.info("replication");
        (info.get("connected_slaves").map(String::as_str) == Some("0")).then_some(())
    });
    match gone {
        Some(()) => println!("    dropped after {:.1} s", start.elapsed().as_secs_f64()),
        None => println!("    not dropped meanwhile"),
    }
    std::thread::sleep(time.saturating_sub(start.elapsed()));
    pair.replica.thaw();
}

fn finish(pair: &Pair, report: &LoadReport) -> Result {
    println!("    {}", described(report));
    pair.await_synced()?;
    pair.settle()?;
    let (longest, most) = (report.latencies.longest(), REPLICATION_TIMEOUT + SLACK);
    if longest > most {
        return Err(format!(
            "a writer waited {longest:?}, longer than replication_timeout {REPLICATION_TIMEOUT:?}"
        )
        .into());
    }
    match report.breaks {
        0 => Ok(()),
        breaks => Err(format!("{breaks} writers lost their connection").into()),
    }
}

/// A primary: its replica waits, and goes on.
pub fn primary(scale: &Scale) -> Result {
    let mut pair = Pair::synced()?;
    let before = pair.psync();
    let load = pair.load(PLAN, scale.seed);
    std::thread::sleep(WARM_UP);
    println!("    the primary is frozen for {} s", scale.freeze.as_secs());
    pair.primary.freeze();
    std::thread::sleep(scale.freeze);
    let link = pair.replica.client().info("replication");
    let link = link.get("master_link_status").cloned();
    println!(
        "    the replica says its link is {}",
        link.unwrap_or_default()
    );
    pair.primary.thaw();
    std::thread::sleep(COOL_DOWN);
    let report = load.stop();
    println!("    {}", described(&report));
    pair.await_synced()?;
    pair.settle()?;
    println!("    after the thaw {}", pair.psync().since(before));
    Ok(())
}
