//! The arguments of ZRANGE and its relatives.

use super::bounds;
use crate::command::CommandError;
use crate::families::options::{self, Words, integer, is_word};
use damselfly_store::values::{LexBound, ScoreBound, ZSet};
use std::ops::Range;

/// What the ends of a range are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Name,
}

/// What a command of the family fixes already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Form {
    /// BYSCORE and BYLEX are options where this is not fixed.
    pub(super) by: Option<By>,
    /// REV is an option where this is not fixed.
    pub(super) reverse: Option<bool>,
    /// Whether the result is stored: no WITHSCORES then.
    pub(super) stores: bool,
}

/// The options of ZRANGE and its relatives.
#[derive(Clone, Copy, Debug)]
struct RangeOptions {
    by: Option<By>,
    reverse: Option<bool>,
    with_scores: bool,
    offset: i64,
    limit: i64,
}

impl RangeOptions {
    fn parse(args: &[&[u8]], form: Form) -> Result<RangeOptions, CommandError> {
        let (by, reverse) = (form.by, form.reverse);
        let mut options = RangeOptions {
            by,
            reverse,
            with_scores: false,
            offset: 0,
            limit: -1,
        };
        let mut words = Words::from(args, 3);
        while let Some(word) = words.next() {
            if !form.stores && is_word(word, "WITHSCORES") {
                options.with_scores = true;
            } else if is_word(word, "LIMIT") && words.left() >= 2 {
                (options.offset, options.limit) =
                    (integer(words.value()?)?, integer(words.value()?)?);
            } else if options.reverse.is_none() && is_word(word, "REV") {
                options.reverse = Some(true);
            } else if options.by.is_none() && is_word(word, "BYLEX") {
                options.by = Some(By::Name);
            } else if options.by.is_none() && is_word(word, "BYSCORE") {
                options.by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<(), CommandError> {
        let by = self.by.unwrap_or(By::Rank);
        if self.limit != -1 && by == By::Rank {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if self.with_scores && by == By::Name {
            return Err(CommandError::text(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        Ok(())
    }
}

/// The ends of a range.
#[derive(Clone, Copy, Debug)]
enum Ends<'a> {
    Rank(i64, i64),
    Score(ScoreBound, ScoreBound),
    Name(LexBound<'a>, LexBound<'a>),
}

/// A range of a sorted set that a command asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct RangeArgs<'a> {
    ends: Ends<'a>,
    /// From the highest to the lowest.
    pub(super) reverse: bool,
    /// Whether scores are answered too.
    pub(super) with_scores: bool,
    offset: i64,
    limit: i64,
}

impl<'a> RangeArgs<'a> {
    /// Reads `key min max [options]`, the key at index 0.
    ///
    /// # Errors
    /// Options that are unknown or don't fit together, ends that are none.
    pub(super) fn parse(args: &'a [&'a [u8]], form: Form) -> Result<RangeArgs<'a>, CommandError> {
        let options = RangeOptions::parse(args, form)?;
        let reverse = options.reverse.unwrap_or(false);
        let (first, second) = (args[1], args[2]);
        let (min, max) = if reverse {
            (second, first)
        } else {
            (first, second)
        };
        let ends = match options.by.unwrap_or(By::Rank) {
            By::Rank => Ends::Rank(integer(first)?, integer(second)?),
            By::Score => bounds::scores(min, max).map(|(min, max)| Ends::Score(min, max))?,
            By::Name => bounds::names(min, max).map(|(min, max)| Ends::Name(min, max))?,
        };
        let RangeOptions {
            with_scores,
            offset,
            limit,
            ..
        } = options;
        Ok(RangeArgs {
            ends,
            reverse,
            with_scores,
            offset,
            limit,
        })
    }

    /// Whether the range is one of ranks.
    pub(super) fn is_by_rank(&self) -> bool {
        matches!(self.ends, Ends::Rank(..))
    }

    /// The ranks that are asked for, counted from the lowest score. LIMIT is applied.
    pub(super) fn ranks(&self, zset: &ZSet) -> Range<usize> {
        match self.ends {
            Ends::Rank(start, stop) => self.by_rank(start, stop, zset.len()),
            Ends::Score(min, max) => self.limited(zset.score_ranks(min, max)),
            Ends::Name(min, max) => self.limited(zset.lex_ranks(min, max)),
        }
    }

    fn by_rank(&self, start: i64, stop: i64, len: usize) -> Range<usize> {
        let (start, count) = options::range(start, stop, len).unwrap_or((0, 0));
        if self.reverse {
            len - start - count..len - start
        } else {
            start..start + count
        }
    }

    /// A negative offset leaves nothing, a negative limit everything.
    fn limited(&self, ranks: Range<usize>) -> Range<usize> {
        let skipped = usize::try_from(self.offset)
            .unwrap_or(usize::MAX)
            .min(ranks.len());
        let taken = usize::try_from(self.limit)
            .unwrap_or(usize::MAX)
            .min(ranks.len() - skipped);
        if self.reverse {
            let end = ranks.end - skipped;
            end - taken..end
        } else {
            let start = ranks.start + skipped;
            start..start + taken
        }
    }
}
