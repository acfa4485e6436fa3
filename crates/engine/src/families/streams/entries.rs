//! Entries in replies.

use super::ids::write_id;
use damselfly_resp::{Proto, ReplyWriter};
use damselfly_store::values::stream::Entry;

/// Writes an entry: its id, and its fields and values in turn.
pub(super) fn write_entry(out: &mut ReplyWriter<'_>, entry: Entry<'_>) {
    out.array(2);
    write_id(out, entry.id());
    out.array(entry.field_count() * 2);
    for (field, value) in entry.fields() {
        out.bulk(field);
        out.bulk(value);
    }
}

/// Writes an array of as many items as `write` says that it has written.
pub(super) fn array_of(
    out: &mut ReplyWriter<'_>,
    write: impl FnOnce(&mut ReplyWriter<'_>) -> usize,
) {
    behind_header(out, write, |header, count| header.array(count));
}

/// Lets `write` write some items, and puts a header with their number in front of them.
pub(super) fn behind_header(
    out: &mut ReplyWriter<'_>,
    write: impl FnOnce(&mut ReplyWriter<'_>) -> usize,
    header: impl FnOnce(&mut ReplyWriter<'_>, usize),
) {
    let at = out.buffer().len();
    let count = write(out);
    let mut head = Vec::new();
    header(&mut ReplyWriter::new(&mut head, out.proto()), count);
    out.buffer().splice(at..at, head);
}

/// Writes at most `count` entries (0: all) as an array.
pub(super) fn write_entries<'a>(
    out: &mut ReplyWriter<'_>,
    entries: impl Iterator<Item = Entry<'a>>,
    count: usize,
) {
    array_of(out, |out| {
        limited(entries, count)
            .map(|entry| write_entry(out, entry))
            .count()
    });
}

/// The first `count` items; 0 stands for all.
pub(super) fn limited<I: Iterator>(items: I, count: usize) -> std::iter::Take<I> {
    items.take(if count == 0 { usize::MAX } else { count })
}

/// Writes what XREAD and XREADGROUP answer: `serve` writes, for each stream that has something, its key and its entries, and says how many
/// streams those were. Whether there were any; nothing has been written if not.
pub(super) fn write_streams<E>(
    out: &mut ReplyWriter<'_>,
    serve: impl FnOnce(&mut ReplyWriter<'_>) -> Result<usize, E>,
) -> Result<bool, E> {
    let at = out.buffer().len();
    let served = serve(out)?;
    if served > 0 {
        let mut head = Vec::new();
        let mut header = ReplyWriter::new(&mut head, out.proto());
        match header.proto() {
            Proto::Resp3 => header.map(served),
            Proto::Resp2 => header.array(served),
        }
        out.buffer().splice(at..at, head);
    }
    Ok(served > 0)
}

/// The head of one stream's part in what XREAD answers.
pub(super) fn write_stream_key(out: &mut ReplyWriter<'_>, key: &[u8]) {
    if out.proto() == Proto::Resp2 {
        out.array(2);
    }
    out.bulk(key);
}
