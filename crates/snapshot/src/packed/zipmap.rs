//! Zipmap (hashes of Redis 2.x): count (254 = unknown), then key length, key, value length, unused bytes, value,
//! the unused bytes; 0xFF at the end. A length is one byte below 254, or 254 and u32 LE.

use super::{Fault, NextItem, array, bytes_item};

const END: u8 = 0xFF;
const LONG: u8 = 0xFE;
/// Set in an offset while the value of a pair comes next. Blobs are far smaller than this.
const VALUE_NEXT: usize = 1 << (usize::BITS - 1);

pub(super) fn open(blob: &[u8]) -> Result<usize, Fault> {
    array::<1>(blob, 0)?;
    Ok(1)
}

pub(super) fn item(blob: &[u8], at: usize) -> NextItem {
    let value_next = at & VALUE_NEXT != 0;
    let at = at & !VALUE_NEXT;
    let first = *blob.get(at).ok_or("no end mark")?;
    if first == END && !value_next {
        return if at + 1 == blob.len() {
            Ok(None)
        } else {
            Err("an end mark before the end")
        };
    }
    let (len, at) = match first {
        END => return Err("a pair without a value"),
        LONG => (u32::from_le_bytes(array(blob, at + 1)?) as usize, at + 5),
        len => (usize::from(len), at + 1),
    };
    if value_next {
        let unused = usize::from(array::<1>(blob, at)?[0]);
        let (item, end) = bytes_item(blob, at + 1, len)?;
        return Ok(Some((item, end + unused)));
    }
    let (item, end) = bytes_item(blob, at, len)?;
    Ok(Some((item, end | VALUE_NEXT)))
}
