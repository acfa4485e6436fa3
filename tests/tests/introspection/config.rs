//! CONFIG GET: what tools ask for is there.

use super::fields;
use damselfly_tests::{Redis, Server};

/// Parameters of Redis 7.0 that nobody asks a server for that has no cluster, no append-only file, no defragmentation of its
/// own, and other TLS: by how they begin.
const LEFT_OUT: &[&str] = &[
    "active-defrag-",
    "aof-disable-auto-gc",
    "aof_rewrite_cpulist",
    "bgsave_cpulist",
    "bio_cpulist",
    "cluster-allow-",
    "cluster-link-sendbuf-limit",
    "cluster-migration-barrier",
    "cluster-preferred-endpoint-type",
    "cluster-replica-",
    "cluster-slave-",
    "disable-thp",
    "ignore-warnings",
    "oom-score-adj-values",
    "proc-title-template",
    "propagation-error-behavior",
    "rdb-save-incremental-fsync",
    "repl-diskless-sync-max-replicas",
    "replica-ignore-disk-write-errors",
    "server_cpulist",
    "shutdown-on-",
    "shutdown-timeout",
    "socket-mark-id",
    "syslog-facility",
    "syslog-ident",
    "tls-ciphers",
    "tls-client-",
    "tls-dh-params-file",
    "tls-key-file-pass",
    "tls-protocols",
    "tls-session-cache-",
];

#[test]
fn parameters_of_redis_are_known() {
    let (server, redis) = (Server::with_shards(1), Redis::start());
    let (ours, theirs) = (
        server.client().ok("CONFIG GET *"),
        redis.client().ok("CONFIG GET *"),
    );
    let (ours, theirs) = (fields(&ours), fields(&theirs));
    let is_left_out = |name: &str| LEFT_OUT.iter().any(|start| name.starts_with(start));
    let missing: Vec<_> = theirs
        .keys()
        .filter(|name| !ours.contains_key(*name) && !is_left_out(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let needless: Vec<_> = LEFT_OUT
        .iter()
        .filter(|start| {
            !theirs
                .keys()
                .any(|name| name.starts_with(*start) && !ours.contains_key(name))
        })
        .collect();
    assert!(
        needless.is_empty(),
        "known by now, or nothing of Redis: {needless:?}"
    );
}
