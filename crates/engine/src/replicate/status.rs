//! What replication is at one moment, as data: for whoever shows it. ROLE and INFO have words of their own.

use crate::engine::Engine;
use damselfly_replication::driver::{LinkStatus, ReplicaStatus};
use damselfly_replication::replica::{LinkPhase, Role};

/// Both ends.
#[derive(Clone, Debug)]
pub struct ReplicationStatus {
    /// The link to a primary; `None` on a primary.
    pub primary: Option<PrimaryStatus>,
    /// The replicas that follow this server.
    pub replicas: Vec<ReplicaStatus>,
}

/// The link to a primary.
#[derive(Clone, Debug)]
pub struct PrimaryStatus {
    /// Host as it was asked for.
    pub host: String,
    /// Port as it was asked for.
    pub port: u16,
    /// What the link is, in short.
    pub state: LinkState,
    /// All of it; `None` before there is one.
    pub link: Option<LinkStatus>,
}

/// What a link to a primary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It connects for the first time.
    Connecting,
    /// It greets and opens flows.
    Handshake,
    /// It takes a full sync.
    FullSync,
    /// It executes records.
    StableSync,
    /// The last attempt failed; another one follows.
    Broken,
    /// It has given up.
    Failed,
}

impl LinkState {
    /// All states.
    pub const ALL: [LinkState; 6] = [
        LinkState::Connecting,
        LinkState::Handshake,
        LinkState::FullSync,
        LinkState::StableSync,
        LinkState::Broken,
        LinkState::Failed,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            LinkState::Connecting => "connecting",
            LinkState::Handshake => "handshake",
            LinkState::FullSync => "full_sync",
            LinkState::StableSync => "stable_sync",
            LinkState::Broken => "broken",
            LinkState::Failed => "failed",
        }
    }

    fn of(link: Option<&LinkStatus>) -> LinkState {
        let has_failed = link.is_some_and(|link| link.last_error.is_some());
        match link.map_or(LinkPhase::Connecting, |link| link.phase) {
            LinkPhase::Connecting if has_failed => LinkState::Broken,
            LinkPhase::Connecting | LinkPhase::Stopped => LinkState::Connecting,
            LinkPhase::Preparation => LinkState::Handshake,
            LinkPhase::FullSync => LinkState::FullSync,
            LinkPhase::StableSync => LinkState::StableSync,
            LinkPhase::Failed => LinkState::Failed,
        }
    }
}

/// What replication is now.
pub fn replication_status(engine: &Engine) -> ReplicationStatus {
    let replication = engine.replication();
    let primary = match replication.link.status() {
        (Role::Primary, _) => None,
        (Role::Replica(address), link) => {
            let (host, port) = address.rsplit_once(':').unwrap_or((&address, "0"));
            Some(PrimaryStatus {
                host: host.to_owned(),
                port: port.parse().unwrap_or(0),
                state: LinkState::of(link.as_ref()),
                link,
            })
        }
    };
    ReplicationStatus {
        primary,
        replicas: replication.hub.replicas(),
    }
}
