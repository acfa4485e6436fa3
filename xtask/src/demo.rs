//! `cargo xtask demo`: shows two servers replicate. What it shows is in `tests/src/bin/damselfly-demo`.

use crate::{Result, long_runs};

/// Runs the task.
pub(crate) fn run(args: &[String]) -> Result {
    long_runs::become_program("damselfly-demo", args)
}
