//! Where the keys of a command stand among its arguments.

use super::CommandError;
use smallvec::SmallVec;

/// Positions of keys in an argument list.
pub type KeyPositions = SmallVec<[u32; 4]>;

/// Key specification, as data.
#[derive(Clone, Copy)]
pub enum Keys {
    /// No keys.
    None,
    /// `first..=last` in steps; a negative `last` counts from the end (-1 is the last argument).
    Range {
        /// Index of the first key.
        first: u8,
        /// Index of the last key, or from the end.
        last: i8,
        /// Distance between keys.
        step: u8,
    },
    /// A number of keys at `count`, the keys from `first` on; and, where `extra` is not 0, one more key there (a destination).
    Counted {
        /// Index of the argument that says how many keys follow.
        count: u8,
        /// Index of the first key.
        first: u8,
        /// Index of one more key, or 0.
        extra: u8,
    },
    /// The first argument, and the one behind the last of some words, if there is any.
    OneAndAfter {
        /// The words before the other key.
        words: &'static [&'static str],
        /// Index of the first argument that may be such a word.
        from: u8,
        /// Words with so many arguments of their own, which are none of those words.
        skips: &'static [(&'static str, u8)],
    },
    /// Keys behind a word, wherever it stands, each with another argument in the second half of what follows it.
    BehindWord {
        /// The word.
        word: &'static str,
        /// Index of the first argument that may be the word.
        from: u8,
        /// Finds them.
        find: fn(&[&[u8]]) -> Result<KeyPositions, CommandError>,
    },
    /// A function of the arguments.
    Custom(fn(&[&[u8]]) -> Result<KeyPositions, CommandError>),
}

impl Keys {
    /// One key, the first argument.
    pub const ONE: Keys = Keys::Range {
        first: 1,
        last: 1,
        step: 1,
    };
    /// One key, the second argument, behind a subcommand.
    pub const SECOND: Keys = Keys::Range {
        first: 2,
        last: 2,
        step: 1,
    };
    /// Two keys, the first and the second argument.
    pub const TWO: Keys = Keys::Range {
        first: 1,
        last: 2,
        step: 1,
    };
    /// Every argument is a key.
    pub const ALL: Keys = Keys::Range {
        first: 1,
        last: -1,
        step: 1,
    };
    /// Keys and values in turn.
    pub const PAIRS: Keys = Keys::Range {
        first: 1,
        last: -1,
        step: 2,
    };

    /// The positions of the keys of this command line.
    ///
    /// # Errors
    /// The arguments don't have the shape that the specification reads (a count that is no number, or too large).
    pub fn positions(&self, args: &[&[u8]]) -> Result<KeyPositions, CommandError> {
        match *self {
            Keys::None => Ok(KeyPositions::new()),
            Keys::Range { first, last, step } => range(args, first, last, step),
            Keys::Counted {
                count,
                first,
                extra,
            } => counted(args, count, first, extra),
            Keys::OneAndAfter { words, from, skips } => Ok(one_and_after(args, words, from, skips)),
            Keys::BehindWord { find, .. } | Keys::Custom(find) => find(args),
        }
    }

    /// The only key, where the specification is one key at a fixed place.
    pub fn single<'a>(&self, args: &[&'a [u8]]) -> Option<&'a [u8]> {
        match *self {
            Keys::Range {
                first: 1, last: 1, ..
            } => args.get(1).copied(),
            _ => None,
        }
    }

    /// `(first, last, step)` as `COMMAND INFO` shows them.
    pub fn legacy_range(&self) -> (i64, i64, i64) {
        match *self {
            Keys::None | Keys::BehindWord { .. } | Keys::Custom(_) => (0, 0, 0),
            Keys::OneAndAfter { .. } => (1, 1, 1),
            Keys::Range { first, last, step } => (first.into(), last.into(), step.into()),
            Keys::Counted { extra: 0, .. } => (0, 0, 0),
            Keys::Counted { extra, .. } => (extra.into(), extra.into(), 1),
        }
    }

    /// Whether the positions depend on the arguments in a way that `COMMAND INFO` can't express.
    pub fn is_movable(&self) -> bool {
        matches!(
            self,
            Keys::Counted { .. }
                | Keys::OneAndAfter { .. }
                | Keys::BehindWord { .. }
                | Keys::Custom(_)
        )
    }

    /// Distance between two keys where the command is split by key.
    pub fn step(&self) -> usize {
        match *self {
            Keys::Range { step, .. } => step.into(),
            _ => 1,
        }
    }
}

/// Where keys stand in groups with other arguments, the last group must be whole.
fn range(args: &[&[u8]], first: u8, last: i8, step: u8) -> Result<KeyPositions, CommandError> {
    if last == first as i8 {
        return Ok((usize::from(first) < args.len())
            .then_some(first.into())
            .into_iter()
            .collect());
    }
    if last < 0 && step > 1 && (args.len() as i64 - i64::from(first)) % i64::from(step) != 0 {
        return Err(CommandError::Arity(
            String::from_utf8_lossy(args[0]).to_ascii_lowercase(),
        ));
    }
    Ok(stepped(args, first, last, step))
}

/// The positions of a range, whether or not its last group is whole.
pub(super) fn stepped(args: &[&[u8]], first: u8, last: i8, step: u8) -> KeyPositions {
    let len = args.len() as i64;
    let last = if last < 0 {
        len + i64::from(last)
    } else {
        i64::from(last)
    };
    (i64::from(first)..=last.min(len - 1))
        .step_by(usize::from(step.max(1)))
        .map(|at| at as u32)
        .collect()
}

/// The number at the start of a text as C's `atoi` reads it, which Redis finds keys with.
fn leading_integer(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0i64, |number, byte| {
        number
            .saturating_mul(10)
            .saturating_add(i64::from(byte - b'0'))
    });
    if negative { -number } else { number }
}

fn counted(args: &[&[u8]], count: u8, first: u8, extra: u8) -> Result<KeyPositions, CommandError> {
    let number = args.get(usize::from(count)).ok_or(CommandError::Syntax)?;
    // What is wrong with the number is the handler's to say.
    let number = leading_integer(number);
    let available = args.len().saturating_sub(first.into());
    let mut found = KeyPositions::new();
    if extra != 0 {
        found.push(extra.into());
    }
    if number > 0 && number as u64 <= available as u64 {
        found.extend((0..number as u32).map(|at| at + u32::from(first)));
    }
    Ok(found)
}

fn one_and_after(args: &[&[u8]], words: &[&str], from: u8, skips: &[(&str, u8)]) -> KeyPositions {
    let is = |at: usize, word: &str| args[at].eq_ignore_ascii_case(word.as_bytes());
    let (mut at, mut after) = (usize::from(from), None);
    while at < args.len() {
        if let Some((_, skipped)) = skips.iter().find(|(word, _)| is(at, word)) {
            at += usize::from(*skipped);
        } else if words.iter().any(|word| is(at, word)) && at + 1 < args.len() {
            at += 1;
            after = Some(at as u32);
        }
        at += 1;
    }
    let first = (args.len() > 1).then_some(1);
    first.into_iter().chain(after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_says_where_the_other_key_is() {
        let keys = Keys::OneAndAfter {
            words: &["STORE", "TO"],
            from: 2,
            skips: &[("BY", 1)],
        };
        for (line, expected) in [
            ("SORT k", &[1][..]),
            ("SORT k STORE d", &[1, 3]),
            ("SORT k store a TO b", &[1, 5]),
            ("SORT k STORE", &[1]),
            ("SORT k BY store x", &[1]),
            ("SORT k STORE store LIMIT", &[1, 3]),
            ("SORT store STORE", &[1]),
            ("SORT", &[]),
        ] {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let found = keys.positions(&args).expect("it never fails");
            assert_eq!(found.as_slice(), expected, "{line}");
        }
    }
}
