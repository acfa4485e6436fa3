//! The members of a large sorted set, each stored once; index and tree refer to them by number.

use std::cmp::Ordering;

use super::super::elem::{self, Elem};
use super::super::segvec::SegVec;

/// A member and its score.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: Elem,
    pub(super) score: f64,
}

/// A place in the order of a sorted set: by score, then by the bytes of the member.
#[derive(Clone, Copy)]
pub(super) struct Probe<'a> {
    pub(super) score: f64,
    pub(super) name: &'a [u8],
}

/// A member's number with its score beside it, so that most comparisons need not look at the member.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ranked {
    pub(super) score: f64,
    pub(super) id: u32,
}

/// All members, without gaps.
#[derive(Clone, Debug)]
pub(super) struct Members {
    pub(super) slots: SegVec<Member>,
    /// What names own on the heap.
    elem_bytes: usize,
}

impl Members {
    pub(super) fn new() -> Self {
        Members {
            slots: SegVec::new(),
            elem_bytes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn heap_size(&self) -> usize {
        self.slots.heap_size() + self.elem_bytes
    }

    #[inline]
    pub(super) fn name(&self, id: u32) -> &[u8] {
        self.slots[id as usize].name.as_bytes()
    }

    pub(super) fn score(&self, id: u32) -> f64 {
        self.slots[id as usize].score
    }

    pub(super) fn set_score(&mut self, id: u32, score: f64) {
        self.slots[id as usize].score = score;
    }

    /// Adds a member; returns its number.
    pub(super) fn push(&mut self, name: &[u8], score: f64) -> u32 {
        let id = u32::try_from(self.len())
            .expect("a sorted set of one shard has less than 2^32 members");
        let name = Elem::new(name);
        self.elem_bytes += name.heap_size();
        self.slots.push(Member { name, score });
        id
    }

    /// Removes member `id`; the last one takes its number.
    pub(super) fn swap_remove(&mut self, id: u32) {
        let removed = self.slots.swap_remove(id as usize);
        self.elem_bytes -= removed.name.heap_size();
    }

    /// The number of the last member, in a set that is not empty.
    pub(super) fn last_id(&self) -> u32 {
        (self.len() - 1) as u32
    }

    /// Removes the last members, `max_items` at most.
    pub(super) fn free_slice(&mut self, max_items: usize) {
        for _ in 0..max_items.min(self.len()) {
            self.swap_remove(self.last_id());
        }
    }

    #[inline]
    pub(super) fn compare(&self, ranked: &Ranked, probe: &Probe<'_>) -> Ordering {
        compare_scores(ranked.score, probe.score).then_with(|| self.name(ranked.id).cmp(probe.name))
    }

    pub(super) fn hash(&self, id: u32) -> u64 {
        elem::hash(self.name(id))
    }
}

/// The order of scores. None is NaN; 0.0 and -0.0 are equal.
#[inline]
pub(super) fn compare_scores(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
impl Members {
    /// Checks the sum of what names own.
    pub(super) fn audit(&self) {
        let names = (0..self.len()).map(|id| self.slots[id].name.heap_size());
        assert_eq!(self.elem_bytes, names.sum::<usize>());
    }
}
