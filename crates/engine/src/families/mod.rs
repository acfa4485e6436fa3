//! The command families: every command is one row in its family's file.

pub mod connection;

use crate::command::Command;

/// All families of the engine.
pub static ALL: &[&[Command]] = &[connection::COMMANDS, crate::session::TRANSACTION_COMMANDS];
