//! The arguments of BITFIELD, and its arithmetic.

use super::bit_offset;
use crate::command::CommandError;
use crate::families::options::{Words, integer, is_word};

/// An integer of `bits` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IntType {
    pub(super) signed: bool,
    pub(super) bits: u32,
}

/// What becomes of a result that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// What is done with one integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Get,
    Set(i64, Overflow),
    Increase(i64, Overflow),
}

/// One operation of BITFIELD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) of: IntType,
    /// The number of its first bit.
    pub(super) offset: usize,
    pub(super) action: Action,
}

impl Operation {
    /// Whether it may change the string.
    pub(super) fn writes(&self) -> bool {
        self.action != Action::Get
    }

    /// The bytes that it reaches into.
    pub(super) fn bytes(&self) -> std::ops::Range<usize> {
        self.offset / 8..(self.offset + self.of.bits as usize).div_ceil(8)
    }

    /// Reads the operations behind the key.
    pub(super) fn parse_all(args: &[&[u8]]) -> Result<Vec<Operation>, CommandError> {
        let mut operations = Vec::new();
        let mut overflow = Overflow::Wrap;
        let mut words = Words::from(args, 2);
        while let Some(word) = words.next() {
            if is_word(word, "OVERFLOW") {
                overflow = Overflow::parse(words.value()?)?;
            } else {
                operations.push(Operation::parse(word, &mut words, overflow)?);
            }
        }
        Ok(operations)
    }

    fn parse(
        word: &[u8],
        words: &mut Words<'_>,
        overflow: Overflow,
    ) -> Result<Operation, CommandError> {
        let make: Option<fn(i64, Overflow) -> Action> = match word {
            _ if is_word(word, "GET") => None,
            _ if is_word(word, "SET") => Some(Action::Set),
            _ if is_word(word, "INCRBY") => Some(Action::Increase),
            _ => return Err(CommandError::Syntax),
        };
        // What is missing is told before what is wrong.
        if words.left() < 2 + usize::from(make.is_some()) {
            return Err(CommandError::Syntax);
        }
        let of = IntType::parse(words.value()?)?;
        let offset = bit_offset(words.value()?, Some(of.bits))?;
        let action = match make {
            None => Action::Get,
            Some(make) => make(integer(words.value()?)?, overflow),
        };
        Ok(Operation { of, offset, action })
    }
}

impl Overflow {
    fn parse(word: &[u8]) -> Result<Overflow, CommandError> {
        let all = [
            ("WRAP", Overflow::Wrap),
            ("SAT", Overflow::Saturate),
            ("FAIL", Overflow::Fail),
        ];
        let found = all.into_iter().find(|(name, _)| is_word(word, name));
        found
            .map(|(_, overflow)| overflow)
            .ok_or(CommandError::text("ERR Invalid OVERFLOW type specified"))
    }

    fn of(self, wrapped: i64, limit: i64) -> Option<i64> {
        match self {
            Overflow::Wrap => Some(wrapped),
            Overflow::Saturate => Some(limit),
            Overflow::Fail => None,
        }
    }
}

impl IntType {
    fn parse(text: &[u8]) -> Result<IntType, CommandError> {
        const INVALID: CommandError = CommandError::text(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        );
        let (signed, most, number) = match text {
            [b'i', number @ ..] => (true, 64, number),
            [b'u', number @ ..] => (false, 63, number),
            _ => return Err(INVALID),
        };
        let bits = damselfly_resp::parse_i64(number)
            .filter(|bits| (1..=most).contains(bits))
            .ok_or(INVALID)?;
        Ok(IntType {
            signed,
            bits: bits as u32,
        })
    }

    /// The value that these low bits are.
    pub(super) fn interpret(self, raw: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.signed {
            (raw << unused) as i64 >> unused
        } else {
            (raw << unused >> unused) as i64
        }
    }

    /// `value + by`, `None` where that fails. `value` alone may be out of range, too: it is what SET was given.
    ///
    /// The conditions are those of `checkSignedBitfieldOverflow` and its unsigned brother (Redis, `bitops.c`), wrapping
    /// differences included: from a value far below a signed type's range SAT goes to the upper end.
    pub(super) fn add(self, value: i64, by: i64, overflow: Overflow) -> Option<i64> {
        let wrapped = self.interpret(value.wrapping_add(by) as u64);
        let (above, below, max, min) = if self.signed {
            let max = i64::MAX >> (64 - self.bits);
            let min = -max - 1;
            let (room_up, room_down) = (max.wrapping_sub(value), min.wrapping_sub(value));
            let narrow = self.bits != 64;
            let above = value > max || ((narrow || (value >= 0 && by > 0)) && by > room_up);
            let below = value < min || ((narrow || (value < 0 && by < 0)) && by < room_down);
            (above, below, max, min)
        } else {
            let max = i64::MAX >> (63 - self.bits);
            let value = value as u64;
            let above = value > max as u64 || (by > 0 && by > max - value as i64);
            (above, by < 0 && by < -(value as i64), max, 0)
        };
        match (above, below) {
            (true, _) => overflow.of(wrapped, max),
            (_, true) => overflow.of(wrapped, min),
            _ => Some(value.wrapping_add(by)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_bounds() {
        for (text, bits) in [("i1", 1), ("i64", 64), ("u63", 63)] {
            assert_eq!(IntType::parse(text.as_bytes()).map(|of| of.bits), Ok(bits));
        }
        for text in ["", "i", "i0", "i65", "u64", "I8", "i08", "i+8", "8"] {
            assert!(IntType::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn sums_wrap_saturate_or_fail() {
        let all = [Overflow::Wrap, Overflow::Saturate, Overflow::Fail];
        for (signed, bits, value, by, expected) in [
            (true, 8, 127, 1, [Some(-128), Some(127), None]),
            (true, 8, -128, -1, [Some(127), Some(-128), None]),
            (true, 8, -128, 127, [Some(-1); 3]),
            (
                true,
                64,
                i64::MAX,
                1,
                [Some(i64::MIN), Some(i64::MAX), None],
            ),
            (
                true,
                64,
                i64::MIN,
                -1,
                [Some(i64::MAX), Some(i64::MIN), None],
            ),
            (true, 64, i64::MIN, i64::MAX, [Some(-1); 3]),
            (true, 1, 0, 1, [Some(-1), Some(0), None]),
            (false, 8, 255, 1, [Some(0), Some(255), None]),
            (false, 8, 0, -1, [Some(255), Some(0), None]),
            (false, 63, i64::MAX, 1, [Some(0), Some(i64::MAX), None]),
            (false, 4, 16, 0, [Some(0), Some(15), None]),
            (false, 4, -1, 0, [Some(15), Some(15), None]),
        ] {
            let of = IntType { signed, bits };
            let sums = all.map(|overflow| of.add(value, by, overflow));
            assert_eq!(sums, expected, "{of:?} {value} {by}");
        }
    }
}
