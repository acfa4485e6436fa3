//! Commands on single fields of hashes.

use super::expiry::{BAD_NUMBER, fields_at};
use super::fields_now;
use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, RewriteContext, WriteContext};
use crate::families::collections::{change_or_create, removed};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::{Hash, HashAt};

pub(super) fn hset(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let added = set_pairs(cx, args, "hset")?;
    out.integer(added as i64);
    Ok(())
}

pub(super) fn hmset(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    set_pairs(cx, args, "hmset")?;
    out.ok();
    Ok(())
}

/// Sets field after field; returns how many are new.
fn set_pairs(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    command: &str,
) -> Result<usize, CommandError> {
    let (pairs, rest) = args[2..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(CommandError::Arity(command.to_owned()));
    }
    let added = change_or_create(cx, args[1], |hash: &mut Hash| {
        pairs
            .iter()
            .filter(|[field, value]| hash.insert(field, value))
            .count()
    })?;
    cx.modified(EventClass::Hash, "hset", args[1]);
    Ok(added)
}

pub(super) fn hsetnx(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let is_new = !cx
        .typed::<Hash>(args[1])?
        .is_some_and(|hash| hash.contains(args[2]));
    if is_new {
        change_or_create(cx, args[1], |hash: &mut Hash| hash.insert(args[2], args[3]))?;
        cx.modified(EventClass::Hash, "hset", args[1]);
    }
    out.integer(is_new.into());
    Ok(())
}

pub(super) fn hget(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer_field(fields_now(cx, args[1])?, args[2], out);
    Ok(())
}

pub(super) fn hmget(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let hash = fields_now(cx, args[1])?;
    out.array(args.len() - 2);
    args[2..]
        .iter()
        .for_each(|field| answer_field(hash, field, out));
    Ok(())
}

fn answer_field(hash: Option<HashAt<'_>>, field: &[u8], out: &mut ReplyWriter<'_>) {
    match hash.and_then(|hash| hash.get(field)) {
        Some(value) => out.bulk(value),
        None => out.null(),
    }
}

pub(super) fn hdel(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let Some(mut hash) = cx.typed_mut::<Hash>(args[1])? else {
        out.integer(0);
        return Ok(());
    };
    let taken = args[2..].iter().filter(|field| hash.remove(field)).count();
    let is_empty = hash.is_empty();
    drop(hash);
    if taken > 0 {
        removed(cx, EventClass::Hash, "hdel", args[1], is_empty);
    }
    out.integer(taken as i64);
    Ok(())
}

/// Its effect is an HDEL, which older replicas know too.
pub(super) fn hgetdel(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let key = args[1];
    cx.typed::<Hash>(key)?;
    let fields = fields_at(args, 2, BAD_NUMBER)?;
    let mut removed_fields = Vec::new();
    out.array(fields.len());
    let Some(mut hash) = cx.typed_mut::<Hash>(key)? else {
        fields.iter().for_each(|_| out.null());
        return Ok(());
    };
    for &field in fields {
        match hash.get(field) {
            Some(value) => out.bulk(value),
            None => out.null(),
        }
        if hash.remove(field) {
            removed_fields.push(field);
        }
    }
    let is_empty = hash.is_empty();
    drop(hash);
    if !removed_fields.is_empty() {
        removed(cx, EventClass::Hash, "hdel", key, is_empty);
        cx.effect(&[&[&b"HDEL"[..], key], &removed_fields[..]].concat());
    }
    Ok(())
}

pub(super) fn hexists(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let hash = fields_now(cx, args[1])?;
    out.integer(hash.is_some_and(|hash| hash.contains(args[2])).into());
    Ok(())
}

pub(super) fn hstrlen(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let value = fields_now(cx, args[1])?.and_then(|hash| hash.get(args[2]));
    out.integer(value.map_or(0, |value| value.len()) as i64);
    Ok(())
}
