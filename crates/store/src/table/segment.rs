//! A segment: a fixed range of hashes and the buckets that hold it.
//!
//! ```text
//! hash    depth bits: which segment | 16 bits: which home bucket, in the order of hashes | … | 8 bits: fingerprint
//! buckets homes (4 to 48), then stash buckets (4)
//! ```
//! An entry stands in its home bucket, in the next one ("displaced"), or in the stash. A segment grows in
//! steps of about a quarter, which keeps buckets full, and splits when it is at its largest.

use super::bucket::{Bits, BucketCold, BucketIndex, SLOTS, Slot};
use super::hash::TableHasher;
use crate::UnixMs;
use crate::compact::Key;
use std::mem::{size_of, take};

/// Home buckets of a segment, from its first to its last size.
const SIZES: [usize; 7] = [4, 8, 16, 24, 30, 38, 48];
/// Home buckets of the largest segment.
const HOMES_MAX: usize = SIZES[SIZES.len() - 1];
/// Stash buckets of a segment, and how many are added where it can't split.
const STASH: usize = 4;
/// A new half of a split segment is at most this full (in percent), so that it does not grow again at once.
const FILL_AFTER_SPLIT: usize = 80;
/// Bits of the hash that choose the home bucket.
const HOME_BITS: u32 = 16;
/// The deepest segment: its bits, those of the home bucket and those of the fingerprint must not overlap.
pub(crate) const DEPTH_MAX: u32 = 32;

/// Where an entry stands in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bucket: usize,
    pub(crate) slot: usize,
}

/// How a new entry gets in. Says exactly which buckets change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Into a free slot of this bucket.
    Put(usize),
    /// Into the slot of an entry that moves to its other bucket.
    Displace { from: Place, to: usize },
    /// The segment must grow or split first: every bucket changes.
    Grow,
}

impl Plan {
    /// The buckets that change; none for [`Plan::Grow`], where all of the segment do.
    #[inline]
    pub(crate) fn buckets(self) -> impl Iterator<Item = usize> {
        let (first, second) = match self {
            Plan::Put(bucket) => (Some(bucket), None),
            Plan::Displace { from, to } => (Some(from.bucket), Some(to)),
            Plan::Grow => (None, None),
        };
        first.into_iter().chain(second)
    }
}

/// A range of hashes with its entries.
#[derive(Default)]
pub(crate) struct Segment {
    /// The first hash of the range.
    pub(crate) start: u64,
    /// How many top bits all hashes of the range share.
    pub(crate) depth: u32,
    /// Entries.
    pub(crate) len: usize,
    /// Entries with an expiry time.
    pub(crate) expiring: usize,
    /// Changes whenever entries may have changed their buckets all at once.
    pub(crate) generation: u64,
    homes: usize,
    /// Buckets that have an array of expiry times.
    expiry_arrays: usize,
    index: Box<[BucketIndex]>,
    cold: Box<[BucketCold]>,
    slots: Box<[Slot]>,
}

impl Segment {
    /// A segment without buckets.
    pub(crate) fn empty(start: u64, depth: u32, generation: u64) -> Segment {
        Segment {
            start,
            depth,
            generation,
            ..Segment::default()
        }
    }

    fn with_buckets(start: u64, depth: u32, shape: Shape, stamp: Stamp) -> Segment {
        let buckets = shape.homes + shape.stash;
        let cold = |_| BucketCold::new(stamp.version);
        Segment {
            start,
            depth,
            len: 0,
            expiring: 0,
            expiry_arrays: 0,
            generation: stamp.generation,
            homes: shape.homes,
            index: vec![BucketIndex::default(); buckets].into(),
            cold: (0..buckets).map(cold).collect(),
            slots: (0..buckets * SLOTS).map(|_| Slot::default()).collect(),
        }
    }

    /// Bytes of this struct, its buckets and their arrays of expiry times.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        let bucket = size_of::<BucketIndex>() + size_of::<BucketCold>() + SLOTS * size_of::<Slot>();
        size_of::<Segment>()
            + self.index.len() * bucket
            + self.expiry_arrays * BucketCold::EXPIRY_BYTES
    }

    /// The first hash behind the range; 0 at the end of all hashes.
    pub(crate) fn end(&self) -> u64 {
        if self.depth == 0 {
            0
        } else {
            self.start.wrapping_add(1 << (64 - self.depth))
        }
    }

    /// Home and stash buckets.
    #[inline]
    pub(crate) fn buckets(&self) -> usize {
        self.index.len()
    }

    /// Home buckets.
    pub(crate) fn homes(&self) -> usize {
        self.homes
    }

    /// Whether there is no bucket yet, or no more.
    #[inline]
    pub(crate) fn is_released(&self) -> bool {
        self.homes == 0
    }

    /// The home bucket of `hash`, which must lie in the range; homes ascend with hashes.
    #[inline]
    pub(crate) fn home(&self, hash: u64) -> usize {
        let position = (hash << self.depth) >> (64 - HOME_BITS);
        (position as usize * self.homes) >> HOME_BITS
    }

    /// The lowest hash whose home is `home`; the end of the range for the number of homes.
    pub(crate) fn home_start(&self, home: usize) -> u64 {
        if home >= self.homes {
            return self.end();
        }
        let position = (home << HOME_BITS).div_ceil(self.homes) as u64;
        self.start | (position << (64 - HOME_BITS)) >> self.depth
    }

    #[inline]
    fn next_home(&self, home: usize) -> usize {
        if home + 1 == self.homes { 0 } else { home + 1 }
    }

    fn previous_home(&self, home: usize) -> usize {
        if home == 0 { self.homes - 1 } else { home - 1 }
    }

    #[inline]
    pub(crate) fn index(&self, bucket: usize) -> &BucketIndex {
        &self.index[bucket]
    }

    #[inline]
    pub(crate) fn version(&self, bucket: usize) -> u64 {
        self.cold[bucket].version
    }

    pub(crate) fn set_version(&mut self, bucket: usize, version: u64) {
        self.cold[bucket].version = version;
    }

    #[inline]
    pub(crate) fn slot(&self, place: Place) -> &Slot {
        &self.slots[place.bucket * SLOTS + place.slot]
    }

    #[inline]
    pub(crate) fn slot_mut(&mut self, place: Place) -> &mut Slot {
        &mut self.slots[place.bucket * SLOTS + place.slot]
    }

    /// The expiry time of the entry at `place`.
    #[inline]
    pub(crate) fn expiry(&self, place: Place) -> Option<UnixMs> {
        let expires = self.index[place.bucket].expiring >> place.slot & 1 == 1;
        expires.then(|| self.cold[place.bucket].expiry(place.slot))
    }

    /// Sets or clears an expiry time.
    pub(crate) fn set_expiry(&mut self, place: Place, at: Option<UnixMs>) {
        let bit = 1u16 << place.slot;
        let (index, cold) = (&mut self.index[place.bucket], &mut self.cold[place.bucket]);
        self.expiring -= usize::from(index.expiring & bit != 0);
        index.expiring &= !bit;
        if let Some(at) = at {
            index.expiring |= bit;
            self.expiring += 1;
            self.expiry_arrays += usize::from(cold.set_expiry(place.slot, at));
        } else if index.expiring == 0 && cold.drop_expiry() {
            self.expiry_arrays -= 1;
        }
    }

    /// Finds `key`: one or two buckets, and stash buckets only where the home bucket says so.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        if self.is_released() {
            return None;
        }
        let home = self.home(hash);
        let fingerprint = hash as u8;
        let index = &self.index[home];
        if let Some(place) =
            self.find_among(home, index.matches(fingerprint) & !index.displaced, key)
        {
            return Some(place);
        }
        let next = self.next_home(home);
        let neighbor = &self.index[next];
        if let Some(place) = self.find_among(
            next,
            neighbor.matches(fingerprint) & neighbor.displaced,
            key,
        ) {
            return Some(place);
        }
        if index.overflows() {
            self.find_in_stash(home, fingerprint, key)
        } else {
            None
        }
    }

    #[inline]
    fn find_among(&self, bucket: usize, candidates: u16, key: &[u8]) -> Option<Place> {
        Bits(candidates)
            .map(|slot| Place { bucket, slot })
            .find(|&place| self.slot(place).key.is(key))
    }

    #[inline(never)]
    fn find_in_stash(&self, home: usize, fingerprint: u8, key: &[u8]) -> Option<Place> {
        let index = &self.index[home];
        (self.homes..self.buckets())
            .filter(|bucket| index.overflows_to(bucket - self.homes))
            .find_map(|bucket| {
                self.find_among(bucket, self.index[bucket].matches(fingerprint), key)
            })
    }

    /// How an entry with this hash, which is not there yet, would get in.
    #[inline]
    pub(crate) fn plan(&self, hash: u64) -> Plan {
        if self.is_released() {
            return Plan::Grow;
        }
        let home = self.home(hash);
        let next = self.next_home(home);
        let (used, used_next) = (self.index[home].len(), self.index[next].len());
        if used.min(used_next) < SLOTS {
            return Plan::Put(if used <= used_next { home } else { next });
        }
        self.plan_displacement(home, next)
            .or_else(|| self.plan_stash())
            .unwrap_or(Plan::Grow)
    }

    /// Both buckets are full: an entry of the second that could stand one further, or one of the first that could go home.
    fn plan_displacement(&self, home: usize, next: usize) -> Option<Plan> {
        let further = self.next_home(next);
        let at_home = self.index[next].used & !self.index[next].displaced;
        if at_home != 0 && self.index[further].len() < SLOTS {
            let from = Place {
                bucket: next,
                slot: at_home.trailing_zeros() as usize,
            };
            return Some(Plan::Displace { from, to: further });
        }
        let before = self.previous_home(home);
        let displaced = self.index[home].displaced;
        if displaced != 0 && self.index[before].len() < SLOTS {
            let from = Place {
                bucket: home,
                slot: displaced.trailing_zeros() as usize,
            };
            return Some(Plan::Displace { from, to: before });
        }
        None
    }

    fn plan_stash(&self) -> Option<Plan> {
        (self.homes..self.buckets())
            .find(|&bucket| self.index[bucket].len() < SLOTS)
            .map(Plan::Put)
    }

    /// Carries out a plan made for this hash and the present state; not [`Plan::Grow`]. The answer is the place of the entry.
    pub(crate) fn put(&mut self, plan: Plan, hash: u64, entry: Slot) -> Place {
        let bucket = match plan {
            Plan::Put(bucket) => bucket,
            Plan::Displace { from, to } => {
                self.relocate(from, to);
                from.bucket
            }
            Plan::Grow => unreachable!("the caller grows the segment and plans again"),
        };
        let slot = self.index[bucket]
            .free_slot()
            .expect("the plan names a bucket with room");
        self.occupy(Place { bucket, slot }, hash, entry)
    }

    fn occupy(&mut self, place: Place, hash: u64, entry: Slot) -> Place {
        let home = self.home(hash);
        let stashed = place.bucket >= self.homes;
        if stashed {
            self.index[home].count_overflow(place.bucket - self.homes);
        }
        self.index[place.bucket].occupy(place.slot, hash as u8, !stashed && place.bucket != home);
        *self.slot_mut(place) = entry;
        self.len += 1;
        place
    }

    /// Moves an entry between its two buckets.
    fn relocate(&mut self, from: Place, to: usize) {
        let slot = self.index[to]
            .free_slot()
            .expect("the plan names a bucket with room");
        let at = self.expiry(from);
        self.set_expiry(from, None);
        let source = &mut self.index[from.bucket];
        let (fingerprint, displaced) = (
            source.fingerprint(from.slot),
            source.displaced >> from.slot & 1 == 1,
        );
        source.vacate(from.slot);
        let entry = take(self.slot_mut(from));
        let place = Place { bucket: to, slot };
        self.index[to].occupy(slot, fingerprint, !displaced);
        *self.slot_mut(place) = entry;
        if at.is_some() {
            self.set_expiry(place, at);
        }
    }

    /// Takes the entry with this hash out of its place. Its expiry time must have been cleared.
    pub(crate) fn take(&mut self, place: Place, hash: u64) -> Slot {
        if place.bucket >= self.homes {
            let home = self.home(hash);
            self.index[home].uncount_overflow(place.bucket - self.homes);
        }
        self.index[place.bucket].vacate(place.slot);
        self.len -= 1;
        take(self.slot_mut(place))
    }

    /// Visits the places of all entries that are at home in `home`, wherever they stand.
    pub(crate) fn of_home(&self, home: usize, hasher: &TableHasher, visit: &mut dyn FnMut(Place)) {
        let next = self.next_home(home);
        let index = &self.index[home];
        Bits(index.used & !index.displaced).for_each(|slot| visit(Place { bucket: home, slot }));
        Bits(self.index[next].displaced).for_each(|slot| visit(Place { bucket: next, slot }));
        for bucket in
            (self.homes..self.buckets()).filter(|bucket| index.overflows_to(bucket - self.homes))
        {
            let places = Bits(self.index[bucket].used).map(|slot| Place { bucket, slot });
            places
                .filter(|&place| self.home(hasher.hash(self.slot(place).key.as_bytes())) == home)
                .for_each(&mut *visit);
        }
    }

    /// Whether the segment is at its last size.
    pub(crate) fn is_largest(&self) -> bool {
        self.homes >= HOMES_MAX
    }

    /// Whether freeing the buckets of the segment, now that it is empty, is worth while.
    pub(crate) fn is_releasable(&self) -> bool {
        self.len == 0 && (self.depth > 0 || self.homes > SIZES[0])
    }

    /// The same entries in the next larger segment.
    pub(crate) fn enlarged(mut self, stamp: Stamp, hasher: &TableHasher) -> Segment {
        let mut larger = Segment::with_buckets(self.start, self.depth, self.next_shape(), stamp);
        self.drain(
            |key| hasher.hash(key.as_bytes()),
            |hash, entry, at| larger.put_anyhow(hash, entry, at, hasher),
        );
        larger
    }

    /// The entries in two segments, of the lower and the upper half of the range.
    pub(crate) fn split(mut self, stamps: [Stamp; 2], hasher: &TableHasher) -> [Segment; 2] {
        let depth = self.depth + 1;
        let upper_bit = 1u64 << (64 - depth);
        let shape = Shape::for_entries(self.len / 2);
        let mut halves = [
            Segment::with_buckets(self.start, depth, shape, stamps[0]),
            Segment::with_buckets(self.start | upper_bit, depth, shape, stamps[1]),
        ];
        self.drain(
            |key| hasher.hash(key.as_bytes()),
            |hash, entry, at| {
                halves[usize::from(hash & upper_bit != 0)].put_anyhow(hash, entry, at, hasher)
            },
        );
        halves
    }

    /// Puts an entry in, growing as often as it takes.
    fn put_anyhow(&mut self, hash: u64, entry: Slot, at: Option<UnixMs>, hasher: &TableHasher) {
        let mut plan = self.plan(hash);
        while plan == Plan::Grow {
            let stamp = Stamp {
                version: self.version(0),
                generation: self.generation,
            };
            *self = take(self).enlarged(stamp, hasher);
            plan = self.plan(hash);
        }
        let place = self.put(plan, hash, entry);
        if at.is_some() {
            self.set_expiry(place, at);
        }
    }

    fn drain(
        &mut self,
        hash: impl Fn(&Key) -> u64,
        mut accept: impl FnMut(u64, Slot, Option<UnixMs>),
    ) {
        for bucket in 0..self.buckets() {
            for slot in Bits(self.index[bucket].used) {
                let place = Place { bucket, slot };
                let at = self.expiry(place);
                let entry = take(self.slot_mut(place));
                accept(hash(&entry.key), entry, at);
            }
        }
    }

    fn next_shape(&self) -> Shape {
        match SIZES.iter().find(|&&size| size > self.homes) {
            Some(&homes) => Shape {
                homes,
                stash: STASH,
            },
            None => Shape {
                homes: self.homes,
                stash: self.buckets() - self.homes + STASH,
            },
        }
    }

    /// Takes all entries of a bucket, for freeing. The segment is of no other use afterwards.
    pub(crate) fn dismantle(&mut self, bucket: usize, freed: &mut dyn FnMut(Slot)) {
        for slot in Bits(take(&mut self.index[bucket].used)) {
            freed(take(self.slot_mut(Place { bucket, slot })));
        }
    }
}

/// What new buckets are stamped with.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    /// The newest cut: what is in the buckets has been served for all observers.
    pub(crate) version: u64,
    /// The generation of the segment.
    pub(crate) generation: u64,
}

#[derive(Clone, Copy)]
struct Shape {
    homes: usize,
    stash: usize,
}

impl Shape {
    fn for_entries(entries: usize) -> Shape {
        let fits = |homes: &usize| (homes + STASH) * SLOTS * FILL_AFTER_SPLIT >= entries * 100;
        Shape {
            homes: SIZES.into_iter().find(fits).unwrap_or(HOMES_MAX),
            stash: STASH,
        }
    }
}
