//! Intset: u32 LE width (2, 4 or 8), u32 LE count, then the integers in ascending order, little endian.

use super::{Fault, Item, NextItem, array};

const HEADER_LEN: usize = 8;

fn width(blob: &[u8]) -> Result<usize, Fault> {
    match u32::from_le_bytes(array(blob, 0)?) {
        width @ (2 | 4 | 8) => Ok(width as usize),
        _ => Err("the width is not 2, 4 or 8"),
    }
}

pub(super) fn open(blob: &[u8]) -> Result<usize, Fault> {
    let width = width(blob)?;
    let count = u32::from_le_bytes(array(blob, 4)?) as usize;
    if count.checked_mul(width) != Some(blob.len() - HEADER_LEN) {
        return Err("the count does not fit the size");
    }
    Ok(HEADER_LEN)
}

pub(super) fn item(blob: &[u8], at: usize) -> NextItem {
    if at == blob.len() {
        return Ok(None);
    }
    let width = width(blob)?;
    let value = match width {
        2 => i64::from(i16::from_le_bytes(array(blob, at)?)),
        4 => i64::from(i32::from_le_bytes(array(blob, at)?)),
        _ => i64::from_le_bytes(array(blob, at)?),
    };
    Ok(Some((Item::Int(value), at + width)))
}

/// Appends an intset of `sorted` (ascending, without duplicates) to `out`.
pub(crate) fn put_intset(out: &mut Vec<u8>, sorted: &[i64]) {
    let fits = |bits: u32| {
        sorted
            .iter()
            .all(|value| (*value << (64 - bits)) >> (64 - bits) == *value)
    };
    let width: usize = if fits(16) {
        2
    } else if fits(32) {
        4
    } else {
        8
    };
    out.extend_from_slice(&(width as u32).to_le_bytes());
    out.extend_from_slice(&(sorted.len() as u32).to_le_bytes());
    for value in sorted {
        out.extend_from_slice(&value.to_le_bytes()[..width]);
    }
}
