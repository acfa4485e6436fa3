//! Ziplist: u32 LE total bytes, u32 LE offset of the last entry, u16 LE count (65535 = unknown), entries
//! (length of the previous entry, encoding, data), 0xFF.

use super::{Fault, Item, NextItem, array, bytes_item, int24};
use crate::number::canonical_int;

const TAIL_AT: usize = 4;
const COUNT_AT: usize = 8;
const HEADER_LEN: usize = 10;
const END: u8 = 0xFF;
/// First byte of a five-byte length of the previous entry.
const LONG_PREVIOUS: u8 = 0xFE;

pub(super) fn open(blob: &[u8]) -> Result<usize, Fault> {
    if u32::from_le_bytes(array(blob, 0)?) as usize != blob.len() {
        return Err("the header's size is not the size");
    }
    array::<2>(blob, COUNT_AT)?;
    Ok(HEADER_LEN)
}

pub(super) fn item(blob: &[u8], at: usize) -> NextItem {
    let at = match *blob.get(at).ok_or("no end mark")? {
        END if at + 1 == blob.len() => return Ok(None),
        END => return Err("an end mark before the end"),
        LONG_PREVIOUS => at + 5,
        _ => at + 1,
    };
    let first = array::<1>(blob, at)?[0];
    let low = usize::from(first & 0x3F);
    let int = |value: i64, len: usize| Ok(Some((Item::Int(value), at + 1 + len)));
    match first {
        0..=0x3F => bytes_item(blob, at + 1, low).map(Some),
        0x40..=0x7F => bytes_item(
            blob,
            at + 2,
            low << 8 | usize::from(array::<1>(blob, at + 1)?[0]),
        )
        .map(Some),
        0x80..=0xBF => bytes_item(
            blob,
            at + 5,
            u32::from_be_bytes(array(blob, at + 1)?) as usize,
        )
        .map(Some),
        0xC0 => int(i64::from(i16::from_le_bytes(array(blob, at + 1)?)), 2),
        0xD0 => int(i64::from(i32::from_le_bytes(array(blob, at + 1)?)), 4),
        0xE0 => int(i64::from_le_bytes(array(blob, at + 1)?), 8),
        0xF0 => int(int24(array(blob, at + 1)?), 3),
        0xFE => int(i64::from(array::<1>(blob, at + 1)?[0] as i8), 1),
        0xF1..=0xFD => int(i64::from(first & 0x0F) - 1, 0),
        _ => Err("an unknown element encoding"),
    }
}

/// Writes a ziplist at the end of a vector.
pub(crate) struct ZiplistWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    last: usize,
    count: u32,
}

impl<'a> ZiplistWriter<'a> {
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> ZiplistWriter<'a> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        ZiplistWriter {
            out,
            start,
            last: start + HEADER_LEN,
            count: 0,
        }
    }

    /// Appends an element, as an integer where it is the canonical decimal of one.
    pub(crate) fn push(&mut self, element: &[u8]) {
        self.open_element();
        match canonical_int(element) {
            Some(value) => self.put_int(value),
            None => self.put_bytes(element),
        }
        self.count += 1;
    }

    pub(crate) fn push_int(&mut self, value: i64) {
        self.open_element();
        self.put_int(value);
        self.count += 1;
    }

    fn open_element(&mut self) {
        let from = self.out.len();
        let previous = from - self.last;
        if previous < usize::from(LONG_PREVIOUS) {
            self.out.push(previous as u8);
        } else {
            self.put(LONG_PREVIOUS, &(previous as u32).to_le_bytes());
        }
        self.last = from;
    }

    fn put_int(&mut self, value: i64) {
        let bytes = value.to_le_bytes();
        match value {
            0..=12 => self.out.push(0xF1 + value as u8),
            -0x80..=0x7F => self.put(0xFE, &bytes[..1]),
            -0x8000..=0x7FFF => self.put(0xC0, &bytes[..2]),
            -0x80_0000..=0x7F_FFFF => self.put(0xF0, &bytes[..3]),
            -0x8000_0000..=0x7FFF_FFFF => self.put(0xD0, &bytes[..4]),
            _ => self.put(0xE0, &bytes),
        }
    }

    fn put_bytes(&mut self, element: &[u8]) {
        let len = element.len();
        match len {
            0..=0x3F => self.out.push(len as u8),
            0x40..=0x3FFF => self
                .out
                .extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]),
            _ => self.put(0x80, &(len as u32).to_be_bytes()),
        }
        self.out.extend_from_slice(element);
    }

    fn put(&mut self, first: u8, rest: &[u8]) {
        self.out.push(first);
        self.out.extend_from_slice(rest);
    }

    /// Writes the end mark and the header.
    pub(crate) fn end(self) {
        self.out.push(END);
        let start = self.start;
        let total = (self.out.len() - start) as u32;
        let tail = (self.last - start) as u32;
        let count = u16::try_from(self.count).unwrap_or(u16::MAX);
        self.out[start..start + TAIL_AT].copy_from_slice(&total.to_le_bytes());
        self.out[start + TAIL_AT..start + COUNT_AT].copy_from_slice(&tail.to_le_bytes());
        self.out[start + COUNT_AT..start + HEADER_LEN].copy_from_slice(&count.to_le_bytes());
    }
}
