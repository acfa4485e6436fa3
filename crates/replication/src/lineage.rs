//! Which sequence of journal records a data set holds, and who may continue in it.
//!
//! Two names matter. The *replid* is a server's own: it names the sequence of records that its journals have held since
//! the data was last discarded, which is linear, whatever roles the server had meanwhile. The *history* is the
//! replid of the primary where the records came to be: a relay's history is its upstream's, a writer's is its own
//! replid. An LSN vector means something only together with one of the two (PROTOCOL 2, DESIGN 7).
//!
//! Why a promotion needs no new replid: a server's own sequence never forks while it keeps its data. It is the *others*
//! who fork from it, and they remember where (their fork vector).

use damselfly_journal::Lsn;

use crate::{
    error::LinkError,
    ids::{LsnVector, ReplId},
};

/// Which sequence of journal records a data set holds: its own name (replid), where the records came to be (history),
/// and where that history left an earlier one (fork). Pure: it is told what happens, and says what that asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    replid: ReplId,
    history: ReplId,
    fork: Option<Fork>,
    reached_stable: bool,
    loaded: Option<Loaded>,
    origin: Origin,
    follows: bool,
    restored: Vec<Fork>,
}

/// Where a data set stands among those that came of one beginning: what tells a primary that was left at a failover from the one
/// that took its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The history with which it all began.
    pub family: ReplId,
    /// How many promotions lie between that and this data set.
    pub epoch: u64,
    /// Whether it began with nothing, in this process, and has been written by it alone since.
    pub blank: bool,
}

impl Origin {
    fn of(replid: ReplId, blank: bool) -> Origin {
        Origin {
            family: replid,
            epoch: 0,
            blank,
        }
    }

    /// Whether a replica of this origin may be fed by a peer of that one.
    ///
    /// # Errors
    /// [`LinkError::Fenced`]: the peer's data set was left at a failover that this one has been through.
    pub fn check_fence(&self, peer: Option<&Origin>) -> Result<(), LinkError> {
        match peer {
            Some(peer) if peer.family == self.family && peer.epoch < self.epoch => {
                Err(LinkError::Fenced {
                    own: self.epoch,
                    theirs: peer.epoch,
                })
            }
            _ => Ok(()),
        }
    }
}

/// What a data set was loaded from, and what it may offer as long as its journals stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Loaded {
    at: LsnVector,
    resume: Resume,
}

/// The history that was followed before, and where the present one left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The earlier history.
    pub history: ReplId,
    /// The LSNs up to which (exclusive) both histories are the same.
    pub lsns: LsnVector,
}

/// What a change of lineage asks of the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[must_use]
pub struct LineageChange {
    /// The links of one's own replicas end (they come back and greet again): what they know of the history is no longer true.
    pub end_replicas: bool,
    /// The journals are cleared, and start again at LSN 1.
    pub restart_journal: bool,
}

/// What a replica says that it has executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Which sequence the LSNs belong to: a replid or a history.
    pub id: ReplId,
    /// The next LSN wanted on each flow.
    pub lsns: LsnVector,
}

/// What a replica link stands on when it breaks: the material of the next offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The primary's own replid: what a single LSN offered to a Dragonfly primary belongs to.
    pub replid: ReplId,
    /// The history that the LSNs belong to: what is offered to our own servers.
    pub history: ReplId,
    /// The next LSN of each flow.
    pub lsns: LsnVector,
    /// The database that is selected there, if the primary speaks [`Psync`](crate::Dialect::Psync): its stream goes on without selecting it again.
    pub db: u16,
}

impl Lineage {
    /// Of a fresh data set that writes by itself.
    pub fn new(replid: ReplId) -> Lineage {
        Lineage {
            replid,
            history: replid,
            fork: None,
            reached_stable: true,
            loaded: None,
            origin: Origin::of(replid, true),
            follows: false,
            restored: Vec::new(),
        }
    }

    /// The data is replaced by a file's, which held what a data set of `history` had at `at`, the next LSNs of its journals;
    /// they go on from there. It is as if that data set had been promoted at this point, under a name of its own: who followed
    /// the history no further than to there may go on with it. `resume` is what the data set may offer itself until it changes.
    pub fn loaded(&mut self, fresh: ReplId, history: ReplId, at: &[Lsn], resume: Resume) {
        *self = Lineage {
            fork: Some(Fork {
                history,
                lsns: at.to_vec(),
            }),
            loaded: Some(Loaded {
                at: at.to_vec(),
                resume,
            }),
            origin: Origin::of(fresh, false),
            ..Lineage::new(fresh)
        };
    }

    /// What the data was loaded from stood there among those that came of one beginning, or this data set did before.
    pub fn came_of(&mut self, origin: Origin) {
        self.origin = Origin {
            blank: false,
            ..origin
        };
    }

    /// The data came out of a file when this server started, after [`loaded`](Self::loaded) or [`data_replaced`](Self::data_replaced):
    /// it has what these histories had at these points, the latest first, and of them no more.
    pub fn restored_from(&mut self, points: Vec<Fork>) {
        self.restored = points;
    }

    /// Out of what the server was started, until it follows somebody: whoever followed one of these histories further has more.
    pub fn restored(&self) -> &[Fork] {
        &self.restored
    }

    /// Whether it is a primary's, as it has stood at stable sync with it at least once.
    pub fn follows(&self) -> bool {
        self.follows && self.reached_stable
    }

    /// Where it stands among those that came of one beginning.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// What its own replicas are told of that. Only a primary fences others off: who follows somebody may be moved to any other one
    /// by a new REPLICAOF, and its replicas go along, so it tells nothing.
    pub fn announced(&self) -> Option<Origin> {
        (!self.follows).then_some(self.origin)
    }

    /// The data set follows one of this origin, as far as that is known, and is no longer its own.
    pub fn adopt(&mut self, origin: Option<Origin>) {
        self.follows = true;
        self.restored = Vec::new();
        self.came_of(origin.unwrap_or(Origin::of(self.replid, false)));
    }

    /// This server's own name: the `replid` of its greeting.
    pub fn replid(&self) -> ReplId {
        self.replid
    }

    /// Where its records come from: the `lineage id` of its greeting.
    pub fn history(&self) -> ReplId {
        self.history
    }

    /// The history before this one.
    pub fn fork(&self) -> Option<&Fork> {
        self.fork.as_ref()
    }

    /// Whether the data set is whole: false from the start of a full sync until stable sync.
    pub fn reached_stable(&self) -> bool {
        self.reached_stable
    }

    /// Whether records of another server are passed on under that server's LSNs.
    pub fn is_relay(&self) -> bool {
        self.history != self.replid
    }

    /// The data is discarded, and a full sync begins. `fresh` is a new random id.
    pub fn full_sync_begun(&mut self, fresh: ReplId) -> LineageChange {
        *self = Lineage {
            reached_stable: false,
            origin: Origin::of(fresh, false),
            ..Lineage::new(fresh)
        };
        LineageChange {
            end_replicas: true,
            restart_journal: true,
        }
    }

    /// The data is replaced by something else that is whole (a file was loaded over it).
    pub fn data_replaced(&mut self, fresh: ReplId) -> LineageChange {
        *self = Lineage {
            origin: Origin::of(fresh, false),
            ..Lineage::new(fresh)
        };
        LineageChange {
            end_replicas: true,
            restart_journal: true,
        }
    }

    /// Stable sync with an upstream of history `upstream` begins at `at`, after a full sync or a partial one.
    /// `relays`: the received records go into the own journal as they are (equal shard counts).
    pub fn stable_entered(&mut self, upstream: ReplId, relays: bool, at: &[Lsn]) -> LineageChange {
        let whole = std::mem::replace(&mut self.reached_stable, true);
        let history = if relays { upstream } else { self.replid };
        if history == self.history {
            return LineageChange::default();
        }
        let left = std::mem::replace(&mut self.history, history);
        self.fork = (whole && relays).then(|| Fork {
            history: left,
            lsns: at.to_vec(),
        });
        LineageChange {
            end_replicas: whole,
            restart_journal: false,
        }
    }

    /// `REPLICAOF NO ONE`: the data set writes by itself from `at` (its own journals' next LSNs) on. `fresh` is a new
    /// random id, used if the data never was whole.
    pub fn promoted(&mut self, fresh: ReplId, at: &[Lsn]) -> LineageChange {
        if !self.reached_stable {
            return self.data_replaced(fresh);
        }
        self.origin.epoch += 1;
        self.follows = false;
        if !self.is_relay() {
            return LineageChange::default();
        }
        self.fork = Some(Fork {
            history: self.history,
            lsns: at.to_vec(),
        });
        self.history = self.replid;
        LineageChange {
            end_replicas: true,
            restart_journal: false,
        }
    }

    /// Whether the data is as it was loaded: its journals stand where they stood then.
    pub fn is_as_loaded(&self, next: &[Lsn]) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| loaded.at == next)
    }

    /// What this data set may offer when it becomes a replica, if it was a writer until now, and its journals have
    /// held every change. `next` is the next LSN of each shard.
    pub fn resume(&self, next: LsnVector) -> Option<Resume> {
        if let Some(loaded) = self.loaded.as_ref().filter(|loaded| loaded.at == next) {
            return Some(loaded.resume.clone());
        }
        self.reached_stable.then_some(Resume {
            replid: self.replid,
            history: self.history,
            lsns: next,
            db: 0,
        })
    }

    /// The flows of an offer that may continue, before the backlog is asked: `false` means that the offer is of
    /// another sequence, or goes beyond the fork.
    ///
    /// `next` has the next LSN of each shard, and the offer is taken as a whole (between our own servers).
    pub fn admits(&self, offer: &Offer, next: &[Lsn]) -> bool {
        offer.lsns.len() == next.len()
            && (0..next.len())
                .all(|flow| self.admits_flow(offer.id, flow, offer.lsns[flow], next[flow]))
    }

    /// How many records of a flow somebody has executed of the history that this one left, and that are not in this one.
    pub fn records_left_out(&self, id: ReplId, flow: usize, lsn: Lsn) -> u64 {
        let fork = self.fork.as_ref().filter(|fork| fork.history == id);
        let left = fork.and_then(|fork| fork.lsns.get(flow));
        left.map_or(0, |left| lsn.0.saturating_sub(left.0))
    }

    /// [`admits`](Self::admits) for one flow alone.
    pub fn admits_flow(&self, id: ReplId, flow: usize, lsn: Lsn, next: Lsn) -> bool {
        if !self.reached_stable || lsn > next {
            return false;
        }
        if id == self.replid || id == self.history {
            return true;
        }
        self.fork.as_ref().is_some_and(|fork| {
            fork.history == id && fork.lsns.get(flow).is_some_and(|at| lsn <= *at)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ReplId {
        ReplId::from_random([n; 20])
    }

    fn lsns(numbers: &[u64]) -> LsnVector {
        numbers.iter().copied().map(Lsn).collect()
    }

    fn offer(n: u8, numbers: &[u64]) -> Offer {
        Offer {
            id: id(n),
            lsns: lsns(numbers),
        }
    }

    const A: u8 = 1;
    const B: u8 = 2;

    /// B followed A from a full sync on, up to (10, 20).
    fn relay() -> Lineage {
        let mut lineage = Lineage::new(id(9));
        assert!(lineage.full_sync_begun(id(B)).restart_journal);
        assert!(
            !lineage
                .stable_entered(id(A), true, &lsns(&[5, 5]))
                .end_replicas
        );
        lineage
    }

    #[test]
    fn who_follows_tells_of_no_origin() {
        let mut lineage = Lineage::new(id(1));
        let upstream = Origin {
            epoch: 4,
            ..Origin::of(id(9), false)
        };
        lineage.adopt(Some(upstream));
        assert_eq!(lineage.origin(), upstream);
        assert_eq!(lineage.announced(), None);
        let _ = lineage.promoted(id(8), &lsns(&[10, 20]));
        let promoted = Origin {
            epoch: 5,
            ..upstream
        };
        assert_eq!(
            (lineage.origin(), lineage.announced()),
            (promoted, Some(promoted))
        );
    }

    #[test]
    fn a_writer_admits_its_own_followers_up_to_its_end() {
        let lineage = Lineage::new(id(A));
        let next = lsns(&[10, 20]);
        for (offered, expected) in [
            (offer(A, &[10, 20]), true),
            (offer(A, &[1, 1]), true),
            (offer(A, &[11, 20]), false),
            (offer(A, &[10, 21]), false),
            (offer(A, &[10]), false),
            (offer(A, &[10, 20, 1]), false),
            (offer(B, &[1, 1]), false),
        ] {
            assert_eq!(lineage.admits(&offered, &next), expected, "{offered:?}");
        }
    }

    #[test]
    fn a_loaded_data_set_goes_on_where_its_file_stood() {
        let mut lineage = Lineage::new(id(9));
        let resume = Resume {
            replid: id(A),
            history: id(A),
            lsns: lsns(&[10, 20]),
            db: 0,
        };
        lineage.loaded(id(B), id(A), &lsns(&[10, 20]), resume.clone());
        let next = lsns(&[12, 20]);
        assert!(
            lineage.admits(&offer(A, &[10, 20]), &next),
            "an old follower"
        );
        assert!(
            !lineage.admits(&offer(A, &[11, 20]), &next),
            "it has what was not saved"
        );
        assert_eq!(lineage.resume(lsns(&[10, 20])), Some(resume));
        assert_eq!(
            lineage.resume(next).map(|resume| resume.history),
            Some(id(B)),
            "it has written since"
        );
    }

    #[test]
    fn a_loaded_data_set_has_the_epoch_of_its_file() {
        let mut heir = Lineage::new(id(1));
        let family = Origin {
            epoch: 3,
            ..Origin::of(id(9), true)
        };
        heir.adopt(Some(family));
        let _ = heir.promoted(id(8), &lsns(&[10]));
        let mut former = Lineage::new(id(2));
        former.came_of(family);
        assert!(former.announced().is_some_and(|origin| !origin.blank));
        assert_eq!(
            heir.origin().check_fence(former.announced().as_ref()),
            Err(LinkError::Fenced { own: 4, theirs: 3 })
        );
        assert_eq!(
            former.origin().check_fence(heir.announced().as_ref()),
            Ok(())
        );
    }

    #[test]
    fn a_relay_admits_under_both_names() {
        let lineage = relay();
        assert!(lineage.is_relay());
        let next = lsns(&[10, 20]);
        assert!(lineage.admits(&offer(A, &[10, 20]), &next));
        assert!(lineage.admits(&offer(B, &[10, 20]), &next));
        assert!(
            !lineage.admits(&offer(A, &[11, 20]), &next),
            "a sibling that is ahead"
        );
        assert!(
            !lineage.admits(&offer(9, &[1, 1]), &next),
            "the id before the full sync"
        );
    }

    #[test]
    fn a_promoted_relay_admits_siblings_only_up_to_the_fork() {
        let mut lineage = relay();
        let change = lineage.promoted(id(8), &lsns(&[10, 20]));
        assert_eq!(
            change,
            LineageChange {
                end_replicas: true,
                restart_journal: false
            }
        );
        assert_eq!((lineage.replid(), lineage.history()), (id(B), id(B)));
        let next = lsns(&[15, 25]);
        assert!(lineage.admits(&offer(A, &[10, 20]), &next));
        assert!(lineage.admits(&offer(A, &[9, 1]), &next));
        assert!(
            !lineage.admits(&offer(A, &[11, 20]), &next),
            "it has what this server never had"
        );
        assert!(!lineage.admits(&offer(A, &[10, 21]), &next));
        let left_out = |n, flow, lsn| lineage.records_left_out(id(n), flow, Lsn(lsn));
        assert_eq!((left_out(A, 1, 23), left_out(A, 0, 9)), (3, 0));
        assert_eq!((left_out(B, 1, 23), left_out(A, 2, 23)), (0, 0));
        assert!(lineage.admits(&offer(B, &[15, 25]), &next));
        assert!(!lineage.admits(&offer(B, &[16, 25]), &next));
    }

    #[test]
    fn promotion_in_the_middle_of_a_full_sync_starts_anew() {
        let mut lineage = Lineage::new(id(9));
        let _ = lineage.full_sync_begun(id(B));
        assert!(!lineage.reached_stable() && lineage.resume(lsns(&[1])).is_none());
        assert!(!lineage.admits(&offer(B, &[1]), &lsns(&[1])));
        let change = lineage.promoted(id(8), &lsns(&[7]));
        assert_eq!(
            change,
            LineageChange {
                end_replicas: true,
                restart_journal: true
            }
        );
        assert_eq!((lineage.replid(), lineage.fork()), (id(8), None));
        assert!(lineage.reached_stable());
    }

    #[test]
    fn a_relay_that_moves_on_remembers_where() {
        let mut lineage = relay();
        // A died, C (3) was promoted, and granted this server partial sync at (8, 18).
        let change = lineage.stable_entered(id(3), true, &lsns(&[8, 18]));
        assert!(change.end_replicas && !change.restart_journal);
        let next = lsns(&[30, 30]);
        assert!(lineage.admits(&offer(A, &[8, 18]), &next));
        assert!(
            !lineage.admits(&offer(A, &[9, 18]), &next),
            "that may be of A after the fork"
        );
        assert!(lineage.admits(&offer(3, &[30, 30]), &next));
        assert!(
            lineage.admits(&offer(B, &[9, 18]), &next),
            "its own sequence is linear"
        );
        // The same upstream again changes nothing.
        assert_eq!(
            lineage.stable_entered(id(3), true, &lsns(&[30, 30])),
            LineageChange::default()
        );
    }

    #[test]
    fn other_shard_counts_keep_a_lineage_of_their_own() {
        let mut lineage = Lineage::new(id(9));
        let _ = lineage.full_sync_begun(id(B));
        assert_eq!(
            lineage.stable_entered(id(A), false, &lsns(&[5])),
            LineageChange::default()
        );
        assert_eq!(lineage.history(), id(B));
        assert_eq!(
            lineage.promoted(id(8), &lsns(&[3, 4])),
            LineageChange::default()
        );
        assert!(!lineage.admits(&offer(A, &[1, 1]), &lsns(&[3, 4])));
    }

    /// Two servers are promoted from the same primary; the old primary comes back.
    #[test]
    fn an_old_primary_continues_only_if_it_wrote_nothing_more() {
        let mut b = relay();
        let _ = b.promoted(id(8), &lsns(&[10, 20]));
        let a = Lineage::new(id(A));
        let quiet = a.resume(lsns(&[10, 20])).expect("whole");
        assert!(b.admits(
            &Offer {
                id: quiet.history,
                lsns: quiet.lsns
            },
            &lsns(&[11, 22])
        ));
        let wrote = a.resume(lsns(&[10, 21])).expect("whole");
        assert!(!b.admits(
            &Offer {
                id: wrote.history,
                lsns: wrote.lsns
            },
            &lsns(&[11, 22])
        ));
    }

    /// Every short sequence of events on three servers: whoever is admitted holds a prefix of what the other holds.
    #[test]
    fn nobody_is_admitted_who_holds_something_else() {
        exhaustive::run(6);
        exhaustive::walk(600, 60);
    }

    mod exhaustive {
        use super::*;

        /// One flow; contents are the list of (writer, serial) that were executed.
        #[derive(Clone)]
        struct Server {
            lineage: Lineage,
            /// What it follows (its history as the link recorded it), if it is a replica.
            follows: Option<usize>,
            resume: Option<Resume>,
            log: Vec<u32>,
        }

        #[derive(Clone)]
        struct World {
            servers: Vec<Server>,
            serial: u32,
            fresh: u8,
        }

        fn next(server: &Server) -> Vec<Lsn> {
            vec![Lsn(server.log.len() as u64 + 1)]
        }

        impl World {
            fn fresh(&mut self) -> ReplId {
                self.fresh += 1;
                id(self.fresh)
            }

            fn write(&mut self, at: usize) -> bool {
                if self.servers[at].resume.is_some() {
                    return false;
                }
                self.serial += 1;
                let serial = self.serial;
                self.servers[at].log.push(serial);
                true
            }

            /// Takes one record over an established link.
            fn pull(&mut self, at: usize) -> bool {
                let Some(up) = self.servers[at].follows else {
                    return false;
                };
                let position = self.servers[at].log.len();
                let Some(record) = self.servers[up].log.get(position).copied() else {
                    return false;
                };
                self.servers[at].log.push(record);
                let executed = next(&self.servers[at]);
                self.servers[at]
                    .resume
                    .as_mut()
                    .expect("a replica has one")
                    .lsns = executed;
                true
            }

            fn promote(&mut self, at: usize) -> bool {
                if self.servers[at].resume.take().is_none() {
                    return false;
                }
                self.servers[at].follows = None;
                let fresh = self.fresh();
                let lsns = next(&self.servers[at]);
                let change = self.servers[at].lineage.promoted(fresh, &lsns);
                self.end_replicas(at, change);
                true
            }

            fn end_replicas(&mut self, at: usize, change: LineageChange) {
                if change.end_replicas {
                    self.servers
                        .iter_mut()
                        .filter(|server| server.follows == Some(at))
                        .for_each(|server| server.follows = None);
                }
            }

            /// `REPLICAOF up` on `at` (or a reconnect): partial if admitted, else full.
            fn follow(&mut self, at: usize, up: usize) -> bool {
                let upstream = self.servers[up].clone();
                if at == up || !upstream.lineage.reached_stable() {
                    return false;
                }
                let own = &self.servers[at];
                let resume = own.resume.clone().or_else(|| own.lineage.resume(next(own)));
                let resume = resume.expect("logs here have every change");
                let offer = Offer {
                    id: resume.history,
                    lsns: resume.lsns,
                };
                let history = upstream.lineage.history();
                if upstream.lineage.admits(&offer, &next(&upstream)) {
                    assert!(
                        upstream.log.starts_with(&self.servers[at].log),
                        "{at} was admitted to {up} with other contents"
                    );
                } else {
                    let fresh = self.fresh();
                    let change = self.servers[at].lineage.full_sync_begun(fresh);
                    self.end_replicas(at, change);
                    self.servers[at].log = upstream.log.clone();
                }
                let lsns = next(&self.servers[at]);
                let change = self.servers[at]
                    .lineage
                    .stable_entered(history, true, &lsns);
                self.end_replicas(at, change);
                self.servers[at].follows = Some(up);
                self.servers[at].resume = Some(Resume {
                    replid: upstream.lineage.replid(),
                    history,
                    lsns,
                    db: 0,
                });
                true
            }

            /// Who has a `resume` is a replica; one whose link ended takes nothing until it follows again.
            fn moves(&self) -> Vec<World> {
                let mut out = Vec::new();
                for at in 0..self.servers.len() {
                    for action in 0..3 + self.servers.len() {
                        let mut next = self.clone();
                        let done = match action {
                            0 => next.write(at),
                            1 => next.pull(at),
                            2 => next.promote(at),
                            other => next.follow(at, other - 3),
                        };
                        if done {
                            out.push(next);
                        }
                    }
                }
                out
            }
        }

        pub fn run(depth: usize) {
            let server = |n: u8| Server {
                lineage: Lineage::new(id(n)),
                follows: None,
                resume: None,
                log: vec![],
            };
            let world = World {
                servers: vec![server(101), server(102), server(103)],
                serial: 0,
                fresh: 0,
            };
            let mut steps = 0_u64;
            explore(&world, depth, &mut steps);
            assert!(steps > 1_000, "{steps}");
        }

        /// Long random sequences.
        pub fn walk(walks: u64, length: usize) {
            for seed in 0..walks {
                let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                let server = |n: u8| Server {
                    lineage: Lineage::new(id(n)),
                    follows: None,
                    resume: None,
                    log: vec![],
                };
                let mut world = World {
                    servers: (201..205).map(server).collect(),
                    serial: 0,
                    fresh: 0,
                };
                for _ in 0..length {
                    let mut moves = world.moves();
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let index = (state >> 33) as usize % moves.len();
                    world = moves.swap_remove(index);
                }
            }
        }

        fn explore(world: &World, depth: usize, steps: &mut u64) {
            *steps += 1;
            if depth > 0 {
                world
                    .moves()
                    .iter()
                    .for_each(|next| explore(next, depth - 1, steps));
            }
        }
    }
}
