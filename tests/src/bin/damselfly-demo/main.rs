//! `cargo xtask demo`: a primary and a replica on loopback, before your eyes.
//!
//! The link goes through a proxy, so that it can be cut. Whatever happens, nothing is left running.

mod fill;
mod show;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use damselfly_tests::load::{Load, LoadPlan};
use damselfly_tests::{
    Client, Digest, FaultProxy, Server, await_synced, commands::Workload, digest, eventually,
    grouped, replicaof, within,
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const THREADS: usize = 2;
const SYNC_DEADLINE: Duration = Duration::from_secs(30);
/// How long the link stays broken, while clients go on writing.
const BREAK: Duration = Duration::from_millis(500);
/// Clients' writes a second around the break.
const WRITES_PER_SECOND: u64 = 20_000;

/// Both servers, and a connection to each.
struct Pair {
    primary: Server,
    replica: Server,
    link: FaultProxy,
    to_primary: Client,
    to_replica: Client,
}

fn main() -> ExitCode {
    let start = Instant::now();
    match damselfly_tests::end_children_on_signals()
        .map_err(Into::into)
        .and_then(|()| run())
    {
        Ok(()) => {
            println!(
                "\nEverything is stopped. {:.0} s.",
                start.elapsed().as_secs_f64()
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            damselfly_tests::wait_if_interrupted();
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result {
    let mut pair = Pair::start()?;
    fill::fill(&mut pair)?;
    pair.same_digests("A million keys of five types are on both:")?;
    show::roles(&mut pair);
    pair.cut()?;
    pair.promote()?;
    pair.stop()
}

impl Pair {
    fn start() -> Result<Pair> {
        show::step("Two servers, two threads and two shards each");
        let threads = format!("--proactor_threads={THREADS}");
        let primary = Server::try_start(&[&threads])?;
        let replica = Server::try_start(&[&threads])?;
        let link = FaultProxy::new(primary.address());
        let (to_primary, mut to_replica) = (primary.client(), replica.client());
        println!(
            "  primary  {} (process {})",
            primary.address(),
            primary.pid()
        );
        println!(
            "  replica  {} (process {})",
            replica.address(),
            replica.pid()
        );
        println!(
            "  the link between them goes through a proxy at {}",
            link.address()
        );
        let start = Instant::now();
        let answer = replicaof(&mut to_replica, link.address());
        if let Some(error) = answer.as_error() {
            return Err(format!("REPLICAOF: {}", String::from_utf8_lossy(error)).into());
        }
        await_synced(SYNC_DEADLINE, &mut to_replica)?;
        println!(
            "  REPLICAOF: stable sync after {} ms",
            start.elapsed().as_millis()
        );
        Ok(Pair {
            primary,
            replica,
            link,
            to_primary,
            to_replica,
        })
    }

    /// Waits until both hold the same, and shows the digests.
    fn same_digests(&mut self, title: &str) -> Result {
        let equal = within(SYNC_DEADLINE, || {
            let digests = [
                digest(&mut self.to_primary, Digest::Strict),
                digest(&mut self.to_replica, Digest::Strict),
            ];
            (digests[0] == digests[1]).then_some(digests)
        });
        let [primary, replica] = equal.ok_or("the digests stay different")?;
        show::step(title);
        for (name, client, digest) in [
            ("primary", &mut self.to_primary, primary),
            ("replica", &mut self.to_replica, replica),
        ] {
            let keys = grouped(client.integer("DBSIZE") as u64);
            println!("  {name}  DBSIZE {keys}   DEBUG DIGEST STRICT {digest}");
        }
        Ok(())
    }

    /// Cuts the link under writes; the replica goes on where it stopped.
    fn cut(&mut self) -> Result {
        show::step("The link is cut while clients write");
        let before = show::psync(&mut self.to_replica);
        let load = self.writers();
        std::thread::sleep(BREAK);
        self.link.refuse(true);
        let broken = self.link.cut_all();
        std::thread::sleep(BREAK);
        let down = show::link_status(&mut self.to_replica);
        println!("  {broken} connections were reset; half a second later the link is {down}");
        self.link.refuse(false);
        let start = Instant::now();
        await_synced(SYNC_DEADLINE, &mut self.to_replica)?;
        println!(
            "  back in stable sync after {} ms",
            start.elapsed().as_millis()
        );
        let report = load.stop();
        println!(
            "  meanwhile: {} writes, the longest batch took {} ms",
            grouped(report.commands),
            report.latencies.longest().as_millis()
        );
        let after = show::psync(&mut self.to_replica);
        println!(
            "  partial syncs: attempts {} -> {}, successes {} -> {}",
            before.0, after.0, before.1, after.1
        );
        if after.1 <= before.1 {
            return Err("the partial sync was not granted".into());
        }
        self.same_digests("Nothing was lost, nothing was copied again:")
    }

    fn writers(&self) -> Load {
        let plan = LoadPlan {
            connections: 2,
            pipeline: 16,
            rate: Some(WRITES_PER_SECOND),
            ..LoadPlan::default()
        };
        Load::start(self.primary.address(), plan, |number| {
            Workload::new(number as u64, "demo:", 1_000)
        })
    }

    fn promote(&mut self) -> Result {
        show::step("The replica is promoted: REPLICAOF NO ONE");
        self.to_replica.ok("REPLICAOF NO ONE");
        eventually(SYNC_DEADLINE, "the replica is a primary", || {
            self.to_replica.info("replication")["role"] == "master"
        });
        show::role("replica", &mut self.to_replica);
        self.same_digests("It has all that the primary has:")?;
        self.to_replica.ok("SET demo:promoted yes");
        println!("  and it takes writes: SET demo:promoted yes");
        Ok(())
    }

    fn stop(mut self) -> Result {
        show::step("Both are asked to end (SIGTERM)");
        for server in [&mut self.replica, &mut self.primary] {
            let pid = server.pid();
            let status = server.terminate(SYNC_DEADLINE);
            match status {
                Some(status) => println!("  process {pid}: {status}"),
                None => return Err(format!("process {pid} does not end by SIGTERM").into()),
            }
        }
        Ok(())
    }
}
