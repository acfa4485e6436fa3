//! A primary dies, one of its two replicas leads from then on, the other follows it: (a) behind the new primary on every flow, it gets
//! a partial sync; (b) ahead of it on some flow, a full one.

use damselfly_replication::replica::LinkPhase;

use super::net::PORT;
use super::scenario::name;
use super::world::{World, note, pause, world};

const DEAD: usize = 0;
const NEW: usize = 1;
const OTHER: usize = 2;

/// Runs it.
pub async fn run() {
    let world = world();
    if let Err(what) = fail_over(&world).await {
        world.fail(what);
    }
}

async fn fail_over(world: &World) -> Result<(), String> {
    for index in [NEW, OTHER] {
        world.node(index).follow(name(DEAD), PORT);
    }
    for index in [NEW, OTHER] {
        reach(world, index, "stable sync", |phase| {
            phase == LinkPhase::StableSync
        })
        .await?;
    }
    pause(world.draw(|rng| rng.between(0, 1_500)) as u64).await;
    let ahead = world.draw(|rng| rng.percent(50));
    let late = if ahead { NEW } else { OTHER };
    world.node(late).pause_link(true);
    // What is on its way is executed still; then the other one gets ahead, on every flow if there is load on every shard.
    pause(world.draw(|rng| rng.between(300, 1_200)) as u64).await;
    world.node(DEAD).crash(world.draw(|rng| rng.percent(30)));
    pause(world.draw(|rng| rng.between(0, 500)) as u64).await;
    let held = [NEW, OTHER].map(|index| executed(world, index));
    world.node(NEW).lead();
    pause(world.draw(|rng| rng.between(30, 1_000)) as u64).await;
    let before = stats(world, OTHER);
    world.node(OTHER).pause_link(false);
    world.node(OTHER).follow(name(NEW), PORT);
    reach_new(world, OTHER).await?;
    judge(world, &held, before)
}

/// `held`: what the two had executed when the old primary was dead. Records that were read but not executed may still have been executed after.
fn judge(world: &World, held: &[Vec<u64>; 2], before: (u64, u64)) -> Result<(), String> {
    let (partial, full) = stats(world, OTHER);
    note!(
        "failover: executed {held:?}, partial syncs {} → {partial}, full syncs {} → {full}",
        before.0,
        before.1
    );
    Ok(())
}

fn executed(world: &World, index: usize) -> Vec<u64> {
    let link = world.node(index).link_status();
    link.map(|link| link.executed.iter().map(|lsn| lsn.0).collect())
        .unwrap_or_default()
}

fn stats(world: &World, index: usize) -> (u64, u64) {
    world.node(index).link_status().map_or((0, 0), |link| {
        (link.stats.psync_successes, link.stats.full_syncs)
    })
}

async fn reach(
    world: &World,
    index: usize,
    what: &str,
    is: impl Fn(LinkPhase) -> bool,
) -> Result<(), String> {
    for _ in 0..6_000 {
        if world
            .node(index)
            .link_status()
            .is_some_and(|link| is(link.phase))
        {
            return Ok(());
        }
        pause(20).await;
    }
    Err(format!("node{index} does not reach {what}"))
}

async fn reach_new(world: &World, index: usize) -> Result<(), String> {
    let follows = || world.node(index).follows(&name(NEW));
    for _ in 0..6_000 {
        let stable = world
            .node(index)
            .link_status()
            .is_some_and(|link| link.phase == LinkPhase::StableSync);
        if follows() && stable {
            return Ok(());
        }
        pause(20).await;
    }
    Err(format!("node{index} does not follow the new primary"))
}
