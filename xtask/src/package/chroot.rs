//! Root directories: Debian's, by debootstrap, and empty ones. This process is in a mount namespace of its own, so mounts end with it.

use super::{folder, quietly, step};
use crate::{
    Result,
    shell::{self, command},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Debian's release, that of the images in the Dockerfile, too.
pub(super) const RELEASE: &str = "bookworm";

/// A directory in which programs run as if it were all that there is.
pub(super) struct Chroot {
    root: PathBuf,
    mounts: Vec<PathBuf>,
}

impl Chroot {
    /// An empty one.
    pub(super) fn empty(name: &str) -> Result<Chroot> {
        let root = folder().join("roots").join(name);
        if root.exists() {
            remove(&root)?;
        }
        fs::create_dir_all(&root)?;
        Ok(Chroot {
            root,
            mounts: Vec::new(),
        })
    }

    /// A new Debian with these packages beyond the least; made once, and copied from then on.
    pub(super) fn debian(name: &str, packages: &str) -> Result<Chroot> {
        let kept = format!("{RELEASE}-{}", packages.replace([',', ' '], "-"));
        let base = folder().join("roots").join(kept.trim_end_matches('-'));
        if !base.join("etc/debian_version").exists() || base.join("debootstrap").exists() {
            step(&format!("debootstrap of {}", base.display()), || {
                debootstrap(&base, packages)
            })?;
        }
        let mut chroot = Chroot::empty(name)?;
        fs::remove_dir(&chroot.root)?;
        quietly(
            command("cp")
                .args(["-a", "--reflink=auto"])
                .arg(&base)
                .arg(&chroot.root),
        )?;
        fs::copy("/etc/resolv.conf", chroot.path("/etc/resolv.conf"))?;
        // Nothing starts by itself in a chroot.
        fs::write(
            chroot.path("/usr/sbin/policy-rc.d"),
            "#!/bin/sh\nexit 101\n",
        )?;
        quietly(
            command("chmod")
                .arg("755")
                .arg(chroot.path("/usr/sbin/policy-rc.d")),
        )?;
        chroot.system()?;
        Ok(chroot)
    }

    /// Mounts what every container has: /proc and /dev.
    pub(super) fn system(&mut self) -> Result {
        let proc = self.path("/proc");
        fs::create_dir_all(&proc)?;
        quietly(command("mount").args(["-t", "proc", "proc"]).arg(&proc))?;
        self.mounts.push(proc);
        self.bind(Path::new("/dev"), "/dev")
    }

    /// Where a path of the chroot is in truth.
    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    /// Shows a directory of the machine in the chroot.
    pub(super) fn bind(&mut self, outside: &Path, inside: &str) -> Result {
        let place = self.path(inside);
        fs::create_dir_all(&place)?;
        quietly(command("mount").arg("--bind").arg(outside).arg(&place))?;
        self.mounts.push(place);
        Ok(())
    }

    /// A program in the chroot.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut inside = command("chroot");
        inside.arg(&self.root).arg(program);
        inside
    }

    /// A command line in the chroot's shell, as root.
    pub(super) fn sh(&self, line: &str) -> Command {
        let mut inside = self.command("/bin/sh");
        inside
            .args(["-ec", line])
            .env("DEBIAN_FRONTEND", "noninteractive");
        inside
    }
}

impl Drop for Chroot {
    fn drop(&mut self) {
        for mount in self.mounts.iter().rev() {
            let _ = quietly(command("umount").arg("-l").arg(mount));
        }
    }
}

fn debootstrap(base: &Path, packages: &str) -> Result {
    if base.exists() {
        remove(base)?;
    }
    let mut make = command("debootstrap");
    make.arg("--variant=minbase");
    if !packages.is_empty() {
        make.arg(format!("--include={packages}"));
    }
    quietly(make.arg(RELEASE).arg(base))?;
    // It leaves /proc mounted.
    let _ = quietly(command("umount").arg("-R").arg(base.join("proc")));
    Ok(())
}

/// Never follows what is mounted below.
fn remove(root: &Path) -> Result {
    shell::run(command("rm").args(["-rf", "--one-file-system"]).arg(root))
}
