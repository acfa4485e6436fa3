//! A server that runs as its service manager or its container would run it, inside a chroot.

use super::{chroot::Chroot, expect};
use crate::{
    Result,
    shell::{self, command},
};
use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the service manager's socket is, inside.
const SOCKET: &str = "/run/notify-test";

/// Ended when dropped.
pub(super) struct Server {
    child: Child,
    port: u16,
}

/// A service manager that a chroot can reach.
pub(super) struct Manager {
    socket: UnixDatagram,
    heard: String,
}

impl Manager {
    pub(super) fn listen(chroot: &Chroot) -> Result<Manager> {
        let path = chroot.path(SOCKET);
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        Ok(Manager {
            socket,
            heard: String::new(),
        })
    }

    /// Waits until it has heard this.
    pub(super) fn await_line(&mut self, line: &str) -> Result {
        let start = Instant::now();
        let mut buffer = [0; 4096];
        while !self.heard.lines().any(|heard| heard == line) {
            if let Ok(length) = self.socket.recv(&mut buffer) {
                self.heard += &String::from_utf8_lossy(&buffer[..length]);
            }
            expect(start.elapsed() < PATIENCE, || {
                format!("no {line}; the service manager heard:\n{}", self.heard)
            })?;
        }
        Ok(())
    }
}

impl Server {
    /// Starts a command that will serve this port.
    pub(super) fn start(command: &mut Command, port: u16) -> Result<Server> {
        let child = command.spawn()?;
        Ok(Server { child, port })
    }

    /// The same, under a service manager: it runs once it says so.
    pub(super) fn managed(
        command: &mut Command,
        port: u16,
        manager: &mut Manager,
    ) -> Result<Server> {
        let server = Server::start(command.env("NOTIFY_SOCKET", SOCKET), port)?;
        manager.await_line("READY=1")?;
        Ok(server)
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it answers.
    pub(super) fn ask(&self, words: &[&str]) -> Result<String> {
        let port = self.port.to_string();
        let mut ask = command("redis-cli");
        let answer = shell::output(ask.args(["-p", &port]).args(words))?;
        Ok(answer.trim_end().to_owned())
    }

    /// Fails unless it answers this.
    pub(super) fn answers(&self, words: &[&str], wanted: &str) -> Result {
        let answer = self.ask(words)?;
        println!("    {} -> {}", words.join(" "), answer.replace('\n', " "));
        expect(answer == wanted, || {
            format!("{answer:?} and not {wanted:?}")
        })
    }

    /// Asks it to end (SIGTERM), which it has to do well.
    pub(super) fn stop(mut self) -> Result {
        shell::run(command("kill").arg(self.child.id().to_string()))?;
        let start = Instant::now();
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            expect(start.elapsed() < PATIENCE, || "it does not end".to_owned())?;
            std::thread::sleep(Duration::from_millis(20));
        };
        expect(status.success(), || format!("it ended with {status}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of 127.0.0.1 that nobody listened on a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until something holds.
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> Result {
    let start = Instant::now();
    while !holds() {
        expect(start.elapsed() < PATIENCE, || format!("never: {what}"))?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
