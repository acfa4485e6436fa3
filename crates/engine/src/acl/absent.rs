//! Commands of Redis 7.0 that may be missing here. Rules may name them, so that a file of users of a Redis server can be
//! loaded; and they count where Redis looks for the categories that describe a user best.

/// Categories, and the commands that are in just these.
#[rustfmt::skip]
pub(super) const COMMANDS: &[(&str, &str)] = &[
    (
        "admin slow dangerous",
        "bgrewriteaof bgsave cluster|addslots cluster|addslotsrange cluster|bumpepoch \
         cluster|count-failure-reports cluster|delslots cluster|delslotsrange cluster|failover \
         cluster|flushslots cluster|forget cluster|meet cluster|replicas cluster|replicate cluster|reset \
         cluster|saveconfig cluster|set-config-epoch cluster|setslot cluster|slaves failover \
         latency|doctor latency|graph latency|histogram latency|history latency|latest latency|reset \
         module|list module|load module|loadex module|unload monitor psync replconf save slowlog|get \
         slowlog|len slowlog|reset sync",
    ),
    (
        "admin slow dangerous connection",
        "client|pause client|unpause",
    ),
    (
        "fast connection",
        "asking readonly readwrite",
    ),
    (
        "keyspace write slow dangerous",
        "migrate restore-asking",
    ),
    (
        "pubsub fast",
        "publish spublish",
    ),
    (
        "pubsub slow",
        "psubscribe pubsub|channels pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub \
         punsubscribe ssubscribe subscribe sunsubscribe unsubscribe",
    ),
    (
        "read fast",
        "lolwut",
    ),
    (
        "slow",
        "cluster cluster|countkeysinslot cluster|getkeysinslot cluster|help cluster|info cluster|keyslot \
         cluster|links cluster|myid cluster|nodes cluster|shards cluster|slots function latency \
         latency|help module module|help pubsub pubsub|help script slowlog slowlog|help",
    ),
    (
        "slow connection",
        "client|caching client|tracking",
    ),
    (
        "slow scripting",
        "eval eval_ro evalsha evalsha_ro fcall fcall_ro function|dump function|help function|kill \
         function|list function|stats script|debug script|exists script|flush script|help script|kill \
         script|load",
    ),
    (
        "write slow scripting",
        "function|delete function|flush function|load function|restore",
    ),
];
