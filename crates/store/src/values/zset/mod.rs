//! Sorted sets: members with scores, in the order of the scores, then of the members' bytes.

mod bounds;
mod iter;
mod large;
mod members;
mod node;
mod tree;

use std::fmt;
use std::ops::Range;

pub use bounds::{LexBound, ScoreBound};
pub use iter::ZSetIter;

use self::large::Large;
use self::members::compare_scores;
use super::limits::Limits;
use crate::packed::{Encoder, Item, MAX_ENTRIES, Packed};

/// A sorted set.
///
/// Scores are never NaN; 0.0 and -0.0 are equal in order, and kept apart in what is read, as in Redis.
/// A rank is a member's place in the ascending order, from 0.
#[derive(Clone)]
pub struct ZSet(Form);

#[derive(Clone)]
enum Form {
    /// Member, score, member, score, … in ascending order.
    Packed(Packed<false>),
    Large(Box<Large>),
}

impl fmt::Debug for ZSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Default for ZSet {
    fn default() -> Self {
        Self::new()
    }
}

impl ZSet {
    /// An empty sorted set.
    pub fn new() -> Self {
        ZSet(Form::Packed(Packed::new()))
    }

    pub(super) fn of_packed(packed: Packed<false>) -> Self {
        ZSet(Form::Packed(packed))
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.len() / 2,
            Form::Large(large) => large.len(),
        }
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap behind this struct.
    pub fn heap_size(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.heap_size(),
            Form::Large(large) => size_of::<Large>() + large.heap_size(),
        }
    }

    /// The name that Redis 7.0's OBJECT ENCODING gives this form.
    pub fn redis_encoding(&self) -> &'static str {
        match &self.0 {
            Form::Packed(_) => "listpack",
            Form::Large(_) => "skiplist",
        }
    }

    /// The score of `member`.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Form::Packed(packed) => packed.find(member, 2).map(|at| score_at(packed, at)),
            Form::Large(large) => large.find(member).map(|id| large.members.score(id)),
        }
    }

    /// Whether `member` is there.
    pub fn contains(&self, member: &[u8]) -> bool {
        self.score(member).is_some()
    }

    /// Sets the score of `member`; returns the score that it had. A score equal to the old one (-0.0 equals 0.0)
    /// changes nothing.
    ///
    /// # Panics
    /// When `score` is NaN, which a caller must have refused.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        self.insert_within(member, score, &Limits::REDIS_7)
    }

    /// As [`ZSet::insert`], with other limits than Redis's defaults for the packed form.
    ///
    /// # Panics
    /// When `score` is NaN, which a caller must have refused.
    pub fn insert_within(&mut self, member: &[u8], score: f64, limits: &Limits) -> Option<f64> {
        assert!(!score.is_nan(), "a score is a number");
        if let Form::Packed(packed) = &mut self.0 {
            if let Some(at) = packed.find(member, 2) {
                let old = score_at(packed, at);
                if old != score {
                    packed.remove(at, 2);
                    insert_packed(packed, member, score);
                }
                return Some(old);
            }
            let max_entries = limits.zset_max_listpack_entries.min(MAX_ENTRIES / 2);
            if member.len() <= limits.zset_max_listpack_value && packed.len() / 2 < max_entries {
                insert_packed(packed, member, score);
                return None;
            }
        }
        self.large().insert(member, score)
    }

    /// The large form, converted to when need be.
    fn large(&mut self) -> &mut Large {
        if let Form::Packed(_) = self.0 {
            let mut large = Large::new();
            for (member, score) in self.iter() {
                large.insert(&member, score);
            }
            self.0 = Form::Large(Box::new(large));
        }
        match &mut self.0 {
            Form::Large(large) => large,
            Form::Packed(_) => unreachable!("converted above"),
        }
    }

    /// Removes `member`; returns the score that it had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.0 {
            Form::Packed(packed) => {
                let at = packed.find(member, 2)?;
                let score = score_at(packed, at);
                packed.remove(at, 2);
                Some(score)
            }
            Form::Large(large) => large.remove(member),
        }
    }

    /// Removes the members with ranks in `ranks`, as far as there are any; returns how many. O(k log n) for k members.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) -> usize {
        let ranks = ranks.start..ranks.end.min(self.len());
        if ranks.is_empty() {
            return 0;
        }
        match &mut self.0 {
            Form::Packed(packed) => packed.remove(packed.seek(2 * ranks.start), 2 * ranks.len()),
            Form::Large(large) => {
                for _ in ranks.clone() {
                    let ranked = large
                        .tree
                        .get(ranks.start)
                        .expect("the range was cut to the set");
                    large.remove_id(ranked.id);
                }
            }
        }
        ranks.len()
    }

    /// Removes and returns the member with the least score, or the greatest where `greatest`.
    pub fn pop(&mut self, greatest: bool) -> Option<(Vec<u8>, f64)> {
        let rank = if greatest {
            self.len().checked_sub(1)?
        } else {
            0
        };
        let (member, score) = self.by_rank(rank)?;
        let member = member.to_vec();
        self.remove_ranks(rank..rank + 1);
        Some((member, score))
    }

    /// The rank of `member`. O(log n).
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        match &self.0 {
            Form::Packed(packed) => {
                let at = packed.find(member, 2)?;
                Some(
                    members(packed)
                        .take_while(|&(other, ..)| other < at)
                        .count(),
                )
            }
            Form::Large(large) => large.rank(member),
        }
    }

    /// The member at `rank`, with its score. O(log n).
    pub fn by_rank(&self, rank: usize) -> Option<(Item<'_>, f64)> {
        self.iter_from_rank(rank).next()
    }

    /// The rank of the first member that is not below a range beginning at `bound`: the length if there is none. O(log n).
    pub fn lower_rank(&self, bound: ScoreBound) -> usize {
        match &self.0 {
            Form::Packed(packed) => members(packed)
                .take_while(|&(.., score)| bound.is_above(score))
                .count(),
            Form::Large(large) => large.tree.partition(|ranked| bound.is_above(ranked.score)),
        }
    }

    /// The ranks of the members with scores from `min` to `max`; empty where `min` is above `max`.
    pub fn score_ranks(&self, min: ScoreBound, max: ScoreBound) -> Range<usize> {
        let start = self.lower_rank(min);
        start..self.lower_rank(max.beyond()).max(start)
    }

    /// The rank of the first member that is not below a range beginning at `bound`: the length if there is none.
    /// It means something only if all members have the same score. O(log n).
    pub fn lower_rank_lex(&self, bound: LexBound<'_>) -> usize {
        match &self.0 {
            Form::Packed(packed) => members(packed)
                .take_while(|&(at, _)| bound.is_above(&packed.item(at)))
                .count(),
            Form::Large(large) => large
                .tree
                .partition(|ranked| bound.is_above(large.members.name(ranked.id))),
        }
    }

    /// The ranks of the members from `min` to `max`, where all members have the same score; empty where `min` is above `max`.
    pub fn lex_ranks(&self, min: LexBound<'_>, max: LexBound<'_>) -> Range<usize> {
        let start = self.lower_rank_lex(min);
        let end = self.lower_rank_lex(max.beyond());
        start..end.max(start)
    }

    /// All members with their scores, ascending.
    pub fn iter(&self) -> ZSetIter<'_> {
        self.iter_from_rank(0)
    }

    /// The members from `rank` on, ascending. O(log n) to begin, O(1) each.
    pub fn iter_from_rank(&self, rank: usize) -> ZSetIter<'_> {
        ZSetIter::ascending(&self.0, rank)
    }

    /// The members from `rank` on, descending: `rank` first, 0 last. Beyond the end: nothing.
    pub fn iter_rev_from_rank(&self, rank: usize) -> ZSetIter<'_> {
        ZSetIter::descending(&self.0, rank)
    }

    /// All members with their scores, descending.
    pub fn iter_rev(&self) -> ZSetIter<'_> {
        self.iter_rev_from_rank(self.len().wrapping_sub(1))
    }

    /// Visits some members; see the [module](super) for the cursor.
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8], f64)) -> u64 {
        match &self.0 {
            Form::Packed(_) => {
                self.iter()
                    .for_each(|(member, score)| visit(&member, score));
                0
            }
            Form::Large(large) => large.index.scan(cursor, &mut |&id| {
                visit(large.members.name(id), large.members.score(id));
            }),
        }
    }

    /// A random member with its score, each with the same chance.
    pub fn random(&self, rng: &mut dyn FnMut() -> u64) -> Option<(Item<'_>, f64)> {
        if self.is_empty() {
            return None;
        }
        match &self.0 {
            Form::Packed(packed) => self.by_rank(super::below(rng, packed.len() / 2)),
            Form::Large(large) => {
                let id = super::below(rng, large.len()) as u32;
                Some((
                    Item::borrowed(large.members.name(id)),
                    large.members.score(id),
                ))
            }
        }
    }

    /// Reads on from `cursor`, in ascending order; see the [module](super).
    pub fn chunk(
        &self,
        cursor: u64,
        max_bytes: usize,
        visit: &mut dyn FnMut(&[u8], f64),
    ) -> Option<u64> {
        let (mut rank, mut bytes) = (cursor as usize, 0);
        for (member, score) in self.iter_from_rank(rank) {
            if rank > cursor as usize && bytes >= max_bytes {
                return Some(rank as u64);
            }
            visit(&member, score);
            bytes += member.len() + size_of::<f64>();
            rank += 1;
        }
        None
    }

    /// Drops about `max_items` members; true when none are left. See the [module](super).
    pub fn free_slice(&mut self, max_items: usize) -> bool {
        match &mut self.0 {
            Form::Packed(packed) => *packed = Packed::new(),
            Form::Large(large) => large.free_slice(max_items),
        }
        self.is_empty()
    }
}

/// The score behind the member at `at`.
fn score_at(packed: &Packed<false>, at: usize) -> f64 {
    packed.raw(packed.next(at)).score()
}

/// The offsets of the members of a packed form, with their scores.
fn members(packed: &Packed<false>) -> impl Iterator<Item = (usize, f64)> + '_ {
    let mut at = packed.start();
    std::iter::from_fn(move || {
        if at == packed.end() {
            return None;
        }
        let (member, score) = (at, packed.next(at));
        at = packed.next(score);
        Some((member, packed.raw(score).score()))
    })
}

/// Inserts a member that is not there, in its place.
fn insert_packed(packed: &mut Packed<false>, member: &[u8], score: f64) {
    let is_behind = |&(at, other): &(usize, f64)| {
        compare_scores(other, score)
            .then_with(|| packed.item(at).as_bytes().cmp(member))
            .is_gt()
    };
    let at = members(packed)
        .find(is_behind)
        .map_or(packed.end(), |(at, _)| at);
    packed.insert(at, &Encoder::of(member).score(score));
}

#[cfg(test)]
mod tests;
