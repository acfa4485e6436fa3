//! What a row says of a command that can wait for others: for which keys, and how it is tried again for one of them.

use super::{CommandError, ReadHandler};
use damselfly_resp::ReplyWriter;
use damselfly_store::Kind;

/// Makes a command line with one key, that at this position, of one with several.
pub type OnlyKey = fn(&[&[u8]], usize) -> Vec<Vec<u8>>;

/// How a command blocks.
#[derive(Clone, Copy)]
pub struct Blocks {
    /// It is tried again while a key holds this type.
    pub on: Kind,
    /// Which of its keys it waits for.
    pub keys: WaitKeys,
    /// The command line with only the key that stands at this position: what is run for the client when that key is ready.
    pub only: OnlyKey,
    /// Whether it is tried again, too, when a key is gone or holds another type.
    pub gone: bool,
    /// What is tried with the command line for each key before anything is done for any of them, where keys live on several shards
    /// and the command is refused as a whole if it is refused for one.
    pub check: Option<ReadHandler>,
}

/// Which of its keys a command waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitKeys {
    /// All.
    All,
    /// The first; it needs the others to be served (BLMOVE's destination).
    First,
}

impl WaitKeys {
    /// Those of these positions.
    pub(crate) fn of(self, positions: &[u32]) -> &[u32] {
        match self {
            WaitKeys::All => positions,
            WaitKeys::First => &positions[..positions.len().min(1)],
        }
    }
}

/// Of a command that is run key by key: which keys it wants ([`super::Spread::KeyByKey`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The first that has something.
    First,
    /// All that have something. The answer for one key is an array, or a map, of one; they become a single one.
    All,
}

/// A handler found nothing, and its client wants to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// For how long, in milliseconds; `None` for ever.
    pub timeout_ms: Option<u64>,
    /// The command line to be tried again, its keys at the same positions, where it is not the one that came.
    pub args: Option<Vec<Vec<u8>>>,
    /// The answer where nothing may wait.
    pub nil: Nil,
}

/// The kinds of nothing in RESP2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nil {
    /// `*-1`
    Array,
    /// `$-1`
    Bulk,
}

impl CommandError {
    /// A handler found nothing, and its client wants to wait.
    pub fn wait(wait: Wait) -> CommandError {
        CommandError::Wait(Box::new(wait))
    }

    /// Writes this as the reply of a command that may not wait.
    pub fn write(&self, out: &mut ReplyWriter<'_>) {
        match self {
            CommandError::Wait(wait) if wait.nil == Nil::Bulk => out.null(),
            CommandError::Wait(_) => out.null_array(),
            error => out.error(error.reply()),
        }
    }

    /// Whether it is an error for the client.
    pub fn is_error(&self) -> bool {
        !matches!(self, CommandError::Wait(_))
    }
}
