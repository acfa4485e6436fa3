//! The options of XADD and XTRIM.

use super::ids::{self, NewId};
use crate::command::CommandError;
use crate::families::options::{integer, is_word};
use damselfly_store::values::stream::{Trim, TrimTo};

/// How many entries an approximate trim removes at most, where the client does not say: a hundred nodes.
const DEFAULT_LIMIT: u64 = 10_000;

const TWO_STRATEGIES: CommandError = CommandError::text(
    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
);

/// Options that have been read.
#[derive(Default)]
struct Options {
    to: Option<TrimTo>,
    approximate: bool,
    limit: Option<u64>,
    no_make: bool,
}

impl Options {
    /// Reads the option at the start of `args`. How many arguments it takes; 0 if there is none.
    fn take(&mut self, args: &[&[u8]], adds: bool) -> Result<usize, CommandError> {
        match args {
            [word, rest @ ..] if is_word(word, "MAXLEN") && !rest.is_empty() => {
                self.take_strategy(rest, |arg| {
                    let length = integer(arg)?;
                    let length = u64::try_from(length)
                        .map_err(|_| CommandError::text("ERR The MAXLEN argument must be >= 0."))?;
                    Ok(TrimTo::MaxLen(length))
                })
            }
            [word, rest @ ..] if is_word(word, "MINID") && !rest.is_empty() => {
                self.take_strategy(rest, |arg| ids::exact(arg).map(TrimTo::MinId))
            }
            [word, limit, ..] if is_word(word, "LIMIT") => {
                let limit = u64::try_from(integer(limit)?)
                    .map_err(|_| CommandError::text("ERR The LIMIT argument must be >= 0."))?;
                self.limit = Some(limit);
                Ok(2)
            }
            [word, ..] if adds && is_word(word, "NOMKSTREAM") => {
                self.no_make = true;
                Ok(1)
            }
            _ => Ok(0),
        }
    }

    /// `[=|~] threshold`, behind the name of the strategy.
    fn take_strategy(
        &mut self,
        args: &[&[u8]],
        parse: impl FnOnce(&[u8]) -> Result<TrimTo, CommandError>,
    ) -> Result<usize, CommandError> {
        if self.to.is_some() {
            return Err(TWO_STRATEGIES);
        }
        self.approximate = false;
        let (threshold, taken) = match args {
            [mark, threshold, ..] if *mark == b"~" || *mark == b"=" => {
                self.approximate = *mark == b"~";
                (threshold, 3)
            }
            _ => (&args[0], 2),
        };
        self.to = Some(parse(threshold)?);
        Ok(taken)
    }

    /// The trim that is asked for. Where effects are replayed it is not limited: the primary has said what is left.
    fn trim(&self, adds: bool, replays: bool) -> Result<Option<Trim>, CommandError> {
        if self.to.is_none() && self.limit.is_some_and(|limit| limit > 0) {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if self.to.is_none() && !adds {
            return Err(CommandError::text(
                "ERR syntax error, XTRIM must be called with a trimming strategy",
            ));
        }
        if self.limit.is_some() && !self.approximate && !replays {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        let limit = match self.limit {
            _ if replays || !self.approximate => 0,
            limit => limit.unwrap_or(DEFAULT_LIMIT),
        };
        Ok(self.to.map(|to| Trim {
            to,
            approximate: self.approximate,
            limit,
        }))
    }
}

/// The arguments of XADD.
pub(super) struct AddArgs<'a> {
    /// Whether a stream is made where there is none.
    pub(super) makes: bool,
    pub(super) trim: Option<Trim>,
    pub(super) id: NewId,
    /// Fields and values in turn.
    pub(super) pairs: &'a [[&'a [u8]; 2]],
}

impl<'a> AddArgs<'a> {
    /// Reads `key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT count]] id field value …`.
    pub(super) fn parse(args: &'a [&'a [u8]], replays: bool) -> Result<AddArgs<'a>, CommandError> {
        let mut options = Options::default();
        let mut at = 2;
        loop {
            match args.get(at..).unwrap_or_default() {
                [word, ..] if *word == b"*" => break,
                rest => match options.take(rest, true)? {
                    0 => break,
                    taken => at += taken,
                },
            }
        }
        let id = args.get(at).map(|arg| NewId::parse(arg)).transpose()?;
        let trim = options.trim(true, replays)?;
        let (pairs, odd) = args.get(at + 1..).unwrap_or_default().as_chunks::<2>();
        let Some(id) = id.filter(|_| !pairs.is_empty() && odd.is_empty()) else {
            return Err(CommandError::Arity("xadd".to_owned()));
        };
        Ok(AddArgs {
            makes: !options.no_make,
            trim,
            id,
            pairs,
        })
    }
}

/// Reads `key MAXLEN|MINID [=|~] threshold [LIMIT count]`, the arguments of XTRIM.
pub(super) fn parse_trim(args: &[&[u8]], replays: bool) -> Result<Trim, CommandError> {
    let mut options = Options::default();
    let mut at = 2;
    while at < args.len() {
        match options.take(&args[at..], false)? {
            0 => return Err(CommandError::Syntax),
            taken => at += taken,
        }
    }
    options.trim(false, replays)?.ok_or(CommandError::Syntax)
}
