//! Full syncs recorded from a real Dragonfly 1.40: every key of the five types comes out as the primary reported it.

mod support;

use damselfly_snapshot::{Checksum, RdbDecoder};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
use support::{Collected, Model, decode, pieces};

fn folder(scenario: &str) -> PathBuf {
    let near = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/fixtures"
    ));
    let places = [
        std::env::var_os("DAMSELFLY_FIXTURES").map(PathBuf::from),
        Some(near),
        Some("/work/shared/fixtures".into()),
    ];
    let found = places
        .into_iter()
        .flatten()
        .map(|place| place.join("dragonfly-1.40").join(scenario));
    let found = found.into_iter().find(|place| place.is_dir());
    found.expect("the fixtures are in ../shared/fixtures or where DAMSELFLY_FIXTURES says")
}

/// The RDB streams of the flows: what follows `*2 +FULL +<token>`, with the token.
fn flows(scenario: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    const ANSWER: &[u8] = b"*2\r\n+FULL\r\n+";
    ["conn01", "conn02"]
        .map(|name| {
            let bytes =
                std::fs::read(folder(scenario).join(format!("{name}.primary.bin"))).unwrap();
            let rest = bytes.strip_prefix(ANSWER).expect("the flow answers FULL");
            (rest[42..].to_vec(), rest[..40].to_vec())
        })
        .to_vec()
}

/// Journals of flows that went on after a cut: what follows `*2 +PARTIAL +<token>`.
fn partial_journals(scenario: &str) -> Vec<Vec<u8>> {
    const ANSWER: &[u8] = b"*2\r\n+PARTIAL\r\n+";
    let files = std::fs::read_dir(folder(scenario)).unwrap();
    let bytes = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    bytes
        .filter_map(|bytes| bytes.strip_prefix(ANSWER).map(|rest| rest[42..].to_vec()))
        .collect()
}

fn contents(scenario: &str) -> serde_json::Map<String, Json> {
    let file = std::fs::File::open(folder(scenario).join("contents.json.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    match serde_json::from_str(&text).unwrap() {
        Json::Object(map) => map,
        other => panic!("{other}"),
    }
}

fn unhex(text: &Json) -> Vec<u8> {
    let text = text.as_str().unwrap().as_bytes();
    text.chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn model(json: &Json) -> Option<Model> {
    let items = || json["value"].as_array().unwrap().iter();
    Some(match json["type"].as_str().unwrap() {
        "string" => Model::Str(unhex(&json["value"])),
        "list" => Model::List(items().map(unhex).collect()),
        "set" => Model::Set(items().map(unhex).collect()),
        "hash" => Model::Hash(
            items()
                .map(|pair| (unhex(&pair[0]), unhex(&pair[1])))
                .collect(),
        ),
        "zset" => {
            let score = |text: &Json| text.as_str().unwrap().parse::<f64>().unwrap();
            Model::ZSet(
                items()
                    .map(|pair| (unhex(&pair[0]), score(&pair[1])))
                    .collect(),
            )
        }
        _ => return None,
    })
}

/// All arguments of all journal records: what may have changed after the cut.
fn journal_arguments(mut bytes: &[u8], found: &mut BTreeSet<Vec<u8>>) {
    fn number(bytes: &mut &[u8]) -> u64 {
        let (first, rest) = bytes.split_first().unwrap();
        let extra = match first >> 6 {
            0 => 0,
            1 => 1,
            _ if *first == 0x80 => 4,
            _ => 8,
        };
        let head = if extra <= 1 {
            u64::from(first & 0x3F)
        } else {
            0
        };
        *bytes = &rest[extra..];
        rest[..extra]
            .iter()
            .fold(head, |value, byte| value << 8 | u64::from(*byte))
    }
    while let Some((opcode, rest)) = bytes.split_first() {
        bytes = rest;
        match opcode {
            6 | 15 => _ = number(&mut bytes),
            10 => {
                let [_txid, _shards, count, _total] = std::array::from_fn(|_| number(&mut bytes));
                for _ in 0..count {
                    let len = number(&mut bytes) as usize;
                    found.insert(bytes[..len].to_vec());
                    bytes = &bytes[len..];
                }
            }
            13 => {}
            other => panic!("record {other}"),
        }
    }
}

fn check(scenario: &str, piece: &mut dyn FnMut() -> usize) -> Vec<Collected> {
    let mut arguments = BTreeSet::new();
    let mut all = Vec::new();
    for (stream, token) in flows(scenario) {
        let (collected, rest) = decode(&stream, &mut *piece).unwrap();
        assert_eq!(
            (collected.version, collected.cuts, collected.eof),
            (9, 1, Some(Checksum::Absent))
        );
        assert!(collected.offset.is_some());
        assert_eq!(rest[..40], token[..]);
        journal_arguments(&collected.journal, &mut arguments);
        journal_arguments(&rest[40..], &mut arguments);
        all.push(collected);
    }
    partial_journals(scenario)
        .iter()
        .for_each(|journal| journal_arguments(journal, &mut arguments));
    let (mut compared, mut changed) = (0, 0);
    for (name, json) in contents(scenario) {
        let (db, key) = name.split_once('/').unwrap();
        let key = unhex(&Json::String(key.into()));
        if arguments.contains(&key) {
            changed += 1;
            continue;
        }
        let place = (db.parse().unwrap(), key);
        let entry = all.iter().find_map(|flow| flow.entries.get(&place));
        let entry = entry.unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(entry.expire_ms, json["expire_at_ms"].as_i64(), "{name}");
        if let Some(expected) = model(&json) {
            assert_eq!(entry.value, expected, "{name}");
            compared += 1;
        }
    }
    assert!(
        compared > 150 && changed < compared / 2,
        "{scenario}: {compared} compared, {changed} changed"
    );
    all
}

#[test]
fn plain_in_random_pieces() {
    for seed in 0..6 {
        let flows = check("plain", &mut pieces(seed, 3000));
        assert!(
            flows
                .iter()
                .any(|flow| flow.entries.values().any(|entry| entry.has_member_expiry))
        );
    }
}

#[test]
fn plain_byte_by_byte() {
    check("plain", &mut || 1);
}

#[test]
fn lz4_blobs() {
    check("default", &mut || 1);
    (0..6).for_each(|seed| _ = check("default", &mut pieces(seed, 3000)));
}

#[test]
fn zstd_blobs() {
    check("zstd", &mut || 1);
    (0..6).for_each(|seed| _ = check("zstd", &mut pieces(seed, 3000)));
}

#[test]
fn tagged_chunks() {
    check("chunks", &mut || 1);
    for seed in 0..6 {
        let flows = check("chunks", &mut pieces(seed, 30_000));
        assert!(
            flows
                .iter()
                .any(|flow| flow.entries.values().any(|entry| entry.chunked))
        );
    }
}

#[test]
fn partial_scenario_begins_full() {
    check("partial", &mut || 1);
}

/// A byte changed or the end cut off gives an error or other contents, never a panic.
#[test]
fn damaged_streams_never_panic() {
    for scenario in ["plain", "default", "zstd", "chunks"] {
        let (stream, _) = flows(scenario).swap_remove(0);
        let mut next = pieces(7, 1 << 30);
        for _ in 0..60 {
            let mut damaged = stream.clone();
            let at = next() % damaged.len();
            damaged[at] ^= 1 << (next() % 8);
            let mut decoder = RdbDecoder::default();
            decoder.feed(&damaged[..damaged.len() - next() % 100]);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }
}
