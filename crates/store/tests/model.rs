//! The shard against plain maps: contents, answers, counts, memory; SCAN's guarantee; expiry slices; random picks.

mod common;

use common::*;
use damselfly_store::values::{Expiring, Hash};
use damselfly_store::{DbIndex, Shard, ShardOptions, Value};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_shard_is_a_few_maps(seed in any::<u64>(), ops in prop::collection::vec(op(), 1..60)) {
        let mut pair = Pair::new(seed);
        for (salt, op) in (0..).zip(&ops) {
            steps(op, salt).iter().for_each(|step| pair.apply(step));
            if salt % 8 == 0 {
                pair.check();
            }
        }
        pair.check();
        check_expiring(&pair);
    }

    #[test]
    fn scan_visits_what_was_there_all_the_time(
        seed in any::<u64>(),
        fill in prop::collection::vec(op(), 1..20),
        storm in prop::collection::vec((op(), 1usize..40), 1..60),
    ) {
        let mut pair = Pair::new(seed);
        for (salt, op) in (0..).zip(&fill) {
            steps(op, salt).iter().for_each(|step| pair.apply(step));
        }
        let db = DbIndex(0);
        let mut always: BTreeSet<Vec<u8>> = pair.model[0].keys().cloned().collect();
        let (mut seen, mut cursor) = (BTreeSet::new(), 0);
        let mut storm = (100..).zip(&storm);
        loop {
            cursor = pair.shard.scan(db, cursor, &mut |entry| { seen.insert(entry.key().to_vec()); });
            prop_assert!(cursor < 1 << 48);
            if cursor == 0 {
                break;
            }
            // Between two calls: nothing, or some changes (databases stay where they are).
            let Some((salt, (op, calls))) = storm.next() else { continue };
            if !matches!(op, Op::Flush(_) | Op::Swap(..)) {
                steps(op, salt).iter().for_each(|step| pair.apply(step));
                always.retain(|key| pair.model[0].contains_key(key));
            }
            for _ in 1..*calls {
                cursor = pair.shard.scan(db, cursor, &mut |entry| { seen.insert(entry.key().to_vec()); });
                if cursor == 0 {
                    break;
                }
            }
            if cursor == 0 {
                break;
            }
        }
        let missed: Vec<_> = always.difference(&seen).collect();
        prop_assert!(missed.is_empty(), "missed {} keys of {}", missed.len(), always.len());
    }

    #[test]
    fn any_cursor_is_taken(seed in any::<u64>(), cursor in any::<u64>(), count in 0u32..2000) {
        let shard = filled(seed, count);
        let mut visited = 0;
        let next = shard.scan(DbIndex(0), cursor, &mut |_| visited += 1);
        prop_assert!(next < 1 << 48 && visited <= count);
    }
}

/// Slices of expiry find exactly what has expired.
fn check_expiring(pair: &Pair) {
    for (db, model) in (0..).map(DbIndex).zip(&pair.model) {
        let (mut found, mut cursor) = (Vec::new(), 0);
        loop {
            cursor = pair.shard.expiring_slice(db, cursor, 5, 50, &mut found);
            if cursor == 0 {
                break;
            }
        }
        let found: Vec<_> = found.iter().map(|key| key.as_bytes().to_vec()).collect();
        let unique: BTreeSet<_> = found.iter().cloned().collect();
        let expected = model
            .iter()
            .filter(|(_, (_, at))| at.is_some_and(|at| at <= 50))
            .map(|(key, _)| key.clone());
        assert_eq!(found.len(), unique.len());
        assert_eq!(unique, expected.collect());
    }
}

fn filled(hash_seed: u64, count: u32) -> Shard {
    let mut shard = Shard::new(ShardOptions {
        dbnum: 1,
        hash_seed,
    });
    for number in 0..count {
        shard.insert(DbIndex(0), &key(number), Value::string(b"x"), None);
    }
    shard
}

#[test]
fn scan_without_changes_visits_everything_once() {
    let shard = filled(1, 20_000);
    let (mut seen, mut cursor) = (BTreeMap::new(), 0);
    loop {
        cursor = shard.scan(DbIndex(0), cursor, &mut |entry| {
            *seen.entry(entry.key().to_vec()).or_insert(0) += 1
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 20_000);
    assert!(seen.values().all(|&times| times == 1));
}

#[test]
fn random_picks_are_fair() {
    let mut shard = filled(5, 3_000);
    // Segments of very different fill: most keys of the first half go away.
    for number in (0..1_500).filter(|number| number % 10 != 0) {
        shard.remove(DbIndex(0), &key(number));
    }
    let mut state = 12_345u64;
    let mut rng = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ mixed >> 31
    };
    let draws = 200 * shard.len(DbIndex(0));
    let mut counts = BTreeMap::new();
    for _ in 0..draws {
        let entry = shard
            .random(DbIndex(0), &mut rng)
            .expect("the table is not empty");
        *counts.entry(entry.key().to_vec()).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), shard.len(DbIndex(0)));
    assert!(
        counts.values().all(|&count| (100..400).contains(&count)),
        "{:?}",
        (counts.values().min(), counts.values().max())
    );
}

#[test]
fn random_finds_the_last_key_of_a_big_table() {
    let mut shard = filled(5, 20_000);
    for number in 1..20_000 {
        shard.remove(DbIndex(0), &key(number));
    }
    assert_eq!(
        shard
            .random(DbIndex(0), &mut || 3)
            .map(|entry| entry.key().to_vec()),
        Some(key(0))
    );
    shard.remove(DbIndex(0), &key(0));
    assert!(shard.random(DbIndex(0), &mut || 3).is_none());
}

#[test]
fn an_emptied_table_gives_its_memory_back() {
    let mut shard = filled(2, 50_000);
    let full = shard.used_memory();
    for number in 0..50_000 {
        shard.remove(DbIndex(0), &key(number));
    }
    assert!(
        shard.used_memory() * 100 < full,
        "{} of {full} bytes are left",
        shard.used_memory()
    );
}

#[test]
fn keys_that_collide_are_found_all_the_same() {
    // No two of these keys differ in hash as far as the table is concerned: they share their home bucket at any depth.
    let mut shard = Shard::new(ShardOptions {
        dbnum: 1,
        hash_seed: 9,
    });
    let home = |shard: &Shard, key: &[u8]| shard.hash_of(key) >> 52;
    let target = home(&shard, b"0");
    let keys: Vec<_> = (0u32..)
        .map(|i| i.to_string().into_bytes())
        .filter(|key| home(&shard, key) == target)
        .take(600)
        .collect();
    for key in &keys {
        shard.insert(DbIndex(0), key, Value::string(key), Some(1));
    }
    for key in &keys {
        assert_eq!(
            shard
                .get(DbIndex(0), key)
                .map(|entry| bytes_of(entry.value())),
            Some(key.clone())
        );
    }
    assert!(
        shard.used_memory() < 4 << 20,
        "{} bytes for 600 keys",
        shard.used_memory()
    );
    for key in &keys {
        assert!(shard.remove(DbIndex(0), key).is_some());
    }
    assert_eq!(
        (shard.len(DbIndex(0)), shard.expires_len(DbIndex(0))),
        (0, 0)
    );
}

#[test]
fn warming_changes_nothing() {
    let keys: Vec<_> = (0..500).map(key).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    for count in [0, 10, 5_000] {
        let shard = filled(3, count);
        let before = walked(&shard, DbIndex(0));
        shard.warm(DbIndex(0), &keys);
        shard.warm(DbIndex(0), &[]);
        assert_eq!(walked(&shard, DbIndex(0)), before);
    }
}

#[test]
fn keys_and_values_may_change_threads() {
    fn send<T: Send + 'static>(_: T) {}
    send(damselfly_store::Key::new(b"a key"));
    send(Value::string(b"a value"));
}

/// Hashes whose fields expire stand in an order of their own, by the first of their times; whoever changes one moves it.
#[test]
fn hashes_with_times_are_found_by_their_first_one() {
    let mut shard = Shard::new(ShardOptions::default());
    let db = DbIndex(1);
    let hash = |at| {
        let mut hash = Hash::new();
        hash.insert(b"field", b"value");
        hash.insert(b"other", b"value");
        hash.set_element_expiry(b"field", at);
        Value::from(hash)
    };
    let order = |shard: &Shard| -> Vec<(Vec<u8>, i64)> {
        let ranks = 0..shard.timed_len(db);
        let at = |rank| shard.timed_at(db, rank).expect("a rank below the length");
        ranks.map(at).map(|(key, at)| (key.to_vec(), at)).collect()
    };
    shard.insert(db, b"plain", hash(None), None);
    let before = shard.used_memory();
    shard.insert(db, b"late", hash(Some(300)), None);
    shard.insert(db, b"early", hash(Some(100)), Some(7));
    shard.upsert(db, b"middle", || hash(Some(200)));
    let keys = |names: &[(&str, i64)]| -> Vec<(Vec<u8>, i64)> {
        names
            .iter()
            .map(|(name, at)| (name.as_bytes().to_vec(), *at))
            .collect()
    };
    assert_eq!(
        order(&shard),
        keys(&[("early", 100), ("middle", 200), ("late", 300)])
    );
    if let Value::Hash(hash) = &mut *shard.get_mut(db, b"early").expect("it is there") {
        hash.set_element_expiry(b"other", Some(50));
        hash.remove(b"field");
        hash.set_element_expiry(b"other", Some(250));
    }
    assert_eq!(
        order(&shard),
        keys(&[("middle", 200), ("early", 250), ("late", 300)])
    );
    shard.insert(db, b"early", Value::string(b"text"), None);
    shard.insert(db, b"late", hash(Some(1)), None);
    assert_eq!(order(&shard), keys(&[("late", 1), ("middle", 200)]));
    shard.swap(db, DbIndex(2));
    assert_eq!((shard.timed_len(db), shard.timed_len(DbIndex(2))), (0, 2));
    shard.swap(db, DbIndex(2));
    for key in [&b"early"[..], b"middle", b"late"] {
        shard.remove(db, key);
    }
    assert_eq!((order(&shard), shard.used_memory()), (Vec::new(), before));
    shard.insert(db, b"late", hash(Some(300)), None);
    drop(shard.flush(Some(db)));
    assert_eq!(shard.timed_len(db), 0);
}
