//! BITCOUNT and BITPOS.

use crate::command::{CommandError, CommandResult};
use crate::context::ReadContext;
use crate::families::options::{integer, is_word};
use damselfly_resp::ReplyWriter;
use damselfly_store::{INT_TEXT_MAX, StrValue};
use std::ops::Range;

/// What positions count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Bits,
}

impl Unit {
    fn parse(word: &[u8]) -> Result<Unit, CommandError> {
        if is_word(word, "BIT") {
            Ok(Unit::Bits)
        } else if is_word(word, "BYTE") {
            Ok(Unit::Bytes)
        } else {
            Err(CommandError::Syntax)
        }
    }

    /// The bits from `start` to `end`, both included and perhaps counted from the end, of a string of `len` bytes.
    fn bits(self, start: i64, end: i64, len: usize) -> Range<usize> {
        let scale = if self == Unit::Bytes { 8 } else { 1 };
        let units = (len * 8 / scale) as i64;
        let place = |at: i64| if at < 0 { (at + units).max(0) } else { at };
        let (start, end) = (place(start), place(end).min(units - 1));
        if start > end {
            return 0..0;
        }
        start as usize * scale..(end + 1) as usize * scale
    }
}

/// The byte at `index` without the bits that are outside of `range`.
fn masked(bytes: &[u8], index: usize, range: &Range<usize>, flip: u8) -> u8 {
    let (first, last) = (index * 8, index * 8 + 8);
    let mut byte = bytes[index] ^ flip;
    if range.start > first {
        byte &= 0xFF >> (range.start - first);
    }
    if range.end < last {
        byte &= !(0xFF >> (range.end - first));
    }
    byte
}

/// The set bits within a range of bits.
fn count(bytes: &[u8], range: &Range<usize>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let (first, last) = (range.start / 8, (range.end - 1) / 8);
    let edge = |index| u64::from(masked(bytes, index, range, 0).count_ones());
    if first == last {
        return edge(first);
    }
    let (words, rest) = bytes[first + 1..last].as_chunks::<8>();
    let words = words
        .iter()
        .map(|word| u64::from(u64::from_ne_bytes(*word).count_ones()));
    let rest = rest.iter().map(|byte| u64::from(byte.count_ones()));
    edge(first) + words.sum::<u64>() + rest.sum::<u64>() + edge(last)
}

/// The first bit within a range that is `bit`.
fn position(bytes: &[u8], bit: bool, range: &Range<usize>) -> Option<usize> {
    if range.is_empty() {
        return None;
    }
    let flip = if bit { 0 } else { 0xFF };
    let (first, last) = (range.start / 8, (range.end - 1) / 8);
    let within = |index| {
        let byte = masked(bytes, index, range, flip);
        (byte != 0).then(|| index * 8 + byte.leading_zeros() as usize)
    };
    within(first).or_else(|| {
        let (words, _) = bytes[first + 1..=last].as_chunks::<8>();
        let none = u64::from_ne_bytes([flip; 8]);
        let skip = words
            .iter()
            .position(|word| u64::from_ne_bytes(*word) != none)
            .unwrap_or(words.len());
        (first + 1 + skip * 8..=last).find_map(within)
    })
}

pub(super) fn bitcount(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let Some(string) = cx.typed::<StrValue>(args[1])? else {
        out.integer(0);
        return Ok(());
    };
    let mut scratch = [0; INT_TEXT_MAX];
    let bytes = string.read(&mut scratch);
    let range = match args[2..] {
        [] => 0..bytes.len() * 8,
        [start, end] => part(start, end, None, bytes.len())?,
        [start, end, unit] => part(start, end, Some(unit), bytes.len())?,
        _ => return Err(CommandError::Syntax),
    };
    out.integer(count(bytes, &range) as i64);
    Ok(())
}

/// BITCOUNT's range. One that ends before it begins is empty, whatever its unit says.
fn part(
    start: &[u8],
    end: &[u8],
    unit: Option<&[u8]>,
    len: usize,
) -> Result<Range<usize>, CommandError> {
    let (start, end) = (integer(start)?, integer(end)?);
    if start < 0 && end < 0 && start > end {
        return Ok(0..0);
    }
    let unit = unit.map_or(Ok(Unit::Bytes), Unit::parse)?;
    Ok(unit.bits(start, end, len))
}

pub(super) fn bitpos(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let bit = match integer(args[2])? {
        0 => false,
        1 => true,
        _ => {
            return Err(CommandError::text("ERR The bit argument must be 1 or 0."));
        }
    };
    let Some(string) = cx.typed::<StrValue>(args[1])? else {
        out.integer(if bit { -1 } else { 0 });
        return Ok(());
    };
    let mut scratch = [0; INT_TEXT_MAX];
    let bytes = string.read(&mut scratch);
    let (range, end_given) = match args[3..] {
        [] => (0..bytes.len() * 8, false),
        [start] => (
            Unit::Bytes.bits(integer(start)?, i64::MAX, bytes.len()),
            false,
        ),
        [start, end] => {
            let (start, end) = (integer(start)?, integer(end)?);
            (Unit::Bytes.bits(start, end, bytes.len()), true)
        }
        [start, end, unit] => {
            let start = integer(start)?;
            let unit = Unit::parse(unit)?;
            (unit.bits(start, integer(end)?, bytes.len()), true)
        }
        _ => return Err(CommandError::Syntax),
    };
    let found = position(bytes, bit, &range).map(|at| at as i64);
    // Where no end is given, the zeros behind the string count.
    let beyond = !bit && !end_given && !range.is_empty();
    out.integer(found.unwrap_or(if beyond { bytes.len() as i64 * 8 } else { -1 }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(bytes: &[u8]) -> Vec<bool> {
        let bit = |at: usize| bytes[at / 8] & (0x80 >> (at % 8)) != 0;
        (0..bytes.len() * 8).map(bit).collect()
    }

    fn sparse_bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![6 => Just(0u8), 6 => Just(255u8), 1 => any::<u8>()];
        let runs = prop::collection::vec((byte, 1usize..12), 0..12);
        runs.prop_map(|runs| {
            let run = |(byte, times): &(u8, usize)| vec![*byte; *times];
            runs.iter().flat_map(run).collect()
        })
    }

    proptest! {
        #[test]
        fn bits_are_counted_and_found_as_one_by_one(bytes in sparse_bytes(), start in 0usize..400, len in 0usize..400) {
            let all = bits(&bytes);
            let start = start.min(all.len());
            let range = start..(start + len).min(all.len());
            let within = &all[range.clone()];
            prop_assert_eq!(count(&bytes, &range), within.iter().filter(|bit| **bit).count() as u64);
            for bit in [false, true] {
                let expected = within.iter().position(|found| *found == bit).map(|at| at + range.start);
                prop_assert_eq!(position(&bytes, bit, &range), expected);
            }
        }
    }

    #[test]
    fn ranges_count_from_both_ends_in_bytes_and_bits() {
        assert_eq!(Unit::Bytes.bits(-2, -1, 3), 8..24);
        assert_eq!(Unit::Bits.bits(-2, -1, 3), 22..24);
        assert_eq!(Unit::Bits.bits(5, 9, 1), 5..8);
        assert_eq!(Unit::Bytes.bits(i64::MIN, i64::MAX, 3), 0..24);
        for empty in [
            Unit::Bytes.bits(0, -1, 0),
            Unit::Bytes.bits(2, 1, 3),
            Unit::Bits.bits(99, 99, 3),
        ] {
            assert!(empty.is_empty());
        }
    }
}
