//! The commands that belong to the server rather than to the engine.

mod config;

use damselfly_engine::Command;

pub use config::apply_changes;

/// The rows that the engine's table is extended with.
pub static COMMANDS: &[&[Command]] = &[config::COMMANDS];
