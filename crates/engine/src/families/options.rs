//! Reading the arguments of commands, with Redis's rules and errors.

use super::glob::Glob;
use crate::command::CommandError;
use damselfly_store::{DbIndex, UnixMs};

/// Milliseconds in a second.
const SECOND_MS: i64 = 1000;
/// Longest string that a command may make (`proto-max-bulk-len`), in bytes.
pub const MAX_STRING_LEN: usize = 512 << 20;

/// A strict decimal integer.
///
/// # Errors
/// [`CommandError::NotInteger`].
pub fn integer(arg: &[u8]) -> Result<i64, CommandError> {
    damselfly_resp::parse_i64(arg).ok_or(CommandError::NotInteger)
}

/// A number of things, 0 or more.
///
/// # Errors
/// [`CommandError::NotPositive`], for what is no integer too.
pub fn not_negative(arg: &[u8]) -> Result<i64, CommandError> {
    damselfly_resp::parse_i64(arg)
        .filter(|number| *number >= 0)
        .ok_or(CommandError::NotPositive)
}

/// An integer of 32 bits.
///
/// # Errors
/// [`CommandError::NotInteger`], or Redis's text for one out of range.
pub fn integer32(arg: &[u8]) -> Result<i32, CommandError> {
    i32::try_from(integer(arg)?).map_err(|_| {
        CommandError::text(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        )
    })
}

/// The index of a database.
///
/// # Errors
/// No integer, or not below `dbnum`.
pub fn db_index(arg: &[u8], dbnum: u16) -> Result<DbIndex, CommandError> {
    index_below(integer32(arg)?, dbnum)
}

/// This number as the index of a database.
///
/// # Errors
/// [`CommandError::DbIndex`]: it is not below `dbnum`.
pub fn index_below(index: i32, dbnum: u16) -> Result<DbIndex, CommandError> {
    u16::try_from(index)
        .ok()
        .filter(|index| *index < dbnum)
        .map(DbIndex)
        .ok_or(CommandError::DbIndex)
}

/// A double: a score, an increment, a weight.
///
/// # Errors
/// [`CommandError::NotFloat`].
pub fn float(arg: &[u8]) -> Result<f64, CommandError> {
    damselfly_resp::parse_f64(arg).ok_or(CommandError::NotFloat)
}

/// A timeout in seconds, with fractions, as milliseconds. `None`: there is none.
///
/// # Errors
/// No number, or one that is negative or too large (which Redis calls negative as well).
pub fn timeout_seconds(arg: &[u8]) -> Result<Option<u64>, CommandError> {
    const NEGATIVE: CommandError = CommandError::text("ERR timeout is negative");
    let Some(seconds) = damselfly_resp::parse_f64(arg) else {
        // Redis reads a wider format here.
        return Err(match damselfly_resp::LongDouble::parse(arg) {
            Some(_) => NEGATIVE,
            None => CommandError::text("ERR timeout is not a float or out of range"),
        });
    };
    // What is less than a millisecond below zero Redis rounds up; its product is just above -1 there.
    let ms = (seconds * SECOND_MS as f64).ceil().max(0.0);
    if seconds < -0.001 || ms >= i64::MAX as f64 {
        return Err(NEGATIVE);
    }
    Ok(Some(ms as u64).filter(|ms| *ms > 0))
}

/// A timeout in milliseconds. `None`: there is none.
///
/// # Errors
/// No integer, or a negative one.
pub fn timeout_ms(arg: &[u8]) -> Result<Option<u64>, CommandError> {
    let ms = damselfly_resp::parse_i64(arg).ok_or(CommandError::text(
        "ERR timeout is not an integer or out of range",
    ))?;
    let ms = u64::try_from(ms).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    Ok(Some(ms).filter(|ms| *ms > 0))
}

/// Whether the argument is this word, whatever its case.
#[inline]
pub fn is_word(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// Whether a string may become `len` bytes longer by `more`.
///
/// # Errors
/// [`CommandError::StringTooLong`].
pub fn check_string_len(len: usize, more: usize) -> Result<(), CommandError> {
    match len.checked_add(more) {
        Some(total) if total <= MAX_STRING_LEN => Ok(()),
        _ => Err(CommandError::StringTooLong),
    }
}

/// `start` and `stop` of a range that may count from the end, as positions in something of `len` items: the first, and how many.
/// `None` if the range is empty. As in LRANGE, ZRANGE and LTRIM.
pub fn range(start: i64, stop: i64, len: usize) -> Option<(usize, usize)> {
    let len = len as i64;
    let start = if start < 0 {
        (start + len).max(0)
    } else {
        start
    };
    let stop = if stop < 0 {
        stop + len
    } else {
        stop.min(len - 1)
    };
    (start <= stop && start < len).then(|| (start as usize, (stop - start + 1) as usize))
}

/// Goes over the options behind a command's fixed arguments.
#[derive(Debug, Clone)]
pub struct Words<'a> {
    args: &'a [&'a [u8]],
}

impl<'a> Words<'a> {
    /// The arguments from index `first` on.
    pub fn from(args: &'a [&'a [u8]], first: usize) -> Words<'a> {
        Words {
            args: args.get(first..).unwrap_or_default(),
        }
    }

    /// The value that must follow an option.
    ///
    /// # Errors
    /// [`CommandError::Syntax`]: there is none.
    pub fn value(&mut self) -> Result<&'a [u8], CommandError> {
        self.next().ok_or(CommandError::Syntax)
    }

    /// How many arguments are left.
    pub fn left(&self) -> usize {
        self.args.len()
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (first, rest) = self.args.split_first()?;
        self.args = rest;
        Some(first)
    }
}

/// Unit of a time argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
}

/// How a time argument is meant: EX, PX, EXAT, PXAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeForm {
    /// Its unit.
    pub unit: Unit,
    /// Since the epoch, not from now.
    pub absolute: bool,
}

impl TimeForm {
    /// `EX`: seconds from now.
    pub const EX: TimeForm = TimeForm {
        unit: Unit::Seconds,
        absolute: false,
    };
    /// `PX`: milliseconds from now.
    pub const PX: TimeForm = TimeForm {
        unit: Unit::Millis,
        absolute: false,
    };
    /// `EXAT`: seconds since the epoch.
    pub const EXAT: TimeForm = TimeForm {
        unit: Unit::Seconds,
        absolute: true,
    };
    /// `PXAT`: milliseconds since the epoch.
    pub const PXAT: TimeForm = TimeForm {
        unit: Unit::Millis,
        absolute: true,
    };

    /// The form that this option names.
    pub fn of_word(word: &[u8]) -> Option<TimeForm> {
        let forms = [
            ("EX", Self::EX),
            ("PX", Self::PX),
            ("EXAT", Self::EXAT),
            ("PXAT", Self::PXAT),
        ];
        forms
            .into_iter()
            .find(|(name, _)| is_word(word, name))
            .map(|(_, form)| form)
    }

    /// The absolute time that a positive number means, as SET, SETEX and GETEX read it (Redis's `getExpireMillisecondsOrReply`).
    ///
    /// # Errors
    /// Not an integer; not positive, or beyond what fits: `invalid expire time in 'command' command`.
    pub fn positive(self, arg: &[u8], now: UnixMs, command: &str) -> Result<UnixMs, CommandError> {
        let number = integer(arg)?;
        let at = if number > 0 {
            self.at(number, now)
        } else {
            None
        };
        at.ok_or_else(|| CommandError::InvalidExpire(command.to_owned()))
    }

    /// The absolute time that any number means, as EXPIRE reads it; it may lie in the past.
    ///
    /// # Errors
    /// Not an integer, or beyond what fits: `invalid expire time in 'command' command`.
    pub fn any(self, arg: &[u8], now: UnixMs, command: &str) -> Result<UnixMs, CommandError> {
        self.at(integer(arg)?, now)
            .ok_or_else(|| CommandError::InvalidExpire(command.to_owned()))
    }

    fn at(self, number: i64, now: UnixMs) -> Option<UnixMs> {
        let ms = if self.unit == Unit::Seconds {
            number.checked_mul(SECOND_MS)?
        } else {
            number
        };
        if self.absolute {
            Some(ms)
        } else {
            ms.checked_add(now)
        }
    }
}

/// The options of SCAN, HSCAN, SSCAN and ZSCAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanOptions<'a> {
    /// About how many items to look at.
    pub count: usize,
    /// Only items that match.
    pub pattern: Option<Glob<'a>>,
    /// Only keys of the type with this name (SCAN).
    pub kind: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    /// COUNT where the client gives none.
    const DEFAULT_COUNT: usize = 10;

    /// Reads `MATCH pattern`, `COUNT n` and, where `with_type`, `TYPE name` from index `first` on.
    ///
    /// # Errors
    /// Another word, a count that is no integer or below 1.
    pub fn parse(
        args: &'a [&'a [u8]],
        first: usize,
        with_type: bool,
    ) -> Result<ScanOptions<'a>, CommandError> {
        let mut options = ScanOptions {
            count: Self::DEFAULT_COUNT,
            pattern: None,
            kind: None,
        };
        let mut words = Words::from(args, first);
        while let Some(word) = words.next() {
            if is_word(word, "COUNT") {
                let count = integer(words.value()?)?;
                options.count = usize::try_from(count)
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or(CommandError::Syntax)?;
            } else if is_word(word, "MATCH") {
                options.pattern =
                    Some(Glob::new(words.value()?)).filter(|pattern| !pattern.is_everything());
            } else if with_type && is_word(word, "TYPE") {
                options.kind = Some(words.value()?);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// Whether an item of this name is wanted.
    pub fn wants(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| pattern.matches(name))
    }
}

/// A cursor as the SCAN commands read it (C's `strtoul`): a sign is allowed and wraps, empty is 0.
///
/// # Errors
/// `invalid cursor`.
pub fn cursor(arg: &[u8]) -> Result<u64, CommandError> {
    const INVALID: CommandError = CommandError::text("ERR invalid cursor");
    let (negative, digits) = match arg {
        [] => return Ok(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(INVALID);
    }
    let mut value = 0u64;
    for byte in digits {
        let digit = char::from(*byte).to_digit(10).ok_or(INVALID)?;
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(digit.into()))
            .ok_or(INVALID)?;
    }
    Ok(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_from_both_ends() {
        for (start, stop, len, expected) in [
            (0, -1, 3, Some((0, 3))),
            (-2, -1, 3, Some((1, 2))),
            (-100, 100, 3, Some((0, 3))),
            (3, 5, 3, None),
            (2, 1, 3, None),
            (0, -4, 3, None),
            (0, 0, 0, None),
            (i64::MIN, i64::MAX, 3, Some((0, 3))),
        ] {
            assert_eq!(range(start, stop, len), expected, "{start} {stop} of {len}");
        }
    }

    #[test]
    fn times_overflow_to_errors() {
        assert_eq!(TimeForm::EX.positive(b"10", 5, "set"), Ok(10_005));
        assert_eq!(TimeForm::PXAT.any(b"-10", 5, "pexpireat"), Ok(-10));
        for (form, text) in [
            (TimeForm::EX, "0"),
            (TimeForm::EX, "-1"),
            (TimeForm::EX, "9223372036854775807"),
            (TimeForm::PX, "9223372036854775807"),
        ] {
            let error = form.positive(text.as_bytes(), 5, "set").unwrap_err();
            assert_eq!(
                error.to_string(),
                "ERR invalid expire time in 'set' command"
            );
        }
    }

    #[test]
    fn cursors_are_read_like_strtoul() {
        assert_eq!(cursor(b""), Ok(0));
        assert_eq!(cursor(b"+7"), Ok(7));
        assert_eq!(cursor(b"-1"), Ok(u64::MAX));
        for text in [&b"a"[..], b"1a", b" 1", b"-", b"18446744073709551616"] {
            assert!(cursor(text).is_err());
        }
    }
}
