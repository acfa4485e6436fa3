//! What can be set. All times are milliseconds, all sizes bytes.

use damselfly_journal::RecordLimits;

/// What a server tells its primary of itself, and how patient it is.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// `AUTH [user] pass`, when the primary wants it.
    pub auth: Option<Credentials>,
    /// Announced port (`REPLCONF listening-port`).
    pub announce_port: u16,
    /// Announced address (`REPLCONF ip-address`).
    pub announce_ip: Option<String>,
    /// Announced name (`REPLCONF CLIENT-ID`): stays the same over reconnects.
    pub client_id: String,
    /// Until a connection must stand.
    pub connect_timeout_ms: u64,
    /// The same when a link that broke is tried again.
    pub reconnect_timeout_ms: u64,
    /// Until an answer on the control connection, or to `DFLY FLOW`, must have come.
    pub handshake_timeout_ms: u64,
    /// Silence that breaks the link.
    pub replication_timeout_ms: u64,
    /// Time between two acks.
    pub ack_interval_ms: u64,
    /// An ack goes out when more than so many records were executed since the last one.
    pub ack_records: u64,
    /// First and smallest delay before a reconnect.
    pub backoff_min_ms: u64,
    /// Largest delay before a reconnect.
    pub backoff_max_ms: u64,
    /// Whether partial sync is asked for at all.
    pub partial_sync: bool,
    /// What becomes of a link whose primary comes back with another data set.
    pub restarted_primary: RestartedPrimary,
    /// Extension level that is announced and understood; 0 hides what Dragonfly does not have.
    pub level: u8,
    /// Bounds on what a peer may make this end hold.
    pub limits: StreamLimits,
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        ReplicaConfig {
            auth: None,
            announce_port: 0,
            announce_ip: None,
            client_id: "damselfly".to_owned(),
            connect_timeout_ms: 20_000,
            reconnect_timeout_ms: 1_000,
            handshake_timeout_ms: 10_000,
            replication_timeout_ms: 30_000,
            ack_interval_ms: 1_000,
            ack_records: 1_024,
            backoff_min_ms: 100,
            backoff_max_ms: 5_000,
            partial_sync: true,
            restarted_primary: RestartedPrimary::default(),
            level: LEVEL,
            limits: StreamLimits::default(),
        }
    }
}

/// What becomes of a link whose primary comes back with a data set of another beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RestartedPrimary {
    /// The replica's data gives way to the primary's.
    #[default]
    Follow,
    /// One that began with nothing, or out of a file that holds less than the replica has, is refused for good, as far as it
    /// tells (ours do).
    RefuseLess,
    /// Every one is refused for good.
    Refuse,
}

/// The extension level of this code (PROTOCOL 1).
pub const LEVEL: u8 = 1;

/// The protocol version that is announced: VER5, numbered 4 on the wire (PROTOCOL 1).
pub const VERSION: u64 = 4;

/// `capa` by which a replica tells its [`ReplicaConfig::ack_interval_ms`]; the number follows. Others ignore it (PROTOCOL 1).
pub const ACK_INTERVAL_CAPA: &str = "ack-ms=";

/// A user name and a password, or a password alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user; `None` sends `AUTH pass`.
    pub user: Option<String>,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Bounds on what a peer may make this end hold in memory, per flow.
#[derive(Clone, Debug)]
pub struct StreamLimits {
    /// Of the full-sync stream.
    pub rdb: damselfly_snapshot::Limits,
    /// Of journal records.
    pub records: RecordLimits,
    /// Bytes of the strings of one transaction's part.
    pub max_transaction_bytes: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        StreamLimits {
            rdb: damselfly_snapshot::Limits::default(),
            records: RecordLimits::default(),
            max_transaction_bytes: 1 << 30,
        }
    }
}

/// How a primary treats its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryConfig {
    /// Unsent bytes of one flow above which writes to its shard wait.
    pub output_limit: usize,
    /// How long unsent bytes may wait without one being accepted, and how long acks may stay away.
    pub replication_timeout_ms: u64,
    /// Time between keepalive LSN records on a quiet flow.
    pub keepalive_ms: u64,
    /// A gathered write goes out when it has so many bytes…
    pub gather_bytes: usize,
    /// …or when its first record is so old.
    pub gather_ms: u64,
    /// Longest time from the greeting to `DFLY SYNC` or `DFLY STARTSTABLE`.
    pub preparation_timeout_ms: u64,
    /// Most replica links at a time.
    pub max_sessions: usize,
    /// Extension level that is offered to replicas that announce it.
    pub level: u8,
}

impl Default for PrimaryConfig {
    fn default() -> Self {
        PrimaryConfig {
            output_limit: 1 << 20,
            replication_timeout_ms: 30_000,
            keepalive_ms: 1_000,
            gather_bytes: 1_536,
            gather_ms: 10,
            preparation_timeout_ms: 30_000,
            max_sessions: 256,
            level: LEVEL,
        }
    }
}
