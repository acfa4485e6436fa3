//! A primary that began with nothing does not take the data of who followed another one, unless a REPLICAOF says so.

use damselfly_journal::Lsn;
use damselfly_replication::{ReplId, RestartedPrimary, Upstream};

use super::{Verdict, Watch};
use crate::sim::world::world;

/// Whose data a server is to keep: that of the primary with which it was in stable sync, until somebody says REPLICAOF.
#[derive(Default)]
pub struct Keeps(Option<(ReplId, ReplId)>);

impl Watch {
    /// Stable sync has begun.
    pub fn keep_data_of(&mut self, node: usize, upstream: &Upstream) {
        self.views[node].keeps = Keeps(Some((upstream.replid, upstream.history)));
    }

    /// Somebody has said whom to follow.
    pub fn on_told(&mut self, node: usize) {
        self.views[node].keeps = Keeps(None);
    }

    /// A link has ended, and left nothing to keep, or data that are at these LSNs.
    pub fn keep_what_is_left(&mut self, node: usize, vector: Option<&[Lsn]>) {
        let mut held = vector.into_iter().flatten();
        if held.all(|lsn| *lsn == Lsn::FIRST) {
            self.views[node].keeps = Keeps(None);
        }
    }

    /// A full sync takes the place of what was there.
    pub fn on_discard(&mut self, node: usize, upstream: &Upstream) {
        let Keeps(kept) = std::mem::take(&mut self.views[node].keeps);
        let is_blank = upstream.origin.is_some_and(|origin| origin.blank);
        let verdict: Verdict = match kept {
            Some((replid, history))
                if is_blank
                    && world().plan.replica.restarted_primary == RestartedPrimary::RefuseLess
                    && replid != upstream.replid
                    && history != upstream.history =>
            {
                Err(format!(
                    "node{node} lets a primary that began with nothing take what it had of {replid}"
                ))
            }
            _ => Ok(()),
        };
        self.judge(node, verdict);
    }
}
