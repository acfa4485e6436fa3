//! What a seed means: servers, network, load, and what goes wrong when.

use damselfly_engine::eviction::EvictionPolicy;
use damselfly_replication::{PrimaryConfig, ReplicaConfig, RestartedPrimary};

use crate::rng::Rng;

/// Everything that is drawn before a simulation begins.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// What the simulation is about.
    pub theme: Theme,
    /// The servers.
    pub nodes: Vec<NodePlan>,
    /// Settings of all servers as replicas.
    pub replica: ReplicaConfig,
    /// Settings of all servers towards replicas.
    pub primary: PrimaryConfig,
    /// Backlog of a server, in bytes.
    pub backlog_bytes: u64,
    /// Limits of memory.
    pub memory: MemoryPlan,
    /// The network.
    pub net: NetPlan,
    /// The load.
    pub load: LoadPlan,
    /// How long things happen, in milliseconds.
    pub chaos_ms: u64,
    /// Mean time between two things that go wrong.
    pub trouble_gap_ms: u64,
    /// How threads are held up.
    pub hold: HoldPlan,
}

/// What a simulation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// A replica follows a primary under load; only the network's pieces and delays differ.
    Calm,
    /// Connections are cut, stalled, partitioned.
    Links,
    /// Servers crash, freeze and come back empty.
    Crashes,
    /// REPLICAOF to servers that are there and to some that are not, again and again.
    Storm,
    /// A primary dies with two replicas, one of which leads from then on; see [`super::failover`].
    Failover,
    /// Everything.
    All,
}

/// A server.
#[derive(Debug, Clone, Copy)]
pub struct NodePlan {
    /// Its shards.
    pub shards: usize,
    /// Its threads.
    pub threads: usize,
}

/// How much memory every server may use, and what gives way.
#[derive(Debug, Clone, Copy)]
pub struct MemoryPlan {
    /// Bytes over all shards; 0 is no limit.
    pub max_bytes: u64,
    /// Which keys are evicted.
    pub policy: EvictionPolicy,
}

impl MemoryPlan {
    /// Whether keys may be evicted that nobody gave an expiry time.
    pub fn evicts_any(&self) -> bool {
        self.max_bytes > 0
            && !matches!(
                self.policy,
                EvictionPolicy::VolatileLru
                    | EvictionPolicy::VolatileTtl
                    | EvictionPolicy::NoEviction
            )
    }
}

/// How bytes travel.
#[derive(Debug, Clone)]
pub struct NetPlan {
    /// Least and most delay of a piece, in milliseconds.
    pub delay_ms: (u64, u64),
    /// Bytes on their way in one direction.
    pub window: usize,
    /// Longest piece that is taken or given at once.
    pub piece: usize,
    /// Bytes a millisecond; 0 is no limit.
    pub bytes_per_ms: u64,
}

/// What clients do.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// Clients that write, on every server.
    pub writers: usize,
    /// Most milliseconds between two requests of one client.
    pub pause_ms: u64,
    /// Keys of each type.
    pub keys: u64,
    /// Longest value.
    pub value_bytes: usize,
    /// Entries that are there at the start.
    pub preload: u64,
    /// Big values that are there at the start, and are written to.
    pub big_values: u64,
    /// Of a hundred requests: transactions over several keys.
    pub multi_percent: u64,
    /// Of a thousand requests: FLUSHALL, FLUSHDB, SWAPDB.
    pub global_per_mille: u64,
}

/// How often a thread that has something to do is held up, and how long.
#[derive(Debug, Clone, Copy)]
pub struct HoldPlan {
    /// Of ten thousand turns.
    pub per_10_000: u64,
    /// At most.
    pub max_ms: u64,
}

const THEMES: [Theme; 10] = [
    Theme::Calm,
    Theme::Links,
    Theme::Links,
    Theme::Crashes,
    Theme::Storm,
    Theme::Storm,
    Theme::Failover,
    Theme::All,
    Theme::All,
    Theme::Links,
];

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Plan {
        let mut rng = Rng::new(seed);
        let rng = &mut rng;
        let theme = *rng.pick(&THEMES);
        let nodes = nodes(theme, rng);
        let replica = ReplicaConfig {
            // Not drawn: seeds of before it stay what they were.
            restarted_primary: match seed % 2 {
                0 => RestartedPrimary::RefuseLess,
                _ => RestartedPrimary::Follow,
            },
            ..replica(rng)
        };
        Plan {
            seed,
            theme,
            nodes,
            primary: primary(&replica, rng),
            replica,
            backlog_bytes: if theme == Theme::Failover {
                8 << 20
            } else {
                *rng.pick(&[64 << 10, 256 << 10, 4 << 20, 4 << 20])
            },
            memory: memory(rng),
            net: net(rng),
            load: load(rng),
            chaos_ms: rng.between(2_000, 12_000) as u64,
            trouble_gap_ms: rng.between(150, 1_500) as u64,
            hold: *rng.pick(&[
                HoldPlan {
                    per_10_000: 0,
                    max_ms: 1,
                },
                HoldPlan {
                    per_10_000: 20,
                    max_ms: 30,
                },
                HoldPlan {
                    per_10_000: 100,
                    max_ms: 4,
                },
            ]),
        }
    }
}

fn nodes(theme: Theme, rng: &mut Rng) -> Vec<NodePlan> {
    let count = match theme {
        Theme::Calm => 2,
        Theme::Failover => 3,
        _ => rng.between(2, 4) as usize,
    };
    let equal = theme == Theme::Failover || rng.percent(60);
    let shards = rng.between(1, 4) as usize;
    let node = |_| {
        let shards = if equal {
            shards
        } else {
            rng.between(1, 4) as usize
        };
        let threads = shards + usize::from(rng.percent(25));
        NodePlan { shards, threads }
    };
    (0..count).map(node).collect()
}

fn replica(rng: &mut Rng) -> ReplicaConfig {
    ReplicaConfig {
        connect_timeout_ms: rng.between(500, 3_000) as u64,
        handshake_timeout_ms: rng.between(1_000, 3_000) as u64,
        replication_timeout_ms: rng.between(2_000, 8_000) as u64,
        ack_interval_ms: rng.between(50, 1_000) as u64,
        ack_records: *rng.pick(&[1, 16, 1_024]),
        backoff_min_ms: rng.between(20, 200) as u64,
        backoff_max_ms: rng.between(300, 2_000) as u64,
        partial_sync: rng.percent(95),
        ..ReplicaConfig::default()
    }
}

fn primary(replica: &ReplicaConfig, rng: &mut Rng) -> PrimaryConfig {
    PrimaryConfig {
        output_limit: *rng.pick(&[4 << 10, 32 << 10, 1 << 20]),
        replication_timeout_ms: replica.replication_timeout_ms,
        keepalive_ms: rng.between(100, 900) as u64,
        gather_bytes: *rng.pick(&[1, 200, 1_536]),
        gather_ms: *rng.pick(&[1, 10]),
        preparation_timeout_ms: rng.between(4_000, 10_000) as u64,
        ..PrimaryConfig::default()
    }
}

fn memory(rng: &mut Rng) -> MemoryPlan {
    MemoryPlan {
        max_bytes: *rng.pick(&[0, 0, 0, 0, 0, 200 << 10, 1 << 20]),
        policy: *rng.pick(&[
            EvictionPolicy::AllKeysLru,
            EvictionPolicy::AllKeysLfu,
            EvictionPolicy::AllKeysRandom,
            EvictionPolicy::VolatileLru,
            EvictionPolicy::VolatileTtl,
            EvictionPolicy::NoEviction,
        ]),
    }
}

fn net(rng: &mut Rng) -> NetPlan {
    NetPlan {
        delay_ms: *rng.pick(&[(0, 0), (0, 2), (1, 5), (5, 40)]),
        window: *rng.pick(&[1 << 10, 8 << 10, 64 << 10, 256 << 10]),
        piece: *rng.pick(&[7, 100, 1_500, 1 << 20]),
        bytes_per_ms: *rng.pick(&[0, 0, 100, 2_000]),
    }
}

fn load(rng: &mut Rng) -> LoadPlan {
    LoadPlan {
        writers: rng.between(1, 3) as usize,
        pause_ms: rng.between(4, 60) as u64,
        keys: rng.between(3, 60) as u64,
        value_bytes: *rng.pick(&[20, 200, 2_000]),
        preload: *rng.pick(&[0, 50, 400, 1_500]),
        big_values: if rng.percent(20) {
            rng.between(1, 4) as u64
        } else {
            0
        },
        multi_percent: rng.between(5, 40) as u64,
        global_per_mille: *rng.pick(&[0, 2, 15]),
    }
}

impl LoadPlan {
    /// The largest value of a key that a client writes whole, in bytes; collections grow beyond it.
    pub fn largest_value(&self) -> usize {
        // A collection of all members, each with a value.
        200 * (self.value_bytes + 80)
    }

    /// The largest transaction on one shard, in bytes.
    pub fn largest_transaction(&self) -> usize {
        self.largest_value().max(if self.big_values > 0 {
            BIG_VALUE_BYTES
        } else {
            0
        }) * 2
    }
}

/// About this many bytes has a big value.
pub const BIG_VALUE_BYTES: usize = 200 << 10;
