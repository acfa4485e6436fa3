//! BITOP.

use crate::command::{CommandError, CommandResult};
use crate::context::WriteContext;
use crate::families::options::is_word;
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::{INT_TEXT_MAX, StrValue};

/// What is done bit by bit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Operation {
    fn parse(word: &[u8]) -> Result<Operation, CommandError> {
        let all = [
            ("AND", Operation::And),
            ("OR", Operation::Or),
            ("XOR", Operation::Xor),
            ("NOT", Operation::Not),
        ];
        let found = all.into_iter().find(|(name, _)| is_word(word, name));
        found
            .map(|(_, operation)| operation)
            .ok_or(CommandError::Syntax)
    }

    /// Takes one more source in; `result` is as long as the longest.
    fn fold(self, result: &mut [u8], source: &[u8]) {
        let (common, beyond) = result.split_at_mut(source.len());
        let pairs = common.iter_mut().zip(source);
        match self {
            Operation::And => {
                pairs.for_each(|(byte, other)| *byte &= other);
                beyond.fill(0);
            }
            Operation::Or => pairs.for_each(|(byte, other)| *byte |= other),
            Operation::Xor => pairs.for_each(|(byte, other)| *byte ^= other),
            Operation::Not => {}
        }
    }
}

pub(super) fn bitop(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let operation = Operation::parse(args[1])?;
    let (destination, keys) = (args[2], &args[3..]);
    if operation == Operation::Not && keys.len() != 1 {
        return Err(CommandError::text(
            "ERR BITOP NOT must be called with a single source key.",
        ));
    }
    let result = combined(cx, operation, keys)?;
    let len = result.len();
    if len > 0 {
        cx.put(destination, StrValue::new(&result).into(), None);
        cx.modified(EventClass::String, "set", destination);
    } else if cx.remove(destination) {
        cx.modified(EventClass::Generic, "del", destination);
    }
    out.integer(len as i64);
    Ok(())
}

/// The result, as long as the longest source; those that are shorter, or absent, go on with zeros.
fn combined(
    cx: &WriteContext<'_>,
    operation: Operation,
    keys: &[&[u8]],
) -> Result<Vec<u8>, CommandError> {
    let mut len = 0;
    for key in keys {
        len = cx
            .source::<StrValue>(key)?
            .map_or(0, StrValue::len)
            .max(len);
    }
    let mut result = Vec::with_capacity(len);
    for (index, key) in keys.iter().enumerate() {
        let mut scratch = [0; INT_TEXT_MAX];
        let source = cx
            .typed::<StrValue>(key)?
            .map_or(&b""[..], |string| string.read(&mut scratch));
        if index == 0 {
            result.extend_from_slice(source);
            result.resize(len, 0);
        } else {
            operation.fold(&mut result, source);
        }
    }
    if operation == Operation::Not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    Ok(result)
}
