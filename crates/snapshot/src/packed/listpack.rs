//! Listpack: u32 LE total bytes, u16 LE count (65535 = unknown), entries (encoding, data, length backwards), 0xFF.

use super::{Fault, Item, NextItem, array, bytes_item, int24};
use crate::number::canonical_int;

const HEADER_LEN: usize = 6;
const END: u8 = 0xFF;

pub(super) fn open(blob: &[u8]) -> Result<usize, Fault> {
    if u32::from_le_bytes(array(blob, 0)?) as usize != blob.len() {
        return Err("the header's size is not the size");
    }
    array::<2>(blob, 4)?;
    Ok(HEADER_LEN)
}

pub(super) fn item(blob: &[u8], at: usize) -> NextItem {
    let first = *blob.get(at).ok_or("no end mark")?;
    if first == END {
        return if at + 1 == blob.len() {
            Ok(None)
        } else {
            Err("an end mark before the end")
        };
    }
    let (item, end) = element(blob, at, first)?;
    let next = end + back_len(end - at);
    if next > blob.len() {
        return Err("an element passes the end");
    }
    Ok(Some((item, next)))
}

fn element(blob: &[u8], at: usize, first: u8) -> Result<(Item, usize), Fault> {
    let low = |bits: u8| usize::from(first & bits);
    match first {
        0..=0x7F => Ok((Item::Int(i64::from(first)), at + 1)),
        0x80..=0xBF => bytes_item(blob, at + 1, low(0x3F)),
        0xC0..=0xDF => {
            let value = (low(0x1F) << 8 | usize::from(array::<1>(blob, at + 1)?[0])) as i64;
            Ok((
                Item::Int(if value >= 1 << 12 {
                    value - (1 << 13)
                } else {
                    value
                }),
                at + 2,
            ))
        }
        0xE0..=0xEF => bytes_item(
            blob,
            at + 2,
            low(0x0F) << 8 | usize::from(array::<1>(blob, at + 1)?[0]),
        ),
        0xF0 => bytes_item(
            blob,
            at + 5,
            u32::from_le_bytes(array(blob, at + 1)?) as usize,
        ),
        0xF1 => Ok((
            Item::Int(i64::from(i16::from_le_bytes(array(blob, at + 1)?))),
            at + 3,
        )),
        0xF2 => Ok((Item::Int(int24(array(blob, at + 1)?)), at + 4)),
        0xF3 => Ok((
            Item::Int(i64::from(i32::from_le_bytes(array(blob, at + 1)?))),
            at + 5,
        )),
        0xF4 => Ok((Item::Int(i64::from_le_bytes(array(blob, at + 1)?)), at + 9)),
        _ => Err("an unknown element encoding"),
    }
}

/// How many bytes the backward length of an element of `len` bytes takes.
fn back_len(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// Writes a listpack at the end of a vector.
pub(crate) struct ListpackWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    count: u32,
}

impl<'a> ListpackWriter<'a> {
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> ListpackWriter<'a> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        ListpackWriter {
            out,
            start,
            count: 0,
        }
    }

    /// Appends an element, as an integer where it is the canonical decimal of one.
    pub(crate) fn push(&mut self, element: &[u8]) {
        match canonical_int(element) {
            Some(value) => self.push_int(value),
            None => self.push_bytes(element),
        }
    }

    pub(crate) fn push_int(&mut self, value: i64) {
        let from = self.out.len();
        let bytes = value.to_le_bytes();
        match value {
            0..=127 => self.out.push(value as u8),
            -4096..=4095 => {
                let bits = (value & 0x1FFF) as u16;
                self.out
                    .extend_from_slice(&[0xC0 | (bits >> 8) as u8, bits as u8]);
            }
            -0x8000..=0x7FFF => self.put(0xF1, &bytes[..2]),
            -0x80_0000..=0x7F_FFFF => self.put(0xF2, &bytes[..3]),
            -0x8000_0000..=0x7FFF_FFFF => self.put(0xF3, &bytes[..4]),
            _ => self.put(0xF4, &bytes),
        }
        self.close_element(from);
    }

    fn push_bytes(&mut self, element: &[u8]) {
        let from = self.out.len();
        let len = element.len();
        match len {
            0..=63 => self.out.push(0x80 | len as u8),
            64..=4095 => self
                .out
                .extend_from_slice(&[0xE0 | (len >> 8) as u8, len as u8]),
            _ => self.put(0xF0, &(len as u32).to_le_bytes()),
        }
        self.out.extend_from_slice(element);
        self.close_element(from);
    }

    fn put(&mut self, first: u8, rest: &[u8]) {
        self.out.push(first);
        self.out.extend_from_slice(rest);
    }

    fn close_element(&mut self, from: usize) {
        let len = self.out.len() - from;
        let bytes = back_len(len);
        for i in (0..bytes).rev() {
            let bits = (len >> (7 * i)) as u8 & 0x7F;
            // The most significant part stands first; all but it are marked, so that it reads from the right.
            self.out
                .push(if i + 1 == bytes { bits } else { bits | 0x80 });
        }
        self.count += 1;
    }

    /// Writes the end mark and the header.
    pub(crate) fn end(self) {
        self.out.push(END);
        let total = (self.out.len() - self.start) as u32;
        let count = u16::try_from(self.count).unwrap_or(u16::MAX);
        self.out[self.start..self.start + 4].copy_from_slice(&total.to_le_bytes());
        self.out[self.start + 4..self.start + 6].copy_from_slice(&count.to_le_bytes());
    }
}
