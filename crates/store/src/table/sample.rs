//! Random entries: for RANDOMKEY, and for choosing what to evict.

use super::bucket::{Bits, SLOTS};
use super::{Location, Place, Segment, Table};
use crate::Among;
use std::ops::ControlFlow;

/// How many segments a random pick tries before it goes on one by one.
const RANDOM_TRIES: usize = 64;

impl Table {
    /// A random entry. A segment is drawn by a random hash, then an entry of it: nearly uniform, as all ranges of hashes are about equally full.
    pub(crate) fn random(&self, rng: &mut dyn FnMut() -> u64) -> Option<Location> {
        let number = self.random_segment(Among::All, rng)?;
        self.random_of(number, rng)
    }

    /// Visits up to `count` entries that stand one behind the other from a random place on, in one segment.
    pub(crate) fn sample(
        &self,
        among: Among,
        count: usize,
        rng: &mut dyn FnMut() -> u64,
        visit: &mut dyn FnMut(Location),
    ) {
        let Some(number) = self.random_segment(among, rng) else {
            return;
        };
        let segment = self.segment(number);
        let (buckets, chance) = (segment.buckets(), rng());
        let first = chance as usize % buckets;
        let from = u16::MAX << ((chance >> 32) as usize % SLOTS);
        // The first bucket comes again at the end, with what stands before the first slot.
        let places = (0..=buckets).flat_map(|ahead| {
            let bucket = (first + ahead) % buckets;
            let wanted = match ahead {
                0 => from,
                _ if ahead == buckets => !from,
                _ => u16::MAX,
            };
            Bits(among.of(segment, bucket) & wanted).map(move |slot| Place { bucket, slot })
        });
        places.take(count).for_each(|place| {
            visit(Location {
                segment: number,
                place,
            });
        });
    }

    /// A random segment that has such entries.
    fn random_segment(&self, among: Among, rng: &mut dyn FnMut() -> u64) -> Option<usize> {
        if among.count(self.len(), self.expiring()) == 0 {
            return None;
        }
        let has = |number: &usize| {
            let segment = self.segment(*number);
            among.count(segment.len, segment.expiring) != 0
        };
        let mut tries = (0..RANDOM_TRIES).map(|_| self.segment_of(rng()));
        if let Some(number) = tries.find(has) {
            return Some(number);
        }
        let first = rng() as usize % self.segment_count();
        (first..self.segment_count()).chain(0..first).find(has)
    }

    /// A uniformly random entry of a segment that is not empty.
    fn random_of(&self, number: usize, rng: &mut dyn FnMut() -> u64) -> Option<Location> {
        let segment = self.segment(number);
        let mut nth = (rng() % segment.len as u64) as usize;
        let mut buckets = 0..segment.buckets();
        let found = buckets.try_for_each(|bucket| match segment.index(bucket).len() {
            len if nth >= len => {
                nth -= len;
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(bucket),
        });
        let ControlFlow::Break(bucket) = found else {
            return None;
        };
        let slot = Bits(segment.index(bucket).used).nth(nth)?;
        debug_assert!(slot < SLOTS);
        Some(Location {
            segment: number,
            place: Place { bucket, slot },
        })
    }
}

impl Among {
    fn count(self, all: usize, expiring: usize) -> usize {
        match self {
            Among::All => all,
            Among::Expiring => expiring,
        }
    }

    fn of(self, segment: &Segment, bucket: usize) -> u16 {
        let index = segment.index(bucket);
        match self {
            Among::All => index.used,
            Among::Expiring => index.expiring,
        }
    }
}
