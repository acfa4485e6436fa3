//! Ids of entries, as commands take and give them.

use crate::command::CommandError;
use damselfly_resp::{ReplyWriter, parse_i64};
use damselfly_store::values::stream::StreamId;
use std::io::Write as _;

const INVALID: CommandError =
    CommandError::text("ERR Invalid stream ID specified as stream command argument");
/// Longest text that is looked at.
const MAX_TEXT: usize = 127;
/// Two numbers of 20 digits, and what is between them.
const TEXT_BYTES: usize = 41;

/// The id that XADD is to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`
    Auto,
    /// `5-*`: the next one of this millisecond.
    At(u64),
    /// `5-3`
    Exact(StreamId),
}

impl NewId {
    pub(super) fn parse(arg: &[u8]) -> Result<NewId, CommandError> {
        if arg == b"*" {
            return Ok(NewId::Auto);
        }
        let text = strict_text(arg)?;
        match split(text) {
            (ms, Some(b"*")) => unsigned(ms).map(NewId::At).ok_or(INVALID),
            _ => numbers(text, 0).map(NewId::Exact),
        }
    }

    /// The id itself, after `last`, at the time `now_ms`. `None`: this millisecond has no more of them.
    pub(super) fn choose(self, last: StreamId, now_ms: u64) -> Option<StreamId> {
        match self {
            NewId::Exact(id) => Some(id),
            NewId::Auto if now_ms > last.ms => Some(StreamId::new(now_ms, 0)),
            NewId::Auto => last.next(),
            NewId::At(ms) if ms == last.ms => Some(StreamId::new(ms, last.seq.checked_add(1)?)),
            NewId::At(ms) => Some(StreamId::new(ms, 0)),
        }
    }
}

/// `5-3`, or `5` with a sequence of 0.
pub(super) fn exact(arg: &[u8]) -> Result<StreamId, CommandError> {
    numbers(strict_text(arg)?, 0)
}

/// Several of [`exact`].
pub(super) fn exact_all(args: &[&[u8]]) -> Result<Vec<StreamId>, CommandError> {
    args.iter().map(|arg| exact(arg)).collect()
}

/// [`exact`], or `-` and `+` for the least and the greatest id; where no sequence is given, it is `sequence`.
pub(super) fn any(arg: &[u8], sequence: u64) -> Result<StreamId, CommandError> {
    match text_of(arg)? {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        text => numbers(text, sequence),
    }
}

/// The start of an interval: `5-3`, `(5-3` without it, `-`.
pub(super) fn start(arg: &[u8]) -> Result<StreamId, CommandError> {
    match arg {
        [b'(', id @ ..] if !id.is_empty() => numbers(strict_text(id)?, 0)?
            .next()
            .ok_or(CommandError::text("ERR invalid start ID for the interval")),
        _ => any(arg, 0),
    }
}

/// The end of an interval: `5-3`, `(5-3` without it, `+`.
pub(super) fn end(arg: &[u8]) -> Result<StreamId, CommandError> {
    match arg {
        [b'(', id @ ..] if !id.is_empty() => numbers(strict_text(id)?, u64::MAX)?
            .previous()
            .ok_or(CommandError::text("ERR invalid end ID for the interval")),
        _ => any(arg, u64::MAX),
    }
}

/// What C sees of an argument: nothing from a NUL on.
fn text_of(arg: &[u8]) -> Result<&[u8], CommandError> {
    if arg.len() > MAX_TEXT {
        return Err(INVALID);
    }
    Ok(crate::command::echoed(arg, MAX_TEXT))
}

fn strict_text(arg: &[u8]) -> Result<&[u8], CommandError> {
    text_of(arg).and_then(|text| match text {
        b"-" | b"+" => Err(INVALID),
        text => Ok(text),
    })
}

/// The two parts around the first `-`.
fn split(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == b'-') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

fn numbers(text: &[u8], sequence: u64) -> Result<StreamId, CommandError> {
    let (ms, seq) = split(text);
    let id = unsigned(ms).zip(seq.map_or(Some(sequence), unsigned));
    id.map(|(ms, seq)| StreamId::new(ms, seq)).ok_or(INVALID)
}

/// A number as Redis reads it: a strict integer that is not negative, or else what C's `strtoull` takes, which lets blanks, signs and
/// leading zeros pass, and wraps what is negative.
fn unsigned(text: &[u8]) -> Option<u64> {
    if let Some(number) = parse_i64(text) {
        return u64::try_from(number).ok();
    }
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let blanks = text.iter().take_while(|byte| is_space(byte)).count();
    let (negative, digits) = match &text[blanks..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    Some(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

/// An id as text.
#[derive(Clone, Copy)]
pub(super) struct IdText {
    bytes: [u8; TEXT_BYTES],
    len: usize,
}

impl IdText {
    pub(super) fn of(id: StreamId) -> IdText {
        let mut bytes = [0; TEXT_BYTES];
        let mut rest = &mut bytes[..];
        let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
        let parts = [ms.format(id.ms), "-", seq.format(id.seq)];
        let written = parts
            .iter()
            .try_for_each(|part| rest.write_all(part.as_bytes()));
        debug_assert!(written.is_ok(), "two numbers of 64 bits fit");
        let len = TEXT_BYTES - rest.len();
        IdText { bytes, len }
    }
}

impl AsRef<[u8]> for IdText {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Writes an id.
pub(super) fn write_id(out: &mut ReplyWriter<'_>, id: StreamId) {
    out.bulk(IdText::of(id));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64, seq: u64) -> StreamId {
        StreamId::new(ms, seq)
    }

    #[test]
    fn ids_are_read_as_redis_does() {
        for (text, expected) in [
            ("5", Some(id(5, 0))),
            ("5-3", Some(id(5, 3))),
            ("+5-01", Some(id(5, 1))),
            ("6- -1", Some(id(6, u64::MAX))),
            ("5\0-3", Some(id(5, 0))),
            ("18446744073709551615-1", Some(id(u64::MAX, 1))),
            ("18446744073709551616", None),
            ("-5", None),
            ("-", None),
            ("+", None),
            ("", None),
            ("5-", None),
            ("5-*", None),
            ("5--1", None),
            ("5-3x", None),
        ] {
            assert_eq!(exact(text.as_bytes()).ok(), expected, "{text:?}");
        }
        assert!(exact(&[b'1'; 128]).is_err());
    }

    #[test]
    fn intervals_have_open_and_closed_ends() {
        assert_eq!(start(b"-"), Ok(StreamId::MIN));
        assert_eq!(end(b"+"), Ok(StreamId::MAX));
        assert_eq!(end(b"5"), Ok(id(5, u64::MAX)));
        assert_eq!(start(b"(5"), Ok(id(5, 1)));
        assert_eq!(end(b"(5-0"), Ok(id(4, u64::MAX)));
        for text in ["(-", "(", "(0-0"] {
            assert!(end(text.as_bytes()).is_err(), "{text}");
        }
        assert!(start(b"(18446744073709551615-18446744073709551615").is_err());
    }

    #[test]
    fn new_ids_follow_the_last() {
        let last = id(5, 3);
        let choose = |text: &[u8], now| NewId::parse(text).map(|new| new.choose(last, now));
        assert_eq!(choose(b"*", 9), Ok(Some(id(9, 0))));
        assert_eq!(choose(b"*", 5), Ok(Some(id(5, 4))));
        assert_eq!(choose(b"*", 2), Ok(Some(id(5, 4))));
        assert_eq!(choose(b"5-*", 9), Ok(Some(id(5, 4))));
        assert_eq!(choose(b"7-*", 9), Ok(Some(id(7, 0))));
        assert_eq!(choose(b"4", 9), Ok(Some(id(4, 0))));
        assert_eq!(NewId::At(5).choose(id(5, u64::MAX), 0), None);
    }

    #[test]
    fn ids_are_written_at_full_length() {
        assert_eq!(IdText::of(StreamId::MAX).as_ref().len(), TEXT_BYTES);
        assert_eq!(IdText::of(id(5, 30)).as_ref(), b"5-30");
    }
}
