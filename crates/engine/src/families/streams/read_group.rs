//! XREADGROUP.

use super::entries::{array_of, limited, write_entry, write_stream_key, write_streams};
use super::groups::no_such_group;
use super::ids::{self, write_id};
use super::propagate::GroupChanges;
use super::read_args::{Form, READ, ReadArgs, only};
use crate::command::{Blocks, CommandError, CommandResult};
use crate::context::{ReadContext, RewriteContext};
use damselfly_resp::ReplyWriter;
use damselfly_store::values::stream::{ConsumerId, Entries, Group, PendingEntry, Stream, StreamId};
use smallvec::SmallVec;

/// Where a client reads on.
#[derive(Clone, Copy, Debug)]
enum From {
    /// What nobody of the group has got yet.
    New,
    /// What this consumer has got, and not acknowledged, after this id.
    History(StreamId),
}

impl From {
    fn parse(id: &[u8]) -> Result<From, CommandError> {
        match id {
            b">" => Ok(From::New),
            b"$" => Err(CommandError::text(
                "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
                 specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
            )),
            _ => ids::exact(id).map(|id| match id {
                StreamId::MAX => From::New,
                id => From::History(id),
            }),
        }
    }
}

pub(super) fn xreadgroup(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let read = ReadArgs::parse(args, Form::Group)?;
    if cx.is_served() {
        check_served(cx, &read)?;
    }
    let from = read
        .pairs()
        .map(|(key, id)| check(cx.source::<Stream>(key)?, &read, key, id))
        .collect::<Result<SmallVec<[From; 4]>, CommandError>>()?;
    let served = write_streams(out, |out| {
        let mut served = 0;
        for (key, from) in read.keys.iter().zip(&from) {
            served += usize::from(serve(cx, &read, key, *from, out)?);
        }
        Ok::<_, CommandError>(served)
    })?;
    if served {
        return Ok(());
    }
    if let Some(wait) = read.wait(None) {
        return Err(wait);
    }
    out.null_array();
    Ok(())
}

/// How XREADGROUP waits: it ends when the stream or the group is gone.
pub(super) const READ_GROUP: Blocks = Blocks {
    only: |args, at| only(args, at, Form::Group),
    gone: true,
    check: Some(check_only),
    ..READ
};

/// Whether XREADGROUP may read, without reading.
fn check_only(cx: &mut ReadContext<'_>, args: &[&[u8]], _: &mut ReplyWriter<'_>) -> CommandResult {
    let read = ReadArgs::parse(args, Form::Group)?;
    read.pairs().try_for_each(|(key, id)| {
        let stream = cx.typed::<Stream>(key)?;
        check(stream, &read, key, id).map(drop)
    })
}

/// Whether the key has the group, and where reading starts.
fn check(
    stream: Option<&Stream>,
    read: &ReadArgs<'_>,
    key: &[u8],
    id: &[u8],
) -> Result<From, CommandError> {
    let [group, _] = read.group();
    if stream.is_none_or(|stream| stream.group(group).is_none()) {
        return Err(no_such_group(
            key,
            group,
            " in XREADGROUP with GROUP option",
        ));
    }
    From::parse(id)
}

/// What becomes of a client that has been waiting for a stream or a group that is no more.
fn check_served(cx: &RewriteContext<'_>, read: &ReadArgs<'_>) -> CommandResult {
    let [group, _] = read.group();
    for key in read.keys {
        let stream = cx.typed::<Stream>(key).ok().flatten();
        let stream = stream.ok_or(CommandError::text(
            "UNBLOCKED the stream key no longer exists",
        ))?;
        if stream.group(group).is_none() {
            return Err(CommandError::text(
                "NOGROUP the consumer group this client was blocked on no longer exists",
            ));
        }
    }
    Ok(())
}

/// Whether the group has not read the stream's last entry.
fn has_new(stream: &Stream, group: &[u8]) -> bool {
    stream
        .group(group)
        .zip(stream.last())
        .is_some_and(|(group, last)| last.id() > group.last_id())
}

/// Delivers what a stream has for the consumer. Whether there was anything to answer.
fn serve(
    cx: &mut RewriteContext<'_>,
    read: &ReadArgs<'_>,
    key: &[u8],
    from: From,
    out: &mut ReplyWriter<'_>,
) -> Result<bool, CommandError> {
    let [name, consumer] = read.group();
    let has_new = |stream: &Stream| has_new(stream, name);
    if matches!(from, From::New) && !cx.typed::<Stream>(key)?.is_some_and(has_new) {
        return Ok(false);
    }
    let (now, count) = (cx.now(), read.count(cx.is_served()));
    let mut changes = GroupChanges::new(key, name, consumer);
    if let Some(mut stream) = cx.typed_mut::<Stream>(key)?
        && let Some((entries, mut group)) = stream.entries_and_group(name)
    {
        let mut delivery = Delivery {
            entries,
            consumer: enter(&mut group, consumer, now, &mut changes.created),
            group: &mut group,
            now,
            no_ack: read.no_ack,
            delivered: &mut changes.delivered,
        };
        write_stream_key(out, key);
        match from {
            From::New => delivery.write_new(count, out),
            From::History(after) => delivery.write_history(after, count, out),
        }
        changes.last_id = group.last_id();
        changes.read = matches!(from, From::New).then(|| group.entries_read());
    }
    if !changes.is_empty() {
        cx.modified_unwatched(key);
        changes.record(cx);
    }
    Ok(true)
}

/// The consumer of this name, made if need be; it has been seen now.
pub(super) fn enter(group: &mut Group, name: &[u8], now: i64, created: &mut bool) -> ConsumerId {
    match group.consumer_id(name) {
        Some(consumer) => {
            group.set_seen(consumer, now);
            consumer
        }
        None => {
            *created = true;
            group
                .create_consumer(name, now)
                .expect("there was none of this name")
        }
    }
}

/// Entries on their way to a consumer.
struct Delivery<'a> {
    entries: &'a Entries,
    group: &'a mut Group,
    consumer: ConsumerId,
    now: i64,
    no_ack: bool,
    delivered: &'a mut Vec<PendingEntry>,
}

impl Delivery<'_> {
    /// Writes what is behind the group's last id, which moves on.
    fn write_new(&mut self, count: usize, out: &mut ReplyWriter<'_>) {
        let entries = self.entries;
        let Some(first) = self.group.last_id().next() else {
            return out.array(0);
        };
        array_of(out, |out| {
            limited(entries.range(first, StreamId::MAX), count)
                .map(|entry| {
                    self.advance(entry.id());
                    if !self.no_ack {
                        self.deliver(entry.id(), 1);
                    }
                    write_entry(out, entry);
                })
                .count()
        });
    }

    /// Writes what the consumer has pending after `after`. Of entries that have been deleted only the id is left.
    fn write_history(&mut self, after: StreamId, count: usize, out: &mut ReplyWriter<'_>) {
        let first = after.next().unwrap_or(StreamId::MAX);
        let pending = self
            .group
            .consumer_pending_range(self.consumer, first, StreamId::MAX);
        let pending: Vec<PendingEntry> = limited(pending, count).collect();
        out.array(pending.len());
        for PendingEntry { id, deliveries, .. } in pending {
            match self.entries.get(id) {
                Some(entry) => {
                    self.deliver(id, deliveries.wrapping_add(1));
                    write_entry(out, entry);
                }
                None => {
                    out.array(2);
                    write_id(out, id);
                    out.null_array();
                }
            }
        }
    }

    fn deliver(&mut self, id: StreamId, deliveries: u64) {
        let entry = PendingEntry {
            id,
            consumer: self.consumer,
            delivered_ms: self.now,
            deliveries,
        };
        self.group.set_pending(entry);
        self.delivered.push(entry);
    }

    /// The group has read up to `id`, an entry after its last id.
    fn advance(&mut self, id: StreamId) {
        let (entries, group) = (self.entries, &mut self.group);
        let read = match group.entries_read() {
            Some(read) if !entries.has_tombstones(id, StreamId::MAX) => Some(read.wrapping_add(1)),
            _ => entries.entries_read_at(id),
        };
        group.set_entries_read(read);
        group.set_last_id(id);
    }
}
