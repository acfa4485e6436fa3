//! A failed REPLICAOF changes nothing: role, data and the old link stay as they were.

use damselfly_replication::ReplId;
use damselfly_replication::replica::Role;

use super::Verdict;
use crate::sim::net::{ConnId, Side};
use crate::sim::world::world;

/// What stood before a REPLICAOF.
#[derive(Debug, Clone)]
pub struct Before {
    /// What the server was.
    pub role: Role,
    /// Its sequence.
    pub replid: ReplId,
    /// REPLICAOFs asked for before.
    pub asked: u64,
    /// Those that were answered.
    pub answered: u64,
    /// How often it has begun a full sync.
    pub full_syncs: u64,
    /// The connections of its link, if that was in stable sync.
    pub conns: Vec<ConnId>,
}

pub fn check(node: usize, before: &Before, error: &str) -> Verdict {
    let world = world();
    let Some(now) = world.node(node).before() else {
        return Ok(());
    };
    // Others, before or beside it, may have changed something.
    if before.answered != before.asked || now.asked != before.asked + 1 {
        return Ok(());
    }
    if now.role != before.role {
        return Err(format!(
            "a REPLICAOF that failed ({error}) changed the role from {:?} to {:?}",
            before.role, now.role
        ));
    }
    if now.full_syncs == before.full_syncs && now.replid != before.replid {
        return Err(format!(
            "a REPLICAOF that failed ({error}) changed the data set"
        ));
    }
    let net = world.net.borrow();
    // The end of one connection is the end of the link: then it was the network, or the primary.
    let others =
        |id: &ConnId| net.was_disturbed(*id) || net.closed_first(*id) == Some(Side::Server);
    let closed = before
        .conns
        .iter()
        .find(|id| net.closed_first(**id) == Some(Side::Client));
    match closed {
        Some(id) if !before.conns.iter().any(others) => Err(format!(
            "a REPLICAOF that failed ({error}) ended the old link (connection {id})"
        )),
        _ => Ok(()),
    }
}
