//! Reading primitives from a slice that may end too early.

use super::Limits;
use crate::error::{At, RdbError};
use crate::wire::{LEN_32, LEN_64, STR_INT8, STR_INT16, STR_INT32, STR_LZF};

/// Why a read stopped.
#[derive(Debug)]
pub(super) enum Halt {
    /// The slice is too short; at least so many bytes from its start are needed.
    Need(usize),
    /// The bytes are wrong. Boxed: it is rare, and results stay small.
    Error(Box<RdbError>),
}

impl From<RdbError> for Halt {
    #[cold]
    fn from(error: RdbError) -> Halt {
        Halt::Error(Box::new(error))
    }
}

pub(super) type Read<T> = Result<T, Halt>;

/// An error at the place that the caller will fill in.
#[cold]
pub(super) fn unexpected(expected: &'static str, got: u64) -> Halt {
    RdbError::Unexpected {
        at: At::default(),
        expected,
        got,
    }
    .into()
}

#[cold]
pub(super) fn too_large(what: &'static str, got: u64, limit: u64) -> Halt {
    RdbError::TooLarge {
        at: At::default(),
        what,
        got,
        limit,
    }
    .into()
}

#[cold]
pub(super) fn malformed(what: &'static str, why: &'static str) -> Halt {
    RdbError::Malformed {
        at: At::default(),
        what,
        why,
    }
    .into()
}

/// A string, not yet materialised.
#[derive(Debug, Clone, Copy)]
pub(super) enum Token {
    Raw {
        start: usize,
        len: usize,
    },
    Int(i64),
    Lzf {
        start: usize,
        packed: usize,
        len: usize,
    },
}

/// The beginning of a string: its form and sizes.
#[derive(Debug, Clone, Copy)]
pub(super) enum StringHead {
    Raw(u64),
    Int(i64),
    Lzf { packed: u64, len: u64 },
}

pub(super) struct Scan<'a> {
    buf: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Scan<'a> {
    #[inline]
    pub(super) fn new(buf: &'a [u8]) -> Scan<'a> {
        Scan { buf, at: 0 }
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Read<u8> {
        let byte = *self.buf.get(self.at).ok_or(Halt::Need(self.at + 1))?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let bytes = self
            .buf
            .get(self.at..)
            .and_then(|rest| rest.first_chunk())
            .ok_or(Halt::Need(self.at + N))?;
        self.at += N;
        Ok(*bytes)
    }

    pub(super) fn u32(&mut self) -> Read<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Skips `len` bytes that must all be there; returns where they start.
    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Read<usize> {
        let start = self.at;
        let end = start
            .checked_add(len)
            .ok_or_else(|| too_large("a length", len as u64, isize::MAX as u64))?;
        if end > self.buf.len() {
            return Err(Halt::Need(end));
        }
        self.at = end;
        Ok(start)
    }

    #[inline]
    pub(super) fn len(&mut self) -> Read<u64> {
        let first = self.byte()?;
        self.len_after(first)
    }

    #[inline]
    fn len_after(&mut self, first: u8) -> Read<u64> {
        match first {
            0..=0x3F => Ok(u64::from(first)),
            0x40..=0x7F => Ok(u64::from(first & 0x3F) << 8 | u64::from(self.byte()?)),
            LEN_32 => Ok(u64::from(u32::from_be_bytes(self.array()?))),
            LEN_64 => Ok(u64::from_be_bytes(self.array()?)),
            _ => Err(unexpected("a length", u64::from(first))),
        }
    }

    #[inline]
    pub(super) fn string_head(&mut self) -> Read<StringHead> {
        let first = self.byte()?;
        match first {
            0..0xC0 => Ok(StringHead::Raw(self.len_after(first)?)),
            STR_INT8 => Ok(StringHead::Int(i64::from(self.byte()? as i8))),
            STR_INT16 => Ok(StringHead::Int(i64::from(i16::from_le_bytes(
                self.array()?,
            )))),
            STR_INT32 => Ok(StringHead::Int(i64::from(i32::from_le_bytes(
                self.array()?,
            )))),
            STR_LZF => Ok(StringHead::Lzf {
                packed: self.len()?,
                len: self.len()?,
            }),
            _ => Err(unexpected("a string encoding", u64::from(first))),
        }
    }

    /// A whole string of at most `limit` bytes.
    #[inline]
    pub(super) fn string(&mut self, what: &'static str, limit: u64) -> Read<Token> {
        match self.string_head()? {
            StringHead::Raw(len) => {
                let len = within(what, len, limit)?;
                Ok(Token::Raw {
                    start: self.take(len)?,
                    len,
                })
            }
            StringHead::Int(value) => Ok(Token::Int(value)),
            StringHead::Lzf { packed, len } => {
                let len = within(what, len, limit)?;
                let packed = within(what, packed, limit)?;
                Ok(Token::Lzf {
                    start: self.take(packed)?,
                    packed,
                    len,
                })
            }
        }
    }

    /// An element of a collection or a value.
    #[inline]
    pub(super) fn element(&mut self, limits: &Limits) -> Read<Token> {
        self.string("a string", limits.max_string)
    }
}

/// `got` as a usize, if it is within `limit`.
#[inline]
pub(super) fn within(what: &'static str, got: u64, limit: u64) -> Read<usize> {
    if got > limit {
        return Err(too_large(what, got, limit));
    }
    usize::try_from(got).map_err(|_| too_large(what, got, usize::MAX as u64))
}
