//! Whether keys exist, what they are, and deleting them.

use crate::command::CommandResult;
use crate::context::{ReadContext, RewriteContext, WriteContext};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;

pub(super) fn del(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let mut deleted = 0;
    for key in &args[1..] {
        if cx.remove(key) {
            cx.modified(EventClass::Generic, "del", key);
            deleted += 1;
        }
    }
    out.integer(deleted);
    Ok(())
}

/// Deletes a key, if it is there, with its event and its effect.
pub(crate) fn delete_key(cx: &mut RewriteContext<'_>, key: &[u8]) {
    if cx.remove(key) {
        cx.modified(EventClass::Generic, "del", key);
        cx.effect(&[b"DEL", key]);
    }
}

/// A key that is named twice counts twice.
pub(super) fn exists(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    out.integer(
        args[1..]
            .iter()
            .filter(|key| cx.peek(key).is_some())
            .count() as i64,
    );
    Ok(())
}

/// A use of the keys and nothing else, even for a client whose uses don't count.
pub(super) fn touch(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let found = args[1..].iter().filter_map(|key| cx.peek(key));
    let touched = found.map(|entry| cx.space().touch_anyhow(&entry));
    out.integer(touched.count() as i64);
    Ok(())
}

pub(super) fn type_of(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    out.simple(
        cx.peek(args[1])
            .map_or("none", |entry| entry.value().kind().name()),
    );
    Ok(())
}
