//! A lane: one sequence of bytes and what is being read from it. The outer stream is one, so are the content of a
//! compressed blob and every stream of tagged chunks.

use super::Limits;
use super::body::Body;
use super::event::ValueKind;
use super::scan::{Halt, Read, Scan, Token, too_large, unexpected};
use crate::error::{At, RdbError};
use crate::lzf;
use crate::wire::{
    KEY_MC_FLAGS, KEY_STICKY, MAX_RDB_VERSION, MIN_RDB_VERSION, opcode, type_byte as types,
    type_name,
};

/// The highest byte that can be a type and not an opcode.
const MAX_TYPE_BYTE: u8 = 37;

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
    Header(u16),
    Aux(Span, Span),
    Select(u32),
    Resize(u64, u64),
    Function(Span),
    Key(RawKey),
    Part(RawPart),
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
    Ended,
}

#[derive(Debug)]
pub(super) struct Lane {
    kind: LaneKind,
    pub(super) buf: Vec<u8>,
    pub(super) pos: usize,
    /// Bytes from `pos` without which nothing more can be read.
    need: usize,
    /// Bytes dropped before `buf`.
    base: u64,
    pub(super) state: State,
    props: Properties,
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
            ..Lane::new(self.kind)
        };
    }

    pub(super) fn unread(&self) -> usize {
        self.buf.len() - self.pos
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
            State::Magic => self.poll_magic(),
            State::Ended => Err(Halt::Need(usize::MAX)),
        };
        self.need = match &polled {
            Err(Halt::Need(need)) => *need,
            _ => 0,
        };
        polled
    }

    fn poll_magic(&mut self) -> Read<Raw> {
        let magic: [u8; 9] = Scan::new(&self.buf[self.pos..]).array()?;
        let digits = magic
            .strip_prefix(b"REDIS")
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let version = digits.and_then(|digits| digits.parse::<u16>().ok());
        let Some(version) = version else {
            return Err(RdbError::BadMagic {
                at: At::default(),
                got: magic.to_vec(),
            }
            .into());
        };
        if !(MIN_RDB_VERSION..=MAX_RDB_VERSION).contains(&version) {
            return Err(RdbError::BadVersion {
                at: At::default(),
                got: version,
                max: MAX_RDB_VERSION,
            }
            .into());
        }
        self.pos += magic.len();
        self.state = State::Opcode;
        Ok(Raw::Header(version))
    }

    fn poll_opcode(&mut self, limits: &Limits, scratch: &mut Vec<u8>) -> Read<Raw> {
        loop {
            let mut scan = Scan::new(&self.buf[self.pos..]);
            let byte = scan.byte()?;
            if byte <= MAX_TYPE_BYTE {
                return self.begin_entry(byte, limits, scratch);
            }
            if !self.read_property(byte)? {
                return match self.kind {
                    LaneKind::Outer | LaneKind::Blob => {
                        self.read_stream_opcode(byte, limits, scratch)
                    }
                    LaneKind::Chunks | LaneKind::Payload => Err(unknown(byte)),
                };
            }
        }
    }

    /// Reads what an opcode says of the next key; false if it is another opcode.
    fn read_property(&mut self, byte: u8) -> Read<bool> {
        if self.kind == LaneKind::Payload {
            return Ok(false);
        }
        let mut scan = Scan::new(&self.buf[self.pos + 1..]);
        // The slice begins after the opcode: one byte more is needed than it says.
        let read = read_property(&mut scan, byte, &mut self.props).map_err(|halt| match halt {
            Halt::Need(need) => Halt::Need(need + 1),
            error => error,
        })?;
        if read {
            self.pos += 1 + scan.at;
        }
        Ok(read)
    }

    fn begin_entry(&mut self, type_byte: u8, limits: &Limits, scratch: &mut Vec<u8>) -> Read<Raw> {
        let mut scan = Scan::new(&self.buf[self.pos..]);
        scan.at = 1;
        let token = match self.kind {
            LaneKind::Payload => Token::Raw { start: 1, len: 0 },
            _ => scan.string("a key", limits.max_key)?,
        };
        let used = scan.at;
        let key = self.span(token, scratch)?;
        let Some((kind, body)) = Body::of_type(type_byte) else {
            let key = self.resolve(key, scratch).to_vec();
            let name = type_name(type_byte);
            return Err(RdbError::UnsupportedType {
                at: At::default(),
                got: type_byte,
                name,
                key,
            }
            .into());
        };
        self.pos += used;
        self.state = State::Body(body);
        Ok(Raw::Key(RawKey {
            key,
            kind,
            type_byte,
            props: std::mem::take(&mut self.props),
        }))
    }

    fn read_stream_opcode(
        &mut self,
        byte: u8,
        limits: &Limits,
        scratch: &mut Vec<u8>,
    ) -> Read<Raw> {
        let mut scan = Scan::new(&self.buf[self.pos..]);
        scan.at = 1;
        let raw = match byte {
            opcode::AUX => {
                let key = scan.element(limits)?;
                let value = scan.element(limits)?;
                let used = scan.at;
                let raw = Raw::Aux(self.span(key, scratch)?, self.span(value, scratch)?);
                self.pos += used;
                return Ok(raw);
            }
            opcode::FUNCTION => {
                let token = scan.element(limits)?;
                let used = scan.at;
                let raw = Raw::Function(self.span(token, scratch)?);
                self.pos += used;
                return Ok(raw);
            }
            opcode::JOURNAL_BLOB => {
                let entries = scan.len()?;
                let token = scan.string("a journal blob", limits.max_journal_blob)?;
                let used = scan.at;
                let raw = Raw::Journal(entries, self.span(token, scratch)?);
                self.pos += used;
                return Ok(raw);
            }
            opcode::ZSTD_BLOB | opcode::LZ4_BLOB if self.kind == LaneKind::Outer => {
                let token = scan.string("a compressed blob", limits.max_blob)?;
                let used = scan.at;
                let raw = Raw::Blob(byte, self.span(token, scratch)?);
                self.pos += used;
                return Ok(raw);
            }
            opcode::SELECT_DB => Raw::Select(read_db(&mut scan)?),
            opcode::RESIZE => Raw::Resize(scan.len()?, scan.len()?),
            opcode::TAGGED_CHUNK => read_chunk_head(&mut scan)?,
            opcode::FULL_SYNC_CUT => {
                scan.array::<8>()?;
                Raw::Cut
            }
            opcode::JOURNAL_OFFSET => Raw::Offset(scan.u64()?),
            opcode::EOF if self.kind == LaneKind::Outer => Raw::Eof(scan.u64()?),
            _ => return Err(unknown(byte)),
        };
        self.pos += scan.at;
        if let Raw::Eof(_) = raw {
            self.state = State::Ended;
        }
        Ok(raw)
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

#[cold]
fn unknown(got: u8) -> Halt {
    RdbError::UnknownOpcode {
        at: At::default(),
        got,
    }
    .into()
}

fn read_property(scan: &mut Scan<'_>, byte: u8, props: &mut Properties) -> Read<bool> {
    match byte {
        opcode::EXPIRE_MS => props.expire_ms = Some(scan.u64()? as i64),
        opcode::EXPIRE_S => props.expire_ms = Some(i64::from(scan.u32()? as i32) * 1000),
        opcode::KEY_PROPERTIES => {
            let mask = scan.u32()?;
            if mask & !(KEY_STICKY | KEY_MC_FLAGS) != 0 {
                return Err(unexpected(
                    "a mask of known key properties",
                    u64::from(mask),
                ));
            }
            if mask & KEY_MC_FLAGS != 0 {
                props.mc_flags = Some(scan.u32()?);
            }
            props.sticky = mask & KEY_STICKY != 0;
        }
        opcode::FREQ => {
            scan.byte()?;
        }
        opcode::IDLE => {
            scan.len()?;
        }
        opcode::SLOT_INFO => {
            for _ in 0..3 {
                scan.len()?;
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn read_db(scan: &mut Scan<'_>) -> Read<u32> {
    let db = scan.len()?;
    u32::try_from(db).map_err(|_| too_large("a database index", db, u64::from(u32::MAX)))
}

fn read_chunk_head(scan: &mut Scan<'_>) -> Read<Raw> {
    let (id, len) = (scan.u32()?, scan.u32()?);
    if id == 0 {
        return Err(unexpected("a chunk stream's id", 0));
    }
    if len == 0 {
        return Err(unexpected("a chunk's length", 0));
    }
    Ok(Raw::Chunk(id, len))
}

impl Body {
    /// Kind and first state of a value of `type_byte`.
    fn of_type(type_byte: u8) -> Option<(ValueKind, Body)> {
        use crate::packed::Encoding::{Intset, Listpack, Ziplist, Zipmap};
        use ValueKind as K;
        Some(match type_byte {
            types::STRING => (K::Str, Body::Text { opaque: false }),
            types::LIST => (K::List, Body::Count(type_byte)),
            types::SET => (K::Set, Body::Count(type_byte)),
            types::ZSET_TEXT | types::ZSET => (K::ZSet, Body::Count(type_byte)),
            types::HASH => (K::Hash, Body::Count(type_byte)),
            types::HASH_ZIPMAP => (K::Hash, Body::Blob(Zipmap, K::Hash)),
            types::LIST_ZIPLIST => (K::List, Body::Blob(Ziplist, K::List)),
            types::SET_INTSET => (K::Set, Body::Blob(Intset, K::Set)),
            types::ZSET_ZIPLIST => (K::ZSet, Body::Blob(Ziplist, K::ZSet)),
            types::HASH_ZIPLIST => (K::Hash, Body::Blob(Ziplist, K::Hash)),
            types::LIST_QUICKLIST | types::LIST_QUICKLIST_2 => (K::List, Body::Count(type_byte)),
            types::HASH_LISTPACK => (K::Hash, Body::Blob(Listpack, K::Hash)),
            types::ZSET_LISTPACK => (K::ZSet, Body::Blob(Listpack, K::ZSet)),
            types::SET_LISTPACK => (K::Set, Body::Blob(Listpack, K::Set)),
            types::STREAM_1 | types::STREAM_2 | types::STREAM_3 => {
                (K::Stream, Body::stream(type_byte))
            }
            types::JSON => (K::Json, Body::Text { opaque: true }),
            types::HASH_EXPIRY => (K::HashExpiry, Body::Count(type_byte)),
            types::SET_EXPIRY => (K::SetExpiry, Body::Count(type_byte)),
            _ => return None,
        })
    }
}
