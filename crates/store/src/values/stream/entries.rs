//! [`Entries`]: the entries of a stream, with what is known of those that are gone.

use std::fmt;

use super::check::{self, NodeError};
use super::entry::{Entry, StreamRange};
use super::node::Node;
use super::runs::{Identified, Place, Runs};
use super::{Group, StreamId};
use crate::values::Limits;

/// The most bytes of fields and values of an entry, and of a node whatever the limits say.
pub(super) const MAX_NODE_BYTES: usize = 1 << 30;
/// Bytes of an id in the radix tree that Redis keeps nodes in.
const ID_BYTES: usize = size_of::<StreamId>();

/// The entries of a stream: nodes in the order of their ids.
#[derive(Clone, Default)]
pub struct Entries {
    /// None of them without a live entry.
    pub(super) nodes: Runs<Node>,
    /// What the nodes' listpacks take.
    node_bytes: usize,
    len: usize,
    added: u64,
    last_id: StreamId,
    first_id: StreamId,
    max_deleted_id: StreamId,
}

/// Why an entry is not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// The id is not greater than the last one.
    NotGreater,
    /// Fields and values are over a GiB.
    TooLarge,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AppendError::NotGreater => "the id is not greater than the last one",
            AppendError::TooLarge => "the entry is too large",
        })
    }
}

impl std::error::Error for AppendError {}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.range(StreamId::MIN, StreamId::MAX))
            .finish()
    }
}

impl Entries {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The id that the next entry's must be greater than.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The first entry's id, `0-0` where there is none.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The greatest id that was ever deleted one by one (not trimmed).
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.added
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// How many nodes a radix tree over the nodes' ids has, as Redis counts them. O(nodes).
    pub fn radix_tree_nodes(&self) -> usize {
        let keys: Vec<_> = self.nodes.iter().map(|node| node.id().to_bytes()).collect();
        if keys.is_empty() {
            1
        } else {
            radix_nodes(&keys, 0)
        }
    }

    pub(super) fn heap_size(&self) -> usize {
        self.nodes.heap_size() + self.node_bytes
    }

    /// The entry with this id.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        let node = self.nodes.get(self.nodes.floor(id)?)?;
        Some(node.view(&node.find(id)?))
    }

    /// Whether there is an entry with this id.
    pub fn contains(&self, id: StreamId) -> bool {
        self.get(id).is_some()
    }

    /// The entries from `from` to `to`, both included, ascending, and descending with [`Iterator::rev`].
    pub fn range(&self, from: StreamId, to: StreamId) -> StreamRange<'_> {
        StreamRange::new(&self.nodes, from, to)
    }

    /// The first entry.
    pub fn first(&self) -> Option<Entry<'_>> {
        self.range(StreamId::MIN, StreamId::MAX).next()
    }

    /// The last entry.
    pub fn last(&self) -> Option<Entry<'_>> {
        self.range(StreamId::MIN, StreamId::MAX).next_back()
    }

    /// Whether an entry between `from` and `to`, both included, may have been deleted (Redis's `streamRangeHasTombstones`).
    pub fn has_tombstones(&self, from: StreamId, to: StreamId) -> bool {
        self.len > 0
            && self.max_deleted_id != StreamId::MIN
            && self.max_deleted_id >= self.first_id
            && (from..=to).contains(&self.max_deleted_id)
    }

    /// How many entries were ever added up to `id`, it included, where that can be told without counting
    /// (Redis's `streamEstimateDistanceFromFirstEverEntry`).
    pub fn entries_read_at(&self, id: StreamId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if id == self.last_id || self.len == 0 && id < self.last_id {
            return Some(self.added);
        }
        let whole = self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id;
        if id > self.last_id || id > self.first_id || !whole {
            return None;
        }
        let before = self.added.saturating_sub(self.len as u64);
        Some(before + u64::from(id == self.first_id))
    }

    /// How many entries `group` has not read yet, where that can be told; negative where it was told to have read more than there were.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        if self.added == 0 {
            return Some(0);
        }
        let read = match group.entries_read() {
            Some(read) if !self.has_tombstones(group.last_id(), StreamId::MAX) => read,
            _ => self.entries_read_at(group.last_id())?,
        };
        Some(self.added.wrapping_sub(read) as i64)
    }

    pub(super) fn set_last_id(&mut self, id: StreamId) {
        self.last_id = id;
    }

    pub(super) fn set_max_deleted_id(&mut self, id: StreamId) {
        self.max_deleted_id = id;
    }

    pub(super) fn set_entries_added(&mut self, count: u64) {
        self.added = count;
    }

    pub(super) fn append<'a, I>(
        &mut self,
        id: StreamId,
        fields: I,
        limits: &Limits,
    ) -> Result<(), AppendError>
    where
        I: ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        let lengths = fields
            .clone()
            .map(|(field, value)| field.len() + value.len());
        let bytes: usize = lengths.sum();
        if id <= self.last_id {
            return Err(AppendError::NotGreater);
        }
        if bytes > MAX_NODE_BYTES {
            return Err(AppendError::TooLarge);
        }
        match self.nodes.last_place() {
            Some(place) if self.has_room(place, bytes, limits) => {
                self.change(place, |node| node.append(id, fields));
            }
            last => {
                if let Some(place) = last {
                    self.change(place, Node::close);
                }
                self.insert(Node::of(id, fields));
            }
        }
        if self.len == 0 {
            self.first_id = id;
        }
        self.len += 1;
        self.added = self.added.wrapping_add(1);
        self.last_id = id;
        Ok(())
    }

    /// Whether the node at `place` takes another entry with so many bytes in fields and values.
    fn has_room(&self, place: Place, bytes: usize, limits: &Limits) -> bool {
        let Some(node) = self.nodes.get(place) else {
            return false;
        };
        let max_bytes = match limits.stream_node_max_bytes {
            0 => MAX_NODE_BYTES,
            max => max.min(MAX_NODE_BYTES),
        };
        let head = node.head();
        let max_entries = limits.stream_node_max_entries;
        node.bytes().len() + bytes < max_bytes
            && (max_entries == 0 || head.live + head.deleted < max_entries)
    }

    fn insert(&mut self, node: Node) {
        self.node_bytes += node.heap_size();
        self.nodes.insert(node);
    }

    /// Changes a node and keeps the sum true.
    fn change<R>(&mut self, place: Place, change: impl FnOnce(&mut Node) -> R) -> R {
        let node = self.nodes.get_mut(place).expect("places are of now");
        let before = node.heap_size();
        let result = change(node);
        self.node_bytes = self.node_bytes - before + node.heap_size();
        result
    }

    fn remove_node(&mut self, place: Place) {
        let node = self.nodes.remove(place);
        self.node_bytes -= node.heap_size();
    }

    pub(super) fn delete(&mut self, id: StreamId) -> bool {
        let Some(place) = self.nodes.floor(id) else {
            return false;
        };
        let node = self.nodes.get(place).expect("places are of now");
        let Some(entry) = node.find(id) else {
            return false;
        };
        if node.live() == 1 {
            self.remove_node(place);
        } else {
            self.change(place, |node| node.delete(&entry));
            self.compact(place);
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id {
            self.find_first();
        }
        true
    }

    /// Drops what is deleted in a node that gets no more entries.
    fn compact(&mut self, place: Place) {
        if self.nodes.last_place() != Some(place) {
            self.change(place, Node::compact);
        }
    }

    fn find_first(&mut self) {
        self.first_id = self.first().map_or(StreamId::MIN, |entry| entry.id());
    }

    /// Removes the first node if `all` says so of its live entries and its last id; how many live entries it had.
    pub(super) fn trim_node(&mut self, all: impl FnOnce(usize, &Node) -> bool) -> Option<usize> {
        let place = self.nodes.start();
        let node = self.nodes.get(place)?;
        let live = node.live();
        if !all(live, node) {
            return None;
        }
        self.remove_node(place);
        self.len -= live;
        Some(live)
    }

    /// Removes entries of the first node until `stop` says so of one; how many.
    pub(super) fn trim_within(&mut self, mut stop: impl FnMut(StreamId) -> bool) -> usize {
        let place = self.nodes.start();
        if self.nodes.get(place).is_none() {
            return 0;
        }
        let removed = self.change(place, |node| node.delete_front(|entry| stop(entry.id)));
        self.len -= removed;
        if self.nodes.get(place).is_some_and(|node| node.live() == 0) {
            self.remove_node(place);
        } else {
            self.compact(place);
        }
        removed
    }

    /// To be called after trimming.
    pub(super) fn trimmed(&mut self) {
        self.find_first();
    }

    /// Live entries of the first node.
    pub(super) fn first_node_len(&self) -> usize {
        self.nodes.get(self.nodes.start()).map_or(0, Node::live)
    }

    /// Adds a node that stands behind all others; one without live entries is left out.
    pub(super) fn push_node(&mut self, master: StreamId, bytes: &[u8]) -> Result<(), NodeError> {
        if bytes.len() > 2 * MAX_NODE_BYTES {
            return Err(NodeError::Listpack);
        }
        let (live, ids) = check::check(master, bytes)?;
        let before = self.nodes.last().map(|node| (node.id(), node.last_live()));
        let Some((first, last)) = ids else {
            return Ok(());
        };
        if before.is_some_and(|(id, live)| id >= master || live >= Some(first)) {
            return Err(NodeError::Order);
        }
        if self.len == 0 {
            self.first_id = first;
        }
        self.insert(Node::of_checked(master, bytes));
        self.len += live;
        self.last_id = self.last_id.max(last);
        Ok(())
    }

    /// The nodes from the one with `id` on.
    pub(super) fn listpacks_from(&self, id: StreamId) -> impl Iterator<Item = (StreamId, &[u8])> {
        self.nodes
            .iter_from(self.nodes.lower_bound(id))
            .map(|node| (node.id(), node.bytes()))
    }

    /// Drops the last nodes; how many entries they had.
    pub(super) fn free_slice(&mut self, max_items: usize) -> usize {
        let mut freed = 0;
        while freed < max_items
            && let Some(place) = self.nodes.last_place()
        {
            freed += self.nodes.get(place).map_or(0, Node::live);
            self.remove_node(place);
        }
        self.len = self.len.saturating_sub(freed);
        freed
    }
}

/// Nodes of a compressed radix tree over these sorted keys, which are the same up to `depth`.
fn radix_nodes(keys: &[[u8; ID_BYTES]], depth: usize) -> usize {
    let (first, last) = (&keys[0], &keys[keys.len() - 1]);
    let common = (depth..ID_BYTES)
        .take_while(|&at| first[at] == last[at])
        .count();
    let chain = usize::from(common > 0);
    let depth = depth + common;
    if depth == ID_BYTES {
        return chain + 1;
    }
    let children = keys.chunk_by(|a, b| a[depth] == b[depth]);
    chain
        + 1
        + children
            .map(|keys| radix_nodes(keys, depth + 1))
            .sum::<usize>()
}

#[cfg(test)]
impl Entries {
    /// Checks everything that is kept beside the nodes.
    pub(super) fn audit(&self) {
        self.nodes.audit();
        let live: usize = self.nodes.iter().map(Node::live).sum();
        assert_eq!(self.len, live);
        let bytes: usize = self.nodes.iter().map(Node::heap_size).sum();
        assert_eq!(self.node_bytes, bytes);
        assert_eq!(
            self.first_id,
            self.first().map_or(StreamId::MIN, |entry| entry.id())
        );
        for node in self.nodes.iter() {
            let (live, ids) = check::check(node.id(), node.bytes()).expect("a good node");
            assert_eq!(
                (live, ids.map(|ids| ids.1)),
                (node.live(), node.last_live())
            );
            assert!(live > 0);
        }
    }
}
