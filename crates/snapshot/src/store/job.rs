//! A big value on its way, one tagged chunk, or one piece, at a time. The value does not change meanwhile.

use super::output::{Output, ValuePiece};
use super::state::{Chunks, SnapshotOptions};
use super::stream::StreamWriter;
use crate::encode::{
    HashForm, Head, SetForm, put_chunk, put_f64, put_len, put_list_node, put_string,
};
use crate::wire::type_byte;
use damselfly_store::values::{Expiring, Hash, List, Set, Stream};
use damselfly_store::{EntryRef, TableId, Value};

/// A list node that is written to a level-0 peer holds about this many bytes.
const NODE_BYTES: usize = 8192;

/// A value that is being streamed.
pub(super) struct Job {
    pub(super) table: TableId,
    pub(super) key: Vec<u8>,
    /// Somebody waits for it.
    pub(super) wanted: bool,
    /// The id of its chunk stream, once the first chunk was written.
    stream: Option<u32>,
    /// Where to go on: a byte, a collection's chunk cursor, or an item of a list.
    cursor: u64,
    /// Where to go on in a stream.
    writer: Option<StreamWriter>,
}

impl Job {
    pub(super) fn new(table: TableId, key: &[u8], wanted: bool) -> Job {
        Job {
            table,
            key: key.to_vec(),
            wanted,
            stream: None,
            cursor: 0,
            writer: None,
        }
    }

    /// Whether its stream is open.
    pub(super) fn is_started(&self) -> bool {
        self.stream.is_some()
    }

    /// Writes the next chunk; true when it was the last one. `next_stream` gives ids.
    pub(super) fn advance(
        &mut self,
        db: u32,
        entry: &EntryRef<'_>,
        out: &mut Output,
        options: &SnapshotOptions,
        next_stream: &mut u32,
    ) -> bool {
        let mut payload = Vec::with_capacity(options.chunk_bytes + options.chunk_bytes / 4);
        let first = self.stream.is_none();
        let stream = *self.stream.get_or_insert_with(|| take_id(next_stream));
        let next = match entry.value() {
            Value::Stream(value) => self.put_stream(&mut payload, entry, value, options),
            value => {
                if first {
                    put_beginning(&mut payload, entry, options);
                }
                put_piece(&mut payload, value, self.cursor, options)
            }
        };
        self.cursor = next.unwrap_or(self.cursor);
        if options.chunks == Chunks::Apart {
            out.piece(ValuePiece {
                stream,
                db,
                bytes: payload,
                is_last: next.is_none(),
            });
            return next.is_none();
        }
        // Only the first chunk says which database it is.
        let db = if first { db } else { out.db() };
        // A cursor may turn out to stand at the end.
        if !payload.is_empty() {
            out.append(db, |_, gathered| put_chunk(gathered, stream, &payload));
        }
        next.is_none()
    }
}

impl Job {
    /// The next piece of a stream, from its head on; `None` at the end. It keeps its own cursor.
    fn put_stream(
        &mut self,
        out: &mut Vec<u8>,
        entry: &EntryRef<'_>,
        stream: &Stream,
        options: &SnapshotOptions,
    ) -> Option<u64> {
        let writer = self.writer.get_or_insert_with(|| {
            let meta = options.meta(entry);
            StreamWriter::begin(out, Head::Entry(&meta), options.profile, stream)
        });
        let whole_tail = options.chunks == Chunks::BetweenElements;
        let done = writer.put(out, stream, options.chunk_bytes, whole_tail);
        (!done).then_some(self.cursor)
    }
}

/// The next id of a chunk stream, never 0.
fn take_id(next: &mut u32) -> u32 {
    *next = next.checked_add(1).unwrap_or(1);
    *next
}

/// Head, key and number of elements.
fn put_beginning(out: &mut Vec<u8>, entry: &EntryRef<'_>, options: &SnapshotOptions) {
    let nodes = options.chunks == Chunks::BetweenElements;
    let meta = options.meta(entry);
    let head = Head::Entry(&meta);
    let (kind, count) = match entry.value() {
        Value::Hash(hash) => return hash_form(hash, options).put_beginning(out, head, hash.len()),
        Value::Set(set) => return set_form(set, options).put_beginning(out, head, set.len()),
        Value::Str(text) => (type_byte::STRING, text.len()),
        Value::List(list) if nodes => (type_byte::LIST_QUICKLIST_2, count_nodes(list)),
        Value::List(list) => (type_byte::LIST, list.len()),
        Value::ZSet(zset) => (type_byte::ZSET, zset.len()),
        other => unreachable!("{:?} values have no encoding", other.kind()),
    };
    head.put(out, kind);
    put_len(out, count as u64);
}

fn hash_form(hash: &Hash, options: &SnapshotOptions) -> HashForm {
    HashForm::new(options.profile, hash.first_expiry())
}

fn set_form(set: &Set, options: &SnapshotOptions) -> SetForm {
    SetForm::new(options.profile, set.first_expiry())
}

/// About a chunk's bytes from `cursor` on; where to go on, or `None` at the end.
fn put_piece(
    out: &mut Vec<u8>,
    value: &Value,
    cursor: u64,
    options: &SnapshotOptions,
) -> Option<u64> {
    let max = options.chunk_bytes;
    let nodes = options.chunks == Chunks::BetweenElements;
    match value {
        Value::Str(text) => {
            let bytes = text.bytes();
            let rest = &bytes[cursor as usize..];
            out.extend_from_slice(&rest[..max.min(rest.len())]);
            (rest.len() > max).then_some(cursor + max as u64)
        }
        Value::List(list) if nodes => put_nodes(out, list, cursor as usize, max),
        Value::List(list) => list.chunk(cursor, max, &mut |item| put_string(out, item)),
        Value::Hash(hash) => {
            let form = hash_form(hash, options);
            hash.chunk(cursor, max, &mut |field, value| {
                form.put_field(out, field, value, hash.element_expiry(field));
            })
        }
        Value::Set(set) => {
            let form = set_form(set, options);
            set.chunk(cursor, max, &mut |member| {
                form.put_member(out, member, set.element_expiry(member));
            })
        }
        Value::ZSet(zset) => zset.chunk(cursor, max, &mut |member, score| {
            put_string(out, member);
            put_f64(out, score);
        }),
        other => unreachable!("{:?} values have no encoding", other.kind()),
    }
}

/// Whether a node of `bytes` must end before an item of `len` bytes.
fn is_full(bytes: usize, len: usize) -> bool {
    bytes > 0 && bytes + len > NODE_BYTES
}

/// How many items from `start` on make one node.
fn node_len(list: &List, start: usize) -> usize {
    let mut bytes = 0;
    let items = list.iter_from(start).take_while(|item| {
        let fits = !is_full(bytes, item.len());
        bytes += item.len() + 1;
        fits
    });
    items.count()
}

/// Peers of level 0 must be told the number of nodes first, so they are counted: one pass over the list, at once.
fn count_nodes(list: &List) -> usize {
    let (mut nodes, mut bytes) = (1, 0);
    for item in list.iter() {
        if is_full(bytes, item.len()) {
            nodes += 1;
            bytes = 0;
        }
        bytes += item.len() + 1;
    }
    nodes
}

fn put_nodes(out: &mut Vec<u8>, list: &List, mut start: usize, max: usize) -> Option<u64> {
    let before = out.len();
    while start < list.len() {
        if out.len() - before >= max {
            return Some(start as u64);
        }
        let len = node_len(list, start);
        put_list_node(out, list.range(start, len));
        start += len;
    }
    None
}
