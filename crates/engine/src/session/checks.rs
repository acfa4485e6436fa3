//! What is checked before any command runs, in Redis's order.

use super::{Session, arity_error};
use crate::command::{Command, CommandError, Flags};
use crate::engine::Role;
use std::fmt::Write;

/// Bytes of an unknown command's arguments that its error repeats (Redis: 128).
const UNKNOWN_ECHO_BYTES: usize = 128;

impl Session {
    /// The row that these arguments mean, if the command may run now.
    pub(super) fn admit(&self, args: &[&[u8]]) -> Result<&'static Command, CommandError> {
        let row = self.find(args)?;
        let engine = &self.thread.engine;
        if row.flags.has(Flags::NO_MULTI) && self.multi.is_some() {
            return Err(CommandError::text("ERR Command not allowed inside a transaction"));
        }
        if row.is_write() && engine.role() == Role::Replica && !self.is_internal {
            return Err(CommandError::ReadOnly);
        }
        if engine.is_loading() && !row.flags.has(Flags::LOADING) {
            return Err(CommandError::text("LOADING Redis is loading the dataset in memory"));
        }
        Ok(row)
    }

    /// The row that these arguments name, whether they fit it or not.
    pub(super) fn named(&self, args: &[&[u8]]) -> Option<&'static Command> {
        let row = self.thread.engine.table.find(args[0])?;
        args.get(1).and_then(|word| row.subcommand(word)).or(Some(row))
    }

    /// The row that these arguments mean, subcommands included, with the right number of arguments.
    pub fn find(&self, args: &[&[u8]]) -> Result<&'static Command, CommandError> {
        let row = self.thread.engine.table.find(args[0]).ok_or_else(|| unknown_command(args))?;
        if row.subcommands.is_empty() {
            return if row.accepts(args.len()) { Ok(row) } else { Err(arity_error(row.name)) };
        }
        let Some(word) = args.get(1) else {
            return if row.accepts(1) { Ok(row) } else { Err(arity_error(row.name)) };
        };
        let sub = row.subcommand(word).ok_or_else(|| unknown_subcommand(row, word))?;
        if sub.accepts(args.len()) { Ok(sub) } else { Err(arity_error(&format!("{}|{}", row.name, sub.name))) }
    }
}

fn unknown_command(args: &[&[u8]]) -> CommandError {
    let mut text = format!(
        "ERR unknown command '{}', with args beginning with: ",
        printable(&args[0][..args[0].len().min(UNKNOWN_ECHO_BYTES)])
    );
    let mut echoed = 0;
    for arg in &args[1..] {
        if echoed >= UNKNOWN_ECHO_BYTES {
            break;
        }
        let shown = &arg[..arg.len().min(UNKNOWN_ECHO_BYTES - echoed)];
        let _ = write!(text, "'{}' ", printable(shown));
        echoed += shown.len() + 3;
    }
    CommandError::owned(text)
}

fn unknown_subcommand(row: &Command, word: &[u8]) -> CommandError {
    CommandError::owned(format!(
        "ERR unknown subcommand '{}'. Try {} HELP.",
        printable(&word[..word.len().min(UNKNOWN_ECHO_BYTES)]),
        row.name.to_ascii_uppercase()
    ))
}

fn printable(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
