//! The bytes of one entry of a packed blob.
//!
//! The first byte tells kind and length; numbers are little-endian. One byte string has exactly one
//! encoding, so two entries hold the same string exactly when their bytes are equal.
//!
//! | first byte | then | meaning |
//! |---|---|---|
//! | `0x00..=0x7f` | | the integer 0..=127 |
//! | `0x80..=0xbf` | bytes | string of 0..=63 bytes |
//! | `0xc0..=0xdf` | 1 byte | integer of 13 bits, two's complement, high bits first |
//! | `0xe0..=0xef` | 1 byte, bytes | string of up to 4095 bytes, high bits of the length first |
//! | `0xf0` | 5 bytes, bytes | string with a length of 40 bits |
//! | `0xf1..=0xf4` | 2, 3, 4, 8 bytes | integer |
//! | `0xf5` | 8 bytes | score: `f64` |
//! | `0xf6..=0xf9` | 2 bytes | score: `i16` / 10, 100, 1000, 10⁴ |
//! | `0xfa..=0xfe` | 4 bytes | score: `i32` / 10 … 10⁵ |
//! | `0xff` | 4 bytes | score: `f32` |
//!
//! In blobs that are walked backwards an entry is followed by its length, seven bits a byte, to be
//! read from the right; a high bit says that there is more to the left.

use smallvec::SmallVec;

/// Where entries are put together before they go into a blob.
pub(crate) type Scratch = SmallVec<[u8; 96]>;

/// The longest string that an entry can hold.
pub(crate) const MAX_STRING_BYTES: usize = (1 << 40) - 1;

const STRING_6: u8 = 0x80;
const INT_13: u8 = 0xc0;
const STRING_12: u8 = 0xe0;
const STRING_40: u8 = 0xf0;
const INT_16: u8 = 0xf1;
const INT_24: u8 = 0xf2;
const INT_32: u8 = 0xf3;
const INT_64: u8 = 0xf4;
const SCORE_64: u8 = 0xf5;
const SCORE_DECIMAL_16: u8 = 0xf6;
const SCORE_DECIMAL_32: u8 = 0xfa;
const SCORE_F32: u8 = 0xff;

const POWERS_OF_TEN: [f64; 6] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5];

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Raw<'a> {
    Bytes(&'a [u8]),
    Int(i64),
    Score(f64),
}

impl Raw<'_> {
    /// The number of a score entry.
    pub(crate) fn score(self) -> f64 {
        match self {
            Raw::Int(int) => int as f64,
            Raw::Score(score) => score,
            Raw::Bytes(_) => unreachable!("scores are written by `put_score` only"),
        }
    }
}

/// The integer that `bytes` spells, if it is the one way to spell it (no sign, zeros or blanks too many).
pub(crate) fn canonical_int(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude = 0u64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Appends the entry of a byte string, without a back length.
pub(crate) fn put_bytes(out: &mut Scratch, bytes: &[u8]) {
    if let Some(int) = canonical_int(bytes) {
        return put_int(out, int);
    }
    let len = bytes.len();
    if len < 1 << 6 {
        out.push(STRING_6 | len as u8);
    } else if len < 1 << 12 {
        out.extend_from_slice(&[STRING_12 | (len >> 8) as u8, len as u8]);
    } else {
        assert!(len <= MAX_STRING_BYTES, "no string is a tebibyte long");
        out.push(STRING_40);
        out.extend_from_slice(&(len as u64).to_le_bytes()[..5]);
    }
    out.extend_from_slice(bytes);
}

/// Appends the shortest entry of an integer.
pub(crate) fn put_int(out: &mut Scratch, int: i64) {
    let le = int.to_le_bytes();
    match int {
        0..=0x7f => out.push(le[0]),
        -0x1000..=0xfff => out.extend_from_slice(&[INT_13 | (le[1] & 0x1f), le[0]]),
        -0x8000..=0x7fff => put_tagged(out, INT_16, &le[..2]),
        -0x80_0000..=0x7f_ffff => put_tagged(out, INT_24, &le[..3]),
        -0x8000_0000..=0x7fff_ffff => put_tagged(out, INT_32, &le[..4]),
        _ => put_tagged(out, INT_64, &le),
    }
}

/// Appends the shortest entry of a score; reading it gives back the same bits.
pub(crate) fn put_score(out: &mut Scratch, score: f64) {
    let same = |other: f64| other.to_bits() == score.to_bits();
    let int = score as i64;
    if same(int as f64) && int != i64::MAX {
        return put_int(out, int);
    }
    if same(f64::from(score as f32)) {
        return put_tagged(out, SCORE_F32, &(score as f32).to_le_bytes());
    }
    for (digits, power) in POWERS_OF_TEN.iter().enumerate().skip(1) {
        let scaled = (score * power).round();
        let int = scaled as i32;
        if same(f64::from(int) / power) {
            return put_decimal(out, int, digits as u8);
        }
    }
    put_tagged(out, SCORE_64, &score.to_le_bytes());
}

fn put_decimal(out: &mut Scratch, int: i32, digits: u8) {
    match i16::try_from(int) {
        Ok(short) if digits <= 4 => {
            put_tagged(out, SCORE_DECIMAL_16 + digits - 1, &short.to_le_bytes())
        }
        _ => put_tagged(out, SCORE_DECIMAL_32 + digits - 1, &int.to_le_bytes()),
    }
}

fn put_tagged(out: &mut Scratch, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

/// The length of the entry at the start of `at`, without its back length.
#[inline]
pub(crate) fn entry_len(at: &[u8]) -> usize {
    match at[0] {
        0..=0x7f => 1,
        head @ STRING_6..=0xbf => 1 + usize::from(head & 0x3f),
        INT_13..=0xdf => 2,
        head @ STRING_12..=0xef => 2 + (usize::from(head & 0xf) << 8 | usize::from(at[1])),
        STRING_40 => 6 + length_40(at),
        INT_16 | SCORE_DECIMAL_16..=0xf9 => 3,
        INT_24 => 4,
        INT_32 | SCORE_DECIMAL_32..=SCORE_F32 => 5,
        INT_64 | SCORE_64 => 9,
    }
}

/// Reads the entry at the start of `at`.
#[inline]
pub(crate) fn read(at: &[u8]) -> Raw<'_> {
    match at[0] {
        int @ 0..=0x7f => Raw::Int(i64::from(int)),
        head @ STRING_6..=0xbf => Raw::Bytes(&at[1..1 + usize::from(head & 0x3f)]),
        head @ INT_13..=0xdf => Raw::Int(int_13(head, at[1])),
        STRING_12..=0xef => Raw::Bytes(&at[2..entry_len(at)]),
        STRING_40 => Raw::Bytes(&at[6..entry_len(at)]),
        INT_16 => Raw::Int(int_le::<2>(at)),
        INT_24 => Raw::Int(int_le::<3>(at)),
        INT_32 => Raw::Int(int_le::<4>(at)),
        INT_64 => Raw::Int(int_le::<8>(at)),
        SCORE_64 => Raw::Score(f64::from_bits(int_le::<8>(at) as u64)),
        head @ SCORE_DECIMAL_16..=0xf9 => {
            Raw::Score(decimal(int_le::<2>(at), head - SCORE_DECIMAL_16))
        }
        head @ SCORE_DECIMAL_32..=0xfe => {
            Raw::Score(decimal(int_le::<4>(at), head - SCORE_DECIMAL_32))
        }
        SCORE_F32 => Raw::Score(f64::from(f32::from_bits(int_le::<4>(at) as u32))),
    }
}

fn decimal(int: i64, power: u8) -> f64 {
    int as f64 / POWERS_OF_TEN[usize::from(power) + 1]
}

fn int_13(head: u8, low: u8) -> i64 {
    let bits = u16::from(head & 0x1f) << 8 | u16::from(low);
    i64::from((bits << 3) as i16 >> 3)
}

fn length_40(at: &[u8]) -> usize {
    let mut le = [0; 8];
    le[..5].copy_from_slice(&at[1..6]);
    u64::from_le_bytes(le) as usize
}

/// The `N` bytes after the first as an integer, its sign extended.
fn int_le<const N: usize>(at: &[u8]) -> i64 {
    let mut le = [0; 8];
    le[8 - N..].copy_from_slice(&at[1..1 + N]);
    i64::from_le_bytes(le) >> (64 - 8 * N)
}

/// How many bytes the back length of an entry of `len` bytes takes.
#[inline]
pub(crate) fn back_len_size(len: usize) -> usize {
    if len < 1 << 7 {
        1
    } else {
        (usize::BITS - len.leading_zeros()).div_ceil(7) as usize
    }
}

/// Appends the back length of an entry of `len` bytes.
pub(crate) fn put_back_len(out: &mut Scratch, len: usize) {
    let last = back_len_size(len) - 1;
    for place in (0..=last).rev() {
        let more_to_the_left = if place < last { 0x80 } else { 0 };
        out.push((len >> (7 * place)) as u8 & 0x7f | more_to_the_left);
    }
}

/// Reads the back length that ends `before`; returns the entry's length, without the back length.
#[inline]
pub(crate) fn read_back_len(before: &[u8]) -> usize {
    let mut len = 0;
    for (place, &byte) in before.iter().rev().enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            break;
        }
    }
    len
}
