//! XRANGE, XREVRANGE and XLEN.

use super::entries::write_entries;
use super::ids;
use crate::command::{CommandError, CommandResult};
use crate::context::ReadContext;
use crate::families::options::{Words, integer, is_word};
use damselfly_resp::ReplyWriter;
use damselfly_store::values::stream::Stream;

pub(super) fn xlen(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let length = cx
        .typed::<Stream>(args[1])?
        .map_or(0, |stream| stream.len());
    out.integer(length as i64);
    Ok(())
}

pub(super) fn xrange(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    range(cx, args, false, out)
}

pub(super) fn xrevrange(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    range(cx, args, true, out)
}

fn range(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    reverse: bool,
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (first, last) = if reverse {
        (args[3], args[2])
    } else {
        (args[2], args[3])
    };
    let (first, last) = (ids::start(first)?, ids::end(last)?);
    let count = parse_count(args)?;
    let Some(stream) = cx.typed::<Stream>(args[1])? else {
        out.array(0);
        return Ok(());
    };
    let entries = stream.range(first, last);
    match count {
        Some(0) => out.null_array(),
        count if reverse => write_entries(out, entries.rev(), count.unwrap_or(0)),
        count => write_entries(out, entries, count.unwrap_or(0)),
    }
    Ok(())
}

/// `[COUNT n]`; what is negative is 0.
fn parse_count(args: &[&[u8]]) -> Result<Option<usize>, CommandError> {
    let mut count = None;
    let mut words = Words::from(args, 4);
    while let Some(word) = words.next() {
        if !is_word(word, "COUNT") {
            return Err(CommandError::Syntax);
        }
        count = Some(integer(words.value()?)?.max(0) as usize);
    }
    Ok(count)
}
