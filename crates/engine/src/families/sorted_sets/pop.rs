//! Popping members of sorted sets.

use crate::command::{CommandError, CommandResult};
use crate::context::{RewriteContext, WriteContext};
use crate::families::collections::{MultiPop, is_resp3, removed};
use crate::families::options::{is_word, not_negative};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::ZSet;

/// An end of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Min,
    Max,
}

impl End {
    /// Whether this is the word for an end.
    pub(super) fn is_word(word: &[u8]) -> bool {
        is_word(word, "MIN") || is_word(word, "MAX")
    }

    pub(super) fn event(self) -> &'static str {
        match self {
            End::Min => "zpopmin",
            End::Max => "zpopmax",
        }
    }

    /// Removes `count` members, which are there, and writes them, each as an array of its own where `nested`.
    pub(super) fn pop(
        self,
        zset: &mut ZSet,
        count: usize,
        nested: bool,
        out: &mut ReplyWriter<'_>,
    ) {
        let (first, members) = match self {
            End::Min => (0, zset.iter()),
            End::Max => (zset.len() - count, zset.iter_rev()),
        };
        for (member, score) in members.take(count) {
            if nested {
                out.array(2);
            }
            out.bulk(member);
            out.double(score);
        }
        zset.remove_ranks(first..first + count);
    }
}

pub(super) fn zpopmin(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    pop(cx, args, End::Min, out)
}

pub(super) fn zpopmax(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    pop(cx, args, End::Max, out)
}

fn pop(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    end: End,
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let count = match args[2..] {
        [] => None,
        [count] => Some(not_negative(count)? as usize),
        _ => return Err(CommandError::Syntax),
    };
    let nested = is_resp3(out) && count.is_some();
    let Some(mut zset) = cx.typed_mut::<ZSet>(args[1])? else {
        out.array(0);
        return Ok(());
    };
    let count = count.unwrap_or(1).min(zset.len());
    out.array(if nested { count } else { count * 2 });
    end.pop(&mut zset, count, nested, out);
    let is_empty = zset.is_empty();
    drop(zset);
    if count > 0 {
        removed(cx, EventClass::SortedSet, end.event(), args[1], is_empty);
    }
    Ok(())
}

pub(super) fn zmpop(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let pop = MultiPop::parse(args, End::is_word)?;
    if !pop_some(cx, &pop, out)? {
        out.null_array();
    }
    Ok(())
}

/// Pops from the first sorted set that has members. Whether any has.
pub(super) fn pop_some(
    cx: &mut RewriteContext<'_>,
    pop: &MultiPop<'_>,
    out: &mut ReplyWriter<'_>,
) -> Result<bool, CommandError> {
    let end = if is_word(pop.end, "MIN") {
        End::Min
    } else {
        End::Max
    };
    for &key in pop.keys {
        let Some(mut zset) = cx.typed_mut::<ZSet>(key)? else {
            continue;
        };
        let count = zset.len().min(pop.count);
        out.array(2);
        out.bulk(key);
        out.array(count);
        end.pop(&mut zset, count, true, out);
        let is_empty = zset.is_empty();
        drop(zset);
        removed(cx, EventClass::SortedSet, end.event(), key, is_empty);
        let name = end.event().to_ascii_uppercase();
        cx.effect(&[
            name.as_bytes(),
            key,
            itoa::Buffer::new().format(count).as_bytes(),
        ]);
        return Ok(true);
    }
    Ok(false)
}
