//! XINFO.

use super::entries::{limited, write_entries, write_entry};
use super::groups::{no_group_of_key, wrong_subcommand};
use super::ids::write_id;
use crate::command::{CommandError, CommandResult};
use crate::context::ReadContext;
use crate::families::options::{integer, is_word};
use crate::session::Session;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::stream::{Consumer, ConsumerId, Entry, Group, Stream, StreamId};

/// Entries and pending entries that FULL shows, where the client does not say.
const DEFAULT_COUNT: usize = 10;

fn stream_of<'a>(cx: &ReadContext<'a>, key: &[u8]) -> Result<&'a Stream, CommandError> {
    cx.typed::<Stream>(key)?.ok_or(CommandError::NoSuchKey)
}

pub(super) fn stream(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let stream = stream_of(cx, args[2])?;
    let count = match args[3..] {
        [] => {
            write_short(stream, out);
            return Ok(());
        }
        [full] if is_word(full, "FULL") => DEFAULT_COUNT,
        [full, word, count] if is_word(full, "FULL") && is_word(word, "COUNT") => {
            usize::try_from(integer(count)?).unwrap_or(DEFAULT_COUNT)
        }
        _ => return Err(wrong_subcommand(args[1], "XINFO")),
    };
    write_full(stream, count, out);
    Ok(())
}

fn write_short(stream: &Stream, out: &mut ReplyWriter<'_>) {
    out.map(10);
    write_head(stream, out);
    number(out, "groups", stream.group_count());
    optional_entry(out, "first-entry", stream.first());
    optional_entry(out, "last-entry", stream.last());
}

fn write_full(stream: &Stream, count: usize, out: &mut ReplyWriter<'_>) {
    out.map(9);
    write_head(stream, out);
    out.bulk("entries");
    write_entries(out, stream.range(StreamId::MIN, StreamId::MAX), count);
    out.bulk("groups");
    out.array(stream.group_count());
    for group in stream.groups() {
        out.map(7);
        out.bulk("name");
        out.bulk(group.name());
        write_progress(stream, group, out);
        number(out, "pel-count", group.pending_count());
        write_pending(group, count, out);
        out.bulk("consumers");
        out.array(group.consumer_count());
        for (id, consumer) in group.consumers() {
            write_consumer(group, id, consumer, count, out);
        }
    }
}

/// The seven fields that both forms begin with.
fn write_head(stream: &Stream, out: &mut ReplyWriter<'_>) {
    number(out, "length", stream.len());
    number(out, "radix-tree-keys", stream.node_count());
    number(out, "radix-tree-nodes", stream.radix_tree_nodes());
    id(out, "last-generated-id", stream.last_id());
    id(out, "max-deleted-entry-id", stream.max_deleted_id());
    out.bulk("entries-added");
    out.integer(stream.entries_added().cast_signed());
    id(out, "recorded-first-entry-id", stream.first_id());
}

fn number(out: &mut ReplyWriter<'_>, name: &str, value: usize) {
    out.bulk(name);
    out.integer(value as i64);
}

fn id(out: &mut ReplyWriter<'_>, name: &str, id: StreamId) {
    out.bulk(name);
    write_id(out, id);
}

fn optional_entry(out: &mut ReplyWriter<'_>, name: &str, entry: Option<Entry<'_>>) {
    out.bulk(name);
    match entry {
        Some(entry) => write_entry(out, entry),
        None => out.null(),
    }
}

/// How far a group is.
fn write_progress(stream: &Stream, group: &Group, out: &mut ReplyWriter<'_>) {
    let signed = |count: Option<u64>| count.map(u64::cast_signed);
    let fields = [
        ("entries-read", signed(group.entries_read())),
        ("lag", lag(stream, group)),
    ];
    id(out, "last-delivered-id", group.last_id());
    for (name, value) in fields {
        out.bulk(name);
        match value {
            Some(value) => out.integer(value),
            None => out.null(),
        }
    }
}

/// How many entries a group has not read yet, where that can be told. Less than none where a client has set the counter.
fn lag(stream: &Stream, group: &Group) -> Option<i64> {
    let added = stream.entries_added();
    if added == 0 {
        return Some(0);
    }
    let counted = group
        .entries_read()
        .filter(|_| !stream.has_tombstones(group.last_id(), StreamId::MAX));
    let read = counted.or_else(|| stream.entries_read_at(group.last_id()))?;
    Some(added.wrapping_sub(read).cast_signed())
}

fn write_pending(group: &Group, count: usize, out: &mut ReplyWriter<'_>) {
    out.bulk("pending");
    let shown = || limited(group.pending_range(StreamId::MIN, StreamId::MAX), count);
    out.array(shown().count());
    for entry in shown() {
        out.array(4);
        write_id(out, entry.id);
        out.bulk(group.consumer(entry.consumer).name());
        out.integer(entry.delivered_ms);
        out.integer(entry.deliveries.cast_signed());
    }
}

fn write_consumer(
    group: &Group,
    id: ConsumerId,
    consumer: &Consumer,
    count: usize,
    out: &mut ReplyWriter<'_>,
) {
    out.map(4);
    out.bulk("name");
    out.bulk(consumer.name());
    out.bulk("seen-time");
    out.integer(consumer.seen_ms());
    number(out, "pel-count", consumer.pending_count());
    out.bulk("pending");
    let shown = || {
        limited(
            group.consumer_pending_range(id, StreamId::MIN, StreamId::MAX),
            count,
        )
    };
    out.array(shown().count());
    for entry in shown() {
        out.array(3);
        write_id(out, entry.id);
        out.integer(entry.delivered_ms);
        out.integer(entry.deliveries.cast_signed());
    }
}

pub(super) fn groups(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let stream = stream_of(cx, args[2])?;
    out.array(stream.group_count());
    for group in stream.groups() {
        out.map(6);
        out.bulk("name");
        out.bulk(group.name());
        number(out, "consumers", group.consumer_count());
        number(out, "pending", group.pending_count());
        write_progress(stream, group, out);
    }
    Ok(())
}

pub(super) fn consumers(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let now = cx.now();
    let group = stream_of(cx, args[2])?.group(args[3]);
    let group = group.ok_or_else(|| no_group_of_key(args[2], args[3]))?;
    out.array(group.consumer_count());
    for (_, consumer) in group.consumers() {
        out.map(3);
        out.bulk("name");
        out.bulk(consumer.name());
        number(out, "pending", consumer.pending_count());
        out.bulk("idle");
        out.integer(now.wrapping_sub(consumer.seen_ms()).max(0));
    }
    Ok(())
}

const HELP: &[&str] = &[
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
    "HELP",
    "    Prints this help.",
];

pub(super) fn help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.array(HELP.len());
    HELP.iter().for_each(|line| out.simple(line));
    Ok(())
}
