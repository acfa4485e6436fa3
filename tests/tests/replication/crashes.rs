//! Either end dies without a word and comes back empty.

use damselfly_tests::commands::Workload;
use damselfly_tests::load::{Load, LoadPlan};
use damselfly_tests::{Server, eventually};

use crate::pair::{DEADLINE, follow, psync, settle, synced, write};

const PLAN: LoadPlan = LoadPlan {
    connections: 2,
    pipeline: 8,
    rate: Some(4_000),
    timeout: DEADLINE,
};

fn load(server: &Server) -> Load {
    Load::start(server.address(), PLAN, |number| {
        Workload::new(number as u64, "mixed:", 40)
    })
}

/// Waits for more writes to be answered.
fn more(load: &Load, commands: u64) {
    let wanted = load.commands() + commands;
    eventually(DEADLINE, "writes", || load.commands() >= wanted);
}

#[test]
fn a_replica_that_was_killed_takes_everything_anew() {
    let primary = Server::with_shards(2);
    let mut replica = Server::replica_of(primary.address(), 2);
    synced(&replica);
    let load = load(&primary);
    for _ in 0..2 {
        more(&load, 500);
        replica.crash_and_restart();
        synced(&replica);
    }
    more(&load, 500);
    let report = load.stop();
    assert_eq!(report.breaks, 0, "writers have nothing to do with it");
    settle(&primary, &replica);
    let found = psync(&replica);
    assert_eq!((found.full_syncs, found.reconnects), (1, 0));
    eventually(DEADLINE, "the dead one is forgotten", || {
        primary.client().info("replication")["connected_slaves"] == "1"
    });
}

#[test]
fn what_a_primary_is_after_its_death_its_replica_is_too() {
    let mut primary = Server::with_shards(2);
    let replica = Server::with_shards(2);
    // Without that it keeps what it has: `guards.rs`.
    replica.client().ok("CONFIG SET follow_blank_master yes");
    follow(&replica, primary.address());
    synced(&replica);
    write(&primary, 1, 500);
    settle(&primary, &replica);
    let id = |server: &Server| server.client().info("replication")["master_replid"].clone();
    let old = id(&replica);
    primary.kill();
    eventually(DEADLINE, "the break", || psync(&replica).reconnects > 0);
    assert!(
        replica.client().integer("DBSIZE") > 0,
        "the data is kept until another sync begins"
    );
    primary.crash_and_restart();
    write(&primary, 2, 200);
    eventually(DEADLINE, "another data set", || id(&replica) != old);
    settle(&primary, &replica);
    let found = psync(&replica);
    assert_eq!((found.successes, found.full_syncs), (0, 2));
}
