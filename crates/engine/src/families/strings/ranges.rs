//! Parts of strings.

use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, WriteContext};
use crate::families::options::{check_string_len, integer};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::{INT_TEXT_MAX, StrValue};

pub(super) fn strlen(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    out.integer(cx.typed::<StrValue>(args[1])?.map_or(0, StrValue::len) as i64);
    Ok(())
}

pub(super) fn append(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, more) = (args[1], args[2]);
    let Some(mut string) = cx.typed_mut::<StrValue>(key)? else {
        cx.put(key, StrValue::new(more).into(), None);
        cx.modified(EventClass::String, "append", key);
        out.integer(more.len() as i64);
        return Ok(());
    };
    check_string_len(string.len(), more.len())?;
    string.append(more);
    let len = string.len();
    drop(string);
    if more.is_empty() {
        cx.touched(key);
    } else {
        cx.modified(EventClass::String, "append", key);
    }
    out.integer(len as i64);
    Ok(())
}

pub(super) fn setrange(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, part) = (args[1], args[3]);
    let offset = usize::try_from(integer(args[2])?)
        .map_err(|_| CommandError::text("ERR offset is out of range"))?;
    let len = cx.typed::<StrValue>(key)?.map_or(0, StrValue::len);
    if part.is_empty() {
        out.integer(len as i64);
        return Ok(());
    }
    check_string_len(offset, part.len())?;
    let mut string = cx.typed_or_create::<StrValue>(key)?;
    string.set_range(offset, part);
    let len = string.len();
    drop(string);
    cx.modified(EventClass::String, "setrange", key);
    out.integer(len as i64);
    Ok(())
}

pub(super) fn getrange(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (start, end) = (integer(args[2])?, integer(args[3])?);
    let mut scratch = [0; INT_TEXT_MAX];
    let string = cx
        .typed::<StrValue>(args[1])?
        .map_or(&b""[..], |string| string.read(&mut scratch));
    out.bulk(part(string, start, end));
    Ok(())
}

/// The bytes from `start` to `end`, both included, negative ones counted from the end. Unlike in LRANGE an `end` far before the
/// beginning means the first byte.
fn part(string: &[u8], start: i64, end: i64) -> &[u8] {
    if string.is_empty() || (start < 0 && end < 0 && start > end) {
        return b"";
    }
    let len = string.len() as i64;
    let from_end = |at: i64| if at < 0 { (at + len).max(0) } else { at };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end {
        b""
    } else {
        &string[start as usize..=end as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn parts_as_redis_cuts_them() {
        for (start, end, expected) in [
            (0, -1, &b"hello"[..]),
            (-3, -1, b"llo"),
            (1, 1, b"e"),
            (0, -100, b"h"),
            (-1, -3, b""),
            (5, 9, b""),
            (i64::MIN, i64::MAX, b"hello"),
            (i64::MAX, i64::MIN, b""),
        ] {
            assert_eq!(part(b"hello", start, end), expected, "{start} {end}");
        }
        assert_eq!(part(b"", 0, -1), b"");
    }
}
