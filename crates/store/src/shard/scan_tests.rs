//! SCAN's guarantee under a storm: what is in a database from the first call to the last is visited, whatever happens between the calls.
//!
//! Keys come and go around the cursor, where entries are displaced, stashed and brought home over the border between what has been visited and what
//! has not; segments grow, split and are released. The property is also tried on scans with a bug, and has to find every one of them.

use super::*;
use crate::db::EntryRef;
use crate::table::{Bits, Place, Segment};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

const DB: DbIndex = DbIndex(1);
const OTHERS: [DbIndex; 2] = [DbIndex(0), DbIndex(2)];
/// Different keys of a storm.
const POOL: u32 = 12_000;
/// Storms that the true scan stands, and within which every bug must show.
const SEEDS: Range<u64> = 0..20;
/// Calls after which a scan counts as endless.
const MOST_CALLS: usize = 200_000;
const POSITION_SHIFT: u32 = 16;

/// A scan of [`DB`], right or wrong.
type Scan = fn(&Shard, u64, &mut dyn FnMut(EntryRef<'_>)) -> u64;

/// What a storm showed.
#[derive(Default)]
struct Outcome {
    missed: usize,
    stayed: usize,
    /// Segments more at the end than at the start.
    splits: usize,
    /// Whether entries stood displaced and in the stash while the scan went on.
    displaced: bool,
    stashed: bool,
    /// Calls, if they were too many.
    endless: bool,
}

struct Storm {
    shard: Shard,
    random: u64,
    /// All keys by their hash.
    pool: Vec<(u64, Vec<u8>)>,
    /// Keys that have been there since the scan began.
    stay: BTreeSet<Vec<u8>>,
    /// Keys in and out of 100: how likely a change is to bring one.
    inserts: usize,
}

fn text(number: u32) -> Vec<u8> {
    match number % 3 {
        0 => format!("k{number}").into_bytes(),
        1 => format!("key:{number:012}").into_bytes(),
        _ => format!("a key that does not fit in place {number}").into_bytes(),
    }
}

impl Storm {
    fn new(seed: u64) -> Storm {
        let shard = Shard::new(ShardOptions {
            dbnum: 3,
            hash_seed: seed,
        });
        let mut pool: Vec<_> = (0..POOL)
            .map(text)
            .map(|key| (shard.hash_of(&key), key))
            .collect();
        pool.sort();
        let mut storm = Storm {
            shard,
            random: seed,
            pool,
            stay: BTreeSet::new(),
            inserts: 0,
        };
        // From a few keys to a table of several segments; then it grows, shrinks, or does both by turns.
        let share = [2, 10, 30, 80][storm.below(4)];
        storm.inserts = [30, 50, 75, 95][storm.below(4)];
        for at in 0..storm.pool.len() {
            if storm.below(100) < share {
                storm.insert(at);
            }
        }
        let keys = storm.pool.iter().map(|(_, key)| key.clone());
        storm.stay = keys.filter(|key| storm.shard.contains(DB, key)).collect();
        storm
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed ^ mixed >> 31) >> 16) as usize % bound
    }

    fn insert(&mut self, at: usize) {
        let expire_at = (self.below(4) == 0).then_some(1);
        let value = Value::string(&vec![b'v'; self.below(40)]);
        self.shard.insert(DB, &self.pool[at].1, value, expire_at);
    }

    fn remove(&mut self, key: &[u8]) {
        self.shard.remove(DB, key);
        self.stay.remove(key);
    }

    /// One change: mostly of a key whose hash is near the cursor, else of any.
    fn change(&mut self, cursor: u64) {
        let near = self
            .pool
            .partition_point(|(hash, _)| *hash < cursor << POSITION_SHIFT);
        let window = self.below(200);
        let at = match self.below(4) {
            0 => self.below(POOL as usize),
            1 => near.saturating_sub(window),
            _ => near + window,
        };
        let at = at.min(POOL as usize - 1);
        if self.below(100) < self.inserts {
            self.insert(at);
        } else {
            let key = self.pool[at].1.clone();
            self.remove(&key);
        }
    }

    /// What happens between two calls: often nothing, sometimes much.
    fn blow(&mut self, cursor: u64) {
        let changes = match self.below(12) {
            0..4 => 0,
            4..10 => self.below(20),
            _ => self.below(400),
        };
        (0..changes).for_each(|_| self.change(cursor));
        match self.below(60) {
            0 => drop(self.shard.flush(Some(OTHERS[0]))),
            1 => self.shard.swap(OTHERS[0], OTHERS[1]),
            2 => self.expire(),
            3 => self.inserts = 100 - self.inserts,
            4 => {
                let number = self.below(POOL as usize);
                let key = self.pool[number].1.clone();
                self.shard.set_expiry(DB, &key, Some(1));
                self.shard
                    .insert(OTHERS[1], &key, Value::string(b"x"), None);
            }
            _ => {}
        }
    }

    /// Some of what has expired goes, as active expiry does it.
    fn expire(&mut self) {
        let (mut found, at) = (Vec::new(), self.random >> POSITION_SHIFT);
        self.shard.expiring_slice(DB, at, 8, 1, &mut found);
        for key in found {
            self.remove(key.as_bytes());
        }
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> {
        let table = &self.shard.db(DB).table;
        (0..table.segment_count()).map(|number| table.segment(number))
    }

    fn look(&self, outcome: &mut Outcome) {
        for segment in self.segments() {
            let used = |bucket: usize| segment.index(bucket).used != 0;
            outcome.stashed |= (segment.homes()..segment.buckets()).any(used);
            outcome.displaced |=
                (0..segment.homes()).any(|home| segment.index(home).displaced != 0);
        }
    }

    fn run(mut self, scan: Scan) -> Outcome {
        let mut outcome = Outcome::default();
        let before = self.segments().count();
        let (mut seen, mut cursor) = (HashSet::new(), 0);
        for call in 0.. {
            cursor = scan(&self.shard, cursor, &mut |entry| {
                seen.insert(entry.key().to_vec());
            });
            if call % 64 == 1 {
                self.look(&mut outcome);
            }
            outcome.endless = call > MOST_CALLS;
            if cursor == 0 || outcome.endless {
                break;
            }
            self.blow(cursor);
        }
        outcome.splits = self.segments().count() - before;
        outcome.stayed = self.stay.len();
        outcome.missed = self.stay.iter().filter(|key| !seen.contains(*key)).count();
        outcome
    }
}

fn right(shard: &Shard, cursor: u64, visit: &mut dyn FnMut(EntryRef<'_>)) -> u64 {
    shard.scan(DB, cursor, visit)
}

/// Finds the logical bucket of a cursor and lets `places` say what it visits there; the next cursor is the right one.
fn with_places(
    shard: &Shard,
    cursor: u64,
    visit: &mut dyn FnMut(EntryRef<'_>),
    places: fn(&Shard, &Segment, usize) -> Vec<Place>,
) -> u64 {
    let db = shard.db(DB);
    let hash = cursor << POSITION_SHIFT;
    let number = db.table.segment_of(hash);
    let segment = db.table.segment(number);
    if segment.len == 0 {
        return segment.end() >> POSITION_SHIFT;
    }
    let home = segment.home(hash);
    for place in places(shard, segment, home) {
        visit(db.entry(Location {
            segment: number,
            place,
        }));
    }
    segment.home_start(home + 1) >> POSITION_SHIFT
}

fn logical(shard: &Shard, segment: &Segment, home: usize) -> Vec<Place> {
    let mut places = Vec::new();
    segment.of_home(home, &shard.hasher, &mut |place| places.push(place));
    places
}

/// Bug: who stands in the next bucket is forgotten.
fn without_displaced(shard: &Shard, cursor: u64, visit: &mut dyn FnMut(EntryRef<'_>)) -> u64 {
    with_places(shard, cursor, visit, |shard, segment, home| {
        let mut places = logical(shard, segment, home);
        places.retain(|place| place.bucket == home || place.bucket >= segment.homes());
        places
    })
}

/// Bug: who stands in the stash is forgotten.
fn without_stash(shard: &Shard, cursor: u64, visit: &mut dyn FnMut(EntryRef<'_>)) -> u64 {
    with_places(shard, cursor, visit, |shard, segment, home| {
        let mut places = logical(shard, segment, home);
        places.retain(|place| place.bucket < segment.homes());
        places
    })
}

/// Bug: buckets are visited as they stand, the stash at the end. Right as long as nobody moves.
fn as_they_stand(shard: &Shard, cursor: u64, visit: &mut dyn FnMut(EntryRef<'_>)) -> u64 {
    with_places(shard, cursor, visit, |_, segment, home| {
        let stash = match home + 1 == segment.homes() {
            true => segment.homes()..segment.buckets(),
            false => 0..0,
        };
        let buckets = std::iter::once(home).chain(stash);
        buckets
            .flat_map(|bucket| {
                Bits(segment.index(bucket).used).map(move |slot| Place { bucket, slot })
            })
            .collect()
    })
}

/// Bug: the cursor is rounded up to a 64th of its segment. Right as long as the segment has 52 buckets: those of its halves are narrower.
fn coarse(shard: &Shard, cursor: u64, visit: &mut dyn FnMut(EntryRef<'_>)) -> u64 {
    const STEP_BITS: u32 = 6;
    let table = &shard.db(DB).table;
    let segment = table.segment(table.segment_of(cursor << POSITION_SHIFT));
    let step = 1 << (64 - segment.depth - STEP_BITS);
    let next = shard.scan(DB, cursor, visit) << POSITION_SHIFT;
    if next == segment.end() {
        return next >> POSITION_SHIFT;
    }
    let rounded = segment
        .start
        .wrapping_add((next - segment.start).next_multiple_of(step));
    rounded >> POSITION_SHIFT
}

/// Bug: the cursor is the number of entries visited. Right as long as none of them goes.
fn by_offset(shard: &Shard, cursor: u64, visit: &mut dyn FnMut(EntryRef<'_>)) -> u64 {
    const COUNT: u64 = 16;
    let (mut position, mut passed) = (0, 0);
    loop {
        position = shard.scan(DB, position, &mut |entry| {
            if (cursor..cursor + COUNT).contains(&passed) {
                visit(entry);
            }
            passed += 1;
        });
        if position == 0 {
            return 0;
        }
        if passed >= cursor + COUNT {
            return cursor + COUNT;
        }
    }
}

#[test]
fn whoever_stays_is_visited() {
    let (mut stayed, mut splits, mut displaced, mut stashed) = (0, 0, 0, 0);
    for seed in SEEDS {
        let outcome = Storm::new(seed).run(right);
        assert!(!outcome.endless, "seed {seed}: no end");
        assert_eq!(
            outcome.missed, 0,
            "seed {seed}: missed, of {}",
            outcome.stayed
        );
        stayed += outcome.stayed;
        splits += outcome.splits;
        displaced += usize::from(outcome.displaced);
        stashed += usize::from(outcome.stashed);
    }
    // Otherwise the storms would be no storms.
    assert!(
        stayed > 10_000 && splits > 15,
        "{stayed} stayed, {splits} splits"
    );
    assert!(displaced > 10 && stashed > 6, "{displaced} {stashed}");
}

#[test]
fn bugs_are_found() {
    let bugs: BTreeMap<&str, Scan> = BTreeMap::from([
        ("without displaced", without_displaced as Scan),
        ("without stash", without_stash),
        ("as they stand", as_they_stand),
        ("coarse", coarse),
        ("by offset", by_offset),
    ]);
    for (name, scan) in bugs {
        let found = SEEDS
            .into_iter()
            .find(|&seed| Storm::new(seed).run(scan).missed > 0);
        println!("{name}: seed {found:?}");
        assert!(found.is_some(), "nobody notices the bug {name:?}");
    }
}
