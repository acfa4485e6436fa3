//! Any runs, written to a checked stream that is cut and damaged: what comes out is always a prefix of what went in.
#![no_main]

use damselfly_journal::{
    Journal, JournalOptions, MAX_TXID, Record, RecordDecoder, RecordLimits, RecordWriter,
    RunBuilder, StreamLevel,
};
use libfuzzer_sys::fuzz_target;

type Effects = Vec<(u16, Vec<Vec<u8>>)>;

fuzz_target!(|input: (Vec<(u64, u16, Effects)>, u16, u8)| {
    let (runs, damage_at, damage) = input;
    let mut journal = Journal::new(JournalOptions::default());
    let mut writer = RecordWriter::stable(StreamLevel::Extended);
    let (mut bytes, mut sent) = (Vec::new(), Vec::new());
    for (txid, shards, effects) in &runs {
        let mut builder = RunBuilder::new(txid % MAX_TXID, 1 + shards % 1024);
        for (db, args) in effects.iter().filter(|(_, args)| !args.is_empty()) {
            builder.command(*db, &args.iter().map(Vec::as_slice).collect::<Vec<_>>());
            sent.push(args.clone());
        }
        if !builder.is_empty() {
            writer.run(&mut bytes, &journal.append(&mut builder, 0));
        }
    }
    writer.end_write(&mut bytes);
    if let Some(byte) = bytes.get_mut(damage_at as usize) {
        *byte ^= damage;
    }
    let is_whole = damage == 0 || damage_at as usize >= bytes.len();
    let mut decoder = RecordDecoder::stable(StreamLevel::Extended, RecordLimits::default());
    decoder.feed(&bytes);
    let mut received = Vec::new();
    while let Ok(Some(record)) = decoder.next() {
        if let Record::Command { args, .. } = record {
            received.push(args.iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
        }
    }
    assert!(sent.starts_with(&received));
    assert_eq!(received.len() == sent.len(), is_whole || sent.is_empty());
});
