//! A segment: a fixed range of hashes and the buckets that hold it.
//!
//! ```text
//! hash    depth bits: which segment | 16 bits: which home bucket, in the order of hashes | … | 8 bits: fingerprint
//! buckets homes (4 to 52), then stash buckets (4)
//! ```
//! An entry stands in its home bucket, in the next one ("displaced"), or in the stash. A segment grows in a few
//! steps between two splits, which keeps buckets at least two thirds full; slots are made where they are needed.

mod growth;

pub(crate) use growth::Stamp;

use super::bucket::{Bits, Block, BucketCold, BucketIndex, SLOTS, Slot};
use super::hash::TableHasher;
use crate::UnixMs;
use crate::access::Access;
use crate::compact::KeyProbe;
use std::cell::Cell;
use std::mem::{size_of, take};

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
#[repr(C, align(64))]
pub(crate) struct Segment {
    // What a lookup reads, and the noting of a use, comes first, in one cache line.
    index: Box<[BucketIndex]>,
    blocks: Box<[Option<Box<Block>>]>,
    cold: Box<[BucketCold]>,
    homes: usize,
    /// How many top bits all hashes of the range share.
    pub(crate) depth: u32,
    /// The first hash of the range.
    pub(crate) start: u64,
    /// Entries.
    pub(crate) len: usize,
    /// Entries with an expiry time.
    pub(crate) expiring: usize,
    /// Changes whenever entries may have changed their buckets all at once.
    pub(crate) generation: u64,
    /// Buckets that have an array of expiry times.
    expiry_arrays: usize,
    /// Buckets that have slots.
    pub(crate) block_count: usize,
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

    /// Bytes of this struct, its buckets and their arrays of expiry times.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        let block_pointer = size_of::<Option<Box<Block>>>();
        let bucket = size_of::<BucketIndex>() + size_of::<BucketCold>() + block_pointer;
        size_of::<Segment>()
            + self.index.len() * bucket
            + self.block_count * size_of::<Block>()
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
        let block = self.blocks[place.bucket].as_ref();
        &block.expect("a bucket with an entry has slots")[place.slot]
    }

    #[inline]
    pub(crate) fn slot_mut(&mut self, place: Place) -> &mut Slot {
        let block = self.blocks[place.bucket].as_mut();
        &mut block.expect("a bucket with an entry has slots")[place.slot]
    }

    /// The last use of the entry at `place`.
    #[inline]
    pub(crate) fn access(&self, place: Place) -> &Cell<Access> {
        self.cold[place.bucket].access(place.slot)
    }

    /// The entry at `place`, to be changed, and its last use.
    #[inline]
    pub(crate) fn slot_and_access(&mut self, place: Place) -> (&mut Slot, &Cell<Access>) {
        let block = self.blocks[place.bucket].as_mut();
        let slot = &mut block.expect("a bucket with an entry has slots")[place.slot];
        (slot, self.cold[place.bucket].access(place.slot))
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

    /// Finds a key: one or two buckets, and stash buckets only where the home bucket says so.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &KeyProbe<'_>) -> Option<Place> {
        if self.is_released() {
            return None;
        }
        let home = self.home(hash);
        let next = self.next_home(home);
        let mut candidates = self.candidates(home, next, hash as u8);
        while candidates != 0 {
            let bit = candidates.trailing_zeros() as usize;
            let bucket = if bit < SLOTS { home } else { next };
            let place = Place {
                bucket,
                slot: bit % SLOTS,
            };
            if self.slot(place).key.is(key) {
                return Some(place);
            }
            candidates &= candidates - 1;
        }
        if self.index[home].overflows() {
            self.find_in_stash(home, hash as u8, key)
        } else {
            None
        }
    }

    /// Slots of both buckets (those of `next` in the upper half) that may hold an entry at home in `home`. Both at
    /// once, since which of the two it is is a coin toss that no branch predictor wins.
    #[inline]
    fn candidates(&self, home: usize, next: usize, fingerprint: u8) -> u32 {
        let (at_home, beside) = (&self.index[home], &self.index[next]);
        u32::from(at_home.matches(fingerprint) & !at_home.displaced)
            | u32::from(beside.matches(fingerprint) & beside.displaced) << SLOTS
    }

    /// Where an entry with this hash stands, unless fingerprints deceive or it is in the stash.
    #[inline]
    pub(crate) fn likely(&self, hash: u64) -> Option<Place> {
        if self.is_released() {
            return None;
        }
        let home = self.home(hash);
        let next = self.next_home(home);
        let candidates = self.candidates(home, next, hash as u8);
        let bit = candidates.trailing_zeros() as usize;
        let bucket = if bit < SLOTS { home } else { next };
        (candidates != 0).then_some(Place {
            bucket,
            slot: bit % SLOTS,
        })
    }

    /// Reads a byte of the buckets where an entry with this hash may stand.
    #[inline]
    pub(crate) fn warm_index(&self, hash: u64) -> u64 {
        if self.is_released() {
            return 0;
        }
        let home = self.home(hash);
        (self.index[home].len() + self.index[self.next_home(home)].len()) as u64
    }

    /// Where a new entry with this hash lands, unless both buckets are full.
    #[inline]
    pub(crate) fn landing(&self, hash: u64) -> Option<Place> {
        match self.plan_near(hash)? {
            Plan::Put(bucket) => {
                let slot = self.index[bucket].free_slot()?;
                Some(Place { bucket, slot })
            }
            _ => None,
        }
    }

    /// Reads what stands beside the slots of a bucket.
    #[inline]
    pub(crate) fn warm_cold(&self, place: Place) -> u64 {
        self.cold[place.bucket].version + u64::from(self.blocks[place.bucket].is_some())
    }

    /// Reads a byte of a slot, used or not.
    #[inline]
    pub(crate) fn warm_slot(&self, place: Place) -> u64 {
        let block = self.blocks[place.bucket].as_ref();
        block.map_or(0, |block| u64::from(block[place.slot].key.tag()))
    }

    #[inline(never)]
    fn find_in_stash(&self, home: usize, fingerprint: u8, key: &KeyProbe<'_>) -> Option<Place> {
        let index = &self.index[home];
        let stash =
            (self.homes..self.buckets()).filter(|bucket| index.overflows_to(bucket - self.homes));
        let candidates = stash.flat_map(|bucket| {
            Bits(self.index[bucket].matches(fingerprint)).map(move |slot| Place { bucket, slot })
        });
        candidates
            .into_iter()
            .find(|&place| self.slot(place).key.is(key))
    }

    /// How an entry with this hash, which is not there yet, would get in.
    #[inline]
    pub(crate) fn plan(&self, hash: u64) -> Plan {
        if self.is_released() {
            return Plan::Grow;
        }
        if let Some(plan) = self.plan_near(hash) {
            return plan;
        }
        let home = self.home(hash);
        self.plan_displacement(home, self.next_home(home))
            .or_else(|| self.plan_stash())
            .unwrap_or(Plan::Grow)
    }

    /// The one of both buckets that has more room, if one has.
    #[inline]
    fn plan_near(&self, hash: u64) -> Option<Plan> {
        if self.is_released() {
            return None;
        }
        let home = self.home(hash);
        let next = self.next_home(home);
        let (used, used_next) = (self.index[home].len(), self.index[next].len());
        let bucket = if used <= used_next { home } else { next };
        (used.min(used_next) < SLOTS).then_some(Plan::Put(bucket))
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
    pub(crate) fn put(&mut self, plan: Plan, hash: u64, entry: Slot, access: Access) -> Place {
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
        self.access(Place { bucket, slot }).set(access);
        self.occupy(Place { bucket, slot }, hash, entry)
    }

    fn occupy(&mut self, place: Place, hash: u64, entry: Slot) -> Place {
        let home = self.home(hash);
        let stashed = place.bucket >= self.homes;
        if stashed {
            self.index[home].count_overflow(place.bucket - self.homes);
        }
        self.index[place.bucket].occupy(place.slot, hash as u8, !stashed && place.bucket != home);
        self.fill(place, entry);
        self.len += 1;
        place
    }

    /// Writes to a slot that is empty: there is nothing to drop, which need not be looked at.
    #[inline]
    fn fill(&mut self, place: Place, entry: Slot) {
        let block = self.blocks[place.bucket].get_or_insert_with(|| {
            self.block_count += 1;
            Box::default()
        });
        std::mem::forget(std::mem::replace(&mut block[place.slot], entry));
    }

    /// Takes an entry out of a slot whose masks are cleared already.
    #[inline]
    fn empty_slot(&mut self, place: Place) -> Slot {
        let entry = take(self.slot_mut(place));
        if self.index[place.bucket].used == 0 {
            self.blocks[place.bucket] = None;
            self.block_count -= 1;
        }
        entry
    }

    /// Moves an entry between its two buckets.
    fn relocate(&mut self, from: Place, to: usize) {
        let slot = self.index[to]
            .free_slot()
            .expect("the plan names a bucket with room");
        let (at, access) = (self.expiry(from), self.access(from).get());
        self.set_expiry(from, None);
        let source = &mut self.index[from.bucket];
        let (fingerprint, displaced) = (
            source.fingerprint(from.slot),
            source.displaced >> from.slot & 1 == 1,
        );
        source.vacate(from.slot);
        let entry = self.empty_slot(from);
        let place = Place { bucket: to, slot };
        self.index[to].occupy(slot, fingerprint, !displaced);
        self.fill(place, entry);
        self.access(place).set(access);
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
        self.empty_slot(place)
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

    /// Takes all entries of a bucket, for freeing. The segment is of no other use afterwards.
    pub(crate) fn dismantle(&mut self, bucket: usize, freed: &mut dyn FnMut(Slot)) {
        let used = self.index[bucket].clear();
        if let Some(mut block) = self.blocks[bucket].take() {
            Bits(used).for_each(|slot| freed(take(&mut block[slot])));
        }
    }

    /// Every entry stands where its hash says, and every mask and counter is right.
    #[cfg(test)]
    pub(crate) fn check(&self, hasher: &TableHasher) {
        let mut overflow = vec![[0; super::bucket::OVERFLOW_COUNTERS]; self.homes];
        let mut len = 0;
        for (bucket, index) in self.index.iter().enumerate() {
            assert_eq!(index.len(), index.used.count_ones() as usize);
            assert_eq!((index.displaced | index.expiring) & !index.used, 0);
            for slot in Bits(index.used) {
                let hash = hasher.hash(self.slot(Place { bucket, slot }).key.as_bytes());
                let home = self.home(hash);
                assert!(hash >= self.start && hash.wrapping_sub(1) <= self.end().wrapping_sub(2));
                assert_eq!(index.fingerprint(slot), hash as u8);
                let displaced = index.displaced >> slot & 1 == 1;
                match bucket.checked_sub(self.homes) {
                    Some(stash) => overflow[home][stash % super::bucket::OVERFLOW_COUNTERS] += 1,
                    None if displaced => assert_eq!(self.next_home(home), bucket),
                    None => assert_eq!(home, bucket),
                }
                len += 1;
            }
        }
        assert_eq!(self.len, len);
        for (index, overflow) in self.index.iter().zip(overflow) {
            index.check_overflow(overflow);
        }
    }
}
