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
    world.node(NEW).lead();
    pause(world.draw(|rng| rng.between(30, 1_000)) as u64).await;
    world.node(OTHER).pause_link(false);
    // What it has read already is executed still.
    pause(5).await;
    let expected = expected(world)?;
    world.node(OTHER).follow(name(NEW), PORT);
    reach_new(world, OTHER).await?;
    judge(world, expected)
}

/// Whether the follower is to get a partial sync.
fn expected(world: &World) -> Result<bool, String> {
    let watch = world.watch.borrow();
    let fork = watch.fork(NEW).ok_or("the new primary was no replica")?;
    let held = watch.executed(OTHER).ok_or("the follower was no replica")?;
    let behind = held.iter().zip(&fork).all(|(held, fork)| held <= fork);
    note!("failover: the new primary forked at {fork:?}, the follower holds {held:?}");
    Ok(behind && world.plan.replica.partial_sync && world.node(NEW).reaches_back(&held))
}

fn judge(world: &World, partial: bool) -> Result<(), String> {
    let entered = world.watch.borrow().entered(OTHER);
    let new = world.node(NEW).replid();
    match entered {
        Some((upstream, full)) if Some(upstream) == new && full != partial => {
            world.count(if partial {
                "failovers with partial sync"
            } else {
                "failovers with full sync"
            });
            Ok(())
        }
        _ => Err(format!(
            "node{OTHER} was to get a partial sync: {partial}; it came into stable sync {entered:?} (with whom, full)"
        )),
    }
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
    let link = world.node(index).link_status();
    let error = link.as_ref().and_then(|link| link.last_error.clone());
    let phase = link.map(|link| link.phase);
    Err(format!(
        "node{index} does not reach {what}: its link is in {phase:?}, last error {error:?}"
    ))
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
