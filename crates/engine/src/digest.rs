//! A hash of the whole data set that depends neither on the order of keys nor on
//! their shards: the one that `DEBUG DIGEST` of Redis gives for the same data
//! (`debug.c`, `computeDatasetDigest`), and a strict form that knows expiry times.

use crate::core::ShardCore;
use crate::thread::Thread;
use damselfly_store::values::stream::Group;
use damselfly_store::values::{Expiring, Hash, List, Set, Stream, StreamId, ZSet};
use damselfly_store::{DbIndex, EntryRef, UnixMs, Value, WalkCursor};
use sha1::{Digest as _, Sha1};
use std::fmt;
use std::rc::Rc;

/// Buckets hashed before other tasks of the thread get their turn.
const SLICE_BUCKETS: usize = 16;

/// A digest of data: 20 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest([u8; 20]);

/// Whether expiry times count to the millisecond, or only whether there is one (as in Redis).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// What Redis computes.
    Redis,
    /// Expiry times too.
    Strict,
}

impl Digest {
    /// Adds something whose order does not matter.
    fn add(&mut self, bytes: &[u8]) {
        let hash = Sha1::digest(bytes);
        self.0
            .iter_mut()
            .zip(hash)
            .for_each(|(mine, other)| *mine ^= other);
    }

    /// Adds something whose order matters.
    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    fn merge(&mut self, other: Digest) {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(mine, other)| *mine ^= other);
    }

    fn pair(first: &[u8], second: &[u8]) -> Digest {
        let mut digest = Digest::default();
        digest.mix(first);
        digest.mix(second);
        digest
    }

    /// The digest of a value and its expiry, without its key: `DEBUG DIGEST-VALUE`.
    pub fn of_value(value: &Value, expire_at: Option<UnixMs>, strictness: Strictness) -> Digest {
        let mut digest = Digest::default();
        digest.value(value, expire_at, strictness);
        digest
    }

    fn value(&mut self, value: &Value, expire_at: Option<UnixMs>, strictness: Strictness) {
        match value {
            Value::Str(string) => {
                self.kind(0);
                self.mix(&string.bytes());
            }
            Value::List(list) => self.list(list),
            Value::Set(set) => self.set(set, strictness),
            Value::ZSet(zset) => self.zset(zset),
            Value::Hash(hash) => self.hash(hash, strictness),
            Value::Stream(stream) => self.stream(stream, strictness),
            _ => unreachable!("every kind of value has its digest"),
        }
        match (expire_at, strictness) {
            (None, _) => {}
            (Some(_), Strictness::Redis) => self.add(b"!!expire!!"),
            (Some(at), Strictness::Strict) => self.add(format!("!!expire!!{at}").as_bytes()),
        }
    }

    fn kind(&mut self, number: u32) {
        self.mix(&number.to_be_bytes());
    }

    fn list(&mut self, list: &List) {
        self.kind(1);
        list.iter().for_each(|item| self.mix(item.as_ref()));
    }

    /// Redis has no times of members: they count as those of fields do.
    fn set(&mut self, set: &Set, strictness: Strictness) {
        self.kind(2);
        for member in set.iter() {
            self.add(member.as_ref());
            match (set.element_expiry(&member), strictness) {
                (None, _) => {}
                (Some(_), Strictness::Redis) => {
                    self.add(&Digest::pair(member.as_ref(), b"!!sexpire!!").0);
                }
                (Some(at), Strictness::Strict) => {
                    let time = format!("!!sexpire!!{at}");
                    self.add(&Digest::pair(member.as_ref(), time.as_bytes()).0);
                }
            }
        }
    }

    fn zset(&mut self, zset: &ZSet) {
        self.kind(3);
        let mut text = Vec::new();
        for (member, score) in zset.iter() {
            text.clear();
            damselfly_resp::format_double(&mut text, score);
            self.add(&Digest::pair(member.as_ref(), &text).0);
        }
    }

    fn hash(&mut self, hash: &Hash, strictness: Strictness) {
        self.kind(4);
        for (field, value) in hash.iter() {
            let mut pair = Digest::pair(field.as_ref(), value.as_ref());
            match (hash.element_expiry(&field), strictness) {
                (None, _) => {}
                (Some(_), Strictness::Redis) => pair.add(b"!!hexpire!!"),
                (Some(at), Strictness::Strict) => pair.add(format!("!!hexpire!!{at}").as_bytes()),
            }
            self.add(&pair.0);
        }
    }

    fn stream(&mut self, stream: &Stream, strictness: Strictness) {
        self.kind(6);
        for entry in stream.range(StreamId::MIN, StreamId::MAX) {
            let id = entry.id();
            self.mix(format!("{}.{}", id.ms, id.seq).as_bytes());
            for (field, value) in entry.fields() {
                self.mix(field.as_ref());
                self.mix(value.as_ref());
            }
        }
        if strictness == Strictness::Strict {
            let (last, deleted) = (stream.last_id(), stream.max_deleted_id());
            self.mix(format!("{last} {deleted} {}", stream.entries_added()).as_bytes());
            stream.groups().for_each(|group| self.group(group));
        }
    }

    /// All of a group but the times when consumers were heard of: those are each server's own.
    fn group(&mut self, group: &Group) {
        self.mix(group.name());
        self.mix(format!("{} {:?}", group.last_id(), group.entries_read()).as_bytes());
        for (id, consumer) in group.consumers() {
            self.mix(consumer.name());
            for entry in group.consumer_pending_range(id, StreamId::MIN, StreamId::MAX) {
                let (delivered, count) = (entry.delivered_ms, entry.deliveries);
                self.mix(format!("{} {delivered} {count}", entry.id).as_bytes());
            }
        }
    }

    fn entry(&mut self, entry: &EntryRef<'_>, strictness: Strictness) {
        let mut digest = Digest::default();
        digest.mix(entry.key());
        digest.value(entry.value(), entry.expire_at(), strictness);
        self.add(&digest.0);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One database of one shard, or of all shards: the digests of its entries together, and their number.
#[derive(Debug, Clone, Copy, Default)]
struct DbDigest {
    entries: Digest,
    count: usize,
}

/// The digest of one shard's databases on its own, without a thread: for simulators and tests.
pub fn of_shards<'a>(
    shards: impl Iterator<Item = &'a ShardCore> + Clone,
    dbnum: u16,
    strictness: Strictness,
) -> Digest {
    combine((0..dbnum).map(|db| {
        shards.clone().fold(DbDigest::default(), |sum, shard| {
            let mut cursor = WalkCursor::default();
            let mut digest = sum;
            while let Some(next) = slice(shard, DbIndex(db), cursor, strictness, &mut digest) {
                cursor = next;
            }
            digest
        })
    }))
}

/// The digest of a running engine's data set. It says something only while nobody writes.
pub async fn of_engine(thread: &Rc<Thread>, strictness: Strictness) -> Digest {
    let dbnum = thread.engine.options.dbnum;
    let calls: Vec<_> = (0..thread.engine.mesh.shards())
        .map(|shard| {
            thread.call(shard, move |thread, answer| {
                let thread = thread.clone();
                tokio::task::spawn_local(async move {
                    let mut databases = Vec::with_capacity(dbnum.into());
                    for db in 0..dbnum {
                        databases.push(of_db(&thread, DbIndex(db), strictness).await);
                    }
                    answer.send(databases);
                });
            })
        })
        .collect();
    let shards = crate::thread::join(calls).await;
    combine((0..usize::from(dbnum)).map(|db| {
        shards
            .iter()
            .fold(DbDigest::default(), |mut sum, databases| {
                sum.entries.merge(databases[db].entries);
                sum.count += databases[db].count;
                sum
            })
    }))
}

async fn of_db(thread: &Rc<Thread>, db: DbIndex, strictness: Strictness) -> DbDigest {
    let mut digest = DbDigest::default();
    let mut cursor = WalkCursor::default();
    while let Some(next) = thread.with_core(|core| slice(core, db, cursor, strictness, &mut digest))
    {
        cursor = next;
        tokio::task::yield_now().await;
    }
    digest
}

/// Hashes a few buckets; where to go on.
fn slice(
    core: &ShardCore,
    db: DbIndex,
    mut cursor: WalkCursor,
    strictness: Strictness,
    digest: &mut DbDigest,
) -> Option<WalkCursor> {
    for _ in 0..SLICE_BUCKETS {
        let (bucket, next) = core.space.store.walk_next(db, cursor)?;
        for entry in bucket.entries() {
            digest.entries.entry(&entry, strictness);
            digest.count += 1;
        }
        cursor = next;
    }
    Some(cursor)
}

/// Databases that hold something, in their order.
fn combine(databases: impl Iterator<Item = DbDigest>) -> Digest {
    let mut sum = Digest::default();
    for (index, db) in databases.enumerate().filter(|(_, db)| db.count > 0) {
        sum.mix(&(index as u32).to_be_bytes());
        sum.merge(db.entries);
    }
    sum
}
