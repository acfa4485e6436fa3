//! Against a real `redis-server` 7.0: its files are read, ours are loaded by it.

mod support;

use damselfly_snapshot::wire::type_byte;
use damselfly_snapshot::*;
use std::collections::{BTreeMap, BTreeSet};
use support::server::Redis;
use support::{Collected, Model, decode, pieces};

fn text(value: &str) -> Vec<u8> {
    value.as_bytes().to_vec()
}

/// Values for every encoding, by key.
fn models() -> BTreeMap<Vec<u8>, Model> {
    let number = |n: i64| n.to_string().into_bytes();
    let long = |n: usize| format!("{n}:{}", "x".repeat(100)).into_bytes();
    let score = |n: i32| f64::from(n) / 7.0;
    let mut all = BTreeMap::new();
    let mut add = |name: &str, value| _ = all.insert(text(name), value);
    for value in [
        0,
        1,
        -1,
        127,
        128,
        -128,
        -129,
        32_767,
        32_768,
        1 << 31,
        (1 << 31) - 1,
        -(1 << 31),
        i64::MAX,
        i64::MIN,
    ] {
        add(&format!("int:{value}"), Model::Str(number(value)));
    }
    add("str:empty", Model::Str(vec![]));
    add("str:short", Model::Str(text("value")));
    add("str:compressible", Model::Str(vec![b'a'; 5000]));
    add(
        "str:long",
        Model::Str(
            (0..200_000u32)
                .map(|i| (i.wrapping_mul(i) >> 7) as u8)
                .collect(),
        ),
    );
    add(
        "list:small",
        Model::List((0..20).map(|n| number(n * 1000)).collect()),
    );
    add("list:large", Model::List((0..5000).map(long).collect()));
    add(
        "list:huge item",
        Model::List(vec![
            text("a"),
            vec![b'b'; 20_000],
            text("c"),
            vec![b'd'; 9000],
        ]),
    );
    add("set:ints", Model::Set((0..100).map(number).collect()));
    add(
        "set:wide ints",
        Model::Set((0..100).map(|n| number(n << 40)).collect()),
    );
    add(
        "set:small",
        Model::Set((0..20).map(|n| text(&format!("m{n}"))).collect()),
    );
    add("set:large", Model::Set((0..2000).map(long).collect()));
    add(
        "hash:small",
        Model::Hash(
            (0..20)
                .map(|n| (number(n), text(&format!("v{n}"))))
                .collect(),
        ),
    );
    add(
        "hash:large",
        Model::Hash((0..2000).map(|n| (long(n), number(n as i64))).collect()),
    );
    add(
        "zset:small",
        Model::ZSet((0..20).map(|n| (number(n.into()), score(n))).collect()),
    );
    add(
        "zset:ints",
        Model::ZSet(
            (0..20)
                .map(|n| (text(&format!("m{n}")), f64::from(n * 100)))
                .collect(),
        ),
    );
    add(
        "zset:large",
        Model::ZSet((0..2000).map(|n| (long(n as usize), score(n))).collect()),
    );
    let infinite = [
        (text("+"), f64::INFINITY),
        (text("-"), f64::NEG_INFINITY),
        (text("e"), 1e300),
    ];
    add("zset:infinite", Model::ZSet(BTreeMap::from(infinite)));
    all
}

fn command(key: &[u8], value: &Model) -> Vec<Vec<u8>> {
    let mut words = vec![vec![], key.to_vec()];
    words[0] = text(match value {
        Model::Str(value) => {
            words.push(value.clone());
            "SET"
        }
        Model::List(items) => {
            words.extend(items.iter().cloned());
            "RPUSH"
        }
        Model::Set(members) => {
            words.extend(members.iter().cloned());
            "SADD"
        }
        Model::Hash(fields) => {
            words.extend(
                fields
                    .iter()
                    .flat_map(|(field, value)| [field.clone(), value.clone()]),
            );
            "HSET"
        }
        Model::ZSet(members) => {
            words.extend(
                members
                    .iter()
                    .flat_map(|(member, score)| [score.to_string().into_bytes(), member.clone()]),
            );
            "ZADD"
        }
        Model::Opaque(_) | Model::Stream(_) => unreachable!("not in the models"),
    });
    words
}

fn encode(encoder: &mut Encoder, out: &mut Vec<u8>, head: Head<'_>, value: &Model) {
    match value {
        Model::Str(value) => encoder.string(out, head, value),
        Model::List(items) => encoder.list(out, head, items.iter()),
        Model::Set(members) => encoder.set(out, head, members.len(), members.iter()),
        Model::Hash(fields) => encoder.hash(out, head, fields.len(), fields.iter()),
        Model::ZSet(members) => {
            let mut sorted: Vec<_> = members
                .iter()
                .map(|(member, score)| (member, *score))
                .collect();
            sorted.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(b.0)));
            encoder.zset(out, head, sorted.len(), sorted.iter().copied())
        }
        Model::Opaque(_) | Model::Stream(_) => unreachable!("not in the models"),
    }
}

fn compare(collected: &Collected, db: u32) {
    assert_eq!(collected.eof, Some(Checksum::Verified));
    for (key, value) in models() {
        let name = String::from_utf8_lossy(&key).into_owned();
        let entry = collected
            .entries
            .get(&(db, key))
            .unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(entry.value, value, "{name}");
    }
}

#[test]
fn files_of_redis_are_read() {
    let redis = Redis::start("read", None);
    for (key, value) in models() {
        let reply = redis.call(&command(&key, &value));
        assert!(!reply.starts_with('-'), "{reply}");
    }
    redis.call(&["XADD", "stream", "1-1", "f", "v"]);
    redis.call(&["XADD", "stream", "1-2", "f", "v"]);
    redis.call(&["XGROUP", "CREATE", "stream", "group", "0"]);
    redis.call(&[
        "XREADGROUP",
        "GROUP",
        "group",
        "me",
        "COUNT",
        "1",
        "STREAMS",
        "stream",
        ">",
    ]);
    redis.call(&["SET", "expiring", "v", "PXAT", "9999999999999"]);
    let file = redis.saved();
    for seed in 0..3 {
        let (collected, rest) = decode(&file, pieces(seed, 10_000)).unwrap();
        compare(&collected, 0);
        assert!(rest.is_empty());
        assert_eq!(
            collected.entries[&(0, text("expiring"))].expire_ms,
            Some(9_999_999_999_999)
        );
        let types: BTreeSet<u8> = collected
            .entries
            .values()
            .map(|entry| entry.type_byte)
            .collect();
        let expected = [0, 2, 4, 5, 11, 16, 17, 18, type_byte::STREAM_2];
        assert_eq!(types, BTreeSet::from(expected));
    }
}

#[test]
fn our_files_are_loaded_by_redis() {
    for profile in [Profile::Flow, Profile::Redis62] {
        let mut writer = RdbWriter::new();
        let mut encoder = Encoder::new(profile);
        writer.header(&[(b"redis-ver", b"6.2.11")]);
        writer.select(2);
        writer.resize(models().len() as u64, 1);
        for (key, value) in models() {
            let meta = EntryMeta::new(&key).expiring(Some(9_999_999_999_999));
            encode(&mut encoder, writer.buffer(), Head::Entry(&meta), &value);
        }
        writer.end();
        let redis = Redis::start(&format!("load-{profile:?}"), Some(&writer.take()));
        assert_eq!(redis.call(&["DEBUG", "RELOAD"]), "+OK");
        let (collected, _) = decode(&redis.saved(), || usize::MAX).unwrap();
        compare(&collected, 2);
        assert!(
            collected
                .entries
                .values()
                .all(|entry| entry.expire_ms == Some(9_999_999_999_999))
        );
    }
}

#[test]
fn dump_payloads_travel_both_ways() {
    let redis = Redis::start("dump", None);
    for (key, value) in models() {
        for profile in [Profile::Flow, Profile::Redis62] {
            let mut payload = Vec::new();
            encode(&mut Encoder::new(profile), &mut payload, Head::Bare, &value);
            finish_dump(&mut payload, profile);
            assert_eq!(
                redis.call(&[&b"RESTORE"[..], &key, b"0", &payload, b"REPLACE"]),
                "+OK"
            );
        }
        let payload = redis.call_raw(&[&b"DUMP"[..], &key]);
        let mut decoder = read_dump(&payload, Limits::default()).unwrap();
        let mut collected = Collected::default();
        while let Some(event) = decoder.next().unwrap() {
            collected.take(event);
        }
        assert!(decoder.is_between_items());
        assert_eq!(collected.entries[&(0, vec![])].value, value);
    }
}
