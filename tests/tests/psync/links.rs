//! Links that break, chains, and what stays when the Redis is gone.

use damselfly_resp::Reply;
use damselfly_tests::RedisVersion::{V62, V70};
use damselfly_tests::{
    Digest, Direction, FaultProxy, Redis, RedisVersion, Rng, Server, eventually, replicaof,
    same_data,
};

use crate::stage::{DEADLINE, Stage, synced, write, write_specially};

const CUTS: u64 = 20;

#[track_caller]
fn cut_often(version: RedisVersion, shards: usize) {
    let stage = Stage::apart(version, &["--repl-backlog-size", "32mb"], shards);
    let mut redis = stage.redis.client();
    write(&mut redis, 0, 500);
    stage.follow();
    stage.synced();
    let mut rng = Rng::new(7);
    for round in 0..CUTS {
        let before = stage.psync().successes;
        // In the midst of what comes, at any byte.
        stage
            .network
            .cut_after(Direction::FromTarget, 1 + rng.below(6000));
        let cuts = stage.network.cuts();
        while stage.network.cuts() == cuts {
            write(&mut redis, 100 + round, 64);
            write_specially(&mut redis, round);
        }
        eventually(DEADLINE, "a partial sync", || {
            stage.psync().successes > before
        });
    }
    stage.settle();
    let found = stage.psync();
    assert_eq!(found.full_syncs, 1, "{found:?}");
    assert!(
        found.successes >= CUTS && stage.granted() >= CUTS,
        "{found:?}, Redis granted {}",
        stage.granted()
    );
}

#[test]
fn links_to_7_0_are_cut() {
    cut_often(V70, 3);
}

#[test]
fn links_to_6_2_are_cut() {
    cut_often(V62, 2);
}

/// The database that is selected where the link broke is not selected again.
#[test]
fn the_selected_database_is_kept_over_a_break() {
    let stage = Stage::apart(V70, &[], 2);
    stage.follow();
    stage.synced();
    let mut redis = stage.redis.client();
    redis.ok("SELECT 5");
    redis.ok("SET a 1");
    stage.settle();
    let before = stage.psync().successes;
    stage.network.refuse(true);
    stage.network.cut_all();
    redis.ok("SET b 2");
    stage.network.refuse(false);
    eventually(DEADLINE, "a partial sync", || {
        stage.psync().successes > before
    });
    stage.settle();
    let mut replica = stage.replica.client();
    replica.ok("SELECT 5");
    assert_eq!(replica.text("GET b"), "2");
}

#[test]
fn full_syncs_are_cut_and_come_again() {
    let stage = Stage::apart(V70, &["--repl-diskless-sync", "yes"], 2);
    stage.redis.client().ok("DEBUG POPULATE 20000 pad 100");
    for bytes in [200, 300_000, 900_000] {
        stage.network.cut_after(Direction::FromTarget, bytes);
        stage.replica.client().ok("REPLICAOF NO ONE");
        stage.follow();
        eventually(DEADLINE, "the cut", || {
            stage.network.moved(Direction::FromTarget) > bytes
        });
        stage.settle();
    }
}

#[test]
fn a_chain_of_redis_and_two_of_ours() {
    for shards in [[2, 2], [3, 1]] {
        let stage = Stage::apart(V70, &[], shards[0]);
        let end = Server::with_shards(shards[1]);
        let network = FaultProxy::new(stage.replica.address());
        let mut redis = stage.redis.client();
        write(&mut redis, 1, 500);
        stage.follow();
        stage.synced();
        assert_eq!(
            replicaof(&mut end.client(), network.address()),
            Reply::Simple(b"OK".to_vec())
        );
        synced(&end);
        let settle = || {
            stage.settle();
            same_data(
                DEADLINE,
                &mut stage.replica.client(),
                &mut end.client(),
                Digest::Strict,
            );
        };
        write(&mut redis, 2, 500);
        write_specially(&mut redis, 1);
        settle();
        let before = stage.psync().successes;
        stage.network.cut_all();
        write(&mut redis, 3, 300);
        eventually(DEADLINE, "a partial sync", || {
            stage.psync().successes > before
        });
        settle();
        network.cut_all();
        write(&mut redis, 4, 300);
        eventually(DEADLINE, "a partial sync", || {
            damselfly_tests::Psync::of(&mut end.client()).successes == 1
        });
        settle();
        assert_eq!(damselfly_tests::Psync::of(&mut end.client()).full_syncs, 1);
    }
}

/// A Redis that was promoted goes on with the history of the one before, under a name of its own: `+CONTINUE <replid>`.
#[test]
fn the_next_primary_grants_a_partial_sync() {
    let stage = Stage::apart(V70, &[], 2);
    let sibling = Redis::with_options(V70, &[]);
    write(&mut stage.redis.client(), 1, 300);
    stage.follow();
    replicaof(&mut sibling.client(), stage.redis.address());
    stage.synced();
    if let Err(error) = damselfly_tests::await_synced(DEADLINE, &mut sibling.client()) {
        panic!("{error}");
    }
    write(&mut stage.redis.client(), 2, 300);
    stage.settle();
    same_data(
        DEADLINE,
        &mut stage.redis.client(),
        &mut sibling.client(),
        Digest::Plain,
    );
    sibling.client().ok("REPLICAOF NO ONE");
    replicaof(&mut stage.replica.client(), sibling.address());
    stage.synced();
    assert_eq!((stage.psync().successes, stage.psync().full_syncs), (1, 0));
    sibling.client().ok("SELECT 2");
    write(&mut sibling.client(), 3, 300);
    same_data(
        DEADLINE,
        &mut sibling.client(),
        &mut stage.replica.client(),
        Digest::Plain,
    );
    // And of the middle: the sibling is a replica again, and its replica goes on.
    let replid =
        |client: &mut damselfly_tests::Client| client.info("replication")["master_replid"].clone();
    assert_ne!(
        replid(&mut sibling.client()),
        replid(&mut stage.redis.client())
    );
}

#[test]
fn no_one_keeps_the_data_and_takes_writes() {
    let stage = Stage::apart(V70, &[], 2);
    let mut redis = stage.redis.client();
    write(&mut redis, 1, 500);
    stage.follow();
    stage.settle();
    let mut replica = stage.replica.client();
    replica.ok("REPLICAOF NO ONE");
    same_data(DEADLINE, &mut redis, &mut replica, Digest::Plain);
    replica.ok("SET mine 1");
    redis.ok("SET theirs 1");
    // Back again: what was written here meanwhile goes.
    stage.follow();
    stage.settle();
    assert_eq!(stage.replica.client().integer("EXISTS mine"), 0);
}

#[test]
fn a_redis_that_comes_back_is_followed_again() {
    let mut stage = Stage::apart(V70, &[], 2);
    write(&mut stage.redis.client(), 1, 500);
    stage.follow();
    stage.settle();
    let keys = stage.replica.client().integer("DBSIZE");
    stage.redis.kill();
    let mut replica = stage.replica.client();
    eventually(DEADLINE, "a broken link", || {
        replica.info("replication")["master_link_status"] == "down"
    });
    assert_eq!(
        replica.integer("DBSIZE"),
        keys,
        "what was here is served on"
    );
    stage.redis = Redis::with_options(V70, &[]);
    stage.network.set_target(stage.redis.address());
    write(&mut stage.redis.client(), 2, 300);
    eventually(DEADLINE, "a full sync", || stage.psync().full_syncs == 2);
    stage.settle();
}

/// Redis 7.0 keeps its history in its file: after a restart, too, it continues what it had sent.
#[test]
fn a_redis_restarted_from_its_file_grants_a_partial_sync() {
    let home = damselfly_tests::TempDir::new("redis-home").expect("a directory");
    let dir = home.path().to_string_lossy().into_owned();
    let mut stage = Stage::apart(V70, &["--dir", &dir], 2);
    stage.follow();
    stage.synced();
    write(&mut stage.redis.client(), 1, 500);
    stage.settle();
    let refused = stage.redis.client().try_call(&["SHUTDOWN", "SAVE"]);
    assert!(refused.is_err(), "{refused:?}");
    eventually(DEADLINE, "its end", || stage.redis.exit_status().is_some());
    stage.redis = Redis::with_options(V70, &["--dir", &dir]);
    stage.network.set_target(stage.redis.address());
    write(&mut stage.redis.client(), 2, 300);
    eventually(DEADLINE, "a partial sync", || stage.psync().successes == 1);
    stage.settle();
    assert_eq!(stage.psync().full_syncs, 1);
}

/// The candidate is greeted beside the present role: a dead one changes nothing.
#[test]
fn another_primary_replaces_this_one_only_if_it_answers() {
    let stage = Stage::apart(V70, &[], 2);
    write(&mut stage.redis.client(), 1, 300);
    stage.follow();
    stage.settle();
    let mut replica = stage.replica.client();
    let dead = damselfly_tests::free_address().expect("a port");
    assert!(replicaof(&mut replica, dead).as_error().is_some());
    assert_eq!(replica.info("replication")["master_link_status"], "up");
    let other = Server::with_shards(3);
    other.client().ok("SET of:another 1");
    assert_eq!(
        replicaof(&mut replica, other.address()),
        Reply::Simple(b"OK".to_vec())
    );
    synced(&stage.replica);
    same_data(DEADLINE, &mut other.client(), &mut replica, Digest::Strict);
    stage.follow();
    stage.settle();
}
