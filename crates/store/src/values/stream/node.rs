//! A node: up to a hundred entries in one listpack, laid out as Redis lays them out.
//!
//! Elements: live entries, deleted entries, number of fields `n`, `n` field names, 0; then for each entry
//! - flags (1: deleted, 2: it has exactly the node's field names),
//! - its id less the node's, milliseconds and number,
//! - the values alone where it has the node's field names, else the number of fields, and field, value, field, value, …
//! - the number of the elements before, for those who come from behind.
//!
//! The node's id is that of its first entry, also when that one is gone. Source: the published layout
//! in Redis's `t_stream.c`.

use std::ops::Range;

use super::runs::Identified;
use super::{Entry, StreamId, listpack};
use crate::packed::Raw;

const FLAG_DELETED: u8 = 1;
const FLAG_SAME_FIELDS: u8 = 2;
/// Elements of an entry that has the node's field names, besides the values and the last one.
const SAME_FIXED: usize = 3;
/// Fewer deleted entries than this are not worth the copy.
const MIN_GARBAGE: usize = 10;
/// Elements of a node's head besides the field names.
const HEAD_FIXED: usize = 4;

/// Entries with ids from `master` on.
#[derive(Clone, Debug)]
pub(super) struct Node {
    master: StreamId,
    bytes: Vec<u8>,
}

/// What stands at the beginning of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) live: usize,
    pub(super) deleted: usize,
    fields: usize,
    fields_at: usize,
    /// Where the first entry begins.
    pub(super) entries_at: usize,
}

/// An entry's place in its node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Located {
    pub(super) id: StreamId,
    pub(super) deleted: bool,
    fields: usize,
    /// Where the field names are, unless they stand beside the values.
    names: Option<usize>,
    /// Where the values, or the fields with values, begin.
    at: usize,
    pub(super) start: usize,
    /// Behind the entry.
    pub(super) end: usize,
}

impl Located {
    /// Elements of the entry, the last one included.
    fn elements(&self) -> usize {
        1 + match self.names {
            Some(_) => SAME_FIXED + self.fields,
            None => SAME_FIXED + 1 + 2 * self.fields,
        }
    }
}

impl Identified for Node {
    fn id(&self) -> StreamId {
        self.master
    }
}

fn number(int: i64) -> usize {
    usize::try_from(int).expect("counts were checked when the node was made")
}

impl Node {
    /// A node with one entry.
    pub(super) fn of<'a, I>(id: StreamId, fields: I) -> Node
    where
        I: ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        let mut elements = listpack::Elements::default();
        elements.int(1);
        elements.int(0);
        elements.int(fields.len() as i64);
        fields
            .clone()
            .for_each(|(field, _)| elements.element(field));
        elements.int(0);
        put_entry(&mut elements, true, (0, 0), fields);
        let mut bytes = listpack::new();
        listpack::append(&mut bytes, &elements);
        Node { master: id, bytes }
    }

    /// A node of bytes that [`check`](super::check) has found good.
    pub(super) fn of_checked(master: StreamId, bytes: &[u8]) -> Node {
        Node {
            master,
            bytes: bytes.to_vec(),
        }
    }

    /// The listpack.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn heap_size(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives back the room for further entries.
    pub(super) fn close(&mut self) {
        self.bytes.shrink_to_fit();
    }

    pub(super) fn head(&self) -> Head {
        let live_at = listpack::HEADER_BYTES;
        let deleted_at = listpack::next(&self.bytes, live_at);
        let count_at = listpack::next(&self.bytes, deleted_at);
        let fields = number(listpack::int(&self.bytes, count_at));
        let fields_at = listpack::next(&self.bytes, count_at);
        Head {
            live: number(listpack::int(&self.bytes, live_at)),
            deleted: number(listpack::int(&self.bytes, deleted_at)),
            fields,
            fields_at,
            entries_at: listpack::skip(&self.bytes, fields_at, fields + 1),
        }
    }

    /// Entries that are not deleted.
    pub(super) fn live(&self) -> usize {
        number(listpack::int(&self.bytes, listpack::HEADER_BYTES))
    }

    /// Behind the last entry.
    pub(super) fn end(&self) -> usize {
        listpack::end(&self.bytes)
    }

    fn set_counts(&mut self, live: usize, deleted: usize) {
        listpack::replace_int(&mut self.bytes, listpack::HEADER_BYTES, live as i64);
        let at = listpack::next(&self.bytes, listpack::HEADER_BYTES);
        listpack::replace_int(&mut self.bytes, at, deleted as i64);
    }

    /// The entry that begins at `start`.
    pub(super) fn entry_at(&self, head: &Head, start: usize) -> Located {
        let bytes = &self.bytes;
        let flags = bytes[start];
        let ms_at = listpack::next(bytes, start);
        let seq_at = listpack::next(bytes, ms_at);
        let at = listpack::next(bytes, seq_at);
        let id = self
            .master
            .plus(listpack::int(bytes, ms_at), listpack::int(bytes, seq_at));
        let (fields, names, at, parts) = if flags & FLAG_SAME_FIELDS != 0 {
            (head.fields, Some(head.fields_at), at, head.fields)
        } else {
            let fields = number(listpack::int(bytes, at));
            (fields, None, listpack::next(bytes, at), 2 * fields)
        };
        Located {
            id,
            deleted: flags & FLAG_DELETED != 0,
            fields,
            names,
            at,
            start,
            end: listpack::skip(bytes, at, parts + 1),
        }
    }

    /// The entry that ends at `end`.
    pub(super) fn entry_before(&self, head: &Head, end: usize) -> Located {
        let count_at = listpack::previous(&self.bytes, end);
        let elements = number(listpack::int(&self.bytes, count_at));
        let start = (0..elements).fold(count_at, |at, _| listpack::previous(&self.bytes, at));
        self.entry_at(head, start)
    }

    /// All entries, the deleted ones too.
    pub(super) fn entries(&self) -> impl Iterator<Item = Located> {
        let head = self.head();
        let mut at = head.entries_at;
        std::iter::from_fn(move || {
            if at == self.end() {
                return None;
            }
            let entry = self.entry_at(&head, at);
            at = entry.end;
            Some(entry)
        })
    }

    /// The live entry with this id.
    pub(super) fn find(&self, id: StreamId) -> Option<Located> {
        self.entries()
            .find(|entry| entry.id == id && !entry.deleted)
    }

    /// The id of the last entry, be it deleted or not.
    pub(super) fn last_id(&self) -> StreamId {
        self.entry_before(&self.head(), self.end()).id
    }

    /// The id of the last live entry.
    pub(super) fn last_live(&self) -> Option<StreamId> {
        let live = self.entries().filter(|entry| !entry.deleted);
        live.last().map(|entry| entry.id)
    }

    /// What an entry shows of itself.
    pub(super) fn view(&self, entry: &Located) -> Entry<'_> {
        Entry {
            id: entry.id,
            bytes: &self.bytes,
            fields: entry.fields,
            names: entry.names,
            at: entry.at,
        }
    }

    /// Appends an entry, whose id is greater than all before.
    pub(super) fn append<'a, I>(&mut self, id: StreamId, fields: I)
    where
        I: ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        let head = self.head();
        let same = self.has_names(&head, fields.clone());
        self.set_counts(head.live + 1, head.deleted);
        let mut elements = listpack::Elements::default();
        put_entry(&mut elements, same, id.delta(self.master), fields);
        listpack::append(&mut self.bytes, &elements);
    }

    fn has_names<'a, I>(&self, head: &Head, fields: I) -> bool
    where
        I: ExactSizeIterator<Item = (&'a [u8], &'a [u8])>,
    {
        let mut at = head.fields_at;
        fields.len() == head.fields
            && fields.into_iter().all(|(field, _)| {
                let same = is(listpack::get(&self.bytes, at), field);
                at = listpack::next(&self.bytes, at);
                same
            })
    }

    /// Marks entries as deleted, from the first on, until `stop` says so; how many live ones that were.
    pub(super) fn delete_front(&mut self, mut stop: impl FnMut(&Located) -> bool) -> usize {
        let head = self.head();
        let (mut at, mut deleted) = (head.entries_at, 0);
        while at < self.end() {
            let entry = self.entry_at(&head, at);
            if !entry.deleted {
                if stop(&entry) {
                    break;
                }
                self.bytes[entry.start] |= FLAG_DELETED;
                deleted += 1;
            }
            at = entry.end;
        }
        self.set_counts(head.live - deleted, head.deleted + deleted);
        deleted
    }

    /// Marks an entry as deleted.
    pub(super) fn delete(&mut self, entry: &Located) {
        let head = self.head();
        self.bytes[entry.start] |= FLAG_DELETED;
        self.set_counts(head.live - 1, head.deleted + 1);
    }

    /// Drops deleted entries where they are more than the others. The last entry stays even then: `XTRIM MINID ~` of Redis
    /// looks at its id. For nodes that get no more entries, as their number decides when a node is full.
    pub(super) fn compact(&mut self) {
        let head = self.head();
        if head.deleted < MIN_GARBAGE || head.deleted <= head.live {
            return;
        }
        let end = self.end();
        let mut kept: Vec<Range<usize>> = Vec::with_capacity(head.live + 2);
        kept.push(listpack::HEADER_BYTES..head.entries_at);
        let (mut elements, mut deleted) = (HEAD_FIXED + head.fields, 0);
        for entry in self.entries() {
            if !entry.deleted || entry.end == end {
                kept.push(entry.start..entry.end);
                elements += entry.elements();
                deleted += usize::from(entry.deleted);
            }
        }
        self.bytes = listpack::of_ranges(&self.bytes, &kept, elements);
        self.set_counts(head.live, deleted);
    }
}

/// Whether an element holds exactly these bytes.
fn is(element: Raw<'_>, bytes: &[u8]) -> bool {
    match element {
        Raw::Bytes(other) => other == bytes,
        Raw::Int(int) => itoa::Buffer::new().format(int).as_bytes() == bytes,
        Raw::Score(_) => false,
    }
}

fn put_entry<'a, I>(elements: &mut listpack::Elements, same: bool, delta: (i64, i64), fields: I)
where
    I: ExactSizeIterator<Item = (&'a [u8], &'a [u8])>,
{
    let count = fields.len();
    elements.int(i64::from(if same { FLAG_SAME_FIELDS } else { 0 }));
    elements.int(delta.0);
    elements.int(delta.1);
    if !same {
        elements.int(count as i64);
    }
    for (field, value) in fields {
        if !same {
            elements.element(field);
        }
        elements.element(value);
    }
    let parts = if same { count } else { 1 + 2 * count };
    elements.int((SAME_FIXED + parts) as i64);
}
