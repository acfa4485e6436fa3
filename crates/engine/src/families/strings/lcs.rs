//! LCS: the longest common subsequence of two strings.
//!
//! The lengths of all prefixes' subsequences make a table; only its last two rows are kept, and one bit of each cell: the way
//! back needs no more.

use crate::command::{CommandError, CommandResult};
use crate::context::ReadContext;
use crate::families::options::{MAX_STRING_LEN, Words, integer, is_word};
use damselfly_resp::ReplyWriter;
use damselfly_store::StrValue;
use std::borrow::Cow;

/// Bytes of a cell of Redis's table, by which it measures what is too much.
const CELL_BYTES: usize = 4;

#[derive(Debug, Default)]
struct Options {
    length: bool,
    ranges: bool,
    least: usize,
    with_length: bool,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut words = Words::from(args, 3);
        while let Some(word) = words.next() {
            match word {
                _ if is_word(word, "IDX") => options.ranges = true,
                _ if is_word(word, "LEN") => options.length = true,
                _ if is_word(word, "WITHMATCHLEN") => options.with_length = true,
                _ if is_word(word, "MINMATCHLEN") => {
                    options.least = integer(words.value()?)?.max(0) as usize;
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        if options.ranges && options.length {
            return Err(CommandError::text(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

/// The string of a key, as text; none is an empty one.
fn string<'v>(cx: &ReadContext<'v>, key: &[u8]) -> Result<Cow<'v, [u8]>, CommandError> {
    let found = cx
        .typed::<StrValue>(key)
        .map_err(|_| CommandError::text("ERR The specified keys must contain string values"))?;
    Ok(found.map_or(Cow::Borrowed(b""), StrValue::bytes))
}

pub(super) fn lcs(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (a, b) = (string(cx, args[1])?, string(cx, args[2])?);
    let options = Options::parse(args)?;
    if (a.len() + 1).saturating_mul(b.len() + 1) > MAX_STRING_LEN / CELL_BYTES {
        return Err(CommandError::text(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    let table = Table::new(&a, &b);
    if options.length {
        out.integer(table.length.into());
    } else if options.ranges {
        answer_ranges(&table, &options, out);
    } else {
        let mut common: Vec<u8> = table.matches().map(|(at, _)| a[at]).collect();
        common.reverse();
        out.bulk(common);
    }
    Ok(())
}

fn answer_ranges(table: &Table<'_>, options: &Options, out: &mut ReplyWriter<'_>) {
    let ranges: Vec<_> = table
        .ranges()
        .into_iter()
        .filter(|range| range.len >= options.least)
        .collect();
    out.map(2);
    out.bulk("matches");
    out.array(ranges.len());
    for Range { a, b, len } in ranges {
        out.array(if options.with_length { 3 } else { 2 });
        for first in [a, b] {
            out.array(2);
            out.integer(first as i64);
            out.integer((first + len - 1) as i64);
        }
        if options.with_length {
            out.integer(len as i64);
        }
    }
    out.bulk("len");
    out.integer(table.length.into());
}

/// What two strings have in common at some place of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    a: usize,
    b: usize,
    len: usize,
}

/// Which way leads back from each pair of prefixes.
struct Table<'s> {
    a: &'s [u8],
    b: &'s [u8],
    /// A bit for each pair: whether the longer subsequence is that without the last byte of `a`.
    up: Vec<u64>,
    /// Of the whole strings.
    length: u32,
}

impl<'s> Table<'s> {
    fn new(a: &'s [u8], b: &'s [u8]) -> Table<'s> {
        let mut up = vec![0u64; (a.len() * b.len()).div_ceil(64)];
        let (mut above, mut row) = (vec![0u32; b.len() + 1], vec![0u32; b.len() + 1]);
        for (i, in_a) in a.iter().enumerate() {
            for (j, in_b) in b.iter().enumerate() {
                row[j + 1] = if in_a == in_b {
                    above[j] + 1
                } else {
                    let (without_a, without_b) = (above[j + 1], row[j]);
                    let at = i * b.len() + j;
                    up[at / 64] |= u64::from(without_a > without_b) << (at % 64);
                    without_a.max(without_b)
                };
            }
            std::mem::swap(&mut above, &mut row);
        }
        Table {
            a,
            b,
            up,
            length: above[b.len()],
        }
    }

    /// The places of the bytes in common, from the last to the first.
    fn matches(&self) -> impl Iterator<Item = (usize, usize)> {
        let (mut i, mut j) = (self.a.len(), self.b.len());
        std::iter::from_fn(move || {
            while i > 0 && j > 0 {
                if self.a[i - 1] == self.b[j - 1] {
                    (i, j) = (i - 1, j - 1);
                    return Some((i, j));
                }
                let at = (i - 1) * self.b.len() + j - 1;
                if self.up[at / 64] >> (at % 64) & 1 == 1 {
                    i -= 1;
                } else {
                    j -= 1;
                }
            }
            None
        })
    }

    /// The bytes in common, those in one piece together, from the last to the first.
    fn ranges(&self) -> Vec<Range> {
        let mut ranges: Vec<Range> = Vec::new();
        for (a, b) in self.matches() {
            match ranges.last_mut() {
                Some(last) if last.a == a + 1 && last.b == b + 1 => {
                    *last = Range {
                        a,
                        b,
                        len: last.len + 1,
                    }
                }
                _ => ranges.push(Range { a, b, len: 1 }),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the documentation of LCS.
    #[test]
    fn the_known_example() {
        let table = Table::new(b"ohmytext", b"mynewtext");
        assert_eq!(table.length, 6);
        let range = |a, b, len| Range { a, b, len };
        assert_eq!(table.ranges(), [range(4, 5, 4), range(2, 0, 2)]);
        assert_eq!(Table::new(b"", b"x").ranges(), []);
    }
}
