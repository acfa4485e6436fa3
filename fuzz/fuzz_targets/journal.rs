//! Any bytes as a journal stream of either level: a named error at worst, and the same records in whatever pieces.
#![no_main]

use damselfly_journal::{RecordDecoder, RecordLimits, StreamLevel};
use libfuzzer_sys::fuzz_target;

const LIMITS: RecordLimits = RecordLimits {
    max_record_bytes: 4096,
    max_strings: 64,
    max_txn_records: 64,
    max_db: 15,
};

/// The records' texts, and the error's, if there is one.
fn decode(mut decoder: RecordDecoder, bytes: &[u8], piece: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.feed(piece);
        assert!(decoder.buffered() <= bytes.len());
        loop {
            match decoder.next() {
                Ok(Some(record)) => texts.push(format!("{record:?}")),
                Ok(None) => break,
                Err(error) => {
                    texts.push(error.to_string());
                    return texts;
                }
            }
        }
    }
    texts
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (choice, bytes) = input;
    let decoder = || match choice % 3 {
        0 => RecordDecoder::stable(StreamLevel::Reference, LIMITS),
        1 => RecordDecoder::stable(StreamLevel::Extended, LIMITS),
        _ => RecordDecoder::blobs(StreamLevel::Extended, LIMITS),
    };
    let whole = decode(decoder(), &bytes, bytes.len().max(1));
    assert_eq!(decode(decoder(), &bytes, 1 + choice as usize / 3), whole);
});
