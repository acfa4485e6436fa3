//! Streams: from parts to values, and from values to bytes, in pieces where they are big.

use super::build::BuildError;
use crate::decode::{StreamPart, StreamTotals};
use crate::encode::{Head, Profile, put_len, put_raw_string, put_string};
use crate::wire::type_byte;
use damselfly_store::values::stream::{ConsumerId, Group, PendingEntry};
use damselfly_store::values::{Stream, StreamId};

/// Pending entries that are written before it is asked again whether the piece is full.
const BLOCK: usize = 256;

/// What is known while a stream is being built.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    /// The totals came.
    complete: bool,
    /// They were of the first form, which lacks what groups have read.
    first_form: bool,
    group: Option<Vec<u8>>,
    consumer: Option<ConsumerId>,
}

fn id_of((ms, seq): (u64, u64)) -> StreamId {
    StreamId::new(ms, seq)
}

fn fault(why: &'static str) -> BuildError {
    BuildError::Stream { why }
}

impl StreamState {
    /// Adds a part to `stream`.
    pub(super) fn push(
        &mut self,
        stream: &mut Stream,
        part: StreamPart<'_>,
    ) -> Result<(), BuildError> {
        match part {
            StreamPart::Node { id, listpack } if !self.complete => stream
                .push_listpack(id_of(id), listpack)
                .map_err(|error| fault(error.why())),
            StreamPart::Totals(totals) if !self.complete => self.take_totals(stream, totals),
            _ if !self.complete => Err(BuildError::OutOfOrder),
            StreamPart::Group {
                name,
                last_id,
                entries_read,
            } => self.begin_group(stream, name, id_of(last_id), entries_read),
            part => self.push_to_group(stream, part),
        }
    }

    fn take_totals(&mut self, stream: &mut Stream, totals: StreamTotals) -> Result<(), BuildError> {
        if totals.length != stream.len() as u64 {
            return Err(fault("the length is not the number of entries"));
        }
        if id_of(totals.last_id) < stream.last_id() {
            return Err(fault("the last id is less than an entry's"));
        }
        stream.set_last_id(id_of(totals.last_id));
        stream.set_max_deleted_id(id_of(totals.max_deleted_id));
        stream.set_entries_added(totals.entries_added.unwrap_or(totals.length));
        self.first_form = totals.entries_added.is_none();
        self.complete = true;
        Ok(())
    }

    fn begin_group(
        &mut self,
        stream: &mut Stream,
        name: &[u8],
        last_id: StreamId,
        entries_read: Option<u64>,
    ) -> Result<(), BuildError> {
        let entries_read = if self.first_form {
            stream.entries_read_at(last_id)
        } else {
            entries_read
        };
        if self.group.is_some() || !stream.create_group(name, last_id, entries_read) {
            return Err(fault("a group comes twice"));
        }
        (self.group, self.consumer) = (Some(name.to_vec()), None);
        Ok(())
    }

    fn push_to_group(
        &mut self,
        stream: &mut Stream,
        part: StreamPart<'_>,
    ) -> Result<(), BuildError> {
        let name = self.group.as_ref().ok_or(BuildError::OutOfOrder)?;
        let mut group = stream.group_mut(name).ok_or(BuildError::OutOfOrder)?;
        match part {
            StreamPart::Pending {
                id,
                delivered_ms,
                deliveries,
            } => {
                if !group.load_pending(id_of(id), delivered_ms, deliveries) {
                    return Err(fault("an entry is pending twice"));
                }
            }
            StreamPart::Consumer {
                name,
                seen_ms,
                active_ms,
            } => {
                let consumer = group.create_consumer(name, seen_ms);
                let consumer = consumer.ok_or(fault("a consumer comes twice"))?;
                group.set_active(consumer, active_ms);
                self.consumer = Some(consumer);
            }
            StreamPart::Owned { id } => {
                let consumer = self.consumer.ok_or(BuildError::OutOfOrder)?;
                if !group.load_owner(consumer, id_of(id)) {
                    return Err(fault(
                        "a consumer has an entry that is not pending, or another's",
                    ));
                }
            }
            StreamPart::GroupEnd => {
                if !group.is_loaded() {
                    return Err(fault("a pending entry has no consumer"));
                }
                drop(group);
                self.group = None;
            }
            _ => return Err(BuildError::OutOfOrder),
        }
        Ok(())
    }

    /// Whether nothing is missing.
    pub(super) fn is_whole(&self) -> bool {
        self.complete && self.group.is_none()
    }
}

/// Writes a stream, as many pieces as are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamWriter {
    type_byte: u8,
    next: Next,
}

/// What comes next. Groups and consumers are counted in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Next {
    Nodes(StreamId),
    Totals,
    Group(usize),
    Pending(usize, StreamId),
    ConsumerCount(usize),
    Consumer(usize, usize),
    Owned(usize, usize, StreamId),
    End,
}

/// The form in which readers of `profile` take a stream. Payloads of DUMP have to suit Redis 7.0, flows carry everything.
fn form(profile: Profile, head: &Head<'_>) -> u8 {
    match (profile, head) {
        (Profile::Redis62, _) => type_byte::STREAM_1,
        (Profile::Redis70, _) => type_byte::STREAM_2,
        (Profile::Redis72 | Profile::Redis74, _) => type_byte::STREAM_3,
        (Profile::Flow | Profile::Dragonfly, Head::Bare) => type_byte::STREAM_2,
        (Profile::Flow | Profile::Dragonfly, Head::Entry(_)) => type_byte::STREAM_3,
    }
}

fn put_id(out: &mut Vec<u8>, id: StreamId) {
    put_len(out, id.ms);
    put_len(out, id.seq);
}

impl StreamWriter {
    /// Writes the head and the number of nodes.
    pub(super) fn begin(
        out: &mut Vec<u8>,
        head: Head<'_>,
        profile: Profile,
        stream: &Stream,
    ) -> StreamWriter {
        let type_byte = form(profile, &head);
        head.put(out, type_byte);
        put_len(out, stream.node_count() as u64);
        let first = stream.listpacks_from(StreamId::MIN).next();
        StreamWriter {
            type_byte,
            next: first.map_or(Next::Totals, |(id, _)| Next::Nodes(id)),
        }
    }

    /// Writes on until about `max` bytes are there, where `whole_tail` says so never stopping behind the last node; true at the end.
    pub(super) fn put(
        &mut self,
        out: &mut Vec<u8>,
        stream: &Stream,
        max: usize,
        whole_tail: bool,
    ) -> bool {
        let start = out.len();
        while self.next != Next::End {
            let may_stop = matches!(self.next, Next::Nodes(_)) || !whole_tail;
            if may_stop && out.len() - start >= max {
                return false;
            }
            self.next = self.step(out, stream);
        }
        true
    }

    fn step(&self, out: &mut Vec<u8>, stream: &Stream) -> Next {
        let group = |index| stream.groups().nth(index).expect("groups stay meanwhile");
        match self.next {
            Next::Nodes(id) => put_node(out, stream, id),
            Next::Totals => {
                self.put_totals(out, stream);
                Next::Group(0)
            }
            Next::Group(index) if index == stream.group_count() => Next::End,
            Next::Group(index) => {
                self.put_group(out, group(index));
                Next::Pending(index, StreamId::MIN)
            }
            Next::Pending(index, from) => match put_pending(out, group(index), from) {
                Some(next) => Next::Pending(index, next),
                None => Next::ConsumerCount(index),
            },
            Next::ConsumerCount(index) => {
                put_len(out, group(index).consumer_count() as u64);
                Next::Consumer(index, 0)
            }
            Next::Consumer(index, at) => match group(index).consumers().nth(at) {
                Some((consumer, _)) => {
                    self.put_consumer(out, group(index), consumer);
                    Next::Owned(index, at, StreamId::MIN)
                }
                None => Next::Group(index + 1),
            },
            Next::Owned(index, at, from) => match put_owned(out, group(index), at, from) {
                Some(next) => Next::Owned(index, at, next),
                None => Next::Consumer(index, at + 1),
            },
            Next::End => Next::End,
        }
    }

    fn put_totals(&self, out: &mut Vec<u8>, stream: &Stream) {
        put_len(out, stream.len() as u64);
        put_id(out, stream.last_id());
        if self.type_byte != type_byte::STREAM_1 {
            put_id(out, stream.first_id());
            put_id(out, stream.max_deleted_id());
            put_len(out, stream.entries_added());
        }
        put_len(out, stream.group_count() as u64);
    }

    fn put_group(&self, out: &mut Vec<u8>, group: &Group) {
        put_string(out, group.name());
        put_id(out, group.last_id());
        if self.type_byte != type_byte::STREAM_1 {
            put_len(out, group.entries_read().unwrap_or(u64::MAX));
        }
        put_len(out, group.pending_count() as u64);
    }

    fn put_consumer(&self, out: &mut Vec<u8>, group: &Group, consumer: ConsumerId) {
        let consumer = group.consumer(consumer);
        put_string(out, consumer.name());
        out.extend_from_slice(&consumer.seen_ms().to_le_bytes());
        if self.type_byte == type_byte::STREAM_3 {
            out.extend_from_slice(&consumer.active_ms().to_le_bytes());
        }
        put_len(out, consumer.pending_count() as u64);
    }
}

fn put_node(out: &mut Vec<u8>, stream: &Stream, id: StreamId) -> Next {
    let mut nodes = stream.listpacks_from(id);
    if let Some((id, listpack)) = nodes.next() {
        put_raw_string(out, &id.to_bytes());
        put_raw_string(out, listpack);
    }
    nodes
        .next()
        .map_or(Next::Totals, |(next, _)| Next::Nodes(next))
}

/// A block of pending entries; where to go on, or `None` at their end.
fn put_pending(out: &mut Vec<u8>, group: &Group, from: StreamId) -> Option<StreamId> {
    put_block(group.pending_range(from, StreamId::MAX), |entry| {
        out.extend_from_slice(&entry.id.to_bytes());
        out.extend_from_slice(&entry.delivered_ms.to_le_bytes());
        put_len(out, entry.deliveries);
    })
}

fn put_owned(out: &mut Vec<u8>, group: &Group, at: usize, from: StreamId) -> Option<StreamId> {
    let (consumer, _) = group.consumers().nth(at)?;
    let owned = group.consumer_pending_range(consumer, from, StreamId::MAX);
    put_block(owned, |entry| {
        out.extend_from_slice(&entry.id.to_bytes());
    })
}

fn put_block(
    mut entries: impl Iterator<Item = PendingEntry>,
    put: impl FnMut(PendingEntry),
) -> Option<StreamId> {
    entries.by_ref().take(BLOCK).for_each(put);
    entries.next().map(|entry| entry.id)
}
