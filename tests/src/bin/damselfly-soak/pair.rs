//! A primary and a replica with a network between them that can break.

use std::time::Duration;

use damselfly_tests::commands::Workload;
use damselfly_tests::load::{Load, LoadPlan, LoadReport};
use damselfly_tests::{
    Client, Digest, FaultProxy, Psync, Server, await_synced, differences, digest, replicaof, within,
};

use crate::Result;

/// Threads and shards of each server.
pub const THREADS: usize = 2;
/// Our default, which the scenarios keep.
pub const REPLICATION_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a replica may take until it follows again: the longest backoff and a full sync.
pub const SYNC_DEADLINE: Duration = Duration::from_secs(90);
/// How long digests may differ once nobody writes.
pub const SETTLE_DEADLINE: Duration = Duration::from_secs(60);
/// A digest of millions of keys takes its time.
const DIGEST_TIMEOUT: Duration = Duration::from_secs(120);
/// How much of a log a failure shows.
const SHOWN_LOG_LINES: usize = 15;
/// Keys of each type that load writes to.
const LOAD_KEYS: u64 = 2_000;

/// Both servers.
pub struct Pair {
    pub primary: Server,
    pub replica: Server,
    pub link: FaultProxy,
}

impl Pair {
    /// Two servers; the replica does not follow yet.
    pub fn apart() -> Result<Pair> {
        let (primary, replica) = (server()?, server()?);
        let link = FaultProxy::new(primary.address());
        Ok(Pair {
            primary,
            replica,
            link,
        })
    }

    /// Two servers, the replica in stable sync.
    pub fn synced() -> Result<Pair> {
        let pair = Pair::apart()?;
        pair.follow()?;
        pair.await_synced()?;
        Ok(pair)
    }

    /// Makes the replica one, through the network.
    pub fn follow(&self) -> Result {
        follow(&mut self.replica.client(), self.link.address())
    }

    /// Waits for stable sync.
    pub fn await_synced(&self) -> Result {
        let synced = await_synced(SYNC_DEADLINE, &mut self.replica.client());
        let servers = [&self.primary, &self.replica];
        synced.map_err(|error| format!("{error}\n{}", logs(&servers)).into())
    }

    /// Waits until both hold the same; nobody may write meanwhile.
    pub fn settle(&self) -> Result {
        settle(&self.primary, &self.replica)
    }

    /// Writes of all types to the primary.
    pub fn load(&self, plan: LoadPlan, seed: u64) -> Load {
        mixed_load(&self.primary, plan, seed)
    }

    /// What the replica counts.
    pub fn psync(&self) -> Psync {
        Psync::of(&mut self.replica.client())
    }
}

/// A server with [`THREADS`] threads and all defaults.
pub fn server() -> Result<Server> {
    Ok(Server::try_start(&[&format!(
        "--proactor_threads={THREADS}"
    )])?)
}

/// REPLICAOF, which must be answered by OK.
pub fn follow(replica: &mut Client, primary: std::net::SocketAddr) -> Result {
    match replicaof(replica, primary).as_error() {
        Some(error) => Err(format!("REPLICAOF: {}", String::from_utf8_lossy(error)).into()),
        None => Ok(()),
    }
}

/// Writes of all types, each connection with a sequence of its own.
pub fn mixed_load(server: &Server, plan: LoadPlan, seed: u64) -> Load {
    Load::start(server.address(), plan, move |number| {
        let seed = seed.wrapping_mul(1_000).wrapping_add(number as u64);
        Workload::new(seed, "soak:", LOAD_KEYS)
    })
}

/// Waits until two servers hold the same.
///
/// # Errors
/// Keys that differ.
pub fn settle(left: &Server, right: &Server) -> Result {
    let servers = &[left, right];
    let (mut left, mut right) = (left.client(), right.client());
    left.set_timeout(Some(DIGEST_TIMEOUT))?;
    right.set_timeout(Some(DIGEST_TIMEOUT))?;
    let equal = within(SETTLE_DEADLINE, || {
        let found = digest(&mut left, Digest::Strict);
        (found == digest(&mut right, Digest::Strict)).then_some(found)
    });
    match equal {
        Some(digest) => {
            println!(
                "    equal: {} keys, digest {digest}",
                left.integer("DBSIZE")
            );
            Ok(())
        }
        None => {
            let lines = differences(&mut left, &mut right).join("\n");
            let logs = logs(servers);
            Err(format!("the digests differ:\n{lines}\n{logs}").into())
        }
    }
}

/// The last lines that servers printed.
fn logs(servers: &[&Server]) -> String {
    let last = |server: &&Server| {
        let log = server.log();
        let lines: Vec<&str> = log.lines().collect();
        let shown = &lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..];
        format!("log of process {}:\n  {}", server.pid(), shown.join("\n  "))
    };
    servers.iter().map(last).collect::<Vec<_>>().join("\n")
}

/// What load did, in words.
pub fn described(report: &LoadReport) -> String {
    format!(
        "{} commands ({:.0}/s), {} refused, {} connections broke; longest wait {:.3} s, p99 {:.1} ms",
        report.commands,
        report.rate(),
        report.errors,
        report.breaks,
        report.latencies.longest().as_secs_f64(),
        report.latencies.percentile(0.99).as_secs_f64() * 1e3
    )
}
