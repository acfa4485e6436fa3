//! Entries that lie in the buffer to their ends, taken at once: most of a data set of small values.
//!
//! Nothing here makes an error: whatever is unusual, big or wrong is left to the states that read things one by one.

use super::Limits;
use super::lane::{Lane, LaneKind, Place, Properties, Raw, RawKey, Span, State};
use super::scan::{Read, Scan, StringHead, Token};
use crate::wire::{opcode, type_byte as types};

/// Bytes after which a run ends: who takes it has other things to do, too.
const MAX_RUN_BYTES: usize = 64 * 1024;
/// Elements beyond which a collection is left to the states.
pub(super) const MOST_ELEMENTS: u64 = 1024;
/// A string that becomes longer than this is not unpacked at once.
pub(super) const MAX_UNPACKED: usize = 64 * 1024;

/// Where an entry of [`Event::Run`](super::Event::Run) stands in its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunEntry {
    /// Its first byte, of its expiry time if it has one.
    pub start: u32,
    /// The first byte of the key.
    pub key: u32,
    /// Behind the last byte of the key.
    pub key_end: u32,
    /// Behind its last byte.
    pub end: u32,
}

impl RunEntry {
    /// All of it.
    #[inline]
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The key.
    #[inline]
    pub fn key_range(&self) -> std::ops::Range<usize> {
        self.key as usize..self.key_end as usize
    }
}

impl Lane {
    /// Passes over whole entries from here on; where they stand is in `run`. `None`: there is none.
    pub(super) fn take_run(&mut self, limits: &Limits) -> Option<Raw> {
        self.run.clear();
        let bytes = &self.buf[self.pos..];
        let mut at = 0;
        while at < MAX_RUN_BYTES
            && let Some(entry) = whole_entry(bytes, at, limits)
        {
            at = entry.end as usize;
            self.run.push(entry);
        }
        let span = Span {
            place: Place::Buf,
            start: self.pos,
            len: at,
        };
        self.pos += at;
        (at > 0).then_some(Raw::Run(span))
    }

    /// Whether whole strings may be taken from this lane: chunks hold parts of one value each.
    #[inline]
    pub(super) fn takes_strings(&self) -> bool {
        self.whole_strings && matches!(self.kind, LaneKind::Outer | LaneKind::Blob)
    }

    /// The event of a whole string.
    #[inline]
    pub(super) fn whole_string(
        &mut self,
        (key, value): (Token, Token),
        behind: usize,
        scratch: &mut Vec<u8>,
    ) -> Read<Raw> {
        let key = self.span(key, scratch)?;
        let value = self.span(value, scratch)?;
        self.pos += behind;
        self.state = State::Opcode;
        let key = RawKey {
            key,
            kind: super::ValueKind::Str,
            type_byte: types::STRING,
            props: std::mem::take(&mut self.props),
        };
        Ok(Raw::Text(key, value))
    }

    /// Whether nothing was said of the next key yet.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.props == Properties::default()
    }
}

/// The value of a string whose key was read, if it is all here, and where it ends. `scan` stands in front of it.
#[inline]
pub(super) fn take_string(mut scan: Scan<'_>, limits: &Limits) -> Option<(Token, usize)> {
    let token = scan.element(limits).ok()?;
    let is_big = matches!(token, Token::Lzf { len, .. } if len > MAX_UNPACKED);
    (!is_big).then_some((token, scan.at))
}

/// The entry that begins at `start`, if its value is a few strings, and all of it is here.
#[inline]
fn whole_entry(bytes: &[u8], start: usize, limits: &Limits) -> Option<RunEntry> {
    let mut scan = Scan::new(bytes);
    scan.at = start;
    let mut byte = scan.byte().ok()?;
    if byte == opcode::EXPIRE_MS {
        scan.take(size_of::<u64>()).ok()?;
        byte = scan.byte().ok()?;
    }
    let form = Form::of_type(byte)?;
    let StringHead::Raw(key_len) = scan.string_head().ok()? else {
        return None;
    };
    let key = take(&mut scan, key_len, limits.max_key)?;
    let key_end = scan.at;
    form.pass(&mut scan, limits)?;
    Some(RunEntry {
        start: u32::try_from(start).ok()?,
        key: u32::try_from(key).ok()?,
        key_end: u32::try_from(key_end).ok()?,
        end: u32::try_from(scan.at).ok()?,
    })
}

/// What values are made of that are passed over at once; every version has them in the same way.
enum Form {
    /// Strings, and collections that are packed to one.
    One,
    /// A number of items: so many strings each, and so many bytes behind.
    Items(u64, usize),
    /// A number of strings, each behind a length.
    Nodes,
}

impl Form {
    #[inline]
    fn of_type(type_byte: u8) -> Option<Form> {
        match type_byte {
            types::STRING
            | types::HASH_ZIPMAP
            | types::LIST_ZIPLIST
            | types::SET_INTSET
            | types::ZSET_ZIPLIST
            | types::HASH_ZIPLIST
            | types::HASH_LISTPACK
            | types::ZSET_LISTPACK
            | types::SET_LISTPACK => Some(Form::One),
            types::LIST | types::SET | types::LIST_QUICKLIST => Some(Form::Items(1, 0)),
            types::HASH => Some(Form::Items(2, 0)),
            types::ZSET => Some(Form::Items(1, size_of::<f64>())),
            types::LIST_QUICKLIST_2 => Some(Form::Nodes),
            _ => None,
        }
    }

    #[inline]
    fn pass(self, scan: &mut Scan<'_>, limits: &Limits) -> Option<()> {
        if let Form::One = self {
            return pass_string(scan, limits);
        }
        let count = scan.len().ok().filter(|count| *count <= MOST_ELEMENTS)?;
        for _ in 0..count {
            match self {
                Form::Items(strings, behind) => {
                    for _ in 0..strings {
                        pass_string(scan, limits)?;
                    }
                    scan.take(behind).ok()?;
                }
                _ => {
                    scan.len().ok()?;
                    pass_string(scan, limits)?;
                }
            }
        }
        Some(())
    }
}

#[inline]
fn pass_string(scan: &mut Scan<'_>, limits: &Limits) -> Option<()> {
    let len = match scan.string_head().ok()? {
        StringHead::Raw(len) => len,
        StringHead::Int(_) => 0,
        StringHead::Lzf { packed, len } if len <= limits.max_string => packed,
        StringHead::Lzf { .. } => return None,
    };
    take(scan, len, limits.max_string).map(|_| ())
}

#[inline]
fn take(scan: &mut Scan<'_>, len: u64, limit: u64) -> Option<usize> {
    let len = usize::try_from(len).ok().filter(|_| len <= limit)?;
    scan.take(len).ok()
}
