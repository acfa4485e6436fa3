//! Any bytes as an RDB stream of some version, with the full-sync extensions, and the values that they make: a named error at worst, and
//! no memory that the input does not account for (libFuzzer's limit).
#![no_main]

use damselfly_snapshot::{Assembler, Limits, RdbDecoder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (choice, bytes) = input;
    let (version, piece) = (choice >> 4, 1 + usize::from(choice & 15) * 17);
    let mut decoder = RdbDecoder::new(Limits::default());
    // Most inputs should come past the header.
    match version {
        0 => decoder.feed(b"VALKEY080"),
        1..=12 => decoder.feed(format!("REDIS{version:04}").as_bytes()),
        _ => decoder.feed(b"REDIS0009"),
    }
    let mut assembler = Assembler::new(false);
    for piece in bytes.chunks(piece) {
        decoder.feed(piece);
        while let Ok(Some(event)) = decoder.next() {
            if assembler.take(&event).is_err() {
                return;
            }
        }
    }
});
