//! The names under which CONFIG knows parameters.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::flags::{FLAGS, Flag};

/// One name of one parameter.
pub struct Entry {
    /// The name, in lower case.
    pub name: &'static str,
    /// What it stands for.
    pub target: Target,
}

/// What a name stands for.
pub enum Target {
    /// A flag; `scale` is the number of its units in one of the name's.
    Flag {
        /// The row.
        flag: &'static Flag,
        /// Its units in one of the name's units.
        scale: i64,
        /// Whether the name is Redis's, whose booleans are `yes` and `no`.
        redis: bool,
    },
    /// A parameter of Redis that has one value here.
    Constant(&'static str),
}

/// Parameters of Redis 7.0 that clients and monitors read. What they say is true of this server:
/// there is no other behaviour to choose.
#[rustfmt::skip]
static CONSTANTS: &[(&str, &str)] = &[
    ("active-expire-effort", "1"), ("hll-sparse-max-bytes", "3000"), ("io-threads", "1"), ("io-threads-do-reads", "no"),
    ("maxmemory-clients", "0"), ("repl-ping-replica-period", "10"), ("repl-ping-slave-period", "10"),
    ("replica-ignore-maxmemory", "yes"), ("slave-ignore-maxmemory", "yes"), ("stream-node-max-bytes", "4096"),
    ("stream-node-max-entries", "100"), ("auto-aof-rewrite-percentage", "100"), ("auto-aof-rewrite-min-size", "67108864"),
    ("no-appendfsync-on-rewrite", "no"), ("dynamic-hz", "yes"), ("repl-disable-tcp-nodelay", "no"), ("repl-diskless-load", "disabled"),
    ("sanitize-dump-payload", "no"), ("enable-module-command", "no"), ("enable-protected-configs", "no"),
    ("activedefrag", "no"), ("activerehashing", "yes"),
    ("always-show-logo", "no"), ("appendfilename", "appendonly.aof"), ("appendfsync", "everysec"), ("appendonly", "no"),
    ("client-query-buffer-limit", "1073741824"), ("cluster-enabled", "no"),
    ("daemonize", "no"), ("enable-debug-command", "yes"), ("hash-max-listpack-entries", "512"),
    ("hash-max-listpack-value", "64"), ("hash-max-ziplist-entries", "512"), ("hash-max-ziplist-value", "64"),
    ("hz", "10"), ("latency-tracking", "yes"), ("latency-tracking-info-percentiles", "50 99 99.9"), ("lazyfree-lazy-eviction", "yes"), ("lazyfree-lazy-expire", "yes"),
    ("lazyfree-lazy-server-del", "yes"), ("lazyfree-lazy-user-del", "yes"), ("lazyfree-lazy-user-flush", "yes"),
    ("list-compress-depth", "0"), ("list-max-listpack-size", "-2"), ("list-max-ziplist-size", "-2"), ("logfile", ""),
    ("loglevel", "notice"),
    ("rdbchecksum", "yes"),
    ("rdbcompression", "yes"), ("repl-backlog-ttl", "0"), ("repl-diskless-sync", "yes"), ("repl-diskless-sync-delay", "0"),
    ("replica-lazy-flush", "yes"), ("replica-read-only", "yes"), ("replica-serve-stale-data", "yes"),
    ("save", ""), ("set-max-intset-entries", "512"), ("slave-lazy-flush", "yes"), ("slave-read-only", "yes"),
    ("slave-serve-stale-data", "yes"),
    ("stop-writes-on-bgsave-error", "no"), ("supervised", "no"), ("tls-port", "0"),
    ("zset-max-listpack-entries", "128"), ("zset-max-listpack-value", "64"), ("zset-max-ziplist-entries", "128"),
    ("zset-max-ziplist-value", "64"),
    // Of what is not here: tools read them all the same.
    ("aof-load-truncated", "yes"), ("aof-rewrite-incremental-fsync", "yes"), ("aof-timestamp-enabled", "no"),
    ("aof-use-rdb-preamble", "yes"), ("appenddirname", "appendonlydir"), ("bind-source-addr", ""),
    ("cluster-announce-bus-port", "0"), ("cluster-announce-hostname", ""), ("cluster-announce-ip", ""),
    ("cluster-announce-port", "0"), ("cluster-announce-tls-port", "0"), ("cluster-config-file", "nodes.conf"),
    ("cluster-node-timeout", "15000"), ("cluster-port", "0"), ("cluster-require-full-coverage", "yes"),
    ("crash-log-enabled", "no"), ("crash-memcheck-enabled", "no"), ("jemalloc-bg-thread", "no"), ("oom-score-adj", "no"),
    ("rdb-del-sync-files", "no"), ("set-proc-title", "no"), ("syslog-enabled", "no"), ("tls-cluster", "no"),
    ("tls-prefer-server-ciphers", "no"), ("tls-session-caching", "yes"),
];

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let constants = CONSTANTS.iter().map(|&(name, value)| Entry {
        name,
        target: Target::Constant(value),
    });
    let mut entries: Vec<Entry> = FLAGS.iter().flat_map(names_of).chain(constants).collect();
    entries.sort_by_key(|entry| entry.name);
    entries
});

static INDEX: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
    let names = entries().iter().enumerate();
    names
        .map(|(index, entry)| (canonical(entry.name.as_bytes()), index))
        .collect()
});

/// Redis's names of a flag, and its own unless one of Redis's is the same but for the dashes.
fn names_of(flag: &'static Flag) -> impl Iterator<Item = Entry> {
    let redis = flag.redis.iter();
    let own = !flag
        .redis
        .iter()
        .any(|(name, _)| canonical(name.as_bytes()) == flag.name);
    let own = own.then_some(Entry {
        name: flag.name,
        target: Target::Flag {
            flag,
            scale: 1,
            redis: false,
        },
    });
    redis
        .map(move |&(name, scale)| Entry {
            name,
            target: Target::Flag {
                flag,
                scale,
                redis: true,
            },
        })
        .chain(own)
}

/// All names, sorted.
pub fn entries() -> &'static [Entry] {
    &ENTRIES
}

/// The parameter of a name, in any case, with dashes or underscores.
pub fn find(name: &[u8]) -> Option<&'static Entry> {
    INDEX.get(&canonical(name)).map(|index| &entries()[*index])
}

fn canonical(name: &[u8]) -> String {
    String::from_utf8_lossy(name)
        .to_ascii_lowercase()
        .replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_its_own_entry() {
        assert_eq!(INDEX.len(), entries().len(), "a name stands twice");
        for entry in entries() {
            assert_eq!(
                find(entry.name.as_bytes()).map(|found| found.name),
                Some(entry.name)
            );
            assert_eq!(
                find(entry.name.to_uppercase().as_bytes()).map(|found| found.name),
                Some(entry.name)
            );
        }
        for flag in FLAGS {
            assert!(find(flag.name.as_bytes()).is_some(), "{}", flag.name);
        }
    }
}
