//! What happens inside lists: ranges, indexes, search.

use super::position;
use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, WriteContext};
use crate::families::collections::{at_least, removed};
use crate::families::options::{Words, integer, is_word, range};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::List;
use smallvec::SmallVec;

pub(super) fn llen(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    out.integer(cx.typed::<List>(args[1])?.map_or(0, List::len) as i64);
    Ok(())
}

pub(super) fn lrange(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (start, stop) = (integer(args[2])?, integer(args[3])?);
    let list = cx.typed::<List>(args[1])?;
    let found = list.and_then(|list| Some((list, range(start, stop, list.len())?)));
    let Some((list, (start, count))) = found else {
        out.array(0);
        return Ok(());
    };
    out.array(count);
    list.range(start, count)
        .for_each(|element| out.bulk(element));
    Ok(())
}

pub(super) fn lindex(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let Some(list) = cx.typed::<List>(args[1])? else {
        out.null();
        return Ok(());
    };
    match position(list, integer(args[2])?).and_then(|at| list.get(at)) {
        Some(element) => out.bulk(element),
        None => out.null(),
    }
    Ok(())
}

pub(super) fn lset(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let mut list = cx
        .typed_mut::<List>(args[1])?
        .ok_or(CommandError::NoSuchKey)?;
    let at = position(&list, integer(args[2])?).ok_or(CommandError::IndexOutOfRange)?;
    list.set(at, args[3]);
    drop(list);
    cx.modified(EventClass::List, "lset", args[1]);
    out.ok();
    Ok(())
}

pub(super) fn linsert(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let behind = match args[2] {
        word if is_word(word, "AFTER") => 1,
        word if is_word(word, "BEFORE") => 0,
        _ => return Err(CommandError::Syntax),
    };
    let Some(list) = cx.typed::<List>(args[1])? else {
        out.integer(0);
        return Ok(());
    };
    let Some(pivot) = list.position(args[3]) else {
        out.integer(-1);
        return Ok(());
    };
    let mut list = cx
        .typed_mut::<List>(args[1])?
        .ok_or(CommandError::NoSuchKey)?;
    list.insert(pivot + behind, args[4]);
    out.integer(list.len() as i64);
    drop(list);
    cx.modified(EventClass::List, "linsert", args[1]);
    Ok(())
}

pub(super) fn lrem(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let count = integer(args[2])?;
    let max = if count == 0 {
        usize::MAX
    } else {
        count.unsigned_abs() as usize
    };
    let Some(mut list) = cx.typed_mut::<List>(args[1])? else {
        out.integer(0);
        return Ok(());
    };
    let taken = list.remove_equal(args[3], max, count < 0);
    let is_empty = list.is_empty();
    drop(list);
    if taken > 0 {
        removed(cx, EventClass::List, "lrem", args[1], is_empty);
    }
    out.integer(taken as i64);
    Ok(())
}

pub(super) fn ltrim(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (start, stop) = (integer(args[2])?, integer(args[3])?);
    if let Some(len) = cx.typed::<List>(args[1])?.map(List::len) {
        let (start, count) = range(start, stop, len).unwrap_or((0, 0));
        if count < len {
            if let Some(mut list) = cx.typed_mut::<List>(args[1])? {
                list.keep_range(start, count);
            }
            removed(cx, EventClass::List, "ltrim", args[1], count == 0);
        } else {
            cx.touched(args[1]);
            cx.notify(EventClass::List, "ltrim", args[1]);
        }
    }
    out.ok();
    Ok(())
}

/// The options of LPOS.
struct LposOptions {
    /// Which match is the first to count, from 1 on; negative: from the back. Never 0.
    rank: i64,
    /// How many matches, 0 for all. `None`: one, and not in an array.
    count: Option<usize>,
    /// Comparisons at most.
    max_len: usize,
}

impl LposOptions {
    fn parse(args: &[&[u8]]) -> Result<LposOptions, CommandError> {
        let mut options = LposOptions {
            rank: 1,
            count: None,
            max_len: usize::MAX,
        };
        let mut words = Words::from(args, 3);
        while let Some(word) = words.next() {
            let value = words.value()?;
            if is_word(word, "RANK") {
                options.rank = lpos_rank(value)?;
            } else if is_word(word, "COUNT") {
                options.count = Some(at_least(value, 0, "ERR COUNT can't be negative")? as usize);
            } else if is_word(word, "MAXLEN") {
                let max_len = at_least(value, 0, "ERR MAXLEN can't be negative")? as usize;
                options.max_len = if max_len == 0 { usize::MAX } else { max_len };
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// How many matches are passed over, and how many are wanted. The least rank has no opposite in C: to Redis every match
    /// is beyond it, and no COUNT is ever reached.
    fn window(&self) -> (usize, usize) {
        let wanted = match self.count {
            None => 1,
            Some(count) if count > 0 && self.rank != i64::MIN => count,
            Some(_) => usize::MAX,
        };
        let rank = self.rank.checked_abs().unwrap_or(1);
        (rank as usize - 1, wanted)
    }

    /// The indexes that are to be answered.
    fn find(&self, list: &List, element: &[u8]) -> SmallVec<[usize; 8]> {
        let (skipped, wanted) = self.window();
        let equal = |(_, item): &(usize, damselfly_store::values::Item<'_>)| item == element;
        let (max_len, last) = (self.max_len, list.len().wrapping_sub(1));
        if self.rank < 0 {
            let items = list.iter_rev().enumerate().take(max_len);
            items
                .filter(equal)
                .skip(skipped)
                .take(wanted)
                .map(|(at, _)| last - at)
                .collect()
        } else {
            let items = list.iter().enumerate().take(max_len);
            items
                .filter(equal)
                .skip(skipped)
                .take(wanted)
                .map(|(at, _)| at)
                .collect()
        }
    }
}

fn lpos_rank(arg: &[u8]) -> Result<i64, CommandError> {
    match integer(arg)? {
        0 => Err(CommandError::text(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
             or use negative to start from the end of the list",
        )),
        rank => Ok(rank),
    }
}

pub(super) fn lpos(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let options = LposOptions::parse(args)?;
    let found = cx
        .typed::<List>(args[1])?
        .map(|list| options.find(list, args[2]))
        .unwrap_or_default();
    if options.count.is_some() {
        out.array(found.len());
        found.iter().for_each(|at| out.integer(*at as i64));
    } else {
        match found.first() {
            Some(at) => out.integer(*at as i64),
            None => out.null(),
        }
    }
    Ok(())
}
