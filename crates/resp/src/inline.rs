//! Inline commands: a line of words, with the quoting rules of Redis (`sds.c`, `sdssplitargs`).
//!
//! A word is a run of bytes that are not blank, or ends in one quoted part. `"…"` knows `\n`, `\r`,
//! `\t`, `\b`, `\a`, `\xHH` and `\` before any other byte; `'…'` knows `\'` only. After a closing
//! quote comes a blank or the end of the line.

use std::borrow::Cow;

use crate::error::ProtocolError;

/// The next word of `line`, and what is left after it. `None` when only blanks are left.
type Word<'b> = Option<(Cow<'b, [u8]>, &'b [u8])>;

/// Splits a line (without its line end) into words. Words without escapes borrow from the line.
pub(crate) fn split<'b>(
    line: &'b [u8],
    push: &mut dyn FnMut(Cow<'b, [u8]>),
) -> Result<(), ProtocolError> {
    let mut rest = line;
    while let Some((word, after)) = next_word(rest)? {
        push(word);
        rest = after;
    }
    Ok(())
}

/// The words of a line, with the quoting rules of inline commands; `None` where a quote is not closed.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    split(line, &mut |word| words.push(word.into_owned())).ok()?;
    Some(words)
}

fn next_word(line: &[u8]) -> Result<Word<'_>, ProtocolError> {
    let Some(start) = line.iter().position(|&byte| !is_space(byte)) else {
        return Ok(None);
    };
    let line = &line[start..];
    let plain = line
        .iter()
        .position(|&byte| matches!(byte, b'"' | b'\'' | b' ' | b'\n' | b'\r' | b'\t'));
    let (head, tail) = line.split_at(plain.unwrap_or(line.len()));
    let quoted = match tail.first() {
        Some(b'"') => quoted_part(&tail[1..], b'"', double_quoted)?,
        Some(b'\'') => quoted_part(&tail[1..], b'\'', single_quoted)?,
        _ => return Ok(Some((Cow::Borrowed(head), tail))),
    };
    let (part, after) = quoted;
    let word = if head.is_empty() {
        part
    } else {
        Cow::Owned([head, &part].concat())
    };
    Ok(Some((word, after)))
}

/// Reads the next byte of a quoted part: the byte and how many bytes of input it took.
type Unescape = fn(&[u8]) -> (u8, usize);

/// `input` starts after the opening quote; what is returned as rest, after the closing one.
fn quoted_part(
    input: &[u8],
    quote: u8,
    unescape: Unescape,
) -> Result<(Cow<'_, [u8]>, &[u8]), ProtocolError> {
    let special = input
        .iter()
        .position(|&byte| byte == quote || byte == b'\\');
    let plain = special.ok_or(ProtocolError::UnbalancedQuotes)?;
    if input[plain] == quote {
        return Ok((
            Cow::Borrowed(&input[..plain]),
            after_quote(&input[plain + 1..])?,
        ));
    }
    let (mut text, mut at) = (input[..plain].to_vec(), plain);
    while let Some(&byte) = input.get(at) {
        if byte == quote {
            return Ok((Cow::Owned(text), after_quote(&input[at + 1..])?));
        }
        let (byte, used) = unescape(&input[at..]);
        text.push(byte);
        at += used;
    }
    Err(ProtocolError::UnbalancedQuotes)
}

fn after_quote(rest: &[u8]) -> Result<&[u8], ProtocolError> {
    match rest.first() {
        Some(&byte) if !is_space(byte) => Err(ProtocolError::UnbalancedQuotes),
        _ => Ok(rest),
    }
}

fn double_quoted(input: &[u8]) -> (u8, usize) {
    match *input {
        [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            (hex_value(high) << 4 | hex_value(low), 4)
        }
        [b'\\', byte, ..] => (escaped(byte), 2),
        _ => (input[0], 1),
    }
}

fn single_quoted(input: &[u8]) -> (u8, usize) {
    if input.starts_with(b"\\'") {
        (b'\'', 2)
    } else {
        (input[0], 1)
    }
}

fn escaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// `isspace` of the C locale.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13)
}
