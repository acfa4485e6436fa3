//! What happens at the ends of lists: push, pop, move.

use crate::command::{CommandError, CommandResult};
use crate::context::{RewriteContext, WriteContext};
use crate::families::collections::{MultiPop, change_or_create, removed};
use crate::families::options::{is_word, not_negative};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::List;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Left,
    Right,
}

impl End {
    pub(super) fn parse(word: &[u8]) -> Result<End, CommandError> {
        if is_word(word, "LEFT") {
            Ok(End::Left)
        } else if is_word(word, "RIGHT") {
            Ok(End::Right)
        } else {
            Err(CommandError::Syntax)
        }
    }

    /// Name of the event, and of the command, that takes elements here.
    pub(super) fn pop_name(self) -> &'static str {
        match self {
            End::Left => "lpop",
            End::Right => "rpop",
        }
    }

    pub(super) fn push_event(self) -> &'static str {
        match self {
            End::Left => "lpush",
            End::Right => "rpush",
        }
    }

    fn push(self, list: &mut List, element: &[u8]) {
        match self {
            End::Left => list.push_front(element),
            End::Right => list.push_back(element),
        }
    }

    /// Index of the first of the `count` elements at this end.
    fn start(self, list: &List, count: usize) -> usize {
        match self {
            End::Left => 0,
            End::Right => list.len() - count,
        }
    }

    /// Removes `count` elements at this end, and writes them as they come.
    pub(super) fn pop(self, list: &mut List, count: usize, out: &mut ReplyWriter<'_>) {
        let start = self.start(list, count);
        let elements = list.range(start, count);
        match self {
            End::Left => elements.for_each(|element| out.bulk(element)),
            End::Right => elements.rev().for_each(|element| out.bulk(element)),
        }
        list.remove_range(start, count);
    }
}

pub(super) fn lpush(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    push(cx, args, out, End::Left)
}

pub(super) fn rpush(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    push(cx, args, out, End::Right)
}

pub(super) fn lpushx(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    push_existing(cx, args, out, End::Left)
}

pub(super) fn rpushx(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    push_existing(cx, args, out, End::Right)
}

fn push(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
    end: End,
) -> CommandResult {
    let len = change_or_create(cx, args[1], |list: &mut List| {
        push_all(list, &args[2..], end)
    })?;
    cx.modified(EventClass::List, end.push_event(), args[1]);
    out.integer(len as i64);
    Ok(())
}

fn push_existing(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
    end: End,
) -> CommandResult {
    let Some(mut list) = cx.typed_mut::<List>(args[1])? else {
        out.integer(0);
        return Ok(());
    };
    out.integer(push_all(&mut list, &args[2..], end) as i64);
    drop(list);
    cx.modified(EventClass::List, end.push_event(), args[1]);
    Ok(())
}

fn push_all(list: &mut List, elements: &[&[u8]], end: End) -> usize {
    elements.iter().for_each(|element| end.push(list, element));
    list.len()
}

pub(super) fn lpop(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    pop(cx, args, out, End::Left)
}

pub(super) fn rpop(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    pop(cx, args, out, End::Right)
}

fn pop(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
    end: End,
) -> CommandResult {
    if args.len() > 3 {
        return Err(CommandError::Arity(end.pop_name().to_owned()));
    }
    let key = args[1];
    let count = args.get(2).map(|count| not_negative(count)).transpose()?;
    let Some(mut list) = cx.typed_mut::<List>(key)? else {
        if count.is_some() {
            out.null_array()
        } else {
            out.null()
        }
        return Ok(());
    };
    let popped = list.len().min(count.unwrap_or(1) as usize);
    if count.is_some() {
        out.array(popped);
    }
    end.pop(&mut list, popped, out);
    let is_empty = list.is_empty();
    drop(list);
    if popped > 0 {
        removed(cx, EventClass::List, end.pop_name(), key, is_empty);
    }
    Ok(())
}

pub(super) fn rpoplpush(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    move_element(cx, [args[1], args[2]], [End::Right, End::Left], out)
}

pub(super) fn lmove(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let ends = [End::parse(args[3])?, End::parse(args[4])?];
    move_element(cx, [args[1], args[2]], ends, out)
}

pub(super) fn move_element(
    cx: &mut WriteContext<'_>,
    [source, target]: [&[u8]; 2],
    [from, to]: [End; 2],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    if cx.typed::<List>(source)?.is_none() {
        out.null();
        return Ok(());
    }
    // A target of another type is refused before anything changes.
    cx.typed::<List>(target)?;
    let mut list = cx
        .typed_mut::<List>(source)?
        .ok_or(CommandError::NoSuchKey)?;
    let popped = match from {
        End::Left => list.pop_front(),
        End::Right => list.pop_back(),
    };
    let is_empty = list.is_empty();
    drop(list);
    let element = popped.ok_or(CommandError::NoSuchKey)?;
    change_or_create(cx, target, |list: &mut List| to.push(list, &element))?;
    cx.modified(EventClass::List, to.push_event(), target);
    removed(cx, EventClass::List, from.pop_name(), source, is_empty);
    out.bulk(element);
    Ok(())
}

pub(super) fn lmpop(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let pop = MultiPop::parse(args, |word| End::parse(word).is_ok())?;
    if !pop_some(cx, &pop, out)? {
        out.null_array();
    }
    Ok(())
}

/// Pops from the first list that has elements. Whether any has.
pub(super) fn pop_some(
    cx: &mut RewriteContext<'_>,
    pop: &MultiPop<'_>,
    out: &mut ReplyWriter<'_>,
) -> Result<bool, CommandError> {
    let end = End::parse(pop.end)?;
    for &key in pop.keys {
        let Some(mut list) = cx.typed_mut::<List>(key)? else {
            continue;
        };
        let count = list.len().min(pop.count);
        out.array(2);
        out.bulk(key);
        out.array(count);
        end.pop(&mut list, count, out);
        let is_empty = list.is_empty();
        drop(list);
        removed(cx, EventClass::List, end.pop_name(), key, is_empty);
        let name = end.pop_name().to_ascii_uppercase();
        cx.effect(&[
            name.as_bytes(),
            key,
            itoa::Buffer::new().format(count).as_bytes(),
        ]);
        return Ok(true);
    }
    Ok(false)
}
