//! The commands of lists that can wait.

use super::COUNTED_LATE;
use super::ends::{End, move_element};
use crate::command::{Blocks, CommandError, CommandResult, Nil, Wait, WaitKeys};
use crate::context::RewriteContext;
use crate::families::collections::{MultiPop, only_first, only_of_counted, removed};
use crate::families::options::timeout_seconds;
use crate::keyspace::EventClass;
use crate::session::{ChainResult, ChainRun};
use damselfly_resp::ReplyWriter;
use damselfly_store::Kind;
use damselfly_store::values::List;

/// BLPOP and BRPOP.
pub(super) const POP: Blocks = Blocks {
    on: Kind::List,
    keys: WaitKeys::All,
    only: only_first,
    gone: false,
    check: None,
};

/// BLMPOP.
pub(super) const MULTI_POP: Blocks = Blocks {
    only: |args, at| only_of_counted(&COUNTED_LATE, args, at),
    ..POP
};

/// BLMOVE and BRPOPLPUSH.
pub(super) const MOVE: Blocks = Blocks {
    keys: WaitKeys::First,
    only: |args, _| args.iter().map(|arg| arg.to_vec()).collect(),
    ..POP
};

pub(super) fn blpop(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    pop(cx, args, out, End::Left)
}

pub(super) fn brpop(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    pop(cx, args, out, End::Right)
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
        let Some(mut list) = cx.typed_mut::<List>(key)? else {
            continue;
        };
        out.array(2);
        out.bulk(key);
        end.pop(&mut list, 1, out);
        let is_empty = list.is_empty();
        drop(list);
        removed(cx, EventClass::List, end.pop_name(), key, is_empty);
        cx.effect(&[end.pop_name().to_ascii_uppercase().as_bytes(), key]);
        return Ok(());
    }
    Err(nothing(timeout_ms, Nil::Array))
}

pub(super) fn blmpop(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let pop = MultiPop::parse(&args[1..], |word| End::parse(word).is_ok())?;
    let timeout_ms = timeout_seconds(args[1])?;
    if super::ends::pop_some(cx, &pop, out)? {
        return Ok(());
    }
    Err(nothing(timeout_ms, Nil::Array))
}

pub(super) fn blmove(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let ends = [End::parse(args[3])?, End::parse(args[4])?];
    let timeout_ms = timeout_seconds(args[5])?;
    move_or_wait(cx, args, ends, timeout_ms, out)?;
    cx.effect(&[b"LMOVE", args[1], args[2], args[3], args[4]]);
    Ok(())
}

pub(super) fn brpoplpush(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let timeout_ms = timeout_seconds(args[3])?;
    move_or_wait(cx, args, [End::Right, End::Left], timeout_ms, out)?;
    cx.effect(&[b"RPOPLPUSH", args[1], args[2]]);
    Ok(())
}

fn move_or_wait(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    ends: [End; 2],
    timeout_ms: Option<u64>,
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    if cx.typed::<List>(args[1])?.is_none() {
        return Err(nothing(timeout_ms, Nil::Bulk));
    }
    move_element(cx, [args[1], args[2]], ends, out)
}

/// BLMOVE between lists of different shards.
pub(super) fn blmove_apart<'a>(
    run: &'a ChainRun<'a>,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> ChainResult<'a> {
    Box::pin(async move {
        let (from, to) = (End::parse(args[3])?, End::parse(args[4])?);
        let timeout_ms = timeout_seconds(args[5])?;
        move_apart(run, args, [from, to], timeout_ms, out).await
    })
}

/// BRPOPLPUSH between lists of different shards.
pub(super) fn brpoplpush_apart<'a>(
    run: &'a ChainRun<'a>,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> ChainResult<'a> {
    Box::pin(async move {
        let timeout_ms = timeout_seconds(args[3])?;
        move_apart(run, args, [End::Right, End::Left], timeout_ms, out).await
    })
}

async fn move_apart(
    run: &ChainRun<'_>,
    args: &[&[u8]],
    [from, to]: [End; 2],
    timeout_ms: Option<u64>,
    out: &mut Vec<u8>,
) -> CommandResult {
    if super::apart::move_between(run, args, from, to, out).await? {
        return Ok(());
    }
    Err(nothing(timeout_ms, Nil::Bulk))
}

fn nothing(timeout_ms: Option<u64>, nil: Nil) -> CommandError {
    CommandError::wait(Wait {
        timeout_ms,
        args: None,
        nil,
    })
}
