//! Either server, for what is done with both.

use std::io;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use damselfly_resp::Reply;

use crate::client::Client;
use crate::process::Process;
use crate::redis::{Redis, RedisVersion};
use crate::server::Server;

/// Between two looks at a replica whose full sync is being timed.
const LOOK_PAUSE: Duration = Duration::from_millis(2);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerKind {
    /// `redis-server` 7.0.
    Redis,
    /// Ours.
    Damselfly,
}

/// A running server of either kind.
#[derive(Debug)]
pub enum Peer {
    /// `redis-server` 7.0.
    Redis(Redis),
    /// Ours.
    Damselfly(Server),
}

impl PeerKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            PeerKind::Redis => "redis",
            PeerKind::Damselfly => "damselfly",
        }
    }

    /// Starts one. Redis has one thread for commands whatever `threads` says, and no limit on the
    /// output for a replica, so that load can't break its full syncs.
    ///
    /// # Errors
    /// What the server printed, or what to install.
    pub fn start(self, threads: usize) -> io::Result<Peer> {
        match self {
            PeerKind::Redis => {
                let options = ["--client-output-buffer-limit", "replica 0 0 0"];
                Redis::try_start(RedisVersion::V70, &options).map(Peer::Redis)
            }
            PeerKind::Damselfly => {
                let threads = format!("--proactor_threads={threads}");
                Server::try_start(&[&threads]).map(Peer::Damselfly)
            }
        }
    }
}

impl Peer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match self {
            Peer::Redis(server) => server.address(),
            Peer::Damselfly(server) => server.address(),
        }
    }

    /// A new connection.
    ///
    /// # Panics
    /// When there is none to be had.
    #[track_caller]
    pub fn client(&self) -> Client {
        match self {
            Peer::Redis(server) => server.client(),
            Peer::Damselfly(server) => server.client(),
        }
    }
}

impl Deref for Peer {
    type Target = Process;

    fn deref(&self) -> &Process {
        match self {
            Peer::Redis(server) => server,
            Peer::Damselfly(server) => server,
        }
    }
}

impl DerefMut for Peer {
    fn deref_mut(&mut self) -> &mut Process {
        match self {
            Peer::Redis(server) => server,
            Peer::Damselfly(server) => server,
        }
    }
}

/// Makes a server a replica; its answer is what REPLICAOF says.
///
/// # Panics
/// When the connection breaks.
#[track_caller]
pub fn replicaof(replica: &mut Client, primary: SocketAddr) -> Reply {
    replica.call(&format!("REPLICAOF {} {}", primary.ip(), primary.port()))
}

/// Whether a replica follows its primary record by record: stable sync, or what Redis calls connected.
pub fn is_synced(replica: &mut Client) -> bool {
    const STATES: [&[u8]; 3] = [b"stable_sync", b"connected", b"online"];
    let Ok(role) = replica.try_call(&["ROLE"]) else {
        return false;
    };
    let state = role.as_items().and_then(|items| items.get(3)?.as_text());
    state.is_some_and(|state| STATES.contains(&state))
}

/// Waits until it does, with a look every other millisecond.
///
/// # Errors
/// What ROLE and INFO said last, after `deadline`.
pub fn await_synced(deadline: Duration, replica: &mut Client) -> io::Result<()> {
    let start = Instant::now();
    while start.elapsed() < deadline {
        if is_synced(replica) {
            return Ok(());
        }
        std::thread::sleep(LOOK_PAUSE);
    }
    let role = replica.try_call(&["ROLE"]);
    let info = replica.try_call(&["INFO", "replication"]);
    let info = info.as_ref().ok().and_then(|info| info.as_text());
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        format!(
            "no stable sync within {deadline:?}: ROLE {role:?}\n{}",
            String::from_utf8_lossy(info.unwrap_or_default())
        ),
    ))
}

/// How a replica came to its data, as it counts since its REPLICAOF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Psync {
    /// Partial syncs that it asked for.
    pub attempts: u64,
    /// Partial syncs that it was granted.
    pub successes: u64,
    /// Full syncs that it was granted.
    pub full_syncs: u64,
    /// Links made again after one that broke.
    pub reconnects: u64,
}

impl Psync {
    /// Out of INFO.
    ///
    /// # Panics
    /// When the connection breaks.
    #[track_caller]
    pub fn of(replica: &mut Client) -> Psync {
        let info = replica.info("replication");
        let number = |name: &str| info.get(name).and_then(|value| value.parse().ok());
        Psync {
            attempts: number("psync_attempts").unwrap_or_default(),
            successes: number("psync_successes").unwrap_or_default(),
            full_syncs: number("master_full_syncs").unwrap_or_default(),
            reconnects: number("master_reconnects").unwrap_or_default(),
        }
    }

    /// What came since.
    pub fn since(self, before: Psync) -> String {
        format!(
            "{} of {} partial syncs granted, {} full syncs, {} reconnects",
            self.successes.saturating_sub(before.successes),
            self.attempts.saturating_sub(before.attempts),
            self.full_syncs.saturating_sub(before.full_syncs),
            self.reconnects.saturating_sub(before.reconnects)
        )
    }
}
