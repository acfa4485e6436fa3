//! `cargo xtask sim`: runs the simulator.

use crate::Result;

/// Runs the task.
pub(crate) fn run(_args: &[String]) -> Result {
    Err("`cargo xtask sim` is not there yet: nothing was run".into())
}
