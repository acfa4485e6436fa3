//! Commands on the members of one set.

use super::members_now;
use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, WriteContext};
use crate::families::collections::{change_or_create, removed, scan};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::{Expiring, Set, SetAt};

pub(super) fn sadd(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let add = |set: &mut Set| args[2..].iter().filter(|member| set.insert(member)).count();
    let added = change_or_create(cx, args[1], add)?;
    if added > 0 {
        cx.modified(EventClass::Set, "sadd", args[1]);
    }
    out.integer(added as i64);
    Ok(())
}

pub(super) fn srem(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let taken = remove(cx, args[1], &args[2..])?;
    out.integer(taken as i64);
    Ok(())
}

/// Removes members, and reports it; returns how many there were.
fn remove(cx: &mut WriteContext<'_>, key: &[u8], members: &[&[u8]]) -> Result<usize, CommandError> {
    let Some(mut set) = cx.typed_mut::<Set>(key)? else {
        return Ok(0);
    };
    let taken = members.iter().filter(|member| set.remove(member)).count();
    let is_empty = set.is_empty();
    drop(set);
    if taken > 0 {
        removed(cx, EventClass::Set, "srem", key, is_empty);
    }
    Ok(taken)
}

pub(super) fn scard(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    out.integer(members_now(cx, args[1])?.map_or(0, |set| set.len()) as i64);
    Ok(())
}

pub(super) fn sismember(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let set = members_now(cx, args[1])?;
    out.integer(set.is_some_and(|set| set.contains(args[2])).into());
    Ok(())
}

pub(super) fn smismember(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let set = members_now(cx, args[1])?;
    out.array(args.len() - 2);
    for member in &args[2..] {
        out.integer(set.is_some_and(|set| set.contains(member)).into());
    }
    Ok(())
}

pub(super) fn smembers(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let set = members_now(cx, args[1])?;
    out.set(set.map_or(0, |set| set.len()));
    set.into_iter()
        .flat_map(SetAt::iter)
        .for_each(|member| out.bulk(member));
    Ok(())
}

pub(super) fn sscan(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let now = cx.now();
    scan(cx, args, out, 1, |set: &Set, cursor, sink| {
        set.at(now).scan(cursor, &mut |member| {
            sink(member, &mut |out| out.bulk(member))
        })
    })
}

pub(super) fn smove(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (source, target, member) = (args[1], args[2], args[3]);
    let Some(set) = cx.typed::<Set>(source)? else {
        out.integer(0);
        return Ok(());
    };
    let is_there = set.contains(member);
    // A target of another type is refused before anything changes.
    cx.typed::<Set>(target)?;
    out.integer(is_there.into());
    if is_there && source != target {
        remove(cx, source, &[member])?;
        if change_or_create(cx, target, |set: &mut Set| set.insert(member))? {
            cx.modified(EventClass::Set, "sadd", target);
        }
    }
    Ok(())
}
