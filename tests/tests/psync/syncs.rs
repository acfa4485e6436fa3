//! Full syncs: from files and from memory, of every encoding, with writes meanwhile.

use damselfly_tests::RedisVersion::{V62, V70};
use damselfly_tests::{RedisVersion, eventually};

use crate::stage::{DEADLINE, Stage, write, write_specially};

/// Packed encodings nowhere.
const LOOSE: [&str; 8] = [
    "--hash-max-ziplist-entries",
    "0",
    "--zset-max-ziplist-entries",
    "0",
    "--set-max-intset-entries",
    "0",
    "--list-max-ziplist-size",
    "1",
];
const DISKLESS: [&str; 2] = ["--repl-diskless-sync", "yes"];
const DISK: [&str; 2] = ["--repl-diskless-sync", "no"];

#[track_caller]
fn full_sync(version: RedisVersion, options: &[&str], shards: usize) {
    let stage = Stage::apart(version, options, shards);
    let mut redis = stage.redis.client();
    write(&mut redis, 1, 3000);
    write_specially(&mut redis, 1);
    redis.ok("DEBUG POPULATE 2000 pad 300");
    redis.ok("SELECT 9");
    write(&mut redis, 2, 500);
    stage.replica.client().ok("SET stale yes");
    stage.follow();
    // Nothing stops meanwhile.
    write(&mut redis, 3, 2000);
    for round in 0..10 {
        write_specially(&mut redis, round);
    }
    stage.settle();
    assert_eq!(stage.replica.client().integer("EXISTS stale"), 0);
    write(&mut redis, 4, 1000);
    stage.settle();
    let found = stage.psync();
    assert_eq!((found.full_syncs, found.reconnects), (1, 0));
}

#[test]
fn from_7_0_out_of_memory() {
    full_sync(V70, &DISKLESS, 3);
}

#[test]
fn from_7_0_out_of_a_file() {
    full_sync(V70, &DISK, 2);
}

#[test]
fn from_7_0_with_loose_encodings() {
    full_sync(V70, &[&DISK[..], &LOOSE].concat(), 1);
}

#[test]
fn from_6_2_out_of_memory() {
    full_sync(V62, &DISKLESS, 2);
}

#[test]
fn from_6_2_out_of_a_file_with_loose_encodings() {
    full_sync(V62, &[&DISK[..], &LOOSE].concat(), 3);
}

#[test]
fn redis_shows_the_replica_and_waits_for_it() {
    let stage = Stage::apart(V70, &[], 2);
    let mut redis = stage.redis.client();
    redis.ok("SET a 1");
    stage.follow();
    stage.synced();
    redis.ok("SET b 2");
    assert_eq!(redis.integer("WAIT 1 5000"), 1);
    let port = stage.replica.address().port();
    let offset = |client: &mut damselfly_tests::Client| {
        client.info("replication")["master_repl_offset"].clone()
    };
    eventually(DEADLINE, "an ack of all", || {
        stage.shown()
            == format!(
                "ip=127.0.0.1,port={port},state=online,offset={},lag=0",
                offset(&mut stage.redis.client())
            )
    });
    let mut replica = stage.replica.client();
    eventually(DEADLINE, "equal offsets", || {
        let info = replica.info("replication");
        info["master_link_status"] == "up"
            && info["slave_repl_offset"] == offset(&mut stage.redis.client())
            && info["master_host"] == "127.0.0.1"
    });
    let refused = replica.call("SET c 3");
    assert!(
        refused
            .as_error()
            .is_some_and(|error| error.starts_with(b"READONLY"))
    );
}

#[test]
fn a_long_load_does_not_time_out() {
    let stage = Stage::apart(
        V70,
        &["--repl-timeout", "2", "--repl-diskless-sync", "yes"],
        2,
    );
    let mut redis = stage.redis.client();
    redis.ok("DEBUG POPULATE 20000 pad 300");
    stage.network.delay(std::time::Duration::from_millis(40));
    stage.follow();
    stage.settle();
    assert_eq!(stage.psync().full_syncs, 1);
}
