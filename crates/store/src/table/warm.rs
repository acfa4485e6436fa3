//! Fetching what a batch of lookups is going to need, all at once.
//!
//! A lookup waits for memory three times in a row: fingerprints, entry (and beside it the time of its last use), bytes of the value.
//! Over a batch each of the three can be asked for by all keys before anybody waits for the next: the processor keeps many such loads in
//! flight as long as none depends on another.

use super::{Location, Place, Table, TableHasher};
use crate::value::Value;
use std::hint::black_box;

/// Keys that are looked after at a time.
const BATCH: usize = 32;

impl Table {
    /// Reads, and throws away, a byte of whatever lookups of these keys are going to read.
    pub(crate) fn warm(&self, hasher: &TableHasher, keys: &[&[u8]]) {
        for keys in keys.chunks(BATCH) {
            let mut hashes = [0; BATCH];
            for (hash, key) in hashes.iter_mut().zip(keys) {
                *hash = hasher.hash(key);
            }
            self.warm_batch(&hashes[..keys.len()]);
        }
    }

    /// Reads, and throws away, a byte of whatever inserts of keys with these hashes are going to look at and to write.
    pub(crate) fn warm_for_insert(&self, hashes: &[u64]) {
        hashes
            .chunks(BATCH)
            .for_each(|hashes| self.warm_landing(hashes));
    }

    fn warm_landing(&self, hashes: &[u64]) {
        let mut sum = 0u64;
        for &hash in hashes {
            sum += self.segment(self.segment_of(hash)).warm_index(hash);
        }
        let mut landings = [None; BATCH];
        for (landing, &hash) in landings.iter_mut().zip(hashes) {
            let number = self.segment_of(hash);
            let segment = self.segment(number);
            *landing = segment.landing(hash).map(|place| (number, place));
            sum += landing.map_or(0, |(_, place)| segment.warm_cold(place));
        }
        for (number, place) in landings.into_iter().flatten() {
            sum += self.segment(number).warm_slot(place);
        }
        black_box(sum);
    }

    fn warm_batch(&self, hashes: &[u64]) {
        let mut sum = 0u64;
        for &hash in hashes {
            sum += self.segment(self.segment_of(hash)).warm_index(hash);
        }
        black_box(sum);
        let mut locations = [None; BATCH];
        for (location, &hash) in locations.iter_mut().zip(hashes) {
            *location = self.likely(hash);
        }
        let mut sum = 0u64;
        for &location in locations.iter().flatten() {
            sum += u64::from(self.slot(location).key.tag());
            sum += u64::from(self.access(location).get().count());
        }
        black_box(sum);
        let mut sum = 0u8;
        for &location in locations.iter().flatten() {
            if let Value::Str(string) = &self.slot(location).value {
                sum ^= string.first_byte();
            }
        }
        black_box(sum);
    }

    /// Where an entry with this hash most likely stands, judged by fingerprints alone.
    fn likely(&self, hash: u64) -> Option<Location> {
        let segment = self.segment_of(hash);
        let place: Place = self.segment(segment).likely(hash)?;
        Some(Location { segment, place })
    }
}
