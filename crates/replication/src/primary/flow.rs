//! One flow as its primary sees it: what is to be sent, what was accepted, what was acked.

use std::{collections::VecDeque, rc::Rc};

use damselfly_journal::{Journal, Lsn, PinId, RecordWriter, Run, StreamLevel};
use damselfly_snapshot::{
    RdbWriter, put_cut, put_journal_offset, put_len, put_raw_string, wire::opcode,
};

use super::{
    acks::AckReader,
    stall::{SiblingFlow, Stall},
    trail::{Behind, Trail},
};
use crate::{config::PrimaryConfig, ids::EofToken};

/// Bytes that one [`poll_transmit`](PrimaryFlow::poll_transmit) gives at most, give or take one run or item.
const TRANSMIT_BYTES: usize = 128 << 10;
/// Bytes of records after which it is the turn of a snapshot that waits for room; it writes about half as many.
const RECORDS_TURN: usize = 64 << 10;

/// Why a flow, and with it the whole link, ends on the primary's side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlowEnd {
    /// No byte was accepted for too long.
    #[error("the replica accepted nothing for {limit_ms} ms, {unsent} bytes wait")]
    Stuck {
        /// The limit.
        limit_ms: u64,
        /// What waits.
        unsent: usize,
    },
    /// No ack for too long.
    #[error("the replica acked nothing for {limit_ms} ms")]
    NoAck {
        /// The limit.
        limit_ms: u64,
    },
    /// The replica sent something that is no ack, or acked what was never sent.
    #[error("the replica sent {got}, expected REPLCONF ACK with an LSN of at most {next}")]
    BadAck {
        /// What came.
        got: String,
        /// The next LSN.
        next: Lsn,
    },
    /// The backlog went on while the replica was still catching up.
    #[error("the backlog does not reach back to LSN {wanted} any more")]
    BacklogLost {
        /// What is needed.
        wanted: Lsn,
    },
    /// The connection closed or failed.
    #[error("the connection closed: {why}")]
    Closed {
        /// What the system said.
        why: String,
    },
    /// The session ended for another reason.
    #[error("the session ended: {why}")]
    Session {
        /// Which.
        why: String,
    },
    /// The data set failed.
    #[error("the data set: {why}")]
    Data {
        /// What it said.
        why: String,
    },
}

/// What a flow is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlowStage {
    /// `DFLY FLOW` was answered.
    Preparation,
    /// The snapshot and what changes beside it.
    FullSync,
    /// Records out of the backlog, until the live ones are reached.
    CatchUp,
    /// Records as they happen.
    Stable,
}

/// The sans-IO machine of one flow. Calls by the data set: `begin_full_sync`, `write_snapshot`, `finish_snapshot`,
/// `on_run`, `enter_stable`, `catch_up`. Calls by the driver: `poll_transmit` until it gives nothing, then wait for
/// `deadline`, a wake-up, or the socket; `handle_sent`, `handle_bytes`, `handle_timeout`.
#[derive(Debug)]
pub struct PrimaryFlow {
    config: PrimaryConfig,
    level: StreamLevel,
    token: EofToken,
    phase: Phase,
    /// Bytes in their final form, waiting to be taken.
    ready: Vec<u8>,
    /// Bytes taken by the driver, and not accepted by the socket yet.
    in_flight: usize,
    stall: Stall,
    /// When the socket accepted bytes last.
    accepted_ms: u64,
    acks: AckReader,
    full_sync_bytes: u64,
    stream_bytes: u64,
}

#[derive(Debug)]
enum Phase {
    Preparation,
    FullSync(Box<FullSync>),
    Stable(Box<Stable>),
}

#[derive(Debug)]
struct FullSync {
    rdb: RdbWriter,
    blobs: RecordWriter,
    scratch: Vec<u8>,
    cut_sent: bool,
    /// Bytes of records since the snapshot wrote last.
    beside: usize,
}

#[derive(Debug)]
struct Stable {
    records: RecordWriter,
    runs: VecDeque<Rc<Run>>,
    run_bytes: usize,
    /// When the first of `runs` was seen.
    oldest_ms: Option<u64>,
    /// Whether some run of them asks for an ack.
    urgent: bool,
    /// The LSN after the last run taken in.
    next_lsn: Lsn,
    acked: Lsn,
    acked_ms: u64,
    trail: Trail,
    /// Bytes of the full sync that the socket has not accepted yet: before them no ack can come.
    tail_left: usize,
    /// Whether the replica is known to be able to ack: it did, or has all that comes before.
    acks_due: bool,
    last_record_ms: u64,
    /// Still reading the backlog, held by this pin.
    catch_up: Option<PinId>,
    /// A peer of level 0 may resume within a run.
    skip_to: Lsn,
}

impl PrimaryFlow {
    /// A flow whose `DFLY FLOW` is to be answered with `FULL` or `PARTIAL` and the token.
    pub fn new(
        now_ms: u64,
        config: PrimaryConfig,
        level: StreamLevel,
        token: EofToken,
        partial: bool,
    ) -> PrimaryFlow {
        let mut ready = Vec::with_capacity(64);
        ready.extend_from_slice(if partial {
            b"*2\r\n+PARTIAL\r\n+"
        } else {
            b"*2\r\n+FULL\r\n+"
        });
        ready.extend_from_slice(token.as_bytes());
        ready.extend_from_slice(b"\r\n");
        let mut stall = Stall::default();
        stall.begin(now_ms, config.replication_timeout_ms);
        PrimaryFlow {
            config,
            level,
            token,
            phase: Phase::Preparation,
            ready,
            in_flight: 0,
            stall,
            accepted_ms: now_ms,
            acks: AckReader::default(),
            full_sync_bytes: 0,
            stream_bytes: 0,
        }
    }

    /// The extension level of the peer.
    pub fn level(&self) -> StreamLevel {
        self.level
    }

    /// What it is doing.
    pub fn stage(&self) -> FlowStage {
        match &self.phase {
            Phase::Preparation => FlowStage::Preparation,
            Phase::FullSync(_) => FlowStage::FullSync,
            Phase::Stable(stable) if stable.catch_up.is_some() => FlowStage::CatchUp,
            Phase::Stable(_) => FlowStage::Stable,
        }
    }

    /// Bytes that were written here and that the socket has not accepted yet.
    pub fn unsent(&self) -> usize {
        let pending = match &self.phase {
            Phase::Preparation => 0,
            Phase::FullSync(full) => full.rdb.pending(),
            Phase::Stable(stable) => stable.run_bytes,
        };
        self.in_flight + self.ready.len() + pending
    }

    /// Whether writes to the shard have to wait: too much is unsent, or records alone fill a slow link, and it is the snapshot's turn,
    /// which would never end otherwise.
    pub fn is_over_budget(&self) -> bool {
        let turn = self.config.output_limit.min(RECORDS_TURN);
        let snapshot_waits =
            matches!(&self.phase, Phase::FullSync(full) if !full.cut_sent && full.beside > turn);
        snapshot_waits || self.unsent() > self.config.output_limit
    }

    /// Whether the snapshot, or the backlog, may add more. Stays well below the budget, so that a snapshot alone
    /// never makes writers wait.
    pub fn has_room(&self) -> bool {
        self.unsent() < self.config.output_limit.min(2 * TRANSMIT_BYTES)
    }

    /// The next LSN that the replica wants, as it says; `None` before stable sync.
    pub fn acked(&self) -> Option<Lsn> {
        self.stable().map(|stable| stable.acked)
    }

    /// Records that were not acked yet, as far as this flow has seen them.
    pub fn lag(&self) -> u64 {
        self.stable()
            .map_or(0, |stable| stable.next_lsn.since(stable.acked))
    }

    /// The bytes and the age of what was not acked yet. Exact to the last [`note_time`](Self::note_time).
    pub fn behind(&self) -> Behind {
        self.stable()
            .map_or_else(Behind::default, |stable| stable.trail.behind())
    }

    /// Says what time it is, for the age of what was written since it was said last.
    pub fn note_time(&mut self, now_ms: u64) {
        if let Phase::Stable(stable) = &mut self.phase {
            stable.trail.mark(stable.next_lsn, now_ms);
        }
    }

    /// Bytes accepted so far: of the full sync, and of records after it.
    pub fn sent_bytes(&self) -> (u64, u64) {
        (self.full_sync_bytes, self.stream_bytes)
    }

    /// What the other flows of the link are told of this one.
    pub fn as_sibling(&self) -> SiblingFlow {
        SiblingFlow {
            tail_sent: self.is_tail_sent(),
            accepted: self.full_sync_bytes + self.stream_bytes,
            unsent: self.unsent() as u64,
            accepted_ms: self.accepted_ms,
        }
    }

    /// Whether the socket has accepted all of a full sync. A replica acks nothing before it has the tails of all flows.
    pub fn is_tail_sent(&self) -> bool {
        self.stable().is_some_and(|stable| stable.tail_left == 0)
    }

    /// When the last ack came; `None` before stable sync.
    pub fn acked_ms(&self) -> Option<u64> {
        self.stable().map(|stable| stable.acked_ms)
    }

    /// The cut is now: begins the stream. `aux` are the fields of the header.
    pub fn begin_full_sync(&mut self, aux: &[(&[u8], &[u8])]) {
        let mut rdb = RdbWriter::new();
        rdb.header(aux);
        let blobs = RecordWriter::blobs(self.level);
        self.phase = Phase::FullSync(Box::new(FullSync {
            rdb,
            blobs,
            scratch: Vec::new(),
            cut_sent: false,
            beside: 0,
        }));
    }

    /// Lends the writer of the full-sync stream, for baseline entries; `None` outside of a full sync before its cut
    /// was sent, where nothing may be written.
    pub fn write_snapshot<R>(&mut self, write: impl FnOnce(&mut RdbWriter) -> R) -> Option<R> {
        match &mut self.phase {
            Phase::FullSync(full) if !full.cut_sent => {
                full.beside = 0;
                Some(write(&mut full.rdb))
            }
            _ => None,
        }
    }

    /// Everything that stood at the cut has been written.
    pub fn finish_snapshot(&mut self) {
        if let Phase::FullSync(full) = &mut self.phase {
            put_cut(full.rdb.buffer());
            full.cut_sent = true;
        }
    }

    /// Takes a run as it is written to the journal.
    pub fn on_run(&mut self, run: &Rc<Run>) {
        match &mut self.phase {
            Phase::Preparation => {}
            Phase::FullSync(full) => full.on_run(run),
            Phase::Stable(stable) => stable.on_run(run),
        }
    }

    /// Stable sync begins here, in the global transaction of STARTSTABLE. After a full sync writes its tail; `next` is the
    /// journal's next LSN.
    pub fn enter_stable(&mut self, now_ms: u64, next: Lsn) {
        if let Phase::FullSync(full) = &mut self.phase {
            put_journal_offset(full.rdb.buffer(), next.0);
            full.rdb.end();
            full.rdb.token(self.token.as_bytes());
            full.rdb.take_into(&mut self.ready);
        }
        let tail_left = self.in_flight + self.ready.len();
        let stable = Stable::new(now_ms, self.level, next, None);
        self.phase = Phase::Stable(Box::new(Stable {
            tail_left,
            acks_due: false,
            ..stable
        }));
    }

    /// Stable sync begins here, after PARTIAL: at `from`, which `pin` holds in the backlog.
    pub fn resume_stable(&mut self, now_ms: u64, from: Lsn, pin: PinId) {
        self.phase = Phase::Stable(Box::new(Stable::new(now_ms, self.level, from, Some(pin))));
    }

    /// Takes runs out of the backlog while there is room; `Ok(true)` when the live records are reached.
    ///
    /// # Errors
    /// [`FlowEnd::BacklogLost`]
    pub fn catch_up(&mut self, journal: &mut Journal) -> Result<bool, FlowEnd> {
        let limit = self.config.output_limit.min(2 * TRANSMIT_BYTES);
        let before = self.in_flight + self.ready.len();
        let Phase::Stable(stable) = &mut self.phase else {
            return Ok(true);
        };
        let Some(pin) = stable.catch_up else {
            return Ok(true);
        };
        let runs = journal
            .read_from(stable.next_lsn)
            .filter(|_| journal.is_pinned(pin));
        let runs = runs.ok_or(FlowEnd::BacklogLost {
            wanted: stable.next_lsn,
        })?;
        for run in runs {
            if before + stable.run_bytes >= limit {
                break;
            }
            stable.take(run);
        }
        if stable.next_lsn == journal.next_lsn() {
            journal.unpin(pin);
            stable.catch_up = None;
            return Ok(true);
        }
        let moved = journal.pin(stable.next_lsn).ok_or(FlowEnd::BacklogLost {
            wanted: stable.next_lsn,
        })?;
        journal.unpin(pin);
        stable.catch_up = Some(moved);
        Ok(false)
    }

    /// The pin that is to be released when the flow ends.
    pub fn pin(&self) -> Option<PinId> {
        self.stable().and_then(|stable| stable.catch_up)
    }

    /// Appends what may go out now to `into`; `false` if there is nothing, or it is still being gathered.
    pub fn poll_transmit(&mut self, now_ms: u64, into: &mut Vec<u8>) -> bool {
        if self.unsent() > 0 {
            self.stall.begin(now_ms, self.config.replication_timeout_ms);
        }
        let before = into.len();
        into.append(&mut self.ready);
        match &mut self.phase {
            Phase::Preparation => {}
            Phase::FullSync(full) => full.rdb.take_into(into),
            Phase::Stable(stable) => stable.write(now_ms, &self.config, into),
        }
        self.in_flight += into.len() - before;
        if self.in_flight > 0 {
            self.stall.begin(now_ms, self.config.replication_timeout_ms);
        }
        into.len() > before
    }

    /// The socket has accepted `bytes` more.
    pub fn handle_sent(&mut self, now_ms: u64, bytes: usize) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        let limit_ms = self.config.replication_timeout_ms;
        self.stall.moved(now_ms, limit_ms, self.unsent() > 0);
        self.accepted_ms = now_ms;
        match self.phase {
            Phase::Stable(ref mut stable) => {
                self.stream_bytes += bytes as u64;
                stable.tail_left = stable.tail_left.saturating_sub(bytes);
            }
            _ => self.full_sync_bytes += bytes as u64,
        }
    }

    /// What the replica sent: acks. `Ok(true)` when an ack went forward.
    ///
    /// # Errors
    /// [`FlowEnd::BadAck`]
    pub fn handle_bytes(&mut self, now_ms: u64, bytes: &[u8]) -> Result<bool, FlowEnd> {
        let Phase::Stable(stable) = &mut self.phase else {
            return match bytes {
                [] => Ok(false),
                _ => Err(FlowEnd::BadAck {
                    got: bytes
                        .escape_ascii()
                        .take(64)
                        .collect::<Vec<_>>()
                        .escape_ascii()
                        .to_string(),
                    next: Lsn(0),
                }),
            };
        };
        let last = self.acks.feed(bytes).map_err(|got| FlowEnd::BadAck {
            got,
            next: stable.next_lsn,
        })?;
        let Some(acked) = last else { return Ok(false) };
        if acked > stable.next_lsn {
            return Err(FlowEnd::BadAck {
                got: format!("REPLCONF ACK {acked}"),
                next: stable.next_lsn,
            });
        }
        (stable.acks_due, stable.acked_ms) = (true, now_ms);
        let forward = acked > stable.acked;
        stable.acked = stable.acked.max(acked);
        stable.trail.mark(stable.next_lsn, now_ms);
        stable.trail.acked(stable.acked);
        Ok(forward)
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, or `poll_transmit` will have something.
    pub fn deadline(&self) -> Option<u64> {
        let stuck = self.stall.deadline();
        let Some(stable) = self.stable() else {
            return stuck;
        };
        // What is in flight comes first; its end is an event of its own.
        let idle = self.in_flight == 0 && stable.catch_up.is_none();
        let gather = stable
            .oldest_ms
            .map(|oldest| oldest + self.config.gather_ms)
            .filter(|_| self.in_flight == 0);
        let keepalive = Some(stable.last_record_ms + self.config.keepalive_ms)
            .filter(|_| idle && stable.runs.is_empty());
        let acks = Some(stable.acked_ms + self.config.replication_timeout_ms);
        [stuck, gather, keepalive, acks].into_iter().flatten().min()
    }

    /// Looks at the limits in time. `siblings` are the other flows of the link, always in the same order: while they have something to
    /// send, the replica may have reasons to read nothing here, and to ack nothing.
    ///
    /// # Errors
    /// [`FlowEnd::Stuck`], [`FlowEnd::NoAck`]
    pub fn handle_timeout(&mut self, now_ms: u64, siblings: &[SiblingFlow]) -> Result<(), FlowEnd> {
        let limit_ms = self.config.replication_timeout_ms;
        if self.stall.is_stuck(now_ms, limit_ms, siblings) {
            return Err(FlowEnd::Stuck {
                limit_ms,
                unsent: self.unsent(),
            });
        }
        if let Phase::Stable(stable) = &mut self.phase
            && now_ms >= stable.acked_ms + limit_ms
        {
            if stable.acks_due {
                return Err(FlowEnd::NoAck { limit_ms });
            }
            // The limit holds from here on, if the replica could have acked at all.
            let tails_sent = stable.tail_left == 0 && siblings.iter().all(|flow| flow.tail_sent);
            (stable.acks_due, stable.acked_ms) = (tails_sent, now_ms);
        }
        Ok(())
    }

    fn stable(&self) -> Option<&Stable> {
        match &self.phase {
            Phase::Stable(stable) => Some(stable),
            _ => None,
        }
    }
}

impl FullSync {
    /// A change goes out right behind the baseline of what it changed: they share one buffer.
    fn on_run(&mut self, run: &Rc<Run>) {
        self.scratch.clear();
        self.blobs.run(&mut self.scratch, run);
        self.beside += self.scratch.len();
        let out = self.rdb.buffer();
        out.push(opcode::JOURNAL_BLOB);
        put_len(out, run.len() as u64);
        put_raw_string(out, &self.scratch);
        self.scratch.shrink_to(TRANSMIT_BYTES);
    }
}

impl Stable {
    fn new(now_ms: u64, level: StreamLevel, next: Lsn, catch_up: Option<PinId>) -> Stable {
        Stable {
            records: RecordWriter::stable(level),
            runs: VecDeque::new(),
            run_bytes: 0,
            oldest_ms: None,
            urgent: false,
            next_lsn: next,
            acked: next,
            acked_ms: now_ms,
            trail: Trail::default(),
            tail_left: 0,
            acks_due: true,
            last_record_ms: now_ms,
            catch_up,
            skip_to: next,
        }
    }

    fn on_run(&mut self, run: &Rc<Run>) {
        // What is written while the backlog is still read comes out of the backlog, too.
        if self.catch_up.is_none() {
            self.take(run);
        }
    }

    fn take(&mut self, run: &Rc<Run>) {
        self.run_bytes += run.payload_bytes();
        self.trail.take(run.payload_bytes());
        self.next_lsn = run.next_lsn();
        self.urgent |= run.entries().any(|entry| entry.is_ping());
        self.runs.push_back(run.clone());
    }

    fn write(&mut self, now_ms: u64, config: &PrimaryConfig, into: &mut Vec<u8>) {
        if self.runs.is_empty() {
            if now_ms >= self.last_record_ms + config.keepalive_ms && self.catch_up.is_none() {
                self.last_record_ms = now_ms;
                self.records.lsn(into, Lsn(self.next_lsn.0 - 1));
                self.records.end_write(into);
            }
            return;
        }
        let oldest = *self.oldest_ms.get_or_insert(now_ms);
        if self.urgent
            || self.run_bytes >= config.gather_bytes
            || now_ms >= oldest + config.gather_ms
        {
            self.gather(now_ms, into);
        }
    }

    fn gather(&mut self, now_ms: u64, into: &mut Vec<u8>) {
        let start = into.len();
        while into.len() - start < TRANSMIT_BYTES {
            let Some(run) = self.runs.pop_front() else {
                break;
            };
            self.run_bytes -= run.payload_bytes();
            self.records
                .run_from(into, &run, self.skip_to.max(run.first_lsn()));
        }
        self.records.end_write(into);
        self.last_record_ms = now_ms;
        if self.runs.is_empty() {
            (self.oldest_ms, self.urgent) = (None, false);
        }
    }
}
