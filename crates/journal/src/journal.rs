//! The journal of one shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, rc::Rc};

use crate::{
    backlog::{Backlog, PinId, ReadFrom},
    error::JournalError,
    lsn::Lsn,
    run::{Run, RunBuilder},
};

/// Bounds of a shard's backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// Memory of the runs kept, in bytes: this shard's part of `shard_repl_backlog_max_bytes`.
    pub backlog_max_bytes: usize,
    /// How long runs are kept, in milliseconds; `None`: as long as the bytes allow.
    pub backlog_max_ms: Option<u64>,
    /// Memory up to which pinned runs are kept beyond `backlog_max_bytes`. A pin that holds more is lost.
    pub pinned_max_bytes: usize,
}

impl Default for JournalOptions {
    /// 64 MiB, as long as the bytes allow, 128 MiB while pinned.
    fn default() -> JournalOptions {
        JournalOptions {
            backlog_max_bytes: 64 << 20,
            backlog_max_ms: None,
            pinned_max_bytes: 128 << 20,
        }
    }
}

/// Somebody who gets every run of a shard as it is written: a replica's flow in full or stable sync.
pub trait Consumer {
    /// Takes a run. Called within the write; must not block.
    fn on_run(&mut self, run: &Rc<Run>);

    /// Whether writes to the shard have to wait until this consumer has sent some of what it holds.
    fn is_over_budget(&self) -> bool {
        false
    }
}

/// Names a consumer of one journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(u64);

/// Numbers the records of one shard, keeps the last of them, and hands them on.
///
/// Times are milliseconds of any clock that does not go back; it is asked nothing, it is told.
///
/// It costs nothing until somebody needs it: ask [`is_active`](Self::is_active) before encoding anything, and call
/// [`skip`](Self::skip) for a change that was not recorded, so that no old LSN is mistaken for a current one.
pub struct Journal {
    options: JournalOptions,
    next_lsn: Lsn,
    keeps_backlog: bool,
    backlog: Backlog,
    consumers: Vec<(ConsumerId, Box<dyn Consumer>)>,
    next_consumer: u64,
    active: Arc<AtomicBool>,
}

impl Journal {
    /// An inactive journal at LSN 1.
    pub fn new(options: JournalOptions) -> Journal {
        Journal {
            options,
            next_lsn: Lsn::FIRST,
            keeps_backlog: false,
            backlog: Backlog::default(),
            consumers: Vec::new(),
            next_consumer: 0,
            active: Arc::default(),
        }
    }

    /// The LSN that the next record will have.
    pub fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// Whether anybody needs records: a consumer, or a backlog that is to be kept.
    pub fn is_active(&self) -> bool {
        self.keeps_backlog || !self.consumers.is_empty()
    }

    /// Whether a backlog is kept even while there is no consumer. `false` drops what is there.
    pub fn keep_backlog(&mut self, keep: bool) {
        self.keeps_backlog = keep;
        self.note_active();
        if !keep {
            self.backlog.clear();
        }
    }

    /// From now on `flag` says whether the journal [is active](Self::is_active), for those who can't ask it.
    pub fn tell_active(&mut self, flag: Arc<AtomicBool>) {
        self.active = flag;
        self.note_active();
    }

    fn note_active(&self) {
        self.active.store(self.is_active(), Ordering::Release);
    }

    /// Whether runs are kept for replicas that come back, see [`keep_backlog`](Self::keep_backlog).
    pub fn keeps_backlog(&self) -> bool {
        self.keeps_backlog
    }

    /// Changes the bounds; they take effect at the next append or [`trim`](Self::trim).
    pub fn set_options(&mut self, options: JournalOptions) {
        self.options = options;
    }

    /// Numbers the builder's records, keeps them, and hands them to every consumer. The builder is empty afterwards.
    ///
    /// # Panics
    /// When the builder is empty: there is no record without a change.
    pub fn append(&mut self, run: &mut RunBuilder, now_ms: u64) -> Rc<Run> {
        let run = Rc::new(run.take(self.next_lsn));
        self.next_lsn = run.next_lsn();
        for (_, consumer) in &mut self.consumers {
            consumer.on_run(&run);
        }
        if self.keeps_backlog {
            self.backlog.push(run.clone(), now_ms);
            self.trim(now_ms);
        }
        run
    }

    /// [`append`](Self::append) for a replica's relay: records received from its primary, under the LSNs that they have there.
    ///
    /// # Errors
    /// [`JournalError::LsnGap`] if `first_lsn` is not the next one here; nothing is appended then.
    pub fn append_relayed(
        &mut self,
        run: &mut RunBuilder,
        first_lsn: Lsn,
        now_ms: u64,
    ) -> Result<Rc<Run>, JournalError> {
        if first_lsn != self.next_lsn {
            return Err(JournalError::LsnGap {
                expected: self.next_lsn,
                got: first_lsn,
            });
        }
        Ok(self.append(run, now_ms))
    }

    /// Appends a PING, which asks every replica for an ack.
    pub fn ping(&mut self, now_ms: u64) -> Rc<Run> {
        self.append(RunBuilder::new(0, 1).ping(), now_ms)
    }

    /// Notes `count` changes that nobody needed recorded: their LSNs are used up, and nothing before can be resumed.
    pub fn skip(&mut self, count: u64) {
        self.backlog.clear();
        self.next_lsn = self.next_lsn.plus(count);
    }

    /// Drops what the bounds no longer allow. Appending does it too; call it now and then when a time bound is set.
    pub fn trim(&mut self, now_ms: u64) {
        let JournalOptions {
            backlog_max_bytes,
            backlog_max_ms,
            pinned_max_bytes,
        } = self.options;
        let since = backlog_max_ms.map(|ms| now_ms.saturating_sub(ms));
        self.backlog.trim(
            backlog_max_bytes,
            pinned_max_bytes.max(backlog_max_bytes),
            since,
        );
    }

    /// Whether a reader may go on at `lsn`: it is the next one, or still in the backlog.
    pub fn contains(&self, lsn: Lsn) -> bool {
        self.read_from(lsn).is_some()
    }

    /// Whether `lsn` is the border of a transaction's part that a reader may go on at. Peers of level 1 resume only there.
    pub fn contains_border(&self, lsn: Lsn) -> bool {
        lsn == self.next_lsn || self.backlog.begins_run(lsn)
    }

    /// The runs from the one on that holds `lsn`; none of them when `lsn` is the next one. `None` when it
    /// is [not contained](Self::contains). Inside a run, write the first with [`RecordWriter::run_from`](crate::RecordWriter::run_from).
    pub fn read_from(&self, lsn: Lsn) -> Option<ReadFrom<'_>> {
        if lsn == self.next_lsn {
            Some(self.backlog.read_nothing())
        } else {
            self.backlog.read_from(lsn)
        }
    }

    /// The oldest LSN that can be resumed at.
    pub fn first_lsn(&self) -> Lsn {
        self.backlog.first_lsn().unwrap_or(self.next_lsn)
    }

    /// Memory of the backlog, in bytes.
    pub fn backlog_bytes(&self) -> usize {
        self.backlog.bytes()
    }

    /// Holds everything from `lsn` on until [`unpin`](Self::unpin), up to [`JournalOptions::pinned_max_bytes`].
    /// `None` when `lsn` is not contained, or no backlog is kept.
    pub fn pin(&mut self, lsn: Lsn) -> Option<PinId> {
        (self.keeps_backlog && self.contains(lsn)).then(|| self.backlog.pin(lsn))
    }

    /// Whether the pin still holds what it was set on.
    pub fn is_pinned(&self, id: PinId) -> bool {
        self.backlog.holds(id)
    }

    /// Releases a pin; `false` if it had been lost. What it alone held goes at the next append.
    pub fn unpin(&mut self, id: PinId) -> bool {
        self.backlog.unpin(id)
    }

    /// Adds a consumer, which gets every run from [`next_lsn`](Self::next_lsn) on.
    pub fn add_consumer(&mut self, consumer: Box<dyn Consumer>) -> ConsumerId {
        let id = ConsumerId(self.next_consumer);
        self.next_consumer += 1;
        self.consumers.push((id, consumer));
        self.note_active();
        id
    }

    /// Removes a consumer and gives it back.
    pub fn remove_consumer(&mut self, id: ConsumerId) -> Option<Box<dyn Consumer>> {
        let at = self.consumers.iter().position(|(other, _)| *other == id)?;
        let (_, consumer) = self.consumers.remove(at);
        self.note_active();
        Some(consumer)
    }

    /// How many consumers there are.
    pub fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// Whether some consumer wants writes to wait.
    pub fn is_over_budget(&self) -> bool {
        self.consumers
            .iter()
            .any(|(_, consumer)| consumer.is_over_budget())
    }

    /// Drops the backlog and its pins; LSNs go on.
    pub fn clear(&mut self) {
        self.backlog.clear();
    }

    /// Drops the backlog and its pins, and goes on at `lsn`: a full sync's journal offset, or 1 for a new data set.
    pub fn start_at(&mut self, lsn: Lsn) {
        self.backlog.clear();
        self.next_lsn = lsn;
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("next_lsn", &self.next_lsn)
            .field("first_lsn", &self.first_lsn())
            .field("backlog_bytes", &self.backlog_bytes())
            .field("consumers", &self.consumers.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn journal(max_bytes: usize) -> Journal {
        let mut journal = Journal::new(JournalOptions {
            backlog_max_bytes: max_bytes,
            pinned_max_bytes: 2 * max_bytes,
            ..JournalOptions::default()
        });
        journal.keep_backlog(true);
        journal
    }

    fn append(journal: &mut Journal, records: usize, now_ms: u64) -> Rc<Run> {
        let mut builder = RunBuilder::new(0, 1);
        for _ in 0..records {
            builder.command(0, &[b"SET", b"key", &[b'v'; 100]]);
        }
        journal.append(&mut builder, now_ms)
    }

    fn lsns(journal: &Journal, from: Lsn) -> Option<Vec<u64>> {
        let runs = journal.read_from(from)?;
        Some(runs.map(|run| run.first_lsn().0).collect())
    }

    struct Seen(Rc<RefCell<Vec<Rc<Run>>>>);

    impl Consumer for Seen {
        fn on_run(&mut self, run: &Rc<Run>) {
            self.0.borrow_mut().push(run.clone());
        }

        fn is_over_budget(&self) -> bool {
            self.0.borrow().len() > 1
        }
    }

    #[test]
    fn every_record_takes_an_lsn_and_every_run_is_found_by_each_of_its_lsns() {
        let mut journal = journal(1 << 20);
        for records in [1, 3, 2] {
            append(&mut journal, records, 0);
        }
        assert_eq!(journal.next_lsn(), Lsn(7));
        let expected = [None, Some(1), Some(2), Some(2), Some(2), Some(5), Some(5)];
        for (lsn, first) in expected.into_iter().enumerate() {
            let found = lsns(&journal, Lsn(lsn as u64)).map(|runs| runs[0]);
            assert_eq!(found, first, "LSN {lsn}");
        }
        assert_eq!(lsns(&journal, Lsn(7)), Some(vec![]));
        assert_eq!(lsns(&journal, Lsn(8)), None);
        let borders: Vec<_> = (0..9)
            .filter(|&lsn| journal.contains_border(Lsn(lsn)))
            .collect();
        assert_eq!(borders, [1, 2, 5, 7]);
    }

    #[test]
    fn the_backlog_keeps_the_newest_within_its_bytes() {
        let max_bytes = 4096;
        let mut journal = journal(max_bytes);
        for i in 0..100 {
            append(&mut journal, 1, i);
            assert!(journal.backlog_bytes() <= max_bytes);
        }
        let kept = lsns(&journal, journal.first_lsn()).expect("it begins there");
        assert!((10..40).contains(&kept.len()), "{kept:?}");
        assert_eq!(*kept.last().expect("not empty"), 100);
        assert!(!journal.contains(Lsn(journal.first_lsn().0 - 1)));
        append(&mut journal, 1000, 0);
        assert_eq!(
            journal.backlog_bytes(),
            0,
            "a run larger than the bound is not kept"
        );
        assert_eq!(journal.first_lsn(), journal.next_lsn());
    }

    #[test]
    fn the_backlog_forgets_by_age_when_asked() {
        let mut journal = journal(1 << 20);
        journal.set_options(JournalOptions {
            backlog_max_ms: Some(50),
            ..JournalOptions::default()
        });
        for now in [0, 10, 60, 61] {
            append(&mut journal, 1, now);
        }
        assert_eq!(
            journal.first_lsn(),
            Lsn(3),
            "0 is older than 50 ms at 61; so is 10"
        );
        journal.trim(111);
        assert_eq!(journal.first_lsn(), Lsn(4));
        journal.trim(200);
        assert_eq!((journal.first_lsn(), journal.backlog_bytes()), (Lsn(5), 0));
    }

    #[test]
    fn a_pin_holds_up_to_its_own_bound() {
        let mut journal = journal(4096);
        append(&mut journal, 1, 0);
        let pin = journal.pin(Lsn(1)).expect("it is there");
        assert_eq!(journal.pin(Lsn(3)), None);
        while journal.backlog_bytes() < 7000 {
            append(&mut journal, 1, 0);
        }
        assert!(journal.contains(Lsn(1)) && journal.is_pinned(pin));
        for _ in 0..20 {
            append(&mut journal, 1, 0);
            assert!(journal.backlog_bytes() <= 8192);
        }
        assert!(!journal.contains(Lsn(1)) && !journal.is_pinned(pin) && !journal.unpin(pin));
        let pin = journal
            .pin(journal.next_lsn())
            .expect("the next one is contained");
        assert!(journal.unpin(pin));
        append(&mut journal, 1, 0);
        assert!(
            journal.backlog_bytes() <= 4096,
            "what only the pin held is gone"
        );
    }

    #[test]
    fn consumers_share_the_run_and_are_needed_for_activity() {
        let mut journal = Journal::new(JournalOptions::default());
        assert!(!journal.is_active());
        let seen = Rc::new(RefCell::new(Vec::new()));
        let id = journal.add_consumer(Box::new(Seen(seen.clone())));
        assert!(journal.is_active() && !journal.is_over_budget());
        let run = append(&mut journal, 2, 0);
        journal.ping(0);
        assert!(Rc::ptr_eq(&run, &seen.borrow()[0]));
        assert!(journal.is_over_budget());
        assert!(journal.remove_consumer(id).is_some());
        assert!(journal.remove_consumer(id).is_none() && !journal.is_active());
        append(&mut journal, 1, 0);
        assert_eq!(seen.borrow().len(), 2);
        assert_eq!(journal.backlog_bytes(), 0, "no backlog was asked for");
    }

    #[test]
    fn a_relay_keeps_the_primarys_lsns_or_refuses() {
        let mut journal = journal(1 << 20);
        journal.start_at(Lsn(500));
        let mut builder = RunBuilder::new(9, 2);
        builder.command(1, &[b"DEL", b"a"]).ping();
        let gap = JournalError::LsnGap {
            expected: Lsn(500),
            got: Lsn(501),
        };
        assert_eq!(journal.append_relayed(&mut builder, Lsn(501), 0), Err(gap));
        assert_eq!(builder.len(), 2, "still there");
        let run = journal
            .append_relayed(&mut builder, Lsn(500), 0)
            .expect("the next one");
        assert!(builder.is_empty());
        assert_eq!((run.first_lsn(), run.next_lsn()), (Lsn(500), Lsn(502)));
        let pings: Vec<_> = run
            .entries()
            .map(|entry| (entry.lsn.0, entry.is_ping()))
            .collect();
        assert_eq!(pings, [(500, false), (501, true)]);
    }

    #[test]
    fn what_was_not_recorded_cannot_be_resumed_over() {
        let mut journal = journal(1 << 20);
        append(&mut journal, 1, 0);
        let resume_at = journal.next_lsn();
        journal.skip(1);
        assert!(!journal.contains(resume_at) && journal.contains(Lsn(3)));
        append(&mut journal, 1, 0);
        journal.clear();
        assert!(!journal.contains(Lsn(3)) && journal.contains(Lsn(4)));
    }
}
