//! Requests as a server reads them: arrays of bulk strings, and inline commands.
//!
//! The rules are those of Redis 7.0 (`networking.c`), made independent of how the network cuts the
//! bytes: a limit on a line is a limit on the line, whatever arrived together with it. As in Redis,
//! the two bytes after a length and after an argument are skipped, not checked. One difference: a NUL
//! byte in a line is a byte like any other, while Redis finds no line end after it and waits.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::error::ProtocolError;
use crate::inline;
use crate::number::parse_i64;

/// The arguments of one request, the command's name first. Up to 8 need no allocation.
pub type ArgVec<'b> = SmallVec<[&'b [u8]; 8]>;

/// Arguments that a client may send before it has authenticated.
const UNAUTHENTICATED_ARGS: usize = 10;
/// Length of an argument that a client may send before it has authenticated.
const UNAUTHENTICATED_BULK: usize = 16 * 1024;
/// Argument offsets for which memory is kept between requests.
const KEPT_PARTS: usize = 256;
/// Bytes that an argument takes at least: `$0\r\n\r\n`.
const MIN_ARG_BYTES: usize = 6;

/// Bounds on a request. Beyond them the decoder returns an error; it never allocates by an announced
/// length, only by what has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of a line: an inline command, or a count or length. Redis: 64 KiB.
    pub max_inline: usize,
    /// Arguments of a request. Redis 7.0: 2³¹ - 1.
    pub max_multi_bulk_len: usize,
    /// Bytes of an argument. Redis (`proto-max-bulk-len`): 512 MiB.
    pub max_bulk_len: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            max_inline: 64 * 1024,
            max_multi_bulk_len: i32::MAX as usize,
            max_bulk_len: 512 * 1024 * 1024,
        }
    }
}

/// Finds requests in the bytes of a connection.
///
/// It keeps offsets only, not bytes: the caller holds the input from the start of the unfinished
/// request on. Each byte is looked at once, however many calls a request takes.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: RequestLimits,
    authenticated: bool,
    /// Where an unfinished request stands. Fresh between requests.
    at: Cursor,
    /// Start and length of the arguments of an unfinished request.
    parts: Vec<(usize, usize)>,
    unescaped: Option<Vec<Vec<u8>>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    /// Bytes of the request that are understood.
    pos: usize,
    /// Bytes after `pos` that are known to hold no line end.
    scanned: usize,
    /// Arguments still to come. 0 as long as the count is not known.
    args_left: usize,
    /// Length of the argument at `pos`, once its header is read.
    bulk_len: Option<usize>,
    /// Bytes that must come before the next call can get further.
    missing: usize,
}

impl Default for RequestDecoder {
    fn default() -> Self {
        Self::new(RequestLimits::default())
    }
}

impl RequestDecoder {
    /// A decoder between two requests, of an authenticated client.
    pub fn new(limits: RequestLimits) -> Self {
        Self {
            limits,
            authenticated: true,
            at: Cursor::default(),
            parts: Vec::new(),
            unescaped: None,
        }
    }

    /// Changes the limits, from the next length that is read on.
    pub fn set_limits(&mut self, limits: RequestLimits) {
        self.limits = limits;
    }

    /// Before authentication, a client may send 10 arguments of 16 KiB only.
    pub fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
    }

    /// After `Ok(None)`: at least so many more bytes are needed. A hint for the size of the next read.
    pub fn missing_bytes(&self) -> usize {
        self.at.missing.max(1)
    }

    /// Whether the input so far ends inside a request.
    pub fn is_mid_request(&self) -> bool {
        self.at.missing > 0
    }

    /// After `Ok(Some(_))` with empty `args`, until the next call: the arguments of an inline command whose quotes had to
    /// be resolved, so that they are not in the input. `None`: it was a blank request, to be skipped.
    pub fn take_unescaped(&mut self) -> Option<Vec<Vec<u8>>> {
        self.unescaped.take()
    }

    /// Continues with the request that starts at `buf[0]`. `buf` holds the same bytes as at the last
    /// call, plus newly arrived ones.
    ///
    /// `Ok(Some(n))`: the first `n` bytes are one request, and `args` holds its arguments. They are
    /// empty for a blank request (an empty line, `*0`, `*-1`), and for the rare inline command that
    /// [`Self::take_unescaped`] has. `Ok(None)`: more bytes are needed; `args` is empty.
    ///
    /// # Errors
    ///
    /// The client broke the protocol or a limit. The connection can't be read any further.
    #[inline]
    pub fn decode<'b>(
        &mut self,
        buf: &'b [u8],
        args: &mut ArgVec<'b>,
    ) -> Result<Option<usize>, ProtocolError> {
        args.clear();
        if self.unescaped.is_some() {
            self.unescaped = None;
        }
        let result = match buf.first() {
            Some(b'*') if self.at.missing == 0 => self.decode_fresh(buf, args),
            Some(b'*') => self.decode_resumed(buf, args),
            Some(_) => self.decode_inline(buf, args),
            None => Ok(None),
        };
        if result.is_err() {
            self.reset();
            args.clear();
        }
        result
    }

    /// The usual case: the whole request is there, and its arguments go straight to `args`.
    #[inline]
    fn decode_fresh<'b>(
        &mut self,
        buf: &'b [u8],
        args: &mut ArgVec<'b>,
    ) -> Result<Option<usize>, ProtocolError> {
        let mut at = Cursor::default();
        if !self.read_count(buf, &mut at)? {
            return Ok(self.suspend(at));
        }
        if at.args_left > args.inline_size() {
            args.reserve(at.args_left.min(buf.len() / MIN_ARG_BYTES + 1));
        }
        if self.read_args(buf, &mut at, |start, len| {
            args.push(&buf[start..start + len])
        })? {
            return Ok(Some(at.pos));
        }
        let base = buf.as_ptr() as usize;
        self.parts.extend(
            args.drain(..)
                .map(|arg| (arg.as_ptr() as usize - base, arg.len())),
        );
        Ok(self.suspend(at))
    }

    #[cold]
    fn decode_resumed<'b>(
        &mut self,
        buf: &'b [u8],
        args: &mut ArgVec<'b>,
    ) -> Result<Option<usize>, ProtocolError> {
        let mut at = self.at;
        if buf.len() < at.pos + at.scanned {
            return Ok(None);
        }
        if at.pos == 0 && !self.read_count(buf, &mut at)? {
            return Ok(self.suspend(at));
        }
        let mut parts = std::mem::take(&mut self.parts);
        let done = self.read_args(buf, &mut at, |start, len| parts.push((start, len)));
        self.parts = parts;
        if !done? {
            return Ok(self.suspend(at));
        }
        args.extend(
            self.parts
                .iter()
                .map(|&(start, len)| &buf[start..start + len]),
        );
        self.reset();
        Ok(Some(at.pos))
    }

    #[cold]
    fn decode_inline<'b>(
        &mut self,
        buf: &'b [u8],
        args: &mut ArgVec<'b>,
    ) -> Result<Option<usize>, ProtocolError> {
        let mut at = self.at;
        let Some(end) = self.line_end(buf, &mut at, b'\n', ProtocolError::TooBigInline)? else {
            return Ok(self.suspend(at));
        };
        self.reset();
        let line = &buf[..end];
        let mut words = Vec::new();
        inline::split(line.strip_suffix(b"\r").unwrap_or(line), &mut |word| {
            words.push(word)
        })?;
        if words.iter().any(|word| matches!(word, Cow::Owned(_))) {
            self.unescaped = Some(words.into_iter().map(Cow::into_owned).collect());
            return Ok(Some(end + 1));
        }
        args.extend(words.into_iter().map(|word| match word {
            Cow::Borrowed(word) => word,
            Cow::Owned(_) => &[],
        }));
        Ok(Some(end + 1))
    }

    fn suspend(&mut self, at: Cursor) -> Option<usize> {
        self.at = Cursor {
            missing: at.missing.max(1),
            ..at
        };
        None
    }

    fn reset(&mut self) {
        self.at = Cursor::default();
        self.parts.clear();
        self.parts.shrink_to(KEPT_PARTS);
    }

    /// Reads `*count`. A count below 1 is a blank request: no arguments are left to read.
    #[inline]
    fn read_count(&self, buf: &[u8], at: &mut Cursor) -> Result<bool, ProtocolError> {
        let count = match short_header(buf, b'*') {
            Some((count, used)) => {
                at.pos = used;
                at.scanned = 0;
                count
            }
            None => match self.long_count(buf, at)? {
                Some(count) => count,
                None => return Ok(false),
            },
        };
        if count > self.limits.max_multi_bulk_len {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if count > UNAUTHENTICATED_ARGS && !self.authenticated {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        at.args_left = count;
        Ok(true)
    }

    #[cold]
    fn long_count(&self, buf: &[u8], at: &mut Cursor) -> Result<Option<usize>, ProtocolError> {
        let Some(line) = self.header_line(buf, at, ProtocolError::TooBigMultibulkCount)? else {
            return Ok(None);
        };
        let count = parse_i64(&line[1..]).ok_or(ProtocolError::InvalidMultibulkLength)?;
        Ok(Some(usize::try_from(count).unwrap_or(0)))
    }

    /// Reads arguments as far as they are there; `true` when the last one is read.
    #[inline]
    fn read_args(
        &self,
        buf: &[u8],
        at: &mut Cursor,
        mut push: impl FnMut(usize, usize),
    ) -> Result<bool, ProtocolError> {
        while at.args_left > 0 {
            let len = match at.bulk_len {
                Some(len) => len,
                None => match self.read_bulk_len(buf, at)? {
                    Some(len) => len,
                    None => return Ok(false),
                },
            };
            let available = buf.len() - at.pos;
            if available < len + 2 {
                at.bulk_len = Some(len);
                at.missing = len + 2 - available;
                return Ok(false);
            }
            push(at.pos, len);
            at.pos += len + 2;
            at.bulk_len = None;
            at.args_left -= 1;
        }
        Ok(true)
    }

    #[inline]
    fn read_bulk_len(&self, buf: &[u8], at: &mut Cursor) -> Result<Option<usize>, ProtocolError> {
        let len = match short_header(&buf[at.pos..], b'$') {
            Some((len, used)) => {
                at.pos += used;
                at.scanned = 0;
                len
            }
            None => match self.long_bulk_len(buf, at)? {
                Some(len) => len,
                None => return Ok(None),
            },
        };
        if len > self.limits.max_bulk_len {
            return Err(ProtocolError::InvalidBulkLength);
        }
        if len > UNAUTHENTICATED_BULK && !self.authenticated {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        Ok(Some(len))
    }

    #[cold]
    fn long_bulk_len(&self, buf: &[u8], at: &mut Cursor) -> Result<Option<usize>, ProtocolError> {
        let Some(line) = self.header_line(buf, at, ProtocolError::TooBigBulkCount)? else {
            return Ok(None);
        };
        match line.first() {
            Some(b'$') => {}
            // An empty line: the byte at the place of `$` is the line's own `\r`.
            other => {
                return Err(ProtocolError::ExpectedDollar {
                    got: other.copied().unwrap_or(b'\r'),
                });
            }
        }
        let len = parse_i64(&line[1..]).and_then(|len| usize::try_from(len).ok());
        len.map(Some).ok_or(ProtocolError::InvalidBulkLength)
    }

    /// The line at the cursor up to `\r`, once the byte after it is there too; steps over both.
    fn header_line<'b>(
        &self,
        buf: &'b [u8],
        at: &mut Cursor,
        too_long: ProtocolError,
    ) -> Result<Option<&'b [u8]>, ProtocolError> {
        let Some(end) = self.line_end(buf, at, b'\r', too_long)? else {
            return Ok(None);
        };
        if end + 2 > buf.len() {
            return Ok(None);
        }
        let line = &buf[at.pos..end];
        (at.pos, at.scanned, at.missing) = (end + 2, 0, 0);
        Ok(Some(line))
    }

    /// Position of the byte that ends the line at the cursor. Remembers how far it has looked.
    fn line_end(
        &self,
        buf: &[u8],
        at: &mut Cursor,
        mark: u8,
        too_long: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let line = &buf[at.pos..];
        let line = &line[..line.len().min(self.limits.max_inline + 1)];
        if let Some(found) = line.iter().skip(at.scanned).position(|&byte| byte == mark) {
            at.scanned += found;
            return Ok(Some(at.pos + at.scanned));
        }
        if line.len() > self.limits.max_inline {
            return Err(too_long);
        }
        at.scanned = line.len();
        Ok(None)
    }
}

/// A header with a number of one to three digits, as nearly all are: the number, and the header's size.
#[inline(always)]
fn short_header(buf: &[u8], kind: u8) -> Option<(usize, usize)> {
    match *buf {
        [mark, a @ b'0'..=b'9', b'\r', _, ..] if mark == kind => Some((digit(a), 4)),
        [mark, a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] if mark == kind => {
            Some((digit(a) * 10 + digit(b), 5))
        }
        [
            mark,
            a @ b'1'..=b'9',
            b @ b'0'..=b'9',
            c @ b'0'..=b'9',
            b'\r',
            _,
            ..,
        ] if mark == kind => Some((digit(a) * 100 + digit(b) * 10 + digit(c), 6)),
        _ => None,
    }
}

#[inline(always)]
fn digit(byte: u8) -> usize {
    usize::from(byte - b'0')
}
