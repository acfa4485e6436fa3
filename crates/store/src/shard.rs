//! [`Shard`]: all databases of one shard, and the one place through which they change.

use crate::UnixMs;
use crate::access::Access;
use crate::compact::{Key, KeyProbe};
use crate::db::{BucketId, BucketView, Db, DbIndex, EntryMut, EntryRef};
use crate::flushed::Flushed;
use crate::memory::MemoryByKind;
use crate::observers::{CutVersion, Observer, ObserverId, Observers};
use crate::table::{Location, Plan, Slot, TableHasher, TableId, WalkCursor};
use crate::value::Value;
use crate::values::Item;

/// How a shard is made.
#[derive(Clone, Copy, Debug)]
pub struct ShardOptions {
    /// How many databases there are.
    pub dbnum: u16,
    /// Seed of the hash inside the tables; random in a server, so that nobody can choose keys that collide.
    pub hash_seed: u64,
}

impl Default for ShardOptions {
    fn default() -> ShardOptions {
        ShardOptions {
            dbnum: 16,
            hash_seed: 0,
        }
    }
}

/// What a write is going to do to a key, for [`Shard::prepare`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Change, remove or set the expiry of the entry, if it is there.
    Update,
    /// Change or replace the entry, or add it if it is not there.
    Insert,
}

/// Which entries a sample is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// All.
    All,
    /// Those with an expiry time.
    Expiring,
}

/// All databases of one shard. Every method that takes a [`DbIndex`] panics if it is not below [`Shard::dbnum`].
///
/// Reads are physical: expired entries are there until somebody removes them. Every change first serves the
/// observers: each sees every bucket once, as it was at its cut.
pub struct Shard {
    dbs: Vec<Db>,
    hasher: TableHasher,
    observers: Observers,
    last_table: u64,
    /// The clock of uses, in seconds.
    now_s: u32,
}

impl Shard {
    /// A shard with empty databases.
    pub fn new(options: ShardOptions) -> Shard {
        let mut shard = Shard {
            dbs: Vec::new(),
            hasher: TableHasher::new(options.hash_seed),
            observers: Observers::default(),
            last_table: 0,
            now_s: 0,
        };
        shard.dbs = (0..options.dbnum).map(|_| shard.new_db()).collect();
        shard
    }

    fn new_db(&mut self) -> Db {
        self.last_table += 1;
        Db::new(TableId(self.last_table))
    }

    /// Sets the time that new and replaced entries are marked with, in seconds since any point.
    #[inline]
    pub fn set_access_clock(&mut self, now_s: u32) {
        self.now_s = now_s;
    }

    /// The time set last.
    #[inline]
    pub fn access_clock(&self) -> u32 {
        self.now_s
    }

    /// How many databases there are.
    pub fn dbnum(&self) -> u16 {
        self.dbs.len() as u16
    }

    #[inline]
    fn db(&self, db: DbIndex) -> &Db {
        &self.dbs[db.0 as usize]
    }

    #[inline]
    fn db_mut(&mut self, db: DbIndex) -> &mut Db {
        &mut self.dbs[db.0 as usize]
    }

    /// The hash of a key inside the tables of this shard (not the one that places keys on shards).
    #[inline]
    pub fn hash_of(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    #[inline]
    fn find(&self, db: DbIndex, key: &[u8]) -> Option<Location> {
        self.db(db)
            .table
            .find(self.hash_of(key), &KeyProbe::new(key))
    }

    /// The entry of a key, expired or not.
    #[inline]
    pub fn get(&self, db: DbIndex, key: &[u8]) -> Option<EntryRef<'_>> {
        self.find(db, key)
            .map(|location| self.db(db).entry(location))
    }

    /// Whether there is an entry, expired or not.
    pub fn contains(&self, db: DbIndex, key: &[u8]) -> bool {
        self.find(db, key).is_some()
    }

    /// Brings what reads of these keys need into the processor's cache. Worth while before a batch of commands (a
    /// pipeline) on a big database: the waits for memory overlap instead of adding up. Changes nothing.
    pub fn warm(&self, db: DbIndex, keys: &[&[u8]]) {
        self.db(db).table.warm(&self.hasher, keys);
    }

    /// [`Shard::warm`] for keys that are to be inserted, and mostly not there yet, by their [hashes](Shard::hash_of): what they will be written to
    /// is fetched, too.
    pub fn warm_for_insert(&self, db: DbIndex, hashes: &[u64]) {
        self.db(db).table.warm_for_insert(hashes);
    }

    /// Makes room for so many entries of an empty database at once: they find their places without growth. What is not used of it costs
    /// about 9 bytes an entry. A database with entries stays as it is.
    pub fn reserve(&mut self, db: DbIndex, entries: usize) {
        let version = self.observers.last_cut();
        self.db_mut(db).table.reserve(entries, version);
    }

    /// The entry of a key, to change its value.
    #[inline]
    pub fn get_mut(&mut self, db: DbIndex, key: &[u8]) -> Option<EntryMut<'_>> {
        let location = self.find(db, key)?;
        self.before_change(db, location.segment, location.place.bucket);
        Some(self.db_mut(db).entry_mut(location))
    }

    /// Adds or replaces the entry of a key; its expiry time becomes exactly `expire_at`. The answer is the value replaced.
    #[inline]
    pub fn insert(
        &mut self,
        db: DbIndex,
        key: &[u8],
        value: Value,
        expire_at: Option<UnixMs>,
    ) -> Option<Value> {
        let hash = self.hash_of(key);
        let Some(location) = self.db(db).table.find(hash, &KeyProbe::new(key)) else {
            self.insert_new(db, hash, key, value, expire_at);
            return None;
        };
        self.before_change(db, location.segment, location.place.bucket);
        let now_s = self.now_s;
        let db = self.db_mut(db);
        let access = db.table.access(location);
        access.set(access.get().at(now_s));
        db.table.set_expiry(location, expire_at);
        Some(db.replace(location, value))
    }

    /// The entry of a key to change, made with `make` (and without an expiry time) if there was none. True if it was made.
    pub fn upsert(
        &mut self,
        db: DbIndex,
        key: &[u8],
        make: impl FnOnce() -> Value,
    ) -> (EntryMut<'_>, bool) {
        let hash = self.hash_of(key);
        let found = self.db(db).table.find(hash, &KeyProbe::new(key));
        let location = match found {
            Some(location) => {
                self.before_change(db, location.segment, location.place.bucket);
                location
            }
            None => self.insert_new(db, hash, key, make(), None),
        };
        (self.db_mut(db).entry_mut(location), found.is_none())
    }

    fn insert_new(
        &mut self,
        db: DbIndex,
        hash: u64,
        key: &[u8],
        value: Value,
        expire_at: Option<UnixMs>,
    ) -> Location {
        let (segment, plan) = self.plan_served(db, hash);
        let access = Access::new(self.now_s);
        let db = self.db_mut(db);
        let location = db.put(
            segment,
            plan,
            hash,
            Slot {
                key: Key::new(key),
                value,
            },
            access,
        );
        if expire_at.is_some() {
            db.table.set_expiry(location, expire_at);
        }
        location
    }

    /// Makes room for a new entry and serves the buckets that it will change.
    #[inline]
    fn plan_served(&mut self, db: DbIndex, hash: u64) -> (usize, Plan) {
        let Shard {
            dbs,
            hasher,
            observers,
            ..
        } = self;
        let table = &mut dbs[db.0 as usize].table;
        loop {
            let (segment, plan) = table.plan(hash);
            if plan == Plan::Grow {
                observers.serve_segment(db, table, segment);
                table.grow(segment, observers.last_cut(), hasher);
                continue;
            }
            if !observers.is_empty() {
                plan.buckets()
                    .for_each(|bucket| observers.serve(db, table, segment, bucket));
            }
            return (segment, plan);
        }
    }

    /// Removes an entry; the answer is what it was.
    pub fn remove(&mut self, db: DbIndex, key: &[u8]) -> Option<(Value, Option<UnixMs>)> {
        let hash = self.hash_of(key);
        let location = self.db(db).table.find(hash, &KeyProbe::new(key))?;
        self.before_change(db, location.segment, location.place.bucket);
        Some(self.db_mut(db).take(location, hash))
    }

    /// Sets or clears the expiry time of an entry; false if there is none.
    pub fn set_expiry(&mut self, db: DbIndex, key: &[u8], expire_at: Option<UnixMs>) -> bool {
        let Some(location) = self.find(db, key) else {
            return false;
        };
        self.before_change(db, location.segment, location.place.bucket);
        self.db_mut(db).table.set_expiry(location, expire_at);
        true
    }

    /// Visits the entries of one logical bucket, expired ones included, and gives the next cursor. 0 begins and ends.
    ///
    /// A cursor is below 2^48; the bits above are the caller's, and ignored here. Whatever was there from the call with 0 to the call that
    /// answered 0 is visited at least once, however the table grew meanwhile.
    pub fn scan(&self, db: DbIndex, cursor: u64, visit: &mut dyn FnMut(EntryRef<'_>)) -> u64 {
        let db = self.db(db);
        db.table.scan(cursor, &self.hasher, &mut |location| {
            visit(db.entry(location))
        })
    }

    /// A random entry, expired or not; nearly uniform.
    pub fn random(&self, db: DbIndex, rng: &mut dyn FnMut() -> u64) -> Option<EntryRef<'_>> {
        let db = self.db(db);
        db.table.random(rng).map(|location| db.entry(location))
    }

    /// Visits up to `count` entries, expired or not, from a random place on.
    pub fn sample(
        &self,
        db: DbIndex,
        among: Among,
        count: usize,
        rng: &mut dyn FnMut() -> u64,
        visit: &mut dyn FnMut(EntryRef<'_>),
    ) {
        let db = self.db(db);
        db.table
            .sample(among, count, rng, &mut |location| visit(db.entry(location)));
    }

    /// Looks through about `buckets` buckets for entries that expired at `now` or before, adds their keys to `found`, and gives
    /// the next cursor. 0 begins and ends.
    pub fn expiring_slice(
        &self,
        db: DbIndex,
        cursor: u64,
        buckets: usize,
        now: UnixMs,
        found: &mut Vec<Key>,
    ) -> u64 {
        let table = &self.db(db).table;
        table.expiring_slice(cursor, buckets, &mut |location, at| {
            if at <= now {
                found.push(table.slot(location).key.clone());
            }
        })
    }

    /// Entries of a database, expired ones included.
    pub fn len(&self, db: DbIndex) -> usize {
        self.db(db).table.len()
    }

    /// Whether a database has no entry.
    pub fn is_empty(&self, db: DbIndex) -> bool {
        self.len(db) == 0
    }

    /// Entries of a database that have an expiry time.
    pub fn expires_len(&self, db: DbIndex) -> usize {
        self.db(db).table.expiring()
    }

    /// Values of a database that have fields or members with expiry times.
    pub fn timed_len(&self, db: DbIndex) -> usize {
        self.db(db).timed().len()
    }

    /// Of the values of a database that have fields or members with expiry times, in the order of the first of them, the one at `rank`: its key, and
    /// when its first element expires.
    pub fn timed_at(&self, db: DbIndex, rank: usize) -> Option<(Item<'_>, UnixMs)> {
        let (key, at) = self.db(db).timed().by_rank(rank)?;
        Some((key, at as UnixMs))
    }

    /// The memory of a database.
    pub fn memory(&self, db: DbIndex) -> MemoryByKind {
        self.db(db).memory()
    }

    /// The memory of all databases, in bytes: tables, keys and values.
    pub fn used_memory(&self) -> usize {
        self.dbs.iter().map(|db| db.memory().total()).sum()
    }

    /// Bytes of slots that have been made and hold no entry: the next ones take them.
    pub fn free_slots_memory(&self) -> usize {
        self.dbs.iter().map(|db| db.table.free_bytes()).sum()
    }

    /// Empties one database or all. What was in them is to be freed by the caller, in slices if it likes. Observers are not
    /// called: what they have not seen of a flushed table they never will.
    pub fn flush(&mut self, db: Option<DbIndex>) -> Flushed {
        let range = match db {
            Some(DbIndex(db)) => db as usize..db as usize + 1,
            None => 0..self.dbs.len(),
        };
        let mut tables = Vec::new();
        for index in range {
            let fresh = self.new_db();
            tables.push(std::mem::replace(&mut self.dbs[index], fresh).table);
        }
        Flushed::new(tables)
    }

    /// Exchanges two databases, in O(1). Views of buckets show the new index from now on; see [`Shard::table`].
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        self.dbs.swap(a.0 as usize, b.0 as usize);
    }

    /// The table that a database is at the moment. A walk goes over tables: databases may be swapped meanwhile.
    pub fn table(&self, db: DbIndex) -> TableId {
        self.db(db).table.id()
    }

    /// The database that a table is at the moment; none once it was flushed.
    pub fn db_of(&self, table: TableId) -> Option<DbIndex> {
        self.dbs
            .iter()
            .position(|db| db.table.id() == table)
            .map(|db| DbIndex(db as u16))
    }

    /// Makes a cut, the newest one, and registers who observes it.
    pub fn register_observer(&mut self, observer: Box<dyn Observer>) -> (ObserverId, CutVersion) {
        self.observers.register(observer)
    }

    /// Ends an observation and gives the observer back.
    pub fn remove_observer(&mut self, id: ObserverId) -> Option<Box<dyn Observer>> {
        self.observers.remove(id)
    }

    /// Whether anybody observes.
    pub fn is_observed(&self) -> bool {
        !self.observers.is_empty()
    }

    #[inline]
    fn before_change(&mut self, db: DbIndex, segment: usize, bucket: usize) {
        if !self.observers.is_empty() {
            self.observers
                .serve(db, &mut self.dbs[db.0 as usize].table, segment, bucket);
        }
    }

    /// Visits the buckets that a write to `key` would change, and that somebody who observes has not seen.
    /// If the segment must grow for it, those are all of its buckets.
    pub fn prepare(
        &self,
        db: DbIndex,
        key: &[u8],
        intent: Intent,
        visit: &mut dyn FnMut(BucketView<'_>),
    ) {
        if self.observers.is_empty() {
            return;
        }
        let hash = self.hash_of(key);
        let table = &self.db(db).table;
        let mut visit_unseen = |segment: usize, bucket: usize| {
            let view = BucketView::new(
                db,
                table,
                BucketId {
                    db,
                    segment,
                    bucket,
                },
            );
            if view.version().0 < self.observers.newest() && !view.is_empty() {
                visit(view);
            }
        };
        match (table.find(hash, &KeyProbe::new(key)), intent) {
            (Some(location), _) => visit_unseen(location.segment, location.place.bucket),
            (None, Intent::Update) => {}
            (None, Intent::Insert) => match table.plan(hash) {
                (segment, Plan::Grow) => (0..table.segment(segment).buckets())
                    .for_each(|bucket| visit_unseen(segment, bucket)),
                (segment, plan) => plan
                    .buckets()
                    .for_each(|bucket| visit_unseen(segment, bucket)),
            },
        }
    }

    /// The next bucket with entries of a walk over the physical buckets of a database, and where to go on; none at the end.
    ///
    /// Between two calls the table may change in any way: a segment that grew is walked again from its first bucket, whose versions
    /// tell that they have been served; none is left out. Walk by [`Shard::table`] where databases may be swapped.
    pub fn walk_next(
        &self,
        db: DbIndex,
        cursor: WalkCursor,
    ) -> Option<(BucketView<'_>, WalkCursor)> {
        let table = &self.db(db).table;
        let (segment, bucket, next) = table.walk_next(cursor)?;
        Some((
            BucketView::new(
                db,
                table,
                BucketId {
                    db,
                    segment,
                    bucket,
                },
            ),
            next,
        ))
    }

    /// Calls the observers that have not seen this bucket, oldest cut first, and stamps it: how a walk serves it. A bucket that is
    /// no longer there is passed over.
    pub fn serialize_bucket(&mut self, id: BucketId) {
        let Some(Db { table, .. }) = self.dbs.get_mut(id.db.0 as usize) else {
            return;
        };
        if id.segment < table.segment_count() && id.bucket < table.segment(id.segment).buckets() {
            self.observers.serve(id.db, table, id.segment, id.bucket);
        }
    }
}

#[cfg(test)]
mod scan_tests;
