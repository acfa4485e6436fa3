//! A Redis, a server of ours that follows it, and a network between them that can break.

use std::time::{Duration, Instant};

use damselfly_tests::load::{Load, LoadPlan};
use damselfly_tests::migration::{
    Exactness, RedisWrites, Sizes, differing, encodings, expected, fill,
};
use damselfly_tests::{
    Client, Digest, Direction, FaultProxy, Psync, Redis, RedisVersion, Rng, Server, await_synced,
    differences, digest, grouped, within,
};

use crate::Result;
use crate::pair::{SETTLE_DEADLINE, SYNC_DEADLINE, THREADS, follow};

/// Writes of all families while servers follow.
pub const WRITES: LoadPlan = LoadPlan {
    connections: 3,
    pipeline: 16,
    rate: Some(10_000),
    timeout: Duration::from_secs(60),
};
/// Keys of each type that are written to all the time; others are written to now and then.
const HOT_KEYS: u64 = 300;
pub const WIDE_KEYS: u64 = 20_000;
/// A digest of millions of keys takes its time.
const READ_TIMEOUT: Duration = Duration::from_secs(300);
/// The longest run of bytes before a cut: more than one command, less than what a second brings.
const LONGEST_RUN: u64 = 100_000;

/// The servers.
pub struct RedisLink {
    pub redis: Redis,
    pub version: RedisVersion,
    pub network: FaultProxy,
    pub ours: Server,
    pub seed: u64,
}

impl RedisLink {
    /// Both servers; ours does not follow yet.
    pub fn apart(version: RedisVersion, options: &[&str], seed: u64) -> Result<RedisLink> {
        let redis = start(version, options)?;
        Ok(RedisLink {
            network: FaultProxy::new(redis.address()),
            redis,
            version,
            ours: Server::try_start(&[&format!("--proactor_threads={THREADS}")])?,
            seed,
        })
    }

    /// Fills Redis, and shows of what encodings its keys are: all that there are.
    pub fn fill(&self, keys: u64) -> Result {
        let start = Instant::now();
        fill(self.redis.address(), Sizes::of(keys))?;
        let mut client = self.patient(true)?;
        let found = encodings(&mut client)?;
        println!(
            "    {:?}: {} keys in {:.1} s, {} MiB; {}",
            self.version,
            grouped(found.values().sum()),
            start.elapsed().as_secs_f64(),
            self.redis.resident_bytes() >> 20,
            counted(&found)
        );
        let missing = expected(self.version);
        let missing: Vec<_> = missing
            .iter()
            .filter(|name| !found.contains_key(*name))
            .collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(format!("there is no {missing:?}").into()),
        }
    }

    /// Makes ours a replica and waits for stable sync.
    pub fn follow(&self) -> Result {
        let start = Instant::now();
        follow(&mut self.ours.client(), self.network.address())?;
        self.synced()?;
        let took = start.elapsed().as_secs_f64();
        println!("    stable sync after {took:.2} s");
        Ok(())
    }

    /// Waits for stable sync.
    pub fn synced(&self) -> Result {
        let synced = await_synced(SYNC_DEADLINE, &mut self.ours.client());
        synced.map_err(|error| {
            let (ours, redis) = (self.ours.log(), self.redis.log());
            format!("{error}\n{ours}\nRedis:\n{redis}").into()
        })
    }

    /// Writes of all families to Redis.
    pub fn writes(&self, round: u64) -> Load {
        let seed = self.seed.wrapping_mul(1_000).wrapping_add(round * 10);
        let version = self.version;
        Load::start(self.redis.address(), WRITES, move |number| {
            let keys = if number == 0 { HOT_KEYS } else { WIDE_KEYS };
            let prefix = damselfly_tests::migration::PREFIX;
            RedisWrites::new(version, seed.wrapping_add(number as u64), prefix, keys)
        })
    }

    /// A client that waits for a digest.
    pub fn patient(&self, of_redis: bool) -> Result<Client> {
        patient(if of_redis {
            self.redis.client()
        } else {
            self.ours.client()
        })
    }

    /// Nobody writes: both get to hold the same, by digest and by every value.
    pub fn settle(&self) -> Result {
        let (mut redis, mut ours) = (self.patient(true)?, self.patient(false)?);
        expire(&mut redis)?;
        within(SETTLE_DEADLINE, || {
            (offset(&mut redis, false) == offset(&mut ours, true)).then_some(())
        })
        .ok_or_else(|| format!("the offsets stay different\n{}", self.ours.log()))?;
        settle(&mut redis, &mut ours, Exactness::with(self.version))
    }

    /// Cuts the link, at any byte of what comes, so many times under the writes that run. Each time the replica is waited for.
    pub fn cut(&self, rng: &mut Rng, times: u64) -> Result {
        for _ in 0..times {
            let (before, cuts) = (self.psync(), self.network.cuts());
            self.network
                .cut_after(Direction::FromTarget, 1 + rng.below(LONGEST_RUN));
            within(SYNC_DEADLINE, || (self.network.cuts() > cuts).then_some(()))
                .ok_or("nothing comes that could be cut")?;
            let resumed = within(SYNC_DEADLINE, || {
                let now = self.psync();
                (now.successes > before.successes || now.full_syncs > before.full_syncs)
                    .then_some(now)
            });
            resumed
                .ok_or_else(|| format!("the replica does not come back\n{}", self.ours.log()))?;
        }
        Ok(())
    }

    /// What ours counts.
    pub fn psync(&self) -> Psync {
        Psync::of(&mut self.ours.client())
    }

    /// What Redis counts: partial syncs granted, refused, full syncs.
    pub fn granted(&self) -> [u64; 3] {
        let stats = self.redis.client().info("stats");
        let number = |name: &str| stats.get(name).and_then(|value| value.parse().ok());
        ["sync_partial_ok", "sync_partial_err", "sync_full"].map(|name| number(name).unwrap_or(0))
    }
}

/// A Redis that load does not tear from its replicas.
pub fn start(version: RedisVersion, options: &[&str]) -> Result<Redis> {
    let mut all = vec![
        "--client-output-buffer-limit",
        "replica",
        "0",
        "0",
        "0",
        "--repl-backlog-size",
        "64mb",
    ];
    all.extend(options);
    Ok(Redis::try_start(version, &all)?)
}

/// A client that waits long for its answers.
pub fn patient(client: Client) -> Result<Client> {
    client.set_timeout(Some(READ_TIMEOUT))?;
    Ok(client)
}

/// The place in Redis's stream: of Redis, or of a replica.
pub fn offset(client: &mut Client, is_replica: bool) -> Option<u64> {
    let name = if is_replica {
        "slave_repl_offset"
    } else {
        "master_repl_offset"
    };
    client.info("replication").get(name)?.parse().ok()
}

/// Redis's digest has keys that have expired until it comes upon them: it does so where they are scanned.
fn expire(redis: &mut Client) -> Result {
    for database in 0..16 {
        redis.ok(&format!("SELECT {database}"));
        let mut cursor = "0".to_owned();
        loop {
            let page = redis.ok(&format!("SCAN {cursor} COUNT 10000"));
            let next = page.as_items().and_then(|items| items.first()?.as_text());
            cursor = String::from_utf8_lossy(next.ok_or("SCAN tells no cursor")?).into_owned();
            if cursor == "0" {
                break;
            }
        }
    }
    redis.ok("SELECT 0");
    Ok(())
}

/// Both hold the same: by digest, where versions can be compared so, then by every value.
pub fn settle(left: &mut Client, right: &mut Client, exactness: Exactness) -> Result {
    if exactness.has_digests() {
        same_digest(left, right)?;
    }
    let start = Instant::now();
    let found = differing(left, right, exactness)?;
    println!(
        "    equal, value by value: {} keys ({}; {} expire) in {:.1} s",
        grouped(found.keys()),
        counted(&found.types),
        grouped(found.expiring),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn same_digest(left: &mut Client, right: &mut Client) -> Result {
    let equal = within(SETTLE_DEADLINE, || {
        let found = digest(left, Digest::Plain);
        (found == digest(right, Digest::Plain)).then_some(found)
    });
    let Some(digest) = equal else {
        return Err(format!(
            "the digests differ:\n{}",
            differences(left, right).join("\n")
        )
        .into());
    };
    println!("    equal digests: {digest}");
    Ok(())
}

/// Numbers with what they count.
pub fn counted(found: &std::collections::BTreeMap<String, u64>) -> String {
    let shown = found
        .iter()
        .map(|(name, count)| format!("{name} {}", grouped(*count)));
    shown.collect::<Vec<_>>().join(", ")
}
