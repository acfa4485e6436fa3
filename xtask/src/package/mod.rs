//! `cargo xtask package`: builds what is shipped, and tries it. Everything that is started runs in a mount and process namespace
//! of its own, so that nothing is left behind, whatever happens.

mod chroot;
mod deb;
mod dockerfile;
mod image;
mod man;
mod manifests;
mod pods;
mod server;
mod systemd;
mod unit;

use crate::{
    Result, peers,
    shell::{self, cargo, command, is_installed},
};
use std::{path::PathBuf, process::Command};

/// Says that this process is in namespaces of its own.
const INSIDE: &str = "DAMSELFLY_PACKAGE_INSIDE";

struct Stage {
    name: &'static str,
    run: fn(&Options) -> Result,
}

const STAGES: &[Stage] = &[
    Stage {
        name: "unit",
        run: |_| unit::check(),
    },
    Stage {
        name: "manifests",
        run: |_| manifests::check(),
    },
    Stage {
        name: "pods",
        run: pods::play,
    },
    Stage {
        name: "deb",
        run: deb::build_and_try,
    },
    Stage {
        name: "image",
        run: image::build_and_try,
    },
];

struct Options {
    stages: Vec<String>,
    /// Cargo's profile of the binary.
    profile: String,
}

impl Options {
    fn parse(args: &[String]) -> Result<Options> {
        let mut options = Options {
            stages: Vec::new(),
            profile: "release".to_owned(),
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--profile" => {
                    let profile = args.next().ok_or("--profile needs a name")?;
                    options.profile.clone_from(profile);
                }
                name if STAGES.iter().any(|stage| stage.name == name) => {
                    options.stages.push(name.to_owned());
                }
                other => {
                    let names: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
                    return Err(
                        format!("no stage {other:?}; there are: {}", names.join(", ")).into(),
                    );
                }
            }
        }
        Ok(options)
    }

    /// Where cargo puts a binary of this profile, below its target directory.
    fn folder(&self) -> &str {
        match self.profile.as_str() {
            "dev" => "debug",
            profile => profile,
        }
    }
}

/// Runs the task: all stages, or those named; each prints its steps.
pub(crate) fn run(args: &[String]) -> Result {
    let options = Options::parse(args)?;
    if std::env::var_os(INSIDE).is_none() {
        return run_inside(args);
    }
    let asked = |stage: &&Stage| {
        options.stages.is_empty() || options.stages.iter().any(|name| name == stage.name)
    };
    let mut failed = Vec::new();
    for stage in STAGES.iter().filter(asked) {
        println!("\n==> {}", stage.name);
        match (stage.run)(&options) {
            Ok(()) => println!("{}: ok", stage.name),
            Err(error) => {
                println!("{}: FAILED: {error}", stage.name);
                failed.push(stage.name);
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("FAILED: {}", failed.join(", ")).into()),
    }
}

fn run_inside(args: &[String]) -> Result {
    let is_root = shell::output(command("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root {
        return Err("only root can make the chroots in which packages are tried".into());
    }
    if !is_installed("debootstrap") {
        peers::apt_get("debootstrap")?;
    }
    let unshare = [
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--propagation",
        "private",
    ];
    let mut again = command("unshare");
    again.args(unshare).arg(std::env::current_exe()?);
    shell::run(again.arg("package").args(args).env(INSIDE, "1"))
}

/// Where all of this lies.
fn folder() -> PathBuf {
    shell::target().join("package")
}

/// Builds the server.
fn build_binary(options: &Options) -> Result<PathBuf> {
    let mut build = cargo();
    build.args([
        "build",
        "--package",
        "damselfly-server",
        "--bin",
        "damselfly",
    ]);
    shell::run(build.args(["--profile", &options.profile]))?;
    Ok(shell::target().join(options.folder()).join("damselfly"))
}

/// Says what comes, then does it.
fn step<T>(what: &str, action: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("  - {what}");
    action().map_err(|error| format!("{what}: {error}").into())
}

/// Runs a command quietly; all that it printed goes into the error.
fn quietly(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(format!("{:?}: {}\n{said}", command.get_program(), output.status).into()),
    }
}

/// Fails with a text unless something holds.
fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result {
    match holds {
        true => Ok(()),
        false => Err(otherwise().into()),
    }
}
