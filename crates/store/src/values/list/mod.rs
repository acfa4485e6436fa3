//! Lists of byte strings.

mod iter;
mod nodes;

pub use iter::ListIter;

use std::fmt;

use self::nodes::Nodes;
use super::limits::Limits;
use crate::packed::{Encoder, Item, MAX_ENTRIES, Packed};

/// A blob of list elements.
type Blob = Packed<true>;

/// The most bytes of a node, whatever the limits say.
const MAX_NODE_BYTES: usize = 1 << 16;

/// A list of byte strings.
///
/// A small one is a packed blob; a large one a queue of blobs of a few KiB, where an element that is
/// bigger than that has a blob of its own. Ends are O(1); an index is found from the nearer end by the blobs' counts.
#[derive(Clone)]
pub struct List(Form);

#[derive(Clone)]
enum Form {
    Small(Blob),
    Large(Box<Nodes>),
}

/// Whether a blob can take the entries of `encoder` too.
fn fits(blob: &Blob, encoder: &Encoder<true>, max_bytes: usize) -> bool {
    let max_bytes = max_bytes.min(MAX_NODE_BYTES);
    blob.is_empty() || blob.heap_size() + encoder.size() <= max_bytes && blob.len() < MAX_ENTRIES
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    /// An empty list.
    pub fn new() -> Self {
        List(Form::Small(Blob::new()))
    }

    pub(super) fn of_packed(blob: Blob) -> Self {
        List(Form::Small(blob))
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Small(blob) => blob.len(),
            Form::Large(nodes) => nodes.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap behind this struct.
    pub fn heap_size(&self) -> usize {
        match &self.0 {
            Form::Small(blob) => blob.heap_size(),
            Form::Large(nodes) => size_of::<Nodes>() + nodes.heap_size(),
        }
    }

    /// The name that Redis 7.0's OBJECT ENCODING gives a list.
    pub fn redis_encoding(&self) -> &'static str {
        "quicklist"
    }

    /// Adds an element before the first.
    pub fn push_front(&mut self, element: &[u8]) {
        self.insert(0, element);
    }

    /// Adds an element behind the last.
    pub fn push_back(&mut self, element: &[u8]) {
        self.insert(self.len(), element);
    }

    /// Puts an element before the one at `index`; behind the last where `index` is the length.
    ///
    /// # Panics
    /// When `index` is greater than the length.
    pub fn insert(&mut self, index: usize, element: &[u8]) {
        self.insert_within(index, element, &Limits::REDIS_7);
    }

    /// As [`List::insert`], with another limit than Redis's default for the nodes.
    pub fn insert_within(&mut self, index: usize, element: &[u8], limits: &Limits) {
        assert!(index <= self.len(), "index {index} is beyond the end");
        let (encoder, max) = (Encoder::of(element), limits.list_max_node_bytes);
        if let Form::Small(blob) = &mut self.0
            && fits(blob, &encoder, max)
        {
            return blob.insert(blob.seek(index), &encoder);
        }
        self.large().insert(index, &encoder, max);
    }

    /// The large form, converted to when need be.
    fn large(&mut self) -> &mut Nodes {
        if let Form::Small(blob) = &mut self.0 {
            self.0 = Form::Large(Box::new(Nodes::of(std::mem::take(blob))));
        }
        match &mut self.0 {
            Form::Large(nodes) => nodes,
            Form::Small(_) => unreachable!("converted above"),
        }
    }

    /// Goes back to the small form where one blob is left.
    fn settle(&mut self) {
        if let Form::Large(nodes) = &mut self.0
            && let Some(blob) = nodes.take_only()
        {
            self.0 = Form::Small(blob);
        }
    }

    /// Removes and returns the first element.
    pub fn pop_front(&mut self) -> Option<Vec<u8>> {
        self.remove(0)
    }

    /// Removes and returns the last element.
    pub fn pop_back(&mut self) -> Option<Vec<u8>> {
        self.remove(self.len().checked_sub(1)?)
    }

    /// Removes and returns the element at `index`.
    pub fn remove(&mut self, index: usize) -> Option<Vec<u8>> {
        let element = self.get(index)?.to_vec();
        self.remove_range(index, 1);
        Some(element)
    }

    /// The element at `index`.
    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        if index >= self.len() {
            return None;
        }
        Some(match &self.0 {
            Form::Small(blob) => blob.item(blob.seek(index)),
            Form::Large(nodes) => nodes.get(index),
        })
    }

    /// Replaces the element at `index`; false when there is none.
    pub fn set(&mut self, index: usize, element: &[u8]) -> bool {
        if index >= self.len() {
            return false;
        }
        let encoder = Encoder::of(element);
        let max = Limits::REDIS_7.list_max_node_bytes;
        match &mut self.0 {
            Form::Small(blob) if blob.len() == 1 || fits(blob, &encoder, max) => {
                blob.replace(blob.seek(index), &encoder);
            }
            _ => self.large().set(index, &encoder, max),
        }
        true
    }

    /// Removes up to `count` elements from `start` on; returns how many.
    pub fn remove_range(&mut self, start: usize, count: usize) -> usize {
        let count = count.min(self.len().saturating_sub(start));
        if count == 0 {
            return 0;
        }
        match &mut self.0 {
            Form::Small(blob) => blob.remove(blob.seek(start), count),
            Form::Large(nodes) => nodes.remove_range(start, count),
        }
        self.settle();
        count
    }

    /// Keeps `count` elements from `start` on and removes all others.
    pub fn keep_range(&mut self, start: usize, count: usize) {
        let end = start.saturating_add(count).min(self.len());
        self.remove_range(end, usize::MAX);
        self.remove_range(0, start);
    }

    /// Removes the elements equal to `element`: the first `max`, or the last `max` where `from_back`;
    /// returns how many.
    pub fn remove_equal(&mut self, element: &[u8], max: usize, from_back: bool) -> usize {
        let encoder = Encoder::of(element);
        let removed = match &mut self.0 {
            Form::Small(blob) => remove_equal(blob, &encoder, max, from_back),
            Form::Large(nodes) => nodes.remove_equal(&encoder, max, from_back),
        };
        self.settle();
        removed
    }

    /// The index of the first element equal to `element`.
    pub fn position(&self, element: &[u8]) -> Option<usize> {
        self.iter().position(|item| item == element)
    }

    /// All elements, first to last; [`Iterator::rev`] gives them last to first.
    pub fn iter(&self) -> ListIter<'_> {
        self.range(0, self.len())
    }

    /// The elements from `start` on.
    pub fn iter_from(&self, start: usize) -> ListIter<'_> {
        self.range(start, usize::MAX)
    }

    /// All elements, last to first.
    pub fn iter_rev(&self) -> std::iter::Rev<ListIter<'_>> {
        self.iter().rev()
    }

    /// Up to `count` elements from `start` on.
    pub fn range(&self, start: usize, count: usize) -> ListIter<'_> {
        let start = start.min(self.len());
        ListIter::new(self, start, count.min(self.len() - start))
    }

    /// Reads on from `cursor`; see the [module](super).
    pub fn chunk(
        &self,
        cursor: u64,
        max_bytes: usize,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Option<u64> {
        let mut bytes = 0;
        let mut count = |item: Item<'_>| {
            visit(&item);
            bytes += item.len();
            bytes < max_bytes
        };
        match &self.0 {
            Form::Small(blob) => blob.chunk(cursor, 1, &mut |at| count(blob.item(at))),
            Form::Large(nodes) => nodes.chunk(cursor, &mut count),
        }
    }

    /// Drops about `max_items` elements; true when none are left. See the [module](super).
    pub fn free_slice(&mut self, max_items: usize) -> bool {
        match &mut self.0 {
            Form::Small(blob) => *blob = Blob::new(),
            Form::Large(nodes) => nodes.free_slice(max_items),
        }
        self.is_empty()
    }
}

/// Removes up to `max` entries equal to that of `encoder` from one end on; returns how many.
fn remove_equal(blob: &mut Blob, encoder: &Encoder<true>, max: usize, from_back: bool) -> usize {
    let mut found = Vec::new();
    let mut at = blob.start();
    while at < blob.end() {
        if blob.equals(at, encoder) {
            found.push(at);
        }
        at = blob.next(at);
    }
    let surplus = found.len().saturating_sub(max);
    let found = if from_back {
        &found[surplus..]
    } else {
        &found[..found.len() - surplus]
    };
    if !found.is_empty() {
        blob.remove_all(found);
    }
    found.len()
}

#[cfg(test)]
mod tests;
