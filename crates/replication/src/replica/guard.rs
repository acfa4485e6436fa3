//! Whether a peer may feed this data set: what keeps a server that came back with less from taking its replicas' data.

use damselfly_journal::Lsn;

use crate::{
    config::RestartedPrimary,
    dataset::Upstream,
    error::LinkError,
    ids::ReplId,
    lineage::{Fork, Origin, Resume},
};

/// What a data set is when a link begins, as far as the link may not undo it without being told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Where it stands in its family, if it followed somebody until now, or comes out of a file and nobody has said whom to follow
    /// since.
    pub origin: Option<Origin>,
    /// What it holds of which histories, if it comes out of a file and nobody has said whom to follow since.
    pub restored: Vec<Fork>,
}

/// What a link has followed so far, and what must not be undone.
#[derive(Debug, Default)]
pub(super) struct Guard {
    followed: Option<Followed>,
    standing: Standing,
}

#[derive(Debug)]
struct Followed {
    replid: ReplId,
    history: ReplId,
}

impl Guard {
    /// Of a link that begins.
    pub(super) fn of(standing: Standing) -> Guard {
        Guard {
            followed: None,
            standing,
        }
    }

    /// Stable sync with this peer has begun.
    pub(super) fn follows(&mut self, peer: &Upstream) {
        // Of a Redis nothing is known before its grant, and that is about its data.
        self.followed = (peer.replid != ReplId::UNKNOWN).then_some(Followed {
            replid: peer.replid,
            history: peer.history,
        });
        self.standing = Standing {
            origin: peer.origin,
            restored: Vec::new(),
        };
    }

    /// What the file held is gone.
    pub(super) fn discards(&mut self) {
        self.standing.restored.clear();
    }

    /// Whether the link may go on with this peer. `resume` is what has been executed, if the data set is whole.
    pub(super) fn admits(
        &self,
        peer: &Upstream,
        policy: RestartedPrimary,
        resume: Option<&Resume>,
    ) -> Result<(), LinkError> {
        if let Some(own) = &self.standing.origin {
            own.check_fence(peer.origin.as_ref())?;
        }
        let held = self.held(resume);
        let has_data = held.iter().flat_map(|held| &held.lsns);
        let has_data = has_data.into_iter().any(|lsn| *lsn > Lsn::FIRST);
        if !has_data || self.is_known(peer, &held) {
            return Ok(());
        }
        match policy {
            // Out of a file nobody is followed yet: a failover meanwhile is none of this.
            RestartedPrimary::Refuse if self.followed.is_some() => Err(LinkError::OtherPrimary),
            RestartedPrimary::Refuse | RestartedPrimary::RefuseLess => {
                if peer.origin.is_some_and(|origin| origin.blank) {
                    return Err(LinkError::BlankPrimary);
                }
                self.check_restored(peer, &held)
            }
            RestartedPrimary::Follow => Ok(()),
        }
    }

    /// What the data set holds of which histories, if there is something to keep.
    fn held(&self, resume: Option<&Resume>) -> Vec<Fork> {
        if self.followed.is_none() {
            return self.standing.restored.clone();
        }
        let point = resume.map(|resume| Fork {
            history: resume.history,
            lsns: resume.lsns.clone(),
        });
        point.into_iter().collect()
    }

    /// Whether it is who was followed, or goes on with the same history: it has all of that, or another replica has. A Redis tells
    /// who it is with its grant only.
    fn is_known(&self, peer: &Upstream, held: &[Fork]) -> bool {
        let is_followed = self.followed.as_ref().is_some_and(|followed| {
            followed.replid == peer.replid || followed.history == peer.history
        });
        is_followed
            || peer.replid == ReplId::UNKNOWN
            || held.iter().any(|held| held.history == peer.history)
    }

    /// A primary out of a file may have less than was followed, or loaded, here. That of a later epoch has taken its place.
    fn check_restored(&self, peer: &Upstream, held: &[Fork]) -> Result<(), LinkError> {
        let own = self.standing.origin;
        let same = peer.origin.zip(own);
        let same = same.filter(|(peer, own)| peer.family == own.family);
        if same.is_some_and(|(peer, own)| peer.epoch > own.epoch) {
            return Ok(());
        }
        let pairs = held.iter().flat_map(|held| {
            let restored = peer.restored.iter();
            restored.map(move |point| (held, point))
        });
        let mut common = pairs.filter(|(held, point)| held.history == point.history);
        let latest = || same.and(held.first().zip(peer.restored.first()));
        // Histories of one family count on from each other: that is little to go by, but better than nothing.
        let Some((held, point)) = common.next().or_else(latest) else {
            return Ok(());
        };
        match ahead(&held.lsns, &point.lsns) {
            Some(behind) => Err(LinkError::OlderPrimary { behind }),
            None => Ok(()),
        }
    }
}

/// Where what is held goes beyond what the peer came back with.
fn ahead(held: &[Lsn], theirs: &[Lsn]) -> Option<String> {
    if held.len() != theirs.len() {
        let (here, there) = (held.len(), theirs.len());
        return Some(format!("of {there} flows there, of {here} here"));
    }
    let mut flows = held.iter().zip(theirs).enumerate();
    let (flow, (held, theirs)) = flows.find(|(_, (held, theirs))| held > theirs)?;
    Some(format!(
        "flow {flow} ends before record {theirs} there, before record {held} here"
    ))
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
            restored: Vec::new(),
        }
    }

    fn point(history: u8, lsns: &[u64]) -> Fork {
        Fork {
            history: id(history),
            lsns: lsns.iter().copied().map(Lsn).collect(),
        }
    }

    fn resume(history: u8, lsns: &[u64]) -> Resume {
        let Fork { history, lsns } = point(history, lsns);
        Resume {
            replid: history,
            history,
            lsns,
            db: 0,
        }
    }

    /// A primary that was started from a file.
    fn restored(replid: u8, epoch: u64, points: &[Fork]) -> Upstream {
        Upstream {
            restored: points.to_vec(),
            ..peer(replid, replid, Some((1, epoch, false)))
        }
    }

    fn is_older(result: &Result<(), LinkError>) -> bool {
        matches!(result, Err(LinkError::OlderPrimary { .. }))
    }

    fn verdict(policy: RestartedPrimary, next: &Upstream) -> Result<(), LinkError> {
        let mut guard = Guard::default();
        guard.follows(&peer(1, 1, Some((1, 3, true))));
        guard.admits(next, policy, Some(&resume(1, &[5, 1])))
    }

    #[test]
    fn a_primary_that_began_anew_is_refused_unless_told_otherwise() {
        use RestartedPrimary::{Follow, Refuse, RefuseLess};
        let (blank, loaded) = (
            peer(2, 2, Some((2, 0, true))),
            peer(2, 2, Some((2, 0, false))),
        );
        for (policy, next, expected) in [
            (Follow, &blank, Ok(())),
            (RefuseLess, &blank, Err(LinkError::BlankPrimary)),
            (RefuseLess, &loaded, Ok(())),
            (RefuseLess, &peer(2, 2, None), Ok(())),
            (Refuse, &loaded, Err(LinkError::OtherPrimary)),
            (Refuse, &peer(1, 1, Some((1, 3, true))), Ok(())),
            (Refuse, &peer(9, 1, Some((1, 3, false))), Ok(())),
        ] {
            assert_eq!(verdict(policy, next), expected, "{policy:?} {next:?}");
        }
        let mut guard = Guard::default();
        let own = resume(1, &[5, 1]);
        let first = guard.admits(&blank, Refuse, Some(&own));
        assert_eq!(first, Ok(()), "the first one");
        guard.follows(&peer(1, 1, None));
        for nothing in [None, Some(&resume(1, &[1, 1]))] {
            assert_eq!(guard.admits(&blank, Refuse, nothing), Ok(()));
        }
        let redis = Upstream {
            replid: ReplId::UNKNOWN,
            history: ReplId::UNKNOWN,
            ..peer(1, 1, None)
        };
        let grants_later = guard.admits(&redis, Refuse, Some(&own));
        assert_eq!(grants_later, Ok(()), "a Redis says later who it is");
    }

    #[test]
    fn a_primary_that_came_back_with_less_is_refused() {
        let old = [point(1, &[4, 9])];
        let chain = [point(6, &[8, 9]), point(1, &[4, 9])];
        for (held, next, refused) in [
            // As much, or more.
            (resume(1, &[4, 9]), restored(2, 3, &old), false),
            (resume(1, &[2, 9]), restored(2, 3, &old), false),
            // Less, on one flow.
            (resume(1, &[5, 1]), restored(2, 3, &old), true),
            // It was restarted again meanwhile.
            (resume(1, &[4, 9]), restored(2, 3, &chain), false),
            (resume(1, &[5, 9]), restored(2, 3, &chain), true),
            (resume(6, &[8, 9]), restored(2, 3, &chain), false),
            (resume(6, &[8, 10]), restored(2, 3, &chain), true),
            // A history that it knows nothing of, of the same family.
            (resume(5, &[5, 9]), restored(2, 3, &old), true),
            (resume(5, &[4, 9]), restored(2, 3, &old), false),
            (resume(5, &[4, 9, 1]), restored(2, 3, &old), true),
            // It was promoted meanwhile.
            (resume(1, &[5, 1]), restored(2, 4, &old), false),
        ] {
            let mut guard = Guard::default();
            guard.follows(&peer(1, 1, Some((1, 3, true))));
            let verdict = guard.admits(&next, RestartedPrimary::RefuseLess, Some(&held));
            assert_eq!(is_older(&verdict), refused, "{held:?} {next:?} {verdict:?}");
            let followed = guard.admits(&next, RestartedPrimary::Follow, Some(&held));
            assert_eq!(followed, Ok(()));
        }
    }

    #[test]
    fn files_from_before_there_were_epochs_are_compared_too() {
        let mut guard = Guard::default();
        guard.follows(&peer(1, 1, Some((1, 0, true))));
        let next = Upstream {
            restored: vec![point(1, &[4, 9])],
            ..peer(2, 2, Some((2, 0, false)))
        };
        let verdict = |lsns: &[u64]| {
            let held = resume(1, lsns);
            guard.admits(&next, RestartedPrimary::RefuseLess, Some(&held))
        };
        assert_eq!(verdict(&[4, 9]), Ok(()));
        assert!(is_older(&verdict(&[4, 10])));
    }

    #[test]
    fn a_replica_out_of_a_file_refuses_what_is_older_than_that() {
        use RestartedPrimary::{Follow, Refuse, RefuseLess};
        let origin = Origin {
            family: id(1),
            epoch: 3,
            blank: false,
        };
        let mut guard = Guard::of(Standing {
            origin: Some(origin),
            restored: vec![point(7, &[2, 2, 2]), point(1, &[5, 1])],
        });
        let own = resume(7, &[1, 1, 1]);
        let admits =
            |guard: &Guard, policy, next: &Upstream| guard.admits(next, policy, Some(&own));
        let fenced = restored(9, 2, &[]);
        let verdict = admits(&guard, Follow, &fenced);
        assert_eq!(verdict, Err(LinkError::Fenced { own: 3, theirs: 2 }));
        for policy in [Refuse, RefuseLess] {
            for next in [
                // Whom it followed, still there; a failover; another family; what was restarted, with as much.
                peer(1, 1, Some((1, 3, true))),
                peer(8, 1, None),
                peer(9, 9, Some((1, 4, false))),
                peer(9, 9, Some((9, 0, false))),
                restored(9, 3, &[point(1, &[5, 1])]),
            ] {
                assert_eq!(admits(&guard, policy, &next), Ok(()), "{next:?}");
            }
            let blank = peer(9, 9, Some((9, 0, true)));
            let verdict = admits(&guard, policy, &blank);
            assert_eq!(verdict, Err(LinkError::BlankPrimary));
            let older = restored(9, 3, &[point(1, &[4, 1])]);
            assert!(is_older(&admits(&guard, policy, &older)));
            assert_eq!(admits(&guard, Follow, &older), Ok(()));
        }
        guard.discards();
        assert_eq!(
            admits(&guard, RefuseLess, &peer(9, 9, Some((9, 0, true)))),
            Ok(())
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
