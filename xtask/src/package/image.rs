//! The Dockerfile, step by step, in chroots: there is a `docker` on few machines that run this. What a step means is Docker's
//! reference; images are a Debian with what the image of this name adds, or nothing at all (`scratch`).

use super::{
    Options,
    chroot::Chroot,
    dockerfile::{Instruction, parse},
    expect, folder, quietly,
    server::{Server, eventually, free_port},
    step,
};
use crate::{
    Result,
    shell::{self, command},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the context leaves out. Plain names only.
const IGNORE: &str = ".dockerignore";

pub(super) fn build_and_try(options: &Options) -> Result {
    let text = fs::read_to_string(shell::root().join("Dockerfile"))?;
    let mut build = Build {
        profile: options.profile.clone(),
        stages: Vec::new(),
    };
    for instruction in parse(&text)? {
        build.run(instruction)?;
    }
    build
        .stages
        .pop()
        .ok_or("the Dockerfile is empty")?
        .try_it()
}

struct Build {
    profile: String,
    stages: Vec<Stage>,
}

/// One `FROM`, and what came after it.
struct Stage {
    name: String,
    chroot: Chroot,
    variables: BTreeMap<String, String>,
    directory: String,
    user: String,
    health: Vec<String>,
    entry: Vec<String>,
}

impl Build {
    fn run(&mut self, instruction: Instruction) -> Result {
        println!("  - {instruction:?}");
        match instruction {
            Instruction::From { image, name } => {
                let stage = Stage::of(&image, name)?;
                self.stages.push(stage);
                return Ok(());
            }
            Instruction::Copy {
                from,
                owner,
                source,
                target,
            } => return self.copy(from, owner, &source, &target),
            _ => {}
        }
        let profile = self.profile.clone();
        let stage = self.stages.last_mut().ok_or("an instruction before FROM")?;
        match instruction {
            Instruction::Arg(name, default) => {
                let value = if name == "PROFILE" { profile } else { default };
                stage.variables.insert(name, value);
            }
            Instruction::Env(pairs) => stage.variables.extend(pairs),
            Instruction::WorkDir(path) => {
                fs::create_dir_all(stage.chroot.path(&path))?;
                stage.directory = path;
            }
            Instruction::Run { caches, line } => stage.run(&caches, &line)?,
            Instruction::User(user) => stage.user = user,
            Instruction::HealthCheck(words) => stage.health = words,
            Instruction::EntryPoint(words) => stage.entry = words,
            _ => {}
        }
        Ok(())
    }

    fn copy(
        &self,
        from: Option<String>,
        owner: Option<String>,
        source: &str,
        target: &str,
    ) -> Result {
        let stage = self.stages.last().ok_or("COPY before FROM")?;
        let target = match Path::new(target).is_absolute() {
            true => stage.chroot.path(target),
            false => stage.chroot.path(&stage.directory).join(target),
        };
        fs::create_dir_all(&target)?;
        let owner = owner.unwrap_or_else(|| "0:0".to_owned());
        let source = match from {
            None => shell::root().join(source),
            Some(name) => {
                let other = self.stages.iter().find(|stage| stage.name == name);
                other
                    .ok_or_else(|| format!("no stage {name}"))?
                    .chroot
                    .path(source)
            }
        };
        // Not cp: it can't leave anything out.
        let script = "tar --create --directory \"$1\" $4 . | tar --extract --same-permissions --directory \"$2\" && chown -R \"$3\" \"$2\"";
        let mut copy = command("bash");
        copy.args(["-eo", "pipefail", "-c", script, "copy"])
            .arg(&source)
            .arg(&target)
            .arg(owner);
        quietly(copy.arg(ignored(&source)?)).map(drop)
    }
}

/// What tar is told to leave out.
fn ignored(source: &Path) -> Result<String> {
    let Ok(text) = fs::read_to_string(source.join(IGNORE)) else {
        return Ok(String::new());
    };
    let mut options = String::new();
    for name in text.lines().filter(|line| !line.is_empty()) {
        let is_plain = name
            .chars()
            .all(|letter| letter.is_alphanumeric() || ".-_".contains(letter));
        expect(is_plain, || format!("{IGNORE}: {name} is more than a name"))?;
        options += &format!("--exclude=./{name} ");
    }
    Ok(options)
}

impl Stage {
    fn of(image: &str, name: String) -> Result<Stage> {
        let mut variables = BTreeMap::new();
        let chroot = match image {
            "scratch" => Chroot::empty("image")?,
            _ => rust(image, &mut variables)?,
        };
        Ok(Stage {
            name,
            chroot,
            variables,
            directory: "/".to_owned(),
            user: "0:0".to_owned(),
            health: Vec::new(),
            entry: Vec::new(),
        })
    }

    fn run(&mut self, caches: &[String], line: &str) -> Result {
        for target in caches {
            self.chroot.bind(&cache(target)?, target)?;
        }
        let line = format!("cd {} && {line}", self.directory);
        shell::run(self.chroot.sh(&line).env_clear().envs(&self.variables))
    }

    /// A program as the container would run it.
    fn command(&self, words: &[String], port: u16) -> Result<Command> {
        let (user, group) = self.user.split_once(':').ok_or("USER needs a group")?;
        let (program, arguments) = words.split_first().ok_or("nothing to run")?;
        // The image has no shell; env sets the directory, chroot the user.
        let mut inside = command("env");
        inside.arg("--ignore-environment");
        inside.args(
            self.variables
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        inside
            .arg(format!("DFLY_port={port}"))
            .arg("DFLY_bind=127.0.0.1");
        inside.args([
            "/usr/sbin/chroot",
            &format!("--userspec={user}:{group}"),
            "--groups=",
        ]);
        inside
            .arg(self.chroot.path("/"))
            .arg(program)
            .args(arguments);
        Ok(inside)
    }

    /// Runs it: it answers, it is well, it keeps its data, and it is not root.
    fn try_it(mut self) -> Result {
        self.chroot.system()?;
        let port = free_port()?;
        step("nothing but the server is in the image", || self.contents())?;
        step("before it runs, it is not well", || {
            let check = quietly(&mut self.command(&self.health, port)?);
            expect(check.is_err(), || "the health check passed".to_owned())
        })?;
        step("run, write, end", || {
            let server = self.start(port)?;
            server.answers(&["PING"], "PONG")?;
            server.answers(&["SET", "greeting", "hello"], "OK")?;
            println!(
                "    health: {}",
                quietly(&mut self.command(&self.health, port)?)?.trim()
            );
            server.stop()
        })?;
        step("run again: the volume has the data", || {
            let server = self.start(port)?;
            eventually("loaded", || {
                server
                    .ask(&["GET", "greeting"])
                    .is_ok_and(|answer| answer == "hello")
            })?;
            server.answers(&["GET", "greeting"], "hello")?;
            server.stop()
        })
    }

    fn start(&self, port: u16) -> Result<Server> {
        let mut run = self.command(&self.entry, port)?;
        let log = fs::File::create(folder().join("image-server.log"))?;
        run.stdout(log.try_clone()?).stderr(log);
        let server = Server::start(&mut run, port)?;
        eventually("the health check passes", || {
            self.command(&self.health, port)
                .is_ok_and(|mut check| quietly(&mut check).is_ok())
        })?;
        let pid = server.pid().to_string();
        let user = shell::output(command("ps").args(["-o", "uid=,gid=", "-p", &pid]))?;
        println!("    runs as{}", user.trim_end());
        expect(!user.trim().starts_with('0'), || {
            "it runs as root".to_owned()
        })?;
        Ok(server)
    }

    fn contents(&self) -> Result {
        let list = "du -shx . && find . -xdev \\( -path ./proc -o -path ./dev -o -path ./usr/share/zoneinfo \\) -prune -o \\( -type f -o -type l \\) -print";
        let said = quietly(
            command("sh")
                .args(["-c", list])
                .current_dir(self.chroot.path("/")),
        )?;
        said.lines().for_each(|line| println!("    {line}"));
        let shell = self.chroot.path("/bin/sh").exists();
        expect(!shell, || "there is a shell".to_owned())
    }
}

/// `rust:VERSION-slim-…`: Debian with a C compiler and the toolchain, which is this machine's.
fn rust(image: &str, variables: &mut BTreeMap<String, String>) -> Result<Chroot> {
    let known = image
        .strip_prefix("rust:")
        .and_then(|tag| tag.strip_suffix("-slim-bookworm"));
    let version = known.ok_or_else(|| format!("{image} is not known here"))?;
    let ours = shell::output(command("rustc").arg("--version"))?;
    expect(ours.starts_with(&format!("rustc {version}")), || {
        format!("the image has Rust {version}, and this machine {ours}")
    })?;
    let mut chroot = Chroot::debian("build", "gcc,libc6-dev,ca-certificates")?;
    let home = |variable: &str, folder: &str| {
        let default = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(folder);
        std::env::var_os(variable).map_or_else(default, PathBuf::from)
    };
    chroot.bind(&home("RUSTUP_HOME", ".rustup"), "/usr/local/rustup")?;
    chroot.bind(
        &home("CARGO_HOME", ".cargo").join("bin"),
        "/usr/local/cargo/bin",
    )?;
    for (name, value) in [
        ("RUSTUP_HOME", "/usr/local/rustup"),
        ("CARGO_HOME", "/usr/local/cargo"),
        (
            "PATH",
            "/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
    ] {
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok(chroot)
}

/// What stands for a cache of Docker's: this machine's registry, and what was built here before.
fn cache(target: &str) -> Result<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let place = match target {
        "/usr/local/cargo/registry" => home.join(".cargo/registry"),
        "/src/target" => shell::target(),
        other => folder().join("cache").join(other.trim_start_matches('/')),
    };
    fs::create_dir_all(&place)?;
    Ok(place)
}
