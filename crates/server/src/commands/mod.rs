//! The commands that belong to the server rather than to the engine.

mod acl;
mod client;
mod config;
pub(crate) mod info;
mod migrate;
mod shutdown;
mod slow;

use damselfly_engine::Command;
use damselfly_engine::resp::ReplyWriter;

pub use acl::load_at_start;
pub use config::{apply_changes, apply_output_limits, limit_thread, limits_of};

/// The rows that the engine's table is extended with.
pub static COMMANDS: &[&[Command]] = &[
    acl::COMMANDS,
    client::COMMANDS,
    config::COMMANDS,
    info::COMMANDS,
    info::MEMORY_COMMANDS,
    migrate::COMMANDS,
    shutdown::COMMANDS,
    slow::COMMANDS,
];

/// The answer to HELP.
fn write_help(lines: &[&str], out: &mut ReplyWriter<'_>) {
    out.array(lines.len());
    lines.iter().for_each(|line| out.simple(line));
}
