//! Whether a peer may feed this data set: what keeps a server that came back with less from taking its replicas' data.

use crate::{
    config::{ReplicaConfig, RestartedPrimary},
    dataset::Upstream,
    error::LinkError,
    ids::ReplId,
    lineage::Origin,
};

/// What a link has followed so far, and what must not be undone.
#[derive(Debug, Default)]
pub(super) struct Guard {
    followed: Option<Followed>,
    /// Where the data set stands in its family, as long as it follows somebody.
    own: Option<Origin>,
}

#[derive(Debug)]
struct Followed {
    replid: ReplId,
    history: ReplId,
}

impl Guard {
    /// The data set followed somebody before this link, and was of this origin.
    pub(super) fn stands_at(&mut self, own: Option<Origin>) {
        self.own = own;
    }

    /// Stable sync with this peer has begun.
    pub(super) fn follows(&mut self, peer: &Upstream) {
        // Of a Redis nothing is known before its grant, and that is about its data.
        self.followed = (peer.replid != ReplId::UNKNOWN).then_some(Followed {
            replid: peer.replid,
            history: peer.history,
        });
        self.own = peer.origin;
    }

    /// Whether the link may go on with this peer. `has_data`: there is something to lose.
    pub(super) fn admits(
        &self,
        peer: &Upstream,
        config: &ReplicaConfig,
        has_data: bool,
    ) -> Result<(), LinkError> {
        if let Some(own) = &self.own {
            own.check_fence(peer.origin.as_ref())?;
        }
        let known = |followed: &Followed| {
            followed.replid == peer.replid || followed.history == peer.history
        };
        if !has_data || self.followed.as_ref().is_none_or(known) {
            return Ok(());
        }
        let is_blank = peer.origin.is_some_and(|origin| origin.blank);
        match config.restarted_primary {
            RestartedPrimary::Refuse => Err(LinkError::OtherPrimary),
            RestartedPrimary::RefuseBlank if is_blank => Err(LinkError::BlankPrimary),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dialect;

    fn id(n: u8) -> ReplId {
        ReplId::from_random([n; 20])
    }

    fn peer(replid: u8, history: u8, origin: Option<(u8, u64, bool)>) -> Upstream {
        Upstream {
            address: "host:1".into(),
            dialect: Dialect::Flows,
            replid: id(replid),
            history: id(history),
            flows: 2,
            version: 4,
            level: 1,
            origin: origin.map(|(family, epoch, blank)| Origin {
                family: id(family),
                epoch,
                blank,
            }),
        }
    }

    fn verdict(policy: RestartedPrimary, next: &Upstream) -> Result<(), LinkError> {
        let mut guard = Guard::default();
        guard.follows(&peer(1, 1, Some((1, 3, true))));
        let config = ReplicaConfig {
            restarted_primary: policy,
            ..ReplicaConfig::default()
        };
        guard.admits(next, &config, true)
    }

    #[test]
    fn a_primary_that_began_anew_is_refused_unless_told_otherwise() {
        use RestartedPrimary::{Follow, Refuse, RefuseBlank};
        let (blank, loaded) = (
            peer(2, 2, Some((2, 0, true))),
            peer(2, 2, Some((2, 0, false))),
        );
        for (policy, next, expected) in [
            (Follow, &blank, Ok(())),
            (RefuseBlank, &blank, Err(LinkError::BlankPrimary)),
            (RefuseBlank, &loaded, Ok(())),
            (RefuseBlank, &peer(2, 2, None), Ok(())),
            (Refuse, &loaded, Err(LinkError::OtherPrimary)),
            (Refuse, &peer(1, 1, Some((1, 3, true))), Ok(())),
            (Refuse, &peer(9, 1, Some((1, 3, false))), Ok(())),
        ] {
            assert_eq!(verdict(policy, next), expected, "{policy:?} {next:?}");
        }
        let config = ReplicaConfig {
            restarted_primary: Refuse,
            ..ReplicaConfig::default()
        };
        let mut guard = Guard::default();
        assert_eq!(guard.admits(&blank, &config, true), Ok(()), "the first one");
        guard.follows(&peer(1, 1, None));
        assert_eq!(
            guard.admits(&blank, &config, false),
            Ok(()),
            "nothing to lose"
        );
    }

    #[test]
    fn an_earlier_epoch_of_the_same_family_is_fenced_off() {
        let follow = RestartedPrimary::Follow;
        let old = peer(7, 7, Some((1, 2, false)));
        assert_eq!(
            verdict(follow, &old),
            Err(LinkError::Fenced { own: 3, theirs: 2 })
        );
        for next in [
            peer(7, 7, Some((1, 3, false))),
            peer(7, 7, Some((1, 4, false))),
            peer(7, 7, Some((5, 0, false))),
            peer(7, 7, None),
        ] {
            assert_eq!(verdict(follow, &next), Ok(()), "{next:?}");
        }
    }
}
