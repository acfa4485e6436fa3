//! The link to this server's primary, which is no connection that somebody else opened, as CLIENT LIST shows it.

use crate::service::SessionHost;
use damselfly_engine::Session;
use damselfly_engine::replication::replica::Role;

/// The link.
pub(super) struct Link {
    /// Its id among the clients.
    pub(super) id: u64,
    /// The primary, as it was given to REPLICAOF.
    pub(super) address: String,
    idle_s: u64,
}

impl Link {
    /// The link of a replica; a primary has none.
    pub(super) fn of(session: &Session) -> Option<Link> {
        let host = session.host.downcast_ref::<SessionHost>()?;
        let engine = &session.thread.engine;
        let (Role::Replica(address), status) = engine.replication().link.status() else {
            return None;
        };
        let id = host
            .server
            .shared
            .facts
            .link_id(&address, || engine.next_client_id());
        let idle_s = status.and_then(|status| status.last_io_ms).unwrap_or(0) / 1000;
        Some(Link {
            id,
            address,
            idle_s,
        })
    }

    /// Its line. It stands for the control connection and all flows, so there is no one socket to tell of.
    pub(super) fn line(&self) -> Vec<u8> {
        let Link {
            id,
            address,
            idle_s,
        } = self;
        format!(
            "id={id} addr={address} laddr=?:0 fd=-1 name= age={idle_s} idle={idle_s} flags=M db=0 sub=0 psub=0 ssub=0 \
             multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r \
             cmd=NULL user=default redir=-1 resp=2"
        )
        .into_bytes()
    }
}
