//! How a segment grows: the same entries in more buckets, or in two segments.

use super::{Plan, SLOTS, Segment};
use crate::UnixMs;
use crate::access::Access;
use crate::table::bucket::{Block, BucketCold, BucketIndex, Slot};
use crate::table::hash::TableHasher;
use std::mem::take;

/// Home buckets of a segment, from its first to its last size.
const SIZES: [usize; 5] = [4, 12, 20, 36, 52];
/// Home buckets of the largest segment.
const HOMES_MAX: usize = SIZES[SIZES.len() - 1];
/// Stash buckets of a segment, and how many are added where it can't split.
const STASH: usize = 4;
/// A new half of a split segment is at most this full (in percent), so that it does not grow again at once.
const FILL_AFTER_SPLIT: usize = 80;

/// How full segments become that are made for a known number of entries, in percent: some get more than others.
const RESERVED_FILL: usize = 85;
/// No more segments than 2 to this power are made before there is an entry.
const RESERVED_DEPTH_MAX: u32 = 16;

/// What new buckets are stamped with.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    /// The newest cut: what is in the buckets has been served for all observers.
    pub(crate) version: u64,
    /// The generation of the segment.
    pub(crate) generation: u64,
}

/// How many buckets a segment has.
#[derive(Clone, Copy)]
struct Shape {
    homes: usize,
    stash: usize,
}

impl Shape {
    fn for_entries(entries: usize) -> Shape {
        let fits = |homes: &usize| (homes + STASH) * SLOTS * FILL_AFTER_SPLIT >= entries * 100;
        let homes = SIZES.into_iter().find(fits).unwrap_or(HOMES_MAX);
        Shape {
            homes,
            stash: STASH,
        }
    }
}

impl Shape {
    /// The entries that so many homes are made for.
    fn most(homes: usize) -> usize {
        (homes + STASH) * SLOTS * RESERVED_FILL / 100
    }

    /// For entries that will come: no more than they need.
    fn reserved(entries: usize) -> Shape {
        let homes = SIZES
            .into_iter()
            .find(|homes| Shape::most(*homes) >= entries);
        Shape {
            homes: homes.unwrap_or(HOMES_MAX),
            stash: STASH,
        }
    }
}

/// An entry on its way to other buckets, with all that is kept of it.
struct Drained {
    hash: u64,
    slot: Slot,
    expire_at: Option<UnixMs>,
    access: Access,
}

impl Segment {
    fn with_buckets(start: u64, depth: u32, shape: Shape, stamp: Stamp) -> Segment {
        let buckets = shape.homes + shape.stash;
        Segment {
            homes: shape.homes,
            index: vec![BucketIndex::default(); buckets].into(),
            cold: (0..buckets)
                .map(|_| BucketCold::new(stamp.version))
                .collect(),
            blocks: (0..buckets).map(|_| None).collect(),
            ..Segment::empty(start, depth, stamp.generation)
        }
    }

    /// The depth of segments that hold so many entries between them, as full as may be; 0 for few.
    pub(crate) fn depth_for(entries: usize) -> u32 {
        let segments = entries.div_ceil(Shape::most(HOMES_MAX)).max(1);
        let depth = segments.next_power_of_two().ilog2();
        let fill = |depth: &u32| {
            let each = entries >> depth;
            each * 1024 / ((Shape::reserved(each).homes + STASH) * SLOTS)
        };
        let best = [depth + 1, depth].into_iter().max_by_key(fill);
        best.unwrap_or(depth).min(RESERVED_DEPTH_MAX)
    }

    /// An empty segment with buckets for so many entries.
    pub(crate) fn reserved(start: u64, depth: u32, entries: usize, stamp: Stamp) -> Segment {
        Segment::with_buckets(start, depth, Shape::reserved(entries), stamp)
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
    pub(crate) fn enlarged(self, stamp: Stamp, hasher: &TableHasher) -> Segment {
        let mut larger = Segment::with_buckets(self.start, self.depth, self.next_shape(), stamp);
        self.drain(hasher, |entry| larger.put_anyhow(entry, hasher));
        larger
    }

    /// The entries in two segments, of the lower and the upper half of the range.
    pub(crate) fn split(self, stamps: [Stamp; 2], hasher: &TableHasher) -> [Segment; 2] {
        let depth = self.depth + 1;
        let upper_bit = 1u64 << (64 - depth);
        let shape = Shape::for_entries(self.len / 2);
        let mut halves = [
            Segment::with_buckets(self.start, depth, shape, stamps[0]),
            Segment::with_buckets(self.start | upper_bit, depth, shape, stamps[1]),
        ];
        self.drain(hasher, |entry| {
            halves[usize::from(entry.hash & upper_bit != 0)].put_anyhow(entry, hasher);
        });
        halves
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

    /// Puts an entry in, growing as often as it takes.
    fn put_anyhow(&mut self, entry: Drained, hasher: &TableHasher) {
        let Drained {
            hash,
            slot,
            expire_at,
            access,
        } = entry;
        let mut plan = self.plan(hash);
        while plan == Plan::Grow {
            let stamp = Stamp {
                version: self.version(0),
                generation: self.generation,
            };
            *self = take(self).enlarged(stamp, hasher);
            plan = self.plan(hash);
        }
        let place = self.put(plan, hash, slot, access);
        if expire_at.is_some() {
            self.set_expiry(place, expire_at);
        }
    }

    /// Gives all entries away, with their hashes. Frees one block after the other, so that what takes the entries gets them again.
    fn drain(self, hasher: &TableHasher, mut accept: impl FnMut(Drained)) {
        let Segment {
            index,
            cold,
            blocks,
            ..
        } = self;
        for ((index, cold), block) in index.iter().zip(&cold).zip(blocks) {
            let Some(block) = block else { continue };
            // All hashes of a bucket first: long keys are then fetched from memory together.
            let hashes: [u64; SLOTS] =
                std::array::from_fn(|slot| hasher.hash(block[slot].key.as_bytes()));
            let entries: Block = *block;
            for (number, (slot, hash)) in entries.into_iter().zip(hashes).enumerate() {
                let bit = 1 << number;
                if index.used & bit != 0 {
                    accept(Drained {
                        hash,
                        slot,
                        expire_at: (index.expiring & bit != 0).then(|| cold.expiry(number)),
                        access: cold.access(number).get(),
                    });
                }
            }
        }
    }
}
