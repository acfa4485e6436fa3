//! Replication over the engine: the engine as both ends' data set, and the commands of it.

pub(crate) mod acks;
mod apply;
mod commands;
mod debug;
mod good;
mod handover;
mod info;
mod loader;
mod primary;
mod psync;
mod replica;
pub(crate) mod role;
mod skipped;
mod status;
mod upstream;
mod wait;

pub use commands::COMMANDS;
pub(crate) use debug::replica as debug_replica;
pub use good::GoodReplicas;
pub(crate) use handover::HeldWrites;
pub use handover::{COMMANDS as HANDOVER_COMMANDS, Handover};
pub use info::{master_repl_offset, replication_section};
pub(crate) use primary::TXID_AUX;
pub use primary::{EngineDataSet, EngineShard, EngineSnapshot};
pub use replica::EngineFlow;
pub(crate) use replica::{begin_journals, discard_all};
pub(crate) use skipped::shown;
pub use skipped::{Skipped, SkippedKey};
pub use status::{LinkState, PrimaryStatus, ReplicationStatus, replication_status};
pub use upstream::{SecureUpstream, Securing, Transport, UpstreamConnection, UpstreamConnections};

use crate::engine::Engine;
use damselfly_replication::driver::{LinkOptions, PrimaryHub, Random, ReplicaOfHandle};
use damselfly_replication::{PrimaryConfig, ReplicaConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

/// Settings of both ends.
#[derive(Debug, Clone, Default)]
pub struct ReplicationOptions {
    /// As a replica.
    pub replica: ReplicaConfig,
    /// Towards replicas.
    pub primary: PrimaryConfig,
    /// Whether ROLE and INFO speak as Valkey and Redis do where Dragonfly differs.
    pub valkey_compatible: bool,
    /// What a failover monitor reads to choose among replicas; 0 = never choose this one.
    pub priority: u32,
    /// Whether failover monitors are to know of this server while it is a replica.
    pub announced: bool,
    /// What encrypts the connections of the link to a primary; `None`: nothing does.
    pub secure: Option<Arc<dyn SecureUpstream>>,
}

/// The replication of a running engine: its replicas, and its own link.
pub struct Replication {
    /// The replicas that follow this server.
    pub hub: PrimaryHub<EngineDataSet>,
    /// The one place where the role changes.
    pub link: ReplicaOfHandle,
    /// The connections of that link.
    pub upstream: Arc<UpstreamConnections>,
    /// Whether a replica is about to take this server's place.
    pub handover: Handover,
    /// Whether there are as many replicas as writes need.
    pub good: GoodReplicas,
    /// How ROLE and INFO speak of it.
    pub shown: ShownSettings,
}

/// The settings that ROLE and INFO show or obey. They may change while the engine runs.
#[derive(Debug, Default)]
pub struct ShownSettings {
    /// As [`ReplicationOptions::valkey_compatible`].
    pub valkey_compatible: AtomicBool,
    /// As [`ReplicationOptions::priority`].
    pub priority: AtomicU32,
    /// As [`ReplicationOptions::announced`].
    pub announced: AtomicBool,
    /// Bytes of journal kept, over all shards.
    pub backlog_max_bytes: AtomicU64,
}

impl Replication {
    /// To be called on a thread of the engine, once.
    pub(crate) fn start(engine: &Arc<Engine>) -> Replication {
        let options = &engine.options.replication;
        let data = EngineDataSet(engine.clone());
        let hub = PrimaryHub::new(data.clone(), options.primary.clone(), Random::default());
        let upstream = Arc::<UpstreamConnections>::default();
        let link = LinkOptions {
            config: options.replica.clone(),
            connect: upstream::UpstreamConnect {
                engine: engine.clone(),
                connections: upstream.clone(),
                secure: options.secure.clone(),
            },
            random: Random::default(),
        };
        tokio::task::spawn_local(good::watch(engine.clone()));
        let shown = ShownSettings {
            valkey_compatible: options.valkey_compatible.into(),
            priority: options.priority.into(),
            announced: options.announced.into(),
            backlog_max_bytes: engine.options.backlog_max_bytes.into(),
        };
        Replication {
            hub,
            link: ReplicaOfHandle::start(data, link),
            upstream,
            handover: Handover::default(),
            good: GoodReplicas::default(),
            shown,
        }
    }
}

impl Engine {
    /// Follows a primary from the start (`--replicaof`): no client's write is taken from here on, and connecting is tried until it
    /// succeeds.
    pub fn begin_as_replica(&self, host: &str, port: u16) {
        self.set_role(crate::engine::Role::Replica);
        self.replication().link.begin_as_replica(host, port);
    }

    /// The same by a client who cannot wait: whatever the primary has is what the server is to have.
    pub(crate) fn follow_at_once(&self, host: &str, port: u16) {
        self.set_role(crate::engine::Role::Replica);
        self.replication().link.follow_at_once(host, port);
    }
}
