//! SETBIT and GETBIT.

use super::bit_offset;
use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, WriteContext};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::{INT_TEXT_MAX, StrValue};

/// The bit's place in its byte.
fn mask(offset: usize) -> u8 {
    0x80 >> (offset % 8)
}

pub(super) fn setbit(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, offset) = (args[1], bit_offset(args[2], None)?);
    let on = match args[3] {
        b"0" => false,
        b"1" => true,
        _ => {
            return Err(CommandError::text(
                "ERR bit is not an integer or out of range",
            ));
        }
    };
    let mut string = cx.typed_or_create::<StrValue>(key)?;
    let old = string.read(&mut [0; INT_TEXT_MAX]).get(offset / 8).copied();
    let byte = old.unwrap_or(0);
    let new = if on {
        byte | mask(offset)
    } else {
        byte & !mask(offset)
    };
    let changes = old != Some(new);
    if changes {
        string.set_range(offset / 8, &[new]);
    }
    drop(string);
    if changes {
        cx.modified(EventClass::String, "setbit", key);
    }
    out.integer((byte & mask(offset) != 0).into());
    Ok(())
}

pub(super) fn getbit(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let offset = bit_offset(args[2], None)?;
    let mut scratch = [0; INT_TEXT_MAX];
    let byte = cx
        .typed::<StrValue>(args[1])?
        .and_then(|string| string.read(&mut scratch).get(offset / 8).copied())
        .unwrap_or(0);
    out.integer((byte & mask(offset) != 0).into());
    Ok(())
}
