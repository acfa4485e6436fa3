//! A shard's part in transactions that touch several shards.
//!
//! A transaction is *scheduled* on all its shards under one txid, *prepared* on
//! each when it stands at the head of that shard's queue, then *hops* over the
//! shards, and is *concluded*: its effects are journalled in one run, its locks
//! released. Every shard runs them strictly in ascending txid order, which makes
//! the journal order of PROTOCOL 4 and freedom from deadlock hold by construction:
//! whoever waits, waits for a lower txid.

use super::freeze::Freeze;
use super::{KeyLock, ShardCore, Step};
use crate::context::Effects;
use crate::waits::KeyId;
use damselfly_store::DbIndex;
use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Global id of a transaction, in the order of all that touch several shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TxId(pub u64);

/// How far a transaction has come, as its coordinator decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TxState {
    /// Nothing has been applied anywhere.
    Preparing = 0,
    /// It is being applied: it will be on all its shards.
    Committed = 1,
    /// It must not be applied under this id: the role changed first. It may come back with a new one.
    Revoked = 2,
}

/// Whether a shard takes a transaction into its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduled {
    /// It does.
    Accepted,
    /// A later one has already been ready here, or the role changed: it may come back with a new id.
    TooLate,
    /// It writes, and clients' writes are paused.
    Paused,
    /// It writes, and this is a replica.
    ReadOnly,
    /// It takes memory, and the shard has no more.
    OutOfMemory,
}

/// What the shards of a transaction share. The state moves once, before the first hop is sent.
#[derive(Debug)]
pub struct TxShared {
    /// Its id.
    pub id: TxId,
    state: AtomicU8,
}

impl TxShared {
    /// A transaction that has not been decided.
    pub fn new(id: TxId) -> TxShared {
        TxShared {
            id,
            state: AtomicU8::new(TxState::Preparing as u8),
        }
    }

    /// The coordinator's decision. `false`: it has been revoked.
    pub fn commit(&self) -> bool {
        self.decide(TxState::Committed)
    }

    /// Forbids it to be applied. `false`: it has been committed.
    pub fn revoke(&self) -> bool {
        self.decide(TxState::Revoked)
    }

    fn decide(&self, state: TxState) -> bool {
        let undecided = TxState::Preparing as u8;
        let decided = self.state.compare_exchange(
            undecided,
            state as u8,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        decided.is_ok() || decided == Err(state as u8)
    }

    /// Whether it has been committed.
    pub fn is_committed(&self) -> bool {
        self.state.load(Ordering::Acquire) == TxState::Committed as u8
    }

    /// Whether it has been revoked.
    pub fn is_revoked(&self) -> bool {
        self.state.load(Ordering::Acquire) == TxState::Revoked as u8
    }
}

/// What a transaction wants of one shard.
pub struct TxSpec {
    /// The transaction.
    pub shared: Arc<TxShared>,
    /// Its keys here.
    pub locks: Vec<KeyLock>,
    /// Whether it is on all keys.
    pub global: bool,
    /// Whether it writes here, and so is subject to the budget of the journal's consumers.
    pub writes: bool,
    /// Whether it may grow memory here, and so is subject to `maxmemory`: asked before anything is applied anywhere.
    pub grows: bool,
    /// Whether it replays what a primary did, and so may write on a replica.
    pub replays: bool,
}

impl TxSpec {
    /// Whether it is a client's write, and this is a replica.
    fn is_refused(&self, is_replica: bool) -> bool {
        self.writes && is_replica && !self.replays
    }
}

/// What a hop answers.
pub struct HopReply {
    /// The hop's own result.
    pub result: Box<dyn Any + Send>,
    /// Whether the transaction's part has effects to journal by now.
    pub has_effects: bool,
}

/// What a hop may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HopWrites {
    /// These keys, or none.
    Keys(Vec<(DbIndex, Vec<u8>)>),
    /// Whole databases: FLUSHALL and its like.
    Everything,
}

impl HopWrites {
    /// Nothing.
    pub const NOTHING: HopWrites = HopWrites::Keys(Vec::new());
}

/// The work of a hop.
pub type HopRun = Box<dyn FnOnce(&mut ShardCore, &mut Effects) -> Box<dyn Any + Send> + Send>;

/// One visit of a transaction to a shard.
pub struct Hop {
    /// What it may change: snapshots must have sent the big values there before.
    pub writes: HopWrites,
    /// What it does.
    pub run: HopRun,
    /// Takes the answer.
    pub reply: Box<dyn FnOnce(HopReply) + Send>,
}

/// A transaction as it stands in a shard's queue.
pub(super) struct ShardTransaction {
    spec: TxSpec,
    /// From the first hop on: a cut that made somebody need effects may have come between the scheduling and the hop.
    effects: Option<Effects>,
    ready: Option<Box<dyn FnOnce() + Send>>,
    hops: VecDeque<Hop>,
    /// Keys that it changed, and that somebody waits for: served when it is concluded.
    touched: Vec<KeyId>,
}

impl ShardCore {
    /// Puts a transaction into the queue.
    /// `ready` is called when its turn has come and nothing holds it back.
    pub fn schedule(&mut self, spec: TxSpec, ready: Box<dyn FnOnce() + Send>) -> Scheduled {
        let id = spec.shared.id;
        if spec.is_refused(self.is_replica) {
            return Scheduled::ReadOnly;
        }
        if spec.writes && !spec.replays && self.is_paused() {
            return Scheduled::Paused;
        }
        if spec.grows && !self.has_room() {
            return Scheduled::OutOfMemory;
        }
        if id <= self.last_ready {
            return Scheduled::TooLate;
        }
        self.locks.add(id, &spec.locks, spec.global);
        self.transactions.insert(
            id,
            ShardTransaction {
                spec,
                effects: None,
                ready: Some(ready),
                hops: VecDeque::new(),
                touched: Vec::new(),
            },
        );
        self.advance_transactions();
        Scheduled::Accepted
    }

    /// Takes what has been running on this shard alone into the queue, which is empty: it has begun, and goes on as a transaction.
    pub(super) fn adopt(&mut self, spec: TxSpec, effects: Effects) {
        let id = spec.shared.id;
        self.locks.add(id, &spec.locks, spec.global);
        self.last_ready = self.last_ready.max(id);
        let touched = self.space.waits.take_ready();
        self.transactions.insert(
            id,
            ShardTransaction {
                spec,
                effects: Some(effects),
                ready: None,
                hops: VecDeque::new(),
                touched,
            },
        );
    }

    /// Takes a transaction back of which nothing has been applied.
    pub fn cancel(&mut self, id: TxId) {
        self.leave_queue(id);
        self.advance_transactions();
        self.run_parked();
    }

    /// Visits the shard for a transaction; the visit runs when nothing holds it back.
    pub fn hop(&mut self, id: TxId, hop: Hop) {
        if let Some(tx) = self.transactions.get_mut(&id) {
            tx.hops.push_back(hop);
        }
        self.advance_transactions();
    }

    /// Ends the transaction here: its effects become one run of records, marked with the number of shards that have any.
    pub fn conclude(&mut self, id: TxId, shards: u16) {
        if let Some(tx) = self.leave_queue(id) {
            if let Some(effects) = tx.effects {
                self.journal_effects(effects, id.0, shards);
            }
            self.space.waits.add_ready(tx.touched);
            self.serve_ready(true);
        }
        self.after_conclusion(id);
        self.advance_transactions();
        self.run_parked();
    }

    /// Transactions that are in the queue.
    pub(super) fn queued(&self) -> Vec<Arc<TxShared>> {
        self.transactions
            .values()
            .map(|tx| tx.spec.shared.clone())
            .collect()
    }

    /// The queue, for people.
    pub(super) fn queue_lines(&self) -> impl Iterator<Item = String> {
        self.transactions.iter().map(|(id, tx)| {
            let shared = &tx.spec.shared;
            let state = match (shared.is_committed(), shared.is_revoked()) {
                (true, _) => "committed",
                (_, true) => "revoked",
                _ => "undecided",
            };
            let told = if tx.ready.is_none() { ", told" } else { "" };
            format!("{} {state}{told} with {} hops", id.0, tx.hops.len())
        })
    }

    fn leave_queue(&mut self, id: TxId) -> Option<ShardTransaction> {
        let tx = self.transactions.remove(&id)?;
        self.locks.remove(id, &tx.spec.locks);
        Some(tx)
    }

    /// Lets the head of the queue go on as far as it can. To be called when anything changed that it may wait for.
    pub fn advance_transactions(&mut self) {
        while self.advance_head() == Step::Done {}
    }

    /// One step of the head. `Parked`: there is nothing that it could do now.
    fn advance_head(&mut self) -> Step {
        let Some((&id, head)) = self.transactions.first_key_value() else {
            return Step::Parked;
        };
        if head.ready.is_some() {
            return self.prepare_head(id);
        }
        let Some(hop) = head.hops.front() else {
            return Step::Parked;
        };
        let held = !self.freeze.lets_pass(id)
            || match &hop.writes {
                HopWrites::Keys(keys) => keys.iter().any(|(db, key)| self.is_blocked(*db, key)),
                HopWrites::Everything => self
                    .space
                    .snapshots
                    .would_park_flush(&self.space.store, None),
            };
        if held {
            return Step::Parked;
        }
        self.run_hop(id);
        Step::Done
    }

    fn prepare_head(&mut self, id: TxId) -> Step {
        let (frozen, full) = (!matches!(self.freeze, Freeze::None), self.is_over_budget());
        let is_replica = self.is_replica;
        let head = self
            .transactions
            .get_mut(&id)
            .expect("the head was just looked up");
        if frozen || (full && head.spec.writes) {
            return Step::Parked;
        }
        if head.spec.is_refused(is_replica) {
            // It was scheduled while the role changed.
            head.spec.shared.revoke();
        }
        let ready = head.ready.take().expect("not yet told that it is ready");
        // From here on nothing gets in front of it: what its coordinator sees now, the watched keys above all, stays so.
        self.last_ready = self.last_ready.max(id);
        ready();
        Step::Done
    }

    fn run_hop(&mut self, id: TxId) {
        let wanted = self.journal.is_active();
        let tx = self
            .transactions
            .get_mut(&id)
            .expect("the head was just looked up");
        let hop = tx.hops.pop_front().expect("a hop was just seen");
        let mut effects = tx.effects.take().unwrap_or_else(|| Effects::new(wanted));
        let result = (hop.run)(self, &mut effects);
        let has_effects = effects.has_records();
        let touched = self.space.waits.take_ready();
        if let Some(tx) = self.transactions.get_mut(&id) {
            tx.effects = Some(effects);
            tx.touched.extend(touched);
        }
        (hop.reply)(HopReply {
            result,
            has_effects,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use damselfly_journal::{JournalOptions, Lsn};
    use std::sync::Mutex;

    fn spec(id: u64) -> TxSpec {
        let shared = Arc::new(TxShared::new(TxId(id)));
        TxSpec {
            shared,
            locks: Vec::new(),
            global: false,
            writes: true,
            grows: false,
            replays: false,
        }
    }

    fn set_a() -> Hop {
        let run: HopRun = Box::new(|_, effects| {
            effects.push(DbIndex(0), &[b"SET", b"a", b"1"]);
            Box::new(())
        });
        Hop {
            writes: HopWrites::NOTHING,
            run,
            reply: Box::new(|reply| assert!(reply.has_effects)),
        }
    }

    fn core() -> ShardCore {
        ShardCore::new(0, 1, 1, JournalOptions::default())
    }

    fn note(
        notes: &Arc<Mutex<Vec<&'static str>>>,
        what: &'static str,
    ) -> impl FnOnce() + Send + 'static {
        let notes = notes.clone();
        move || notes.lock().unwrap().push(what)
    }

    fn noting_hop(notes: &Arc<Mutex<Vec<&'static str>>>, what: &'static str) -> Hop {
        let note = note(notes, what);
        let run: HopRun = Box::new(|_, _| {
            note();
            Box::new(())
        });
        Hop {
            writes: HopWrites::NOTHING,
            run,
            reply: Box::new(drop),
        }
    }

    /// What is ready on all its shards has its place there: whatever its coordinator has seen of watched keys stays so, and a cut
    /// that waits for it waits for nothing else.
    #[test]
    fn nothing_gets_in_front_of_one_that_is_ready() {
        let (mut core, notes) = (core(), Arc::default());
        let (later, earlier) = (spec(5), spec(4));
        assert_eq!(core.schedule(spec(6), Box::new(|| ())), Scheduled::Accepted);
        assert_eq!(core.schedule(later, Box::new(|| ())), Scheduled::TooLate);
        core.cancel(TxId(6));
        assert_eq!(core.schedule(earlier, Box::new(|| ())), Scheduled::TooLate);
        let ready = Box::new(note(&notes, "7 ready"));
        assert_eq!(core.schedule(spec(7), ready), Scheduled::Accepted);
        assert_eq!(*notes.lock().unwrap(), ["7 ready"]);
    }

    #[test]
    fn one_that_is_not_ready_gives_way_to_a_lower_one() {
        let (mut core, notes) = (core(), Arc::default());
        core.freeze();
        core.schedule(spec(5), Box::new(note(&notes, "5 ready")));
        core.schedule(spec(4), Box::new(note(&notes, "4 ready")));
        core.cut(&[], Box::new(|| ()));
        core.take_cut().expect("nothing to wait for")();
        core.thaw();
        assert_eq!(*notes.lock().unwrap(), ["4 ready"]);
        core.conclude(TxId(4), 0);
        assert_eq!(*notes.lock().unwrap(), ["4 ready", "5 ready"]);
    }

    #[test]
    fn a_cut_waits_for_the_end_of_what_is_committed() {
        let (mut core, notes) = (core(), Arc::default());
        let committed = spec(5);
        let shared = committed.shared.clone();
        core.schedule(committed, Box::new(|| ()));
        core.schedule(spec(6), Box::new(note(&notes, "6 ready")));
        assert!(shared.commit());
        let queued = core.freeze();
        assert_eq!(queued.len(), 2);
        core.cut(&[TxId(5)], Box::new(note(&notes, "cut")));
        assert!(core.take_cut().is_none());
        core.hop(TxId(5), noting_hop(&notes, "5 runs"));
        core.conclude(TxId(5), 1);
        core.take_cut().expect("nothing is left to wait for")();
        core.thaw();
        assert_eq!(*notes.lock().unwrap(), ["5 runs", "cut", "6 ready"]);
    }

    #[test]
    fn a_write_that_was_scheduled_while_the_server_became_a_replica_is_revoked() {
        let (mut core, notes) = (core(), Arc::default());
        core.freeze();
        let write = spec(4);
        let shared = write.shared.clone();
        assert_eq!(
            core.schedule(write, Box::new(note(&notes, "4 told"))),
            Scheduled::Accepted
        );
        core.cut(&[], Box::new(|| ()));
        core.take_cut().expect("nothing to wait for")();
        core.is_replica = true;
        core.thaw();
        assert_eq!(*notes.lock().unwrap(), ["4 told"]);
        assert!(!shared.commit());
    }

    #[test]
    fn what_another_shard_revokes_is_told_here_too() {
        use std::sync::atomic::AtomicBool;
        let shared = Arc::new(TxShared::new(TxId(1)));
        let told = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let mut cores = [0, 1].map(|id| ShardCore::new(id, 1, 1, JournalOptions::default()));
        for (core, told) in cores.iter_mut().zip(&told) {
            let (spec, told) = (
                TxSpec {
                    shared: shared.clone(),
                    ..spec(1)
                },
                told.clone(),
            );
            core.freeze();
            let ready = Box::new(move || told.store(true, Ordering::Relaxed));
            assert_eq!(core.schedule(spec, ready), Scheduled::Accepted);
        }
        for core in &mut cores {
            // The role changes at a cut; the first shard that looks revokes the write.
            core.cut(&[], Box::new(|| {}));
            core.take_cut().expect("nothing holds the cut up")();
            core.is_replica = true;
            core.thaw();
        }
        assert!(shared.is_revoked());
        assert!(told.iter().all(|told| told.load(Ordering::Relaxed)));
    }

    #[test]
    fn effects_are_recorded_if_somebody_needs_them_when_they_happen() {
        let mut core = ShardCore::new(0, 1, 1, JournalOptions::default());
        assert_eq!(core.schedule(spec(1), Box::new(|| ())), Scheduled::Accepted);
        // The cut of a first replica comes after the scheduling.
        core.journal.keep_backlog(true);
        core.hop(TxId(1), set_a());
        core.conclude(TxId(1), 1);
        let records = core.journal.read_from(Lsn::FIRST).map(Iterator::count);
        assert_eq!((core.journal.next_lsn(), records), (Lsn(2), Some(1)));
    }
}
