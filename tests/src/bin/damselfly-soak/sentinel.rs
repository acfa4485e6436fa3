//! Three sentinels, three servers, each in a network namespace of its own, and redis-py as a client: the primary is killed, stopped, cut
//! off, three times each; no write that WAIT 1 acknowledged is lost, and every old primary comes back as a replica.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use damselfly_tests::namespaces::Namespaces;
use damselfly_tests::sentinel::{SERVICE, Sentinels};
use damselfly_tests::{Process, Server, await_synced, replicaof, within};

use crate::pair::{SYNC_DEADLINE, settle};
use crate::{Result, Scale};

const SERVERS: usize = 3;
const ROUNDS: usize = 3;
const PORT: u16 = 6379;
/// Longer than a busy machine lets a server wait for its turn.
const DOWN_AFTER: Duration = Duration::from_millis(2000);
const DEADLINE: Duration = Duration::from_secs(60);
/// Acknowledged writes between two faults.
const WRITES: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    Stop,
    CutOff,
}

/// What clients felt of a fault.
struct Gap {
    /// Until all sentinels named the same new primary.
    elected: Duration,
    /// Until WAIT acknowledged a write there.
    written: Duration,
}

/// The whole arrangement.
struct Fleet {
    // Ended before their network is.
    writer: Process,
    servers: Vec<Server>,
    sentinels: Sentinels,
    network: Namespaces,
}

/// All of it.
pub fn run(scale: &Scale) -> Result {
    let mut fleet = Fleet::start()?;
    for round in 1..=ROUNDS {
        for fault in [Fault::Kill, Fault::Stop, Fault::CutOff] {
            let Gap { elected, written } = fleet.suffer(fault)?;
            let acknowledged = fleet.acknowledged().len();
            println!(
                "    round {round}, {fault:?}: new primary after {elected:.1?}, writes after {written:.1?}; \
                 {acknowledged} acknowledged, lost 0"
            );
        }
        fleet.is_equal()?;
    }
    let acknowledged = fleet.acknowledged().len();
    println!(
        "    {acknowledged} writes acknowledged by WAIT 1, lost 0 (seed {})",
        scale.seed
    );
    Ok(())
}

impl Fleet {
    fn start() -> Result<Fleet> {
        let network = Namespaces::new(SERVERS)?;
        let servers = (0..SERVERS)
            .map(|index| {
                let bind = format!("--bind={}", network.address(index));
                // The sentinels and the writer are elsewhere, and there is no password.
                let open = "--protected_mode=false";
                let flags = [bind.as_str(), open, "--proactor_threads=2", "--port=6379"];
                Server::within(network.name(index), &flags)
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        for replica in &servers[1..] {
            replicaof(&mut replica.client(), servers[0].address());
            await_synced(SYNC_DEADLINE, &mut replica.client())?;
        }
        let host = IpAddr::V4(network.host());
        let sentinels = Sentinels::start_on(host, servers[0].address(), SERVERS - 1, DOWN_AFTER)?;
        let writer = writer(&sentinels)?;
        Ok(Fleet {
            writer,
            servers,
            sentinels,
            network,
        })
    }

    /// One fault of the primary, and all that has to come after it.
    fn suffer(&mut self, fault: Fault) -> Result<Gap> {
        self.goes_on()?;
        let old = self.sentinels.primary().ok_or("no primary")?;
        let at = self.index(old)?;
        let begun = Instant::now();
        match fault {
            Fault::Kill => self.servers[at].kill(),
            Fault::Stop => self.servers[at].freeze(),
            Fault::CutOff => self.network.cut_off(at, true)?,
        }
        self.sentinels.await_other_than(old, DEADLINE)?;
        let elected = begun.elapsed();
        self.goes_on_by(1)?;
        let written = begun.elapsed();
        self.goes_on()?;
        match fault {
            Fault::Kill => self.servers[at].crash_and_restart(),
            Fault::Stop => self.servers[at].thaw(),
            Fault::CutOff => {
                self.write_where_nobody_hears(at)?;
                self.network.cut_off(at, false)?;
            }
        }
        let primary = self.whole()?;
        self.has_all(primary)?;
        Ok(Gap { elected, written })
    }

    /// All servers hold the same, once nobody writes.
    fn is_equal(&mut self) -> Result {
        self.writer.freeze();
        let primary = self.whole()?;
        for at in (0..SERVERS).filter(|at| *at != primary) {
            settle(&self.servers[primary], &self.servers[at])?;
        }
        self.writer.thaw();
        Ok(())
    }

    fn index(&self, address: SocketAddr) -> Result<usize> {
        let at = self
            .servers
            .iter()
            .position(|server| server.address() == address);
        at.ok_or_else(|| format!("{address} is none of ours").into())
    }

    /// A client on the lonely side of the cut gets no acknowledgement, and its write has no place afterwards.
    fn write_where_nobody_hears(&self, at: usize) -> Result {
        let commands = "SET lonely 1\nWAIT 1 100\n";
        let address = self.network.address(at).to_string();
        let said = self.network.redis_cli(at, &address, PORT, commands)?;
        match said.lines().last() {
            Some("0") => Ok(()),
            _ => Err(format!("a primary that is cut off said {said:?}").into()),
        }
    }

    /// Who is the primary, once all sentinels agree, and all others follow it.
    fn whole(&self) -> Result<usize> {
        let primary = within(DEADLINE, || {
            let primary = self.sentinels.agreed()?;
            let followed = |server: &Server| {
                let info = server.client().info("replication");
                info.get("master_host") == Some(&primary.ip().to_string())
                    && info.get("master_link_status").map(String::as_str) == Some("up")
            };
            let mut others = self
                .servers
                .iter()
                .filter(|server| server.address() != primary);
            others.all(followed).then_some(primary)
        });
        let log = || self.sentinels.log();
        let primary = primary.ok_or_else(|| format!("nobody is followed by all:\n{}", log()))?;
        for server in &self.servers {
            if server.client().integer("EXISTS lonely") == 1 {
                return Err(format!(
                    "{}: what nobody acknowledged is still there",
                    server.address()
                )
                .into());
            }
        }
        self.sentinels.acquainted(SERVERS - 1)?;
        self.index(primary)
    }

    fn has_all(&self, primary: usize) -> Result {
        let mut client = self.servers[primary].client();
        let keys = self.acknowledged();
        for keys in keys.chunks(500) {
            let found = client.integer(&format!("EXISTS {}", keys.join(" ")));
            if found != keys.len() as i64 {
                let lost = keys.len() as i64 - found;
                let (first, last) = (&keys[0], &keys[keys.len() - 1]);
                return Err(format!("{lost} acknowledged and lost, {first} to {last}").into());
            }
        }
        Ok(())
    }

    fn acknowledged(&self) -> Vec<String> {
        let log = self.writer.log();
        let keys = log.lines().filter(|line| line.starts_with("key:"));
        keys.map(str::to_owned).collect()
    }

    fn goes_on(&self) -> Result {
        self.goes_on_by(WRITES)
    }

    fn goes_on_by(&self, more: usize) -> Result {
        let goal = self.acknowledged().len() + more;
        within(DEADLINE, || {
            (self.acknowledged().len() >= goal).then_some(())
        })
        .ok_or_else(|| {
            let log = self.writer.log();
            let last: Vec<&str> = log.lines().rev().take(5).collect();
            format!(
                "no writes are acknowledged: {last:?}\n{}",
                self.sentinels.log()
            )
            .into()
        })
    }
}

/// `tests/clients/sentinel.py`.
fn writer(sentinels: &Sentinels) -> Result<Process> {
    let python =
        std::env::var("CLIENTS_PYTHON").map_err(|_| "cargo xtask soak says where Python is")?;
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/sentinel.py");
    let addresses: Vec<String> = sentinels
        .addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    let variables = [
        ("SENTINELS".to_owned(), addresses.join(",")),
        ("SERVICE".to_owned(), SERVICE.to_owned()),
    ];
    Ok(Process::start(Path::new(&python), &[program], &variables)?)
}
