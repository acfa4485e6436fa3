//! `cargo xtask bench`: measures beside redis-server.

use crate::Result;

/// Runs the task.
pub(crate) fn run(_args: &[String]) -> Result {
    Err("`cargo xtask bench` is not there yet: nothing was run".into())
}
