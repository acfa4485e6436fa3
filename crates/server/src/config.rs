//! What the server is told at its start: one plain struct, however it was filled.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::flags::FlagError;
use crate::output_limits::ClassLimits;
use damselfly_engine::events::EventFlags;
use damselfly_engine::eviction::{EvictionOptions, EvictionPolicy};
use damselfly_engine::files::{FileSettings, Format};
use damselfly_engine::slow::Thresholds;
use damselfly_engine::usage::Counting;

/// The most shards (and flows of a replication link) that the wire allows.
pub const MAX_SHARDS: usize = 1024;

/// The backlog's size when neither it nor `maxmemory` is set, in bytes.
const DEFAULT_BACKLOG_BYTES: u64 = 64 << 20;

/// The least size of a backlog derived from `maxmemory`, in bytes.
const MIN_BACKLOG_BYTES: u64 = 1 << 20;

/// The configuration of one server. [`Config::default`] holds the defaults of the flags.
///
/// Fields are named as the flags are; a field whose name has no unit says it in its text.
/// Zero means "choose for me" or "off" where the text says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The flag file that it was read from, which CONFIG REWRITE writes: the last one, if there were several.
    pub flag_file: Option<PathBuf>,
    /// TCP port; 0 = no TCP, -1 = a free port, chosen by the system and printed.
    pub port: i32,
    /// Addresses or names to listen on; empty = all interfaces, IPv4 and IPv6.
    pub bind: Vec<String>,
    /// The port for administration.
    pub admin: AdminPort,
    /// Whether the public port answers HTTP; the admin port always does.
    pub primary_port_http_enabled: bool,
    /// Whether strangers are turned away from a server without a password.
    pub protected_mode: bool,
    /// Path of a Unix socket; empty = none.
    pub unixsocket: PathBuf,
    /// Permissions of its file, in octal digits; empty or 0 = the system's default.
    pub unixsocketperm: String,
    /// OS threads that carry connections and shards; 0 = one a core.
    pub proactor_threads: usize,
    /// Shards, 1 to the number of threads; 0 = one a thread.
    pub num_shards: usize,
    /// Number of databases that SELECT reaches.
    pub dbnum: u16,
    /// Limit of used memory in bytes; 0 = none.
    pub maxmemory: u64,
    /// Which keys give way to the limit.
    pub maxmemory_policy: EvictionPolicy,
    /// Keys that are looked at for each that is evicted.
    pub maxmemory_samples: u32,
    /// How long one command may have to make room: 0 is not at all, 100 as long as it takes.
    pub maxmemory_eviction_tenacity: u32,
    /// How slowly counters of uses grow with an LFU policy.
    pub lfu_log_factor: u32,
    /// Minutes in which counters of uses lose one; 0 = never.
    pub lfu_decay_time: u32,
    /// Which keyspace events are told.
    pub notify_keyspace_events: EventFlags,
    /// How much may wait for clients that do not read.
    pub client_output_buffer_limit: ClassLimits,
    /// Whether scripts may use keys that they have not declared; each is a transaction over all keys then.
    pub undeclared_keys: bool,
    /// Bytes that one Lua state may use.
    pub lua_mem_limit: u64,
    /// Milliseconds after which a running script makes others hear that the server is busy; 0 = never.
    pub busy_reply_threshold: u64,
    /// Keys that are remembered for client-side caches; 0 = as many as come.
    pub tracking_table_max_keys: u64,
    /// The primary to follow from the start.
    pub replicaof: Option<Endpoint>,
    /// How long a link may move no byte before it counts as broken, in ms.
    pub replication_timeout_ms: u64,
    /// Interval between a replica's acknowledgements, in ms.
    pub replication_acks_interval_ms: u64,
    /// Bytes of stream that may wait for one flow's socket before writers wait.
    pub replication_stream_output_limit: u64,
    /// Bytes that the backlogs of all shards keep together; 0 = see [`Config::backlog_bytes`].
    pub shard_repl_backlog_max_bytes: u64,
    /// Age in ms at which records leave the backlog; 0 = bytes alone decide.
    pub shard_repl_backlog_time_ms: u64,
    /// Time for connecting to a primary and greeting it, in ms.
    pub master_connect_timeout_ms: u64,
    /// Time for each attempt to connect again after a link broke, in ms.
    pub master_reconnect_timeout_ms: u64,
    /// Whether a replica offers its LSNs, so that the primary may continue where the link broke.
    pub replica_partial_sync: bool,
    /// Whether a link ends for good when its primary comes back with another data set.
    pub break_replication_on_master_restart: bool,
    /// Whether a primary that comes back with nothing, or with less than its replicas have, takes their data.
    pub follow_blank_master: bool,
    /// The address that a replica announces; empty = the one its primary sees.
    pub replica_announce_ip: String,
    /// The port that a replica announces; 0 = the port it listens on.
    pub announce_port: u16,
    /// What a failover monitor reads to choose among replicas; 0 = never choose this one.
    pub replica_priority: u32,
    /// Whether failover monitors are to know of this server while it is a replica.
    pub replica_announced: bool,
    /// Replicas that have to be near enough for writes to be taken; 0 = none.
    pub min_replicas_to_write: u32,
    /// Seconds since the last ack of a replica that is near enough; 0 = writes need none.
    pub min_replicas_max_lag: u32,
    /// Whether INFO replication speaks as Valkey and Redis do where Dragonfly differs.
    pub info_replication_valkey_compatible: bool,
    /// User that authenticates to the primary; empty = the default user.
    pub masteruser: String,
    /// Password that authenticates to the primary; empty = none.
    pub masterauth: String,
    /// Microseconds from which on a command goes into the slow log; -1 = none does.
    pub slowlog_log_slower_than: i64,
    /// Commands that the slow log keeps.
    pub slowlog_max_len: usize,
    /// Milliseconds from which on the latency monitor notes something; 0 = never.
    pub latency_monitor_threshold: u64,
    /// The default user's password: `#` and the hexadecimal digits of its SHA-256; empty = none.
    pub requirepass: String,
    /// Whether clients have to speak TLS.
    pub tls: bool,
    /// The private key behind the certificate; empty = none.
    pub tls_key_file: PathBuf,
    /// The certificate that this server shows, with those between it and its CA; empty = none.
    pub tls_cert_file: PathBuf,
    /// Certificates of the CAs that sign clients' and a primary's certificates; empty = none.
    pub tls_ca_cert_file: PathBuf,
    /// A directory of files with such certificates; empty = none.
    pub tls_ca_cert_dir: PathBuf,
    /// Whether clients have to show a certificate, where there is a CA to check it with.
    pub tls_auth_clients: TlsClients,
    /// Whether the link to the primary speaks TLS.
    pub tls_replication: bool,
    /// What is checked of a primary's certificate.
    pub tls_replication_verify: TlsVerify,
    /// The file of users; empty = none.
    pub aclfile: PathBuf,
    /// Kinds of denials that ACL LOG keeps.
    pub acllog_max_len: usize,
    /// Whether new users may use all channels.
    pub acl_pubsub_default: bool,
    /// Most client connections at a time.
    pub maxclients: u32,
    /// Idle time in seconds after which a client is disconnected; 0 = never.
    pub timeout: u32,
    /// Idle time in seconds after which TCP keepalive probes start; 0 = never.
    pub tcp_keepalive: u32,
    /// Whether small replies leave at once (TCP_NODELAY).
    pub tcp_nodelay: bool,
    /// Connections that wait in the kernel for being accepted.
    pub tcp_backlog: u32,
    /// Longest time in ms for which sent data may stay unacknowledged; 0 = the system's default.
    pub tcp_user_timeout: u32,
    /// Longest argument of a request, in bytes.
    pub max_bulk_len: u64,
    /// Most arguments of a request.
    pub max_multi_bulk_len: u64,
    /// Directory for snapshots; empty = the working directory.
    pub dir: PathBuf,
    /// File name of snapshots; `{timestamp}` stands for the time.
    pub dbfilename: String,
    /// Whether a snapshot is a file for each shard and a summary, instead of one RDB file.
    pub df_snapshot_format: bool,
    /// The RDB version of files for Redis.
    pub rdb_version: u16,
    /// When snapshots are saved, as crontab has it; empty = never.
    pub snapshot_cron: String,
    /// What a full sync does with a value of an unknown type.
    pub rdb_unknown_types: UnknownTypes,
    /// File that receives the process id; empty = none.
    pub pidfile: PathBuf,
    /// Least severe messages that are logged: 0 = info, 1 = warnings, 2 = errors, 3 = nothing.
    pub minloglevel: u8,
    /// More messages than info: 1 = debug, 2 or more = trace.
    pub verbosity: u8,
}

impl Default for Config {
    #[rustfmt::skip]
    fn default() -> Self {
        Config {
            flag_file: None, port: 6379, bind: Vec::new(),
            admin: AdminPort::default(),
            primary_port_http_enabled: true,
            protected_mode: true,
            unixsocket: PathBuf::new(),
            unixsocketperm: String::new(),
            proactor_threads: 0, num_shards: 0,
            dbnum: 16, maxmemory: 0,
            maxmemory_policy: EvictionPolicy::NoEviction,
            maxmemory_samples: 5, maxmemory_eviction_tenacity: 10,
            lfu_log_factor: 10, lfu_decay_time: 1,
            notify_keyspace_events: EventFlags::default(),
            client_output_buffer_limit: ClassLimits::default(),
            undeclared_keys: false,
            lua_mem_limit: 256 << 20,
            busy_reply_threshold: 5_000,
            tracking_table_max_keys: 1_000_000,
            replicaof: None,
            replication_timeout_ms: 30_000,
            replication_acks_interval_ms: 1_000,
            replication_stream_output_limit: 1 << 20,
            shard_repl_backlog_max_bytes: 0,
            shard_repl_backlog_time_ms: 0,
            master_connect_timeout_ms: 20_000,
            master_reconnect_timeout_ms: 1_000,
            replica_partial_sync: true,
            break_replication_on_master_restart: false,
            follow_blank_master: false,
            replica_announce_ip: String::new(),
            announce_port: 0,
            replica_priority: 100,
            replica_announced: true,
            min_replicas_to_write: 0, min_replicas_max_lag: 10,
            info_replication_valkey_compatible: false,
            masteruser: String::new(),
            masterauth: String::new(),
            slowlog_log_slower_than: 10_000, slowlog_max_len: 128,
            latency_monitor_threshold: 0,
            requirepass: String::new(),
            tls: false,
            tls_key_file: PathBuf::new(),
            tls_cert_file: PathBuf::new(),
            tls_ca_cert_file: PathBuf::new(),
            tls_ca_cert_dir: PathBuf::new(),
            tls_auth_clients: TlsClients::Required,
            tls_replication: false,
            tls_replication_verify: TlsVerify::Full,
            aclfile: PathBuf::new(),
            acllog_max_len: 128,
            acl_pubsub_default: false,
            maxclients: 64_000,
            timeout: 0,
            tcp_keepalive: 300,
            tcp_nodelay: true,
            tcp_backlog: 256,
            tcp_user_timeout: 0,
            max_bulk_len: 512 << 20,
            max_multi_bulk_len: 1 << 20,
            dir: PathBuf::new(),
            dbfilename: "dump-{timestamp}".to_owned(),
            df_snapshot_format: true,
            rdb_version: 9,
            snapshot_cron: String::new(),
            rdb_unknown_types: UnknownTypes::Error,
            pidfile: PathBuf::new(),
            minloglevel: 0,
            verbosity: 0,
        }
    }
}

impl Config {
    /// Number of threads, with 0 resolved to the cores that this process may use.
    pub fn threads(&self) -> usize {
        match self.proactor_threads {
            0 => std::thread::available_parallelism()
                .map_or(1, |cores| cores.get())
                .min(MAX_SHARDS),
            count => count,
        }
    }

    /// Number of shards, with 0 resolved to the number of threads.
    pub fn shards(&self) -> usize {
        match self.num_shards {
            0 => self.threads(),
            count => count,
        }
    }

    /// Bytes that the backlogs of all shards keep together: what was asked for, or half a percent
    /// of `maxmemory`, or 64 MiB.
    pub fn backlog_bytes(&self) -> u64 {
        match (self.shard_repl_backlog_max_bytes, self.maxmemory) {
            (0, 0) => DEFAULT_BACKLOG_BYTES,
            (0, maxmemory) => (maxmemory / 200).max(MIN_BACKLOG_BYTES),
            (bytes, _) => bytes,
        }
    }

    /// How keys give way to `maxmemory`.
    pub fn eviction(&self) -> EvictionOptions {
        EvictionOptions {
            policy: self.maxmemory_policy,
            samples: self.maxmemory_samples,
            tenacity: self.maxmemory_eviction_tenacity,
            counting: Counting {
                log_factor: self.lfu_log_factor,
                decay_minutes: self.lfu_decay_time,
            },
        }
    }

    /// From which time on a command is slow.
    pub fn slow(&self) -> Thresholds {
        let log = u64::try_from(self.slowlog_log_slower_than).ok();
        Thresholds {
            log: log.map(Duration::from_micros),
            monitor: Some(self.latency_monitor_threshold)
                .filter(|ms| *ms > 0)
                .map(Duration::from_millis),
        }
    }

    /// Where snapshots are, and how they are called.
    pub fn files(&self) -> FileSettings {
        FileSettings {
            dir: self.data_dir(),
            name: self.dbfilename.clone(),
            format: match self.df_snapshot_format {
                true => Format::Shards,
                false => Format::Rdb,
            },
            rdb_version: self.rdb_version,
        }
    }

    /// The directory for snapshots, with empty resolved to the working directory.
    pub fn data_dir(&self) -> PathBuf {
        if self.dir.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            self.dir.clone()
        }
    }

    /// Checks what one field alone can't tell.
    ///
    /// # Errors
    /// [`FlagError::Conflict`] when there are more shards than threads.
    pub fn validate(&self) -> Result<(), FlagError> {
        let (shards, threads) = (self.shards(), self.threads());
        if shards > threads {
            return Err(FlagError::Conflict(format!(
                "--num_shards={shards} is more than the {threads} threads of --proactor_threads; every shard needs a thread"
            )));
        }
        Ok(())
    }
}

/// What to do with a value whose type this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownTypes {
    /// End the load with an error that names the type.
    #[default]
    Error,
    /// Count the value, list its key, go on.
    Skip,
}

/// The port for administration, and what is different there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdminPort {
    /// TCP port; 0 = none, -1 = a free one.
    pub port: i32,
    /// Addresses or names to listen on; empty = those of the public port.
    pub bind: Vec<String>,
    /// Whether it is without TLS, whatever `tls` says.
    pub no_tls: bool,
    /// Whether nobody has to authenticate.
    pub nopass: bool,
    /// Commands that can be run nowhere else.
    pub restricted_commands: Vec<String>,
}

/// Whether clients show certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsClients {
    /// They have to, where a CA is named that signs them.
    #[default]
    Required,
    /// They may; one that is wrong is refused all the same.
    Optional,
    /// They are not asked.
    No,
}

/// What is checked of a primary's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVerify {
    /// That a CA vouches for it, and that it is for the host that was asked for.
    #[default]
    Full,
    /// That a CA vouches for it.
    Ca,
    /// Nothing.
    None,
}

/// A host and port to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

impl FromStr for Endpoint {
    type Err = String;

    /// Takes `host:port`, `[IPv6]:port` and `host port`.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (host, port) = text
            .split_once(char::is_whitespace)
            .or_else(|| text.rsplit_once(':'))
            .ok_or("expected host:port or [IPv6]:port")?;
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if bare.is_none() && host.contains(':') && !text.contains(char::is_whitespace) {
            return Err("an IPv6 address goes in brackets: [::1]:6379".to_owned());
        }
        let port = match port.trim().parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err(format!("'{}' is no port (1 to 65535)", port.trim())),
        };
        match bare.unwrap_or(host) {
            "" => Err("the host is empty".to_owned()),
            host => Ok(Endpoint {
                host: host.to_owned(),
                port,
            }),
        }
    }
}

impl fmt::Display for Endpoint {
    /// `host:port`, with brackets around an IPv6 address.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(out, "[{}]:{}", self.host, self.port),
            false => write!(out, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Result<(String, u16), String> {
        text.parse::<Endpoint>()
            .map(|found| (found.host, found.port))
    }

    #[test]
    fn endpoints_take_the_three_spellings() {
        assert_eq!(endpoint("localhost:6379"), Ok(("localhost".into(), 6379)));
        assert_eq!(endpoint("[::1]:7000"), Ok(("::1".into(), 7000)));
        assert_eq!(endpoint("10.0.0.1 7000"), Ok(("10.0.0.1".into(), 7000)));
        assert_eq!(endpoint("::1 7000"), Ok(("::1".into(), 7000)));
    }

    #[test]
    fn endpoints_say_what_is_wrong() {
        for bad in [
            "",
            "host",
            "host:",
            "host:0",
            "host:70000",
            ":6379",
            "::1:7000",
            "host:x",
        ] {
            assert!(endpoint(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn endpoints_print_as_they_are_read() {
        for text in ["localhost:6379", "[::1]:7000"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn zero_shards_follow_the_threads() {
        let config = Config {
            proactor_threads: 3,
            ..Config::default()
        };
        assert_eq!(config.shards(), 3);
        assert!(config.validate().is_ok());
        let config = Config {
            num_shards: 4,
            ..config
        };
        assert!(matches!(config.validate(), Err(FlagError::Conflict(_))));
    }

    #[test]
    fn the_backlog_follows_maxmemory_until_it_is_set() {
        let mut config = Config::default();
        assert_eq!(config.backlog_bytes(), 64 << 20);
        config.maxmemory = 4_000 << 20;
        assert_eq!(config.backlog_bytes(), 20 << 20);
        config.maxmemory = 1 << 20;
        assert_eq!(config.backlog_bytes(), 1 << 20);
        config.shard_repl_backlog_max_bytes = 5;
        assert_eq!(config.backlog_bytes(), 5);
    }
}
