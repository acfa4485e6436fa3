//! Lengths, strings, numbers. Source: the Redis RDB format, "length encoding" and "string encoding".

use crate::number::canonical_int;
use crate::wire::{LEN_32, LEN_64, STR_INT8, STR_INT16, STR_INT32, opcode};

/// The longest text that may be written as an integer: `-2147483648`.
const MAX_INT_TEXT: usize = 11;

/// Appends a length: 1, 2, 5 or 9 bytes.
#[inline]
pub fn put_len(out: &mut Vec<u8>, len: u64) {
    match len {
        0..=0x3F => out.push(len as u8),
        0x40..=0x3FFF => out.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]),
        0x4000..=0xFFFF_FFFF => {
            let mut bytes = [LEN_32; 5];
            bytes[1..].copy_from_slice(&(len as u32).to_be_bytes());
            out.extend_from_slice(&bytes);
        }
        _ => {
            let mut bytes = [LEN_64; 9];
            bytes[1..].copy_from_slice(&len.to_be_bytes());
            out.extend_from_slice(&bytes);
        }
    }
}

/// Appends a string as length and bytes, never as an integer.
#[inline]
pub fn put_raw_string(out: &mut Vec<u8>, text: &[u8]) {
    put_len(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Appends a string, as an integer where it is the canonical decimal of one of at most 32 bits.
#[inline]
pub fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    let may_be_int = !text.is_empty()
        && text.len() <= MAX_INT_TEXT
        && (text[0] == b'-' || text[0].is_ascii_digit());
    match if may_be_int {
        canonical_int(text)
    } else {
        None
    } {
        Some(value) if i32::try_from(value).is_ok() => put_int(out, value),
        _ => put_raw_string(out, text),
    }
}

/// Appends the string that is the decimal of `value`, in the shortest encoding.
pub fn put_int(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = i8::try_from(value) {
        out.extend_from_slice(&[STR_INT8, value as u8]);
    } else if let Ok(value) = i16::try_from(value) {
        out.push(STR_INT16);
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(STR_INT32);
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        put_raw_string(out, itoa::Buffer::new().format(value).as_bytes());
    }
}

/// Appends a double as 8 bytes, little endian.
pub fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends an AUX field.
pub fn put_aux(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.push(opcode::AUX);
    put_string(out, key);
    put_string(out, value);
}

/// Appends the selection of a database for what follows.
pub fn put_select(out: &mut Vec<u8>, db: u32) {
    out.push(opcode::SELECT_DB);
    put_len(out, u64::from(db));
}
