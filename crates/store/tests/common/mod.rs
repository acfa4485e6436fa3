//! What the property tests share: operations on a shard, and a plain model of it.
#![allow(dead_code)]

use damselfly_store::{DbIndex, Flushed, Kind, MemoryByKind, Shard, ShardOptions, UnixMs, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Databases in the tests.
pub const DBNUM: u16 = 3;
/// Different keys in the tests: enough for a table to split several times.
pub const KEYS: u32 = 3000;

/// A string value and its expiry time.
pub type Stored = (Vec<u8>, Option<UnixMs>);
/// The contents of one database.
pub type Contents = BTreeMap<Vec<u8>, Stored>;

/// A change of the data. Ranges are of key numbers.
#[derive(Clone, Debug)]
pub enum Op {
    Insert(u16, u32, u32, Option<UnixMs>),
    Remove(u16, u32, u32),
    Append(u16, u32, u32),
    Upsert(u16, u32, u32),
    Expire(u16, u32, u32, Option<UnixMs>),
    Flush(Option<u16>),
    Swap(u16, u16),
}

/// Inserts are the most frequent, so that tables grow.
pub fn op() -> impl Strategy<Value = Op> {
    let db = || 0..DBNUM;
    let key = || 0..KEYS;
    let time = || prop::option::of(0i64..100);
    prop_oneof![
        12 => (db(), key(), 1u32..600, time()).prop_map(|(d, k, n, t)| Op::Insert(d, k, n, t)),
        6 => (db(), key(), 1u32..400).prop_map(|(d, k, n)| Op::Remove(d, k, n)),
        4 => (db(), key(), 1u32..100).prop_map(|(d, k, n)| Op::Append(d, k, n)),
        4 => (db(), key(), 1u32..200).prop_map(|(d, k, n)| Op::Upsert(d, k, n)),
        4 => (db(), key(), 1u32..200, time()).prop_map(|(d, k, n, t)| Op::Expire(d, k, n, t)),
        1 => prop::option::of(db()).prop_map(Op::Flush),
        2 => (db(), db()).prop_map(|(a, b)| Op::Swap(a, b)),
    ]
}

/// The bytes of a key: short ones, 16 bytes, and long ones.
pub fn key(number: u32) -> Vec<u8> {
    match number % 3 {
        0 => format!("k{number}").into_bytes(),
        1 => format!("key:{number:012}").into_bytes(),
        _ => format!("a key that does not fit in place {number}").into_bytes(),
    }
}

/// The value that an insert stores.
pub fn value(number: u32, salt: u32) -> Vec<u8> {
    match (number ^ salt) % 4 {
        0 => salt.to_string().into_bytes(),
        1 => vec![b'v'; (number % 70) as usize],
        2 => format!("value {number} {salt}").into_bytes(),
        _ => (u64::from(number) * 1_000_000_000_000_000)
            .to_string()
            .into_bytes(),
    }
}

pub fn bytes_of(value: &Value) -> Vec<u8> {
    match value {
        Value::Str(string) => string.bytes().into_owned(),
        other => panic!("{other:?} in a test of strings"),
    }
}

/// One change of one key, or of whole databases.
#[derive(Clone, Debug)]
pub enum Step {
    Insert(DbIndex, Vec<u8>, Vec<u8>, Option<UnixMs>),
    Remove(DbIndex, Vec<u8>),
    Append(DbIndex, Vec<u8>, Vec<u8>),
    Upsert(DbIndex, Vec<u8>, Vec<u8>),
    Expire(DbIndex, Vec<u8>, Option<UnixMs>),
    Flush(Option<DbIndex>),
    Swap(DbIndex, DbIndex),
}

/// The single changes that an operation stands for.
pub fn steps(op: &Op, salt: u32) -> Vec<Step> {
    let range = |db: u16, first: u32, count: u32| {
        // Spread over the numbers, so that ranges overlap in part.
        (0..count).map(move |i| (DbIndex(db), (first + i * 7) % KEYS))
    };
    match *op {
        Op::Insert(d, k, n, t) => range(d, k, n)
            .map(|(db, k)| Step::Insert(db, key(k), value(k, salt), t))
            .collect(),
        Op::Remove(d, k, n) => range(d, k, n)
            .map(|(db, k)| Step::Remove(db, key(k)))
            .collect(),
        Op::Append(d, k, n) => range(d, k, n)
            .map(|(db, k)| Step::Append(db, key(k), value(k, salt)))
            .collect(),
        Op::Upsert(d, k, n) => range(d, k, n)
            .map(|(db, k)| Step::Upsert(db, key(k), value(k, salt)))
            .collect(),
        Op::Expire(d, k, n, t) => range(d, k, n)
            .map(|(db, k)| Step::Expire(db, key(k), t))
            .collect(),
        Op::Flush(d) => vec![Step::Flush(d.map(DbIndex))],
        Op::Swap(a, b) => vec![Step::Swap(DbIndex(a), DbIndex(b))],
    }
}

fn append(value: &mut Value, bytes: &[u8]) {
    if let Value::Str(string) = value {
        string.append(bytes);
    }
}

/// A shard, and what should be in it.
pub struct Pair {
    pub shard: Shard,
    pub model: Vec<Contents>,
}

impl Pair {
    pub fn new(hash_seed: u64) -> Pair {
        let shard = Shard::new(ShardOptions {
            dbnum: DBNUM,
            hash_seed,
        });
        Pair {
            shard,
            model: vec![Contents::new(); DBNUM as usize],
        }
    }

    /// Applies a step to both and compares the answers.
    pub fn apply(&mut self, step: &Step) {
        let Pair { shard, model } = self;
        match step {
            Step::Insert(db, key, value, at) => {
                let old = shard
                    .insert(*db, key, Value::string(value), *at)
                    .map(|value| bytes_of(&value));
                let expected = model[db.0 as usize].insert(key.clone(), (value.clone(), *at));
                assert_eq!(old, expected.map(|(value, _)| value));
            }
            Step::Remove(db, key) => {
                let old = shard
                    .remove(*db, key)
                    .map(|(value, at)| (bytes_of(&value), at));
                assert_eq!(old, model[db.0 as usize].remove(key));
            }
            Step::Append(db, key, bytes) => {
                let there = shard
                    .get_mut(*db, key)
                    .map(|mut entry| append(&mut entry, bytes))
                    .is_some();
                let expected = model[db.0 as usize]
                    .get_mut(key)
                    .map(|(value, _)| value.extend(bytes))
                    .is_some();
                assert_eq!(there, expected);
            }
            Step::Upsert(db, key, bytes) => {
                let (mut entry, made) = shard.upsert(*db, key, Value::default);
                append(&mut entry, bytes);
                let expected = model[db.0 as usize].entry(key.clone());
                assert_eq!(
                    made,
                    matches!(expected, std::collections::btree_map::Entry::Vacant(_))
                );
                expected.or_default().0.extend(bytes);
            }
            Step::Expire(db, key, at) => {
                let there = shard.set_expiry(*db, key, *at);
                let expected = model[db.0 as usize]
                    .get_mut(key)
                    .map(|(_, time)| *time = *at)
                    .is_some();
                assert_eq!(there, expected);
            }
            Step::Flush(db) => {
                free(shard.flush(*db));
                let all = 0..DBNUM as usize;
                all.filter(|&i| db.is_none_or(|db| db.0 as usize == i))
                    .for_each(|i| model[i].clear());
            }
            Step::Swap(a, b) => {
                shard.swap(*a, *b);
                model.swap(a.0 as usize, b.0 as usize);
            }
        }
    }

    /// Compares everything that the shard says about itself with the model.
    pub fn check(&self) {
        for (db, model) in (0..).map(DbIndex).zip(&self.model) {
            assert_eq!(self.shard.len(db), model.len());
            assert_eq!(
                self.shard.expires_len(db),
                model.values().filter(|(_, at)| at.is_some()).count()
            );
            assert_eq!(&walked(&self.shard, db), model);
            self.check_memory(db);
            for key in (0..KEYS).step_by(11).map(key) {
                let found = self
                    .shard
                    .get(db, &key)
                    .map(|entry| (bytes_of(entry.value()), entry.expire_at()));
                assert_eq!(found.as_ref(), model.get(&key));
            }
        }
        let total: usize = (0..DBNUM)
            .map(|db| self.shard.memory(DbIndex(db)).total())
            .sum();
        assert_eq!(self.shard.used_memory(), total);
    }

    fn check_memory(&self, db: DbIndex) {
        let memory: MemoryByKind = self.shard.memory(db);
        let (mut keys, mut values) = (0, 0);
        self.shard.for_each(db, |entry| {
            keys += damselfly_store::Key::new(entry.key()).heap_size();
            values += entry.value().heap_size();
        });
        assert_eq!(memory.keys, keys);
        assert_eq!(memory.kind(Kind::Str).bytes, values);
        assert_eq!(memory.kind(Kind::Str).keys, self.shard.len(db));
        assert_eq!(memory.total(), keys + values + memory.table);
    }
}

/// Visits all entries by a walk.
pub trait ForEach {
    fn for_each(&self, db: DbIndex, visit: impl FnMut(damselfly_store::EntryRef<'_>));
}

impl ForEach for Shard {
    fn for_each(&self, db: DbIndex, mut visit: impl FnMut(damselfly_store::EntryRef<'_>)) {
        let mut cursor = damselfly_store::WalkCursor::default();
        while let Some((bucket, next)) = self.walk_next(db, cursor) {
            bucket.entries().for_each(&mut visit);
            cursor = next;
        }
    }
}

/// The contents by a walk, which must not visit anything twice while nothing changes.
pub fn walked(shard: &Shard, db: DbIndex) -> Contents {
    let mut contents = Contents::new();
    shard.for_each(db, |entry| {
        let old = contents.insert(
            entry.key().to_vec(),
            (bytes_of(entry.value()), entry.expire_at()),
        );
        assert!(old.is_none(), "{entry:?} twice in a walk");
    });
    contents
}

/// Frees what a flush left in small steps; each takes something.
pub fn free(mut flushed: Flushed) {
    let mut steps = 0;
    while !flushed.free_slice(100) {
        steps += 1;
        assert!(steps < 10_000, "{} keys are never freed", flushed.len());
    }
    assert!(flushed.is_empty());
}
