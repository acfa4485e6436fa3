//! [`Entry`]: one entry, and iterators over entries and fields.

use std::fmt;

use super::node::{Head, Located, Node};
use super::runs::{Place, Runs};
use super::{StreamId, listpack};
use crate::packed::Item;

/// An entry of a stream.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub(super) id: StreamId,
    /// The node.
    pub(super) bytes: &'a [u8],
    pub(super) fields: usize,
    /// Where the field names are, unless they stand beside the values.
    pub(super) names: Option<usize>,
    pub(super) at: usize,
}

impl<'a> Entry<'a> {
    /// Its id.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// How many fields it has.
    pub fn field_count(&self) -> usize {
        self.fields
    }

    /// Fields with their values, in the order in which they came.
    pub fn fields(&self) -> Fields<'a> {
        Fields {
            bytes: self.bytes,
            left: self.fields,
            names: self.names,
            at: self.at,
        }
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.id)?;
        f.debug_map().entries(self.fields()).finish()
    }
}

/// The fields of an entry with their values.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    left: usize,
    names: Option<usize>,
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Item<'a>, Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name_at = match &mut self.names {
            Some(names) => {
                let at = *names;
                *names = listpack::next(self.bytes, at);
                at
            }
            None => {
                let at = self.at;
                self.at = listpack::next(self.bytes, at);
                at
            }
        };
        let field = Item::from_raw(listpack::get(self.bytes, name_at));
        let value = Item::from_raw(listpack::get(self.bytes, self.at));
        self.at = listpack::next(self.bytes, self.at);
        Some((field, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// Entries in a range of ids, ascending; [`Iterator::rev`] gives them descending.
#[derive(Clone)]
pub struct StreamRange<'a> {
    nodes: &'a Runs<Node>,
    /// What is left: it shrinks at either end, so that the ends never pass each other.
    left: Option<(StreamId, StreamId)>,
    front: Option<Cursor<'a>>,
    back: Option<Cursor<'a>>,
}

/// A place between two entries.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    place: Place,
    node: &'a Node,
    head: Head,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Before the first entry of a node.
    fn at_start(nodes: &'a Runs<Node>, place: Place) -> Option<Cursor<'a>> {
        let node = nodes.get(place)?;
        let head = node.head();
        Some(Cursor {
            place,
            node,
            head,
            at: head.entries_at,
        })
    }

    /// Behind the last entry of a node.
    fn at_end(nodes: &'a Runs<Node>, place: Place) -> Option<Cursor<'a>> {
        let start = Cursor::at_start(nodes, place)?;
        Some(Cursor {
            at: start.node.end(),
            ..start
        })
    }

    /// The entry behind, be it deleted or not.
    fn forward(&mut self, nodes: &'a Runs<Node>) -> Option<Located> {
        while self.at == self.node.end() {
            *self = Cursor::at_start(nodes, nodes.next(self.place))?;
        }
        let entry = self.node.entry_at(&self.head, self.at);
        self.at = entry.end;
        Some(entry)
    }

    /// The entry before, be it deleted or not.
    fn backward(&mut self, nodes: &'a Runs<Node>) -> Option<Located> {
        while self.at == self.head.entries_at {
            *self = Cursor::at_end(nodes, nodes.previous(self.place)?)?;
        }
        let entry = self.node.entry_before(&self.head, self.at);
        self.at = entry.start;
        Some(entry)
    }
}

impl<'a> StreamRange<'a> {
    pub(super) fn new(nodes: &'a Runs<Node>, from: StreamId, to: StreamId) -> Self {
        StreamRange {
            nodes,
            left: (from <= to).then_some((from, to)),
            front: None,
            back: None,
        }
    }

    fn find_next(&mut self) -> Option<Entry<'a>> {
        let (from, to) = self.left?;
        let mut cursor = match self.front {
            Some(cursor) => cursor,
            None => {
                let place = self.nodes.floor(from).unwrap_or(self.nodes.start());
                Cursor::at_start(self.nodes, place)?
            }
        };
        loop {
            let entry = cursor.forward(self.nodes)?;
            if entry.deleted || entry.id < from {
                continue;
            }
            if entry.id > to {
                return None;
            }
            self.front = Some(cursor);
            let rest = entry.id.next().filter(|next| *next <= to);
            self.left = rest.map(|next| (next, to));
            return Some(cursor.node.view(&entry));
        }
    }

    fn find_next_back(&mut self) -> Option<Entry<'a>> {
        let (from, to) = self.left?;
        let mut cursor = match self.back {
            Some(cursor) => cursor,
            None => Cursor::at_end(self.nodes, self.nodes.floor(to)?)?,
        };
        loop {
            let entry = cursor.backward(self.nodes)?;
            if entry.deleted || entry.id > to {
                continue;
            }
            if entry.id < from {
                return None;
            }
            self.back = Some(cursor);
            let rest = entry.id.previous().filter(|previous| *previous >= from);
            self.left = rest.map(|previous| (from, previous));
            return Some(cursor.node.view(&entry));
        }
    }
}

impl<'a> Iterator for StreamRange<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let entry = self.find_next();
        if entry.is_none() {
            self.left = None;
        }
        entry
    }
}

impl DoubleEndedIterator for StreamRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let entry = self.find_next_back();
        if entry.is_none() {
            self.left = None;
        }
        entry
    }
}
