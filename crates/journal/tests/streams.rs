//! Whole streams: what a writer writes is what a decoder reads, in any pieces, and damage is found.
#![allow(missing_docs)]

use std::rc::Rc;

use common::{Owned, decode, pieces};
use damselfly_journal::{
    CHECK_INTERVAL_BYTES, Journal, JournalError, JournalOptions, Lsn, MAX_TXID, RecordDecoder,
    RecordLimits, RecordWriter, Run, RunBuilder, StreamLevel,
};
use proptest::{collection::vec, prelude::*};

mod common;

/// Database, strings, whether level 0 can't run it.
type Effect = (u16, Vec<Vec<u8>>, bool);

#[derive(Clone, Debug)]
enum Step {
    Run {
        txid: u64,
        shards: u16,
        effects: Vec<Effect>,
    },
    Ping,
    Lsn,
    EndWrite,
}

fn arg() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), 0..20),
        2 => vec(any::<u8>(), 60..70),
        1 => (16_000usize..20_000).prop_map(|len| vec![b'x'; len]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let effect = (
        prop_oneof![Just(0u16), Just(1), Just(70), any::<u16>()],
        vec(arg(), 1..6),
        prop::bool::weighted(0.1),
    );
    let txid = prop_oneof![Just(0u64), 1u64..100, 0..=MAX_TXID];
    prop_oneof![
        6 => (txid, 1u16..=1024, vec(effect, 1..4)).prop_map(|(txid, shards, effects)| {
            Step::Run { txid, shards: if txid == 0 { 1 } else { shards }, effects }
        }),
        1 => Just(Step::Ping),
        1 => Just(Step::Lsn),
        2 => Just(Step::EndWrite),
    ]
}

fn journal() -> Journal {
    let mut journal = Journal::new(JournalOptions::default());
    journal.keep_backlog(true);
    journal
}

/// The bytes of the steps on one stream, and the records that a reader of that stream gets, CHECKs left out.
fn write(steps: &[Step], level: StreamLevel) -> (Vec<u8>, Vec<Owned>) {
    let mut journal = journal();
    let mut writer = RecordWriter::stable(level);
    let (mut out, mut expected, mut db) = (Vec::new(), Vec::new(), None);
    for step in steps {
        match step {
            Step::Run {
                txid,
                shards,
                effects,
            } => {
                let mut builder = RunBuilder::new(*txid, *shards);
                for (db, args, extended_only) in effects {
                    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                    builder.command(*db, &args);
                    if *extended_only {
                        builder.extended_only();
                    }
                }
                let run = journal.append(&mut builder, 0);
                writer.run(&mut out, &run);
                expect_run(
                    &mut expected,
                    &mut db,
                    (*txid, *shards, effects.as_slice()),
                    level,
                );
            }
            Step::Ping => {
                writer.run(&mut out, &journal.ping(0));
                expected.push(Owned::Ping);
            }
            Step::Lsn => {
                writer.lsn(&mut out, journal.next_lsn());
                expected.push(Owned::Lsn(journal.next_lsn()));
            }
            Step::EndWrite => writer.end_write(&mut out),
        }
    }
    writer.end_write(&mut out);
    (out, expected)
}

/// PROTOCOL section 4 said a second time, from the effects themselves.
fn expect_run(
    expected: &mut Vec<Owned>,
    selected: &mut Option<u16>,
    (txid, shards, effects): (u64, u16, &[Effect]),
    level: StreamLevel,
) {
    let extended = level == StreamLevel::Extended;
    if extended && (effects.len() > 1 || shards > 1) {
        expected.push(Owned::Txn {
            txid,
            shards,
            records: effects.len() as u64,
        });
    }
    for (db, args, extended_only) in effects {
        if *extended_only && !extended {
            expected.push(Owned::Ping);
            continue;
        }
        if *selected != Some(*db) {
            *selected = Some(*db);
            expected.push(Owned::Select(*db));
        }
        let shards = if extended { shards } else { 1 };
        expected.push(Owned::Command {
            txid,
            shards,
            args: args.clone(),
        });
    }
}

fn read(
    bytes: &[u8],
    level: StreamLevel,
    piece: impl FnMut() -> usize,
) -> (Vec<Owned>, Result<(), JournalError>) {
    let mut decoder = RecordDecoder::stable(level, RecordLimits::default());
    let (mut records, result) = decode(&mut decoder, bytes, piece);
    records.retain(|record| *record != Owned::Check);
    (records, result.and_then(|()| decoder.finish()))
}

fn level() -> impl Strategy<Value = StreamLevel> {
    prop_oneof![Just(StreamLevel::Reference), Just(StreamLevel::Extended)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_stream_reads_as_it_was_written(steps in vec(step(), 0..24), level in level(), seed in any::<u64>()) {
        let (bytes, expected) = write(&steps, level);
        let (records, result) = read(&bytes, level, pieces(seed, 4000));
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(records, expected);
    }

    #[test]
    fn a_flipped_bit_is_found_before_anything_wrong_comes_out(
        steps in vec(step(), 1..12),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
        seed in any::<u64>(),
    ) {
        let (mut bytes, expected) = write(&steps, StreamLevel::Extended);
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let (records, result) = read(&bytes, StreamLevel::Extended, pieces(seed, 4000));
        let error = result.expect_err("damage must not pass");
        prop_assert!(error.is_retriable(), "{}", error);
        prop_assert!(expected.starts_with(&records));
    }

    #[test]
    fn a_cut_stream_gives_a_prefix_and_says_so(
        steps in vec(step(), 1..12),
        cut in any::<prop::sample::Index>(),
        level in level(),
    ) {
        let (bytes, expected) = write(&steps, level);
        prop_assume!(!bytes.is_empty());
        let (records, result) = read(&bytes[..cut.index(bytes.len())], level, || usize::MAX);
        prop_assert!(expected.starts_with(&records));
        if let Err(error) = result {
            prop_assert!(matches!(error, JournalError::Truncated { .. }), "{}", error);
        } else if level == StreamLevel::Extended {
            prop_assert!(records.len() < expected.len(), "the last CHECK was cut off");
        }
    }

    #[test]
    fn garbage_is_a_named_error_at_worst(bytes in vec(any::<u8>(), 0..400), level in level(), seed in any::<u64>()) {
        let mut decoder = RecordDecoder::blobs(level, RecordLimits::default());
        let (_, result) = decode(&mut decoder, &bytes, pieces(seed, 40));
        if let Err(error) = result {
            prop_assert_eq!(decoder.next(), Err(error), "it stays");
        }
    }

    #[test]
    fn level_0_takes_the_same_runs_from_any_lsn(steps in vec(step(), 1..12), from in any::<prop::sample::Index>()) {
        let mut journal = journal();
        let mut counted = Vec::new();
        for step in &steps {
            let Step::Run { txid, shards, effects } = step else { continue };
            let mut builder = RunBuilder::new(*txid, *shards);
            for (db, args, _) in effects {
                let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                counted.push((*txid, *db, args.iter().map(|arg| arg.to_vec()).collect::<Vec<_>>()));
                builder.command(*db, &args);
            }
            journal.append(&mut builder, 0);
        }
        let skip = from.index(counted.len() + 1);
        let from = Lsn::FIRST.plus(skip as u64);
        let mut writer = RecordWriter::stable(StreamLevel::Reference);
        let mut out = Vec::new();
        for run in journal.read_from(from).expect("nothing was trimmed") {
            writer.run_from(&mut out, run, from);
        }
        let mut decoder = RecordDecoder::stable(StreamLevel::Reference, RecordLimits::default());
        decoder.feed(&out);
        let mut read = Vec::new();
        while let Some(record) = decoder.next()? {
            if let Owned::Command { txid, args, .. } = record.into() {
                read.push((txid, decoder.db(), args));
            }
        }
        prop_assert_eq!(&read[..], &counted[skip..]);
    }
}

fn set(journal: &mut Journal, value: &[u8]) -> Rc<Run> {
    journal.append(
        RunBuilder::new(0, 1).command(0, &[b"SET", b"key", value]),
        0,
    )
}

#[test]
fn checks_are_at_most_an_interval_apart_but_for_single_long_records() {
    let mut journal = journal();
    let mut writer = RecordWriter::stable(StreamLevel::Extended);
    let mut out = Vec::new();
    let sizes = [
        10, 65_400, 3, 100_000, 7, 30_000, 30_000, 30_000, 65_500, 65_510, 65_520, 65_536,
    ];
    for size in sizes.into_iter().cycle().take(120) {
        let run = set(&mut journal, &vec![b'v'; size]);
        writer.run(&mut out, &run);
    }
    writer.end_write(&mut out);
    let mut decoder = RecordDecoder::stable(StreamLevel::Extended, RecordLimits::default());
    decoder.feed(&out);
    let (mut last_check, mut commands_since) = (0, 0);
    while let Some(record) = decoder.next().expect("well formed") {
        match Owned::from(record) {
            Owned::Check => {
                let apart = decoder.consumed() - last_check;
                assert!(
                    apart <= CHECK_INTERVAL_BYTES as u64 || commands_since == 1,
                    "{apart} bytes"
                );
                (last_check, commands_since) = (decoder.consumed(), 0);
            }
            Owned::Command { .. } => commands_since += 1,
            _ => {}
        }
    }
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn a_large_record_in_small_pieces_is_not_read_again_and_again() {
    // A million strings with five-byte lengths, a few bytes at a time: with re-reading this would take minutes.
    let count = 1_000_000u32;
    let mut bytes = vec![10, 0, 1, 0x80];
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.push(0x80);
    bytes.extend_from_slice(&count.to_be_bytes());
    for _ in 0..count {
        bytes.extend_from_slice(&[0x80, 0, 0, 0, 1, b'x']);
    }
    let mut decoder = RecordDecoder::stable(StreamLevel::Reference, RecordLimits::default());
    let (records, result) = decode(&mut decoder, &bytes, || 7);
    assert_eq!(result, Ok(()));
    assert!(
        matches!(&records[..], [Owned::Command { args, .. }] if args.len() == count as usize),
        "one record"
    );
}

#[test]
fn blobs_keep_their_db_and_end_with_a_record() {
    let mut journal = journal();
    let mut writer = RecordWriter::blobs(StreamLevel::Extended);
    let mut decoder = RecordDecoder::blobs(StreamLevel::Extended, RecordLimits::default());
    let mut blob = Vec::new();
    writer.run(
        &mut blob,
        &journal.append(RunBuilder::new(0, 1).command(5, &[b"DEL", b"a"]), 0),
    );
    decoder.feed(&blob);
    assert!(matches!(
        decode_all(&mut decoder)[..],
        [Owned::Select(5), Owned::Command { .. }]
    ));
    assert_eq!(decoder.finish(), Ok(()));
    blob.clear();
    writer.run(
        &mut blob,
        &journal.append(RunBuilder::new(0, 1).command(5, &[b"DEL", b"b"]), 0),
    );
    writer.end_write(&mut blob);
    decoder.feed(&blob);
    assert!(matches!(
        decode_all(&mut decoder)[..],
        [Owned::Command { .. }]
    ));
    assert_eq!(decoder.db(), 5);
    decoder.feed(&blob[..blob.len() - 1]);
    assert_eq!(decode_all(&mut decoder), []);
    let offset = decoder.consumed() + blob.len() as u64 - 1;
    assert_eq!(
        decoder.finish(),
        Err(JournalError::Truncated {
            missing: 1,
            unit: "bytes",
            offset
        })
    );
}

fn decode_all(decoder: &mut RecordDecoder) -> Vec<Owned> {
    std::iter::from_fn(|| decoder.next().expect("well formed").map(Owned::from)).collect()
}

#[test]
fn the_sunset_record_of_expiry_is_a_command() {
    let mut decoder = RecordDecoder::stable(StreamLevel::Reference, RecordLimits::default());
    decoder.feed(b"\x09\x05\x02\x02\x04\x03DEL\x01k");
    let args = vec![b"DEL".to_vec(), b"k".to_vec()];
    let expected = Owned::Command {
        txid: 5,
        shards: 1,
        args,
    };
    assert_eq!(decode_all(&mut decoder), [expected]);
}
