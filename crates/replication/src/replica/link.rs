//! The control connection of a link, and all that depends on it: `Greet → OpenFlows → FullSync → Stable`, `Backoff`
//! after what passes by itself, `Failed` after what does not.

use std::collections::VecDeque;

use super::{
    answer::expect_text,
    backoff::Backoff,
    greeting::{Greeted, Greeting},
    guard::{Guard, Standing},
    link_output::{LinkOutput, LinkPhase, LinkStats},
    message::{FlowCommand, FlowEvent},
    request::encode_strings,
    session::{Session, Stage},
};
use crate::{
    config::ReplicaConfig,
    dataset::Upstream,
    error::{DataError, LinkError},
    ids::{ReplId, write_vector},
    lineage::Resume,
    part::TransactionPart,
};

/// The sans-IO machine of a link. After every `handle_*` call take all outputs with [`poll_output`](Self::poll_output),
/// then wait for what comes, at most until [`deadline`](Self::deadline).
#[derive(Debug)]
pub struct ReplicaLink {
    config: ReplicaConfig,
    address: String,
    own_replid: ReplId,
    resume: Option<Resume>,
    /// False for the attempt after one that was granted a mix.
    may_offer: bool,
    guard: Guard,
    backoff: Backoff,
    phase: Phase,
    outputs: VecDeque<LinkOutput>,
    stats: LinkStats,
    last_error: Option<LinkError>,
    paused: bool,
}

#[derive(Debug)]
enum Phase {
    Connecting {
        deadline_ms: u64,
    },
    Greet {
        greeting: Box<Greeting>,
        deadline_ms: u64,
    },
    Linked(Box<Session>),
    /// The data set is told of the end.
    Ending {
        error: Option<LinkError>,
    },
    Backoff {
        until_ms: u64,
    },
    Failed,
    Stopped,
}

impl ReplicaLink {
    /// A link that begins by connecting. `own_replid` tells whether the peer is oneself; `resume` is what may be offered for a partial
    /// sync; `seed` is a random number, for the jitter of delays.
    pub fn connecting(
        now_ms: u64,
        config: ReplicaConfig,
        address: String,
        own_replid: ReplId,
        resume: Option<Resume>,
        seed: u64,
    ) -> ReplicaLink {
        let mut link = ReplicaLink::new(config, address, own_replid, resume, seed);
        link.connect(now_ms);
        link
    }

    /// A link whose control connection stands and has greeted, as REPLICAOF does it beside the present role.
    pub fn greeted(
        now_ms: u64,
        config: ReplicaConfig,
        own_replid: ReplId,
        resume: Option<Resume>,
        seed: u64,
        peer: Greeted,
    ) -> ReplicaLink {
        let mut link = ReplicaLink::new(
            config,
            peer.upstream.address.clone(),
            own_replid,
            resume,
            seed,
        );
        link.open_flows(now_ms, peer);
        link
    }

    fn new(
        config: ReplicaConfig,
        address: String,
        own_replid: ReplId,
        resume: Option<Resume>,
        seed: u64,
    ) -> ReplicaLink {
        let backoff = Backoff::new(config.backoff_min_ms, config.backoff_max_ms, seed);
        ReplicaLink {
            config,
            address,
            own_replid,
            resume,
            may_offer: true,
            guard: Guard::default(),
            backoff,
            phase: Phase::Stopped,
            outputs: VecDeque::new(),
            stats: LinkStats::default(),
            last_error: None,
            paused: false,
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<LinkOutput> {
        self.outputs.pop_front()
    }

    /// What it is doing.
    pub fn phase(&self) -> LinkPhase {
        match &self.phase {
            Phase::Connecting { .. } | Phase::Backoff { .. } | Phase::Ending { .. } => {
                LinkPhase::Connecting
            }
            Phase::Greet { .. } => LinkPhase::Preparation,
            Phase::Failed => LinkPhase::Failed,
            Phase::Stopped => LinkPhase::Stopped,
            Phase::Linked(session) => match &session.stage {
                Stage::OpenFlows | Stage::SyncRequested => LinkPhase::Preparation,
                Stage::Stable => LinkPhase::StableSync,
                Stage::Draining { .. } => LinkPhase::Connecting,
                Stage::StableRequested { .. } | Stage::Entering if session.is_partial() => {
                    LinkPhase::Preparation
                }
                _ => LinkPhase::FullSync,
            },
        }
    }

    /// Counters.
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    /// Why the last attempt ended.
    pub fn last_error(&self) -> Option<&LinkError> {
        self.last_error.as_ref()
    }

    /// Who is at the other end, once it was greeted.
    pub fn upstream(&self) -> Option<&Upstream> {
        match &self.phase {
            Phase::Linked(session) => Some(&session.peer.upstream),
            _ => None,
        }
    }

    /// What another link may stand on: what was executed, if the data set is whole. Exact once the link has stopped.
    pub fn resume(&self) -> Option<&Resume> {
        self.resume.as_ref()
    }

    /// A new replid was drawn here; it tells later greetings whether the peer is oneself.
    pub fn set_own_replid(&mut self, replid: ReplId) {
        self.own_replid = replid;
    }

    /// What the data set is, which is not to be undone by an attempt of this link.
    pub fn set_standing(&mut self, standing: Standing) {
        self.guard = Guard::of(standing);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn deadline(&self) -> Option<u64> {
        match &self.phase {
            Phase::Connecting { deadline_ms } | Phase::Greet { deadline_ms, .. } => {
                Some(*deadline_ms)
            }
            Phase::Backoff { until_ms } => Some(*until_ms),
            Phase::Linked(session) => {
                let meeting = session
                    .rendezvous
                    .oldest()
                    .map(|(since, _)| since + self.config.replication_timeout_ms);
                let meeting = meeting
                    .filter(|_| !matches!(session.stage, Stage::Draining { .. }) && !self.paused);
                session.deadline_ms.into_iter().chain(meeting).min()
            }
            Phase::Ending { .. } | Phase::Failed | Phase::Stopped => None,
        }
    }

    /// Looks at the clock.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if self.deadline().is_none_or(|deadline| now_ms < deadline) {
            return;
        }
        let limit_ms = self.config.replication_timeout_ms;
        let error = match &self.phase {
            Phase::Backoff { .. } => return self.connect(now_ms),
            Phase::Connecting { .. } => LinkError::Timeout {
                step: "connect",
                limit_ms: self.connect_limit_ms(),
            },
            Phase::Greet { greeting, .. } => LinkError::Timeout {
                step: greeting.step(),
                limit_ms: self.config.handshake_timeout_ms,
            },
            Phase::Linked(session) => LinkError::Timeout {
                step: session.stage.waits_for(),
                limit_ms,
            },
            _ => return,
        };
        self.fail(now_ms, error);
    }

    /// The control connection stands.
    pub fn handle_connected(&mut self, now_ms: u64) {
        if !matches!(self.phase, Phase::Connecting { .. }) {
            return;
        }
        let mut greeting = Greeting::new(self.config.clone(), &*self.address, self.own_replid);
        self.outputs
            .push_back(LinkOutput::Send(greeting.poll_transmit()));
        let deadline_ms = now_ms + self.config.handshake_timeout_ms;
        self.phase = Phase::Greet {
            greeting: Box::new(greeting),
            deadline_ms,
        };
    }

    /// The control connection could not be made, or closed.
    pub fn handle_closed(&mut self, now_ms: u64, error: LinkError) {
        self.fail(now_ms, error);
    }

    /// Bytes came on the control connection.
    pub fn handle_bytes(&mut self, now_ms: u64, bytes: &[u8]) {
        let result = match &mut self.phase {
            Phase::Greet { .. } => self.handle_greeting(now_ms, bytes),
            Phase::Linked(session) if !matches!(session.stage, Stage::Draining { .. }) => {
                self.handle_answers(bytes)
            }
            _ => Ok(()),
        };
        if let Err(error) = result {
            self.fail(now_ms, error);
        }
    }

    fn handle_greeting(&mut self, now_ms: u64, bytes: &[u8]) -> Result<(), LinkError> {
        let Phase::Greet {
            greeting,
            deadline_ms,
        } = &mut self.phase
        else {
            return Ok(());
        };
        if let Some(peer) = greeting.handle_bytes(bytes)? {
            let policy = self.config.restarted_primary;
            self.guard
                .admits(&peer.upstream, policy, self.resume.as_ref())?;
            self.open_flows(now_ms, peer);
            return Ok(());
        }
        let request = greeting.poll_transmit();
        if !request.is_empty() {
            *deadline_ms = now_ms + self.config.handshake_timeout_ms;
            self.outputs.push_back(LinkOutput::Send(request));
        }
        Ok(())
    }

    pub(super) fn open_flows(&mut self, now_ms: u64, peer: Greeted) {
        let session = Session::new(now_ms, &self.config, peer);
        let may_offer = std::mem::replace(&mut self.may_offer, true) && self.config.partial_sync;
        let resume = self
            .resume
            .as_ref()
            .filter(|resume| may_offer && session.can_offer(resume));
        self.stats.psync_attempts += u64::from(resume.is_some());
        if session.speaks_psync() {
            // All goes over the flow's connection from here on.
            self.outputs.push_back(LinkOutput::Disconnect);
        }
        for flow in 0..session.flows() {
            self.outputs
                .push_back(LinkOutput::OpenFlow(session.spec(flow, resume)));
        }
        if self.paused {
            (0..session.flows()).for_each(|flow| {
                self.outputs
                    .push_back(LinkOutput::Command(flow, FlowCommand::Pause))
            });
        }
        self.phase = Phase::Linked(Box::new(session));
    }

    /// Answers to `DFLY SYNC` and `DFLY STARTSTABLE`.
    fn handle_answers(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let mut input = bytes;
        while let Phase::Linked(session) = &mut self.phase {
            let decoded = session.replies.decode(&mut input);
            let Some(reply) = decoded.map_err(|error| LinkError::NotRedis {
                why: error.to_string(),
            })?
            else {
                break;
            };
            match session.stage {
                Stage::SyncRequested => {
                    expect_text("DFLY SYNC", reply, "OK")?;
                    self.begin_full_sync();
                }
                Stage::StableRequested { accepted: false } => {
                    expect_text("DFLY STARTSTABLE", reply, "OK")?;
                    session.stage = Stage::StableRequested { accepted: true };
                    session.deadline_ms = None;
                    self.command_all(&FlowCommand::ExpectTail);
                    self.enter_if_complete();
                }
                _ => return Err(super::answer::bad_answer("nothing", "silence", &reply)),
            }
        }
        Ok(())
    }

    /// A full sync was granted: now, and not before, the data set discards what it has.
    fn begin_full_sync(&mut self) {
        let Phase::Linked(session) = &mut self.phase else {
            return;
        };
        session.stage = Stage::Discarding;
        (session.touched, session.calls, session.deadline_ms) = (true, 1, None);
        if let Some(resume) = self.resume.take() {
            let mut held = Vec::new();
            write_vector(&mut held, &resume.lsns);
            tracing::info!(
                history = %resume.history, next = %held.escape_ascii(), primary = self.address,
                "a full sync takes the place of what had been executed"
            );
        }
        self.guard.discards();
        self.stats.full_syncs += 1;
        self.outputs
            .push_back(LinkOutput::BeginFullSync(session.peer.upstream.clone()));
    }

    /// A flow says something.
    pub fn handle_flow_event(&mut self, now_ms: u64, flow: usize, event: FlowEvent) {
        let Phase::Linked(session) = &mut self.phase else {
            return;
        };
        if let FlowEvent::Selected(db) = event {
            session.db = db;
            return;
        }
        if let FlowEvent::Stopped { executed, error } = event {
            session.running[flow] = false;
            if let Some(executed) = executed {
                session.advance(flow, executed);
            }
            session.tainted |= matches!(error, Some(LinkError::Data(_)));
            let stopped = || LinkError::Closed {
                connection: format!("flow {flow}"),
                why: "it stopped".into(),
            };
            self.fail(now_ms, error.unwrap_or_else(stopped));
            return self.end_if_quiet(now_ms);
        }
        if let Err(error) = self.handle_progress(now_ms, flow, event) {
            self.fail(now_ms, error);
        }
    }

    fn handle_progress(
        &mut self,
        now_ms: u64,
        flow: usize,
        event: FlowEvent,
    ) -> Result<(), LinkError> {
        let Phase::Linked(session) = &mut self.phase else {
            return Ok(());
        };
        match (event, &session.stage) {
            (_, Stage::Draining { .. }) => Ok(()),
            (FlowEvent::Identified(replid), Stage::OpenFlows) if replid == self.own_replid => {
                Err(LinkError::SelfReplication)
            }
            (FlowEvent::Identified(replid), Stage::OpenFlows) => {
                session.identify(replid);
                Ok(())
            }
            (FlowEvent::Granted { partial }, Stage::OpenFlows) => {
                session.grants[flow] = Some(partial);
                self.sync_if_granted(now_ms)
            }
            (FlowEvent::Cut, Stage::Loading) => {
                session.cuts[flow] = true;
                if session.cuts.iter().all(|cut| *cut) {
                    self.request_stable(now_ms);
                }
                Ok(())
            }
            // Early, if a recorded stream is played flow by flow; it counts when all cuts are here.
            (FlowEvent::Tail(lsn), Stage::Loading | Stage::StableRequested { .. }) => {
                session.tails[flow] = Some(lsn);
                self.enter_if_complete();
                Ok(())
            }
            (FlowEvent::Arrived { part, global }, _) => self.meet(now_ms, flow, part, global),
            _ => Err(LinkError::StreamOrder {
                flow,
                what: "progress that does not belong here",
            }),
        }
    }

    fn sync_if_granted(&mut self, now_ms: u64) -> Result<(), LinkError> {
        let Phase::Linked(session) = &mut self.phase else {
            return Ok(());
        };
        match session.grant() {
            None => {}
            Some(None) => {
                self.may_offer = false;
                return Err(LinkError::MixedGrant);
            }
            Some(Some(true)) => {
                self.stats.psync_successes += 1;
                session.db = self.resume.as_ref().map_or(0, |resume| resume.db);
                self.request_stable(now_ms);
            }
            Some(Some(false)) if session.speaks_psync() => self.begin_full_sync(),
            Some(Some(false)) => {
                session.stage = Stage::SyncRequested;
                session.deadline_ms = Some(now_ms + self.config.replication_timeout_ms);
                let sync_id = session.peer.sync_id.to_string();
                self.send(&["DFLY", "SYNC", &sync_id]);
            }
        }
        Ok(())
    }

    fn request_stable(&mut self, now_ms: u64) {
        let Phase::Linked(session) = &mut self.phase else {
            return;
        };
        if session.speaks_psync() {
            // There is nobody to ask: the stream goes on by itself.
            session.stage = Stage::StableRequested { accepted: true };
            return self.enter_if_complete();
        }
        session.stage = Stage::StableRequested { accepted: false };
        session.deadline_ms = Some(now_ms + self.config.replication_timeout_ms);
        let sync_id = session.peer.sync_id.to_string();
        self.send(&["DFLY", "STARTSTABLE", &sync_id]);
    }

    /// After the answer to STARTSTABLE, and the tails of a full sync, the data set goes over.
    fn enter_if_complete(&mut self) {
        let Phase::Linked(session) = &mut self.phase else {
            return;
        };
        if session.stage != (Stage::StableRequested { accepted: true }) {
            return;
        }
        let full = !session.is_partial();
        let lsns = if full {
            session.all_tails()
        } else {
            self.resume.as_ref().map(|resume| resume.lsns.clone())
        };
        let Some(lsns) = lsns else { return };
        session.stage = Stage::Entering;
        (session.touched, session.calls) = (true, session.calls + 1);
        session.executed = Some(lsns.clone());
        // Until the data set has gone over, the end of the link leaves nothing to go on from.
        session.tainted = true;
        let upstream = session.peer.upstream.clone();
        self.outputs.push_back(LinkOutput::EnterStable {
            upstream,
            full,
            lsns,
        });
    }

    /// [`LinkOutput::BeginFullSync`] has been done.
    pub fn handle_full_sync_begun(&mut self, now_ms: u64, result: Result<(), DataError>) {
        let Phase::Linked(session) = &mut self.phase else {
            return;
        };
        session.calls -= 1;
        if session.stage == Stage::Discarding {
            session.stage = Stage::Loading;
            match result {
                Ok(()) => self.command_all(&FlowCommand::Load),
                Err(error) => self.fail(now_ms, error.into()),
            }
        }
        self.end_if_quiet(now_ms);
    }

    /// [`LinkOutput::EnterStable`] has been done.
    pub fn handle_stable_entered(&mut self, now_ms: u64, result: Result<(), DataError>) {
        let Phase::Linked(session) = &mut self.phase else {
            return;
        };
        session.calls -= 1;
        session.tainted = result.is_err();
        if result.is_ok() {
            self.guard.follows(&session.peer.upstream);
        }
        if session.stage == Stage::Entering {
            session.stage = Stage::Stable;
            match result {
                Ok(()) => {
                    let lsns = session.executed.clone().unwrap_or_default();
                    self.backoff.reset();
                    let commands = lsns.into_iter().enumerate();
                    self.outputs
                        .extend(commands.map(|(flow, lsn)| {
                            LinkOutput::Command(flow, FlowCommand::Stream(lsn))
                        }));
                }
                Err(error) => self.fail(now_ms, error.into()),
            }
        }
        self.end_if_quiet(now_ms);
    }

    fn meet(
        &mut self,
        now_ms: u64,
        flow: usize,
        part: TransactionPart,
        global: bool,
    ) -> Result<(), LinkError> {
        let Phase::Linked(session) = &mut self.phase else {
            return Ok(());
        };
        if let Some(meeting) = session.rendezvous.arrive(now_ms, flow, part, global)? {
            session.calls += 1;
            self.outputs.push_back(LinkOutput::Apply(meeting));
        }
        Ok(())
    }

    /// [`LinkOutput::Apply`] has been done; `nexts` has, for each part, its flow and [`next_lsn`](TransactionPart::next_lsn).
    pub fn handle_meeting_done(
        &mut self,
        now_ms: u64,
        txid: u64,
        nexts: &[(usize, Option<damselfly_journal::Lsn>)],
        result: Result<(), DataError>,
    ) {
        let Phase::Linked(session) = &mut self.phase else {
            return;
        };
        session.calls -= 1;
        match result {
            Ok(()) => {
                // All participants in one step, so that no resume falls between them.
                for (flow, next) in nexts {
                    if let Some(next) = next {
                        session.advance(*flow, *next);
                    }
                }
                for flow in session.rendezvous.finish(txid) {
                    self.outputs
                        .push_back(LinkOutput::Command(flow, FlowCommand::Release { txid }));
                }
            }
            Err(error) => {
                session.tainted = true;
                self.fail(now_ms, error.into());
            }
        }
        self.end_if_quiet(now_ms);
    }

    /// Reads nothing from the flows until [`resume_reading`](Self::resume_reading): for tests and operators (`DEBUG REPLICA PAUSE`).
    pub fn pause_reading(&mut self) {
        self.paused = true;
        self.command_all(&FlowCommand::Pause);
    }

    /// See [`pause_reading`](Self::pause_reading).
    pub fn resume_reading(&mut self) {
        self.paused = false;
        self.command_all(&FlowCommand::Resume);
    }

    /// Ends the link; [`LinkOutput::Stopped`] says when it is over, and [`resume`](Self::resume) is exact then.
    pub fn stop(&mut self, now_ms: u64) {
        match &mut self.phase {
            Phase::Linked(session) => match &mut session.stage {
                Stage::Draining { error } => *error = None,
                _ => self.drain(None),
            },
            Phase::Ending { error } => *error = None,
            Phase::Stopped => {}
            Phase::Connecting { .. }
            | Phase::Greet { .. }
            | Phase::Backoff { .. }
            | Phase::Failed => {
                self.outputs.push_back(LinkOutput::Disconnect);
                self.finish(now_ms, None);
            }
        }
        self.end_if_quiet(now_ms);
    }

    /// [`LinkOutput::LinkEnded`] has been done.
    pub fn handle_link_ended(&mut self, now_ms: u64) {
        if let Phase::Ending { error } = &mut self.phase {
            let error = error.take();
            self.finish(now_ms, error);
        }
    }

    fn fail(&mut self, now_ms: u64, error: LinkError) {
        match &self.phase {
            Phase::Linked(session) if matches!(session.stage, Stage::Draining { .. }) => {}
            Phase::Linked(_) => {
                self.drain(Some(error));
                self.end_if_quiet(now_ms);
            }
            Phase::Connecting { .. } | Phase::Greet { .. } => {
                self.outputs.push_back(LinkOutput::Disconnect);
                self.finish(now_ms, Some(error));
            }
            _ => {}
        }
    }

    fn drain(&mut self, error: Option<LinkError>) {
        self.outputs.push_back(LinkOutput::Disconnect);
        self.command_all(&FlowCommand::Stop);
        if let Phase::Linked(session) = &mut self.phase {
            session.stage = Stage::Draining { error };
            session.deadline_ms = None;
        }
    }

    /// When flows and calls have ended, the data set is told, if it had to do with the link.
    fn end_if_quiet(&mut self, now_ms: u64) {
        let Phase::Linked(session) = &mut self.phase else {
            return;
        };
        let Stage::Draining { error } = &mut session.stage else {
            return;
        };
        let error = error.take();
        if !session.is_quiet() {
            session.stage = Stage::Draining { error };
            return;
        }
        if !session.touched {
            return self.finish(now_ms, error);
        }
        let resume = session.resume();
        self.resume = resume.clone();
        self.phase = Phase::Ending { error };
        self.outputs
            .push_back(LinkOutput::LinkEnded(resume.map(|resume| resume.lsns)));
    }

    fn finish(&mut self, now_ms: u64, error: Option<LinkError>) {
        let Some(error) = error else {
            self.phase = Phase::Stopped;
            return self.outputs.push_back(LinkOutput::Stopped);
        };
        self.last_error = Some(error.clone());
        if error.is_terminal() {
            self.phase = Phase::Failed;
            return self.outputs.push_back(LinkOutput::Failed(error));
        }
        let delay_ms = self.backoff.next_ms();
        self.stats.reconnects += 1;
        self.phase = Phase::Backoff {
            until_ms: now_ms + delay_ms,
        };
        self.outputs
            .push_back(LinkOutput::RetryAfter { error, delay_ms });
    }

    fn connect(&mut self, now_ms: u64) {
        self.phase = Phase::Connecting {
            deadline_ms: now_ms + self.connect_limit_ms(),
        };
        self.outputs.push_back(LinkOutput::Connect);
    }

    fn connect_limit_ms(&self) -> u64 {
        if self.stats.reconnects == 0 {
            self.config.connect_timeout_ms
        } else {
            self.config.reconnect_timeout_ms
        }
    }

    fn send(&mut self, args: &[&str]) {
        let mut request = Vec::new();
        encode_strings(&mut request, args);
        self.outputs.push_back(LinkOutput::Send(request));
    }

    fn command_all(&mut self, command: &FlowCommand) {
        let Phase::Linked(session) = &self.phase else {
            return;
        };
        for (flow, running) in session.running.iter().enumerate() {
            if *running {
                self.outputs
                    .push_back(LinkOutput::Command(flow, command.clone()));
            }
        }
    }
}

impl Stage {
    fn waits_for(&self) -> &'static str {
        match self {
            Stage::OpenFlows => "DFLY FLOW",
            Stage::SyncRequested => "DFLY SYNC",
            Stage::StableRequested { .. } => "DFLY STARTSTABLE",
            _ => "the other parts of a transaction",
        }
    }
}
