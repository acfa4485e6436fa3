//! A server process: started, stopped in every way, never left behind.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually::within;

/// How much of a log is shown when a test fails.
const SHOWN_LOG_BYTES: usize = 8 * 1024;

/// A directory of its own, removed when dropped.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// Makes a new directory below the system's temporary one.
    ///
    /// # Errors
    /// The system's.
    pub fn new(name: &str) -> io::Result<TempDir> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("damselfly-{name}-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(TempDir { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A child process with its output in a file. Killed and waited for when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    dir: TempDir,
}

impl Process {
    /// Starts a program in a directory of its own, its output going to a file there.
    ///
    /// # Errors
    /// The system's.
    pub fn start<S: AsRef<OsStr>>(
        program: &Path,
        arguments: &[S],
        variables: &[(String, String)],
    ) -> io::Result<Process> {
        Process::start_in(None, program, arguments, variables)
    }

    /// The same in another directory than its own, if one is given.
    ///
    /// # Errors
    /// The system's.
    pub fn start_in<S: AsRef<OsStr>>(
        directory: Option<&Path>,
        program: &Path,
        arguments: &[S],
        variables: &[(String, String)],
    ) -> io::Result<Process> {
        let name = program
            .file_name()
            .map_or_else(|| "process".into(), |name| name.to_string_lossy());
        let dir = TempDir::new(&name)?;
        let log = dir.path().join("log");
        let output = File::create(&log)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(variables.iter().cloned())
            .current_dir(directory.unwrap_or(dir.path()));
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = command.spawn().map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot start {}: {error}", program.display()),
            )
        })?;
        Ok(Process { child, log, dir })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its working directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// All that it printed so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Sends a signal; a process that has ended gets none.
    pub fn signal(&mut self, signal: Signal) {
        if self.exit_status().is_none() {
            let _ = kill_process(self.rustix_pid(), signal);
        }
    }

    /// Freezes it (SIGSTOP): its sockets stay open and nobody answers.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`freeze`](Process::freeze) (SIGCONT).
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Kills it without a chance to clean up (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM), and gives its status if it does within `deadline`.
    pub fn terminate(&mut self, deadline: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        within(deadline, || self.exit_status())
    }

    /// Its status, if it has ended.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Resident memory in bytes, from `/proc`; 0 if it has ended.
    pub fn resident_bytes(&self) -> u64 {
        self.status_kib("VmRSS:") * 1024
    }

    /// The most resident memory there has been, in bytes; 0 if it has ended.
    pub fn peak_resident_bytes(&self) -> u64 {
        self.status_kib("VmHWM:") * 1024
    }

    fn status_kib(&self, field: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or(0)
    }

    fn rustix_pid(&self) -> Pid {
        let pid = i32::try_from(self.child.id()).expect("Linux's process ids are positive i32");
        Pid::from_raw(pid).expect("a child's id is not 0")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let start = log.ceil_char_boundary(log.len().saturating_sub(SHOWN_LOG_BYTES));
            eprintln!(
                "--- log of process {} ---\n{}\n---",
                self.pid(),
                &log[start..]
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually::eventually;

    #[test]
    fn a_process_is_frozen_thawed_and_ended() {
        let mut process = Process::start(Path::new("/bin/sleep"), &["60"], &[]).unwrap();
        let state = |process: &Process| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
            stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
        };
        assert!(process.resident_bytes() > 0);
        process.freeze();
        eventually(Duration::from_secs(5), "frozen", || state(&process) == 'T');
        process.thaw();
        eventually(Duration::from_secs(5), "thawed", || state(&process) != 'T');
        assert!(process.terminate(Duration::from_secs(5)).is_some());
    }

    #[test]
    fn nothing_is_left_behind() {
        let process = Process::start(
            Path::new("/bin/sh"),
            &["-c", "echo hello; exec sleep 60"],
            &[],
        )
        .unwrap();
        eventually(Duration::from_secs(5), "output", || {
            process.log() == "hello\n"
        });
        let (pid, dir) = (process.pid(), process.dir().to_owned());
        drop(process);
        assert!(!dir.exists() && !Path::new(&format!("/proc/{pid}")).exists());
    }
}
