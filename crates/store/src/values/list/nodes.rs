//! The large form of a list: a queue of blobs.

use std::collections::VecDeque;

use super::{Blob, MAX_NODE_BYTES, fits, remove_equal};
use crate::packed::{Encoder, Item};

/// Bits of a chunk cursor that count elements within a node.
const ENTRY_BITS: u32 = 16;

/// The blobs of a list, none of them empty.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    nodes: VecDeque<Node>,
    len: usize,
    blob_bytes: usize,
}

/// The count is kept beside the blob, so that finding an index does not touch the blobs.
#[derive(Clone, Debug)]
struct Node {
    blob: Blob,
    entries: u32,
}

impl Node {
    fn of(blob: Blob) -> Self {
        Node {
            entries: blob.len() as u32,
            blob,
        }
    }

    fn of_one(encoder: &Encoder<true>) -> Self {
        let mut blob = Blob::new();
        blob.push(encoder);
        Node::of(blob)
    }

    fn len(&self) -> usize {
        self.entries as usize
    }
}

/// An element's place: the node, and the element within it.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) node: usize,
    pub(super) entry: usize,
}

impl Nodes {
    pub(super) fn of(blob: Blob) -> Self {
        let (len, blob_bytes) = (blob.len(), blob.heap_size());
        Nodes {
            nodes: VecDeque::from([Node::of(blob)]),
            len,
            blob_bytes,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn heap_size(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.blob_bytes
    }

    /// The blob of node `index`.
    pub(super) fn blob(&self, index: usize) -> &Blob {
        &self.nodes[index].blob
    }

    /// The only blob, or an empty one where there is none, taken out; `None` where there are more.
    pub(super) fn take_only(&mut self) -> Option<Blob> {
        (self.nodes.len() <= 1).then(|| {
            self.nodes
                .pop_back()
                .map_or_else(Blob::new, |node| node.blob)
        })
    }

    /// The place of element `index`; the place behind the last where `index` is the length.
    pub(super) fn place(&self, index: usize) -> Place {
        if index > self.len / 2 {
            self.place_from_back(index)
        } else {
            self.place_from_front(index)
        }
    }

    fn place_from_front(&self, index: usize) -> Place {
        let mut entry = index;
        for (node, Node { entries, .. }) in self.nodes.iter().enumerate() {
            if entry < *entries as usize {
                return Place { node, entry };
            }
            entry -= *entries as usize;
        }
        Place {
            node: self.nodes.len(),
            entry,
        }
    }

    fn place_from_back(&self, index: usize) -> Place {
        let mut start = self.len;
        for (node, Node { entries, .. }) in self.nodes.iter().enumerate().rev() {
            if index >= start {
                break;
            }
            start -= *entries as usize;
            if index >= start {
                return Place {
                    node,
                    entry: index - start,
                };
            }
        }
        Place {
            node: self.nodes.len(),
            entry: 0,
        }
    }

    pub(super) fn get(&self, index: usize) -> Item<'_> {
        let Place { node, entry } = self.place(index);
        let blob = self.blob(node);
        blob.item(blob.seek(entry))
    }

    /// Changes a node and keeps the sums true.
    fn change<R>(&mut self, node: usize, change: impl FnOnce(&mut Blob) -> R) -> R {
        let node = &mut self.nodes[node];
        let (bytes, entries) = (node.blob.heap_size(), node.len());
        let result = change(&mut node.blob);
        node.entries = node.blob.len() as u32;
        self.blob_bytes = self.blob_bytes - bytes + node.blob.heap_size();
        self.len = self.len - entries + node.len();
        result
    }

    fn insert_node(&mut self, at: usize, node: Node) {
        self.blob_bytes += node.blob.heap_size();
        self.len += node.len();
        self.nodes.insert(at, node);
    }

    fn remove_nodes(&mut self, range: std::ops::Range<usize>) {
        for node in self.nodes.drain(range) {
            self.blob_bytes -= node.blob.heap_size();
            self.len -= node.len();
        }
        if self.nodes.len() * 4 < self.nodes.capacity() {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }

    pub(super) fn insert(&mut self, index: usize, encoder: &Encoder<true>, max_bytes: usize) {
        let Place { node, entry } = self.place(index);
        if node < self.nodes.len() && fits(self.blob(node), encoder, max_bytes) {
            self.change(node, |blob| blob.insert(blob.seek(entry), encoder));
        } else if entry == 0 {
            self.insert_before(node, encoder, max_bytes);
        } else {
            self.split(node, entry);
            self.insert_before(node + 1, encoder, max_bytes);
            self.merge_around(node + 1, max_bytes);
        }
    }

    /// Adds an element between node `node - 1` and node `node`, whose blob has no place for it.
    fn insert_before(&mut self, node: usize, encoder: &Encoder<true>, max_bytes: usize) {
        if node > 0 && fits(self.blob(node - 1), encoder, max_bytes) {
            self.change(node - 1, |blob| blob.push(encoder));
        } else if node < self.nodes.len() && fits(self.blob(node), encoder, max_bytes) {
            self.change(node, |blob| blob.insert(blob.start(), encoder));
        } else {
            self.insert_node(node, Node::of_one(encoder));
        }
    }

    fn split(&mut self, node: usize, entry: usize) {
        let tail = self.change(node, |blob| blob.split_off(blob.seek(entry), entry));
        self.insert_node(node + 1, Node::of(tail));
    }

    /// Joins node `node` with its neighbours where they fit into half a node together.
    fn merge_around(&mut self, node: usize, max_bytes: usize) {
        self.merge_with_next(node, max_bytes);
        if node > 0 {
            self.merge_with_next(node - 1, max_bytes);
        }
    }

    fn merge_with_next(&mut self, node: usize, max_bytes: usize) {
        let Some(next) = self.nodes.get(node + 1) else {
            return;
        };
        let together = self.blob(node).heap_size() + next.blob.heap_size();
        if together <= max_bytes.min(MAX_NODE_BYTES) / 2 {
            let next = next.blob.clone();
            self.remove_nodes(node + 1..node + 2);
            self.change(node, |blob| blob.append(&next));
        }
    }

    pub(super) fn set(&mut self, index: usize, encoder: &Encoder<true>, max_bytes: usize) {
        let Place { node, entry } = self.place(index);
        if self.nodes[node].len() == 1 || fits(self.blob(node), encoder, max_bytes) {
            self.change(node, |blob| blob.replace(blob.seek(entry), encoder));
        } else {
            self.change(node, |blob| blob.remove(blob.seek(entry), 1));
            self.insert(index, encoder, max_bytes);
        }
    }

    /// Removes `count` elements, which are there, from `start` on.
    pub(super) fn remove_range(&mut self, start: usize, count: usize) {
        let Place { node: first, entry } = self.place(start);
        let mut left = count;
        let mut node = first;
        if entry > 0 {
            let removed = left.min(self.nodes[node].len() - entry);
            self.change(node, |blob| blob.remove(blob.seek(entry), removed));
            left -= removed;
            node += 1;
        }
        let whole = node;
        while left > 0 && self.nodes[node].len() <= left {
            left -= self.nodes[node].len();
            node += 1;
        }
        if left > 0 {
            self.change(node, |blob| blob.remove(blob.start(), left));
        }
        self.remove_nodes(whole..node);
        if first < self.nodes.len() {
            self.merge_around(first, super::Limits::REDIS_7.list_max_node_bytes);
        }
    }

    pub(super) fn remove_equal(
        &mut self,
        encoder: &Encoder<true>,
        max: usize,
        from_back: bool,
    ) -> usize {
        let nodes = self.nodes.len();
        let mut removed = 0;
        for step in 0..nodes {
            if removed == max {
                break;
            }
            let node = if from_back { nodes - 1 - step } else { step };
            removed += self.change(node, |blob| {
                remove_equal(blob, encoder, max - removed, from_back)
            });
        }
        self.nodes.retain(|node| node.entries > 0);
        removed
    }

    pub(super) fn chunk(
        &self,
        cursor: u64,
        visit: &mut dyn FnMut(Item<'_>) -> bool,
    ) -> Option<u64> {
        let first = (cursor >> ENTRY_BITS) as usize;
        let mut entry = (cursor & ((1 << ENTRY_BITS) - 1)) as usize;
        for node in first..self.nodes.len() {
            let Node { blob, entries } = &self.nodes[node];
            let mut at = blob.seek(entry);
            while entry < *entries as usize {
                let go_on = visit(blob.item(at));
                (at, entry) = (blob.next(at), entry + 1);
                if !go_on {
                    return Some((node as u64) << ENTRY_BITS | entry as u64);
                }
            }
            entry = 0;
        }
        None
    }

    pub(super) fn free_slice(&mut self, max_items: usize) {
        let mut freed = 0;
        while let Some(node) = self.nodes.back().filter(|_| freed < max_items) {
            freed += node.len();
            let last = self.nodes.len() - 1;
            self.remove_nodes(last..last + 1);
        }
    }
}

#[cfg(test)]
impl Nodes {
    /// Checks the sums against a walk.
    pub(super) fn audit(&self) {
        assert!(self.nodes.len() > 1);
        assert!(
            self.nodes
                .iter()
                .all(|node| node.entries > 0 && node.len() == node.blob.iter().count())
        );
        assert_eq!(self.len, self.nodes.iter().map(Node::len).sum::<usize>());
        assert_eq!(
            self.blob_bytes,
            self.nodes
                .iter()
                .map(|node| node.blob.heap_size())
                .sum::<usize>()
        );
    }
}
