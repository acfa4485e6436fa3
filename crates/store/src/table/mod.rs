//! The table: extendible hashing over segments of small buckets (Dash: Lu et al., "Dash: Scalable Hashing
//! on Persistent Memory", VLDB 2020), with a version on every bucket.
//!
//! A directory of segment numbers is indexed by the top bits of the hash. Within a segment home buckets
//! ascend with the hash too, so that "all keys below this hash" is a meaningful position: cursors are such
//! positions and survive every growth. What grows is one segment; what doubles is the directory, 4 bytes for
//! some hundred keys.
//!
//! The table does not know observers. Its caller asks for a [`Plan`], serves the buckets that the plan
//! names, then carries it out.

mod bucket;
mod cursor;
mod hash;
mod sample;
mod segment;
mod warm;

pub(crate) use bucket::{Bits, BucketCold, BucketIndex, SLOTS, Slot};
pub use cursor::WalkCursor;
pub(crate) use hash::TableHasher;
pub(crate) use segment::{Place, Plan, Segment};

use crate::UnixMs;
use crate::access::Access;
use crate::compact::KeyProbe;
use segment::{DEPTH_MAX, Stamp};
use std::cell::Cell;
use std::mem::size_of;

/// The directory may hold up to 2 to this power times more numbers than there are segments; a segment that would need
/// more gets further stash buckets instead. Only keys chosen to collide get there.
const DIRECTORY_SLACK_BITS: u32 = 6;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) segment: usize,
    pub(crate) place: Place,
}

/// Generations of a table's segments; above these bits stands the table, so that no two segments of a shard share one.
const GENERATION_BITS: u32 = 40;

/// A table of a shard, whichever database it is at the moment: SWAPDB moves it, a flush ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub(crate) u64);

/// A table of keys and values.
pub(crate) struct Table {
    id: TableId,
    directory: Vec<u32>,
    /// Bits of the hash that index the directory.
    depth: u32,
    #[expect(
        clippy::vec_box,
        reason = "growing this vector must not move the segments themselves"
    )]
    segments: Vec<Box<Segment>>,
    len: usize,
    expiring: usize,
    /// Bytes of all segments.
    bytes: usize,
    /// Buckets that have slots.
    blocks: usize,
    next_generation: u64,
}

impl Table {
    /// An empty table. `id` is unique among the tables of a shard, and not 0.
    pub(crate) fn new(id: TableId) -> Table {
        let first_generation = id.0 << GENERATION_BITS;
        let segment = Segment::empty(0, 0, first_generation);
        Table {
            id,
            directory: vec![0],
            depth: 0,
            len: 0,
            expiring: 0,
            bytes: segment.bytes(),
            blocks: 0,
            segments: vec![Box::new(segment)],
            next_generation: first_generation,
        }
    }

    pub(crate) fn id(&self) -> TableId {
        self.id
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn expiring(&self) -> usize {
        self.expiring
    }

    /// Bytes of the table without what keys and values have on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
            + self.directory.capacity() * size_of::<u32>()
            + self.segments.capacity() * size_of::<Box<Segment>>()
    }

    /// Bytes of slots without an entry.
    pub(crate) fn free_bytes(&self) -> usize {
        (self.blocks * SLOTS - self.len) * size_of::<Slot>()
    }

    pub(crate) fn segment_count(&self) -> usize {
        self.segments.len()
    }

    #[inline]
    pub(crate) fn segment(&self, number: usize) -> &Segment {
        &self.segments[number]
    }

    /// The number of the segment whose range holds `hash`.
    #[inline]
    pub(crate) fn segment_of(&self, hash: u64) -> usize {
        let index = (hash >> 1) >> (63 - self.depth);
        self.directory[index as usize] as usize
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &KeyProbe<'_>) -> Option<Location> {
        let segment = self.segment_of(hash);
        self.segments[segment]
            .find(hash, key)
            .map(|place| Location { segment, place })
    }

    #[inline]
    pub(crate) fn slot(&self, location: Location) -> &Slot {
        self.segments[location.segment].slot(location.place)
    }

    #[inline]
    pub(crate) fn slot_mut(&mut self, location: Location) -> &mut Slot {
        self.segments[location.segment].slot_mut(location.place)
    }

    #[inline]
    pub(crate) fn access(&self, location: Location) -> &Cell<Access> {
        self.segments[location.segment].access(location.place)
    }

    #[inline]
    pub(crate) fn slot_and_access(&mut self, location: Location) -> (&mut Slot, &Cell<Access>) {
        self.segments[location.segment].slot_and_access(location.place)
    }

    #[inline]
    pub(crate) fn expiry(&self, location: Location) -> Option<UnixMs> {
        self.segments[location.segment].expiry(location.place)
    }

    pub(crate) fn set_version(&mut self, segment: usize, bucket: usize, version: u64) {
        self.segments[segment].set_version(bucket, version);
    }

    /// How an entry with this hash, which is not in the table, would get in.
    #[inline]
    pub(crate) fn plan(&self, hash: u64) -> (usize, Plan) {
        let segment = self.segment_of(hash);
        (segment, self.segments[segment].plan(hash))
    }

    /// Changes a segment and keeps the sums.
    #[inline]
    fn change<T>(&mut self, segment: usize, change: impl FnOnce(&mut Segment) -> T) -> T {
        let segment = &mut *self.segments[segment];
        let (len, expiring, bytes) = (segment.len, segment.expiring, segment.bytes());
        let blocks = segment.block_count;
        let result = change(segment);
        self.len = self.len + segment.len - len;
        self.expiring = self.expiring + segment.expiring - expiring;
        self.bytes = self.bytes + segment.bytes() - bytes;
        self.blocks = self.blocks + segment.block_count - blocks;
        result
    }

    /// Puts an entry where [`Table::plan`] said; not for [`Plan::Grow`].
    #[inline]
    pub(crate) fn put(
        &mut self,
        segment: usize,
        plan: Plan,
        hash: u64,
        entry: Slot,
        access: Access,
    ) -> Location {
        let place = self.change(segment, |segment| segment.put(plan, hash, entry, access));
        Location { segment, place }
    }

    pub(crate) fn set_expiry(&mut self, location: Location, at: Option<UnixMs>) {
        if at.is_some() || self.expiry(location).is_some() {
            self.change(location.segment, |segment| {
                segment.set_expiry(location.place, at)
            });
        }
    }

    /// Takes an entry out. A segment that is empty then gives its buckets back.
    pub(crate) fn take(&mut self, location: Location, hash: u64) -> (Slot, Option<UnixMs>) {
        let at = self.expiry(location);
        self.set_expiry(location, None);
        let entry = self.change(location.segment, |segment| {
            segment.take(location.place, hash)
        });
        if self.segments[location.segment].is_releasable() {
            let generation = self.generation();
            self.change(location.segment, |segment| {
                *segment = Segment::empty(segment.start, segment.depth, generation)
            });
        }
        (entry, at)
    }

    /// Makes room in a segment: enlarges or splits it. All its buckets must have been served; new ones get `version`.
    #[inline(never)]
    pub(crate) fn grow(&mut self, segment: usize, version: u64, hasher: &TableHasher) {
        if self.segments[segment].is_largest() && self.may_split(segment) {
            return self.split(segment, version, hasher);
        }
        let stamp = Stamp {
            version,
            generation: self.generation(),
        };
        self.change(segment, |segment| {
            *segment = std::mem::take(segment).enlarged(stamp, hasher)
        });
    }

    /// Makes the segments that so many entries will need, if there is none with buckets yet.
    pub(crate) fn reserve(&mut self, entries: usize, version: u64) {
        let depth = Segment::depth_for(entries);
        let is_new = self.segments.len() == 1 && self.segments[0].is_released();
        if !is_new || depth == 0 {
            return;
        }
        let numbers = 0..1u32 << depth;
        self.segments = numbers
            .clone()
            .map(|number| {
                let stamp = Stamp {
                    version,
                    generation: self.generation(),
                };
                let start = u64::from(number) << (64 - depth);
                Box::new(Segment::reserved(start, depth, entries >> depth, stamp))
            })
            .collect();
        self.bytes = self.segments.iter().map(|segment| segment.bytes()).sum();
        self.directory = numbers.collect();
        self.depth = depth;
    }

    fn may_split(&self, segment: usize) -> bool {
        let depth = self.segments[segment].depth;
        let allowed = self.segments.len().ilog2() + DIRECTORY_SLACK_BITS;
        depth < self.depth || depth < allowed.min(DEPTH_MAX)
    }

    fn split(&mut self, segment: usize, version: u64, hasher: &TableHasher) {
        if self.segments[segment].depth == self.depth {
            self.double_directory();
        }
        let stamps = [(); 2].map(|()| Stamp {
            version,
            generation: self.generation(),
        });
        let number = u32::try_from(self.segments.len()).expect("memory ends before 2^32 segments");
        let old = std::mem::take(&mut *self.segments[segment]);
        let (old_bytes, old_blocks) = (old.bytes(), old.block_count);
        let [lower, upper] = old.split(stamps, hasher);
        self.bytes = self.bytes + lower.bytes() + upper.bytes() - old_bytes;
        self.blocks = self.blocks + lower.block_count + upper.block_count - old_blocks;
        self.point(&upper, number);
        *self.segments[segment] = lower;
        self.segments.push(Box::new(upper));
    }

    fn double_directory(&mut self) {
        self.directory = self
            .directory
            .iter()
            .flat_map(|&number| [number, number])
            .collect();
        self.depth += 1;
    }

    /// Enters a segment in the directory.
    fn point(&mut self, segment: &Segment, number: u32) {
        let first = ((segment.start >> 1) >> (63 - self.depth)) as usize;
        let count = 1usize << (self.depth - segment.depth);
        self.directory[first..first + count].fill(number);
    }

    fn generation(&mut self) -> u64 {
        self.next_generation += 1;
        self.next_generation
    }

    /// Takes the entries of one bucket, or drops one segment that has been emptied so; false when nothing is left. Only for
    /// tables that nobody uses any more. `cursor` starts at 0.
    pub(crate) fn dismantle(&mut self, cursor: &mut usize, freed: &mut dyn FnMut(Slot)) -> bool {
        let Some(segment) = self.segments.last_mut() else {
            return false;
        };
        if *cursor < segment.buckets() {
            self.len -= segment.index(*cursor).len();
            segment.dismantle(*cursor, freed);
            *cursor += 1;
        } else {
            self.segments.pop();
            *cursor = 0;
        }
        true
    }
}

#[cfg(test)]
mod tests;
