//! Several strings at once.

use super::set::put;
use crate::command::CommandResult;
use crate::context::{ReadContext, WriteContext};
use damselfly_resp::ReplyWriter;
use damselfly_store::{INT_TEXT_MAX, Value};

/// Unlike GET, MGET answers null for another type.
pub(super) fn mget(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    out.array(args.len() - 1);
    for key in &args[1..] {
        match cx.entry(key).map(|entry| entry.value()) {
            Some(Value::Str(string)) => out.bulk(string.read(&mut [0; INT_TEXT_MAX])),
            _ => out.null(),
        }
    }
    Ok(())
}

pub(super) fn mset(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    put_pairs(cx, args);
    out.ok();
    Ok(())
}

pub(super) fn msetnx(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let free = !args[1..].chunks(2).any(|pair| cx.exists(pair[0]));
    if free {
        put_pairs(cx, args);
    }
    out.integer(free.into());
    Ok(())
}

/// That there is a value for each key was seen when the keys were looked for.
fn put_pairs(cx: &mut WriteContext<'_>, args: &[&[u8]]) {
    for pair in args[1..].chunks_exact(2) {
        put(cx, pair[0], pair[1]);
    }
}
