//! Removing members of sorted sets.

use super::bounds;
use crate::command::{CommandError, CommandResult};
use crate::context::WriteContext;
use crate::families::collections::removed;
use crate::families::options::{integer, range};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::ZSet;
use std::ops::Range;

pub(super) fn zrem(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    change(cx, args[1], "zrem", out, |zset| {
        args[2..]
            .iter()
            .filter(|member| zset.remove(member).is_some())
            .count()
    })
}

pub(super) fn zremrangebyrank(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (start, stop) = (integer(args[2])?, integer(args[3])?);
    remove_ranks(cx, args[1], "zremrangebyrank", out, |zset| {
        let (start, count) = range(start, stop, zset.len()).unwrap_or((0, 0));
        start..start + count
    })
}

pub(super) fn zremrangebyscore(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (min, max) = bounds::scores(args[2], args[3])?;
    remove_ranks(cx, args[1], "zremrangebyscore", out, |zset| {
        zset.score_ranks(min, max)
    })
}

pub(super) fn zremrangebylex(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (min, max) = bounds::names(args[2], args[3])?;
    remove_ranks(cx, args[1], "zremrangebylex", out, |zset| {
        zset.lex_ranks(min, max)
    })
}

fn remove_ranks(
    cx: &mut WriteContext<'_>,
    key: &[u8],
    event: &'static str,
    out: &mut ReplyWriter<'_>,
    ranks: impl Fn(&ZSet) -> Range<usize>,
) -> CommandResult {
    change(cx, key, event, out, |zset| {
        let ranks = ranks(zset);
        zset.remove_ranks(ranks)
    })
}

/// Lets `remove` take members away, answers how many it took, and reports it.
fn change(
    cx: &mut WriteContext<'_>,
    key: &[u8],
    event: &'static str,
    out: &mut ReplyWriter<'_>,
    remove: impl FnOnce(&mut ZSet) -> usize,
) -> Result<(), CommandError> {
    let Some(mut zset) = cx.typed_mut::<ZSet>(key)? else {
        out.integer(0);
        return Ok(());
    };
    let taken = remove(&mut zset);
    let is_empty = zset.is_empty();
    drop(zset);
    if taken > 0 {
        removed(cx, EventClass::SortedSet, event, key, is_empty);
    }
    out.integer(taken as i64);
    Ok(())
}
