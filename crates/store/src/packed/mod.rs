//! Packed blobs: a small collection as one allocation of exactly the bytes that it needs.
//!
//! Layout: the number of entries (`u16`, little-endian), then the entries ([`entry`]). An empty blob
//! has no allocation. Entries are addressed by their offset; every change moves the offsets behind it.

mod entry;
mod item;

use std::ops::Range;

pub(crate) use entry::{
    Raw, Scratch, canonical_int, entry_len as element_len, put_back_len, put_bytes, put_int,
    put_score, read as read_element, read_back_len,
};
pub use item::Item;

/// Where the entries begin.
const HEADER_BYTES: usize = 2;

/// The most entries that a blob can hold.
pub(crate) const MAX_ENTRIES: usize = u16::MAX as usize;

/// A packed blob; with `LINKED` its entries can be walked backwards too, for a byte or two each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed<const LINKED: bool> {
    bytes: Box<[u8]>,
}

/// Encodes entries in the blob's format, one after the other.
pub(crate) struct Encoder<const LINKED: bool> {
    bytes: Scratch,
    entries: usize,
}

impl<const LINKED: bool> Encoder<LINKED> {
    pub(crate) fn new() -> Self {
        Encoder {
            bytes: Scratch::new(),
            entries: 0,
        }
    }

    /// The entry of one byte string.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::new().bytes(bytes)
    }

    /// Adds a byte string.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        self.put(|out| entry::put_bytes(out, bytes))
    }

    /// Adds a score.
    pub(crate) fn score(self, score: f64) -> Self {
        self.put(|out| entry::put_score(out, score))
    }

    fn put(mut self, write: impl FnOnce(&mut Scratch)) -> Self {
        let start = self.bytes.len();
        write(&mut self.bytes);
        if LINKED {
            let len = self.bytes.len() - start;
            entry::put_back_len(&mut self.bytes, len);
        }
        self.entries += 1;
        self
    }

    /// The bytes of all entries added.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }
}

impl<const LINKED: bool> Packed<LINKED> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The number of entries.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self.bytes.get(..HEADER_BYTES) {
            Some(header) => usize::from(u16::from_le_bytes([header[0], header[1]])),
            None => 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes allocated.
    pub(crate) fn heap_size(&self) -> usize {
        self.bytes.len()
    }

    /// The offset of the first entry; equal to [`Packed::end`] when there is none.
    pub(crate) fn start(&self) -> usize {
        HEADER_BYTES.min(self.bytes.len())
    }

    /// The offset behind the last entry.
    pub(crate) fn end(&self) -> usize {
        self.bytes.len()
    }

    /// The offset behind the entry at `at`.
    #[inline]
    pub(crate) fn next(&self, at: usize) -> usize {
        let len = entry::entry_len(&self.bytes[at..]);
        at + len + if LINKED { entry::back_len_size(len) } else { 0 }
    }

    /// The offset of the entry before `at`, in a linked blob.
    #[inline]
    pub(crate) fn prev(&self, at: usize) -> usize {
        debug_assert!(LINKED && at > HEADER_BYTES);
        let len = entry::read_back_len(&self.bytes[..at]);
        at - len - entry::back_len_size(len)
    }

    /// The entry at `at`.
    #[inline]
    pub(crate) fn raw(&self, at: usize) -> Raw<'_> {
        entry::read(&self.bytes[at..])
    }

    /// The byte string at `at`.
    #[inline]
    pub(crate) fn item(&self, at: usize) -> Item<'_> {
        Item::from_raw(self.raw(at))
    }

    /// The offset of entry `index`, from the nearer end where the blob is linked; `index` may be `len()`.
    pub(crate) fn seek(&self, index: usize) -> usize {
        let len = self.len();
        if LINKED && index > len / 2 {
            (index..len).fold(self.end(), |at, _| self.prev(at))
        } else {
            self.skip(self.start(), index)
        }
    }

    /// The offset `entries` entries behind `at`.
    pub(crate) fn skip(&self, at: usize, entries: usize) -> usize {
        (0..entries).fold(at, |at, _| self.next(at))
    }

    /// The offset of the first entry equal to `wanted`, looking at every `stride`th from the first.
    pub(crate) fn find(&self, wanted: &[u8], stride: usize) -> Option<usize> {
        let wanted = Encoder::of(wanted);
        let mut at = self.start();
        while at < self.end() {
            if self.equals(at, &wanted) {
                return Some(at);
            }
            at = self.skip(at, stride);
        }
        None
    }

    /// Whether the entry at `at` is the one of `encoder`.
    #[inline]
    pub(crate) fn equals(&self, at: usize, encoder: &Encoder<LINKED>) -> bool {
        self.bytes[at..].starts_with(&encoder.bytes)
    }

    /// Removes the entries at these ascending offsets.
    pub(crate) fn remove_all(&mut self, offsets: &[usize]) {
        let ends = offsets.iter().map(|&at| self.next(at));
        let starts = std::iter::once(self.start()).chain(ends);
        let stops = offsets.iter().copied().chain(std::iter::once(self.end()));
        let kept: Vec<&[u8]> = starts
            .zip(stops)
            .map(|(start, stop)| &self.bytes[start..stop])
            .collect();
        *self = Self::from_parts(&kept, self.len() - offsets.len());
    }

    /// Replaces the `removed` entries in `range` by those of `encoder`.
    pub(crate) fn splice(
        &mut self,
        range: Range<usize>,
        removed: usize,
        encoder: &Encoder<LINKED>,
    ) {
        let entries = self.len() - removed + encoder.entries;
        assert!(
            entries <= MAX_ENTRIES,
            "limits keep blobs below {MAX_ENTRIES} entries"
        );
        if entries == 0 {
            self.bytes = Box::default();
            return;
        }
        let mut bytes = std::mem::take(&mut self.bytes).into_vec();
        let range = if bytes.is_empty() {
            bytes.reserve_exact(HEADER_BYTES + encoder.size());
            bytes.resize(HEADER_BYTES, 0);
            HEADER_BYTES..HEADER_BYTES
        } else {
            range
        };
        replace(&mut bytes, range, &encoder.bytes);
        bytes[..HEADER_BYTES].copy_from_slice(&(entries as u16).to_le_bytes());
        self.bytes = bytes.into_boxed_slice();
    }

    /// Puts the entries of `encoder` before the one at `at`.
    pub(crate) fn insert(&mut self, at: usize, encoder: &Encoder<LINKED>) {
        self.splice(at..at, 0, encoder);
    }

    /// Appends the entries of `encoder`.
    pub(crate) fn push(&mut self, encoder: &Encoder<LINKED>) {
        self.insert(self.end(), encoder);
    }

    /// Removes `entries` entries from the one at `at` on.
    pub(crate) fn remove(&mut self, at: usize, entries: usize) {
        let end = self.skip(at, entries);
        self.splice(at..end, entries, &Encoder::new());
    }

    /// Replaces the entry at `at`.
    pub(crate) fn replace(&mut self, at: usize, encoder: &Encoder<LINKED>) {
        let end = self.next(at);
        self.splice(at..end, 1, encoder);
    }

    /// The entries from `at` on, as a blob of their own; this one keeps those before.
    pub(crate) fn split_off(&mut self, at: usize, kept: usize) -> Self {
        let moved = self.len() - kept;
        let tail = Self::from_parts(&[&self.bytes[at..]], moved);
        self.splice(at..self.end(), moved, &Encoder::new());
        tail
    }

    /// Appends the entries of `other`.
    pub(crate) fn append(&mut self, other: &Self) {
        let entries = self.len() + other.len();
        *self = Self::from_parts(
            &[&self.bytes[self.start()..], &other.bytes[other.start()..]],
            entries,
        );
    }

    /// The blob of so many entries, in parts.
    pub(crate) fn from_parts(parts: &[&[u8]], entries: usize) -> Self {
        assert!(
            entries <= MAX_ENTRIES,
            "limits keep blobs below {MAX_ENTRIES} entries"
        );
        if entries == 0 {
            return Self::new();
        }
        let mut bytes =
            Vec::with_capacity(HEADER_BYTES + parts.iter().map(|part| part.len()).sum::<usize>());
        bytes.extend_from_slice(&(entries as u16).to_le_bytes());
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        Packed {
            bytes: bytes.into_boxed_slice(),
        }
    }

    /// Reads on from offset `cursor` (0: the start), every `stride`th entry, until `visit` says to stop
    /// (false); the offset to go on from, or `None` when all is read.
    pub(crate) fn chunk(
        &self,
        cursor: u64,
        stride: usize,
        visit: &mut dyn FnMut(usize) -> bool,
    ) -> Option<u64> {
        let mut at = (cursor as usize).max(self.start());
        while at < self.end() {
            let go_on = visit(at);
            at = self.skip(at, stride);
            if !go_on && at < self.end() {
                return Some(at as u64);
            }
        }
        None
    }

    /// The byte strings, first to last.
    pub(crate) fn iter(&self) -> Iter<'_, LINKED> {
        Iter {
            packed: self,
            front: self.start(),
            left: self.len(),
        }
    }
}

/// Replaces `range` of `bytes`, leaving no spare capacity behind where it grows.
fn replace(bytes: &mut Vec<u8>, range: Range<usize>, new: &[u8]) {
    let (old_len, tail) = (bytes.len(), range.end..bytes.len());
    let new_len = old_len - range.len() + new.len();
    if new_len > old_len {
        bytes.reserve_exact(new_len - old_len);
        bytes.resize(new_len, 0);
    }
    bytes.copy_within(tail, range.start + new.len());
    bytes[range.start..range.start + new.len()].copy_from_slice(new);
    bytes.truncate(new_len);
}

/// The byte strings of a blob.
#[derive(Clone)]
pub(crate) struct Iter<'a, const LINKED: bool> {
    packed: &'a Packed<LINKED>,
    front: usize,
    left: usize,
}

impl<'a, const LINKED: bool> Iterator for Iter<'a, LINKED> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        self.left = self.left.checked_sub(1)?;
        let item = self.packed.item(self.front);
        self.front = self.packed.next(self.front);
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

#[cfg(test)]
mod tests;
