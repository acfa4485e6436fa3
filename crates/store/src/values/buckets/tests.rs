use super::*;
use crate::values::below;
use crate::values::test_kit::random_bits;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

impl<T> Buckets<T> {
    pub(in crate::values) fn bucket_count(&self) -> usize {
        self.buckets.len()
    }

    /// Checks every sum and every place.
    pub(in crate::values) fn audit(&self, rehash: impl Fn(&T) -> u64) {
        let buckets: Vec<&Bucket<T>> = (0..self.buckets.len())
            .map(|at| &self.buckets[at])
            .collect();
        assert_eq!(
            self.len,
            buckets
                .iter()
                .map(|bucket| bucket.items.len())
                .sum::<usize>()
        );
        assert_eq!(
            self.slots,
            buckets
                .iter()
                .map(|bucket| bucket.items.capacity())
                .sum::<usize>()
        );
        for (at, bucket) in buckets.iter().enumerate() {
            assert!(bucket.items.len() <= self.tallest);
            for (place, item) in bucket.items.iter().enumerate() {
                assert_eq!(self.address(rehash(item)), at);
                assert!(
                    bucket
                        .tags
                        .get(place)
                        .is_none_or(|&other| other == tag(rehash(item)))
                );
            }
        }
    }
}

/// A hash good enough for a table.
fn mix(key: &u32) -> u64 {
    let x = u64::from(*key)
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ (x >> 29))
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
        .rotate_left(31)
}

/// The worst hash.
fn same(_: &u32) -> u64 {
    7
}

fn insert(table: &mut Buckets<u32>, key: u32, hash: fn(&u32) -> u64) {
    if table.find(hash(&key), |&other| other == key).is_none() {
        table.insert_new(hash(&key), key, hash);
    }
}

#[test]
fn every_hash_equal_is_slow_but_right() {
    let mut table = Buckets::new();
    (0..300).for_each(|key| insert(&mut table, key, same));
    table.audit(same);
    for key in (0..300).step_by(2) {
        assert_eq!(table.remove(7, |&other| other == key, same), Some(key));
    }
    table.audit(same);
    assert_eq!(table.len(), 150);
    assert!((0..300).all(|key| table.find(7, |&other| other == key).is_some() == (key % 2 == 1)));
}

#[test]
fn takes_little_memory_and_gives_it_back() {
    let mut table = Buckets::new();
    (0..100_000).for_each(|key| insert(&mut table, key, mix));
    assert!(
        table.heap_size() < 100_000 * 10,
        "{} bytes",
        table.heap_size()
    );
    for key in 0..100_000 {
        table.remove(mix(&key), |&other| other == key, mix);
    }
    table.audit(mix);
    assert!(table.heap_size() < 1000, "{} bytes", table.heap_size());
}

#[test]
fn random_is_fair() {
    let mut table = Buckets::new();
    (0..200).for_each(|key| insert(&mut table, key, mix));
    let mut rng = random_bits(5);
    let mut drawn = [0u32; 200];
    for _ in 0..200_000 {
        drawn[*table.random(&mut rng).expect("not empty") as usize] += 1;
    }
    // 1000 expected, a standard deviation of 32.
    assert!(
        drawn.iter().all(|count| (800..1200).contains(count)),
        "{drawn:?}"
    );
}

#[test]
fn freeing_in_slices_ends() {
    let mut table = Buckets::new();
    (0..5000).for_each(|key| insert(&mut table, key, mix));
    let mut dropped = 0;
    let mut slices = 0;
    while table.len() > 0 {
        let before = dropped;
        table.free_slice(100, |_| dropped += 1);
        assert!(dropped - before < 200);
        slices += 1;
    }
    assert_eq!((dropped, table.heap_size() < 200), (5000, true));
    assert!(slices > 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn scan_sees_all_that_stays(seed in any::<u64>(), start in 1u32..3000, shrink in any::<bool>()) {
        let mut rng = random_bits(seed);
        let mut table = Buckets::new();
        (0..start).for_each(|key| insert(&mut table, key, mix));
        let mut stays: BTreeSet<u32> = (0..start).collect();
        let mut seen = BTreeSet::new();
        let mut cursor = 0;
        let mut next_key = start;
        loop {
            cursor = table.scan(cursor, &mut |&key| { seen.insert(key); });
            if cursor == 0 {
                break;
            }
            for _ in 0..below(&mut rng, 60) {
                if shrink {
                    let key = below(&mut rng, start as usize) as u32;
                    table.remove(mix(&key), |&other| other == key, mix);
                    stays.remove(&key);
                } else if next_key < 4 * start {
                    insert(&mut table, next_key, mix);
                    next_key += 1;
                }
            }
        }
        prop_assert!(stays.is_subset(&seen), "missed {:?}", stays.difference(&seen));
    }

    #[test]
    fn chunks_give_each_once(keys in prop::collection::btree_set(any::<u32>(), 0..2000), size in 1usize..50) {
        let mut table = Buckets::new();
        keys.iter().for_each(|&key| insert(&mut table, key, mix));
        table.audit(mix);
        let mut seen = BTreeMap::new();
        let mut cursor = Some(0);
        while let Some(at) = cursor {
            let mut left = size;
            cursor = table.chunk(at, &mut |&key| {
                *seen.entry(key).or_insert(0) += 1;
                left -= 1;
                left > 0
            });
        }
        prop_assert!(seen.values().all(|&times| times == 1));
        prop_assert_eq!(seen.into_keys().collect::<BTreeSet<_>>(), keys.clone());
        prop_assert_eq!(table.iter().copied().collect::<BTreeSet<_>>(), keys);
    }
}
