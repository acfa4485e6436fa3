//! A database of a shard, and the views of its entries and buckets that are lent out.

use crate::UnixMs;
use crate::access::Access;
use crate::compact::Key;
use crate::memory::MemoryByKind;
use crate::observers::CutVersion;
use crate::table::{
    Bits, BucketCold, BucketIndex, Location, Place, Plan, SLOTS, Segment, Slot, Table, TableId,
};
use crate::value::{Kind, Value};
use crate::values::ZSet;
use std::cell::Cell;
use std::fmt;
use std::mem::{size_of, size_of_val};
use std::ops::{Deref, DerefMut};

/// The number of a database, as SELECT takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DbIndex(pub u16);

/// A table and what its keys and values use.
pub(crate) struct Db {
    pub(crate) table: Table,
    /// Without [`MemoryByKind::table`], which the table knows.
    usage: MemoryByKind,
    timed: Timed,
}

/// Keys of values that have fields or members with expiry times, each with the first of its times (milliseconds are exact in a score).
#[derive(Default)]
pub(crate) struct Timed(ZSet);

impl Timed {
    /// The value of a key has changed.
    #[inline]
    fn note(&mut self, key: &Key, before: Option<UnixMs>, after: Option<UnixMs>) {
        if before != after {
            self.move_key(key, after);
        }
    }

    #[cold]
    fn move_key(&mut self, key: &Key, after: Option<UnixMs>) {
        match after {
            Some(at) => _ = self.0.insert(key.as_bytes(), at as f64),
            None => _ = self.0.remove(key.as_bytes()),
        }
    }
}

impl Db {
    pub(crate) fn new(id: TableId) -> Db {
        Db {
            table: Table::new(id),
            usage: MemoryByKind::default(),
            timed: Timed::default(),
        }
    }

    /// Keys of values that have fields or members with expiry times, in the order of the first of them.
    pub(crate) fn timed(&self) -> &ZSet {
        &self.timed.0
    }

    pub(crate) fn memory(&self) -> MemoryByKind {
        self.usage
            .with_table(self.table.bytes() + self.timed.0.heap_size())
    }

    #[inline]
    pub(crate) fn entry(&self, location: Location) -> EntryRef<'_> {
        EntryRef::new(self.table.segment(location.segment), location.place)
    }

    pub(crate) fn entry_mut(&mut self, location: Location) -> EntryMut<'_> {
        let expire_at = self.table.expiry(location);
        let (Slot { key, value }, access) = self.table.slot_and_access(location);
        EntryMut {
            kind: value.kind(),
            heap_size: value.heap_size(),
            first_element_expiry: value.first_element_expiry(),
            key,
            value,
            expire_at,
            access,
            usage: &mut self.usage,
            timed: &mut self.timed,
        }
    }

    /// Carries out a plan, not [`Plan::Grow`], with a new entry.
    #[inline]
    pub(crate) fn put(
        &mut self,
        segment: usize,
        plan: Plan,
        hash: u64,
        entry: Slot,
        access: Access,
    ) -> Location {
        self.usage.add_value(&entry.value);
        self.usage.keys += entry.key.heap_size();
        let first_expiry = entry.value.first_element_expiry();
        self.timed.note(&entry.key, None, first_expiry);
        self.table.put(segment, plan, hash, entry, access)
    }

    #[inline]
    pub(crate) fn replace(&mut self, location: Location, value: Value) -> Value {
        let slot = self.table.slot_mut(location);
        self.usage.subtract_value(&slot.value);
        self.usage.add_value(&value);
        let expiries = (
            slot.value.first_element_expiry(),
            value.first_element_expiry(),
        );
        self.timed.note(&slot.key, expiries.0, expiries.1);
        std::mem::replace(&mut slot.value, value)
    }

    pub(crate) fn take(&mut self, location: Location, hash: u64) -> (Value, Option<UnixMs>) {
        let (Slot { key, value }, expire_at) = self.table.take(location, hash);
        self.usage.subtract_value(&value);
        self.usage.keys -= key.heap_size();
        self.timed.note(&key, value.first_element_expiry(), None);
        (value, expire_at)
    }
}

/// An entry to read. Expired entries are entries too: time is the caller's.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    slot: &'a Slot,
    // For what is not asked of every entry.
    segment: &'a Segment,
    place: Place,
}

impl<'a> EntryRef<'a> {
    #[inline]
    pub(crate) fn new(segment: &'a Segment, place: Place) -> EntryRef<'a> {
        EntryRef {
            slot: segment.slot(place),
            segment,
            place,
        }
    }

    /// The key's bytes.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        self.slot.key.as_bytes()
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &'a Value {
        &self.slot.value
    }

    /// When it expires, in milliseconds since the Unix epoch; none if never.
    #[inline]
    pub fn expire_at(&self) -> Option<UnixMs> {
        self.segment.expiry(self.place)
    }

    /// Bytes that it takes: its slot, what stands beside that in its bucket, and what key and value have on the heap.
    pub fn memory(&self) -> usize {
        let expiry = self.expire_at().map_or(0, |at| size_of_val(&at));
        let beside = (size_of::<BucketIndex>() + size_of::<BucketCold>()) / SLOTS;
        let heap = self.slot.key.heap_size() + self.slot.value.heap_size();
        size_of::<Slot>() + beside + expiry + heap
    }

    /// Its last use.
    #[inline]
    pub fn access(&self) -> Access {
        self.segment.access(self.place).get()
    }

    /// Notes a use. That is no change: observers are not called.
    #[inline]
    pub fn set_access(&self, access: Access) {
        self.segment.access(self.place).set(access);
    }

    /// Notes a use at this time, and leaves the count.
    #[inline]
    pub fn used_at(&self, now_s: u32) {
        let cell = self.segment.access(self.place);
        cell.set(cell.get().at(now_s));
    }
}

impl fmt::Debug for EntryRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} = {:?} expires {:?}",
            self.slot.key,
            self.slot.value,
            self.expire_at()
        )
    }
}

/// An entry to change: the observers have seen its bucket. Dereferences to the value; what the change did to the memory
/// is accounted for when this is dropped.
pub struct EntryMut<'a> {
    key: &'a Key,
    value: &'a mut Value,
    expire_at: Option<UnixMs>,
    access: &'a Cell<Access>,
    usage: &'a mut MemoryByKind,
    timed: &'a mut Timed,
    first_element_expiry: Option<UnixMs>,
    kind: Kind,
    heap_size: usize,
}

impl EntryMut<'_> {
    /// The key's bytes.
    pub fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// The value.
    pub fn value(&self) -> &Value {
        self.value
    }

    /// When it expires, in milliseconds since the Unix epoch; none if never. To change it: [`crate::Shard::set_expiry`].
    pub fn expire_at(&self) -> Option<UnixMs> {
        self.expire_at
    }

    /// Its last use.
    #[inline]
    pub fn access(&self) -> Access {
        self.access.get()
    }

    /// Notes a use.
    #[inline]
    pub fn set_access(&self, access: Access) {
        self.access.set(access);
    }
}

impl Deref for EntryMut<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.value
    }
}

impl DerefMut for EntryMut<'_> {
    fn deref_mut(&mut self) -> &mut Value {
        self.value
    }
}

impl Drop for EntryMut<'_> {
    fn drop(&mut self) {
        self.usage.subtract(self.kind, self.heap_size);
        self.usage.add_value(self.value);
        let first = self.value.first_element_expiry();
        self.timed.note(self.key, self.first_element_expiry, first);
    }
}

/// Names a physical bucket. Good until the next change of its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BucketId {
    pub(crate) db: DbIndex,
    pub(crate) segment: usize,
    pub(crate) bucket: usize,
}

impl BucketId {
    /// The database it stands in.
    pub fn db(&self) -> DbIndex {
        self.db
    }
}

/// A physical bucket to read: at most 16 entries.
#[derive(Clone, Copy)]
pub struct BucketView<'a> {
    id: BucketId,
    table: TableId,
    segment: &'a Segment,
}

impl<'a> BucketView<'a> {
    pub(crate) fn new(db: DbIndex, table: &'a Table, id: BucketId) -> BucketView<'a> {
        BucketView {
            id: BucketId { db, ..id },
            table: table.id(),
            segment: table.segment(id.segment),
        }
    }

    /// The database.
    pub fn db(&self) -> DbIndex {
        self.id.db
    }

    /// The table, whichever database it is.
    pub fn table(&self) -> TableId {
        self.table
    }

    /// The bucket's name, for [`crate::Shard::serialize_bucket`].
    pub fn id(&self) -> BucketId {
        self.id
    }

    /// The newest cut that the bucket has been served for: observers with a newer one have not seen it.
    pub fn version(&self) -> CutVersion {
        CutVersion(self.segment.version(self.id.bucket))
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.segment.index(self.id.bucket).len()
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its entries, expired ones included.
    pub fn entries(&self) -> impl Iterator<Item = EntryRef<'a>> + use<'a> {
        let (segment, bucket) = (self.segment, self.id.bucket);
        Bits(segment.index(bucket).used)
            .map(move |slot| EntryRef::new(segment, Place { bucket, slot }))
    }
}
