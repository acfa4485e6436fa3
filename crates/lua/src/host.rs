//! What a script needs of whoever runs it.

use crate::words::Words;
use damselfly_resp::Proto;

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// Its reply is there.
    Replied,
    /// It has to wait: the script is suspended, and whoever drives it brings the reply.
    Later,
}

/// What a running script does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// It goes on.
    Go,
    /// It is suspended, so that others get their turn.
    Pause,
    /// It ends, with this text as its error.
    Kill(&'static str),
}

/// Runs a script's commands, and says how long it may go on.
pub trait Host {
    /// Runs a command at once, if it can be run at once. The reply is in the protocol that the script chose.
    fn call(&self, words: &[&[u8]], proto: Proto, reply: &mut Vec<u8>) -> Called;

    /// Asked every some ten thousand instructions.
    fn tick(&self) -> Tick;

    /// Whether the client may run this command; `None` if there is no such command.
    fn may_run(&self, words: &Words) -> Option<bool>;
}
