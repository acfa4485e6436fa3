//! A primary A with replicas B and C dies; B is promoted and takes writes; C follows B.

use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::commands::{Workload, run_workload};
use damselfly_tests::{FaultProxy, Psync, Server, await_synced, is_synced, within};

use crate::pair::{SYNC_DEADLINE, follow, server, settle};
use crate::{Result, Scale};

/// Writes before one replica is held back, after that, and after the promotion.
const COMMANDS: usize = 20_000;
const OFFSETS_DEADLINE: Duration = Duration::from_secs(20);

/// The three servers, and the links of B and C to A.
struct Trio {
    a: Server,
    b: Server,
    c: Server,
    link_b: FaultProxy,
    link_c: FaultProxy,
    seed: u64,
}

/// C misses the last writes, so B has all that C has: a partial sync must do.
pub fn behind(scale: &Scale) -> Result {
    let trio = Trio::start(scale.seed)?;
    trio.link_c.stall(true);
    trio.write(&trio.a, 1)?;
    settle(&trio.a, &trio.b)?;
    trio.is_behind(&trio.c, &trio.b)?;
    let granted = trio.fail_over()?;
    match granted {
        0 => Err("a full sync was made where the backlog holds everything".into()),
        _ => Ok(()),
    }
}

/// C has writes that B never got: only a full sync makes them equal.
pub fn ahead(scale: &Scale) -> Result {
    let trio = Trio::start(scale.seed)?;
    trio.link_b.stall(true);
    trio.write(&trio.a, 1)?;
    settle(&trio.a, &trio.c)?;
    trio.is_behind(&trio.b, &trio.c)?;
    let granted = trio.fail_over()?;
    match granted {
        0 => Ok(()),
        _ => Err("a partial sync was granted to a replica with other writes".into()),
    }
}

impl Trio {
    fn start(seed: u64) -> Result<Trio> {
        let (a, b, c) = (server()?, server()?, server()?);
        let (link_b, link_c) = (FaultProxy::new(a.address()), FaultProxy::new(a.address()));
        for (replica, link) in [(&b, &link_b), (&c, &link_c)] {
            let mut client = replica.client();
            follow(&mut client, link.address())?;
            await_synced(SYNC_DEADLINE, &mut client)?;
        }
        let trio = Trio {
            a,
            b,
            c,
            link_b,
            link_c,
            seed,
        };
        trio.write(&trio.a, 0)?;
        settle(&trio.a, &trio.b)?;
        settle(&trio.a, &trio.c)?;
        Ok(trio)
    }

    /// Each part has writes of its own.
    fn write(&self, to: &Server, part: u64) -> Result {
        let seed = self.seed.wrapping_mul(1_000).wrapping_add(part);
        let mut workload = Workload::new(seed, "failover:", 2_000);
        let done = run_workload(&mut to.client(), &mut workload, COMMANDS)?;
        println!("    {done} writes");
        Ok(())
    }

    /// On every flow.
    fn is_behind(&self, one: &Server, other: &Server) -> Result {
        let (one, other) = (offsets(one)?, offsets(other)?);
        println!("    executed LSNs {one:?} behind {other:?}");
        match one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| one < other) {
            true => Ok(()),
            false => Err("it is not behind on every flow".into()),
        }
    }

    /// A dies, B is promoted and written to, C follows B. How many partial syncs B granted to C, which
    /// counts anew for each primary.
    fn fail_over(mut self) -> Result<u64> {
        self.a.kill();
        self.b.client().ok("REPLICAOF NO ONE");
        println!("    A is killed, B is promoted");
        self.write(&self.b, 2)?;
        let mut client = self.c.client();
        follow(&mut client, self.b.address())?;
        within(SYNC_DEADLINE, || is_synced(&mut client).then_some(()))
            .ok_or("C does not follow B")?;
        settle(&self.b, &self.c)?;
        let after = Psync::of(&mut client);
        println!("    C follows B: {after:?}");
        Ok(after.successes)
    }
}

/// What a replica has executed: the next LSN of each flow.
fn offsets(replica: &Server) -> Result<Vec<i64>> {
    let mut client = replica.client();
    let found = within(OFFSETS_DEADLINE, || {
        let reply = client.call("DEBUG REPLICA OFFSET");
        let [_, lsns] = reply.as_items()? else {
            return None;
        };
        let lsns: Vec<i64> = lsns
            .as_items()?
            .iter()
            .filter_map(Reply::as_integer)
            .collect();
        (!lsns.is_empty()).then_some(lsns)
    });
    found.ok_or_else(|| "DEBUG REPLICA OFFSET does not tell".into())
}
