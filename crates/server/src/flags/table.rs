//! The flags that mean something here: one row each. The command line, the environment, flag
//! files, `--help`, CONFIG GET and CONFIG SET all derive from these rows.
//!
//! Names, meanings and defaults are Dragonfly's (its documentation, "Server Configuration Flags");
//! the names in `redis` are Redis 7.0's for the same thing.

use super::value::{Kind, Value};
use crate::config::{Config, Endpoint, MAX_SHARDS, TlsClients, TlsVerify, UnknownTypes};
use damselfly_engine::acl::PasswordHash;
use damselfly_engine::events::EventFlags;
use damselfly_engine::eviction::EvictionPolicy;

/// When a flag may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Only at the start; CONFIG SET answers "can't set immutable config".
    Startup,
    /// Only at the start, because a client could do harm with it; "can't set protected config".
    Protected,
    /// By CONFIG SET too.
    Runtime,
}

/// A flag.
pub struct Flag {
    /// Dragonfly's name, with underscores.
    pub name: &'static str,
    /// What the value is called in the help: a unit where it has one.
    pub unit: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// When it may change.
    pub change: Change,
    /// Redis's names for it, each with the number of the flag's units in one of Redis's.
    pub redis: &'static [(&'static str, i64)],
    /// One sentence for the help.
    pub help: &'static str,
    /// Reads it out of a configuration.
    pub get: fn(&Config) -> Value,
    /// Writes it into a configuration; the error says what was expected.
    pub set: fn(&mut Config, &Value) -> Result<(), String>,
}

const INT_MAX: i64 = i32::MAX as i64;
const U32_MAX: i64 = u32::MAX as i64;
const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max }
}

/// A getter and a setter of a number whose field has the type given.
macro_rules! number {
    ($($field:ident).+: $type:ty) => {
        (
            (|config| Value::Int(config.$($field).+ as i64)) as fn(&Config) -> Value,
            (|config, value| {
                config.$($field).+ = <$type>::try_from(value.number()).map_err(|_| "out of range")?;
                Ok(())
            }) as fn(&mut Config, &Value) -> Result<(), String>,
        )
    };
}

/// The same for an amount of memory.
macro_rules! memory {
    ($field:ident) => {
        (
            (|config| Value::Bytes(config.$field)) as fn(&Config) -> Value,
            (|config, value| {
                config.$field = value.bytes();
                Ok(())
            }) as fn(&mut Config, &Value) -> Result<(), String>,
        )
    };
}

/// The same for a boolean.
macro_rules! truth {
    ($($field:ident).+) => {
        (
            (|config| Value::Bool(config.$($field).+)) as fn(&Config) -> Value,
            (|config, value| {
                config.$($field).+ = value.truth();
                Ok(())
            }) as fn(&mut Config, &Value) -> Result<(), String>,
        )
    };
}

/// The same for a text or a path.
macro_rules! text {
    ($field:ident) => {
        (
            (|config| {
                Value::Text(
                    AsRef::<std::path::Path>::as_ref(&config.$field)
                        .to_string_lossy()
                        .into_owned(),
                )
            }) as fn(&Config) -> Value,
            (|config, value| {
                config.$field = value.text().into();
                Ok(())
            }) as fn(&mut Config, &Value) -> Result<(), String>,
        )
    };
}

/// One row: name, unit, kind, change, Redis's names, accessors, help.
macro_rules! flag {
    ($name:literal, $unit:literal, $kind:expr, $change:ident, [$($redis:expr),*], $access:expr, $help:literal) => {
        Flag {
            name: $name,
            unit: $unit,
            kind: $kind,
            change: Change::$change,
            redis: &[$($redis),*],
            help: $help,
            get: $access.0,
            set: $access.1,
        }
    };
}

type Access = (
    fn(&Config) -> Value,
    fn(&mut Config, &Value) -> Result<(), String>,
);

/// A list of words, separated by commas or blanks.
macro_rules! list {
    ($($field:ident).+, $between:literal) => {
        (
            (|config| Value::Text(config.$($field).+.join($between))) as fn(&Config) -> Value,
            (|config, value| {
                let separator = |letter: char| letter == ',' || letter.is_whitespace();
                let words = value
                    .text()
                    .split(separator)
                    .filter(|word| !word.is_empty());
                config.$($field).+ = words.map(str::to_owned).collect();
                Ok(())
            }) as fn(&mut Config, &Value) -> Result<(), String>,
        )
    };
}

const UNIXSOCKETPERM: Access = (
    |config| Value::Text(config.unixsocketperm.clone()),
    |config, value| {
        let text = value.text();
        let is_mode =
            text.is_empty() || u32::from_str_radix(text, 8).is_ok_and(|mode| mode <= 0o777);
        if !is_mode {
            return Err("expected permissions in octal, such as 770".to_owned());
        }
        config.unixsocketperm = text.to_owned();
        Ok(())
    },
);

const REPLICAOF: Access = (
    |config| {
        let text = |primary: &Endpoint| format!("{} {}", primary.host, primary.port);
        Value::Text(config.replicaof.as_ref().map(text).unwrap_or_default())
    },
    |config, value| {
        let text = value.text().trim();
        let nobody = text.is_empty() || text.eq_ignore_ascii_case("no one");
        config.replicaof = if nobody {
            None
        } else {
            Some(text.parse::<Endpoint>()?)
        };
        Ok(())
    },
);

const REPLICAOF_V2: Access = (
    |_| Value::Bool(true),
    |_, value| {
        match value.truth() {
        true => Ok(()),
        false => Err("there is only the new algorithm of REPLICAOF here; leave this flag out or set it to true".to_owned()),
    }
    },
);

const UNKNOWN_TYPES: Access = (
    |config| {
        let word = if config.rdb_unknown_types == UnknownTypes::Skip {
            "skip"
        } else {
            "error"
        };
        Value::Text(word.to_owned())
    },
    |config, value| {
        let skip = value.text() == "skip";
        config.rdb_unknown_types = if skip {
            UnknownTypes::Skip
        } else {
            UnknownTypes::Error
        };
        Ok(())
    },
);

const MAXMEMORY_POLICY: Access = (
    |config| Value::Text(config.maxmemory_policy.name().to_owned()),
    |config, value| {
        let policy = EvictionPolicy::of_name(value.text());
        config.maxmemory_policy = policy.ok_or("no such policy")?;
        Ok(())
    },
);

const LUA_FLAGS: Access = (
    |config| {
        let flags = if config.undeclared_keys {
            UNDECLARED_KEYS
        } else {
            ""
        };
        Value::Text(flags.to_owned())
    },
    |config, value| {
        let mut flags = value
            .text()
            .split([',', ' '])
            .filter(|flag| !flag.is_empty());
        config.undeclared_keys = flags.clone().any(|flag| flag == UNDECLARED_KEYS);
        match flags.find(|flag| *flag != UNDECLARED_KEYS) {
            Some(flag) => Err(format!(
                "{flag} is no flag of scripts; {UNDECLARED_KEYS} is"
            )),
            None => Ok(()),
        }
    },
);

/// The flag of scripts that use keys which they have not declared.
const UNDECLARED_KEYS: &str = "allow-undeclared-keys";

const NOTIFY_KEYSPACE_EVENTS: Access = (
    |config| Value::Text(config.notify_keyspace_events.to_string()),
    |config, value| {
        let flags = EventFlags::parse(value.text());
        let known = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
        config.notify_keyspace_events = flags.ok_or(known)?;
        Ok(())
    },
);

const CLIENT_OUTPUT_BUFFER_LIMIT: Access = (
    |config| Value::Text(config.client_output_buffer_limit.to_string()),
    |config, value| {
        config.client_output_buffer_limit = config.client_output_buffer_limit.with(value.text())?;
        Ok(())
    },
);

const DBFILENAME: Access = (
    |config| Value::Text(config.dbfilename.clone()),
    |config, value| {
        if value.text().contains('/') {
            return Err("dbfilename can't be a path, just a filename".to_owned());
        }
        config.dbfilename = value.text().to_owned();
        Ok(())
    },
);

const SNAPSHOT_CRON: Access = (
    |config| Value::Text(config.snapshot_cron.clone()),
    |config, value| {
        if !value.text().is_empty() {
            let pattern = value.text().parse::<croner::Cron>();
            pattern
                .map_err(|error| format!("'{}' is no cron expression: {error}", value.text()))?;
        }
        config.snapshot_cron = value.text().to_owned();
        Ok(())
    },
);

/// Only a hash is kept. (A value that is `#` and 64 digits is one.)
const REQUIREPASS: Access = (
    |config| Value::Text(config.requirepass.clone()),
    |config, value| {
        let hash = match value.text().as_bytes() {
            [] => None,
            [b'#', digits @ ..] if PasswordHash::from_hex(digits).is_some() => {
                PasswordHash::from_hex(digits)
            }
            password => Some(PasswordHash::of(password)),
        };
        config.requirepass = hash
            .map(|hash| format!("#{}", hash.to_hex()))
            .unwrap_or_default();
        Ok(())
    },
);

/// The words of a flag, each with what it means: the first is told from the rest by its place.
macro_rules! choice {
    ($field:ident: $($word:literal => $value:expr),*) => {
        (
            (|config| {
                let words = [$(($word, $value)),*];
                let named = words.iter().find(|(_, value)| *value == config.$field);
                Value::Text(named.map_or("", |(word, _)| word).to_owned())
            }) as fn(&Config) -> Value,
            (|config, value| {
                let words = [$(($word, $value)),*];
                let named = words.iter().find(|(word, _)| *word == value.text());
                config.$field = named.ok_or("no such word")?.1;
                Ok(())
            }) as fn(&mut Config, &Value) -> Result<(), String>,
        )
    };
}

const TLS_AUTH_CLIENTS: Access = choice!(tls_auth_clients: "yes" => TlsClients::Required, "optional" => TlsClients::Optional, "no" => TlsClients::No);
const TLS_VERIFY: Access = choice!(tls_replication_verify: "full" => TlsVerify::Full, "ca" => TlsVerify::Ca, "none" => TlsVerify::None);

const ACL_PUBSUB_DEFAULT: Access = (
    |config| Value::Text(ACL_CHANNELS[usize::from(!config.acl_pubsub_default)].to_owned()),
    |config, value| {
        config.acl_pubsub_default = value.text() == ACL_CHANNELS[0];
        Ok(())
    },
);

/// What new users may hear.
const ACL_CHANNELS: &[&str] = &["allchannels", "resetchannels"];

/// All flags, in the order of the help.
#[rustfmt::skip]
pub static FLAGS: &[Flag] = &[
    flag!("port", "PORT", int(-1, 65_535), Startup, [("port", 1)], number!(port: i32),
        "TCP port; 0 = no TCP, -1 = a free port, which is printed"),
    flag!("bind", "ADDRESSES", Kind::Text, Startup, [("bind", 1)], list!(bind, " "),
        "Addresses or names to listen on, separated by commas or blanks; empty = all interfaces"),
    flag!("admin_port", "PORT", int(-1, 65_535), Startup, [], number!(admin.port: i32),
        "TCP port for administration, which alone may run restricted commands; 0 = none, -1 = a free port, which is printed"),
    flag!("admin_bind", "ADDRESSES", Kind::Text, Startup, [], list!(admin.bind, " "),
        "Addresses or names of the admin port; empty = those of bind"),
    flag!("no_tls_on_admin_port", "", Kind::Bool, Startup, [], truth!(admin.no_tls),
        "The admin port is without TLS, for a private network"),
    flag!("admin_nopass", "", Kind::Bool, Startup, [], truth!(admin.nopass),
        "Nobody has to authenticate on the admin port"),
    flag!("primary_port_http_enabled", "", Kind::Bool, Runtime, [], truth!(primary_port_http_enabled),
        "The port answers HTTP, too: /metrics for Prometheus; the admin port does anyway"),
    flag!("restricted_commands", "NAMES", Kind::Text, Startup, [], list!(admin.restricted_commands, ","),
        "Commands that only clients of the admin port may run, separated by commas; a container stands for its subcommands"),
    flag!("protected_mode", "", Kind::Bool, Runtime, [("protected-mode", 1)], truth!(protected_mode),
        "Turn away clients from other machines while the default user needs no password and clients show no certificates"),
    flag!("unixsocket", "PATH", Kind::Text, Startup, [("unixsocket", 1)], text!(unixsocket),
        "Path of a Unix socket to listen on"),
    flag!("unixsocketperm", "MODE", Kind::Text, Startup, [("unixsocketperm", 1)], UNIXSOCKETPERM,
        "Permissions of the Unix socket's file, in octal; empty = the system's default"),
    flag!("proactor_threads", "N", int(0, MAX_SHARDS as i64), Startup, [], number!(proactor_threads: usize),
        "Threads that carry connections and shards; 0 = one a core"),
    flag!("num_shards", "N", int(0, MAX_SHARDS as i64), Startup, [], number!(num_shards: usize),
        "Shards, at most one a thread; 0 = one a thread"),
    flag!("dbnum", "N", int(1, 65_535), Startup, [("databases", 1)], number!(dbnum: u16),
        "Number of databases"),
    flag!("maxmemory", "BYTES", Kind::Bytes, Runtime, [("maxmemory", 1)], memory!(maxmemory),
        "Limit of used memory, such as 4GB; 0 = none"),
    flag!("maxmemory_policy", "POLICY", Kind::Choice(EvictionPolicy::NAMES), Runtime, [("maxmemory-policy", 1)], MAXMEMORY_POLICY,
        "Which keys give way when the limit is reached, as Redis calls it; noeviction = none, writes are refused"),
    flag!("maxmemory_samples", "N", int(1, INT_MAX), Runtime, [("maxmemory-samples", 1)], number!(maxmemory_samples: u32),
        "Keys that are looked at for each that is evicted"),
    flag!("maxmemory_eviction_tenacity", "N", int(0, 100), Runtime, [("maxmemory-eviction-tenacity", 1)], number!(maxmemory_eviction_tenacity: u32),
        "How long a command may take to make room, before the rest is left to the background; 100 = as long as it takes"),
    flag!("lfu_log_factor", "N", int(0, INT_MAX), Runtime, [("lfu-log-factor", 1)], number!(lfu_log_factor: u32),
        "With an LFU policy, how slowly the counters of uses grow"),
    flag!("lfu_decay_time", "MINUTES", int(0, INT_MAX), Runtime, [("lfu-decay-time", 1)], number!(lfu_decay_time: u32),
        "With an LFU policy, the time in which the counters of uses lose one; 0 = never"),
    flag!("notify_keyspace_events", "LETTERS", Kind::Text, Runtime, [("notify-keyspace-events", 1)], NOTIFY_KEYSPACE_EVENTS,
        "Which keyspace events are told, as Redis's parameter of this name says"),
    flag!("client_output_buffer_limit", "CLASS HARD SOFT SECONDS", Kind::Text, Runtime, [("client-output-buffer-limit", 1)], CLIENT_OUTPUT_BUFFER_LIMIT,
        "Bytes that may wait for a client that does not read, for the classes normal, replica and pubsub; 0 = no limit"),
    flag!("default_lua_flags", "FLAGS", Kind::Text, Startup, [], LUA_FLAGS,
        "Flags of scripts that name none: allow-undeclared-keys lets them use keys that they have not declared, and makes each a transaction over all keys"),
    flag!("lua_mem_limit", "BYTES", Kind::Bytes, Startup, [], memory!(lua_mem_limit),
        "Bytes that one Lua state may use; a thread has one state for each script that it runs at a time"),
    flag!("busy_reply_threshold", "MS", int(0, INT_MAX), Runtime, [("busy-reply-threshold", 1), ("lua-time-limit", 1)], number!(busy_reply_threshold: u64),
        "Time after which a running script makes others hear that the server is busy; 0 = never"),
    flag!("tracking_table_max_keys", "N", int(0, i64::MAX), Runtime, [("tracking-table-max-keys", 1)], number!(tracking_table_max_keys: u64),
        "Keys that are remembered for client-side caches, over all shards; 0 = as many as come"),
    flag!("maxclients", "N", int(1, U32_MAX), Runtime, [("maxclients", 1)], number!(maxclients: u32),
        "Most client connections at a time"),
    flag!("timeout", "SECONDS", int(0, INT_MAX), Runtime, [("timeout", 1)], number!(timeout: u32),
        "Disconnect a client after this idle time; 0 = never"),
    flag!("replicaof", "HOST:PORT", Kind::Text, Startup, [("replicaof", 1), ("slaveof", 1)], REPLICAOF,
        "Follow this primary from the start"),
    flag!("replication_timeout", "MS", int(1, INT_MAX), Runtime, [("repl-timeout", 1_000)], number!(replication_timeout_ms: u64),
        "How long a replication link may move no byte before it counts as broken"),
    flag!("replication_acks_interval", "MS", int(1, INT_MAX), Runtime, [], number!(replication_acks_interval_ms: u64),
        "Interval between a replica's acknowledgements"),
    flag!("replication_stream_output_limit", "BYTES", Kind::Bytes, Runtime, [], memory!(replication_stream_output_limit),
        "Bytes of stream that may wait for one flow's socket before writers wait"),
    flag!("shard_repl_backlog_max_bytes", "BYTES", Kind::Bytes, Runtime, [("repl-backlog-size", 1)], memory!(shard_repl_backlog_max_bytes),
        "Bytes that the replication backlogs of all shards keep; 0 = half a percent of maxmemory, or 64MiB"),
    flag!("shard_repl_backlog_time_ms", "MS", int(0, INT_MAX), Runtime, [], number!(shard_repl_backlog_time_ms: u64),
        "Age at which records leave the backlog; 0 = its size alone decides"),
    flag!("master_connect_timeout_ms", "MS", int(1, INT_MAX), Runtime, [], number!(master_connect_timeout_ms: u64),
        "Time for connecting to a primary and greeting it"),
    flag!("master_reconnect_timeout_ms", "MS", int(1, INT_MAX), Runtime, [], number!(master_reconnect_timeout_ms: u64),
        "Time for each attempt to connect again after a link broke"),
    flag!("replica_partial_sync", "", Kind::Bool, Runtime, [], truth!(replica_partial_sync),
        "Continue where a broken link ended, where the primary's backlog allows"),
    flag!("break_replication_on_master_restart", "", Kind::Bool, Runtime, [], truth!(break_replication_on_master_restart),
        "End a link for good when its primary comes back with another data set, whatever it holds"),
    flag!("follow_blank_master", "", Kind::Bool, Runtime, [], truth!(follow_blank_master),
        "Let a primary that comes back with nothing, or with less than its replicas have, take their data, too; without it they keep it until the next REPLICAOF"),
    flag!("experimental_replicaof_v2", "", Kind::Bool, Startup, [], REPLICAOF_V2,
        "The non-blocking algorithm of REPLICAOF; there is no other"),
    flag!("replica_announce_ip", "ADDRESS", Kind::Text, Runtime, [("replica-announce-ip", 1), ("slave-announce-ip", 1)], text!(replica_announce_ip),
        "Address that a replica announces to its primary"),
    flag!("announce_port", "PORT", int(0, 65_535), Runtime, [("replica-announce-port", 1), ("slave-announce-port", 1)], number!(announce_port: u16),
        "Port that a replica announces to its primary; 0 = the port it listens on"),
    flag!("replica_priority", "N", int(0, INT_MAX), Runtime, [("replica-priority", 1), ("slave-priority", 1)], number!(replica_priority: u32),
        "Lower is preferred in a failover; 0 = never promoted"),
    flag!("replica_announced", "", Kind::Bool, Runtime, [("replica-announced", 1)], truth!(replica_announced),
        "Whether failover monitors are to know of this server while it is a replica"),
    flag!("min_replicas_to_write", "N", int(0, INT_MAX), Runtime, [("min-replicas-to-write", 1), ("min-slaves-to-write", 1)], number!(min_replicas_to_write: u32),
        "Replicas that have to be near enough for writes to be taken; 0 = none"),
    flag!("min_replicas_max_lag", "SECONDS", int(0, INT_MAX), Runtime, [("min-replicas-max-lag", 1), ("min-slaves-max-lag", 1)], number!(min_replicas_max_lag: u32),
        "Time since the last acknowledgement of a replica that is near enough; 0 = writes need none"),
    flag!("info_replication_valkey_compatible", "", Kind::Bool, Runtime, [], truth!(info_replication_valkey_compatible),
        "INFO replication gives the values of Valkey where Dragonfly's differ"),
    flag!("masteruser", "NAME", Kind::Text, Runtime, [("masteruser", 1)], text!(masteruser),
        "User for authenticating to the primary"),
    flag!("slowlog_log_slower_than", "US", int(-1, i64::MAX), Runtime, [("slowlog-log-slower-than", 1)], number!(slowlog_log_slower_than: i64),
        "Time from which on a command goes into the slow log; -1 = none does"),
    flag!("slowlog_max_len", "N", int(0, i64::MAX), Runtime, [("slowlog-max-len", 1)], number!(slowlog_max_len: usize),
        "Commands that the slow log keeps"),
    flag!("latency_monitor_threshold", "MS", int(0, i64::MAX), Runtime, [("latency-monitor-threshold", 1)], number!(latency_monitor_threshold: u64),
        "Time from which on the latency monitor notes something; 0 = never"),
    flag!("requirepass", "PASSWORD", Kind::Secret, Runtime, [("requirepass", 1)], REQUIREPASS,
        "Password of the default user; a hash of it is kept"),
    flag!("tls", "", Kind::Bool, Runtime, [], truth!(tls),
        "Clients have to speak TLS; needs tls_key_file, tls_cert_file, and a password or a CA"),
    flag!("tls_key_file", "PATH", Kind::Text, Runtime, [("tls-key-file", 1)], text!(tls_key_file),
        "Private key of this server's certificate (PEM, not encrypted)"),
    flag!("tls_cert_file", "PATH", Kind::Text, Runtime, [("tls-cert-file", 1)], text!(tls_cert_file),
        "Certificate that this server shows to clients and to its primary, with those between it and its CA (PEM)"),
    flag!("tls_ca_cert_file", "PATH", Kind::Text, Runtime, [("tls-ca-cert-file", 1)], text!(tls_ca_cert_file),
        "Certificates of the CAs that sign clients' and a primary's certificates (PEM); with it clients have to show one"),
    flag!("tls_ca_cert_dir", "PATH", Kind::Text, Runtime, [("tls-ca-cert-dir", 1)], text!(tls_ca_cert_dir),
        "Directory of files with such certificates"),
    flag!("tls_auth_clients", "WORD", Kind::Choice(&["yes", "optional", "no"]), Runtime, [("tls-auth-clients", 1)], TLS_AUTH_CLIENTS,
        "Whether clients have to show a certificate where a CA is named: yes, optional, no = a password will do"),
    flag!("tls_replication", "", Kind::Bool, Runtime, [("tls-replication", 1)], truth!(tls_replication),
        "The link to a primary speaks TLS"),
    flag!("tls_replication_verify", "WORD", Kind::Choice(&["full", "ca", "none"]), Runtime, [], TLS_VERIFY,
        "What is checked of a primary's certificate: full = its CA and its host name, ca = its CA, none = nothing"),
    flag!("aclfile", "PATH", Kind::Text, Startup, [("aclfile", 1)], text!(aclfile),
        "File of users, which ACL LOAD reads and ACL SAVE writes"),
    flag!("acllog_max_len", "N", int(0, i64::MAX), Runtime, [("acllog-max-len", 1)], number!(acllog_max_len: usize),
        "Kinds of denials that ACL LOG keeps"),
    flag!("acl_pubsub_default", "WORD", Kind::Choice(ACL_CHANNELS), Runtime, [("acl-pubsub-default", 1)], ACL_PUBSUB_DEFAULT,
        "Whether new users may use all channels, or none until they are given some"),
    flag!("masterauth", "PASSWORD", Kind::Secret, Runtime, [("masterauth", 1)], text!(masterauth),
        "Password for authenticating to the primary"),
    flag!("tcp_keepalive", "SECONDS", int(0, INT_MAX), Runtime, [("tcp-keepalive", 1)], number!(tcp_keepalive: u32),
        "Idle time after which keepalive probes start; 0 = never"),
    flag!("tcp_nodelay", "", Kind::Bool, Startup, [], truth!(tcp_nodelay),
        "Send small replies at once"),
    flag!("tcp_backlog", "N", int(1, 65_535), Startup, [("tcp-backlog", 1)], number!(tcp_backlog: u32),
        "Connections that may wait for being accepted"),
    flag!("tcp_user_timeout", "MS", int(0, INT_MAX), Runtime, [], number!(tcp_user_timeout: u32),
        "Longest time that sent data may stay unacknowledged; 0 = the system's default"),
    flag!("max_bulk_len", "BYTES", Kind::Bytes, Startup, [("proto-max-bulk-len", 1)], memory!(max_bulk_len),
        "Longest argument of a request"),
    flag!("max_multi_bulk_len", "N", int(1, INT_MAX), Startup, [], number!(max_multi_bulk_len: u64),
        "Most arguments of a request"),
    flag!("dir", "PATH", Kind::Text, Protected, [("dir", 1)], text!(dir),
        "Directory for snapshots; empty = the working directory"),
    flag!("dbfilename", "NAME", Kind::Text, Protected, [("dbfilename", 1)], DBFILENAME,
        "File name of snapshots: what is saved at the end and loaded at the start; {timestamp} = the time; empty = neither"),
    flag!("df_snapshot_format", "", Kind::Bool, Runtime, [], truth!(df_snapshot_format),
        "Save a file for each shard, in parallel; else one RDB file, which Redis reads. A name that ends in .rdb means that, too"),
    flag!("rdb_version", "N", int(9, 12), Runtime, [], number!(rdb_version: u16),
        "Version of RDB files: 9 is read by Redis from 5.0 on, 10 from 7.0 on, 11 from 7.2 on (and Valkey), 12 from 7.4 on"),
    flag!("snapshot_cron", "CRON", Kind::Text, Runtime, [], SNAPSHOT_CRON,
        "When to save, as crontab has it (minute hour day month weekday, local time); empty = never"),
    flag!("rdb_unknown_types", "WORD", Kind::Choice(&["error", "skip"]), Runtime, [], UNKNOWN_TYPES,
        "What a full sync does with a value of an unknown type: error = end it, skip = count it and list its key"),
    flag!("pidfile", "PATH", Kind::Text, Startup, [("pidfile", 1)], text!(pidfile),
        "File that receives the process id"),
    flag!("minloglevel", "N", int(0, 3), Startup, [], number!(minloglevel: u8),
        "Least severe messages that are logged: 0 = info, 1 = warnings, 2 = errors, 3 = none"),
    flag!("v", "N", int(0, 9), Startup, [], number!(verbosity: u8),
        "More messages than info: 1 = debug, 2 = trace"),
];

/// The row of a flag, by its name with underscores.
pub fn find(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_written_with_underscores() {
        let mut seen = HashSet::new();
        for flag in FLAGS {
            assert!(seen.insert(flag.name), "{} stands twice", flag.name);
            assert!(
                flag.name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
            );
            assert!(
                !flag.help.ends_with('.') && !flag.help.is_empty(),
                "{}",
                flag.name
            );
            assert_eq!(
                flag.unit.is_empty(),
                flag.kind == Kind::Bool,
                "{} needs a unit or has one too many",
                flag.name
            );
        }
        let names: Vec<_> = FLAGS
            .iter()
            .flat_map(|flag| flag.redis)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(
            names.len(),
            names.iter().collect::<HashSet<_>>().len(),
            "a name of Redis stands twice"
        );
    }

    #[test]
    fn every_default_passes_its_own_parser_and_comes_back() {
        for flag in FLAGS {
            let mut config = Config::default();
            let shown = (flag.get)(&config).to_string();
            let value = flag
                .kind
                .parse_flag(&shown)
                .unwrap_or_else(|error| panic!("{}={shown}: {error}", flag.name));
            (flag.set)(&mut config, &value)
                .unwrap_or_else(|error| panic!("{}={shown}: {error}", flag.name));
            assert_eq!(
                config,
                Config::default(),
                "{} changed by its default",
                flag.name
            );
        }
    }

    #[test]
    fn every_flag_but_the_fixed_one_changes_the_configuration() {
        for flag in FLAGS
            .iter()
            .filter(|flag| !["experimental_replicaof_v2", "requirepass"].contains(&flag.name))
        {
            let mut config = Config::default();
            let other = match (flag.get)(&config) {
                Value::Bool(truth) => Value::Bool(!truth),
                Value::Int(number) => Value::Int(number + 1),
                Value::Bytes(bytes) => Value::Bytes(bytes + 1),
                Value::Text(_) if flag.name == "replicaof" => Value::Text("h 1".into()),
                Value::Text(_) if flag.name == "rdb_unknown_types" => Value::Text("skip".into()),
                Value::Text(_) if flag.name == "default_lua_flags" => {
                    Value::Text("allow-undeclared-keys".into())
                }
                Value::Text(_) if flag.name == "acl_pubsub_default" => {
                    Value::Text("allchannels".into())
                }
                Value::Text(_) if flag.name == "snapshot_cron" => Value::Text("*/5 * * * *".into()),
                Value::Text(_) if flag.name == "unixsocketperm" => Value::Text("700".into()),
                Value::Text(_) if flag.name == "tls_auth_clients" => Value::Text("optional".into()),
                Value::Text(_) if flag.name == "tls_replication_verify" => Value::Text("ca".into()),
                Value::Text(_) if flag.name == "maxmemory_policy" => {
                    Value::Text("allkeys-lru".into())
                }
                Value::Text(text) if flag.name == "client_output_buffer_limit" => {
                    Value::Text(text.replace("normal 0", "normal 1"))
                }
                Value::Text(text) => Value::Text(text + "x"),
            };
            (flag.set)(&mut config, &other).unwrap();
            assert_ne!(config, Config::default(), "{}", flag.name);
            assert_eq!((flag.get)(&config), other, "{}", flag.name);
        }
    }
}
