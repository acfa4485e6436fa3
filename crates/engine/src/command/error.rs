//! Errors of commands, with the texts that clients of Redis know.

use std::borrow::Cow;

/// Why a command was refused. The text is what goes to the client, code word first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The key holds another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// An argument is no 64-bit integer.
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    /// An argument is no float.
    #[error("ERR value is not a valid float")]
    NotFloat,
    /// The options do not fit together.
    #[error("ERR syntax error")]
    Syntax,
    /// The key does not exist where it must.
    #[error("ERR no such key")]
    NoSuchKey,
    /// An index outside the value.
    #[error("ERR index out of range")]
    IndexOutOfRange,
    /// An increment would overflow.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// A database number outside `dbnum`.
    #[error("ERR DB index is out of range")]
    DbIndex,
    /// An integer argument outside its range.
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    /// The string would pass `proto-max-bulk-len`.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    /// An expiry that can't be represented.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(String),
    /// Wrong number of arguments.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(String),
    /// A command that takes memory, over `maxmemory`.
    #[error("OOM command not allowed when used memory > 'maxmemory'.")]
    OutOfMemory,
    /// A write on a replica.
    #[error("READONLY You can't write against a read only replica.")]
    ReadOnly,
    /// A write, and too few replicas are near enough.
    #[error("NOREPLICAS Not enough good replicas to write.")]
    NoReplicas,
    /// No error: there is nothing yet, and the client wants to wait.
    #[error("ERR the command has to wait")]
    Wait(Box<super::Wait>),
    /// Anything else: the whole text, with its code word.
    #[error("{0}")]
    Text(Cow<'static, str>),
    /// A whole text that repeats bytes of the client as they came.
    #[error("{}", String::from_utf8_lossy(.0))]
    Echo(Vec<u8>),
}

impl CommandError {
    /// An error of a fixed text (with its code word, `"ERR …"`).
    pub const fn text(text: &'static str) -> CommandError {
        CommandError::Text(Cow::Borrowed(text))
    }

    /// An error of a composed text (with its code word).
    pub fn owned(text: String) -> CommandError {
        CommandError::Text(Cow::Owned(text))
    }

    /// An error that repeats an argument between two texts, as Redis does: its bytes as they are, up to a NUL.
    pub fn echo(before: &str, argument: &[u8], after: &str) -> CommandError {
        CommandError::Echo(
            [
                before.as_bytes(),
                echoed(argument, usize::MAX),
                after.as_bytes(),
            ]
            .concat(),
        )
    }

    /// The bytes that go to the client.
    pub fn reply(&self) -> Cow<'_, [u8]> {
        match self {
            CommandError::Text(text) => Cow::Borrowed(text.as_bytes()),
            CommandError::Echo(text) => Cow::Borrowed(text),
            other => Cow::Owned(other.to_string().into_bytes()),
        }
    }
}

/// What C prints of bytes with `%.*s`: no more than `most` of them, and nothing from a NUL on.
pub(crate) fn echoed(bytes: &[u8], most: usize) -> &[u8] {
    let shown = &bytes[..bytes.len().min(most)];
    shown.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoes_are_raw_and_end_at_a_nul() {
        assert_eq!(
            CommandError::echo("ERR '", b"\xff\0x", "'").reply(),
            &b"ERR '\xff'"[..]
        );
        assert_eq!((echoed(b"abc", 2), echoed(b"", 2)), (&b"ab"[..], &b""[..]));
        assert_eq!(CommandError::Syntax.reply(), &b"ERR syntax error"[..]);
    }
}
