//! The commands of sorted sets that can wait.

use super::COUNTED_LATE;
use super::pop::{End, pop_some};
use crate::command::{Blocks, CommandError, CommandResult, Nil, Wait, WaitKeys};
use crate::context::RewriteContext;
use crate::families::collections::{MultiPop, only_first, only_of_counted, removed};
use crate::families::options::timeout_seconds;
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::Kind;
use damselfly_store::values::ZSet;

/// BZPOPMIN and BZPOPMAX.
pub(super) const POP: Blocks = Blocks {
    on: Kind::ZSet,
    keys: WaitKeys::All,
    only: only_first,
    gone: false,
    check: None,
};

/// BZMPOP.
pub(super) const MULTI_POP: Blocks = Blocks {
    only: |args, at| only_of_counted(&COUNTED_LATE, args, at),
    ..POP
};

pub(super) fn bzpopmin(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    pop(cx, args, out, End::Min)
}

pub(super) fn bzpopmax(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    pop(cx, args, out, End::Max)
}

fn pop(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
    end: End,
) -> CommandResult {
    let last = args.len() - 1;
    let timeout_ms = timeout_seconds(args[last])?;
    for &key in &args[1..last] {
        let Some(mut zset) = cx.typed_mut::<ZSet>(key)? else {
            continue;
        };
        out.array(3);
        out.bulk(key);
        end.pop(&mut zset, 1, false, out);
        let is_empty = zset.is_empty();
        drop(zset);
        removed(cx, EventClass::SortedSet, end.event(), key, is_empty);
        cx.effect(&[end.event().to_ascii_uppercase().as_bytes(), key]);
        return Ok(());
    }
    Err(nothing(timeout_ms))
}

pub(super) fn bzmpop(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let pop = MultiPop::parse(&args[1..], End::is_word)?;
    let timeout_ms = timeout_seconds(args[1])?;
    if pop_some(cx, &pop, out)? {
        return Ok(());
    }
    Err(nothing(timeout_ms))
}

fn nothing(timeout_ms: Option<u64>) -> CommandError {
    CommandError::wait(Wait {
        timeout_ms,
        args: None,
        nil: Nil::Array,
    })
}
