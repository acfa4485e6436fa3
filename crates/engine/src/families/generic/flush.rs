//! Whole databases at once: every shard does its part, in one transaction.

use crate::command::{CommandError, CommandResult};
use crate::context::WriteContext;
use crate::families::options::{index_below, is_word};
use damselfly_resp::ReplyWriter;
use damselfly_store::DbIndex;

pub(super) fn flushall(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    flush(cx, None, args, out)
}

pub(super) fn flushdb(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    flush(cx, Some(cx.db), args, out)
}

/// SYNC and ASYNC are the same: the keys are gone at once, their memory is freed in slices.
fn flush(
    cx: &mut WriteContext<'_>,
    db: Option<DbIndex>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    match args {
        [_] => {}
        [_, how] if is_word(how, "SYNC") || is_word(how, "ASYNC") => {}
        _ => return Err(CommandError::Syntax),
    }
    cx.flush(db);
    out.ok();
    Ok(())
}

pub(super) fn swapdb(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let number = |arg, error| {
        let number = damselfly_resp::parse_i64(arg).and_then(|number| i32::try_from(number).ok());
        number.ok_or(CommandError::text(error))
    };
    let first = number(args[1], "ERR invalid first DB index")?;
    let second = number(args[2], "ERR invalid second DB index")?;
    let (first, second) = (
        index_below(first, cx.dbnum())?,
        index_below(second, cx.dbnum())?,
    );
    if first != second {
        cx.swap(first, second);
    }
    out.ok();
    Ok(())
}
