//! What happens in a simulation: servers start and are joined, things go wrong for a while, then everything is healed, and at rest
//! all must hold the same.

use std::rc::Rc;

use damselfly_replication::replica::LinkPhase;

use super::checkers::compare;
use super::failover;
use super::net::{PORT, cut_one};
use super::node::Node;
use super::plan::Theme;
use super::world::{World, note, pause, world};

/// Time after which everything must be at rest, once nothing goes wrong any more. (A silent connection is noticed after
/// `replication_timeout`, the next attempt may wait for `backoff_max`, a full sync takes its time on a thin line.)
const REST_LIMIT_MS: u64 = 240_000;

/// Runs it to its end; what is wrong is told to the world.
pub async fn run() {
    let world = world();
    world.nodes().iter().for_each(Node::boot);
    pause(world.draw(|rng| rng.between(1, 1_500)) as u64).await;
    match world.plan.theme {
        Theme::Failover => failover::run().await,
        _ => trouble(&world).await,
    }
    let rested = rest(&world).await;
    if let Err(what) = rested {
        note_waiting(&world);
        world.fail(what);
    }
    world.lanes.stop();
}

/// Who waits for what, on all shards.
fn note_waiting(world: &World) {
    for node in world.nodes() {
        let threads = node.running().map(|running| running.threads.clone());
        for thread in threads.unwrap_or_default() {
            if let Some(waiting) = thread.try_with_core(|core| core.waiting()) {
                note!("node{} shard {}: {waiting}", node.index, thread.index);
            }
        }
    }
}

/// Joins the servers, then lets things go wrong.
async fn trouble(world: &World) {
    for index in 1..world.nodes().len() {
        let to = world.draw(|rng| rng.index(index));
        world.node(index).follow(name(to), PORT);
        pause(world.draw(|rng| rng.between(0, 300)) as u64).await;
    }
    let end_ms = world.now_ms() + world.plan.chaos_ms;
    while world.now_ms() < end_ms {
        let gap = world.plan.trouble_gap_ms as i64;
        pause(world.draw(|rng| rng.between(1, 2 * gap)) as u64).await;
        let troubles = troubles(world.plan.theme);
        if !troubles.is_empty() {
            let trouble = world.draw(|rng| *rng.pick(troubles));
            trouble(world);
        }
    }
}

type Trouble = fn(&World);

fn troubles(theme: Theme) -> &'static [Trouble] {
    match theme {
        Theme::Calm | Theme::Failover => &[],
        Theme::Links => &[cut, cut, cut, cut_flow, stall, part, heal],
        Theme::Crashes => &[cut, crash, boot, boot, freeze, heal],
        Theme::Storm => &[cut, follow, follow, follow, follow_nobody, lead, storm],
        Theme::All => &[
            cut,
            cut_flow,
            stall,
            part,
            heal,
            crash,
            boot,
            boot,
            freeze,
            follow,
            follow,
            follow_nobody,
            lead,
            storm,
        ],
    }
}

fn cut(_: &World) {
    cut_one(|_| true);
}

fn cut_flow(_: &World) {
    cut_one(|conn| conn.tap.flow().is_some());
}

fn stall(world: &World) {
    let all = world.net.borrow().of(|_| true);
    if !all.is_empty() {
        let id = world.draw(|rng| *rng.pick(&all));
        let ms = world.draw(|rng| rng.between(10, 6_000)) as u64;
        note!("connection {id} stalls for {ms} ms");
        world.net.borrow_mut().stall(id, world.now_ms() + ms);
    }
}

fn part(world: &World) {
    let (one, other) = (any(world), any(world));
    if one != other {
        note!("node{one} and node{other} are parted");
        world.net.borrow_mut().part(one, other);
    }
}

fn heal(world: &World) {
    note!("the network is healed");
    world.net.borrow_mut().heal();
}

fn crash(world: &World) {
    let silently = world.draw(|rng| rng.percent(40));
    world.node(any(world)).crash(silently);
}

fn boot(world: &World) {
    let node = world.node(any(world));
    if !node.is_up() {
        node.boot();
        node.speak();
        if world.draw(|rng| rng.percent(80)) {
            let (node, to) = (node.clone(), name(any(world)));
            // It takes a moment until it listens.
            world.later(5, move || node.follow(to, PORT));
        }
    }
}

fn freeze(world: &World) {
    let ms = world.draw(|rng| rng.between(50, 9_000)) as u64;
    world.node(any(world)).freeze(ms);
}

fn follow(world: &World) {
    let (node, to) = (any(world), any(world));
    world.node(node).follow(name(to), PORT);
}

/// REPLICAOF to what is no primary.
fn follow_nobody(world: &World) {
    let node = any(world);
    let (host, port) = world.draw(|rng| match rng.below(5) {
        0 => ("nowhere".to_owned(), PORT),
        1 => (name(rng.index(world.nodes().len())), 1),
        2 => ("noise".to_owned(), PORT),
        3 => ("redis".to_owned(), PORT),
        _ => (name(node), PORT),
    });
    world.node(node).follow(host, port);
}

fn lead(world: &World) {
    world.node(any(world)).lead();
}

/// Several at once.
fn storm(world: &World) {
    let node = any(world);
    for _ in 0..world.draw(|rng| rng.between(2, 5)) {
        match world.draw(|rng| rng.below(6)) {
            0 => world.node(node).lead(),
            1 => follow_nobody(world),
            _ => {
                let to = name(any(world));
                world.node(node).follow(to, PORT);
            }
        }
    }
}

fn any(world: &World) -> usize {
    world.draw(|rng| rng.index(world.nodes().len()))
}

/// The name of a server in the network.
pub fn name(index: usize) -> String {
    format!("node{index}")
}

/// Heals everything, stops the load, joins all servers, and compares what they hold.
async fn rest(world: &World) -> Result<(), String> {
    note!("everything is healed");
    world.net.borrow_mut().heal();
    world.lanes.release_all();
    for node in world.nodes().iter().filter(|node| !node.is_up()) {
        node.boot();
    }
    world.nodes().iter().for_each(|node| node.speak());
    // No REPLICAOF that was asked before is under way after this.
    let pending_ms =
        world.plan.replica.connect_timeout_ms + 2 * world.plan.replica.handshake_timeout_ms;
    let storms = matches!(world.plan.theme, Theme::Storm | Theme::All | Theme::Crashes);
    pause(if storms { pending_ms } else { 50 }).await;
    let tree = join(world).await?;
    // Under load first, then at rest.
    pause(world.draw(|rng| rng.between(0, 1_500)) as u64).await;
    world.quiet();
    let limit_ms = world.now_ms() + REST_LIMIT_MS;
    while world.busy() > 0 {
        if world.now_ms() > limit_ms {
            return Err(format!(
                "{} requests have not been answered after {REST_LIMIT_MS} ms",
                world.busy()
            ));
        }
        pause(5).await;
    }
    for (index, primary) in tree {
        let (node, primary) = (world.node(index).clone(), world.node(primary).clone());
        while !has_caught_up(&node, &primary) {
            if world.now_ms() > limit_ms {
                return Err(format!(
                    "node{index} has not caught up with node{} after {REST_LIMIT_MS} ms at rest: {}",
                    primary.index,
                    state(&node, &primary)
                ));
            }
            if node.waits_to_be_told() {
                world.count("primaries that came back with nothing refused");
                node.follow(name(primary.index), PORT);
            }
            pause(20).await;
        }
        compare(&node.contents(), &primary.contents())
            .map_err(|what| format!("node{index} follows node{}: {what}", primary.index))?;
    }
    note!("at rest, all hold the same");
    count_deleted(world);
    Ok(())
}

/// What went by itself on the servers as they are.
fn count_deleted(world: &World) {
    for running in world.nodes().iter().filter_map(|node| node.running()) {
        for thread in &running.threads {
            if let Some(stats) = thread.try_with_core(|core| core.space.stats()) {
                world.count_more("expired keys", stats.expired);
                world.count_more("evicted keys", stats.evicted);
            }
        }
    }
}

/// Makes one server the primary of all, some by way of others. The others with their primaries, from the top down.
async fn join(world: &World) -> Result<Vec<(usize, usize)>, String> {
    let mut order: Vec<usize> = (0..world.nodes().len()).collect();
    for at in (1..order.len()).rev() {
        let other = world.draw(|rng| rng.index(at + 1));
        order.swap(at, other);
    }
    // The first to lead may be one that leads already; to be told so again changes nothing.
    world.node(order[0]).lead();
    pause(30).await;
    let mut tree = Vec::new();
    for at in 1..order.len() {
        let to = world.draw(|rng| rng.index(at));
        let (index, primary) = (order[at], order[to]);
        until_it_follows(world, index, primary).await?;
        tree.push((index, primary));
    }
    Ok(tree)
}

/// A server refuses replicas while its data is not whole, so this is asked more than once, as people do.
async fn until_it_follows(world: &World, index: usize, primary: usize) -> Result<(), String> {
    let limit_ms = world.now_ms() + REST_LIMIT_MS;
    let node = world.node(index);
    let follows = || node.follows(&name(primary));
    while !follows() {
        if world.now_ms() > limit_ms {
            return Err(format!("node{index} can't be made to follow node{primary}"));
        }
        node.follow(name(primary), PORT);
        for _ in 0..50 {
            pause(20).await;
            if follows() {
                break;
            }
        }
    }
    Ok(())
}

/// Whether a replica has executed all that its primary has written, and neither goes on.
fn has_caught_up(node: &Rc<Node>, primary: &Rc<Node>) -> bool {
    let Some(link) = node.link_status() else {
        return false;
    };
    let executed: Vec<u64> = link.executed.iter().map(|lsn| lsn.0).collect();
    link.phase == LinkPhase::StableSync
        && executed == primary.next_lsns()
        && link.upstream.map(|upstream| upstream.replid) == primary.replid()
}

fn state(node: &Rc<Node>, primary: &Rc<Node>) -> String {
    let link = node.link_status();
    let phase = link.as_ref().map(|link| link.phase);
    let error = link.as_ref().and_then(|link| link.last_error.clone());
    let executed = link.map(|link| link.executed);
    format!(
        "its link is in {phase:?}, last error {error:?}, executed {executed:?} of {:?}",
        primary.next_lsns()
    )
}
