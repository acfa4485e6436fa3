//! ZADD and ZINCRBY.

use super::scores::insert;
use crate::command::{CommandError, CommandResult};
use crate::context::WriteContext;
use crate::families::collections::change_or_create;
use crate::families::options::{float, is_word};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::ZSet;
use smallvec::SmallVec;

const NOT_A_NUMBER: CommandError = CommandError::text("ERR resulting score is not a number (NaN)");

/// A score and a member.
type Pair<'a> = [&'a [u8]; 2];

/// The options of ZADD.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    only_new: bool,
    only_existing: bool,
    only_greater: bool,
    only_less: bool,
    count_changed: bool,
    increment: bool,
}

impl Options {
    /// Takes the options from index 2 on; returns them with the scores and members behind them.
    fn parse<'a>(
        mut self,
        args: &'a [&'a [u8]],
    ) -> Result<(Options, &'a [Pair<'a>]), CommandError> {
        let words = args[2..].iter().take_while(|word| self.take(word)).count();
        let (pairs, rest) = args[2 + words..].as_chunks::<2>();
        if pairs.is_empty() || !rest.is_empty() {
            return Err(CommandError::Syntax);
        }
        self.check(pairs.len())?;
        Ok((self, pairs))
    }

    /// Whether this word is an option; it is set then.
    fn take(&mut self, word: &[u8]) -> bool {
        let options = [
            ("NX", &mut self.only_new),
            ("XX", &mut self.only_existing),
            ("GT", &mut self.only_greater),
            ("LT", &mut self.only_less),
            ("CH", &mut self.count_changed),
            ("INCR", &mut self.increment),
        ];
        let option = options.into_iter().find(|(name, _)| is_word(word, name));
        option.map(|(_, set)| *set = true).is_some()
    }

    fn check(&self, pairs: usize) -> CommandResult {
        if self.only_new && self.only_existing {
            return Err(CommandError::text(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        if [self.only_new, self.only_greater, self.only_less]
            .iter()
            .filter(|set| **set)
            .count()
            > 1
        {
            return Err(CommandError::text(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.increment && pairs > 1 {
            return Err(CommandError::text(
                "ERR INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }

    /// Whether a plain insertion does it.
    fn are_plain(&self) -> bool {
        !(self.only_new
            || self.only_existing
            || self.only_greater
            || self.only_less
            || self.increment)
    }

    /// Sets one score.
    fn apply(&self, zset: &mut ZSet, score: f64, member: &[u8]) -> Result<Outcome, CommandError> {
        if self.are_plain() {
            return Ok(Outcome::of(insert(zset, member, score), score));
        }
        let Some(old) = zset.score(member) else {
            if self.only_existing {
                return Ok(Outcome::Skipped);
            }
            return Ok(Outcome::of(insert(zset, member, score), score));
        };
        if self.only_new {
            return Ok(Outcome::Skipped);
        }
        let new = if self.increment { old + score } else { score };
        if new.is_nan() {
            return Err(NOT_A_NUMBER);
        }
        if (self.only_less && new >= old) || (self.only_greater && new <= old) {
            return Ok(Outcome::Skipped);
        }
        insert(zset, member, new);
        Ok(Outcome::of(Some(old), new))
    }
}

/// What happened to a member.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Added(f64),
    Updated(f64),
    Same(f64),
    /// The options forbade it.
    Skipped,
}

impl Outcome {
    fn of(old: Option<f64>, new: f64) -> Outcome {
        match old {
            None => Outcome::Added(new),
            Some(old) if old != new => Outcome::Updated(new),
            Some(_) => Outcome::Same(new),
        }
    }

    fn score(self) -> Option<f64> {
        match self {
            Outcome::Added(score) | Outcome::Updated(score) | Outcome::Same(score) => Some(score),
            Outcome::Skipped => None,
        }
    }
}

/// What happened to the members of one command.
#[derive(Default)]
struct Summary {
    added: i64,
    updated: i64,
    /// The score that the last member has now, unless it was skipped.
    score: Option<f64>,
}

impl Summary {
    fn count(&mut self, outcome: Outcome) {
        self.added += i64::from(matches!(outcome, Outcome::Added(_)));
        self.updated += i64::from(matches!(outcome, Outcome::Updated(_)));
        self.score = outcome.score();
    }
}

pub(super) fn zadd(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    add(cx, args, Options::default(), out).map(drop)
}

/// ZADD for a command that is another form of it. Whether anything has changed.
pub(crate) fn zadd_as_part(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> Result<bool, CommandError> {
    add(cx, args, Options::default(), out)
}

pub(super) fn zincrby(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    add(
        cx,
        args,
        Options {
            increment: true,
            ..Options::default()
        },
        out,
    )
    .map(drop)
}

fn add(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    options: Options,
    out: &mut ReplyWriter<'_>,
) -> Result<bool, CommandError> {
    let (options, pairs) = options.parse(args)?;
    let scores: SmallVec<[f64; 8]> = pairs
        .iter()
        .map(|[score, _]| float(score))
        .collect::<Result<_, _>>()?;
    let summary = apply_all(cx, args[1], &options, pairs, &scores)?;
    let changed = summary.added + summary.updated > 0;
    if changed {
        cx.modified(
            EventClass::SortedSet,
            if options.increment { "zincr" } else { "zadd" },
            args[1],
        );
    }
    if options.increment {
        match summary.score {
            Some(score) => out.double(score),
            None => out.null(),
        }
    } else {
        out.integer(
            summary.added
                + if options.count_changed {
                    summary.updated
                } else {
                    0
                },
        );
    }
    Ok(changed)
}

fn apply_all(
    cx: &mut WriteContext<'_>,
    key: &[u8],
    options: &Options,
    pairs: &[Pair<'_>],
    scores: &[f64],
) -> Result<Summary, CommandError> {
    if options.only_existing && cx.typed::<ZSet>(key)?.is_none() {
        return Ok(Summary::default());
    }
    change_or_create(cx, key, |zset: &mut ZSet| {
        let mut summary = Summary::default();
        for ([_, member], score) in pairs.iter().zip(scores) {
            summary.count(options.apply(zset, *score, member)?);
        }
        Ok(summary)
    })?
}
