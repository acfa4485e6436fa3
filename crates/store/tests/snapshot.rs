//! Several snapshots at random points of random writes: each must see exactly what stood at its cut, each bucket once,
//! and only buckets that `prepare` announced.

mod common;

use common::*;
use damselfly_store::{
    BucketId, BucketView, CutVersion, DbIndex, Intent, Observer, ObserverId, Shard, TableId,
    WalkCursor,
};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

type Tables = BTreeMap<TableId, Contents>;

/// What one observer has seen, and the buckets that it was called for since somebody looked.
#[derive(Default)]
struct Seen {
    contents: Tables,
    calls: Vec<BucketId>,
}

struct Collector(Rc<RefCell<Seen>>);

impl Observer for Collector {
    fn before_change(&mut self, bucket: &BucketView<'_>) {
        let mut seen = self.0.borrow_mut();
        assert!(!bucket.is_empty());
        seen.calls.push(bucket.id());
        let contents = seen.contents.entry(bucket.table()).or_default();
        for entry in bucket.entries() {
            let old = contents.insert(
                entry.key().to_vec(),
                (bytes_of(entry.value()), entry.expire_at()),
            );
            assert!(old.is_none(), "{entry:?} was seen twice");
        }
    }
}

/// A snapshot in progress: an observer, its walk, and what it should find.
struct Snapshot {
    id: ObserverId,
    cut: CutVersion,
    seen: Rc<RefCell<Seen>>,
    expected: Tables,
    left: Vec<TableId>,
    cursor: WalkCursor,
}

fn tables(pair: &Pair) -> Tables {
    let dbs = (0..DBNUM).map(DbIndex);
    dbs.map(|db| (pair.shard.table(db), pair.model[db.0 as usize].clone()))
        .collect()
}

impl Snapshot {
    fn begin(pair: &mut Pair) -> Snapshot {
        let expected = tables(pair);
        let seen = Rc::default();
        let (id, cut) = pair
            .shard
            .register_observer(Box::new(Collector(Rc::clone(&seen))));
        Snapshot {
            id,
            cut,
            seen,
            left: expected.keys().copied().collect(),
            expected,
            cursor: WalkCursor::default(),
        }
    }

    /// Serves the next buckets of the walk; true at its end.
    fn walk(&mut self, shard: &mut Shard, buckets: usize) -> bool {
        for _ in 0..buckets {
            let Some(&table) = self.left.last() else {
                return true;
            };
            let next = shard
                .db_of(table)
                .and_then(|db| shard.walk_next(db, self.cursor));
            let Some((bucket, cursor)) = next else {
                self.left.pop();
                self.cursor = WalkCursor::default();
                continue;
            };
            let (id, unseen) = (bucket.id(), bucket.version() < self.cut);
            self.cursor = cursor;
            if unseen {
                shard.serialize_bucket(id);
            }
        }
        self.left.is_empty()
    }

    /// Tables that were flushed in between may have been seen in part.
    fn check(&self, shard: &Shard) {
        let seen = self.seen.borrow();
        for (&table, expected) in &self.expected {
            let contents = seen.contents.get(&table).cloned().unwrap_or_default();
            if shard.db_of(table).is_some() {
                assert_eq!(contents.len(), expected.len());
                assert_eq!(&contents, expected);
            } else {
                assert!(
                    contents
                        .iter()
                        .all(|(key, value)| expected.get(key) == Some(value))
                );
            }
        }
        assert!(
            seen.contents
                .keys()
                .all(|table| self.expected.contains_key(table))
        );
    }
}

fn prepared(shard: &Shard, step: &Step) -> HashSet<BucketId> {
    let (db, key, intent) = match step {
        Step::Insert(db, key, ..) | Step::Upsert(db, key, _) => (*db, key, Intent::Insert),
        Step::Remove(db, key) | Step::Append(db, key, _) | Step::Expire(db, key, _) => {
            (*db, key, Intent::Update)
        }
        Step::Flush(_) | Step::Swap(..) => return HashSet::new(),
    };
    let mut buckets = HashSet::new();
    shard.prepare(db, key, intent, &mut |bucket| {
        assert!(buckets.insert(bucket.id()))
    });
    buckets
}

/// Applies a step; the observers together must be called for exactly the buckets that were announced.
fn apply_announced(pair: &mut Pair, snapshots: &[Snapshot], step: &Step) {
    let announced = prepared(&pair.shard, step);
    pair.apply(step);
    let mut called = HashSet::new();
    for snapshot in snapshots {
        let calls = std::mem::take(&mut snapshot.seen.borrow_mut().calls);
        let unique: HashSet<_> = calls.iter().copied().collect();
        assert_eq!(unique.len(), calls.len());
        called.extend(unique);
    }
    assert_eq!(called, announced, "{step:?}");
}

fn forget_calls(snapshots: &[Snapshot]) {
    snapshots
        .iter()
        .for_each(|snapshot| snapshot.seen.borrow_mut().calls.clear());
}

#[derive(Clone, Debug)]
enum Event {
    Write(Op),
    Begin,
    Walk(usize, usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => op().prop_map(Event::Write),
        1 => Just(Event::Begin),
        3 => (any::<usize>(), 1usize..200).prop_map(|(which, buckets)| Event::Walk(which, buckets)),
    ]
}

/// Lets one snapshot walk on; ends it if that was all.
fn walk(pair: &mut Pair, snapshots: &mut Vec<Snapshot>, which: usize, buckets: usize) {
    if snapshots.is_empty() {
        return;
    }
    let which = which % snapshots.len();
    if snapshots[which].walk(&mut pair.shard, buckets) {
        let snapshot = snapshots.remove(which);
        snapshot.check(&pair.shard);
        assert!(pair.shard.remove_observer(snapshot.id).is_some());
    }
    forget_calls(snapshots);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_snapshot_is_what_stood_at_its_cut(
        seed in any::<u64>(),
        fill in prop::collection::vec(op(), 0..12),
        events in prop::collection::vec(event(), 1..50),
    ) {
        let mut pair = Pair::new(seed);
        for (salt, op) in (0..).zip(&fill) {
            steps(op, salt).iter().for_each(|step| pair.apply(step));
        }
        let mut snapshots = vec![Snapshot::begin(&mut pair)];
        for (salt, event) in (100..).zip(&events) {
            match event {
                Event::Write(op) => steps(op, salt).iter().for_each(|step| apply_announced(&mut pair, &snapshots, step)),
                Event::Begin => snapshots.push(Snapshot::begin(&mut pair)),
                Event::Walk(which, buckets) => walk(&mut pair, &mut snapshots, *which, *buckets),
            }
        }
        while !snapshots.is_empty() {
            walk(&mut pair, &mut snapshots, 0, 1000);
        }
        prop_assert!(!pair.shard.is_observed());
        pair.check();
    }
}

#[test]
fn one_walk_serves_all_observers() {
    let mut pair = Pair::new(3);
    steps(&Op::Insert(0, 0, 2_000, Some(5)), 1)
        .iter()
        .for_each(|step| pair.apply(step));
    let mut first = Snapshot::begin(&mut pair);
    let second = Snapshot::begin(&mut pair);
    while !first.walk(&mut pair.shard, 10) {}
    first.check(&pair.shard);
    second.check(&pair.shard);
}

#[test]
fn an_observer_sees_nothing_that_came_after_its_cut() {
    let mut pair = Pair::new(3);
    let mut snapshot = Snapshot::begin(&mut pair);
    steps(&Op::Insert(0, 0, 3_000, None), 1)
        .iter()
        .for_each(|step| pair.apply(step));
    assert!(prepared(&pair.shard, &Step::Remove(DbIndex(0), key(1))).is_empty());
    while !snapshot.walk(&mut pair.shard, 10) {}
    snapshot.check(&pair.shard);
    assert!(snapshot.seen.borrow().contents.is_empty());
}

#[test]
fn a_removed_observer_is_not_called_any_more() {
    let mut pair = Pair::new(3);
    steps(&Op::Insert(0, 0, 500, None), 1)
        .iter()
        .for_each(|step| pair.apply(step));
    let snapshot = Snapshot::begin(&mut pair);
    assert!(pair.shard.remove_observer(snapshot.id).is_some());
    assert!(pair.shard.remove_observer(snapshot.id).is_none());
    steps(&Op::Remove(0, 0, 500), 1)
        .iter()
        .for_each(|step| pair.apply(step));
    assert!(snapshot.seen.borrow().calls.is_empty());
    let keys: BTreeSet<_> = pair.model[0].keys().collect();
    assert!(keys.is_empty());
}
