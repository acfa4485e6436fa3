//! Round trips through encoder and decoder in random pieces, and inputs that lie.

mod support;

use damselfly_snapshot::wire::{opcode, type_byte};
use damselfly_snapshot::*;
use damselfly_store::Value;
use damselfly_store::values::Gather;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use support::{Model, decode, pieces};

type Bytes = Vec<u8>;

fn element() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..20),
        2 => any::<i64>().prop_map(|i| i.to_string().into_bytes()),
        2 => (-300i64..300).prop_map(|i| i.to_string().into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 60..70),
        1 => (0usize..100_000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    let score = any::<f64>().prop_filter("a score is a number", |score| !score.is_nan());
    let score = prop_oneof![
        score,
        (-1000i32..1000).prop_map(f64::from),
        Just(f64::INFINITY),
        Just(-0.0)
    ];
    let ints = proptest::collection::btree_set(
        (-70_000i64..70_000).prop_map(|i| i.to_string().into_bytes()),
        1..50,
    );
    prop_oneof![
        element().prop_map(Model::Str),
        proptest::collection::vec(element(), 1..40).prop_map(Model::List),
        proptest::collection::btree_set(element(), 1..40).prop_map(Model::Set),
        ints.prop_map(Model::Set),
        proptest::collection::btree_map(element(), element(), 1..40).prop_map(Model::Hash),
        proptest::collection::btree_map(element(), score, 1..40).prop_map(Model::ZSet),
    ]
}

#[derive(Debug, Clone)]
struct Item {
    value: Model,
    expire_ms: Option<i64>,
    sticky: bool,
    mc_flags: Option<u32>,
    used: LastUse,
}

fn last_use() -> impl Strategy<Value = LastUse> {
    prop_oneof![
        Just(LastUse::Untold),
        any::<u64>().prop_map(LastUse::Idle),
        any::<u8>().prop_map(LastUse::Frequency),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    (
        model(),
        any::<Option<i64>>(),
        any::<bool>(),
        any::<Option<u32>>(),
        last_use(),
    )
        .prop_map(|(value, expire_ms, sticky, mc_flags, used)| Item {
            value,
            expire_ms,
            sticky,
            mc_flags,
            used,
        })
}

fn encode(encoder: &mut Encoder, out: &mut Bytes, key: &[u8], item: &Item) {
    let meta = EntryMeta {
        used: item.used,
        key,
        expire_ms: item.expire_ms,
        sticky: item.sticky,
        mc_flags: item.mc_flags,
    };
    let head = Head::Entry(&meta);
    match &item.value {
        Model::Str(text) => encoder.string(out, head, text),
        Model::List(items) => encoder.list(out, head, items.iter()),
        Model::Set(members) => encoder.set(out, head, members.len(), members.iter()),
        Model::Hash(fields) => encoder.hash(out, head, fields.len(), fields.iter()),
        Model::ZSet(members) => encoder.zset(
            out,
            head,
            members.len(),
            members.iter().map(|(member, score)| (member, *score)),
        ),
        Model::Opaque(_) | Model::Stream(_) => unreachable!("not generated"),
    }
}

fn chunk_up(out: &mut Bytes, ids: &[(u32, Bytes)], mut size: impl FnMut() -> usize) {
    let mut rest: Vec<(u32, &[u8])> = ids.iter().map(|(id, bytes)| (*id, &bytes[..])).collect();
    while !rest.is_empty() {
        let at = size() % rest.len();
        let (id, bytes) = rest[at];
        let (now, later) = bytes.split_at(size().min(bytes.len()));
        put_chunk(out, id, now);
        put_journal_blob(out, b"x");
        rest[at].1 = later;
        rest.retain(|(_, bytes)| !bytes.is_empty());
    }
}

/// A stream with every entry once; `form` decides about blobs and chunks.
fn stream(items: &[Item], profile: Profile, form: u8, seed: u64) -> Bytes {
    let mut writer = RdbWriter::new();
    let mut encoder = Encoder::new(profile);
    writer.header(&[(b"redis-ver", b"6.2.11"), (b"shard-id", b"1")]);
    writer.select(3);
    let mut entries = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let mut entry = Vec::new();
        encode(
            &mut encoder,
            &mut entry,
            format!("key:{index}").as_bytes(),
            item,
        );
        entries.push((index as u32 + 1, entry));
    }
    let mut body = Vec::new();
    match form % 2 {
        0 => entries
            .iter()
            .for_each(|(_, entry)| body.extend_from_slice(entry)),
        _ => chunk_up(&mut body, &entries, pieces(seed, 5000)),
    }
    match form / 2 {
        0 => writer.buffer().extend_from_slice(&body),
        1 if lz4_blob(writer.buffer(), &body) => {}
        1 => writer.buffer().extend_from_slice(&body),
        _ => {
            let frame = zstd::bulk::compress(&body, 1).unwrap();
            put_blob(writer.buffer(), opcode::ZSTD_BLOB, &frame);
        }
    }
    put_cut(writer.buffer());
    put_journal_offset(writer.buffer(), 77);
    let mut out = writer.take();
    writer.end();
    writer.token(&[b'a'; 40]);
    writer.take_into(&mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_written_is_read(
        items in proptest::collection::vec(item(), 0..12),
        flow in any::<bool>(),
        form in 0u8..6,
        seed in any::<u64>(),
    ) {
        let profile = if flow { Profile::Flow } else { Profile::Redis62 };
        let bytes = stream(&items, profile, form, seed);
        let (collected, rest) = decode(&bytes, pieces(seed, 20_000)).unwrap();
        prop_assert_eq!(&rest, &vec![b'a'; 40]);
        prop_assert_eq!((collected.eof, collected.offset, collected.cuts), (Some(Checksum::Verified), Some(77), 1));
        prop_assert_eq!(collected.entries.len(), items.len());
        for (index, item) in items.iter().enumerate() {
            let entry = &collected.entries[&(3, format!("key:{index}").into_bytes())];
            prop_assert_eq!(&entry.value, &item.value);
            prop_assert_eq!((entry.expire_ms, entry.sticky, entry.mc_flags), (item.expire_ms, item.sticky, item.mc_flags));
            prop_assert_eq!(entry.used, item.used);
            prop_assert!(flow || entry.type_byte <= type_byte::LIST_QUICKLIST);
        }
    }

    #[test]
    fn damaged_streams_never_panic(
        items in proptest::collection::vec(item(), 1..5),
        form in 0u8..6,
        seed in any::<u64>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = stream(&items, Profile::Flow, form, seed);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut decoder = RdbDecoder::default();
        decoder.feed(&bytes);
        while let Ok(Some(_)) = decoder.next() {}
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut decoder = RdbDecoder::default();
        decoder.feed(b"REDIS0009");
        decoder.feed(&bytes);
        while let Ok(Some(_)) = decoder.next() {}
    }
}

fn fails(body: &[u8]) -> RdbError {
    let mut bytes = b"REDIS0009".to_vec();
    bytes.extend_from_slice(body);
    match decode(&bytes, || usize::MAX) {
        Err(error) => error,
        Ok((collected, _)) => panic!("no error, {collected:?}"),
    }
}

#[test]
fn errors_are_named_with_their_place() {
    let at = |offset| At {
        offset,
        inner: None,
    };
    let error = fails(b"\x06\x03key");
    let expected = RdbError::UnsupportedType {
        at: at(9),
        got: 6,
        name: "module of a Redis 4.0 release candidate",
        key: b"key".to_vec(),
    };
    assert_eq!(error, expected);
    assert_eq!(
        fails(b"\x64"),
        RdbError::UnknownOpcode {
            at: at(9),
            got: 100
        }
    );
    assert!(matches!(
        fails(b"\x00\x03key\x81\x7f\xff\xff\xff\xff\xff\xff\xff"),
        RdbError::TooLarge { .. }
    ));
    assert!(matches!(
        fails(b"\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff"),
        RdbError::TooLarge { .. }
    ));
    assert!(matches!(
        fails(b"\xe0\0\0\0\0\x01\0\0\0"),
        RdbError::Unexpected { .. }
    ));
    assert!(matches!(
        fails(b"\xe0\x01\0\0\0\0\0\0\0"),
        RdbError::Unexpected { .. }
    ));
    let open = b"\xe0\x01\0\0\0\x01\0\0\0\x00\xc8\0\0\0\0\0\0\0\0";
    assert_eq!(fails(open), RdbError::OpenChunk { at: at(28), id: 1 });
    let trailing = b"\xe0\x01\0\0\0\x06\0\0\0\x00\x01k\x01v!";
    assert!(matches!(fails(trailing), RdbError::Trailing { got: 1, .. }));
    assert!(matches!(
        fails(b"\xff\x01\0\0\0\0\0\0\0"),
        RdbError::BadChecksum { expected: 1, .. }
    ));
    assert!(matches!(
        fails(b"\xc9\x03abc"),
        RdbError::Compression { codec: "zstd", .. }
    ));
    assert!(matches!(
        fails(b"\xca\x03abc"),
        RdbError::Compression { codec: "lz4", .. }
    ));
    assert!(matches!(
        fails(b"\x10\x01k\x03abc"),
        RdbError::Malformed {
            what: "listpack",
            ..
        }
    ));
    let version = decode(b"REDIS0099", || 9).unwrap_err();
    assert!(
        matches!(version, RdbError::BadVersion { got: 99, .. }),
        "{version}"
    );
    assert!(matches!(
        decode(b"+CONTINUE", || 1).unwrap_err(),
        RdbError::BadMagic { .. }
    ));
}

#[test]
fn a_blob_that_is_cut_or_nested_or_too_large_is_refused() {
    let blob = |content: &[u8]| {
        let mut out = Vec::new();
        put_blob(
            &mut out,
            opcode::ZSTD_BLOB,
            &zstd::bulk::compress(content, 1).unwrap(),
        );
        out
    };
    assert!(matches!(
        fails(&blob(b"\x00\x03ke")),
        RdbError::Truncated { .. }
    ));
    assert!(matches!(
        fails(&blob(&blob(b"\x00\x01k\x01v"))),
        RdbError::UnknownOpcode { got: 201, .. }
    ));
    let mut decoder = RdbDecoder::new(Limits {
        max_blob_content: 1000,
        ..Limits::default()
    });
    decoder.feed(b"REDIS0009");
    decoder.feed(&blob(&[0; 1001]));
    decoder.next().unwrap();
    assert!(matches!(
        decoder.next().unwrap_err(),
        RdbError::TooLarge {
            got: 1001,
            limit: 1000,
            ..
        }
    ));
    assert!(decoder.next().is_err(), "an error is final");
}

/// A long string comes in parts, and feeding it in small pieces costs no more than its length.
#[test]
fn long_strings_come_in_parts_and_elements_whole() {
    let text: Bytes = (0..3_000_000u32).map(|i| i as u8).collect();
    let item = |value| Item {
        value,
        expire_ms: None,
        sticky: false,
        mc_flags: None,
        used: LastUse::Untold,
    };
    let set = Model::Set(BTreeSet::from([text.clone()]));
    let hash = Model::Hash(BTreeMap::from([(b"field".to_vec(), text.clone())]));
    let bytes = stream(
        &[item(Model::Str(text.clone())), item(set), item(hash)],
        Profile::Flow,
        0,
        1,
    );
    let (collected, _) = decode(&bytes, || 100).unwrap();
    assert!(collected.events > 100, "{}", collected.events);
    assert_eq!(
        collected.entries[&(3, b"key:0".to_vec())].value,
        Model::Str(text)
    );
}

fn one(body: &[u8]) -> support::Entry {
    let mut bytes = b"REDIS0005".to_vec();
    bytes.extend_from_slice(body);
    let (mut collected, _) = decode(&bytes, || 1).unwrap();
    assert_eq!(collected.entries.len(), 1);
    collected.entries.pop_first().unwrap().1
}

#[test]
fn encodings_that_are_no_longer_written() {
    let text = |text: &str| text.as_bytes().to_vec();
    let scores = one(b"\x03\x01z\x04\x01a\x031.5\x01b\xfe\x01c\xff\x01d\x06-3.0e2");
    let expected = [
        ("a", 1.5),
        ("b", f64::INFINITY),
        ("c", f64::NEG_INFINITY),
        ("d", -300.0),
    ];
    assert_eq!(
        scores.value,
        Model::ZSet(expected.map(|(member, score)| (text(member), score)).into())
    );
    let zipmap = one(b"\x09\x01h\x0b\x01\x01f\x03\x02val\0\0\xff");
    assert_eq!(zipmap.value, Model::Hash([(text("f"), text("val"))].into()));
    let list = one(b"\xfd\x10\0\0\0\x0a\x01l\x10\x10\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf6\xff");
    assert_eq!(list.value, Model::List(vec![text("a"), text("5")]));
    assert_eq!(list.expire_ms, Some(16_000));
    let lzf = one(b"\x00\x01s\xc3\x05\x07\x01ab\x60\x01");
    assert_eq!(lzf.value, Model::Str(text("abababa")));
    let plain_list = one(b"\xf8\x05\xf9\x07\x01\x01l\x02\xc0\xff\x01x");
    assert_eq!(plain_list.value, Model::List(vec![text("-1"), text("x")]));
    assert_eq!(plain_list.used, LastUse::Frequency(7));
    let set = one(b"\x14\x01s\x0c\x0c\0\0\0\x02\0\x81a\x02\x05\x01\xff");
    assert_eq!(set.value, Model::Set([text("a"), text("5")].into()));
}

#[test]
fn types_of_others_are_framed_and_streams_taken_apart() {
    let json = one(b"\x1e\x01j\x07{\"a\":1}");
    assert_eq!(json.value, Model::Opaque(b"{\"a\":1}".to_vec()));
    let plain = one(b"\x20\x01s\x02\x01a\xc0\xff\x01b\xc0\x00");
    assert!(!plain.has_member_expiry);
    let expiring = one(b"\x1f\x01h\x01\x01f\x01v\xc0\x01");
    assert!(expiring.has_member_expiry);
    let group = |third: bool| {
        let id = [7; 16];
        let mut body = b"\x01\x01g\x01\x02".to_vec();
        body.extend_from_slice(if third { b"\x09\x01" } else { b"\x01" });
        body.extend_from_slice(&[&id[..], &[1; 8], b"\x03\x01\x02me", &[2; 8]].concat());
        body.extend_from_slice(if third { &[3; 8] } else { b"" });
        body.extend_from_slice(&[b"\x01", &id[..]].concat());
        body
    };
    let listpacks = b"\x01\x10iiiiiiiiiiiiiiii\x07\x07\0\0\0\0\0\xff";
    for (kind, tail) in [(15, &b"\x00\x01\x01"[..]), (21, &[0, 1, 1, 1, 1, 0, 0, 5])] {
        let body = [&listpacks[..], tail, &group(kind == 21)].concat();
        let bytes = [&[kind, 1, b's'], &body[..], b"\x00\x01k\x01v"].concat();
        let stream = [b"REDIS0009", &bytes[..]].concat();
        let (collected, _) = decode(&stream, || 3).unwrap();
        let Model::Stream(parts) = &collected.entries[&(0, b"s".to_vec())].value else {
            panic!("a stream")
        };
        let kinds: Vec<_> = parts
            .iter()
            .map(|part| part.split([' ', '(']).next())
            .collect();
        let wanted = [
            "Node", "Totals", "Group", "Pending", "Consumer", "Owned", "GroupEnd",
        ];
        assert_eq!(kinds, wanted.map(Some), "{parts:?}");
        assert_eq!(
            collected.entries[&(0, b"k".to_vec())].value,
            Model::Str(b"v".to_vec())
        );
    }
}

#[test]
fn a_fault_in_a_chunk_is_placed_alike_whatever_the_pieces() {
    let mut stream = b"REDIS0009".to_vec();
    damselfly_snapshot::put_chunk(&mut stream, 1, b"\x00\x01k\x43\xe8");
    let second = stream.len() as u64;
    damselfly_snapshot::put_chunk(&mut stream, 2, &[0xff; 80]);
    let place = |piece: usize| {
        let mut decoder = RdbDecoder::default();
        for piece in stream.chunks(piece) {
            decoder.feed(piece);
            loop {
                match decoder.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => return error.at(),
                }
            }
        }
        panic!("no error");
    };
    assert_eq!(
        (place(stream.len()).offset, place(stream.len()).inner),
        (second, Some(0))
    );
    assert!((1..stream.len()).all(|piece| place(piece) == place(stream.len())));
}

/// What comes of a stream that is fed in pieces: entries, and the error at its end.
fn assembled(
    bytes: &[u8],
    mut size: impl FnMut() -> usize,
    at_once: bool,
) -> (Vec<String>, Option<RdbError>) {
    let mut decoder = RdbDecoder::default().with_whole_strings();
    let (mut assembler, mut gather) = (Assembler::new(true), Gather::default());
    let (mut entries, mut rest) = (Vec::new(), bytes);
    let shown = |db: u32, key: &[u8], value: &Value, expire_ms: Option<i64>| {
        let form = (value.kind(), value.heap_size());
        format!(
            "{db} {key:?} {form:?} {:?} {expire_ms:?}",
            dump_value(value)
        )
    };
    while !rest.is_empty() {
        let piece;
        (piece, rest) = rest.split_at(size().clamp(1, rest.len()));
        decoder.feed(piece);
        loop {
            if at_once && let Some(entry) = decoder.take_entry(&mut gather) {
                entries.push(shown(entry.db, entry.key, &entry.value, entry.expire_ms));
                continue;
            }
            let event = match decoder.next() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => return (entries, Some(error)),
            };
            match assembler.take(&event) {
                Ok(Some(Assembled::Entry {
                    db,
                    key,
                    value,
                    expire_ms,
                    ..
                })) => entries.push(shown(db, key, &value, expire_ms)),
                Ok(Some(skipped)) => entries.push(format!("{skipped:?}")),
                Ok(None) => {}
                Err(refused) => entries.push(refused.to_string()),
            }
        }
    }
    (entries, None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Entries that are taken at once are what their parts would make, in any damage.
    #[test]
    fn whole_entries_are_the_sum_of_their_parts(
        items in proptest::collection::vec((model(), any::<Option<i64>>()), 0..12),
        profile in prop::sample::select(vec![
            Profile::Flow, Profile::Redis62, Profile::Redis70, Profile::Redis72, Profile::Redis74,
        ]),
        form in 0u8..6,
        seed in any::<u64>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let items = items.into_iter().map(|(value, expire_ms)| Item {
            value, expire_ms, sticky: false, mc_flags: None, used: LastUse::Untold,
        });
        let mut bytes = stream(&items.collect::<Vec<_>>(), profile, form, seed);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let parts = assembled(&bytes, pieces(seed, 20_000), false);
        let wholes = assembled(&bytes, pieces(seed, 20_000), true);
        prop_assert_eq!(parts, wholes);
    }
}
