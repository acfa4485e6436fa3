//! Loading an RDB on all shards at once: one thread finds where the entries of a stream begin and end, and hands their
//! bytes on; each shard takes apart and keeps its own.

use super::replica::{known_db, refusal};
use crate::core::ShardCore;
use crate::engine::Engine;
use crate::thread::{Pending, Thread};
use damselfly_replication::{DataError, LinkError};
use damselfly_snapshot::wire::type_name;
use damselfly_snapshot::{Assembled, Assembler, Event, Format, KeyMeta, LastUse, Limits};
use damselfly_snapshot::{RdbDecoder, Refused, RunEntry, ValueBuilder, put_select, put_split_head};
use damselfly_store::DbIndex;
use damselfly_store::values::Gather;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

/// Bytes that are collected for a shard before they are sent.
const BATCH_BYTES: usize = 32 << 10;
/// Batches that may be on their way to one shard; who reads waits then.
const MAX_UNDER_WAY: usize = 16;
/// Keys that a stream may announce to have room made for them, all its databases together (some 150 MB).
const MOST_ANNOUNCED: u64 = 16 << 20;
/// Bytes of the smallest entry: type, no key, no value.
const SMALLEST_ENTRY: u64 = 3;
/// Keys whose places are fetched together.
const WARMED: usize = 32;

/// Takes the events of [`RdbDecoder::splitting`], on a thread of the engine.
pub(crate) struct ParallelLoader {
    thread: Rc<Thread>,
    limits: Limits,
    lanes: Vec<Lane>,
    /// Whom the bytes of the entry that began last are for.
    current: usize,
    /// The database that is selected in the stream.
    db: u32,
    /// Keys that may be prepared for, whatever the stream announces from here on.
    room: u64,
}

/// What is on its way to one shard.
struct Lane {
    batch: Batch,
    /// The database that is selected there.
    db: Option<u32>,
    /// Bytes that were collected for it so far.
    offset: u64,
    /// The shard's end of it, made with the first entry.
    shard: Option<Arc<Mutex<ShardLoad>>>,
    under_way: VecDeque<Pending<(Batch, Result<(), DataError>)>>,
    spare: Vec<Batch>,
}

/// Entries for one shard.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where keys stand in it, all of one database.
    keys: Vec<Range<u32>>,
    db: Option<u32>,
    /// Databases, and how many entries of each will come.
    announced: Vec<(DbIndex, usize)>,
    /// Bytes from here on (counted as the shard's decoder does) stood there in the stream.
    places: Vec<(u64, u64)>,
}

/// The shard's end. Only its own thread locks it.
struct ShardLoad {
    engine: Arc<Engine>,
    decoder: RdbDecoder,
    assembler: Assembler,
    gather: Gather,
    last_place: (u64, u64),
    ahead: Ahead,
}

/// What the places of the keys of a batch are fetched by, some keys at a time: one after the other, each would be waited for; all at once, the first ones would
/// be out of the nearest cache when their turn comes.
#[derive(Default)]
struct Ahead {
    db: Option<DbIndex>,
    hashes: Vec<u64>,
    fetched: usize,
    /// Entries that have come of those that were fetched for.
    used: usize,
}

impl ParallelLoader {
    /// For streams whose strings are within `limits`.
    pub(crate) fn new(thread: Rc<Thread>, limits: Limits) -> ParallelLoader {
        let shards = thread.engine.mesh.shards();
        ParallelLoader {
            thread,
            limits,
            lanes: (0..shards).map(|_| Lane::new()).collect(),
            current: 0,
            db: 0,
            room: MOST_ANNOUNCED,
        }
    }

    /// The stream has so many bytes, and may announce no more keys than fit in.
    pub(crate) fn bound_by(&mut self, bytes: u64) {
        self.room = MOST_ANNOUNCED.min(bytes / SMALLEST_ENTRY);
    }

    /// The header of a stream.
    pub(crate) fn begin(&mut self, format: Format) {
        for lane in &mut self.lanes {
            let engine = self.thread.engine.clone();
            let assembler = Assembler::new(engine.skipped.is_enabled());
            lane.shard = Some(Arc::new(Mutex::new(ShardLoad {
                engine,
                decoder: RdbDecoder::of_entries(self.limits.clone(), format).with_whole_strings(),
                assembler,
                gather: Gather::default(),
                last_place: (0, 0),
                ahead: Ahead::default(),
            })));
        }
    }

    /// Takes an event, if it is one of those that are for the shards: `false` if not.
    ///
    /// # Errors
    /// A database that is not here.
    #[inline]
    pub(crate) fn take(&mut self, event: &Event<'_>) -> Result<bool, DataError> {
        match event {
            Event::Entry { meta, value_at } => {
                known_db(meta.db, self.thread.engine.options.dbnum)?;
                self.check(meta)?;
                self.current = self.thread.engine.mesh.shard_of(meta.key);
                self.lanes[self.current].begin(meta, *value_at);
            }
            Event::Value { bytes, .. } => self.lanes[self.current].push(bytes),
            Event::Run {
                db,
                at,
                bytes,
                entries,
            } => {
                known_db(*db, self.thread.engine.options.dbnum)?;
                for entry in *entries {
                    let shard = self.thread.engine.mesh.shard_of(&bytes[entry.key_range()]);
                    self.lanes[shard].push_whole(*db, *at, bytes, entry);
                }
            }
            Event::Header(format) => self.begin(*format),
            Event::Resize { keys, .. } => self.announce(*keys),
            Event::SelectDb(db) => self.db = *db,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Has the shards make room for what is announced of the selected database, as far as there is room for a stream.
    fn announce(&mut self, keys: u64) {
        let keys = granted(&mut self.room, keys);
        let each = keys / self.lanes.len() as u64;
        if let Ok(db) = known_db(self.db, self.thread.engine.options.dbnum)
            && each > 0
        {
            for lane in &mut self.lanes {
                lane.batch.announce(db, each as usize);
            }
        }
    }

    /// What no shard will have a place for is refused before its value has come.
    #[inline]
    fn check(&self, meta: &KeyMeta<'_>) -> Result<(), DataError> {
        match ValueBuilder::check(meta.kind) {
            Err(reason) if !self.thread.engine.skipped.is_enabled() => Err(refusal(Refused {
                db: meta.db,
                key: meta.key.to_vec(),
                type_byte: meta.type_byte,
                reason,
            })),
            _ => Ok(()),
        }
    }

    /// Sends what was collected where it is much, and waits for a shard that is far behind.
    pub(crate) async fn keep_pace(&mut self) -> Result<(), DataError> {
        self.send(BATCH_BYTES).await
    }

    /// Sends everything, and waits until it is in its place.
    pub(crate) async fn settle(&mut self) -> Result<(), DataError> {
        self.send(1).await?;
        for lane in &mut self.lanes {
            while lane.await_oldest().await? {}
        }
        Ok(())
    }

    /// Batches of at least so many bytes are sent, those of this thread's own shard last: the others work meanwhile.
    async fn send(&mut self, min_bytes: usize) -> Result<(), DataError> {
        let shards = self.lanes.len();
        let own = self.thread.index;
        for shard in (0..shards).map(|at| (own + 1 + at) % shards) {
            let lane = &mut self.lanes[shard];
            if lane.batch.bytes.len() < min_bytes {
                continue;
            }
            lane.send(&self.thread, shard);
            while lane.under_way.len() > MAX_UNDER_WAY {
                lane.await_oldest().await?;
            }
        }
        Ok(())
    }
}

/// How many of these keys a stream may still announce; it may announce so many less from then on.
fn granted(room: &mut u64, keys: u64) -> u64 {
    let granted = keys.min(*room);
    *room -= granted;
    granted
}

impl Batch {
    /// A database is in the list once, however often it is announced.
    fn announce(&mut self, db: DbIndex, keys: usize) {
        match self.announced.iter_mut().find(|(of, _)| *of == db) {
            Some((_, announced)) => *announced += keys,
            None => self.announced.push((db, keys)),
        }
    }
}

impl Lane {
    fn new() -> Lane {
        Lane {
            batch: Batch::default(),
            db: None,
            offset: 0,
            shard: None,
            under_way: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    #[inline]
    fn begin(&mut self, meta: &KeyMeta<'_>, value_at: u64) {
        self.select(meta.db);
        let bytes = &mut self.batch.bytes;
        let key = put_split_head(bytes, meta);
        self.batch
            .places
            .push((self.offset + bytes.len() as u64, value_at));
        if *self.batch.db.get_or_insert(meta.db) == meta.db {
            self.batch.keys.push(key.start as u32..key.end as u32);
        }
    }

    #[inline]
    fn select(&mut self, db: u32) {
        if self.db != Some(db) {
            self.db = Some(db);
            put_select(&mut self.batch.bytes, db);
        }
    }

    /// Takes an entry of a run, whose first byte stood at `at` in the stream.
    #[inline]
    fn push_whole(&mut self, db: u32, at: u64, run: &[u8], entry: &RunEntry) {
        self.select(db);
        let begin = self.batch.bytes.len();
        self.batch.bytes.extend_from_slice(&run[entry.range()]);
        let place = at + u64::from(entry.start);
        self.batch.places.push((self.offset + begin as u64, place));
        if *self.batch.db.get_or_insert(db) == db {
            let key = begin as u32 + (entry.key - entry.start);
            let length = entry.key_end - entry.key;
            self.batch.keys.push(key..key + length);
        }
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        self.batch.bytes.extend_from_slice(bytes);
    }

    fn send(&mut self, thread: &Rc<Thread>, shard: usize) {
        let Some(load) = self.shard.clone() else {
            return;
        };
        let next = self.spare.pop().unwrap_or_default();
        let mut batch = std::mem::replace(&mut self.batch, next);
        self.offset += batch.bytes.len() as u64;
        let sent = thread.call(shard, move |thread, answer| {
            let mut load = load.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let result = thread.with_core(|core| load.take(core, &mut batch));
            answer.send((batch, result));
        });
        self.under_way.push_back(sent);
    }

    /// `false`: nothing is under way.
    async fn await_oldest(&mut self) -> Result<bool, DataError> {
        let Some(oldest) = self.under_way.pop_front() else {
            return Ok(false);
        };
        let (batch, result) = oldest.await;
        self.spare.push(batch);
        result.map(|()| true)
    }
}

impl ShardLoad {
    fn take(&mut self, core: &mut ShardCore, batch: &mut Batch) -> Result<(), DataError> {
        for (db, entries) in batch.announced.drain(..) {
            core.space.store.reserve(db, entries);
        }
        self.ahead.begin(core, batch);
        self.decoder.feed_buffer(&mut batch.bytes);
        let result = self.load(core);
        let result = result.map_err(|failure| self.failed(failure, &batch.places));
        self.last_place = batch.places.last().copied().unwrap_or(self.last_place);
        batch.places.clear();
        result
    }

    fn load(&mut self, core: &mut ShardCore) -> Result<(), Failure> {
        loop {
            self.ahead.next(core);
            if let Some(entry) = self.decoder.take_entry(&mut self.gather) {
                let db = known_db(entry.db, self.engine.options.dbnum);
                let (db, used) = (db.map_err(Failure::Data)?, LastUse::Untold);
                core.space
                    .load(db, entry.key, entry.value, entry.expire_ms, used);
                continue;
            }
            let Some(event) = self.decoder.next().map_err(Failure::Rdb)? else {
                return Ok(());
            };
            let assembled = self.assembler.take(&event).map_err(refusal);
            match assembled.map_err(Failure::Data)? {
                Some(assembled) => keep(core, &self.engine, assembled).map_err(Failure::Data)?,
                None => self.ahead.used -= 1,
            }
        }
    }

    /// A fault, said of the place in the stream.
    #[cold]
    fn failed(&self, failure: Failure, places: &[(u64, u64)]) -> DataError {
        let error = match failure {
            Failure::Data(error) => return error,
            Failure::Rdb(error) => error,
        };
        let at = error.at().offset;
        let behind = places.partition_point(|(from, _)| *from <= at);
        let (from, place) = match behind.checked_sub(1) {
            Some(index) => places[index],
            None => self.last_place,
        };
        let error = error.moved_to(place + at.saturating_sub(from));
        let link = LinkError::Rdb { flow: 0, error };
        DataError {
            severity: link.severity(),
            message: link.to_string(),
        }
    }
}

impl Ahead {
    fn begin(&mut self, core: &ShardCore, batch: &mut Batch) {
        let store = &core.space.store;
        (self.fetched, self.used) = (0, 0);
        self.hashes.clear();
        let db = batch.db.take();
        self.db = db.and_then(|db| known_db(db, store.dbnum()).ok());
        let keys = batch.keys.drain(..);
        let keys = keys.map(|key| &batch.bytes[key.start as usize..key.end as usize]);
        self.hashes.extend(keys.map(|key| store.hash_of(key)));
    }

    /// An entry is about to be loaded.
    #[inline]
    fn next(&mut self, core: &ShardCore) {
        if self.used == self.fetched
            && let Some(db) = self.db
        {
            let group = &self.hashes[self.fetched..];
            let group = &group[..group.len().min(WARMED)];
            core.space.store.warm_for_insert(db, group);
            self.fetched += group.len();
        }
        self.used += 1;
    }
}

enum Failure {
    Rdb(damselfly_snapshot::RdbError),
    Data(DataError),
}

/// Puts a complete entry into its shard, or notes that it was passed over.
#[inline]
pub(super) fn keep(
    core: &mut ShardCore,
    engine: &Engine,
    assembled: Assembled<'_>,
) -> Result<(), DataError> {
    match assembled {
        Assembled::Entry {
            db,
            key,
            value,
            expire_ms,
            used,
        } => {
            let db: DbIndex = known_db(db, engine.options.dbnum)?;
            core.space.load(db, key, value, expire_ms, used);
        }
        Assembled::Skipped {
            db,
            key,
            type_byte,
            reason,
        } => passed_over(engine, db, key, type_byte, reason),
    }
    Ok(())
}

/// Notes an entry that was left out.
#[cold]
pub(super) fn passed_over(
    engine: &Engine,
    db: u32,
    key: &[u8],
    type_byte: u8,
    reason: Option<damselfly_snapshot::BuildError>,
) {
    match reason {
        Some(reason) => {
            let why = format!("type {type_byte} ({}): {reason}", type_name(type_byte));
            engine.skipped.key(db, key, why);
        }
        None => {
            tracing::warn!(db, key = %key.escape_ascii(), "an empty collection was left out");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stream_announces_is_bounded_once_for_all_its_databases() {
        let mut room = MOST_ANNOUNCED;
        let asked = [1000, u64::MAX, MOST_ANNOUNCED, 1];
        let all = asked.map(|keys| granted(&mut room, keys));
        assert_eq!(all, [1000, MOST_ANNOUNCED - 1000, 0, 0]);
    }

    #[test]
    fn a_database_is_announced_to_a_shard_once() {
        let mut batch = Batch::default();
        for (db, keys) in [(1, 5), (2, 7), (1, 1)] {
            batch.announce(DbIndex(db), keys);
        }
        assert_eq!(batch.announced, [(DbIndex(1), 6), (DbIndex(2), 7)]);
    }
}
