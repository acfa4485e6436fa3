//! The point-in-time walk: every entry that stood at the cut is written once, before its first change.
//!
//! A bucket is written when the walk comes to it or when it is about to change, whichever is first; the table's bucket
//! versions tell. Values too big for one piece are streamed in tagged chunks over several steps; a writer to such a bucket
//! asks [`Snapshots::would_park`] first and waits. Invariant: a bucket whose version is older than the cut has not changed since the
//! cut, so a value can be read piece by piece while its bucket stays so.

use super::output::Sink;
use super::state::{Labels, Observing, SnapshotOptions, State};
use crate::encode::{RdbWriter, put_cut, put_journal_blob, put_journal_offset};
use crate::wire::EOF_TOKEN_LEN;
use damselfly_store::{BucketId, BucketView, DbIndex, Flushed, Intent, Shard, TableId, WalkCursor};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll};

/// Buckets that one step looks at at most.
const STEP_BUCKETS: usize = 1024;

/// How far a step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do.
    More,
    /// A sink has no room: its own, or that of another snapshot of the shard ([`Snapshot::poll_room`]).
    Blocked,
    /// Everything that stood at the cut has been written; the observer is gone.
    Done,
}

/// Why a snapshot cannot go on. The engine is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// A value vanished while it was streamed: its database was flushed without [`Snapshots::on_flush`].
    #[error("the value of key {key:?} vanished while it was streamed", key = String::from_utf8_lossy(.key))]
    ValueLost {
        /// The key.
        key: Vec<u8>,
    },
}

type Shared = Rc<RefCell<State>>;

/// All running snapshots of one shard; clones are the same set.
///
/// ```
/// use damselfly_snapshot::{Progress, RdbWriter, SnapshotOptions, Snapshots};
/// use damselfly_store::{DbIndex, Shard, ShardOptions, Value};
/// use std::{cell::RefCell, rc::Rc};
///
/// let mut shard = Shard::new(ShardOptions { dbnum: 16, hash_seed: 1 });
/// shard.insert(DbIndex(0), b"key", Value::string(b"old"), None);
///
/// let writer = Rc::new(RefCell::new(RdbWriter::new()));
/// writer.borrow_mut().header(&[]);
/// let snapshots = Snapshots::new();
/// let mut snapshot = snapshots.begin(&mut shard, SnapshotOptions::flow(), writer.clone());
/// // The bucket is written before this changes it.
/// shard.insert(DbIndex(0), b"key", Value::string(b"new"), None);
/// while snapshot.step(&mut shard, 64 * 1024)? != Progress::Done {}
/// snapshot.write_cut();
/// snapshot.write_tail(1, &[b'0'; 40]);
/// let stream = writer.borrow_mut().take();
/// assert!(stream.windows(3).any(|bytes| bytes == b"old"));
/// # Ok::<(), damselfly_snapshot::SnapshotError>(())
/// ```
#[derive(Clone, Default)]
pub struct Snapshots(Rc<Inner>);

#[derive(Default)]
struct Inner {
    states: RefCell<Vec<Shared>>,
    labels: Rc<Labels>,
    finished: Rc<Cell<u64>>,
}

impl Snapshots {
    /// No snapshot.
    pub fn new() -> Snapshots {
        Snapshots::default()
    }

    /// Makes a cut of `shard`, now, and begins to write what stands in it to `sink`.
    pub fn begin(
        &self,
        shard: &mut Shard,
        options: SnapshotOptions,
        sink: impl Sink + 'static,
    ) -> Snapshot {
        self.sweep(shard);
        let state = Rc::new(RefCell::new(State::new(
            options,
            Box::new(sink),
            self.0.finished.clone(),
            self.0.labels.clone(),
        )));
        let (observer, cut) = shard.register_observer(Box::new(Observing(state.clone())));
        state.borrow_mut().cut = cut;
        state.borrow_mut().observer = Some(observer);
        state.borrow_mut().freeze(shard);
        self.0.states.borrow_mut().push(state.clone());
        let tables = (0..shard.dbnum())
            .map(DbIndex)
            .filter(|db| !shard.is_empty(*db))
            .map(|db| shard.table(db));
        let tables = tables.collect();
        Snapshot {
            state,
            all: self.clone(),
            tables,
            at: 0,
            cursor: WalkCursor::default(),
        }
    }

    /// Whether no snapshot runs.
    pub fn is_idle(&self) -> bool {
        self.0
            .states
            .borrow()
            .iter()
            .all(|state| state.borrow().closed)
    }

    /// Whether writes to the shard should wait until a sink has passed on what it holds.
    pub fn is_over_budget(&self) -> bool {
        let states = self.0.states.borrow();
        states.iter().any(|state| state.borrow().is_over_budget())
    }

    /// Whether the sinks of all have room. A walk brings the buckets that it comes to to every snapshot that lacks them, so it
    /// goes on only then: beside a fast one the sink of a slow one would grow with the data.
    fn have_room(&self) -> bool {
        let states = self.0.states.borrow();
        states.iter().all(|state| state.borrow().has_room())
    }

    /// Whether a change of this bucket has to wait for a big value of it. Asking makes that value come next.
    pub fn would_park(&self, bucket: &BucketView<'_>) -> bool {
        self.0.states.borrow().iter().fold(false, |parks, state| {
            state.borrow_mut().request(bucket) | parks
        })
    }

    /// Whether flushing `db` (all, if none) has to wait for open chunk streams of it. Asking makes them come next.
    pub fn would_park_flush(&self, shard: &Shard, db: Option<DbIndex>) -> bool {
        let flushed = tables(shard, db);
        let mut parks = false;
        for state in self.0.states.borrow().iter() {
            let mut state = state.borrow_mut();
            if state.options.frozen {
                continue;
            }
            let mut open = false;
            for job in state
                .jobs
                .iter_mut()
                .filter(|job| job.is_started() && flushed.contains(&job.table))
            {
                job.wanted = true;
                open = true;
            }
            state.flush_waits |= open;
            parks |= open;
        }
        parks
    }

    /// To be called right before `shard` is flushed: ends open streams of the flushed databases (none, if
    /// [`Snapshots::would_park_flush`] was heeded), and sends nothing of them from here on.
    pub fn on_flush(&self, shard: &Shard, db: Option<DbIndex>) {
        let flushed = tables(shard, db);
        for state in self.0.states.borrow().iter() {
            let mut state = state.borrow_mut();
            if state.options.frozen {
                continue;
            }
            state.finish_open(shard, &flushed);
            flushed.iter().for_each(|table| state.forget_table(*table));
            state.flush_waits = false;
            state.out.flush();
        }
    }

    /// To be called right after `shard` was flushed, with what was in it: snapshots that stay as at their cuts hold on to it until
    /// they have written it.
    pub fn keep_flushed(&self, flushed: &Rc<Flushed>) {
        for state in self.0.states.borrow().iter() {
            let mut state = state.borrow_mut();
            if state.options.frozen && !state.closed {
                state.kept.push(flushed.clone());
            }
        }
    }

    /// To be called right before two databases of `shard` are exchanged. Until the record of it is on its way
    /// ([`Snapshots::on_recorded`]) entries go under the numbers that their databases had, and no walk goes on.
    pub fn on_swap(&self, shard: &Shard, a: DbIndex, b: DbIndex) {
        if !self.is_idle() {
            self.0.labels.keep(shard.table(a), a);
            self.0.labels.keep(shard.table(b), b);
        }
    }

    /// To be called when the records of all that was done so far have been handed on.
    pub fn on_recorded(&self) {
        self.0.labels.release();
    }

    /// How many big values have been sent to their ends or dropped since the first snapshot: when it has changed, writers
    /// that parked are to be asked again.
    pub fn finished(&self) -> u64 {
        self.0.finished.get()
    }

    /// Removes the observers of snapshots that have ended or were dropped.
    pub fn sweep(&self, shard: &mut Shard) {
        self.0.states.borrow_mut().retain(|state| {
            let mut state = state.borrow_mut();
            if state.closed
                && let Some(observer) = state.observer.take()
            {
                shard.remove_observer(observer);
            }
            !state.closed
        });
    }

    /// Whether a snapshot other than `but` has a big value of this bucket to send.
    fn others_stream(&self, but: &Shared, bucket: &BucketView<'_>) -> bool {
        let all = self.0.states.borrow();
        all.iter()
            .filter(|state| !Rc::ptr_eq(state, but))
            .any(|state| state.borrow().big_unsent(bucket).next().is_some())
    }
}

/// The tables of `db`, or all.
fn tables(shard: &Shard, db: Option<DbIndex>) -> Vec<TableId> {
    let all = (0..shard.dbnum()).map(DbIndex);
    all.filter(|index| db.is_none_or(|db| db == *index))
        .map(|db| shard.table(db))
        .collect()
}

impl State {
    /// Streams the open chunk streams of `flushed` tables to their ends.
    fn finish_open(&mut self, shard: &Shard, flushed: &[TableId]) {
        let is_open = |job: &&super::job::Job| job.is_started() && flushed.contains(&job.table);
        let open: Vec<_> = self
            .jobs
            .iter()
            .filter(is_open)
            .map(|job| (job.table, job.key.clone()))
            .collect();
        for (table, key) in open {
            if let Some(db) = shard.db_of(table)
                && let Some(entry) = shard.get(db, &key)
            {
                self.finish_job(table, self.number(table, db), &entry);
            }
        }
    }
}

/// One running snapshot. Dropping it ends it: from then on it writes nothing and holds nobody back.
pub struct Snapshot {
    state: Shared,
    all: Snapshots,
    tables: Vec<TableId>,
    at: usize,
    cursor: WalkCursor,
}

/// What the walk met.
enum Met {
    /// The end.
    End,
    /// A bucket to serve.
    Bucket(BucketId),
    /// Nothing to serve now: it has been served, or has a big value that is to be streamed first.
    Nothing,
}

impl Snapshot {
    /// Writes about `budget_bytes` more: chunks that somebody waits for, then the value being streamed, then buckets. At least one
    /// unit of work is done: it may overshoot by one bucket or one chunk.
    ///
    /// # Errors
    /// [`SnapshotError`]; the stream is broken then.
    pub fn step(
        &mut self,
        shard: &mut Shard,
        budget_bytes: usize,
    ) -> Result<Progress, SnapshotError> {
        if self.state.borrow().closed {
            return Ok(Progress::Done);
        }
        if !self.all.have_room() {
            return Ok(Progress::Blocked);
        }
        if self.all.0.labels.are_kept() {
            return Ok(Progress::More);
        }
        self.state.borrow_mut().stepping = true;
        let progress = self.work(shard, budget_bytes as u64);
        let mut state = self.state.borrow_mut();
        state.stepping = false;
        state.out.flush();
        drop(state);
        if progress == Ok(Progress::Done) {
            self.state.borrow_mut().closed = true;
            self.all.sweep(shard);
        }
        progress
    }

    fn work(&mut self, shard: &mut Shard, budget: u64) -> Result<Progress, SnapshotError> {
        let end = self.state.borrow().out.written + budget;
        for _ in 0..STEP_BUCKETS {
            let job = self.state.borrow().next_job();
            if let Some(index) = job {
                let finished = self.stream(shard, index)?;
                if finished && std::mem::take(&mut self.state.borrow_mut().flush_waits) {
                    return Ok(Progress::More);
                }
            } else {
                match self.walk(shard) {
                    Met::End => return Ok(Progress::Done),
                    Met::Nothing => {}
                    Met::Bucket(bucket) => shard.serialize_bucket(bucket),
                }
            }
            if self.state.borrow().out.written >= end {
                break;
            }
        }
        Ok(Progress::More)
    }

    /// Writes the next chunk of a job; true if it was the last one.
    fn stream(&mut self, shard: &mut Shard, index: usize) -> Result<bool, SnapshotError> {
        let (table, key) = {
            let job = &self.state.borrow().jobs[index];
            (job.table, job.key.clone())
        };
        let db = shard.db_of(table);
        let kept = self.state.borrow().kept(table);
        let entry = match (db, &kept) {
            (Some(db), _) => shard.get(db, &key),
            (None, Some(kept)) => kept.get(table, shard.hash_of(&key), &key),
            (None, None) => None,
        };
        let Some(entry) = entry else {
            return Err(SnapshotError::ValueLost { key });
        };
        let mut state = self.state.borrow_mut();
        let number = state.number(table, db.unwrap_or_default());
        let done = state.advance_job(index, number, &entry);
        drop(state);
        if let (true, Some(db)) = (done, db) {
            self.stamp(shard, db, &key);
        }
        Ok(done)
    }

    /// Serves the bucket of `key`, unless someone has more of it to stream.
    fn stamp(&self, shard: &mut Shard, db: DbIndex, key: &[u8]) {
        let mut bucket = None;
        shard.prepare(db, key, Intent::Update, &mut |view| {
            let streams = self.state.borrow().big_unsent(&view).next().is_some();
            if !streams && !self.all.others_stream(&self.state, &view) {
                bucket = Some(view.id());
            }
        });
        if let Some(bucket) = bucket {
            shard.serialize_bucket(bucket);
        }
    }

    /// Looks at the next bucket.
    fn walk(&mut self, shard: &Shard) -> Met {
        let Some(table) = self.tables.get(self.at) else {
            return Met::End;
        };
        let kept = self.state.borrow().kept(*table);
        let found = match (&kept, shard.db_of(*table)) {
            (Some(kept), _) => kept.walk_next(*table, self.cursor),
            (None, db) => db.and_then(|db| shard.walk_next(db, self.cursor)),
        };
        let Some((bucket, next)) = found else {
            self.at += 1;
            self.cursor = WalkCursor::default();
            return Met::Nothing;
        };
        let mut state = self.state.borrow_mut();
        if state.is_served(&bucket) {
            self.cursor = next;
            return Met::Nothing;
        }
        let big = state.big_unsent(&bucket).map(|entry| entry.key()).next();
        if let Some(key) = big {
            // The walk comes back to this bucket once the value is sent.
            state.want(bucket.table(), key, false);
            return Met::Nothing;
        }
        self.cursor = next;
        if kept.is_some() {
            // Nobody else sees it any more, and nothing changes it.
            state.serve(&bucket);
            return Met::Nothing;
        }
        drop(state);
        if self.all.others_stream(&self.state, &bucket) {
            self.state.borrow_mut().serve_ahead(&bucket);
            return Met::Nothing;
        }
        Met::Bucket(bucket.id())
    }

    /// Ready when [`Snapshot::step`] is not [`Progress::Blocked`]; wakes the task when that may have changed.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let states = self.all.0.states.borrow();
        let mut open = states.iter().filter(|state| !state.borrow().closed);
        match open.all(|state| state.borrow().out.poll_room(context).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// As [`Snapshots::would_park`], for this snapshot alone.
    pub fn would_park(&self, bucket: &BucketView<'_>) -> bool {
        self.state.borrow_mut().request(bucket)
    }

    /// Entries written so far.
    pub fn entries(&self) -> u64 {
        self.state.borrow().entries
    }

    /// Bytes written so far, before compression.
    pub fn bytes(&self) -> u64 {
        self.state.borrow().out.written
    }

    /// Whether everything has been written.
    pub fn is_done(&self) -> bool {
        self.state.borrow().closed
    }

    /// Ends it and removes its observer.
    pub fn cancel(self, shard: &mut Shard) {
        let all = self.all.clone();
        drop(self);
        all.sweep(shard);
    }

    /// Writes serialized journal records as a blob, behind everything written so far.
    pub fn push_journal(&self, records: &[u8]) {
        self.direct(&mut |writer| put_journal_blob(writer.buffer(), records));
    }

    /// Writes the full-sync cut (200). To be called once, when it is done.
    pub fn write_cut(&self) {
        self.direct(&mut |writer| put_cut(writer.buffer()));
    }

    /// Writes the tail: the LSN of the next journal record, the trailer with its checksum, the flow's token.
    pub fn write_tail(&self, next_lsn: u64, token: &[u8; EOF_TOKEN_LEN]) {
        self.direct(&mut |writer| {
            put_journal_offset(writer.buffer(), next_lsn);
            writer.end();
            writer.token(token);
        });
    }

    /// Writes the trailer of a file.
    pub fn write_end(&self) {
        self.direct(&mut RdbWriter::end);
    }

    fn direct(&self, write: &mut dyn FnMut(&mut RdbWriter)) {
        self.state.borrow_mut().out.direct(write);
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let mut state = self.state.borrow_mut();
        state.closed = true;
        state.count_finished(1);
        state.jobs.clear();
    }
}
