//! `cargo xtask clients [name…] [--server redis]`: programs that use other people's client libraries, out of PyPI, npm and crates.io, against
//! servers of ours. They are in `tests/clients`; `tests/src/bin/damselfly-clients.rs` starts the servers and runs them.

use std::{fs, path::PathBuf};

use crate::{
    Result, long_runs, peers,
    shell::{self, command, is_installed},
};

/// Runs the task.
pub(crate) fn run(args: &[String]) -> Result {
    let (python, node) = (install_python()?, install_node()?);
    long_runs::build("damselfly-client-redis-rs", "damselfly-client-redis-rs")?;
    let mut program = long_runs::built("damselfly-clients", args)?;
    program
        .env("CLIENTS_PYTHON", python)
        .env("CLIENTS_NODE", node)
        .env("CLIENTS_RUST", shell::target().join("release"));
    shell::run(&mut program)
}

fn programs() -> PathBuf {
    shell::root().join("tests/clients")
}

/// The interpreter of an environment that has the libraries.
pub(crate) fn install_python() -> Result<PathBuf> {
    peers::need_python()?;
    let venv = shell::target().join("clients/python");
    let python = venv.join("bin/python3");
    if !python.exists() {
        shell::run(command("python3").args(["-m", "venv"]).arg(&venv))?;
    }
    let mut install = command(venv.join("bin/pip"));
    install
        .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(programs().join("requirements.txt"));
    shell::run(&mut install)?;
    Ok(python)
}

/// A folder with the programs and, in `node_modules`, the libraries.
fn install_node() -> Result<PathBuf> {
    if !is_installed("node") || !is_installed("npm") {
        peers::apt_get("nodejs npm")?;
    }
    let folder = shell::target().join("clients/node");
    fs::create_dir_all(&folder)?;
    let lock = fs::read(programs().join("package-lock.json"))?;
    let is_there = fs::read(folder.join("package-lock.json")).is_ok_and(|there| there == lock);
    for entry in fs::read_dir(programs())? {
        let path = entry?.path();
        if let (Some("mjs" | "json"), Some(name)) = (
            path.extension().and_then(|extension| extension.to_str()),
            path.file_name(),
        ) && name != "package-lock.json"
        {
            fs::copy(&path, folder.join(name))?;
        }
    }
    if !is_there {
        fs::write(folder.join("package-lock.json"), &lock)?;
        let mut install = command("npm");
        install
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&folder);
        if let Err(error) = shell::run(&mut install) {
            // Without it the next run tries again.
            fs::remove_file(folder.join("package-lock.json"))?;
            return Err(error);
        }
    }
    Ok(folder)
}
