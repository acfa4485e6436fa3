//! The command families: every command is one row in its family's file.

pub mod connection;
pub mod debug;
pub mod generic;
pub mod glob;
pub mod options;
pub mod strings;

use crate::command::Command;

/// All families of the engine.
pub static ALL: &[&[Command]] = &[connection::COMMANDS, debug::COMMANDS, generic::COMMANDS, strings::COMMANDS, crate::session::TRANSACTION_COMMANDS];
