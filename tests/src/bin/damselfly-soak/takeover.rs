//! REPLTAKEOVER under load.

use std::time::{Duration, Instant};

use damselfly_resp::Reply;
use damselfly_tests::load::Acknowledged;
use damselfly_tests::within;

use crate::pair::{Pair, SYNC_DEADLINE};
use crate::{Result, Scale};

const CLIENTS: usize = 20;
const ROUNDS: usize = 5;
/// What is acknowledged before anything happens.
const WRITES: usize = 5_000;
/// How long a takeover may take that has to be refused, in seconds.
const LIMIT_S: u64 = 2;
/// What its refusal may take beyond that.
const SLACK: Duration = Duration::from_secs(2);

/// Again and again: a takeover that is refused, then one that succeeds.
pub fn run(_: &Scale) -> Result {
    let (mut all, mut lost) = (0, 0);
    for round in 1..=ROUNDS {
        let mut pair = Pair::synced()?;
        let load = Acknowledged::start(pair.primary.address(), CLIENTS);
        goes_on(&load)?;
        let refused = refused(&pair)?;
        goes_on(&load)?;
        let begun = Instant::now();
        let mut replica = pair.replica.client();
        match replica.call("REPLTAKEOVER 30") {
            Reply::Simple(_) => {}
            reply => return Err(format!("REPLTAKEOVER 30: {reply:?}").into()),
        }
        let took = begun.elapsed();
        let written = load.end();
        let ended = within(SYNC_DEADLINE, || pair.primary.exit_status());
        ended.ok_or("the old primary does not end")?;
        let (acknowledged, missing) = (written.keys.len(), written.lost(&mut replica));
        println!(
            "    round {round}: refused after {refused:.1?} (limit {LIMIT_S} s), then taken over in {took:.1?}; \
             {acknowledged} writes acknowledged to {CLIENTS} clients, lost {missing}; longest wait of one {:.1?}",
            written.longest
        );
        all += acknowledged;
        lost += missing;
    }
    println!("    {all} writes acknowledged, lost {lost}");
    match lost {
        0 => Ok(()),
        _ => Err(format!("{lost} acknowledged writes were lost").into()),
    }
}

/// A replica that stands still takes nothing over, and hears so in time. How long that took.
fn refused(pair: &Pair) -> Result<Duration> {
    let mut replica = pair.replica.client();
    replica.ok("DEBUG REPLICA PAUSE");
    let begun = Instant::now();
    let reply = replica.call(&format!("REPLTAKEOVER {LIMIT_S}"));
    let took = begun.elapsed();
    if reply.as_error().is_none() || took > Duration::from_secs(LIMIT_S) + SLACK {
        return Err(format!("a replica that stands still: {reply:?} after {took:?}").into());
    }
    replica.ok("DEBUG REPLICA RESUME");
    pair.await_synced()?;
    Ok(took)
}

fn goes_on(load: &Acknowledged) -> Result {
    let goal = load.count() + WRITES;
    let reached = within(SYNC_DEADLINE, || (load.count() >= goal).then_some(()));
    reached.ok_or_else(|| "writes are not acknowledged".into())
}
