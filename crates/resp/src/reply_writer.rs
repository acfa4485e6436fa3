//! Replies as a server writes them.

use crate::command::{push_bulk, push_header, push_line};
use crate::error::ProtocolError;
use crate::number::format_double;

/// The version of the protocol that a client has chosen with HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proto {
    /// What every client understands; a new connection starts with it.
    #[default]
    Resp2,
    /// With maps, sets, doubles, booleans, one null and pushes.
    Resp3,
}

/// Appends replies to an output buffer, in the protocol of the client. What RESP2 has no type for is
/// written as Redis does: maps as flat arrays, doubles as bulk strings, booleans as integers.
#[derive(Debug)]
pub struct ReplyWriter<'a> {
    out: &'a mut Vec<u8>,
    proto: Proto,
}

impl<'a> ReplyWriter<'a> {
    /// A writer that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>, proto: Proto) -> Self {
        Self { out, proto }
    }

    /// The protocol that is written.
    pub fn proto(&self) -> Proto {
        self.proto
    }

    /// The buffer, for what is encoded already.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// A second writer on the same buffer.
    pub fn reborrow(&mut self) -> ReplyWriter<'_> {
        ReplyWriter {
            out: self.out,
            proto: self.proto,
        }
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A line of text. Line ends in it become blanks.
    #[inline]
    pub fn simple(&mut self, text: impl AsRef<[u8]>) {
        self.line(b'+', text.as_ref());
    }

    /// An error: code and text, such as `ERR syntax error`. Line ends in it become blanks.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.line(b'-', text.as_ref());
    }

    /// The error reply to a client that broke the protocol.
    pub fn protocol_error(&mut self, error: &ProtocolError) {
        self.error([b"ERR ", &error.reply_text()[..]].concat());
    }

    /// A signed number.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.out.push(b':');
        push_line(self.out, itoa::Buffer::new().format(value).as_bytes());
    }

    /// A byte string.
    #[inline]
    pub fn bulk(&mut self, bytes: impl AsRef<[u8]>) {
        push_bulk(self.out, bytes.as_ref());
    }

    /// A byte string that is a decimal number.
    #[inline]
    pub fn bulk_integer(&mut self, value: i64) {
        push_bulk(self.out, itoa::Buffer::new().format(value).as_bytes());
    }

    /// The absence of a value.
    #[inline]
    pub fn null(&mut self) {
        self.out
            .extend_from_slice(if self.resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// The absence of an array.
    #[inline]
    pub fn null_array(&mut self) {
        self.out
            .extend_from_slice(if self.resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// The start of an array; its `len` items are written next.
    #[inline]
    pub fn array(&mut self, len: usize) {
        push_header(self.out, b'*', len);
    }

    /// The start of a map; its `len` keys, each followed by its value, are written next.
    #[inline]
    pub fn map(&mut self, len: usize) {
        if self.resp3() {
            push_header(self.out, b'%', len)
        } else {
            push_header(self.out, b'*', len * 2)
        }
    }

    /// The start of a set; its `len` items are written next.
    #[inline]
    pub fn set(&mut self, len: usize) {
        push_header(self.out, if self.resp3() { b'~' } else { b'*' }, len);
    }

    /// The start of a push (no answer to a command); its `len` items are written next.
    #[inline]
    pub fn push(&mut self, len: usize) {
        push_header(self.out, if self.resp3() { b'>' } else { b'*' }, len);
    }

    /// A floating point number, printed as [`format_double`] does.
    pub fn double(&mut self, value: f64) {
        let mut text = Vec::with_capacity(32);
        format_double(&mut text, value);
        if self.resp3() {
            self.line(b',', &text);
        } else {
            self.bulk(text);
        }
    }

    /// True or false; 1 or 0 in RESP2.
    pub fn boolean(&mut self, value: bool) {
        match (self.proto, value) {
            (Proto::Resp2, _) => self.integer(value.into()),
            (Proto::Resp3, true) => self.out.extend_from_slice(b"#t\r\n"),
            (Proto::Resp3, false) => self.out.extend_from_slice(b"#f\r\n"),
        }
    }

    /// Text for people, with its format (`*b"txt"` or `*b"mkd"`); a bulk string in RESP2.
    pub fn verbatim(&mut self, format: [u8; 3], text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        if !self.resp3() {
            return self.bulk(text);
        }
        push_header(self.out, b'=', text.len() + 4);
        self.out.extend_from_slice(&format);
        self.out.push(b':');
        push_line(self.out, text);
    }

    /// A number of any size, as decimal digits; a bulk string in RESP2.
    pub fn big_number(&mut self, digits: impl AsRef<[u8]>) {
        if self.resp3() {
            self.line(b'(', digits.as_ref());
        } else {
            self.bulk(digits);
        }
    }

    /// Bytes that are a reply, or a part of one, already.
    #[inline]
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }

    #[inline]
    fn resp3(&self) -> bool {
        self.proto == Proto::Resp3
    }

    #[inline]
    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        let start = self.out.len();
        push_line(self.out, text);
        let end = self.out.len() - 2;
        for byte in &mut self.out[start..end] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
    }
}
