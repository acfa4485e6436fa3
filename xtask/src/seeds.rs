//! `cargo xtask seeds`: does every command line of the page on replication (`../shared/seeds/000_*.txt`) in order, shows it, and checks
//! each answer against the page. It is a test: `tests/tests/tls/page.rs`.

use crate::{
    Result, peers,
    shell::{self, cargo},
};

/// Runs the task.
pub(crate) fn run(_: &[String]) -> Result {
    peers::install()?;
    let mut test = cargo();
    test.args([
        "test",
        "--quiet",
        "--package",
        "damselfly-tests",
        "--test",
        "tls",
    ])
    .args(["--", "--nocapture", "the_page_on_secure_replication"])
    .envs(peers::environment());
    shell::run(&mut test)
}
