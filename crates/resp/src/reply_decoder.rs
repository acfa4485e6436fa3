//! Replies as a client reads them: replica links, tools, tests.

use crate::error::ProtocolError;
use crate::number::{parse_f64, parse_i64};
use crate::reply::Reply;

/// Bounds on a reply. Beyond them the decoder returns an error; it never allocates by an announced
/// length, only by what has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyLimits {
    /// Bytes of a line: simple strings, errors, numbers, lengths.
    pub max_line: usize,
    /// Bytes of one bulk string.
    pub max_bulk_len: usize,
    /// Bytes of all strings of one reply.
    pub max_bytes: usize,
    /// Items of one reply, over all levels.
    pub max_items: usize,
    /// Arrays in arrays.
    pub max_depth: usize,
}

impl Default for ReplyLimits {
    fn default() -> Self {
        Self {
            max_line: 64 * 1024,
            max_bulk_len: 512 * 1024 * 1024,
            max_bytes: 1024 * 1024 * 1024,
            max_items: 16 * 1024 * 1024,
            max_depth: 32,
        }
    }
}

/// Reads replies of either protocol from pieces of a byte stream.
///
/// It keeps what has arrived of an unfinished reply, so the caller needs no buffer of its own, and
/// takes no byte beyond the end of the reply: what follows may be something else, such as the
/// snapshot on a replication link.
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    limits: ReplyLimits,
    /// An unfinished line, without its type byte's value being read yet.
    line: Vec<u8>,
    bulk: Option<Bulk>,
    /// Aggregates whose items are still coming, the outermost first.
    open: Vec<Open>,
    items: usize,
    bytes: usize,
}

/// A bulk string whose header is read.
#[derive(Debug)]
struct Bulk {
    kind: u8,
    len: usize,
    /// The bytes that have arrived, and then the line end.
    data: Vec<u8>,
}

/// An aggregate whose header is read.
#[derive(Debug)]
struct Open {
    kind: u8,
    left: usize,
    items: Vec<Reply>,
}

impl ReplyDecoder {
    /// A decoder between two replies.
    pub fn new(limits: ReplyLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Whether the input so far ends inside a reply.
    pub fn is_mid_reply(&self) -> bool {
        !self.line.is_empty() || self.bulk.is_some() || !self.open.is_empty()
    }

    /// Takes bytes from the front of `input` until a reply is complete. `Ok(None)`: all of `input`
    /// is taken, and more is needed.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol or a limit. The decoder can't be used any further.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ProtocolError> {
        while !input.is_empty() {
            let value = if self.bulk.is_some() {
                self.take_bulk(input)?
            } else {
                self.take_line(input)?
            };
            if let Some(reply) = value.and_then(|value| self.close(value)) {
                (self.items, self.bytes) = (0, 0);
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// Takes bytes of a line; `Some` when a whole value is read.
    fn take_line(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ProtocolError> {
        let limit = self.limits.max_line;
        let newline = input.iter().position(|&byte| byte == b'\n');
        let taken = newline.map_or(input.len(), |at| at + 1);
        if self.line.len() + taken > limit {
            return Err(ProtocolError::ReplyLineTooLong { limit });
        }
        let (head, tail) = input.split_at(taken);
        *input = tail;
        self.line.extend_from_slice(head);
        if newline.is_none() {
            return Ok(None);
        }
        let line = std::mem::take(&mut self.line);
        let text = line
            .strip_suffix(b"\r\n")
            .ok_or(ProtocolError::MissingLineEnd)?;
        let (&kind, text) = text
            .split_first()
            .ok_or(ProtocolError::UnknownReplyType { got: b'\r' })?;
        self.read_line(kind, text)
    }

    /// The value that a line is; `None` when the line only announces one.
    fn read_line(&mut self, kind: u8, text: &[u8]) -> Result<Option<Reply>, ProtocolError> {
        let invalid = ProtocolError::InvalidReplyValue { kind };
        let reply = match kind {
            b'+' => Reply::Simple(self.owned(text)?),
            b'-' => Reply::Error(self.owned(text)?),
            b':' => Reply::Integer(parse_i64(text).ok_or(invalid)?),
            b'_' if text.is_empty() => Reply::Null,
            b'#' => Reply::Boolean(parse_boolean(text).ok_or(invalid)?),
            b',' => Reply::Double(parse_double(text).ok_or(invalid)?),
            b'(' if is_number(text) => Reply::BigNumber(self.owned(text)?),
            b'$' | b'=' | b'!' => return self.open_bulk(kind, text),
            b'*' | b'~' | b'>' | b'%' | b'|' => return self.open_aggregate(kind, text),
            b'_' | b'(' => return Err(invalid),
            got => return Err(ProtocolError::UnknownReplyType { got }),
        };
        Ok(Some(reply))
    }

    fn owned(&mut self, text: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        self.count_bytes(text.len())?;
        Ok(text.to_vec())
    }

    fn count_bytes(&mut self, len: usize) -> Result<(), ProtocolError> {
        let limit = self.limits.max_bytes;
        self.bytes = self.bytes.saturating_add(len);
        if self.bytes > limit {
            Err(ProtocolError::ReplyTooLarge { limit })
        } else {
            Ok(())
        }
    }

    fn open_bulk(&mut self, kind: u8, text: &[u8]) -> Result<Option<Reply>, ProtocolError> {
        let Some(len) = parse_len(kind, text)? else {
            return Ok(Some(Reply::Null));
        };
        let limit = self.limits.max_bulk_len;
        if len > limit {
            return Err(ProtocolError::ReplyBulkTooLong { len, limit });
        }
        self.count_bytes(len)?;
        self.bulk = Some(Bulk {
            kind,
            len,
            data: Vec::new(),
        });
        Ok(None)
    }

    fn take_bulk(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ProtocolError> {
        let Some(mut bulk) = self.bulk.take() else {
            return Ok(None);
        };
        let wanted = bulk.len + 2 - bulk.data.len();
        let (head, tail) = input.split_at(wanted.min(input.len()));
        *input = tail;
        bulk.data.extend_from_slice(head);
        if head.len() < wanted {
            self.bulk = Some(bulk);
            return Ok(None);
        }
        bulk.finish().map(Some)
    }

    fn open_aggregate(&mut self, kind: u8, text: &[u8]) -> Result<Option<Reply>, ProtocolError> {
        let Some(len) = parse_len(kind, text)? else {
            return Ok(Some(Reply::Null));
        };
        let (limit, depth) = (self.limits.max_items, self.limits.max_depth);
        let len = if matches!(kind, b'%' | b'|') {
            len.saturating_mul(2)
        } else {
            len
        };
        self.items = self.items.saturating_add(len);
        if self.items > limit {
            return Err(ProtocolError::ReplyTooManyItems { limit });
        }
        if self.open.len() >= depth {
            return Err(ProtocolError::ReplyTooDeep { limit: depth });
        }
        self.open.push(Open {
            kind,
            left: len,
            items: Vec::new(),
        });
        Ok(self.pop_complete())
    }

    /// Puts a value in its place; the whole reply when it was the last one.
    fn close(&mut self, value: Reply) -> Option<Reply> {
        let mut value = value;
        loop {
            let Some(parent) = self.open.last_mut() else {
                return Some(value);
            };
            parent.left -= 1;
            parent.items.push(value);
            value = self.pop_complete()?;
        }
    }

    /// The innermost aggregate, if it has all its items. An attribute is dropped: it has no place.
    fn pop_complete(&mut self) -> Option<Reply> {
        let open = self.open.pop_if(|open| open.left == 0)?;
        open.finish()
    }
}

impl Bulk {
    fn finish(mut self) -> Result<Reply, ProtocolError> {
        if !self.data.ends_with(b"\r\n") {
            return Err(ProtocolError::MissingLineEnd);
        }
        self.data.truncate(self.len);
        match self.kind {
            b'$' => Ok(Reply::Bulk(self.data)),
            b'!' => Ok(Reply::Error(self.data)),
            kind => verbatim(&self.data).ok_or(ProtocolError::InvalidReplyValue { kind }),
        }
    }
}

impl Open {
    fn finish(self) -> Option<Reply> {
        match self.kind {
            b'~' => Some(Reply::Set(self.items)),
            b'>' => Some(Reply::Push(self.items)),
            b'%' => Some(Reply::Map(pairs(self.items))),
            b'|' => None,
            _ => Some(Reply::Array(self.items)),
        }
    }
}

fn pairs(items: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut items = items.into_iter();
    std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
}

fn verbatim(data: &[u8]) -> Option<Reply> {
    match data {
        [a, b, c, b':', text @ ..] => Some(Reply::Verbatim {
            format: [*a, *b, *c],
            text: text.to_vec(),
        }),
        _ => None,
    }
}

/// `None` is the null of RESP2: length -1 of a string or an array.
fn parse_len(kind: u8, text: &[u8]) -> Result<Option<usize>, ProtocolError> {
    match parse_i64(text) {
        Some(-1) if matches!(kind, b'$' | b'*') => Ok(None),
        Some(len) => usize::try_from(len)
            .map(Some)
            .map_err(|_| ProtocolError::InvalidReplyLength),
        None => Err(ProtocolError::InvalidReplyLength),
    }
}

fn parse_boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"t" => Some(true),
        b"f" => Some(false),
        _ => None,
    }
}

fn parse_double(text: &[u8]) -> Option<f64> {
    if matches!(text, b"nan" | b"-nan") {
        Some(f64::NAN)
    } else {
        parse_f64(text)
    }
}

fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
