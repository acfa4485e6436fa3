//! `cargo xtask bench [--quick] [--noise] [chapter | case…]`: measures beside redis-server, and writes docs/performance.md.
//! The measuring is in `tests/src/bin/damselfly-bench`.

use crate::{Result, long_runs};

/// Runs the task.
pub(crate) fn run(args: &[String]) -> Result {
    long_runs::become_program("damselfly-bench", args)
}
