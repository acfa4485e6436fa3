//! A bucket: 16 slots, their one-byte fingerprints, and what is needed to find and to scan them.
//!
//! What a lookup reads ([`BucketIndex`]) stands apart from what only changes and snapshots
//! read ([`BucketCold`]) and from the entries themselves ([`Slot`]), so that a lookup touches one cache
//! line of fingerprints and one of the entry.

use crate::UnixMs;
use crate::access::Access;
use crate::compact::Key;
use crate::value::Value;
use std::cell::Cell;
use std::mem::size_of;

/// Slots of a bucket.
pub(crate) const SLOTS: usize = 16;
/// Overflow counters of a bucket; stash bucket `s` is counted in counter `s % OVERFLOW_COUNTERS`.
pub(crate) const OVERFLOW_COUNTERS: usize = 4;
/// What an overflow counter stays at once it got there.
const OVERFLOW_SATURATED: u8 = u8::MAX;

/// A key and its value. Aligned so that it never straddles a cache line.
#[derive(Default)]
#[repr(align(32))]
pub(crate) struct Slot {
    pub(crate) key: Key,
    pub(crate) value: Value,
}

const _: () = assert!(size_of::<Slot>() == 32);

/// The slots of a bucket: a block of its own, made for the first entry and freed with the last. All blocks are of one
/// size, so that a table that grows leaves no holes behind that fit nothing.
pub(crate) type Block = [Slot; SLOTS];

/// What a lookup reads of a bucket. Bit `i` of the masks speaks of slot `i`.
#[derive(Clone, Default)]
#[repr(align(32))]
pub(crate) struct BucketIndex {
    fingerprints: [u8; SLOTS],
    /// Slots that hold an entry.
    pub(crate) used: u16,
    /// Slots whose entry is at home in the bucket before this one. Zero in stash buckets.
    pub(crate) displaced: u16,
    /// Slots whose entry has an expiry time.
    pub(crate) expiring: u16,
    /// How many slots hold an entry.
    len: u8,
    /// How many entries that are at home here stand in each stash bucket.
    overflow: [u8; OVERFLOW_COUNTERS],
}

const _: () = assert!(size_of::<BucketIndex>() == 32);

/// Iterates over the set bits of a mask.
pub(crate) struct Bits(pub(crate) u16);

impl Iterator for Bits {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(bit)
    }
}

/// One bit for each of the 16 bytes that equals `byte`.
#[inline]
fn equal_bytes(bytes: [u8; SLOTS], byte: u8) -> u16 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const LOW_7: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    /// Gathers bit 0 of every byte in the top byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let half = |word: u64| {
        let differing = word ^ (LOW * u64::from(byte));
        let zero_bytes = !(((differing & LOW_7) + LOW_7) | differing | LOW_7);
        (zero_bytes >> 7).wrapping_mul(GATHER) >> 56
    };
    let all = u128::from_le_bytes(bytes);
    (half(all as u64) | half((all >> 64) as u64) << 8) as u16
}

impl BucketIndex {
    /// The used slots whose fingerprint is `fingerprint`.
    #[inline]
    pub(crate) fn matches(&self, fingerprint: u8) -> u16 {
        equal_bytes(self.fingerprints, fingerprint) & self.used
    }

    /// How many slots hold an entry.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// The fingerprint of a used slot.
    pub(crate) fn fingerprint(&self, slot: usize) -> u8 {
        self.fingerprints[slot]
    }

    /// The first free slot.
    #[inline]
    pub(crate) fn free_slot(&self) -> Option<usize> {
        (self.used != u16::MAX).then(|| (!self.used).trailing_zeros() as usize)
    }

    /// Whether an entry that is at home here may stand in the stash.
    #[inline]
    pub(crate) fn overflows(&self) -> bool {
        u32::from_ne_bytes(self.overflow) != 0
    }

    /// Whether an entry that is at home here may stand in stash bucket `stash`.
    #[inline]
    pub(crate) fn overflows_to(&self, stash: usize) -> bool {
        self.overflow[stash % OVERFLOW_COUNTERS] != 0
    }

    pub(crate) fn count_overflow(&mut self, stash: usize) {
        let counter = &mut self.overflow[stash % OVERFLOW_COUNTERS];
        *counter = counter.saturating_add(1);
    }

    pub(crate) fn uncount_overflow(&mut self, stash: usize) {
        let counter = &mut self.overflow[stash % OVERFLOW_COUNTERS];
        if *counter != OVERFLOW_SATURATED {
            *counter -= 1;
        }
    }

    #[cfg(test)]
    pub(crate) fn check_overflow(&self, expected: [u8; OVERFLOW_COUNTERS]) {
        assert_eq!(self.overflow, expected);
    }

    #[inline]
    pub(crate) fn occupy(&mut self, slot: usize, fingerprint: u8, displaced: bool) {
        self.fingerprints[slot] = fingerprint;
        self.used |= 1 << slot;
        self.len += 1;
        self.displaced |= u16::from(displaced) << slot;
    }

    /// Forgets all entries; gives the slots that held them.
    pub(crate) fn clear(&mut self) -> u16 {
        std::mem::take(self).used
    }

    #[inline]
    pub(crate) fn vacate(&mut self, slot: usize) {
        let keep = !(1 << slot);
        self.used &= keep;
        self.len -= 1;
        self.displaced &= keep;
        self.expiring &= keep;
    }
}

/// What changes and snapshots read of a bucket.
pub(crate) struct BucketCold {
    /// The newest cut that this bucket has been served for, or that is older than everything in it.
    pub(crate) version: u64,
    /// Expiry times, where the mask `expiring` says that there is one; gone when there is none.
    expiry: Option<Box<[UnixMs; SLOTS]>>,
    /// Last uses of the entries. Here, because a use only writes it: nobody waits for the cache line. In cells, because a read is a use.
    access: [Cell<Access>; SLOTS],
}

impl BucketCold {
    pub(crate) fn new(version: u64) -> BucketCold {
        BucketCold {
            version,
            expiry: None,
            access: Default::default(),
        }
    }

    /// Heap bytes of an array of expiry times.
    pub(crate) const EXPIRY_BYTES: usize = size_of::<[UnixMs; SLOTS]>();

    /// The last use of the entry in `slot`. Only meaningful where there is one.
    #[inline]
    pub(crate) fn access(&self, slot: usize) -> &Cell<Access> {
        &self.access[slot]
    }

    /// The expiry time of `slot`. Only meaningful where the mask says so.
    #[inline]
    pub(crate) fn expiry(&self, slot: usize) -> UnixMs {
        self.expiry.as_ref().map_or(0, |times| times[slot])
    }

    /// Sets an expiry time; true if the array had to be made.
    pub(crate) fn set_expiry(&mut self, slot: usize, at: UnixMs) -> bool {
        let made = self.expiry.is_none();
        self.expiry.get_or_insert_default()[slot] = at;
        made
    }

    /// Frees the array; true if there was one.
    pub(crate) fn drop_expiry(&mut self) -> bool {
        self.expiry.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn matches_are_exact(bytes in any::<[u8; 16]>(), used in any::<u16>(), byte in any::<u8>(), at in 0usize..16) {
            let mut index = BucketIndex { fingerprints: bytes, used, ..BucketIndex::default() };
            index.fingerprints[at] = byte;
            let slow = (0..SLOTS).filter(|&i| index.fingerprints[i] == byte && used >> i & 1 == 1);
            prop_assert_eq!(Bits(index.matches(byte)).collect::<Vec<_>>(), slow.collect::<Vec<_>>());
        }
    }
}
