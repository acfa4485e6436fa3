//! Reading the ends of ranges.

use crate::command::CommandError;
use damselfly_resp::parse_f64_lenient;
use damselfly_store::values::{LexBound, ScoreBound};

/// The bounds of a range of scores: `1.5`, `(1.5`, `-inf`.
///
/// # Errors
/// One of them is none.
pub(super) fn scores(min: &[u8], max: &[u8]) -> Result<(ScoreBound, ScoreBound), CommandError> {
    score(min)
        .zip(score(max))
        .ok_or(CommandError::text("ERR min or max is not a float"))
}

fn score(arg: &[u8]) -> Option<ScoreBound> {
    match arg {
        [b'(', number @ ..] => parse_f64_lenient(number).map(ScoreBound::Exclusive),
        number => parse_f64_lenient(number).map(ScoreBound::Inclusive),
    }
}

/// The bounds of a range of names: `[a`, `(a`, `-`, `+`.
///
/// # Errors
/// One of them is none.
pub(super) fn names<'a>(
    min: &'a [u8],
    max: &'a [u8],
) -> Result<(LexBound<'a>, LexBound<'a>), CommandError> {
    name(min).zip(name(max)).ok_or(CommandError::text(
        "ERR min or max not valid string range item",
    ))
}

fn name(arg: &[u8]) -> Option<LexBound<'_>> {
    match arg {
        b"-" => Some(LexBound::Min),
        b"+" => Some(LexBound::Max),
        [b'[', name @ ..] => Some(LexBound::Inclusive(name)),
        [b'(', name @ ..] => Some(LexBound::Exclusive(name)),
        _ => None,
    }
}
