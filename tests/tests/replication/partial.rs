//! Links that break in stable sync: what was missed comes from the backlog, or everything comes again.

use damselfly_tests::{Direction, FaultProxy, Rng, Server, eventually};

use crate::pair::{DEADLINE, Pair, follow, psync, settle, synced, write};

#[test]
fn what_was_missed_comes_from_the_backlog() {
    for (primary, replica) in [(2, 2), (3, 1), (1, 3)] {
        let pair = Pair::synced(primary, replica);
        let first = pair.psync();
        for round in 0..3 {
            write(&pair.primary, round, 500);
            pair.while_cut(|| write(&pair.primary, 100 + round, 500));
            eventually(DEADLINE, "a partial sync", || {
                pair.psync().successes > round
            });
            pair.settle();
        }
        let after = pair.psync();
        let asked = after.attempts - first.attempts;
        assert_eq!((asked, after.successes, after.full_syncs), (3, 3, 1));
    }
}

#[test]
fn a_link_cut_at_any_byte_goes_on_where_it_was() {
    let pair = Pair::synced(2, 2);
    let mut rng = Rng::new(7);
    for round in 0..8 {
        let direction = *rng.pick(&[
            Direction::FromTarget,
            Direction::FromTarget,
            Direction::ToTarget,
        ]);
        pair.network.cut_after(direction, rng.below(20_000));
        write(&pair.primary, round, 600);
        pair.network.cut_never();
        pair.network.cut_all();
        pair.await_synced();
    }
    pair.settle();
    let psync = pair.psync();
    assert_eq!(psync.full_syncs, 1, "{psync:?}");
    assert!(psync.successes >= 4, "{psync:?}");
}

#[test]
fn more_than_the_backlog_holds_is_a_full_sync() {
    let primary = Server::start(&[
        "--proactor_threads=2",
        "--shard_repl_backlog_max_bytes=64kb",
    ]);
    let replica = Server::with_shards(2);
    let network = FaultProxy::new(primary.address());
    follow(&replica, network.address());
    synced(&replica);
    network.refuse(true);
    network.cut_all();
    eventually(DEADLINE, "the break", || psync(&replica).reconnects > 0);
    let mut client = primary.client();
    for number in 0..200 {
        client.ok(&format!("SET {number} {}", "x".repeat(2_000)));
    }
    network.refuse(false);
    settle(&primary, &replica);
    let found = psync(&replica);
    assert_eq!(
        (found.attempts > 0, found.successes, found.full_syncs),
        (true, 0, 2)
    );
}

#[test]
fn who_does_not_want_partial_syncs_gets_none() {
    let primary = Server::with_shards(2);
    let replica = Server::start(&["--proactor_threads=2", "--replica_partial_sync=false"]);
    let network = FaultProxy::new(primary.address());
    follow(&replica, network.address());
    synced(&replica);
    write(&primary, 1, 300);
    network.cut_all();
    eventually(DEADLINE, "another full sync", || {
        psync(&replica).full_syncs == 2
    });
    settle(&primary, &replica);
    assert_eq!(psync(&replica).attempts, 0);
}

/// The replica keeps serving what it has while nobody is there to follow.
#[test]
fn a_replica_without_its_primary_serves_reads() {
    let pair = Pair::synced(2, 2);
    pair.primary.client().ok("MSET a 1 b 2");
    pair.settle();
    let mut reader = pair.replica.client();
    pair.while_cut(|| {
        eventually(DEADLINE, "the break", || {
            reader.info("replication")["master_link_status"] == "down"
        });
        assert_eq!(reader.text("GET a") + &reader.text("GET b"), "12");
        assert!(
            reader
                .info("replication")
                .contains_key("master_link_last_error")
        );
    });
    pair.await_synced();
    assert_eq!(reader.info("replication")["master_link_status"], "up");
}
