//! The package under systemd itself, which boots in a chroot with namespaces and a network of its own: the unit with all that it forbids.

use super::{chroot::Chroot, expect, folder, quietly, server::eventually, step};
use crate::{Result, shell::command};
use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// Units that make no sense here, or would touch the machine.
const MASKED: [&str; 6] = [
    "systemd-networkd.service",
    "systemd-timesyncd.service",
    "systemd-udevd.service",
    "systemd-logind.service",
    "console-getty.service",
    "dev-hugepages.mount",
];

/// Mounts what systemd needs below the new root, and becomes systemd.
const BOOT: &str = r#"
root=$1
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/dev"
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm" "$root/dev/pts" "$root/dev/mqueue" "$root/dev/hugepages"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
cd "$root"
mkdir -p old
pivot_root . old
umount -l /old
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=multi-user.target
"#;

/// A booted system. Ended when dropped.
struct System {
    /// `unshare`: what it started dies with it.
    child: Child,
    /// The system's process 1, as it is called here.
    init: String,
}

/// Installs, starts, reloads, crashes, upgrades, stops and purges these packages, the second being newer.
pub(super) fn try_package(packages: &[PathBuf]) -> Result {
    let chroot = Chroot::debian("systemd", "systemd,redis-tools,adduser")?;
    // Here things do start by themselves.
    fs::remove_file(chroot.path("/usr/sbin/policy-rc.d"))?;
    for (number, package) in packages.iter().enumerate() {
        fs::copy(package, chroot.path(&format!("/root/{number}.deb")))?;
    }
    for unit in MASKED {
        let link = chroot.path("/etc/systemd/system").join(unit);
        std::os::unix::fs::symlink("/dev/null", link)?;
    }
    let system = step("systemd boots", || System::boot(&chroot))?;
    system.live_of_a_package()
}

impl System {
    fn boot(chroot: &Chroot) -> Result<System> {
        let log = fs::File::create(folder().join("systemd.log"))?;
        let mut boot = command("unshare");
        boot.args([
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
        ]);
        boot.args([
            "--cgroup", "--uts", "--ipc", "--net", "sh", "-ec", BOOT, "boot",
        ]);
        boot.arg(chroot.path("/")).stdin(Stdio::null());
        let child = boot.stdout(log.try_clone()?).stderr(log).spawn()?;
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let mut system = System {
            child,
            init: String::new(),
        };
        eventually("a process 1", || {
            system.init = fs::read_to_string(&children)
                .unwrap_or_default()
                .trim()
                .to_owned();
            !system.init.is_empty()
        })?;
        eventually("systemd runs", || {
            let state = system.says("systemctl is-system-running || true");
            state.is_ok_and(|state| ["running", "degraded"].contains(&state.as_str()))
        })?;
        Ok(system)
    }

    /// What a line of shell prints there.
    fn says(&self, line: &str) -> Result<String> {
        let said = quietly(&mut self.command(line))?;
        Ok(said.trim().to_owned())
    }

    fn command(&self, line: &str) -> Command {
        let mut inside = command("nsenter");
        inside.args([
            "--target", &self.init, "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--net",
            "--root", "--wd",
        ]);
        inside.args([
            "env",
            "--ignore-environment",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
        ]);
        inside.args(["DEBIAN_FRONTEND=noninteractive", "sh", "-ec", line]);
        inside
    }

    /// Runs a line, shows what it prints, and fails unless that is, or ends with, what is wanted.
    fn run(&self, line: &str, wanted: &str) -> Result {
        let said = self
            .says(line)
            .map_err(|error| format!("{line}: {error}"))?;
        println!(
            "    {line} -> {}",
            said.lines().next_back().unwrap_or_default()
        );
        expect(said.ends_with(wanted), || {
            let log = self.says("journalctl --no-pager --lines 30 --unit damselfly");
            format!("{said:?} and not {wanted:?}\n{}", log.unwrap_or_default())
        })
    }

    fn live_of_a_package(&self) -> Result {
        let status = "systemctl show --property=StatusText --value damselfly";
        step("install: it runs, confined as the unit says", || {
            self.run(
                "dpkg --install /root/0.deb > /dev/null 2>&1 && systemctl is-active damselfly",
                "active",
            )?;
            self.run(status, "primary; replicas in sync: 0 of 0")?;
            self.run(
                "redis-cli EVAL 'return redis.call(\"SET\", KEYS[1], ARGV[1])' 1 greeting hello",
                "OK",
            )?;
            self.run("redis-cli DEBUG POPULATE 300000 key 64", "OK")?;
            self.run("redis-cli CONFIG REWRITE", "OK")
        })?;
        step("reload", || {
            self.run(
                "systemctl reload damselfly && systemctl is-active damselfly",
                "active",
            )
        })?;
        step(
            "loading may take longer than the unit's time for starting",
            || {
                let drop_in = "/run/systemd/system/damselfly.service.d";
                self.says(&format!(
                "mkdir -p {drop_in} && printf '[Service]\\nTimeoutStartSec=1s\\n' > {drop_in}/time.conf && systemctl daemon-reload"
            ))?;
                self.run("systemctl restart damselfly && redis-cli DBSIZE", "300001")?;
                self.run("systemctl show --property=NRestarts --value damselfly", "0")?;
                self.says(&format!("rm -r {drop_in} && systemctl daemon-reload"))
                    .map(drop)
            },
        )?;
        step("upgrade", || {
            self.run(
                "dpkg --install /root/1.deb > /dev/null 2>&1 && redis-cli DBSIZE",
                "300001",
            )?;
            self.run(
                "dpkg-query --show --showformat='${Version}' damselfly",
                "-2",
            )
        })?;
        step("a server that is killed comes back", || {
            self.says("kill -KILL $(systemctl show --property=MainPID --value damselfly)")?;
            eventually("active again", || {
                self.says("redis-cli GET greeting")
                    .is_ok_and(|said| said == "hello")
            })?;
            self.run("systemctl show --property=NRestarts --value damselfly", "1")
        })?;
        step("stop, and purge", || {
            self.run(
                "systemctl stop damselfly && systemctl show --property=Result --value damselfly",
                "success",
            )?;
            self.run(
                "dpkg --purge damselfly > /dev/null 2>&1; ls /var/lib/damselfly 2>&1 || true",
                "No such file or directory",
            )
        })
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let gone = format!("/proc/{}", self.init);
        let _ = eventually("systemd is gone", || !fs::exists(&gone).unwrap_or(false));
    }
}
