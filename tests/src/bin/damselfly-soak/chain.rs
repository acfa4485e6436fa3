//! Redis, a server of ours that follows it, and another one that follows that.

use std::time::Duration;

use damselfly_tests::migration::Exactness;
use damselfly_tests::{
    Digest, FaultProxy, Psync, RedisVersion, Rng, Server, TempDir, await_synced, digest, is_synced,
    within,
};

use crate::pair::{SETTLE_DEADLINE, SYNC_DEADLINE, described, follow};
use crate::redis_link::{RedisLink, patient, settle, start};
use crate::{Result, Scale};

/// Cuts of each link in its turn.
const CUTS: u64 = 10;
/// Between two cuts of the second link.
const BETWEEN: Duration = Duration::from_millis(200);
/// Shards of the last server: as many as the middle one has, and more.
const LAST_SHARDS: [usize; 2] = [2, 3];

/// All three.
struct Chain {
    link: RedisLink,
    second: FaultProxy,
    last: Server,
    dir: TempDir,
}

/// Runs it.
pub fn run(scale: &Scale) -> Result {
    for shards in LAST_SHARDS {
        println!("    the last server has {shards} shards");
        let mut chain = Chain::start(scale, shards)?;
        let mut rng = Rng::new(scale.seed);
        chain.cut_first(&mut rng)?;
        chain.cut_second()?;
        chain.kill_redis()?;
    }
    Ok(())
}

impl Chain {
    fn start(scale: &Scale, shards: usize) -> Result<Chain> {
        let dir = TempDir::new("chain")?;
        let options = ["--dir", &dir.path().to_string_lossy()];
        let link = RedisLink::apart(RedisVersion::V70, &options, scale.seed)?;
        link.fill(scale.redis_keys / 4)?;
        let last = Server::try_start(&[&format!("--proactor_threads={shards}")])?;
        let second = FaultProxy::new(link.ours.address());
        let load = link.writes(1);
        follow(&mut last.client(), second.address())?;
        link.follow()?;
        let chain = Chain {
            link,
            second,
            last,
            dir,
        };
        chain.synced()?;
        println!("    {}", described(&load.stop()));
        chain.settle()?;
        Ok(chain)
    }

    fn synced(&self) -> Result {
        self.link.synced()?;
        await_synced(SYNC_DEADLINE, &mut self.last.client())?;
        Ok(())
    }

    /// All three hold the same.
    fn settle(&self) -> Result {
        self.synced()?;
        self.link.settle()?;
        let mut middle = patient(self.link.ours.client())?;
        let mut last = patient(self.last.client())?;
        let strict = |client: &mut _| digest(client, Digest::Strict);
        within(SETTLE_DEADLINE, || {
            (strict(&mut middle) == strict(&mut last)).then_some(())
        })
        .ok_or("the last server differs from the middle one")?;
        settle(&mut middle, &mut last, Exactness::with(RedisVersion::V70))
    }

    /// Between Redis and ours.
    fn cut_first(&self, rng: &mut Rng) -> Result {
        let (before, last) = (self.link.psync(), Psync::of(&mut self.last.client()));
        let load = self.link.writes(2);
        self.link.cut(rng, CUTS)?;
        let report = load.stop();
        println!(
            "    first link, {CUTS} cuts: {}; {}",
            self.link.psync().since(before),
            described(&report)
        );
        let now = Psync::of(&mut self.last.client());
        println!("    second link meanwhile: {}", now.since(last));
        self.settle()?;
        match self.link.psync().full_syncs == before.full_syncs && now == last {
            true => Ok(()),
            false => Err("more was done than partial syncs of the first link".into()),
        }
    }

    /// Between both of ours.
    fn cut_second(&self) -> Result {
        let mut last = self.last.client();
        let (before, first) = (Psync::of(&mut last), self.link.psync());
        let load = self.link.writes(3);
        for _ in 0..CUTS {
            let successes = Psync::of(&mut last).successes;
            self.second.cut_all();
            within(SYNC_DEADLINE, || {
                let resumed = Psync::of(&mut last).successes > successes;
                (resumed && is_synced(&mut last)).then_some(())
            })
            .ok_or("the last server was granted no partial sync")?;
            std::thread::sleep(BETWEEN);
        }
        let report = load.stop();
        let now = Psync::of(&mut last);
        println!(
            "    second link, {CUTS} cuts: {}; {}",
            now.since(before),
            described(&report)
        );
        self.settle()?;
        match now.full_syncs == before.full_syncs && self.link.psync() == first {
            true => Ok(()),
            false => Err("more was done than partial syncs of the second link".into()),
        }
    }

    /// kill -9 some time after a BGSAVE, and a start from that file: what came after it is lost, on all three.
    fn kill_redis(&mut self) -> Result {
        let before = self.link.psync();
        let mut redis = self.link.redis.client();
        let load = self.link.writes(4);
        redis.ok("SET saved 1");
        redis.ok("BGSAVE");
        within(SYNC_DEADLINE, || {
            (redis.info("persistence")["rdb_bgsave_in_progress"] == "0").then_some(())
        })
        .ok_or("BGSAVE does not end")?;
        redis.ok("SET unsaved 1");
        within(SYNC_DEADLINE, || {
            (self.last.client().integer("EXISTS unsaved") == 1).then_some(())
        })
        .ok_or("the write does not get through the chain")?;
        self.link.redis.kill();
        drop(load);
        self.link.redis = start(
            RedisVersion::V70,
            &["--dir", &self.dir.path().to_string_lossy()],
        )?;
        self.link.network.set_target(self.link.redis.address());
        let load = self.link.writes(5);
        within(SYNC_DEADLINE, || {
            let now = self.link.psync();
            (now.full_syncs + now.successes > before.full_syncs + before.successes).then_some(())
        })
        .ok_or("the restarted Redis is not followed")?;
        self.synced()?;
        println!(
            "    Redis killed and started from its file: {}; {}",
            self.link.psync().since(before),
            described(&load.stop())
        );
        self.settle()?;
        for client in [&mut self.link.ours.client(), &mut self.last.client()] {
            if [
                client.integer("EXISTS saved"),
                client.integer("EXISTS unsaved"),
            ] != [1, 0]
            {
                return Err("it does not hold what the restarted Redis holds".into());
            }
        }
        Ok(())
    }
}
