//! Last uses of entries: they go along wherever an entry moves; and samples.

use damselfly_store::{Access, Among, DbIndex, Shard, ShardOptions, Value};
use std::collections::HashSet;

const DB: DbIndex = DbIndex(0);

fn key(number: u32) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

#[test]
fn the_last_use_goes_along_when_entries_move() {
    let mut shard = Shard::new(ShardOptions::default());
    const COUNT: u32 = 20_000;
    for number in 0..COUNT {
        shard.set_access_clock(number);
        let expire_at = (number % 3 == 0).then_some(1);
        shard.insert(DB, &key(number), Value::string(b"x"), expire_at);
        if number % 2 == 0 {
            let entry = shard.get(DB, &key(number)).unwrap();
            entry.set_access(entry.access().with_count((number % 251) as u8));
        }
        if number % 5 == 0 {
            shard.remove(DB, &key(number / 2));
        }
    }
    let mut seen = 0;
    for number in 0..COUNT {
        let Some(entry) = shard.get(DB, &key(number)) else {
            continue;
        };
        seen += 1;
        let count = if number % 2 == 0 {
            (number % 251) as u8
        } else {
            Access::FIRST_COUNT
        };
        let access = entry.access();
        assert_eq!(
            (access.idle_s(COUNT), access.count()),
            (COUNT - number, count)
        );
    }
    assert!(seen > COUNT / 2);
}

#[test]
fn what_is_replaced_is_used_and_keeps_its_count() {
    let mut shard = Shard::new(ShardOptions::default());
    shard.set_access_clock(10);
    shard.insert(DB, b"k", Value::string(b"x"), None);
    let entry = shard.get(DB, b"k").unwrap();
    entry.set_access(entry.access().with_count(77));
    shard.set_access_clock(20);
    shard.insert(DB, b"k", Value::string(b"y"), None);
    let access = shard.get(DB, b"k").unwrap().access();
    assert_eq!((access.idle_s(25), access.count()), (5, 77));
    shard.remove(DB, b"k");
    shard.upsert(DB, b"k", || Value::string(b"z"));
    let access = shard.get(DB, b"k").unwrap().access();
    assert_eq!(
        (access.idle_s(25), access.count()),
        (5, Access::FIRST_COUNT)
    );
}

#[test]
fn samples_reach_all_that_they_are_taken_of_and_nothing_else() {
    let mut shard = Shard::new(ShardOptions::default());
    for number in 0..3_000u32 {
        let expire_at = (number % 100 == 0).then_some(1);
        shard.insert(DB, &key(number), Value::string(b"x"), expire_at);
    }
    let mut state = 1u64;
    let mut rng = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for (among, all) in [(Among::All, 3_000), (Among::Expiring, 30)] {
        let mut found = HashSet::new();
        for _ in 0..20_000 {
            let mut visited = 0;
            shard.sample(DB, among, 5, &mut rng, &mut |entry| {
                visited += 1;
                assert!(among == Among::All || entry.expire_at().is_some());
                found.insert(entry.key().to_vec());
            });
            assert!((1..=5).contains(&visited));
        }
        assert_eq!(found.len(), all);
    }
    shard.sample(DbIndex(1), Among::All, 5, &mut rng, &mut |_| unreachable!());
}
