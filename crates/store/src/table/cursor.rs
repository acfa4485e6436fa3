//! Positions in a table: SCAN cursors, the walk of snapshots, slices of active expiry.
//!
//! A position is the top 48 bits of a hash: everything that is at home below it has been visited. Growth
//! moves borders between home buckets, never entries across a position.

use super::bucket::Bits;
use super::{Location, Place, Segment, Table, TableHasher};
use crate::UnixMs;

/// Bits of a cursor. The bits above are free for the caller's own use.
const POSITION_BITS: u32 = 48;
const POSITION_SHIFT: u32 = 64 - POSITION_BITS;

/// Where a walk over the physical buckets of a table stands. The default is the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalkCursor {
    /// The first hash of the segment.
    start: u64,
    /// The segment's generation when the walk came to it.
    generation: u64,
    /// The next bucket.
    bucket: usize,
}

impl Table {
    fn hash_at(cursor: u64) -> u64 {
        cursor << POSITION_SHIFT
    }

    /// Visits what is at home in the logical bucket at `cursor`; gives the next cursor, 0 at the end.
    pub(crate) fn scan(
        &self,
        cursor: u64,
        hasher: &TableHasher,
        visit: &mut dyn FnMut(Location),
    ) -> u64 {
        let hash = Table::hash_at(cursor);
        let number = self.segment_of(hash);
        let segment = self.segment(number);
        if segment.len == 0 {
            return segment.end() >> POSITION_SHIFT;
        }
        let home = segment.home(hash);
        segment.of_home(home, hasher, &mut |place| {
            visit(Location {
                segment: number,
                place,
            })
        });
        segment.home_start(home + 1) >> POSITION_SHIFT
    }

    /// The next bucket with entries, and where to go on. Buckets of a segment that grew meanwhile come again; none is left out.
    pub(crate) fn walk_next(&self, mut cursor: WalkCursor) -> Option<(usize, usize, WalkCursor)> {
        loop {
            let number = self.segment_of(cursor.start);
            let segment = self.segment(number);
            cursor.enter(segment);
            while cursor.bucket < segment.buckets() {
                let bucket = cursor.bucket;
                cursor.bucket += 1;
                if segment.index(bucket).used != 0 {
                    return Some((number, bucket, cursor));
                }
            }
            match segment.end() {
                0 => return None,
                end => {
                    cursor = WalkCursor {
                        start: end,
                        ..WalkCursor::default()
                    }
                }
            }
        }
    }

    /// Visits entries with an expiry time in about `buckets` buckets; gives the next cursor, 0 at the end.
    pub(crate) fn expiring_slice(
        &self,
        mut cursor: u64,
        buckets: usize,
        visit: &mut dyn FnMut(Location, UnixMs),
    ) -> u64 {
        for _ in 0..buckets {
            let hash = Table::hash_at(cursor);
            let number = self.segment_of(hash);
            let segment = self.segment(number);
            let next = if segment.expiring == 0 {
                segment.end()
            } else {
                self.expiring_at(number, hash, visit)
            };
            cursor = next >> POSITION_SHIFT;
            if cursor == 0 {
                break;
            }
        }
        cursor
    }

    fn expiring_at(
        &self,
        number: usize,
        hash: u64,
        visit: &mut dyn FnMut(Location, UnixMs),
    ) -> u64 {
        let segment = self.segment(number);
        let home = segment.home(hash);
        let last = home + 1 == segment.homes();
        let stash = if last {
            segment.homes()..segment.buckets()
        } else {
            0..0
        };
        for bucket in std::iter::once(home).chain(stash) {
            for slot in Bits(segment.index(bucket).expiring) {
                let place = Place { bucket, slot };
                let at = segment
                    .expiry(place)
                    .expect("the mask says that there is one");
                visit(
                    Location {
                        segment: number,
                        place,
                    },
                    at,
                );
            }
        }
        segment.home_start(home + 1)
    }
}

impl WalkCursor {
    /// Begins with the segment's first bucket, unless the walk was in just this segment.
    fn enter(&mut self, segment: &Segment) {
        if self.generation != segment.generation {
            *self = WalkCursor {
                start: segment.start,
                generation: segment.generation,
                bucket: 0,
            };
        }
    }
}
