//! What the model tests of the collections share.

use proptest::prelude::*;

/// A byte string of one of the shapes that packed forms treat differently, from few enough to meet again.
pub(super) fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0u32..400).prop_map(|n| format!("element:{n}").into_bytes()),
        2 => (-300i64..300).prop_map(|n| n.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|n| (n >> (n & 63)).to_string().into_bytes()),
        1 => (0usize..70, 0u8..4).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

/// Steps of a model test: enough to cross the limits of the packed forms.
pub(super) fn steps<S: Strategy>(step: S) -> impl Strategy<Value = Vec<S::Value>> {
    prop::collection::vec(step, 0..900)
}

/// A deterministic source of random bits (xorshift*).
pub(super) fn random_bits(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Calls `chunk` from cursor 0 to the end.
pub(super) fn all_chunks(mut chunk: impl FnMut(u64) -> Option<u64>) -> usize {
    let mut cursor = Some(0);
    let mut calls = 0;
    while let Some(at) = cursor {
        cursor = chunk(at);
        calls += 1;
    }
    calls
}

/// Calls `scan` from cursor 0 to the end.
pub(super) fn all_scans(mut scan: impl FnMut(u64) -> u64) {
    let mut cursor = scan(0);
    while cursor != 0 {
        cursor = scan(cursor);
    }
}
