//! `cargo xtask sim [--seeds N] [--seed S] [--fault NAME] [--prove] [--events]`: whole servers in virtual time over a seeded network.
//!
//! The program is `damselfly-sim` of the tests' package, optimised and with all assertions; it prints the first seed that fails, and the
//! command that repeats it.

use crate::{
    Result,
    shell::{self, cargo, command, target},
};

/// Optimised, with assertions.
const PROFILE: &str = "checked";

/// With it tokio's own random choices can be seeded.
const RUSTFLAGS: &str = "--cfg tokio_unstable";

/// Runs the task.
pub(crate) fn run(args: &[String]) -> Result {
    let folder = target().join("sim");
    shell::run(
        cargo()
            .args(["build", "--quiet", "--profile", PROFILE])
            .args(["--package", "damselfly-tests", "--features", "sim"])
            .args(["--bin", "damselfly-sim", "--target-dir"])
            .arg(&folder)
            .env("RUSTFLAGS", RUSTFLAGS),
    )?;
    let program = folder.join(PROFILE).join("damselfly-sim");
    shell::run(command(program).args(args))
}
