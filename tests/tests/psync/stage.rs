//! A Redis, a replica of ours, and a network between them that can break.

use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::commands::Workload;
use damselfly_tests::{
    Args, Client, Digest, FaultProxy, Psync, Redis, RedisVersion, Server, await_synced, replicaof,
    same_data, words,
};

/// For whatever is waited for: these servers share two cores with others.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Both servers.
pub struct Stage {
    pub redis: Redis,
    pub network: FaultProxy,
    pub replica: Server,
}

impl Stage {
    /// A Redis with these options, and a server with these shards, which does not follow yet.
    pub fn apart(version: RedisVersion, options: &[&str], shards: usize) -> Stage {
        let redis = Redis::with_options(version, options);
        let network = FaultProxy::new(redis.address());
        let replica = Server::with_shards(shards);
        Stage {
            redis,
            network,
            replica,
        }
    }

    #[track_caller]
    pub fn follow(&self) {
        let reply = replicaof(&mut self.replica.client(), self.network.address());
        assert_eq!(reply, Reply::Simple(b"OK".to_vec()));
    }

    #[track_caller]
    pub fn synced(&self) {
        synced(&self.replica);
    }

    /// Both hold the same in the end; nobody writes meanwhile.
    #[track_caller]
    pub fn settle(&self) {
        self.synced();
        let (mut redis, mut replica) = (self.redis.client(), self.replica.client());
        same_data(DEADLINE, &mut redis, &mut replica, Digest::Plain);
    }

    pub fn psync(&self) -> Psync {
        Psync::of(&mut self.replica.client())
    }

    /// What Redis says of the replica: `slave0` of its INFO.
    pub fn shown(&self) -> String {
        let info = self.redis.client().info("replication");
        info.get("slave0").cloned().unwrap_or_default()
    }

    /// How many partial syncs Redis granted.
    pub fn granted(&self) -> u64 {
        stat(&mut self.redis.client(), "sync_partial_ok")
    }
}

/// A number of `INFO stats`.
pub fn stat(client: &mut Client, name: &str) -> u64 {
    client.info("stats")[name].parse().expect("a number")
}

/// Waits for stable sync.
#[track_caller]
pub fn synced(replica: &Server) {
    if let Err(error) = await_synced(DEADLINE, &mut replica.client()) {
        panic!("{error}");
    }
}

/// Writes of all types, another sequence for each seed.
pub fn write(client: &mut Client, seed: u64, commands: usize) {
    let mut workload = Workload::new(seed, "mixed:", 40).filter(suits);
    let mut left = commands;
    while left > 0 {
        let batch: Vec<Args> = workload.by_ref().take(left.min(64)).collect();
        left -= batch.len();
        client
            .pipeline(&batch)
            .expect("the writer's connection lasts");
    }
}

/// Not what waits: Redis 6.2 takes the shortest times for endless ones. Not a BITFIELD that fails: Redis lengthens the string all
/// the same, and does not propagate that.
fn suits(command: &Args) -> bool {
    let waits = command[0].starts_with(b"B") && !command[0].starts_with(b"BIT");
    !waits && !command.iter().any(|arg| arg == b"FAIL")
}

/// What load alone does not bring: transactions, scripts, databases, times of expiry, deletions as by eviction.
#[track_caller]
pub fn write_specially(client: &mut Client, round: u64) {
    let lines = [
        "SELECT 3".to_owned(),
        format!("SET in:three {round}"),
        "MULTI".to_owned(),
        format!("SET tx:a {round}"),
        "INCR tx:count".to_owned(),
        "LPUSH tx:list x".to_owned(),
        "SUNIONSTORE tx:union tx:s1 tx:s2".to_owned(),
        "EXEC".to_owned(),
        "SELECT 0".to_owned(),
        format!("SADD tx:s1 {round} a b"),
        "SADD tx:s2 c d".to_owned(),
        "SUNIONSTORE tx:union tx:s1 tx:s2".to_owned(),
        format!("SET short:{round} v PX 1"),
        format!("SET long:{round} v EX 1000"),
        format!("GETEX long:{round} PX 2000000"),
        "INCRBYFLOAT tx:float 0.1".to_owned(),
        "SPOP tx:s1".to_owned(),
        format!("SET gone:{round} v"),
        format!("UNLINK gone:{round}"),
        "LPUSH moved 1 2 3".to_owned(),
        "LMOVE moved other LEFT RIGHT".to_owned(),
        "BLMOVE other third LEFT RIGHT 1".to_owned(),
        "BRPOP moved 1".to_owned(),
        "RENAME third moved2".to_owned(),
        "COPY moved2 copied REPLACE".to_owned(),
        "XADD stream * field value".to_owned(),
        "XGROUP CREATE stream group 0 MKSTREAM".to_owned(),
        "XREADGROUP GROUP group me COUNT 1 STREAMS stream >".to_owned(),
        "PFADD sketch a b c".to_owned(),
        "SETRANGE raw 10 x".to_owned(),
        "GEOADD places 13.3 38.1 Palermo".to_owned(),
        "GEOSEARCHSTORE near places FROMLONLAT 13 38 BYRADIUS 500 km".to_owned(),
    ];
    let mut commands: Vec<Args> = lines.iter().map(|line| words(line)).collect();
    let script = "redis.call('SET', KEYS[1], ARGV[1]) redis.call('SADD', KEYS[2], ARGV[1]) return redis.call('INCR', KEYS[3])";
    let mut eval = words("EVAL");
    eval.push(script.as_bytes().to_vec());
    eval.extend(words(&format!("3 ev:a ev:set ev:n {round}")));
    commands.push(eval);
    client
        .pipeline(&commands)
        .expect("the writer's connection lasts");
}
