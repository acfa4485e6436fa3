//! Scripts: what all threads know of them, and how a session runs one.
//!
//! A script is a transaction. Where all its keys live on one shard, it runs on that shard's thread, and its commands run in
//! place; its effects are journalled in one run when it ends. Where it takes long, or its keys live on several shards, it is a
//! transaction of the coordinator's: its commands are hops, and the script is suspended while they are under way.

mod cache;
mod call;
mod here;
mod host;
pub mod libraries;
mod pool;
mod running;

use std::sync::Arc;

pub use cache::ScriptCache;
pub(crate) use call::{Code, ScriptCall};
pub(crate) use here::SuspendedScript;
pub use libraries::{Libraries, LibrarySet};
pub(crate) use pool::InterpreterPool;
pub use running::RunningScripts;
pub(crate) use running::{Killed, Running};

/// How scripts are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptOptions {
    /// Scripts may use keys that they have not declared: each is a transaction over all keys then.
    pub undeclared_keys: bool,
    /// Bytes that one Lua state may use.
    pub memory_limit: usize,
    /// Milliseconds after which a script keeps others from running: they are told that the server is busy.
    pub busy_ms: u64,
}

impl Default for ScriptOptions {
    fn default() -> Self {
        ScriptOptions {
            undeclared_keys: false,
            memory_limit: 256 << 20,
            busy_ms: 5_000,
        }
    }
}

/// What all threads share of scripts.
#[derive(Debug, Default)]
pub struct Scripts {
    /// The scripts that are known by their names.
    pub cache: ScriptCache,
    /// The libraries of functions.
    pub libraries: Libraries,
    /// Those that have been running for a while.
    pub running: Arc<RunningScripts>,
}

impl Scripts {
    /// None yet.
    pub fn new(options: ScriptOptions) -> Scripts {
        let scripts = Scripts::default();
        scripts.running.set_busy_ms(options.busy_ms);
        scripts
    }
}
