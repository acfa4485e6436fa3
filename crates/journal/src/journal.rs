//! The journal of one shard.

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
        if !keep {
            self.backlog.clear();
        }
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
        id
    }

    /// Removes a consumer and gives it back.
    pub fn remove_consumer(&mut self, id: ConsumerId) -> Option<Box<dyn Consumer>> {
        let at = self.consumers.iter().position(|(other, _)| *other == id)?;
        Some(self.consumers.remove(at).1)
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
