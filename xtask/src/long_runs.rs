//! Programs of the tests' package that drive whole servers: they are built and run optimised, and this crate stays light.

use std::{os::unix::process::CommandExt, process::Command};

use crate::{
    Result, peers,
    shell::{self, cargo, command, target},
};

/// Tells the programs which server to start.
const SERVER_VARIABLE: &str = "DAMSELFLY_BIN";

/// Builds the server and the program `name`, and gives the program with these arguments, ready to run.
///
/// # Errors
/// What does not build, or a peer that can't be installed.
pub(crate) fn built(name: &str, args: &[String]) -> Result<Command> {
    peers::install()?;
    build("damselfly-server", "damselfly")?;
    build("damselfly-tests", name)?;
    let folder = target().join("release");
    let mut program = command(folder.join(name));
    program
        .args(args)
        .env(SERVER_VARIABLE, folder.join("damselfly"));
    program.envs(peers::environment());
    Ok(program)
}

/// Builds a program, optimised.
pub(crate) fn build(package: &str, binary: &str) -> Result {
    shell::run(cargo().args(["build", "--release", "--package", package, "--bin", binary]))
}

/// Becomes the program, so that signals for this process reach it.
pub(crate) fn become_program(name: &str, args: &[String]) -> Result {
    let error = built(name, args)?.exec();
    Err(format!("{name}: {error}").into())
}
