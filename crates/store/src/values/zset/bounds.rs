//! Where ranges of a sorted set begin and end.

use std::cmp::Ordering;

use super::members::compare_scores;

/// An end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScoreBound {
    /// The score itself belongs to the range.
    Inclusive(f64),
    /// The score itself does not belong to the range: `(1.5`.
    Exclusive(f64),
}

impl ScoreBound {
    /// Whether `score` is below a range that begins here.
    pub(super) fn is_above(self, score: f64) -> bool {
        match self {
            ScoreBound::Inclusive(bound) => compare_scores(score, bound).is_lt(),
            ScoreBound::Exclusive(bound) => compare_scores(score, bound).is_le(),
        }
    }

    /// The beginning of what is above a range that ends here.
    pub(super) fn beyond(self) -> Self {
        match self {
            ScoreBound::Inclusive(bound) => ScoreBound::Exclusive(bound),
            ScoreBound::Exclusive(bound) => ScoreBound::Inclusive(bound),
        }
    }
}

/// An end of a range of members that all have the same score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Before all members: `-`.
    Min,
    /// Behind all members: `+`.
    Max,
    /// The member itself belongs to the range: `[a`.
    Inclusive(&'a [u8]),
    /// The member itself does not belong to the range: `(a`.
    Exclusive(&'a [u8]),
}

impl LexBound<'_> {
    /// Whether `member` is below a range that begins here.
    pub(super) fn is_above(self, member: &[u8]) -> bool {
        match self {
            LexBound::Min => false,
            LexBound::Max => true,
            LexBound::Inclusive(bound) => member.cmp(bound) == Ordering::Less,
            LexBound::Exclusive(bound) => member.cmp(bound) != Ordering::Greater,
        }
    }

    /// The beginning of what is above a range that ends here.
    pub(super) fn beyond(self) -> Self {
        match self {
            LexBound::Inclusive(bound) => LexBound::Exclusive(bound),
            LexBound::Exclusive(bound) => LexBound::Inclusive(bound),
            end => end,
        }
    }
}
