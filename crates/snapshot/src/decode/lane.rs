//! A lane: one sequence of bytes and what is being read from it. The outer stream is one, so are the content of a
//! compressed blob and every stream of tagged chunks.

use super::Limits;
use super::body::Body;
use super::event::{Format, LastUse, ModuleId, StreamTotals, ValueKind};
use super::scan::{Halt, Read, Token, unexpected};
use super::split::Split;
use super::whole::RunEntry;
use crate::lzf;

/// Memory of a buffer that is kept when it has become empty.
const KEPT_BYTES: usize = 1024 * 1024;

/// Empties a buffer, and gives memory back that only something exceptional needed.
#[inline]
pub(super) fn empty(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_BYTES {
        *buffer = Vec::new();
    }
    buffer.clear();
}

/// Where the bytes of a span are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// In the lane's buffer.
    Buf,
    /// In the decoder's scratch memory.
    Scratch,
    /// In the lane's packed collection.
    Packed,
}

/// Bytes of an event, until it is handed out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) place: Place,
    pub(super) start: usize,
    pub(super) len: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum RawPart {
    Str(Span),
    Item(Span),
    Member(Span, Option<i64>),
    Field(Span, Span, Option<i64>),
    Scored(Span, f64),
    Opaque(Span),
    Stream(RawStream),
}

/// A part of a stream; the fields are those of [`StreamPart`](super::StreamPart).
#[derive(Debug, Clone, Copy)]
pub(super) enum RawStream {
    Node((u64, u64), Span),
    Totals(StreamTotals),
    Group(Span, (u64, u64), Option<u64>),
    Pending((u64, u64), i64, u64),
    Consumer(Span, i64, i64),
    Owned((u64, u64)),
    GroupEnd,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct RawKey {
    pub(super) key: Span,
    pub(super) kind: ValueKind,
    pub(super) type_byte: u8,
    pub(super) props: Properties,
}

/// An event with spans for bytes, and the containers that the decoder opens itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw {
    Header(Format),
    Aux(Span, Span),
    Select(u32),
    Resize(u64, u64),
    ModuleAux(ModuleId),
    Function(Span),
    Key(RawKey),
    Part(RawPart),
    Value(Span, bool),
    Run(Span),
    Text(RawKey, Span),
    KeyEnd,
    Journal(u64, Span),
    Cut,
    Offset(u64),
    Eof(u64),
    Blob(u8, Span),
    Chunk(u32, u32),
}

/// What was said of the next key.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Properties {
    pub(super) expire_ms: Option<i64>,
    pub(super) sticky: bool,
    pub(super) mc_flags: Option<u32>,
    pub(super) used: LastUse,
}

/// Which sequence it is; decides what may stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaneKind {
    Outer,
    Blob,
    Chunks,
    /// A DUMP payload: type byte and body, no key.
    Payload,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    Magic,
    Opcode,
    Body(Body),
    Split(Split),
    Ended,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) kind: LaneKind,
    pub(super) format: Format,
    /// Values are not taken apart.
    pub(super) splits: bool,
    /// Entries that are here to their ends are passed over together.
    pub(super) runs: bool,
    /// Strings that are here to their ends come as one event.
    pub(super) whole_strings: bool,
    /// What was passed over together.
    pub(super) run: Vec<RunEntry>,
    pub(super) buf: Vec<u8>,
    pub(super) pos: usize,
    /// Bytes from `pos` without which nothing more can be read.
    need: usize,
    /// Bytes dropped before `buf`.
    base: u64,
    pub(super) state: State,
    pub(super) props: Properties,
    pub(super) packed: Vec<u8>,
}

impl Lane {
    pub(super) fn new(kind: LaneKind) -> Lane {
        let state = if kind == LaneKind::Outer {
            State::Magic
        } else {
            State::Opcode
        };
        Lane {
            kind,
            format: Format::default(),
            splits: false,
            runs: false,
            whole_strings: false,
            run: Vec::new(),
            buf: Vec::new(),
            pos: 0,
            need: 0,
            base: 0,
            state,
            props: Properties::default(),
            packed: Vec::new(),
        }
    }

    /// Forgets everything but the memory it has.
    pub(super) fn restart(&mut self) {
        let (mut buf, mut packed) = (
            std::mem::take(&mut self.buf),
            std::mem::take(&mut self.packed),
        );
        empty(&mut buf);
        empty(&mut packed);
        *self = Lane {
            buf,
            packed,
            whole_strings: self.whole_strings,
            ..Lane::new(self.kind)
        };
    }

    pub(super) fn unread(&self) -> usize {
        self.buf.len() - self.pos
    }

    /// So many more bytes have been read, to the end of an entry.
    #[inline]
    pub(super) fn passed(&mut self, bytes: usize) {
        self.pos += bytes;
        self.need = 0;
    }

    /// Offset of the next byte in the lane.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.pos as u64
    }

    /// Nothing has begun that has not ended.
    pub(super) fn is_between_entries(&self) -> bool {
        matches!(self.state, State::Opcode)
            && self.unread() == 0
            && self.props == Properties::default()
    }

    /// Drops what was read and appends `bytes`.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.base += self.pos as u64;
        if self.pos == self.buf.len() {
            empty(&mut self.buf);
        } else {
            self.buf.drain(..self.pos);
        }
        self.pos = 0;
        self.buf.extend_from_slice(bytes);
    }

    /// The next event. On [`Halt::Need`] nothing is lost, and the same bytes are not looked at again before enough came.
    #[inline]
    pub(super) fn poll(&mut self, limits: &Limits, scratch: &mut Vec<u8>) -> Read<Raw> {
        if self.unread() < self.need {
            return Err(Halt::Need(self.need));
        }
        empty(scratch);
        let polled = match self.state {
            State::Opcode => self.poll_opcode(limits, scratch),
            State::Body(body) => self.poll_body(body, limits, scratch),
            State::Split(split) => self.poll_split(split, limits),
            State::Magic => self.poll_magic(),
            State::Ended => Err(Halt::Need(usize::MAX)),
        };
        self.need = match &polled {
            Err(Halt::Need(need)) => *need,
            _ => 0,
        };
        polled
    }

    /// Materialises a string whose offsets are relative to `pos`.
    #[inline]
    pub(super) fn span(&self, token: Token, scratch: &mut Vec<u8>) -> Read<Span> {
        match token {
            Token::Raw { start, len } => Ok(Span {
                place: Place::Buf,
                start: self.pos + start,
                len,
            }),
            Token::Int(value) => Ok(digits(value, scratch)),
            Token::Lzf { start, packed, len } => {
                let from = scratch.len();
                let input = &self.buf[self.pos + start..self.pos + start + packed];
                lzf::decompress(input, len, scratch)
                    .map_err(|why| super::scan::malformed("LZF string", why))?;
                Ok(Span {
                    place: Place::Scratch,
                    start: from,
                    len,
                })
            }
        }
    }

    /// The bytes of a span.
    #[inline]
    pub(super) fn resolve<'a>(&'a self, span: Span, scratch: &'a [u8]) -> &'a [u8] {
        let bytes = match span.place {
            Place::Buf => &self.buf[..],
            Place::Scratch => scratch,
            Place::Packed => &self.packed[..],
        };
        &bytes[span.start..span.start + span.len]
    }

    /// Copies the whole string that `token` stands for to `packed`.
    pub(super) fn load_packed(&mut self, token: Token) -> Read<()> {
        empty(&mut self.packed);
        match token {
            Token::Raw { start, len } => {
                self.packed
                    .extend_from_slice(&self.buf[self.pos + start..self.pos + start + len]);
                Ok(())
            }
            Token::Int(value) => Err(unexpected("a packed collection", value as u64)),
            Token::Lzf { start, packed, len } => {
                let input = &self.buf[self.pos + start..self.pos + start + packed];
                lzf::decompress(input, len, &mut self.packed)
                    .map_err(|why| super::scan::malformed("LZF string", why))
            }
        }
    }
}

/// The decimal digits of `value`, in the scratch memory.
#[inline]
pub(super) fn digits(value: i64, scratch: &mut Vec<u8>) -> Span {
    let start = scratch.len();
    scratch.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    Span {
        place: Place::Scratch,
        start,
        len: scratch.len() - start,
    }
}
