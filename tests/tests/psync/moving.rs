//! Data of every encoding, compared value by value; and data that moves over while clients write.

use damselfly_tests::RedisVersion::{V62, V70};
use damselfly_tests::load::{Pipe, Source};
use damselfly_tests::migration::{
    Exactness, PREFIX, RedisWrites, Sizes, Writers, compare, differing, encodings, expected, fill,
    run_script,
};
use damselfly_tests::{FaultProxy, RedisVersion};

use crate::stage::{DEADLINE, Stage};
use std::time::Instant;

/// Commands of one exchange.
const BATCH: usize = 50;

#[track_caller]
fn every_encoding(version: RedisVersion, shards: usize) {
    let stage = Stage::apart(version, &[], shards);
    fill(stage.redis.address(), Sizes::of(4_000)).expect("it is filled");
    let mut redis = stage.redis.client();
    let found = encodings(&mut redis).expect("they are told");
    for name in expected(version) {
        assert!(found.contains_key(&name), "no {name} among {found:?}");
    }
    stage.follow();
    stage.settle();
    let mut replica = stage.replica.client();
    let exactness = Exactness::with(version);
    let found = differing(&mut redis, &mut replica, exactness.untouched());
    found.unwrap_or_else(|error| panic!("{error}"));
    let mut writes = RedisWrites::new(version, 1, PREFIX, 100);
    let mut pipe = Pipe::connect(stage.redis.address(), DEADLINE).expect("a connection");
    for _ in 0..100 {
        (0..BATCH).for_each(|_| writes.draw(&mut pipe));
        pipe.exchange().expect("Redis answers");
    }
    if exactness.has_digests() {
        stage.settle();
    }
    let mut found = differing(&mut redis, &mut replica, exactness);
    let begun = Instant::now();
    while found.is_err() && begun.elapsed() < DEADLINE {
        found = differing(&mut redis, &mut replica, exactness);
    }
    let found = found.unwrap_or_else(|error| panic!("{error}"));
    assert!(found.keys() > 4_000, "{found:?}");
    let psync = stage.psync();
    assert_eq!((psync.full_syncs, psync.reconnects), (1, 0));
}

#[test]
fn every_encoding_of_7_0_arrives() {
    every_encoding(V70, 3);
}

#[test]
fn every_encoding_of_6_2_arrives() {
    every_encoding(V62, 2);
}

#[test]
fn clients_write_on_while_their_data_moves() {
    let stage = Stage::apart(V70, &[], 2);
    fill(stage.redis.address(), Sizes::of(2_000)).expect("it is filled");
    let service = FaultProxy::new(stage.redis.address());
    let writers = Writers::start(service.address(), 2);
    let (old, new) = (stage.redis.address(), stage.replica.address());
    let said = run_script(old, new, &service).unwrap_or_else(|error| panic!("{error}"));
    assert!(said.contains("the new server takes writes"), "{said}");
    let so_far = writers.acknowledged();
    damselfly_tests::eventually(DEADLINE, "writes to the new server", || {
        writers.acknowledged() > so_far + 500
    });
    let mut ours = stage.replica.client();
    let moved = writers
        .stop(&mut ours)
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(moved.acknowledged > 500, "{moved:?}");
    // The old one has all that was moved, and takes no more.
    let mut redis = stage.redis.client();
    let refused = redis.call("SET late 1");
    assert!(refused.as_error().is_some(), "{refused:?}");
    let is_filled = |key: &[u8]| key.starts_with(PREFIX.as_bytes());
    let found = compare(&mut redis, &mut ours, Exactness::with(V70), is_filled).expect("answers");
    assert_eq!(found.differences, Vec::<String>::new());
}
