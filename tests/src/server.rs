//! The server under test: the `damselfly` binary.

use std::io;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use damselfly_resp::Reply;

use crate::client::Client;
use crate::eventually::within;
use crate::process::Process;

/// How long a server may take until it answers.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// What the binary prints before each address that it listens on.
const ANNOUNCEMENT: &str = "listening on ";

/// A running `damselfly` on a free port of 127.0.0.1, in a directory of its own. Killed when dropped.
/// Signals, memory and log are those of [`Process`].
#[derive(Debug)]
pub struct Server {
    process: Process,
    address: SocketAddr,
    flags: Vec<String>,
    /// The network namespace that it runs in, if not everybody's.
    namespace: Option<String>,
}

impl Server {
    /// Starts a server with these flags and waits until it answers.
    ///
    /// # Panics
    /// When it does not; the message holds what it printed.
    #[track_caller]
    pub fn start(flags: &[&str]) -> Server {
        Server::try_start(flags).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a server with this many threads and shards, and waits until it answers.
    ///
    /// # Panics
    /// As [`start`](Server::start).
    #[track_caller]
    pub fn with_shards(shards: usize) -> Server {
        Server::start(&[&format!("--proactor_threads={shards}")])
    }

    /// Starts a server that follows a primary from the start.
    ///
    /// # Panics
    /// As [`start`](Server::start).
    #[track_caller]
    pub fn replica_of(primary: SocketAddr, shards: usize) -> Server {
        Server::start(&[
            &format!("--proactor_threads={shards}"),
            &format!("--replicaof={primary}"),
        ])
    }

    /// Starts a server with these flags and waits until it answers.
    ///
    /// # Errors
    /// The system's, or what the server printed before it ended.
    pub fn try_start(flags: &[&str]) -> io::Result<Server> {
        let mut all = vec!["--port=-1".to_owned(), "--bind=127.0.0.1".to_owned()];
        all.extend(flags.iter().map(|flag| flag.to_string()));
        Server::spawn(all, None)
    }

    /// Starts a server with exactly these flags in a network namespace, and waits until it answers.
    ///
    /// # Errors
    /// The system's, or what the server printed before it ended.
    pub fn within(namespace: &str, flags: &[&str]) -> io::Result<Server> {
        let flags = flags.iter().map(|flag| flag.to_string()).collect();
        Server::spawn(flags, Some(namespace.to_owned()))
    }

    fn spawn(flags: Vec<String>, namespace: Option<String>) -> io::Result<Server> {
        let mut process = match &namespace {
            None => Process::start(binary()?, &flags, &[])?,
            Some(name) => {
                // `ip` becomes what it runs: the process id is the server's.
                let binary = binary()?.to_string_lossy();
                let mut words = vec!["netns", "exec", name, &binary];
                words.extend(flags.iter().map(String::as_str));
                Process::start(Path::new("/sbin/ip"), &words, &[])?
            }
        };
        let answering = within(START_DEADLINE, || match announced(&process.log()) {
            _ if process.exit_status().is_some() => Some(None),
            Some(address) if answers(address) => Some(Some(address)),
            _ => None,
        });
        match answering.flatten() {
            Some(address) => Ok(Server {
                process,
                address,
                flags,
                namespace,
            }),
            None => Err(io::Error::other(format!(
                "damselfly does not answer; it printed:\n{}",
                process.log()
            ))),
        }
    }

    /// Starts the binary with exactly these flags and variables of the environment, whatever becomes of it.
    ///
    /// # Panics
    /// When it can't be started.
    #[track_caller]
    pub fn bare(flags: &[&str], variables: &[(&str, &str)]) -> Process {
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let binary = binary().unwrap_or_else(|error| panic!("{error}"));
        Process::start(binary, flags, &variables).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same in a directory, whose files the flags may name.
    ///
    /// # Panics
    /// When it can't be started.
    #[track_caller]
    pub fn bare_in(directory: &Path, flags: &[&str]) -> Process {
        let binary = binary().unwrap_or_else(|error| panic!("{error}"));
        Process::start_in(Some(directory), binary, flags, &[])
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Kills it (SIGKILL) and starts it again with the same flags on the same port, with nothing in it.
    ///
    /// # Panics
    /// When it does not answer again.
    #[track_caller]
    pub fn crash_and_restart(&mut self) {
        self.process.kill();
        let port = format!("--port={}", self.address.port());
        let flags = self.flags.iter().map(|flag| {
            if flag.starts_with("--port=") {
                port.clone()
            } else {
                flag.clone()
            }
        });
        let namespace = self.namespace.clone();
        *self = Server::spawn(flags.collect(), namespace).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new connection.
    ///
    /// # Panics
    /// When there is none to be had.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.address).unwrap_or_else(|error| panic!("{}: {error}", self.address))
    }
}

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The first address that a server's output names.
pub fn announced(log: &str) -> Option<SocketAddr> {
    let lines = log
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    lines
        .filter_map(|line| line.trim_end().strip_prefix(ANNOUNCEMENT))
        .find_map(|address| address.parse().ok())
}

/// Whether something at this address speaks the protocol. LOADING is an answer too.
pub(crate) fn answers(address: SocketAddr) -> bool {
    let reply = Client::connect(address).and_then(|mut client| client.try_call(&["PING"]));
    match reply {
        Ok(Reply::Error(text)) => !text.starts_with(b"ERR max number"),
        reply => reply.is_ok(),
    }
}

/// The binary: `DAMSELFLY_BIN` names it, or cargo builds it in the profile of this test.
fn binary() -> io::Result<&'static PathBuf> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| match std::env::var_os("DAMSELFLY_BIN") {
        Some(path) => Ok(path.into()),
        None => build(),
    });
    found
        .as_ref()
        .map_err(|error| io::Error::other(error.clone()))
}

/// Builds the binary: cargo knows whether that is needed.
fn build() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = here
        .ancestors()
        .find(|folder| folder.ends_with("deps"))
        .and_then(|deps| deps.parent());
    let folder =
        folder.ok_or("a test that is not in cargo's target directory needs DAMSELFLY_BIN")?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--quiet",
        "--package",
        "damselfly-server",
        "--bin",
        "damselfly",
        "--profile",
        profile,
    ]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command
        .output()
        .map_err(|error| format!("cargo build: {error}"))?;
    match output.status.success() {
        true => Ok(folder.join("damselfly")),
        false => Err(format!(
            "cargo build:\n{}",
            errors(&String::from_utf8_lossy(&output.stderr))
        )),
    }
}

/// A compiler's output without the warnings.
fn errors(output: &str) -> String {
    let messages = output.split("\n\n");
    let errors: Vec<_> = messages
        .filter(|message| message.trim_start().starts_with("error"))
        .collect();
    errors.join("\n\n")
}
