use super::*;
use crate::Key;
use crate::value::Value;
use proptest::prelude::*;

/// Puts an entry in that is not there yet, as the shard does.
fn put(table: &mut Table, hasher: &TableHasher, key: &[u8]) {
    let hash = hasher.hash(key);
    loop {
        match table.plan(hash) {
            (segment, Plan::Grow) => table.grow(segment, 0, hasher),
            (segment, plan) => {
                let entry = Slot {
                    key: Key::new(key),
                    value: Value::default(),
                };
                let location = table.put(segment, plan, hash, entry, Access::default());
                assert_eq!(table.find(hash, &KeyProbe::new(key)), Some(location));
                return;
            }
        }
    }
}

/// What must hold for every table at any time.
fn check(table: &Table, hasher: &TableHasher) {
    let mut expected_start = 0;
    let mut entries = 0;
    let mut number = table.segment_of(0);
    loop {
        let segment = table.segment(number);
        assert_eq!(
            segment.start, expected_start,
            "segments follow one another without a gap"
        );
        assert!(segment.depth <= table.depth);
        segment.check(hasher);
        entries += segment.len;
        expected_start = segment.end();
        if expected_start == 0 {
            break;
        }
        number = table.segment_of(expected_start);
    }
    assert_eq!(entries, table.len());
    let bytes: usize = table.segments.iter().map(|segment| segment.bytes()).sum();
    assert_eq!(table.bytes, bytes);
    let blocks: usize = table
        .segments
        .iter()
        .map(|segment| segment.block_count)
        .sum();
    assert_eq!(table.blocks, blocks);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn everything_is_where_it_is_looked_for(
        seed in any::<u64>(),
        steps in prop::collection::vec((any::<bool>(), 0u32..4000, 1u32..800), 1..20),
    ) {
        let hasher = TableHasher::new(seed);
        let mut table = Table::new(TableId(1));
        for (insert, first, count) in steps {
            for number in first..first + count {
                let key = number.to_be_bytes();
                let hash = hasher.hash(&key);
                match table.find(hash, &KeyProbe::new(&key)) {
                    None if insert => put(&mut table, &hasher, &key),
                    Some(location) if !insert => drop(table.take(location, hash)),
                    _ => {}
                }
            }
            check(&table, &hasher);
        }
    }
}

#[test]
fn segments_are_well_filled_before_they_split() {
    let hasher = TableHasher::new(1);
    let mut table = Table::new(TableId(1));
    let (mut number, mut worst) = (0u32, 1.0f64);
    while table.segment_count() < 64 {
        put(&mut table, &hasher, &number.to_be_bytes());
        number += 1;
        let slots: usize = table
            .segments
            .iter()
            .map(|segment| segment.buckets() * 16)
            .sum();
        if table.segment_count() > 8 {
            worst = worst.min(table.len() as f64 / slots as f64);
        }
    }
    assert!(worst > 0.68, "fill fell to {worst}");
}

#[test]
fn what_room_was_made_for_does_not_grow() {
    let hasher = TableHasher::new(1);
    for entries in [100_000u32, 46_000, 700] {
        let mut table = Table::new(TableId(1));
        table.reserve(entries as usize, 0);
        let made = table.segment_count();
        check(&table, &hasher);
        (0..entries).for_each(|number| put(&mut table, &hasher, &number.to_be_bytes()));
        check(&table, &hasher);
        let slots: usize = (table.segments.iter())
            .map(|segment| segment.buckets() * 16)
            .sum();
        let fill = table.len() as f64 / slots as f64;
        assert!(fill > 0.65, "{entries} fill {fill}");
        let segments = table.segment_count();
        assert!(segments <= made + made / 50, "{entries} in {segments}");
        // Not where something is.
        table.reserve(1_000_000, 0);
        assert_eq!(table.segment_count(), segments);
        // It grows on beyond what was announced.
        (entries..3 * entries).for_each(|number| put(&mut table, &hasher, &number.to_be_bytes()));
        check(&table, &hasher);
    }
}

#[test]
fn home_borders_and_homes_agree() {
    let hasher = TableHasher::new(1);
    let mut table = Table::new(TableId(1));
    (0..20_000u32).for_each(|number| put(&mut table, &hasher, &number.to_be_bytes()));
    for segment in &table.segments {
        for home in 0..segment.homes() {
            assert_eq!(segment.home(segment.home_start(home)), home);
            assert_eq!(
                segment.home_start(home) & 0xFFFF,
                0,
                "a cursor keeps all of it"
            );
            if home > 0 {
                assert_eq!(segment.home(segment.home_start(home) - 1), home - 1);
            }
        }
        assert_eq!(segment.home_start(segment.homes()), segment.end());
    }
}
