//! The point-in-time walk: what it writes is the data as it stood at the cut, each key once, before its first change,
//! whatever is written, flushed, swapped and cut meanwhile.
#![cfg(feature = "store")]

mod support;

use damselfly_snapshot::*;
use damselfly_store::values::stream::PendingEntry;
use damselfly_store::values::{Expiring, Hash, List, Set, Stream, StreamId, ZSet};
use damselfly_store::{DbIndex, Intent, Shard, ShardOptions, Value};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use support::{Model, decode, pieces};

type Contents = BTreeMap<(u16, Vec<u8>), (Model, Option<i64>)>;
type Out = Rc<RefCell<RdbWriter>>;
const DBS: u16 = 3;
const CHUNK: usize = 2000;

fn model(value: &Value) -> Model {
    match value {
        Value::Str(text) => Model::Str(text.bytes().into_owned()),
        Value::List(list) => Model::List(list.iter().map(|item| item.to_vec()).collect()),
        Value::Set(set) => Model::Set(set.iter().map(|item| item.to_vec()).collect()),
        Value::Hash(hash) => Model::Hash(
            hash.iter()
                .map(|(field, value)| (field.to_vec(), value.to_vec()))
                .collect(),
        ),
        Value::ZSet(zset) => Model::ZSet(
            zset.iter()
                .map(|(member, score)| (member.to_vec(), score))
                .collect(),
        ),
        value => stream_model(value),
    }
}

/// The parts that a stream is written in when it goes whole.
fn stream_model(value: &Value) -> Model {
    let mut writer = RdbWriter::new();
    writer.header(&[]);
    let meta = EntryMeta::new(b"key");
    encode_value(
        &mut Encoder::new(Profile::Flow),
        writer.buffer(),
        Head::Entry(&meta),
        value,
    );
    writer.end();
    let (collected, _) = support::decode(&writer.take(), || usize::MAX).unwrap();
    let entry = collected.entries.into_values().next();
    entry.expect("one entry").value
}

fn contents(shard: &Shard) -> Contents {
    let mut all = Contents::new();
    for db in 0..DBS {
        let mut cursor = 0;
        loop {
            cursor = shard.scan(DbIndex(db), cursor, &mut |entry| {
                all.insert(
                    (db, entry.key().to_vec()),
                    (model(entry.value()), entry.expire_at()),
                );
            });
            if cursor == 0 {
                break;
            }
        }
    }
    all
}

fn value(mut random: impl FnMut() -> usize) -> Value {
    let len = if random().is_multiple_of(20) {
        100 + random() % 900
    } else {
        1 + random() % 8
    };
    let text = |n: usize| format!("element:{n}").into_bytes();
    match random() % 7 {
        0 => Value::Str(damselfly_store::StrValue::from_int(len as i64)),
        1 => Value::string(&b"0123456789abcdef".repeat(len)),
        2 => (0..len)
            .fold(List::new(), |mut list, n| {
                list.push_back(&text(n));
                list
            })
            .into(),
        3 => (0..len)
            .fold(Set::new(), |mut set, n| {
                set.insert(&text(n));
                let at =
                    (len % 3 == 0 && n % 2 == 0).then_some(1_795_000_000_000 + 1000 * n as i64);
                set.set_element_expiry(&text(n), at);
                set
            })
            .into(),
        4 => (0..len)
            .fold(Hash::new(), |mut hash, n| {
                hash.insert(&text(n), &text(n * 7));
                let at = (len % 3 == 0 && n % 2 == 0).then_some(1_795_000_000_000 + n as i64);
                hash.set_element_expiry(&text(n), at);
                hash
            })
            .into(),
        5 => stream(len).into(),
        _ => (0..len)
            .fold(ZSet::new(), |mut zset, n| {
                zset.insert(&text(n), n as f64 / 3.0);
                zset
            })
            .into(),
    }
}

/// A stream of some entries; two consumers have them all.
fn stream(len: usize) -> Stream {
    let mut stream = Stream::new();
    let ids = (1..=len as u64).map(|ms| StreamId::new(ms, 0));
    for id in ids.clone() {
        let value = id.to_string();
        let fields = [(&b"field"[..], value.as_bytes())];
        stream.append(id, fields.into_iter()).unwrap();
    }
    stream.create_group(b"group", StreamId::MIN, None);
    let mut group = stream.group_mut(b"group").unwrap();
    let consumers = [&b"a"[..], b"b"].map(|name| {
        let consumer = group.create_consumer(name, 5).unwrap();
        group.set_active(consumer, 5);
        consumer
    });
    for id in ids {
        group.set_pending(PendingEntry {
            id,
            consumer: consumers[id.ms as usize % 3 % 2],
            delivered_ms: 1,
            deliveries: id.ms,
        });
    }
    drop(group);
    stream
}

/// A running snapshot with what it has to say.
struct Running {
    snapshot: Option<Snapshot>,
    out: Out,
    expected: Contents,
    options: SnapshotOptions,
}

struct World {
    shard: Shard,
    snapshots: Snapshots,
    running: Vec<Running>,
    random: Box<dyn FnMut() -> usize>,
    /// Whether writers wait for big values, as the engine's do.
    polite: bool,
    /// Whether snapshots are for files, and databases are flushed and exchanged meanwhile.
    frozen: bool,
    parked: usize,
    checked: usize,
    chunked: usize,
}

impl World {
    fn new(seed: u64, polite: bool) -> World {
        World {
            shard: Shard::new(ShardOptions {
                dbnum: DBS,
                hash_seed: seed,
            }),
            snapshots: Snapshots::new(),
            running: Vec::new(),
            random: Box::new(pieces(seed, 1 << 40)),
            polite,
            frozen: false,
            parked: 0,
            checked: 0,
            chunked: 0,
        }
    }

    fn random(&mut self, bound: usize) -> usize {
        (self.random)() % bound
    }

    fn journal(&mut self, db: u16, key: &[u8]) {
        let mut record = vec![db as u8];
        record.extend_from_slice(key);
        for running in self
            .running
            .iter()
            .filter(|running| !running.options.frozen)
        {
            // As a flow does it: past the snapshot, straight to the stream.
            put_journal_blob(running.out.borrow_mut().buffer(), &record);
        }
    }

    /// Flushes a database or all, or exchanges two.
    fn upheave(&mut self) {
        let (a, b) = (self.random(DBS as usize), self.random(DBS as usize));
        let (a, b) = (DbIndex(a as u16), DbIndex(b as u16));
        if self.random(3) > 0 {
            self.snapshots.on_swap(&self.shard, a, b);
            self.shard.swap(a, b);
            return self.snapshots.on_recorded();
        }
        let db = (self.random(3) > 0).then_some(a);
        assert!(!self.snapshots.would_park_flush(&self.shard, db));
        self.snapshots.on_flush(&self.shard, db);
        let flushed = Rc::new(self.shard.flush(db));
        self.snapshots.keep_flushed(&flushed);
    }

    /// One write; nothing if it would have to wait.
    fn write(&mut self) {
        let (db, number) = (DbIndex(self.random(DBS as usize) as u16), self.random(600));
        let key = format!("key:{number}").into_bytes();
        let mut parks = false;
        let intent = if self.shard.get(db, &key).is_some() {
            Intent::Update
        } else {
            Intent::Insert
        };
        let snapshots = &self.snapshots;
        self.shard.prepare(db, &key, intent, &mut |bucket| {
            parks |= snapshots.would_park(&bucket)
        });
        if parks && self.polite {
            self.parked += 1;
            return;
        }
        match self.random(6) {
            0 => drop(self.shard.remove(db, &key)),
            1 => drop(self.shard.set_expiry(db, &key, Some(number as i64))),
            2 if self
                .shard
                .get(db, &key)
                .is_some_and(|entry| matches!(entry.value(), Value::Str(_))) =>
            {
                if let Value::Str(text) = &mut **self.shard.get_mut(db, &key).as_mut().unwrap() {
                    text.append(b"more");
                }
            }
            _ => {
                let value = value(&mut self.random);
                let expiry = (number % 3 == 0).then_some(number as i64 * 1000);
                self.shard.insert(db, &key, value, expiry);
            }
        }
        self.journal(db.0, &key);
    }

    fn begin(&mut self) {
        let chunks = [Chunks::Never, Chunks::BetweenElements, Chunks::Anywhere][self.random(3)];
        let is_file = chunks == Chunks::Anywhere && self.random(2) == 0;
        let profile = if chunks == Chunks::Never || is_file {
            Profile::Redis62
        } else {
            Profile::Flow
        };
        let options = SnapshotOptions {
            profile,
            chunks,
            chunk_bytes: CHUNK,
            lz4: self.random(2) == 0,
            uses: Uses::Untold,
            frozen: self.frozen,
        };
        let out = Out::default();
        out.borrow_mut().header(&[]);
        let expected = contents(&self.shard);
        let snapshot = self
            .snapshots
            .begin(&mut self.shard, options.clone(), out.clone());
        self.running.push(Running {
            snapshot: Some(snapshot),
            out,
            expected,
            options,
        });
    }

    fn step(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let index = self.random(self.running.len());
        let budget = self.random(6000);
        let running = &mut self.running[index];
        let snapshot = running.snapshot.as_mut().unwrap();
        if snapshot.step(&mut self.shard, budget).unwrap() == Progress::Done {
            snapshot.write_cut();
            snapshot.write_tail(9, &[b'x'; 40]);
            let running = self.running.swap_remove(index);
            self.check(running);
        }
    }

    fn check(&mut self, running: Running) {
        let stream = running.out.borrow_mut().take();
        let (collected, rest) = decode(&stream, pieces(stream.len() as u64, 9000)).unwrap();
        assert_eq!(
            (rest.len(), collected.cuts, collected.eof),
            (40, 1, Some(Checksum::Verified))
        );
        let may_chunk = running.options.chunks != Chunks::Never;
        let mut found = Contents::new();
        for ((db, key), entry) in collected.entries {
            assert!(may_chunk || !entry.chunked);
            self.chunked += usize::from(entry.chunked);
            found.insert((db as u16, key), (entry.value, entry.expire_ms));
        }
        let keys = |contents: &Contents| contents.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&found), keys(&running.expected));
        assert!(found == running.expected, "values differ");
        check_order(&stream, &running);
        self.checked += 1;
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..1000 {
            self.write();
        }
        for _ in 0..steps {
            match self.random(100) {
                0..=1 if self.running.len() < 3 => self.begin(),
                2..=40 => self.step(),
                41 if self.frozen => self.upheave(),
                _ => self.write(),
            }
        }
        while !self.running.is_empty() {
            self.step();
        }
        assert!(self.snapshots.is_idle() && !self.shard.is_observed());
    }
}

/// Baseline before change: no record names a key of the cut whose value has not come to its end.
fn check_order(stream: &[u8], running: &Running) {
    let mut decoder = RdbDecoder::default();
    decoder.feed(stream);
    let mut open = HashMap::new();
    let mut ended = std::collections::HashSet::new();
    while let Some(event) = decoder.next().unwrap() {
        match event {
            Event::Key(meta) => drop(open.insert(meta.stream, (meta.db as u16, meta.key.to_vec()))),
            Event::KeyEnd { stream } => drop(ended.insert(open.remove(&stream).unwrap())),
            Event::JournalBlob { records, .. } if records[0] != 255 => {
                let place = (u16::from(records[0]), records[1..].to_vec());
                if running.expected.contains_key(&place) {
                    assert!(
                        ended.contains(&place),
                        "a change of {place:?} before its baseline"
                    );
                }
            }
            _ => {}
        }
    }
}

#[test]
fn what_is_written_is_what_stood_at_the_cut() {
    for seed in 1..4 {
        let mut world = World::new(seed, true);
        world.run(1200);
        assert!(world.checked > 3 && world.chunked > 5 && world.parked > 0);
    }
}

#[test]
fn a_file_holds_what_stood_at_the_cut_whatever_is_flushed_and_exchanged() {
    for seed in 21..23 {
        let mut world = World::new(seed, seed % 2 == 0);
        world.frozen = true;
        world.run(2500);
        assert!(world.checked > 3 && world.chunked > 5);
    }
}

/// Writers that do not ask get their bucket served whole, at once.
#[test]
fn writers_that_do_not_wait_break_nothing() {
    for seed in 11..13 {
        let mut world = World::new(seed, false);
        world.run(1200);
        assert!(world.checked > 1);
    }
}

fn filled(keys: usize, value: impl Fn(usize) -> Value) -> Shard {
    let mut shard = Shard::new(ShardOptions {
        dbnum: DBS,
        hash_seed: 5,
    });
    for n in 0..keys {
        shard.insert(DbIndex(0), format!("key:{n}").as_bytes(), value(n), None);
    }
    shard
}

fn big_set(members: usize) -> Value {
    let mut set = Set::new();
    (0..members).for_each(|n| _ = set.insert(format!("member:{n}").as_bytes()));
    set.into()
}

fn begin(snapshots: &Snapshots, shard: &mut Shard) -> (Snapshot, Out) {
    let out = Out::default();
    out.borrow_mut().header(&[]);
    let options = SnapshotOptions {
        chunk_bytes: CHUNK,
        ..SnapshotOptions::flow()
    };
    (snapshots.begin(shard, options, out.clone()), out)
}

fn parks(snapshots: &Snapshots, shard: &Shard, key: &[u8]) -> bool {
    let mut parks = false;
    shard.prepare(DbIndex(0), key, Intent::Update, &mut |bucket| {
        parks |= snapshots.would_park(&bucket)
    });
    parks
}

#[test]
fn a_wanted_value_comes_first_and_only_its_bucket_waits() {
    let mut shard = filled(500, |n| {
        if n == 77 {
            big_set(5000)
        } else {
            Value::string(b"small")
        }
    });
    let snapshots = Snapshots::new();
    let (mut first, out) = begin(&snapshots, &mut shard);
    let (mut second, _other) = begin(&snapshots, &mut shard);
    assert!(parks(&snapshots, &shard, b"key:77"));
    let free = (0..500)
        .filter(|n| !parks(&snapshots, &shard, format!("key:{n}").as_bytes()))
        .count();
    assert!(free > 450, "{free}");
    let mut steps = 0;
    while parks(&snapshots, &shard, b"key:77") {
        first.step(&mut shard, CHUNK).unwrap();
        second.step(&mut shard, CHUNK).unwrap();
        assert!(first.bytes() < 200_000, "a value at a time, not the data");
        steps += 1;
    }
    assert!(steps > 10 && snapshots.finished() == 2);
    assert!(first.entries() < 40);
    shard.remove(DbIndex(0), b"key:77");
    while first.step(&mut shard, 1 << 20).unwrap() != Progress::Done {}
    while second.step(&mut shard, 1 << 20).unwrap() != Progress::Done {}
    let (collected, _) = decode(&out.borrow_mut().take(), || 1 << 20).unwrap();
    assert_eq!(collected.entries.len(), 500);
    assert!(
        matches!(&collected.entries[&(0, b"key:77".to_vec())].value, Model::Set(set) if set.len() == 5000)
    );
}

/// The walk of one snapshot does not make another one write a big value at once.
#[test]
fn one_walk_leaves_the_big_values_of_another_alone() {
    let mut shard = filled(300, |n| {
        if n % 50 == 0 {
            big_set(5000)
        } else {
            Value::string(b"small")
        }
    });
    let snapshots = Snapshots::new();
    let (mut first, _one) = begin(&snapshots, &mut shard);
    let (mut second, other) = begin(&snapshots, &mut shard);
    while first.step(&mut shard, CHUNK).unwrap() != Progress::Done {
        assert!(second.bytes() < 20_000);
    }
    assert_eq!(first.entries(), 300);
    while second.step(&mut shard, CHUNK).unwrap() != Progress::Done {}
    let (collected, _) = decode(&other.borrow_mut().take(), || 1 << 20).unwrap();
    assert_eq!(collected.entries.len(), 300);
}

#[test]
fn a_flush_ends_open_streams_and_what_is_flushed_is_not_sent() {
    let mut shard = filled(300, |n| {
        if n % 3 == 0 {
            big_set(2000)
        } else {
            Value::string(b"small")
        }
    });
    shard.insert(DbIndex(2), b"stays", Value::string(b"here"), None);
    let snapshots = Snapshots::new();
    let (mut snapshot, out) = begin(&snapshots, &mut shard);
    while !snapshots.would_park_flush(&shard, Some(DbIndex(0))) {
        snapshot.step(&mut shard, CHUNK).unwrap();
    }
    let mut steps = 0;
    while snapshots.would_park_flush(&shard, Some(DbIndex(0))) {
        snapshot.step(&mut shard, 1 << 20).unwrap();
        steps += 1;
    }
    assert_eq!(
        steps, 1,
        "a step ends where a flush waits and its stream has ended"
    );
    snapshots.on_flush(&shard, Some(DbIndex(0)));
    drop(shard.flush(Some(DbIndex(0))));
    let entries = snapshot.entries();
    snapshot.push_journal(&[255]);
    while snapshot.step(&mut shard, 1 << 20).unwrap() != Progress::Done {}
    assert_eq!(snapshot.entries(), entries + 1);
    snapshot.write_cut();
    let (collected, _) = decode(&out.borrow_mut().take(), || 1 << 20).unwrap();
    assert_eq!(collected.cuts, 1);
    assert!(collected.entries.contains_key(&(2, b"stays".to_vec())));
    assert!((collected.entries.len() as u64) == entries + 1 && entries < 300);
}

/// A flush that does not wait: the open stream is ended on the spot.
#[test]
fn a_flush_at_once_leaves_no_stream_open() {
    let mut shard = filled(3, |_| big_set(3000));
    let snapshots = Snapshots::new();
    let (mut snapshot, out) = begin(&snapshots, &mut shard);
    snapshot.step(&mut shard, CHUNK).unwrap();
    snapshots.on_flush(&shard, None);
    drop(shard.flush(None));
    while snapshot.step(&mut shard, CHUNK).unwrap() != Progress::Done {}
    snapshot.write_cut();
    let (collected, _) = decode(&out.borrow_mut().take(), || 1 << 20).unwrap();
    assert_eq!((collected.entries.len(), collected.cuts), (1, 1));
}

/// A transaction exchanges databases on this shard, and its record waits for the other shards.
#[test]
fn until_a_swap_is_recorded_entries_carry_the_old_index() {
    let mut shard = filled(300, |_| Value::string(b"value"));
    let snapshots = Snapshots::new();
    let (mut snapshot, out) = begin(&snapshots, &mut shard);
    snapshots.on_swap(&shard, DbIndex(0), DbIndex(1));
    shard.swap(DbIndex(0), DbIndex(1));
    assert_eq!(snapshot.step(&mut shard, CHUNK).unwrap(), Progress::More);
    assert_eq!(snapshot.entries(), 0, "the walk waits");
    // The same transaction changes a bucket.
    shard.insert(DbIndex(1), b"key:1", Value::string(b"new"), None);
    let before = snapshot.entries();
    assert!(before > 0);
    snapshots.on_recorded();
    while snapshot.step(&mut shard, CHUNK).unwrap() != Progress::Done {}
    snapshot.write_cut();
    let (collected, _) = decode(&out.borrow_mut().take(), || 1 << 20).unwrap();
    let of = |db| collected.entries.keys().filter(|(of, _)| *of == db).count() as u64;
    assert_eq!((of(0), of(1)), (before, 300 - before));
}

#[test]
fn after_a_swap_entries_carry_the_new_index() {
    let mut shard = filled(2000, |_| Value::string(b"v"));
    shard.insert(DbIndex(1), b"other", Value::string(b"v"), None);
    let snapshots = Snapshots::new();
    let (mut snapshot, out) = begin(&snapshots, &mut shard);
    snapshot.step(&mut shard, CHUNK).unwrap();
    let before = snapshot.entries() as usize;
    shard.swap(DbIndex(0), DbIndex(1));
    while snapshot.step(&mut shard, CHUNK).unwrap() != Progress::Done {}
    let (collected, _) = decode(&out.borrow_mut().take(), || 1 << 20).unwrap();
    let count = |db| collected.entries.keys().filter(|(at, _)| *at == db).count();
    assert_eq!((count(0), count(1)), (before + 1, 2000 - before));
    assert!(collected.entries.contains_key(&(0, b"other".to_vec())));
}

#[test]
fn a_dropped_snapshot_holds_nobody_back() {
    let mut shard = filled(1, |_| big_set(3000));
    let snapshots = Snapshots::new();
    let (snapshot, _out) = begin(&snapshots, &mut shard);
    assert!(parks(&snapshots, &shard, b"key:0"));
    let finished = snapshots.finished();
    drop(snapshot);
    assert!(!parks(&snapshots, &shard, b"key:0") && snapshots.finished() != finished);
    snapshots.sweep(&mut shard);
    assert!(!shard.is_observed() && snapshots.is_idle());
}

/// Everything comes back into a store as it was.
#[test]
fn a_snapshot_assembles_to_the_same_data() {
    let mut random = pieces(3, 1 << 40);
    let values: Vec<Value> = (0..500).map(|_| value(&mut random)).collect();
    let mut shard = filled(500, |n| values[n].clone());
    let (mut snapshot, out) = begin(&Snapshots::new(), &mut shard);
    while snapshot.step(&mut shard, CHUNK).unwrap() != Progress::Done {}
    let mut decoder = RdbDecoder::default();
    let mut assembler = Assembler::new(false);
    let mut copy = Shard::new(ShardOptions {
        dbnum: DBS,
        hash_seed: 99,
    });
    for piece in out.borrow_mut().take().chunks(1000) {
        decoder.feed(piece);
        while let Some(event) = decoder.next().unwrap() {
            match assembler.take(&event).unwrap() {
                None => {}
                Some(Assembled::Entry {
                    db,
                    key,
                    value,
                    expire_ms,
                    ..
                }) => {
                    assert!(
                        copy.insert(DbIndex(db as u16), key, value, expire_ms)
                            .is_none()
                    )
                }
                Some(other) => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(assembler.open_streams(), 0);
    assert!(contents(&copy) == contents(&shard));
    for value in &values {
        assert_eq!(
            model(&restore_value(&dump_value(value)).unwrap()),
            model(value)
        );
    }
}
