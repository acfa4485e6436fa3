//! BITFIELD and BITFIELD_RO.

use super::field_args::{Action, Operation};
use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, WriteContext};
use crate::families::options::is_word;
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::{INT_TEXT_MAX, StrValue};

/// Bytes that an integer of 64 bits can reach into.
const WINDOW: usize = 9;

/// The bytes that one operation reaches into.
struct Window {
    bytes: u128,
    /// Bits behind the integer.
    shift: u32,
}

impl Window {
    fn read(operation: &Operation, string: Option<&StrValue>) -> Window {
        let mut scratch = [0; INT_TEXT_MAX];
        let string = string.map_or(&b""[..], |string| string.read(&mut scratch));
        let range = operation.bytes();
        let byte = |at: usize| u128::from(string.get(at).copied().unwrap_or(0));
        Window {
            shift: (range.end * 8 - operation.offset) as u32 - operation.of.bits,
            bytes: range.fold(0, |bytes, at| bytes << 8 | byte(at)),
        }
    }

    fn integer(&self, operation: &Operation) -> i64 {
        operation.of.interpret((self.bytes >> self.shift) as u64)
    }

    /// Writes the bytes back with another integer in them.
    fn write(&self, operation: &Operation, integer: i64, string: &mut StrValue) {
        let mask = (u128::from(u64::MAX) >> (64 - operation.of.bits)) << self.shift;
        let integer = (integer as u128) << self.shift & mask;
        let bytes = (self.bytes & !mask | integer).to_be_bytes();
        let range = operation.bytes();
        debug_assert!(range.len() <= WINDOW);
        string.set_range(range.start, &bytes[bytes.len() - range.len()..]);
    }
}

/// Runs one operation: its reply, and whether the string changed.
fn run(operation: &Operation, string: &mut StrValue) -> (Option<i64>, bool) {
    let window = Window::read(operation, Some(string));
    let old = window.integer(operation);
    let (new, answers_new) = match operation.action {
        Action::Get => return (Some(old), false),
        Action::Set(value, overflow) => (operation.of.add(value, 0, overflow), false),
        Action::Increase(by, overflow) => (operation.of.add(old, by, overflow), true),
    };
    let Some(new) = new else {
        return (None, false);
    };
    if new != old {
        window.write(operation, new, string);
    }
    (Some(if answers_new { new } else { old }), new != old)
}

/// What a command line of BITFIELD does to its key, as Redis guesses it: what can't be read may write.
pub(super) fn access(args: &[&[u8]]) -> &'static str {
    const WRITES: &str = "RW access update";
    let mut at = 2;
    while let Some(word) = args.get(at) {
        let left = args.len() - at - 1;
        at += match word {
            _ if is_word(word, "GET") && left >= 2 => 3,
            _ if is_word(word, "OVERFLOW") && left >= 1 => 2,
            _ => return WRITES,
        };
    }
    "RO access"
}

pub(super) fn bitfield(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, operations) = (args[1], Operation::parse_all(args)?);
    let writes = operations.iter().filter(|operation| operation.writes());
    let Some(len) = writes.map(|operation| operation.bytes().end).max() else {
        read(cx.source(key)?, &operations, out);
        return Ok(());
    };
    let mut string = cx.typed_or_create::<StrValue>(key)?;
    // Also where the operation then fails.
    let mut changes = string.len() < len;
    if changes {
        string.set_range(len - 1, &[0]);
    }
    let mut replies = Vec::with_capacity(operations.len());
    for operation in &operations {
        let (reply, changed) = run(operation, &mut string);
        changes |= changed;
        replies.push(reply);
    }
    drop(string);
    if changes {
        cx.modified(EventClass::String, "setbit", key);
    }
    out.array(replies.len());
    for reply in replies {
        match reply {
            Some(integer) => out.integer(integer),
            None => out.null(),
        }
    }
    Ok(())
}

pub(super) fn bitfield_ro(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let operations = Operation::parse_all(args)?;
    if operations.iter().any(Operation::writes) {
        return Err(CommandError::text(
            "ERR BITFIELD_RO only supports the GET subcommand",
        ));
    }
    read(cx.typed(args[1])?, &operations, out);
    Ok(())
}

fn read(string: Option<&StrValue>, operations: &[Operation], out: &mut ReplyWriter<'_>) {
    out.array(operations.len());
    for operation in operations {
        out.integer(Window::read(operation, string).integer(operation));
    }
}
