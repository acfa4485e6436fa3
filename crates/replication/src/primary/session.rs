//! One replica as its primary sees it: `Preparation → FullSync → StableSync → Cancelled`.

use std::{collections::VecDeque, fmt};

use damselfly_journal::Lsn;

use super::dfly::DflyError;
use crate::{
    config::PrimaryConfig,
    ids::{LsnVector, ReplId, SyncId},
    replica::FlowOffer,
};

/// The words of ROLE and INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// From the greeting to SYNC or STARTSTABLE.
    Preparation,
    /// The snapshot is sent.
    FullSync,
    /// Records are sent as they happen.
    StableSync,
    /// It is over.
    Cancelled,
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SessionState::Preparation => "preparation",
            SessionState::FullSync => "full_sync",
            SessionState::StableSync => "stable_sync",
            SessionState::Cancelled => "cancelled",
        })
    }
}

/// What is offered for one flow, for the shard to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowClaim {
    /// The flow.
    pub flow: usize,
    /// The sequence that the LSN belongs to.
    pub id: ReplId,
    /// The next record wanted.
    pub lsn: Lsn,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionOutput {
    /// On the shards of these claims, at one point: see whether the lineage admits them and the backlog reaches back, and if
    /// all do, pin it; then `handle_claims_checked`.
    CheckClaims(Vec<FlowClaim>),
    /// Answer `DFLY FLOW` of this flow: `Ok(true)` is PARTIAL. With `Ok` the connection becomes the flow.
    AnswerFlow(usize, Result<bool, DflyError>),
    /// Begin the snapshot of every shard at one point; then `handle_cut`.
    Cut,
    /// Begin stable sync on every shard at one point; then `handle_stable`.
    StartStable {
        /// From the backlog, not after a full sync.
        partial: bool,
    },
    /// Answer the last SYNC or STARTSTABLE.
    Reply(Result<(), DflyError>),
    /// Close all connections of the link, drop snapshots, consumers and pins. The last output.
    Cancel(String),
}

/// The sans-IO machine of one replica's session.
#[derive(Debug)]
pub struct PrimarySession {
    sync_id: SyncId,
    replid: ReplId,
    level: u8,
    stage: Stage,
    /// Per flow: what was answered.
    flows: Vec<FlowState>,
    finished: usize,
    deadline_ms: Option<u64>,
    outputs: VecDeque<SessionOutput>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlowState {
    Missing,
    /// `DFLY FLOW` came, and claims are being checked.
    Asked,
    Full,
    Partial,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Preparation { decision: Decision },
    Cutting,
    FullSync,
    Starting { partial: bool },
    StableSync,
    Cancelled,
}

/// Between our own servers one decision holds for all flows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    Open,
    Checking(Claimed),
    Made { partial: Option<Claimed> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Claimed {
    history: ReplId,
    lsns: LsnVector,
}

impl PrimarySession {
    /// A session just opened by the greeting, over `flows` shards. `level` is what both ends understand.
    pub fn new(
        now_ms: u64,
        config: &PrimaryConfig,
        sync_id: SyncId,
        replid: ReplId,
        flows: usize,
        level: u8,
    ) -> PrimarySession {
        PrimarySession {
            sync_id,
            replid,
            level,
            stage: Stage::Preparation {
                decision: Decision::Open,
            },
            flows: vec![FlowState::Missing; flows],
            finished: 0,
            deadline_ms: Some(now_ms + config.preparation_timeout_ms),
            outputs: VecDeque::new(),
        }
    }

    /// Its number.
    pub fn sync_id(&self) -> SyncId {
        self.sync_id
    }

    /// What both ends understand.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Where it is.
    pub fn state(&self) -> SessionState {
        match &self.stage {
            Stage::Preparation { .. } | Stage::Starting { partial: true } => {
                SessionState::Preparation
            }
            Stage::Cutting | Stage::FullSync | Stage::Starting { partial: false } => {
                SessionState::FullSync
            }
            Stage::StableSync => SessionState::StableSync,
            Stage::Cancelled => SessionState::Cancelled,
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<SessionOutput> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn deadline(&self) -> Option<u64> {
        self.deadline_ms
    }

    /// Looks at the clock: preparation is bounded in time.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if self.deadline_ms.is_some_and(|deadline| now_ms >= deadline) {
            self.cancel("the replica did not finish its preparation in time");
        }
    }

    /// `DFLY FLOW` came. The answer follows as an output.
    pub fn handle_flow(&mut self, replid: ReplId, flow: usize, offer: Option<FlowOffer>) {
        if let Err(error) = self.admit(replid, flow, offer) {
            self.outputs
                .push_back(SessionOutput::AnswerFlow(flow, Err(error)));
        }
    }

    fn admit(
        &mut self,
        replid: ReplId,
        flow: usize,
        offer: Option<FlowOffer>,
    ) -> Result<(), DflyError> {
        if replid != self.replid {
            return Err(DflyError::BadMasterId);
        }
        let shards = self.flows.len();
        let state = self.flows.get(flow).ok_or(DflyError::NotAnInteger)?;
        let Stage::Preparation { decision } = &mut self.stage else {
            return Err(DflyError::InvalidState);
        };
        if *state != FlowState::Missing {
            return Err(DflyError::InvalidState);
        }
        if self.level == 0 {
            return self.admit_alone(flow, offer);
        }
        let claimed = match offer {
            Some(FlowOffer::Vector { history, lsns }) if lsns.len() == shards => {
                Some(Claimed { history, lsns })
            }
            _ => None,
        };
        match decision {
            Decision::Open => match claimed {
                None => {
                    *decision = Decision::Made { partial: None };
                    self.answer(flow, false);
                }
                Some(claimed) => {
                    let claims = claims(&claimed);
                    *decision = Decision::Checking(claimed);
                    self.flows[flow] = FlowState::Asked;
                    self.outputs.push_back(SessionOutput::CheckClaims(claims));
                }
            },
            Decision::Checking(first) if claimed.as_ref() == Some(first) => {
                self.flows[flow] = FlowState::Asked
            }
            Decision::Made {
                partial: Some(first),
            } if claimed.as_ref() == Some(first) => self.answer(flow, true),
            Decision::Made { partial: None } => self.answer(flow, false),
            // One link, one offer: anything else is a replica that contradicts itself.
            Decision::Checking(_) | Decision::Made { .. } => return Err(DflyError::InvalidState),
        }
        Ok(())
    }

    /// A Dragonfly offers and is answered flow by flow.
    fn admit_alone(&mut self, flow: usize, offer: Option<FlowOffer>) -> Result<(), DflyError> {
        let claim = match offer {
            Some(FlowOffer::Lsn(lsn)) => FlowClaim {
                flow,
                id: self.replid,
                lsn,
            },
            Some(FlowOffer::Vector { history, lsns }) if lsns.len() == self.flows.len() => {
                FlowClaim {
                    flow,
                    id: history,
                    lsn: lsns[flow],
                }
            }
            _ => {
                self.answer(flow, false);
                return Ok(());
            }
        };
        self.flows[flow] = FlowState::Asked;
        self.outputs
            .push_back(SessionOutput::CheckClaims(vec![claim]));
        Ok(())
    }

    /// The claims of [`SessionOutput::CheckClaims`] hold and are pinned, or not.
    pub fn handle_claims_checked(&mut self, checked: &[FlowClaim], granted: bool) {
        let Stage::Preparation { decision } = &mut self.stage else {
            return;
        };
        if self.level == 0 {
            return checked
                .iter()
                .for_each(|claim| self.answer(claim.flow, granted));
        }
        if let Decision::Checking(claimed) = decision {
            let partial = granted.then(|| claimed.clone());
            *decision = Decision::Made { partial };
        }
        for flow in 0..self.flows.len() {
            if self.flows[flow] == FlowState::Asked {
                self.answer(flow, granted);
            }
        }
    }

    fn answer(&mut self, flow: usize, partial: bool) {
        self.flows[flow] = if partial {
            FlowState::Partial
        } else {
            FlowState::Full
        };
        self.outputs
            .push_back(SessionOutput::AnswerFlow(flow, Ok(partial)));
    }

    /// `DFLY SYNC` came.
    pub fn handle_sync(&mut self) {
        let prepared = matches!(self.stage, Stage::Preparation { .. });
        if !prepared || !self.all_flows(FlowState::Full) {
            return self.reply(Err(DflyError::InvalidState));
        }
        self.stage = Stage::Cutting;
        self.deadline_ms = None;
        self.outputs.push_back(SessionOutput::Cut);
    }

    /// [`SessionOutput::Cut`] was done, or failed.
    pub fn handle_cut(&mut self, result: Result<(), String>) {
        if self.stage != Stage::Cutting {
            return;
        }
        self.stage = Stage::FullSync;
        self.conclude(result);
    }

    /// All that stood at the cut of one flow was written.
    pub fn handle_flow_finished(&mut self) {
        self.finished += 1;
    }

    /// `DFLY STARTSTABLE` came.
    pub fn handle_start_stable(&mut self) {
        let partial = match &self.stage {
            Stage::Preparation { .. } if self.all_flows(FlowState::Partial) => true,
            Stage::FullSync if self.finished == self.flows.len() => false,
            _ => return self.reply(Err(DflyError::InvalidState)),
        };
        self.stage = Stage::Starting { partial };
        self.deadline_ms = None;
        self.outputs
            .push_back(SessionOutput::StartStable { partial });
    }

    /// [`SessionOutput::StartStable`] was done, or failed.
    pub fn handle_stable(&mut self, result: Result<(), String>) {
        if !matches!(self.stage, Stage::Starting { .. }) {
            return;
        }
        self.stage = Stage::StableSync;
        self.conclude(result);
    }

    fn conclude(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.reply(Ok(())),
            Err(why) => {
                self.reply(Err(DflyError::Data(why.clone())));
                self.cancel(&why);
            }
        }
    }

    /// A connection of the link closed, a flow broke, or the data set wants it gone: all of it ends.
    pub fn cancel(&mut self, why: &str) {
        if self.stage != Stage::Cancelled {
            self.stage = Stage::Cancelled;
            self.deadline_ms = None;
            self.outputs
                .push_back(SessionOutput::Cancel(why.to_owned()));
        }
    }

    fn all_flows(&self, state: FlowState) -> bool {
        self.flows.iter().all(|flow| *flow == state)
    }

    fn reply(&mut self, result: Result<(), DflyError>) {
        self.outputs.push_back(SessionOutput::Reply(result));
    }
}

fn claims(claimed: &Claimed) -> Vec<FlowClaim> {
    claimed
        .lsns
        .iter()
        .enumerate()
        .map(|(flow, lsn)| FlowClaim {
            flow,
            id: claimed.history,
            lsn: *lsn,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{SessionOutput::*, *};

    fn id(n: u8) -> ReplId {
        ReplId::from_random([n; 20])
    }

    fn session(flows: usize, level: u8) -> PrimarySession {
        PrimarySession::new(0, &PrimaryConfig::default(), SyncId(1), id(1), flows, level)
    }

    fn outputs(session: &mut PrimarySession) -> Vec<SessionOutput> {
        std::iter::from_fn(|| session.poll_output()).collect()
    }

    fn vector(lsns: &[u64]) -> Option<FlowOffer> {
        Some(FlowOffer::Vector {
            history: id(9),
            lsns: lsns.iter().copied().map(Lsn).collect(),
        })
    }

    #[test]
    fn a_full_sync_from_greeting_to_stable() {
        let mut session = session(2, 1);
        session.handle_sync();
        assert_eq!(outputs(&mut session), [Reply(Err(DflyError::InvalidState))]);
        session.handle_flow(id(1), 0, None);
        session.handle_flow(id(1), 1, None);
        assert_eq!(
            outputs(&mut session),
            [AnswerFlow(0, Ok(false)), AnswerFlow(1, Ok(false))]
        );
        session.handle_start_stable();
        assert_eq!(
            outputs(&mut session),
            [Reply(Err(DflyError::InvalidState))],
            "no stable sync before SYNC"
        );
        session.handle_sync();
        assert_eq!(outputs(&mut session), [Cut]);
        session.handle_cut(Ok(()));
        assert_eq!(
            (outputs(&mut session), session.state()),
            (vec![Reply(Ok(()))], SessionState::FullSync)
        );
        session.handle_flow_finished();
        session.handle_start_stable();
        assert_eq!(
            outputs(&mut session),
            [Reply(Err(DflyError::InvalidState))],
            "no stable sync before all cuts"
        );
        session.handle_flow_finished();
        session.handle_start_stable();
        assert_eq!(outputs(&mut session), [StartStable { partial: false }]);
        session.handle_stable(Ok(()));
        assert_eq!(
            (outputs(&mut session), session.state()),
            (vec![Reply(Ok(()))], SessionState::StableSync)
        );
        session.cancel("closed");
        session.cancel("again");
        assert_eq!(outputs(&mut session), [Cancel("closed".into())]);
    }

    #[test]
    fn one_decision_for_all_flows_between_our_own() {
        for granted in [true, false] {
            let mut session = session(3, 1);
            session.handle_flow(id(1), 1, vector(&[5, 6, 7]));
            session.handle_flow(id(1), 0, vector(&[5, 6, 7]));
            let checks = outputs(&mut session);
            let [CheckClaims(claims)] = checks.as_slice() else {
                panic!("{checks:?}")
            };
            assert_eq!(
                claims[2],
                FlowClaim {
                    flow: 2,
                    id: id(9),
                    lsn: Lsn(7)
                }
            );
            session.handle_claims_checked(claims, granted);
            assert_eq!(
                outputs(&mut session),
                [AnswerFlow(0, Ok(granted)), AnswerFlow(1, Ok(granted))]
            );
            session.handle_flow(id(1), 2, vector(&[5, 6, 7]));
            assert_eq!(outputs(&mut session), [AnswerFlow(2, Ok(granted))]);
            if granted {
                session.handle_sync();
                assert_eq!(outputs(&mut session), [Reply(Err(DflyError::InvalidState))]);
                session.handle_start_stable();
                assert_eq!(outputs(&mut session), [StartStable { partial: true }]);
            }
        }
    }

    #[test]
    fn a_replica_that_contradicts_itself_is_refused() {
        let mut session = session(2, 1);
        session.handle_flow(id(1), 0, vector(&[5, 6]));
        session.handle_flow(id(1), 1, vector(&[5, 7]));
        assert_eq!(
            outputs(&mut session)[1..],
            [AnswerFlow(1, Err(DflyError::InvalidState))]
        );
        session.handle_flow(id(1), 0, vector(&[5, 6]));
        assert_eq!(
            outputs(&mut session),
            [AnswerFlow(0, Err(DflyError::InvalidState))],
            "twice"
        );
    }

    #[test]
    fn dragonfly_is_answered_flow_by_flow() {
        let mut session = session(2, 0);
        session.handle_flow(id(1), 0, Some(FlowOffer::Lsn(Lsn(25))));
        let claim = FlowClaim {
            flow: 0,
            id: id(1),
            lsn: Lsn(25),
        };
        assert_eq!(outputs(&mut session), [CheckClaims(vec![claim])]);
        session.handle_claims_checked(&[claim], true);
        session.handle_flow(id(1), 1, None);
        assert_eq!(
            outputs(&mut session),
            [AnswerFlow(0, Ok(true)), AnswerFlow(1, Ok(false))]
        );
        for start in [
            PrimarySession::handle_sync,
            PrimarySession::handle_start_stable,
        ] {
            start(&mut session);
            assert_eq!(
                outputs(&mut session),
                [Reply(Err(DflyError::InvalidState))],
                "a mix"
            );
        }
    }

    #[test]
    fn refusals() {
        let mut session = session(2, 1);
        session.handle_flow(id(2), 0, None);
        session.handle_flow(id(1), 2, None);
        assert_eq!(
            outputs(&mut session),
            [
                AnswerFlow(0, Err(DflyError::BadMasterId)),
                AnswerFlow(2, Err(DflyError::NotAnInteger))
            ]
        );
        session.handle_flow(id(1), 0, vector(&[1, 2, 3]));
        assert_eq!(
            outputs(&mut session),
            [AnswerFlow(0, Ok(false))],
            "a vector of another length"
        );
    }

    #[test]
    fn preparation_is_bounded_in_time() {
        let mut session = session(1, 1);
        session.handle_timeout(29_999);
        assert_eq!(session.state(), SessionState::Preparation);
        session.handle_timeout(30_000);
        assert!(matches!(outputs(&mut session)[..], [Cancel(_)]));
        session.handle_flow(id(1), 0, None);
        assert_eq!(
            outputs(&mut session),
            [AnswerFlow(0, Err(DflyError::InvalidState))]
        );
        assert_eq!(session.deadline(), None);
    }

    #[test]
    fn a_failed_cut_ends_the_session() {
        let mut session = session(1, 1);
        session.handle_flow(id(1), 0, None);
        session.handle_sync();
        session.handle_cut(Err("no memory".into()));
        let outputs = outputs(&mut session);
        assert_eq!(
            outputs[2..],
            [
                Reply(Err(DflyError::Data("no memory".into()))),
                Cancel("no memory".into())
            ]
        );
    }
}
