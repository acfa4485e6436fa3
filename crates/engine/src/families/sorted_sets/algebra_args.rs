//! The arguments of ZUNION, ZINTER, ZDIFF and their relatives.

use crate::command::CommandError;
use crate::families::collections::at_least;
use crate::families::options::{Words, integer, is_word};
use damselfly_resp::parse_f64;
use smallvec::SmallVec;

/// How two scores of a member become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn parse(word: &[u8]) -> Result<Aggregate, CommandError> {
        let words = [
            ("SUM", Aggregate::Sum),
            ("MIN", Aggregate::Min),
            ("MAX", Aggregate::Max),
        ];
        words
            .into_iter()
            .find(|(name, _)| is_word(word, name))
            .map(|(_, found)| found)
            .ok_or(CommandError::Syntax)
    }

    /// Opposite infinities add up to 0.
    pub(super) fn combine(self, old: f64, new: f64) -> f64 {
        match self {
            Aggregate::Sum => zero_if_nan(old + new),
            Aggregate::Min => {
                if new < old {
                    new
                } else {
                    old
                }
            }
            Aggregate::Max => {
                if new > old {
                    new
                } else {
                    old
                }
            }
        }
    }
}

/// A score with its weight; infinity times 0 is 0.
pub(super) fn zero_if_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What a command of the family does with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Answer,
    Store,
    Count,
}

/// Which options a command takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// The command's name, for its errors.
    pub(super) name: &'static str,
    /// Whether WEIGHTS and AGGREGATE mean something.
    pub(super) combines: bool,
    /// What becomes of the result.
    pub(super) purpose: Purpose,
}

/// The keys of a command, and its options behind them.
pub(super) struct AlgebraArgs<'a> {
    /// The keys.
    pub(super) keys: &'a [&'a [u8]],
    options: &'a [&'a [u8]],
}

/// The options of a command.
pub(super) struct AlgebraOptions {
    /// One for each key.
    pub(super) weights: SmallVec<[f64; 8]>,
    pub(super) aggregate: Aggregate,
    pub(super) with_scores: bool,
    /// Where counting ends.
    pub(super) limit: usize,
}

impl<'a> AlgebraArgs<'a> {
    /// Reads `numkeys key…`, the number at index 0.
    pub(super) fn parse(args: &'a [&'a [u8]], form: Form) -> Result<AlgebraArgs<'a>, CommandError> {
        let keys = integer(args[0])?;
        if keys < 1 {
            let text = format!(
                "ERR at least 1 input key is needed for '{}' command",
                form.name
            );
            return Err(CommandError::owned(text));
        }
        let keys = usize::try_from(keys)
            .ok()
            .filter(|keys| *keys < args.len())
            .ok_or(CommandError::Syntax)?;
        Ok(AlgebraArgs {
            keys: &args[1..=keys],
            options: &args[keys + 1..],
        })
    }

    /// Reads the options. (Redis looks at the types of the keys first.)
    pub(super) fn options(&self, form: Form) -> Result<AlgebraOptions, CommandError> {
        let weights = SmallVec::from_elem(1.0, self.keys.len());
        let mut options = AlgebraOptions {
            weights,
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: usize::MAX,
        };
        let combines = form.combines && form.purpose != Purpose::Count;
        let mut words = Words::from(self.options, 0);
        while let Some(word) = words.next() {
            if combines && words.left() >= self.keys.len() && is_word(word, "WEIGHTS") {
                for weight in &mut options.weights {
                    let float = parse_f64(words.value()?);
                    *weight = float.ok_or(CommandError::text("ERR weight value is not a float"))?;
                }
            } else if combines && is_word(word, "AGGREGATE") {
                options.aggregate = Aggregate::parse(words.value()?)?;
            } else if form.purpose == Purpose::Answer && is_word(word, "WITHSCORES") {
                options.with_scores = true;
            } else if form.purpose == Purpose::Count && is_word(word, "LIMIT") {
                let limit = at_least(words.value()?, 0, "ERR LIMIT can't be negative")? as usize;
                options.limit = if limit == 0 { usize::MAX } else { limit };
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}
