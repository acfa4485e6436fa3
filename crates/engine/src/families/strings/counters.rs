//! Strings as numbers.

use crate::command::{CommandError, CommandResult};
use crate::context::{RewriteContext, WriteContext};
use crate::families::options::integer;
use crate::keyspace::EventClass;
use damselfly_resp::{LongDouble, ReplyWriter, format_long_double};
use damselfly_store::{StrValue, Value};

pub(super) fn incr(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    add(cx, args[1], 1, out)
}

pub(super) fn decr(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    add(cx, args[1], -1, out)
}

pub(super) fn incrby(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    add(cx, args[1], integer(args[2])?, out)
}

pub(super) fn decrby(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let by = integer(args[2])?
        .checked_neg()
        .ok_or(CommandError::text("ERR decrement would overflow"))?;
    add(cx, args[1], by, out)
}

fn add(cx: &mut WriteContext<'_>, key: &[u8], by: i64, out: &mut ReplyWriter<'_>) -> CommandResult {
    // A counter that is made here can't fail: nothing is left behind by an error.
    let mut number = cx.typed_or_create_with(key, || Value::Str(StrValue::from_int(0)))?;
    let old = StrValue::as_int(&number).ok_or(CommandError::NotInteger)?;
    let sum = old.checked_add(by).ok_or(CommandError::Overflow)?;
    *number = StrValue::from_int(sum);
    drop(number);
    cx.modified(EventClass::String, "incrby", key);
    out.integer(sum);
    Ok(())
}

pub(super) fn incrbyfloat(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let key = args[1];
    let old = match cx.typed::<StrValue>(key)? {
        Some(string) => LongDouble::parse(&string.bytes()).ok_or(CommandError::NotFloat)?,
        None => LongDouble::from(0.0),
    };
    let by = LongDouble::parse(args[2]).ok_or(CommandError::NotFloat)?;
    let sum = old
        .add(by)
        .filter(|sum| sum.is_finite())
        .ok_or(CommandError::text(
            "ERR increment would produce NaN or Infinity",
        ))?;
    let mut text = Vec::with_capacity(32);
    format_long_double(&mut text, sum);
    cx.put_keeping_expiry(key, Value::string(&text));
    cx.modified(EventClass::String, "incrbyfloat", key);
    cx.effect(&[b"SET", key, &text, b"KEEPTTL"]);
    out.bulk(text);
    Ok(())
}
