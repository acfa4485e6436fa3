//! The Debian package: built by cargo-deb; installed, run as its unit says, upgraded, removed and purged in a chroot.

use super::{
    Options, build_binary,
    chroot::Chroot,
    expect, folder, man, quietly,
    server::{Manager, Server, free_port},
    step, systemd, unit,
};
use crate::{
    Result,
    shell::{self, cargo, command, is_installed},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Built with these revisions, so that there is something to upgrade to.
const REVISIONS: [&str; 2] = ["1", "2"];

/// Where the package keeps what it writes.
const STATE: &str = "/var/lib/damselfly";
const CONFIGURATION: &str = "/etc/damselfly/damselfly.conf";

pub(super) fn build_and_try(options: &Options) -> Result {
    let packages = build(options)?;
    lint(&packages[0])?;
    let chroot = Chroot::debian("deb", "")?;
    for package in &packages {
        fs::copy(package, chroot.path("/tmp").join(file_name(package)))?;
    }
    Trial {
        port: free_port()?,
        chroot,
    }
    .run(&packages)?;
    systemd::try_package(&packages)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn build(options: &Options) -> Result<Vec<PathBuf>> {
    let binary = step("build the binary", || build_binary(options))?;
    let program = step("cargo-deb", cargo_deb)?;
    let version = shell::output(command(&binary).arg("--version"))?;
    let version = version
        .split_whitespace()
        .last()
        .unwrap_or_default()
        .to_owned();
    fs::create_dir_all(folder())?;
    let help = shell::output(command(&binary).arg("--help"))?;
    fs::write(folder().join("damselfly.8"), man::page(&help, &version))?;
    let mut packages = Vec::new();
    for revision in REVISIONS {
        let name = format!("damselfly_{version}-{revision}.deb");
        let package = folder().join(&name);
        step(&format!("build {name}"), || {
            fs::write(folder().join("changelog"), changelog(&version, revision))?;
            let mut build = command(&program);
            build.args([
                "deb",
                "--package",
                "damselfly-server",
                "--no-build",
                "--strip",
                "--fast",
            ]);
            build.args(["--profile", &options.profile, "--deb-revision", revision]);
            quietly(
                build
                    .env("CARGO", cargo().get_program())
                    .arg("--output")
                    .arg(&package),
            )
            .map(drop)
        })?;
        packages.push(package);
    }
    Ok(packages)
}

/// Installed where it is missing.
fn cargo_deb() -> Result<PathBuf> {
    if is_installed("cargo-deb") {
        return Ok("cargo-deb".into());
    }
    let tools = shell::target().join("tools");
    let program = tools.join("bin/cargo-deb");
    if !program.is_file() {
        let mut install = cargo();
        install.args(["install", "cargo-deb", "--locked", "--quiet", "--root"]);
        shell::run(install.arg(&tools))?;
    }
    Ok(program)
}

fn changelog(version: &str, revision: &str) -> String {
    format!(
        "damselfly ({version}-{revision}) unstable; urgency=medium\n\n  * What has changed is in CHANGELOG.md of the source.\n\n \
         -- The Damselfly developers <damselfly@localhost>  Sat, 21 Nov 2026 12:00:00 +0000\n"
    )
}

/// Debian's own check, where it is installed: its errors count, its warnings are shown.
fn lint(package: &Path) -> Result {
    if !is_installed("lintian") {
        println!("  - lintian is not installed: passed over");
        return Ok(());
    }
    step("lintian", || {
        let mut lint = command("lintian");
        let lint = lint.args([
            "--allow-root",
            "--fail-on",
            "error",
            "--no-tag-display-limit",
        ]);
        let said = quietly(lint.arg(package))?;
        said.lines().for_each(|line| println!("    {line}"));
        Ok(())
    })
}

struct Trial {
    chroot: Chroot,
    port: u16,
}

impl Trial {
    fn run(&self, packages: &[PathBuf]) -> Result {
        step("install", || self.install(&packages[0]))?;
        step("the user, the files and their owners", || self.look())?;
        step("an administrator changes the configuration", || {
            self.configure()
        })?;
        step(
            "start as the unit says; write; CONFIG REWRITE; stop",
            || {
                let (server, mut manager) = self.start()?;
                server.answers(&["PING"], "PONG")?;
                server.answers(&["SET", "greeting", "hello"], "OK")?;
                server.answers(&["CONFIG", "SET", "maxmemory", "123mb"], "OK")?;
                server.answers(&["CONFIG", "REWRITE"], "OK")?;
                server.stop()?;
                manager.await_line("STOPPING=1")
            },
        )?;
        step("upgrade", || self.install(&packages[1]))?;
        step("start again: data and configuration are there", || {
            let (server, _manager) = self.start()?;
            server.answers(&["GET", "greeting"], "hello")?;
            server.answers(&["CONFIG", "GET", "maxmemory"], "maxmemory\n128974848")?;
            server.answers(&["CONFIG", "GET", "timeout"], "timeout\n77")?;
            server.stop()
        })?;
        step("remove: data and configuration stay", || {
            quietly(&mut self.chroot.sh("dpkg --remove damselfly"))?;
            self.is_there("/usr/bin/damselfly", false)?;
            self.is_there("/lib/systemd/system/damselfly.service", false)?;
            self.is_there(CONFIGURATION, true)?;
            self.is_there(&format!("{STATE}/dump-summary.dfs"), true)
        })?;
        step("purge: nothing stays", || {
            quietly(&mut self.chroot.sh("dpkg --purge damselfly"))?;
            self.is_there("/etc/damselfly", false)?;
            self.is_there(STATE, false)?;
            let user = quietly(&mut self.chroot.sh("getent passwd damselfly"));
            expect(user.is_err(), || "the user is still there".to_owned())
        })
    }

    fn install(&self, package: &Path) -> Result {
        let line = format!("dpkg --install /tmp/{}", file_name(package));
        quietly(&mut self.chroot.sh(&line))?;
        let installed = quietly(&mut self.chroot.sh("dpkg-query --show damselfly"))?;
        println!("    {}", installed.trim().replace('\t', " "));
        Ok(())
    }

    fn look(&self) -> Result {
        let owners = [
            (CONFIGURATION, "root:damselfly 640"),
            (STATE, "damselfly:damselfly 750"),
            ("/usr/bin/damselfly", "root:root 755"),
            ("/usr/share/man/man8/damselfly.8.gz", "root:root 644"),
        ];
        for (path, wanted) in owners {
            let found = quietly(&mut self.chroot.sh(&format!("stat -c '%U:%G %a' {path}")))?;
            println!("    {path}: {}", found.trim());
            expect(found.trim() == wanted, || {
                format!("{path}: {found} and not {wanted}")
            })?;
        }
        Ok(())
    }

    fn configure(&self) -> Result {
        let path = self.chroot.path(CONFIGURATION);
        let text = fs::read_to_string(&path)?;
        let port = format!("--port={}", self.port);
        let changed = text.replace("--port=6379", &port) + "--timeout=77\n";
        expect(changed.contains(&port), || {
            "there is no port to change".to_owned()
        })?;
        Ok(fs::write(&path, changed)?)
    }

    /// What systemd does with the unit, as far as that goes here: user, directories, command line, the socket for its news.
    fn start(&self) -> Result<(Server, Manager)> {
        let mut manager = Manager::listen(&self.chroot)?;
        let (user, line) = (unit::value("User")?, unit::value("ExecStart")?);
        let directory = unit::value("WorkingDirectory")?;
        let runtime = format!("/run/{}", unit::value("RuntimeDirectory")?);
        quietly(
            &mut self
                .chroot
                .sh(&format!("install -d -o {user} -g {user} {runtime}")),
        )?;
        let mut server = self.chroot.sh(&format!(
            "cd {directory} && exec setpriv --reuid={user} --regid={user} --init-groups --no-new-privs --bounding-set=-all {line}"
        ));
        let log = fs::File::create(folder().join("deb-server.log"))?;
        server.stdout(log.try_clone()?).stderr(log);
        let server = Server::managed(&mut server, self.port, &mut manager)?;
        println!("    READY=1 after {line}");
        Ok((server, manager))
    }

    fn is_there(&self, path: &str, wanted: bool) -> Result {
        let found = self.chroot.path(path).exists();
        let word = if found { "is there" } else { "is gone" };
        println!("    {path} {word}");
        expect(found == wanted, || format!("{path} {word}"))
    }
}
