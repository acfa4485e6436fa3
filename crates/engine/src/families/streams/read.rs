//! XREAD.

use super::entries::{write_entries, write_stream_key, write_streams};
use super::ids;
use super::read_args::{Form, ReadArgs};
use crate::command::{CommandError, CommandResult};
use crate::context::ReadContext;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::stream::{Stream, StreamId};
use smallvec::SmallVec;

pub(super) fn xread(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let read = ReadArgs::parse(args, Form::Plain)?;
    let after = read
        .pairs()
        .map(|(key, id)| last_read(cx, key, id))
        .collect::<Result<SmallVec<[StreamId; 4]>, CommandError>>()?;
    let served = write_streams(out, |out| {
        let mut served = 0;
        for (key, after) in read.keys.iter().zip(&after) {
            served += usize::from(serve(cx, key, *after, read.count(cx.is_served()), out)?);
        }
        Ok::<_, CommandError>(served)
    })?;
    if served {
        return Ok(());
    }
    if let Some(wait) = read.wait(Some(resolved(args, &read, &after))) {
        return Err(wait);
    }
    out.null_array();
    Ok(())
}

/// The command line with ids in place of `$`.
fn resolved(args: &[&[u8]], read: &ReadArgs<'_>, after: &[StreamId]) -> Vec<Vec<u8>> {
    let ids = read.first + read.keys.len();
    let mut line: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
    for (word, id) in line[ids..].iter_mut().zip(after) {
        *word = ids::IdText::of(*id).as_ref().to_vec();
    }
    line
}

/// The id that a client has seen last.
fn last_read(cx: &ReadContext<'_>, key: &[u8], id: &[u8]) -> Result<StreamId, CommandError> {
    let stream = cx.typed::<Stream>(key)?;
    match id {
        b"$" => Ok(stream.map_or(StreamId::MIN, |stream| stream.last_id())),
        b">" => Err(CommandError::text(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        _ => ids::exact(id),
    }
}

/// Writes what a stream has after `after`. Whether there was anything.
fn serve(
    cx: &ReadContext<'_>,
    key: &[u8],
    after: StreamId,
    count: usize,
    out: &mut ReplyWriter<'_>,
) -> Result<bool, CommandError> {
    let Some((stream, first)) = cx.typed::<Stream>(key)?.zip(after.next()) else {
        return Ok(false);
    };
    let mut entries = stream.range(first, StreamId::MAX).peekable();
    if entries.peek().is_none() {
        return Ok(false);
    }
    write_stream_key(out, key);
    write_entries(out, entries, count);
    Ok(true)
}
