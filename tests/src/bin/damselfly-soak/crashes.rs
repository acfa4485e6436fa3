//! Either end is killed without warning (SIGKILL) and started again, under load.

use std::time::Duration;

use damselfly_tests::load::LoadPlan;
use damselfly_tests::{Rng, within};

use crate::pair::{Pair, SYNC_DEADLINE, described};
use crate::{Result, Scale};

const PLAN: LoadPlan = LoadPlan {
    connections: 3,
    pipeline: 16,
    rate: Some(20_000),
    timeout: Duration::from_secs(60),
};
const LONGEST_LIFE_MS: u64 = 3_000;

/// The replica dies in any phase; it comes back empty, and must be told again whom to follow.
pub fn of_replica(scale: &Scale) -> Result {
    let mut pair = Pair::synced()?;
    let mut rng = Rng::new(scale.seed);
    for round in 1..=scale.crashes {
        let load = pair.load(PLAN, scale.seed.wrapping_add(round));
        live(&mut rng);
        pair.replica.crash_and_restart();
        pair.follow()?;
        pair.await_synced()?;
        let report = load.stop();
        println!("    killed {round} times; {}", described(&report));
        if report.breaks > 0 {
            return Err("writers lost their connection by the death of a replica".into());
        }
        pair.settle()?;
    }
    Ok(())
}

/// The primary dies and comes back empty; the replica takes what it then has.
pub fn of_primary(scale: &Scale) -> Result {
    let mut pair = Pair::apart()?;
    pair.replica
        .client()
        .ok("CONFIG SET follow_blank_master yes");
    pair.follow()?;
    pair.await_synced()?;
    let mut rng = Rng::new(scale.seed);
    for round in 1..=scale.crashes {
        let load = pair.load(PLAN, scale.seed.wrapping_add(round));
        live(&mut rng);
        let old = id(&pair);
        pair.primary.crash_and_restart();
        within(SYNC_DEADLINE, || (id(&pair) != old).then_some(()))
            .ok_or("the replica does not see that its primary is another one")?;
        pair.await_synced()?;
        let report = load.stop();
        println!("    killed {round} times; {}", described(&report));
        pair.settle()?;
    }
    Ok(())
}

fn live(rng: &mut Rng) {
    std::thread::sleep(Duration::from_millis(rng.below(LONGEST_LIFE_MS)));
}

/// The data set that the replica holds.
fn id(pair: &Pair) -> Option<String> {
    pair.replica
        .client()
        .info("replication")
        .remove("master_replid")
}
