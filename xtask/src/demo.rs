//! `cargo xtask demo`: shows two servers replicate.

use crate::Result;

/// Runs the task.
pub(crate) fn run(_args: &[String]) -> Result {
    Err("`cargo xtask demo` is not there yet: nothing was run".into())
}
