//! The stream behind a full sync: what Redis sends, executed as a whole and in order.

use std::sync::atomic::{AtomicBool, Ordering};

use damselfly_tests::RedisVersion::{V62, V70};
use damselfly_tests::{RedisVersion, eventually, words};

use crate::stage::{DEADLINE, Stage, write, write_specially};

#[track_caller]
fn streams(version: RedisVersion, shards: usize) {
    let stage = Stage::apart(version, &[], shards);
    let mut redis = stage.redis.client();
    stage.follow();
    stage.synced();
    for round in 0..20 {
        write_specially(&mut redis, round);
        write(&mut redis, round, 200);
    }
    stage.settle();
    redis.ok("SWAPDB 0 3");
    write(&mut redis, 99, 100);
    redis.ok("SELECT 3");
    redis.ok("FLUSHDB");
    write(&mut redis, 98, 100);
    stage.settle();
    redis.ok("MULTI");
    redis.ok("SET before 1");
    redis.ok("FLUSHALL");
    redis.ok("SET after 1");
    redis.ok("EXEC");
    stage.settle();
    assert_eq!(
        stage.replica.client().call("DBSIZE"),
        damselfly_resp::Reply::Integer(0),
        "database 0"
    );
    redis.ok("FLUSHALL");
    stage.settle();
    let found = stage.psync();
    assert_eq!((found.full_syncs, found.reconnects), (1, 0));
}

#[test]
fn of_7_0() {
    streams(V70, 3);
}

#[test]
fn of_6_2() {
    streams(V62, 1);
}

/// Redis 6.2 ends a transaction that it has not begun where all that changed in it is that a group has a new consumer.
#[test]
fn an_exec_too_many_of_6_2_changes_nothing() {
    let stage = Stage::apart(V62, &[], 2);
    let mut redis = stage.redis.client();
    redis.ok("XADD stream 1-1 field value");
    redis.ok("XGROUP CREATE stream group 0");
    stage.follow();
    stage.synced();
    redis.ok("MULTI");
    redis.ok("XREADGROUP GROUP group new STREAMS stream 0");
    redis.ok("EXEC");
    redis.ok("MULTI");
    redis.ok("SET one 1");
    redis.ok("SET other 2");
    redis.ok("EXEC");
    stage.settle();
    let mut replica = stage.replica.client();
    assert_eq!(replica.integer("EXISTS one other"), 2);
    let found = stage.psync();
    assert_eq!((found.full_syncs, found.reconnects), (1, 0));
}

/// Readers never see one key of a transaction without the other, wherever they live.
#[test]
fn transactions_stay_whole() {
    let stage = Stage::apart(V70, &[], 3);
    stage.follow();
    stage.synced();
    let (over, mut redis) = (AtomicBool::new(false), stage.redis.client());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut replica = stage.replica.client();
            let mut seen = 0;
            while !over.load(Ordering::Relaxed) {
                let reply = replica.ok("MGET pair:a pair:b pair:c pair:d pair:e");
                let values = reply.as_items().expect("an array");
                assert!(
                    values.iter().all(|value| *value == values[0]),
                    "torn: {values:?}"
                );
                seen += 1;
            }
            assert!(seen > 10);
        });
        for round in 0..500 {
            let mut commands = vec![words("MULTI")];
            commands.extend(
                ["a", "b", "c", "d", "e"].map(|key| words(&format!("SET pair:{key} {round}"))),
            );
            commands.push(words("EXEC"));
            redis.pipeline(&commands).expect("Redis answers");
        }
        stage.settle();
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn messages_reach_subscribers_here() {
    let stage = Stage::apart(V70, &[], 3);
    stage.follow();
    stage.synced();
    let mut subscriber = stage.replica.client();
    subscriber.ok("SUBSCRIBE news");
    let mut redis = stage.redis.client();
    redis.ok("SET k 1");
    redis.ok("PUBLISH news alone");
    redis.ok("MULTI");
    redis.ok("SET k 2");
    redis.ok("PUBLISH news within");
    redis.ok("EXEC");
    for expected in ["alone", "within"] {
        let message = subscriber.receive().expect("a message");
        let payload = message.as_items().and_then(|items| items.get(2)?.as_text());
        assert_eq!(payload, Some(expected.as_bytes()), "{message:?}");
    }
    redis.ok("PFADD sketch a b c");
    redis.ok("PFCOUNT sketch");
    redis.ok("SET k 3");
    eventually(DEADLINE, "what came behind it", || {
        stage.replica.client().text("GET k") == "3"
    });
    assert_eq!(stage.psync().reconnects, 0);
}

/// Redis 6.2 propagates these as they came.
#[test]
fn scripts_of_6_2_are_no_obstacle() {
    let stage = Stage::apart(V62, &[], 2);
    stage.follow();
    stage.synced();
    let mut redis = stage.redis.client();
    let loaded = redis.try_call(&[
        &b"SCRIPT"[..],
        b"LOAD",
        b"return redis.call('SET', KEYS[1], ARGV[1])",
    ]);
    let sha = loaded.expect("Redis answers");
    let sha = String::from_utf8_lossy(sha.as_text().expect("a digest")).into_owned();
    redis.ok(&format!("EVALSHA {sha} 1 by:script 1"));
    redis.ok("SCRIPT FLUSH");
    stage.settle();
    assert_eq!(stage.replica.client().text("GET by:script"), "1");
    assert_eq!(stage.psync().reconnects, 0);
}

#[test]
fn keys_expire_when_redis_says_so() {
    let stage = Stage::apart(V70, &[], 2);
    stage.follow();
    stage.synced();
    let mut redis = stage.redis.client();
    for key in 0..50 {
        redis.ok(&format!("SET volatile:{key} v PX 50"));
    }
    redis.ok("SET stays v PX 500000");
    eventually(DEADLINE, "expiry", || {
        stage.replica.client().integer("DBSIZE") == 1
    });
    stage.settle();
}

#[test]
fn eviction_comes_as_deletion() {
    let stage = Stage::apart(
        V70,
        &["--maxmemory", "4mb", "--maxmemory-policy", "allkeys-random"],
        2,
    );
    stage.follow();
    stage.synced();
    let mut redis = stage.redis.client();
    let value = "v".repeat(1000);
    for key in 0..5000 {
        redis.call(&format!("SET evicted:{key} {value}"));
    }
    // Looking is a load too, and would evict on.
    redis.ok("CONFIG SET maxmemory 0");
    assert!(redis.integer("DBSIZE") < 5000);
    stage.settle();
}
