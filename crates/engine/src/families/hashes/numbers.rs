//! Counting in fields of hashes.

use super::expiry::effect_of_expiry;
use crate::command::{CommandError, CommandResult};
use crate::context::{RewriteContext, WriteContext};
use crate::families::collections::change_or_create;
use crate::families::options::integer;
use crate::keyspace::EventClass;
use damselfly_resp::{LongDouble, ReplyWriter, format_long_double, parse_i64};
use damselfly_store::values::{Expiring, Hash};

pub(super) fn hincrby(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let increment = integer(args[3])?;
    let new = change_or_create(cx, args[1], |hash: &mut Hash| {
        increase(hash, args[2], increment)
    })??;
    cx.modified(EventClass::Hash, "hincrby", args[1]);
    out.integer(new);
    Ok(())
}

/// Fails only where the field is there already.
fn increase(hash: &mut Hash, field: &[u8], increment: i64) -> Result<i64, CommandError> {
    let old = match hash.get(field) {
        Some(text) => {
            parse_i64(&text).ok_or(CommandError::text("ERR hash value is not an integer"))?
        }
        None => 0,
    };
    let new = old.checked_add(increment).ok_or(CommandError::Overflow)?;
    hash.insert_keeping_expiry(field, itoa::Buffer::new().format(new).as_bytes());
    Ok(new)
}

/// Its effect is an HSET of the result: other machines may add floats differently.
pub(super) fn hincrbyfloat(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let increment = LongDouble::parse(args[3]).ok_or(CommandError::NotFloat)?;
    if !increment.is_finite() {
        return Err(CommandError::text("ERR value is NaN or Infinity"));
    }
    let text = change_or_create(cx, args[1], |hash: &mut Hash| {
        increase_float(hash, args[2], increment)
    })??;
    cx.modified(EventClass::Hash, "hincrbyfloat", args[1]);
    cx.effect(&[b"HSET", args[1], args[2], &text]);
    // HSET takes the field's time away.
    let hash = cx.typed::<Hash>(args[1])?;
    if let Some(at) = hash.and_then(|hash| hash.element_expiry(args[2])) {
        effect_of_expiry(cx, args[1], at, &[args[2]]);
    }
    out.bulk(text);
    Ok(())
}

/// Fails only where the field is there already.
fn increase_float(
    hash: &mut Hash,
    field: &[u8],
    increment: LongDouble,
) -> Result<Vec<u8>, CommandError> {
    const NOT_FINITE: CommandError =
        CommandError::text("ERR increment would produce NaN or Infinity");
    let old = match hash.get(field) {
        Some(text) => {
            LongDouble::parse(&text).ok_or(CommandError::text("ERR hash value is not a float"))?
        }
        None => LongDouble::from(0.0),
    };
    let new = old
        .add(increment)
        .filter(|sum| sum.is_finite())
        .ok_or(NOT_FINITE)?;
    let mut text = Vec::with_capacity(32);
    format_long_double(&mut text, new);
    hash.insert_keeping_expiry(field, &text);
    Ok(text)
}
