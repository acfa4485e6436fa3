//! Redis Sentinel 7.0: three of them, that watch one primary and what follows it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use damselfly_resp::Reply;

use crate::client::Client;
use crate::eventually::within;
use crate::process::{Process, TempDir};
use crate::redis::free_address;

/// The name under which the sentinels know the primary.
pub const SERVICE: &str = "service";

/// As Debian installs it.
const PROGRAM: &str = "/usr/bin/redis-sentinel";
const COUNT: usize = 3;
const DEADLINE: Duration = Duration::from_secs(40);

/// Three sentinels, two of which have to agree. Killed when dropped.
#[derive(Debug)]
pub struct Sentinels {
    all: Vec<(Process, SocketAddr, TempDir)>,
}

impl Sentinels {
    /// Starts them on the local host, and waits until each knows the others and so many replicas. A primary that does not answer
    /// for `down_after` is down.
    ///
    /// # Errors
    /// What to install, or that they do not come to know each other.
    pub fn start(
        primary: SocketAddr,
        replicas: usize,
        down_after: Duration,
    ) -> io::Result<Sentinels> {
        Sentinels::start_on(
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            primary,
            replicas,
            down_after,
        )
    }

    /// The same on another address of this host.
    ///
    /// # Errors
    /// As [`start`](Sentinels::start).
    pub fn start_on(
        host: IpAddr,
        primary: SocketAddr,
        replicas: usize,
        down_after: Duration,
    ) -> io::Result<Sentinels> {
        let mut sentinels = Sentinels { all: Vec::new() };
        for _ in 0..COUNT {
            let address = SocketAddr::new(host, free_address()?.port());
            sentinels.add(primary, address, down_after)?;
        }
        sentinels.acquainted(replicas)?;
        Ok(sentinels)
    }

    fn add(
        &mut self,
        primary: SocketAddr,
        address: SocketAddr,
        down_after: Duration,
    ) -> io::Result<()> {
        if !Path::new(PROGRAM).exists() {
            return Err(io::Error::other(
                "no redis-sentinel: apt-get install redis-sentinel",
            ));
        }
        let dir = TempDir::new("sentinel")?;
        let config = dir.path().join("sentinel.conf");
        std::fs::write(&config, configuration(primary, address, down_after))?;
        let process = Process::start(Path::new(PROGRAM), &[config.as_os_str()], &[])?;
        self.all.push((process, address, dir));
        within(DEADLINE, || Client::connect(address).ok())
            .ok_or_else(|| io::Error::other("a sentinel does not answer"))?;
        Ok(())
    }

    /// Waits until each knows the others and so many replicas.
    ///
    /// # Errors
    /// They do not.
    pub fn acquainted(&self, replicas: usize) -> io::Result<()> {
        let known = |address: &SocketAddr| {
            let mut client = Client::connect(*address).ok()?;
            let reply = client.try_call(&["SENTINEL", "MASTER", SERVICE]).ok()?;
            let fields = reply.as_items()?;
            let number = |name: &str| {
                let at = fields
                    .iter()
                    .position(|field| field.as_text() == Some(name.as_bytes()))?;
                let text = std::str::from_utf8(fields.get(at + 1)?.as_text()?).ok()?;
                text.parse::<usize>().ok()
            };
            let all =
                number("num-slaves")? >= replicas && number("num-other-sentinels")? == COUNT - 1;
            all.then_some(())
        };
        let everybody = || {
            self.all
                .iter()
                .all(|(_, address, _)| known(address).is_some())
                .then_some(())
        };
        within(DEADLINE, everybody).ok_or_else(|| {
            io::Error::other(format!("the sentinels do not know all:\n{}", self.log()))
        })
    }

    /// Where they listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.all.iter().map(|(_, address, _)| *address).collect()
    }

    /// Who is the primary, as one of them says.
    pub fn primary(&self) -> Option<SocketAddr> {
        primary_of(self.all[0].1)
    }

    /// Who is the primary, if all of them say the same.
    pub fn agreed(&self) -> Option<SocketAddr> {
        let mut said = self.all.iter().map(|(_, address, _)| primary_of(*address));
        let first = said.next()??;
        said.all(|other| other == Some(first)).then_some(first)
    }

    /// Waits until all of them say that the primary is another one.
    ///
    /// # Errors
    /// They do not within `deadline`.
    pub fn await_other_than(&self, old: SocketAddr, deadline: Duration) -> io::Result<SocketAddr> {
        let agreed = || self.agreed().filter(|primary| *primary != old);
        within(deadline, agreed)
            .ok_or_else(|| io::Error::other(format!("no failover from {old}:\n{}", self.log())))
    }

    /// What the first has printed last.
    pub fn log(&self) -> String {
        let log = self.all[0].0.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// Who is the primary, as the sentinel there says.
pub fn primary_of(sentinel: SocketAddr) -> Option<SocketAddr> {
    let mut client = Client::connect(sentinel).ok()?;
    client.set_timeout(Some(Duration::from_secs(1))).ok()?;
    let reply = client
        .try_call(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE])
        .ok()?;
    let text = |reply: &Reply| Some(String::from_utf8_lossy(reply.as_text()?).into_owned());
    match reply.as_items()? {
        [ip, port] => {
            let ip: IpAddr = text(ip)?.parse().ok()?;
            Some(SocketAddr::new(ip, text(port)?.parse().ok()?))
        }
        _ => None,
    }
}

fn configuration(primary: SocketAddr, own: SocketAddr, down_after: Duration) -> String {
    let (ip, port) = (primary.ip(), primary.port());
    format!(
        "port {}\nbind {}\nprotected-mode no\nsentinel monitor {SERVICE} {ip} {port} 2\n\
         sentinel down-after-milliseconds {SERVICE} {}\nsentinel failover-timeout {SERVICE} 4000\n\
         sentinel parallel-syncs {SERVICE} 2\n",
        own.port(),
        own.ip(),
        down_after.as_millis(),
    )
}
