//! What a snapshot and its observer share.

use super::job::Job;
use super::output::{Output, Sink};
use super::value::encode_value;
use crate::decode::LastUse;
use crate::encode::{EntryMeta, Head, Profile};
use damselfly_store::{
    Access, BucketView, CutVersion, DbIndex, EntryRef, Flushed, Observer, ObserverId, Shard,
    TableId, Value,
};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Whether and where values may be cut into tagged chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunks {
    /// Values go whole, whatever their size: level-0 peers.
    Never,
    /// Between elements only: level-0 peers that read chunks. Strings go whole.
    BetweenElements,
    /// Strings too: peers of level 1.
    Anywhere,
    /// As anywhere, without tags: the sink is handed the pieces of a value one by one ([`Sink::write_piece`]) and puts them
    /// together again. For files whose readers know no chunks.
    Apart,
}

/// How a snapshot is written.
#[derive(Debug, Clone)]
pub struct SnapshotOptions {
    /// Who reads it.
    pub profile: Profile,
    /// Whether big values are streamed.
    pub chunks: Chunks,
    /// Values of more bytes than this (in memory) are big; a chunk has about this size.
    pub chunk_bytes: usize,
    /// Whether entries are gathered to compressed blobs.
    pub lz4: bool,
    /// What is told of the entries' last uses.
    pub uses: Uses,
    /// Databases stay as they were at the cut: one that is flushed later is written all the same, one that is exchanged under its number
    /// of then. Otherwise the reader is told of both by records.
    pub frozen: bool,
}

/// What a snapshot tells of the last use of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Uses {
    /// Nothing.
    #[default]
    Untold,
    /// How long ago it was, at this time (the store's clock of uses, in seconds).
    Idle {
        /// The time.
        now_s: u32,
    },
    /// How often it is used, at this time.
    Frequency {
        /// The time.
        now_s: u32,
        /// Minutes in which a count loses one; 0 is never.
        decay_minutes: u32,
    },
}

impl Uses {
    fn of(self, access: Access) -> LastUse {
        match self {
            Uses::Untold => LastUse::Untold,
            Uses::Idle { now_s } => LastUse::Idle(access.idle_s(now_s).into()),
            Uses::Frequency {
                now_s,
                decay_minutes,
            } => LastUse::Frequency(access.count_at(now_s, decay_minutes)),
        }
    }
}

impl SnapshotOptions {
    /// A flow to one of our own replicas: listpacks, chunks of 64 KiB, no compression.
    pub fn flow() -> SnapshotOptions {
        SnapshotOptions {
            profile: Profile::Flow,
            chunks: Chunks::Anywhere,
            chunk_bytes: 64 * 1024,
            lz4: false,
            uses: Uses::Untold,
            frozen: false,
        }
    }

    /// A flow to a Dragonfly replica: values go whole.
    pub fn level0_flow() -> SnapshotOptions {
        SnapshotOptions {
            profile: Profile::Dragonfly,
            chunks: Chunks::Never,
            ..SnapshotOptions::flow()
        }
    }

    /// A file that Redis 6.2 reads: values stand there whole, big ones are handed on in pieces.
    pub fn file() -> SnapshotOptions {
        SnapshotOptions {
            profile: Profile::Redis62,
            chunks: Chunks::Apart,
            frozen: true,
            ..SnapshotOptions::level0_flow()
        }
    }

    /// As [`file`](SnapshotOptions::file), for readers of `profile` ([`Profile::of_rdb_version`]). Its writer is
    /// [`RdbWriter::for_readers`](crate::RdbWriter::for_readers) of the same.
    pub fn file_for(profile: Profile) -> SnapshotOptions {
        SnapshotOptions {
            profile,
            ..SnapshotOptions::file()
        }
    }

    /// The file of one shard, for ourselves: as a flow, without records.
    pub fn shard_file() -> SnapshotOptions {
        SnapshotOptions {
            frozen: true,
            ..SnapshotOptions::flow()
        }
    }

    /// What is said of an entry before its value.
    pub(super) fn meta<'a>(&self, entry: &EntryRef<'a>) -> EntryMeta<'a> {
        EntryMeta::new(entry.key())
            .expiring(entry.expire_at())
            .used(self.uses.of(entry.access()))
    }

    /// Whether `value` is streamed in chunks.
    pub(super) fn is_big(&self, value: &Value) -> bool {
        match (self.chunks, value) {
            (Chunks::Never, _) | (Chunks::BetweenElements, Value::Str(_)) => false,
            (_, Value::Str(text)) => text.len() > self.chunk_bytes,
            (_, value) => value.heap_size() > self.chunk_bytes,
        }
    }
}

/// Keys whose entries were sent while their buckets are not served yet, by table.
type Ahead = HashMap<TableId, HashSet<Box<[u8]>>>;

/// The numbers that databases had before they were exchanged, while no record says so yet: a reader of the stream still knows
/// their tables by these.
#[derive(Default)]
pub(super) struct Labels(RefCell<Vec<(TableId, DbIndex)>>);

impl Labels {
    /// The number stays the table's, unless an earlier one is kept.
    pub(super) fn keep(&self, table: TableId, db: DbIndex) {
        let mut kept = self.0.borrow_mut();
        if !kept.iter().any(|(of, _)| *of == table) {
            kept.push((table, db));
        }
    }

    pub(super) fn release(&self) {
        self.0.borrow_mut().clear();
    }

    pub(super) fn are_kept(&self) -> bool {
        !self.0.borrow().is_empty()
    }

    /// The number to write for a table that is `db` now.
    pub(super) fn number(&self, table: TableId, db: DbIndex) -> u32 {
        let kept = self.0.borrow();
        let number = kept.iter().find(|(of, _)| *of == table);
        u32::from(number.map_or(db, |(_, db)| *db).0)
    }
}

pub(super) struct State {
    pub(super) options: SnapshotOptions,
    pub(super) cut: CutVersion,
    pub(super) observer: Option<ObserverId>,
    pub(super) out: Output,
    pub(super) jobs: Vec<Job>,
    ahead: Ahead,
    next_stream: u32,
    /// Counts, for all snapshots of the shard, events after which parked writers may go on.
    finished: Rc<Cell<u64>>,
    labels: Rc<Labels>,
    /// The numbers that databases had at the cut, if it is frozen.
    numbers: HashMap<TableId, u32>,
    /// What was flushed since, if it is frozen.
    pub(super) kept: Vec<Rc<Flushed>>,
    /// A flush waits for open streams.
    pub(super) flush_waits: bool,
    /// The walk or a stream is serving: what is gathered may stay so until it ends its step.
    pub(super) stepping: bool,
    /// Ended: it observes nothing and holds nobody back.
    pub(super) closed: bool,
    pub(super) entries: u64,
}

impl State {
    pub(super) fn new(
        options: SnapshotOptions,
        sink: Box<dyn Sink>,
        finished: Rc<Cell<u64>>,
        labels: Rc<Labels>,
    ) -> State {
        let out = Output::new(sink, options.profile, options.lz4);
        State {
            options,
            cut: CutVersion(u64::MAX),
            observer: None,
            out,
            jobs: Vec::new(),
            ahead: Ahead::new(),
            next_stream: 0,
            finished,
            labels,
            numbers: HashMap::new(),
            kept: Vec::new(),
            flush_waits: false,
            stepping: false,
            closed: false,
            entries: 0,
        }
    }

    /// Whether walks may add to the sink.
    pub(super) fn has_room(&self) -> bool {
        self.closed || self.out.has_room()
    }

    /// Whether the sink holds too much for writes to add to it.
    pub(super) fn is_over_budget(&self) -> bool {
        !self.closed && self.out.is_over_budget()
    }

    /// Notes which number each database of a frozen snapshot has.
    pub(super) fn freeze(&mut self, shard: &Shard) {
        if self.options.frozen {
            let databases = (0..shard.dbnum()).map(DbIndex);
            self.numbers = databases
                .map(|db| (shard.table(db), u32::from(db.0)))
                .collect();
        }
    }

    /// The number to write for a table that is `db` now.
    pub(super) fn number(&self, table: TableId, db: DbIndex) -> u32 {
        match self.numbers.get(&table) {
            Some(number) => *number,
            None => self.labels.number(table, db),
        }
    }

    /// A table that was flushed since the cut, and that is to be written.
    pub(super) fn kept(&self, table: TableId) -> Option<Rc<Flushed>> {
        self.kept.iter().find(|kept| kept.has(table)).cloned()
    }

    /// Whether the snapshot still has to see this bucket.
    pub(super) fn needs(&self, bucket: &BucketView<'_>) -> bool {
        !self.closed && bucket.version() < self.cut
    }

    fn is_ahead(&self, table: TableId, key: &[u8]) -> bool {
        !self.ahead.is_empty()
            && self
                .ahead
                .get(&table)
                .is_some_and(|keys| keys.contains(key))
    }

    /// Big values of `bucket` that have not been sent to their ends.
    pub(super) fn big_unsent<'a>(
        &self,
        bucket: &BucketView<'a>,
    ) -> impl Iterator<Item = EntryRef<'a>> {
        let needed = self.needs(bucket) && self.options.chunks != Chunks::Never;
        let entries = needed.then(|| bucket.entries()).into_iter().flatten();
        entries.filter(|entry| {
            self.options.is_big(entry.value()) && !self.is_ahead(bucket.table(), entry.key())
        })
    }

    /// Whether a writer to `bucket` has to wait; if so, its big values come next.
    pub(super) fn request(&mut self, bucket: &BucketView<'_>) -> bool {
        let keys: Vec<_> = self.big_unsent(bucket).map(|entry| entry.key()).collect();
        keys.iter()
            .for_each(|key| self.want(bucket.table(), key, true));
        !keys.is_empty()
    }

    /// Makes a job of a big value, or an existing one more urgent.
    pub(super) fn want(&mut self, table: TableId, key: &[u8], wanted: bool) {
        match self
            .jobs
            .iter_mut()
            .find(|job| job.table == table && job.key == key)
        {
            Some(job) => job.wanted |= wanted,
            None => self.jobs.push(Job::new(table, key, wanted)),
        }
    }

    /// The job to go on with: one that somebody waits for, else the first.
    pub(super) fn next_job(&self) -> Option<usize> {
        let wanted = self.jobs.iter().position(|job| job.wanted);
        wanted.or((!self.jobs.is_empty()).then_some(0))
    }

    /// Writes the next chunk of a job; true, and the job is gone, when it was the last one.
    pub(super) fn advance_job(&mut self, index: usize, db: u32, entry: &EntryRef<'_>) -> bool {
        let State {
            jobs,
            out,
            options,
            next_stream,
            ..
        } = self;
        let done = jobs[index].advance(db, entry, out, options, next_stream);
        if done {
            let job = self.jobs.remove(index);
            self.ahead
                .entry(job.table)
                .or_default()
                .insert(job.key.into());
            self.count_finished(1);
            self.entries += 1;
        }
        done
    }

    /// Writes everything of a bucket that was not sent ahead, big values included: the bucket changes now.
    pub(super) fn serve(&mut self, bucket: &BucketView<'_>) {
        let db = self.number(bucket.table(), bucket.db());
        for entry in bucket.entries() {
            if self.is_ahead(bucket.table(), entry.key()) {
                self.forget(bucket.table(), entry.key());
            } else if self.options.is_big(entry.value()) {
                self.stream_now(bucket, &entry);
                self.forget(bucket.table(), entry.key());
            } else {
                self.put(db, &entry);
            }
        }
    }

    /// Writes the entries of a bucket without stamping it: another snapshot still streams a value of it.
    pub(super) fn serve_ahead(&mut self, bucket: &BucketView<'_>) {
        let db = self.number(bucket.table(), bucket.db());
        for entry in bucket.entries() {
            if !self.is_ahead(bucket.table(), entry.key()) {
                self.put(db, &entry);
                self.ahead
                    .entry(bucket.table())
                    .or_default()
                    .insert(entry.key().into());
            }
        }
    }

    /// Whether every entry of `bucket` has been sent.
    pub(super) fn is_served(&self, bucket: &BucketView<'_>) -> bool {
        !self.needs(bucket)
            || bucket
                .entries()
                .all(|entry| self.is_ahead(bucket.table(), entry.key()))
    }

    #[inline]
    fn put(&mut self, db: u32, entry: &EntryRef<'_>) {
        let meta = self.options.meta(entry);
        self.out.append(db, |encoder, out| {
            encode_value(encoder, out, Head::Entry(&meta), entry.value())
        });
        self.entries += 1;
    }

    fn forget(&mut self, table: TableId, key: &[u8]) {
        if let Some(keys) = self.ahead.get_mut(&table) {
            keys.remove(key);
            if keys.is_empty() {
                self.ahead.remove(&table);
            }
        }
    }

    /// Streams a value to its end at once: somebody changes its bucket without having asked.
    fn stream_now(&mut self, bucket: &BucketView<'_>, entry: &EntryRef<'_>) {
        self.want(bucket.table(), entry.key(), false);
        let db = self.number(bucket.table(), bucket.db());
        self.finish_job(bucket.table(), db, entry);
    }

    /// Writes the rest of the job of `entry`.
    pub(super) fn finish_job(&mut self, table: TableId, db: u32, entry: &EntryRef<'_>) {
        while let Some(index) = self
            .jobs
            .iter()
            .position(|job| job.table == table && job.key == entry.key())
        {
            self.advance_job(index, db, entry);
        }
    }

    /// Notes that parked writers are to be asked again.
    pub(super) fn count_finished(&self, more: u64) {
        self.finished.set(self.finished.get() + more);
    }

    /// Forgets a table that is being flushed. Its open streams must have ended.
    pub(super) fn forget_table(&mut self, table: TableId) {
        let before = self.jobs.len();
        self.jobs.retain(|job| job.table != table);
        self.count_finished((before - self.jobs.len()) as u64);
        self.ahead.remove(&table);
    }
}

/// The observer's end of a snapshot.
pub(super) struct Observing(pub(super) Rc<RefCell<State>>);

impl Observer for Observing {
    fn before_change(&mut self, bucket: &BucketView<'_>) {
        let mut state = self.0.borrow_mut();
        if state.closed {
            return;
        }
        #[cfg(feature = "fault-injection")]
        if !state.stepping && super::faults::skips_bucket() {
            return;
        }
        state.serve(bucket);
        if !state.stepping {
            // The change that follows must not overtake what stood before it.
            state.out.flush();
        }
    }
}
