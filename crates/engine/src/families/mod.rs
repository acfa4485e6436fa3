//! The command families: every command is one row in its family's file.

pub mod bits;
mod collections;
pub mod connection;
pub mod debug;
mod element_expiry;
pub mod generic;
pub mod geo;
pub mod glob;
pub mod hashes;
pub mod hyperloglog;
pub mod lists;
pub mod options;
mod partial_sort;
pub mod pubsub;
pub mod scripting;
pub mod server;
pub mod sets;
pub mod sorted_sets;
pub mod streams;
pub mod strings;

use crate::command::Command;

/// All families of the engine.
pub static ALL: &[&[Command]] = &[
    connection::COMMANDS,
    pubsub::COMMANDS,
    server::COMMANDS,
    debug::COMMANDS,
    generic::COMMANDS,
    strings::COMMANDS,
    bits::COMMANDS,
    hyperloglog::COMMANDS,
    lists::COMMANDS,
    hashes::COMMANDS,
    sets::COMMANDS,
    sorted_sets::COMMANDS,
    geo::COMMANDS,
    streams::COMMANDS,
    scripting::COMMANDS,
    crate::replicate::COMMANDS,
    crate::replicate::HANDOVER_COMMANDS,
    crate::files::COMMANDS,
    crate::session::TRANSACTION_COMMANDS,
];
