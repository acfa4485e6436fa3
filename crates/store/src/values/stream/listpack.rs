//! Listpacks, byte for byte as Redis writes them: the nodes of streams travel as they stand here.
//!
//! Layout: total bytes (u32 LE), elements (u16 LE, 65535 = more), elements, `0xff`. An element is its
//! encoding with its data, then its length to be read from the right. Encodings are those of packed blobs
//! (`packed::entry`), except that long strings have a length of 32 bits and that there are no scores.
//! Source: Redis's published specification of the format (`listpack.md`).

use std::ops::Range;

use crate::packed::{
    Raw, Scratch, canonical_int, element_len, put_int, read_back_len, read_element,
};

/// Where the elements begin.
pub(super) const HEADER_BYTES: usize = 6;
/// Header and end mark.
const EMPTY_BYTES: usize = HEADER_BYTES + 1;
const COUNT_AT: usize = 4;
const END: u8 = 0xff;
const STRING_12: u8 = 0xe0;
const STRING_32: u8 = 0xf0;
/// A count that the header has no place for.
const MANY: u16 = u16::MAX;
/// Above this many bytes a listpack that grows gets some room for the next time.
const EXACT_BYTES: usize = 512;

/// An empty listpack.
pub(super) fn new() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&(EMPTY_BYTES as u32).to_le_bytes());
    bytes.extend_from_slice(&[0, 0, END]);
    bytes
}

/// The offset of the end mark.
pub(super) fn end(bytes: &[u8]) -> usize {
    bytes.len() - 1
}

/// Bytes of the encoding and data of the element at `at`.
#[inline]
fn data_len(bytes: &[u8], at: usize) -> usize {
    match bytes[at] {
        STRING_32 => 5 + length_32(&bytes[at..]),
        _ => element_len(&bytes[at..]),
    }
}

fn length_32(element: &[u8]) -> usize {
    u32::from_le_bytes([element[1], element[2], element[3], element[4]]) as usize
}

/// The offset behind the element at `at`.
#[inline]
pub(super) fn next(bytes: &[u8], at: usize) -> usize {
    let len = data_len(bytes, at);
    at + len + back_len_size(len)
}

/// The offset `count` elements behind `at`.
pub(super) fn skip(bytes: &[u8], at: usize, count: usize) -> usize {
    (0..count).fold(at, |at, _| next(bytes, at))
}

/// The offset of the element before `at`.
#[inline]
pub(super) fn previous(bytes: &[u8], at: usize) -> usize {
    let len = read_back_len(&bytes[..at]);
    at - len - back_len_size(len)
}

/// The element at `at`.
#[inline]
pub(super) fn get(bytes: &[u8], at: usize) -> Raw<'_> {
    match bytes[at] {
        STRING_32 => Raw::Bytes(&bytes[at + 5..at + 5 + length_32(&bytes[at..])]),
        _ => read_element(&bytes[at..]),
    }
}

/// The element at `at`, which is an integer.
#[inline]
pub(super) fn int(bytes: &[u8], at: usize) -> i64 {
    match get(bytes, at) {
        Raw::Int(int) => int,
        _ => unreachable!("integers were checked when the node was made"),
    }
}

/// How many bytes the back length of an element of `len` bytes takes. The borders are Redis's.
#[inline]
fn back_len_size(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// Elements in the making, to be put behind those of a listpack.
#[derive(Default)]
pub(super) struct Elements {
    bytes: Scratch,
    count: usize,
}

impl Elements {
    pub(super) fn int(&mut self, int: i64) {
        let start = self.bytes.len();
        put_int(&mut self.bytes, int);
        self.close(start);
    }

    pub(super) fn element(&mut self, element: &[u8]) {
        let start = self.bytes.len();
        match canonical_int(element) {
            Some(int) => put_int(&mut self.bytes, int),
            None => put_string(&mut self.bytes, element),
        }
        self.close(start);
    }

    fn close(&mut self, start: usize) {
        let len = self.bytes.len() - start;
        let last = back_len_size(len) - 1;
        for place in (0..=last).rev() {
            let more_to_the_left = if place < last { 0x80 } else { 0 };
            self.bytes
                .push((len >> (7 * place)) as u8 & 0x7f | more_to_the_left);
        }
        self.count += 1;
    }
}

/// Puts elements behind the last one.
pub(super) fn append(bytes: &mut Vec<u8>, elements: &Elements) {
    let size = elements.bytes.len();
    let wanted = bytes.len() + size;
    if wanted > bytes.capacity() {
        let spare = if wanted > EXACT_BYTES { wanted / 8 } else { 0 };
        bytes.reserve_exact(size + spare);
    }
    bytes.pop();
    bytes.extend_from_slice(&elements.bytes);
    bytes.push(END);
    let total = usize::from(count(bytes)) + elements.count;
    set_count(bytes, total);
    set_total(bytes);
}

/// The header's count: 65535 means that there are as many or more.
fn count(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[COUNT_AT], bytes[COUNT_AT + 1]])
}

fn set_count(bytes: &mut [u8], count: usize) {
    let count = u16::try_from(count).unwrap_or(MANY);
    bytes[COUNT_AT..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
}

fn set_total(bytes: &mut [u8]) {
    let total = u32::try_from(bytes.len()).expect("nodes are bounded to about a GiB");
    bytes[..COUNT_AT].copy_from_slice(&total.to_le_bytes());
}

/// Replaces the element at `at` by an integer.
pub(super) fn replace_int(bytes: &mut Vec<u8>, at: usize, int: i64) {
    let mut elements = Elements::default();
    elements.int(int);
    let old = at..next(bytes, at);
    if old.len() == elements.bytes.len() {
        bytes[old].copy_from_slice(&elements.bytes);
    } else {
        bytes.reserve_exact(elements.bytes.len().saturating_sub(old.len()));
        bytes.splice(old, elements.bytes);
        set_total(bytes);
    }
}

/// The elements in these ascending ranges, `elements` in all, as a listpack of their own.
pub(super) fn of_ranges(bytes: &[u8], ranges: &[Range<usize>], elements: usize) -> Vec<u8> {
    let size: usize = ranges.iter().map(Range::len).sum();
    let mut kept = Vec::with_capacity(EMPTY_BYTES + size);
    kept.extend_from_slice(&bytes[..HEADER_BYTES]);
    ranges
        .iter()
        .for_each(|range| kept.extend_from_slice(&bytes[range.clone()]));
    kept.push(END);
    set_count(&mut kept, elements);
    set_total(&mut kept);
    kept
}

fn put_string(out: &mut Scratch, bytes: &[u8]) {
    match bytes.len() {
        len @ 0..=0x3f => out.push(0x80 | len as u8),
        len @ 0x40..=0xfff => out.extend_from_slice(&[STRING_12 | (len >> 8) as u8, len as u8]),
        len => {
            out.push(STRING_32);
            out.extend_from_slice(&(len as u32).to_le_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

/// The element at `at` of bytes that nobody has checked, and the offset behind it.
pub(super) fn checked(bytes: &[u8], at: usize) -> Option<(Raw<'_>, usize)> {
    let rest = bytes.get(at..end(bytes))?;
    let head = match rest.first()? {
        STRING_12..=0xef => 2,
        &STRING_32 => 5,
        0xf5.. => return None,
        _ => 1,
    };
    if rest.len() < head {
        return None;
    }
    let len = data_len(bytes, at);
    let size = back_len_size(len);
    let back = rest.get(len..len.checked_add(size)?)?;
    if read_back_len(back) != len {
        return None;
    }
    Some((get(bytes, at), at + len + size))
}

/// Whether the header of unchecked bytes tells the truth; the number of elements it states, if it does.
pub(super) fn checked_header(bytes: &[u8]) -> Option<Option<u16>> {
    let total = bytes.first_chunk::<4>()?;
    if bytes.len() < EMPTY_BYTES
        || u32::from_le_bytes(*total) as usize != bytes.len()
        || bytes.last() != Some(&END)
    {
        return None;
    }
    let count = count(bytes);
    Some((count != MANY).then_some(count))
}
