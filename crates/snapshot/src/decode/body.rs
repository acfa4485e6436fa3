//! Bodies of values: one state per form, one part per call.

use super::Limits;
use super::event::{ModuleId, ValueKind};
use super::lane::{Lane, Place, Raw, RawPart, Span, State, digits};
use super::module::ModuleBody;
use super::scan::{Halt, Read, Scan, StringHead, Token, malformed, unexpected, within};
use super::stream::StreamBody;
use crate::number::parse_score;
use crate::packed::{Encoding, Item, Reader};
use crate::wire::{
    MAX_FIELD_EXPIRY_MS, MEMBER_EXPIRY_BASE_S, NODE_PACKED, NODE_PLAIN, type_byte as types,
};

/// Strings up to this come as one part; longer ones as they arrive.
const WHOLE_STRING: usize = 64 * 1024;
/// A part of a longer string has at least this many bytes, the last one excepted.
const MIN_STRING_PART: usize = 16 * 1024;

/// In place of a type byte: [`types::VALKEY_HASH_2`], which another type of Redis has too.
pub(super) const VALKEY_HASH: u8 = 0x80;

/// What is being read of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    /// A string.
    Text { opaque: bool },
    /// The rest of a long string.
    TextRest { opaque: bool, left: u64 },
    /// The number of elements or nodes of a type.
    Count(u8),
    /// Elements of a plain type.
    Plain { type_byte: u8, left: u64 },
    /// The first expiry and the number of fields of a hash.
    TimedCount,
    /// Fields with times counted from `first`.
    Timed { first: i64, left: u64 },
    /// The first expiry and the listpack of a hash.
    TimedBlob,
    /// A packed collection.
    Blob(Encoding, ValueKind),
    /// Elements of a packed collection, and nodes after it.
    Packed {
        reader: Reader,
        kind: ValueKind,
        nodes: Nodes,
    },
    /// Nodes of a quicklist.
    Nodes(Nodes),
    /// A stream's body.
    Stream(StreamBody),
    /// A module's value, or other data.
    Module(ModuleBody),
    /// Nothing is left of a module's other data.
    ModuleAuxEnd(ModuleId),
    /// Nothing is left.
    End,
}

/// The rest of a quicklist.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nodes {
    left: u64,
    encoding: Encoding,
}

const NO_NODES: Nodes = Nodes {
    left: 0,
    encoding: Encoding::Listpack,
};

impl Body {
    pub(super) fn stream(type_byte: u8) -> Body {
        Body::Stream(StreamBody::new(type_byte))
    }
}

impl Lane {
    /// The next part of a value, or its end.
    #[inline]
    pub(super) fn poll_body(
        &mut self,
        mut body: Body,
        limits: &Limits,
        scratch: &mut Vec<u8>,
    ) -> Read<Raw> {
        loop {
            let part = match body {
                Body::Text { opaque } => self.poll_text(opaque, limits, scratch)?,
                Body::TextRest { opaque, left } => Some(self.poll_text_rest(opaque, left)?),
                Body::Plain { left: 0, .. }
                | Body::Timed { left: 0, .. }
                | Body::Nodes(Nodes { left: 0, .. })
                | Body::End => {
                    self.state = State::Opcode;
                    return Ok(Raw::KeyEnd);
                }
                Body::Plain { type_byte, left } => {
                    Some(self.poll_plain(type_byte, left, limits, scratch)?)
                }
                Body::Count(type_byte) => self.poll_count(type_byte)?,
                Body::TimedCount => self.poll_timed_count()?,
                Body::Timed { first, left } => Some(self.poll_timed(first, left, limits, scratch)?),
                Body::TimedBlob => {
                    self.scan().u64()?;
                    let skip = size_of::<u64>();
                    let kind = ValueKind::HashExpiry;
                    self.poll_blob(Encoding::Listpack, kind, NO_NODES, skip, limits)?
                }
                Body::Blob(encoding, kind) => {
                    self.poll_blob(encoding, kind, NO_NODES, 0, limits)?
                }
                Body::Packed {
                    reader,
                    kind,
                    nodes,
                } => self.poll_packed(reader, kind, nodes, scratch)?,
                Body::Nodes(nodes) => self.poll_node(nodes, limits, scratch)?,
                Body::Stream(stream) => self.poll_stream(stream, limits, scratch)?,
                Body::Module(module) => {
                    self.poll_module(module, limits)?;
                    None
                }
                Body::ModuleAuxEnd(module) => {
                    self.state = State::Opcode;
                    return Ok(Raw::ModuleAux(module));
                }
            };
            if let Some(part) = part {
                return Ok(Raw::Part(part));
            }
            let State::Body(next) = self.state else {
                unreachable!("a part poll leaves a body")
            };
            body = next;
        }
    }

    fn scan(&self) -> Scan<'_> {
        Scan::new(&self.buf[self.pos..])
    }

    #[inline]
    fn poll_text(
        &mut self,
        opaque: bool,
        limits: &Limits,
        scratch: &mut Vec<u8>,
    ) -> Read<Option<RawPart>> {
        let mut scan = self.scan();
        if let StringHead::Raw(len) = scan.string_head()? {
            let len = within("a string", len, limits.max_string)?;
            if len > WHOLE_STRING {
                self.pos += scan.at;
                self.state = State::Body(Body::TextRest {
                    opaque,
                    left: len as u64,
                });
                return Ok(None);
            }
        }
        let mut scan = self.scan();
        let token = scan.element(limits)?;
        let used = scan.at;
        let span = self.span(token, scratch)?;
        self.pos += used;
        self.state = State::Body(Body::End);
        Ok(Some(text_part(opaque, span)))
    }

    fn poll_text_rest(&mut self, opaque: bool, left: u64) -> Read<RawPart> {
        let available = (self.unread() as u64).min(left);
        let wanted = left.min(MIN_STRING_PART as u64);
        if available < wanted {
            return Err(Halt::Need(wanted as usize));
        }
        let span = Span {
            place: Place::Buf,
            start: self.pos,
            len: available as usize,
        };
        self.pos += span.len;
        let left = left - available;
        self.state = State::Body(if left == 0 {
            Body::End
        } else {
            Body::TextRest { opaque, left }
        });
        Ok(text_part(opaque, span))
    }

    fn poll_count(&mut self, type_byte: u8) -> Read<Option<RawPart>> {
        let mut scan = self.scan();
        let left = scan.len()?;
        self.pos += scan.at;
        self.state = State::Body(match type_byte {
            types::LIST_QUICKLIST => Body::Nodes(Nodes {
                left,
                encoding: Encoding::Ziplist,
            }),
            types::LIST_QUICKLIST_2 => Body::Nodes(Nodes {
                left,
                encoding: Encoding::Listpack,
            }),
            // There the times are not counted from a first one: as it were, from that which 1 stands for.
            types::HASH_METADATA_PRE_GA => Body::Timed { first: 1, left },
            _ => Body::Plain { type_byte, left },
        });
        Ok(None)
    }

    fn poll_timed_count(&mut self) -> Read<Option<RawPart>> {
        let mut scan = self.scan();
        let first = scan.u64()? as i64;
        let left = scan.len()?;
        self.pos += scan.at;
        self.state = State::Body(Body::Timed { first, left });
        Ok(None)
    }

    fn poll_timed(
        &mut self,
        first: i64,
        left: u64,
        limits: &Limits,
        scratch: &mut Vec<u8>,
    ) -> Read<RawPart> {
        let mut scan = self.scan();
        let expire_ms = match scan.len()? {
            0 => None,
            beyond => Some(checked_expiry(
                i64::try_from(beyond - 1)
                    .ok()
                    .and_then(|beyond| first.checked_add(beyond)),
            )?),
        };
        let (field, value) = (scan.element(limits)?, scan.element(limits)?);
        let used = scan.at;
        let part = RawPart::Field(
            self.span(field, scratch)?,
            self.span(value, scratch)?,
            expire_ms,
        );
        self.pos += used;
        let left = left - 1;
        self.state = State::Body(Body::Timed { first, left });
        Ok(part)
    }

    #[inline]
    fn poll_plain(
        &mut self,
        type_byte: u8,
        left: u64,
        limits: &Limits,
        scratch: &mut Vec<u8>,
    ) -> Read<RawPart> {
        let mut scan = self.scan();
        let first = scan.element(limits)?;
        let (part, used) = match type_byte {
            types::LIST => (RawPart::Item(self.span(first, scratch)?), scan.at),
            types::SET => (RawPart::Member(self.span(first, scratch)?, None), scan.at),
            types::HASH => {
                let value = scan.element(limits)?;
                (
                    RawPart::Field(self.span(first, scratch)?, self.span(value, scratch)?, None),
                    scan.at,
                )
            }
            VALKEY_HASH => {
                let value = scan.element(limits)?;
                let expire_ms = match i64::from_le_bytes(scan.array()?) {
                    -1 => None,
                    time => Some(checked_expiry(Some(time))?),
                };
                let (field, value) = (self.span(first, scratch)?, self.span(value, scratch)?);
                (RawPart::Field(field, value, expire_ms), scan.at)
            }
            types::HASH_EXPIRY => {
                let value = scan.element(limits)?;
                let expire_ms = member_expiry(&mut scan, limits)?;
                (
                    RawPart::Field(
                        self.span(first, scratch)?,
                        self.span(value, scratch)?,
                        expire_ms,
                    ),
                    scan.at,
                )
            }
            types::SET_EXPIRY => {
                let expire_ms = member_expiry(&mut scan, limits)?;
                (
                    RawPart::Member(self.span(first, scratch)?, expire_ms),
                    scan.at,
                )
            }
            types::ZSET => {
                let score = checked_score(f64::from_le_bytes(scan.array()?))?;
                (RawPart::Scored(self.span(first, scratch)?, score), scan.at)
            }
            _ => {
                let score = text_score(self, &mut scan)?;
                (RawPart::Scored(self.span(first, scratch)?, score), scan.at)
            }
        };
        self.pos += used;
        self.state = State::Body(Body::Plain {
            type_byte,
            left: left - 1,
        });
        Ok(part)
    }

    /// Loads the packed collection that stands `skip` bytes on.
    fn poll_blob(
        &mut self,
        encoding: Encoding,
        kind: ValueKind,
        nodes: Nodes,
        skip: usize,
        limits: &Limits,
    ) -> Read<Option<RawPart>> {
        let mut scan = self.scan();
        scan.at = skip;
        let token = scan.string("a packed collection", limits.max_packed)?;
        let used = scan.at;
        self.load_packed(token)?;
        let reader =
            Reader::open(encoding, &self.packed).map_err(|why| malformed(encoding.name(), why))?;
        self.pos += used;
        self.state = State::Body(Body::Packed {
            reader,
            kind,
            nodes,
        });
        Ok(None)
    }

    fn poll_packed(
        &mut self,
        mut reader: Reader,
        kind: ValueKind,
        nodes: Nodes,
        scratch: &mut Vec<u8>,
    ) -> Read<Option<RawPart>> {
        let what = reader.encoding().name();
        let fault = |why| malformed(what, why);
        let Some(first) = reader.next(&self.packed).map_err(fault)? else {
            self.state = State::Body(Body::Nodes(nodes));
            return Ok(None);
        };
        let part = match kind {
            ValueKind::List => RawPart::Item(item_span(first, scratch)),
            ValueKind::Set => RawPart::Member(item_span(first, scratch), None),
            _ => {
                let second = reader.next(&self.packed).map_err(fault)?;
                let second = second.ok_or_else(|| fault("an odd number of elements"))?;
                if kind == ValueKind::HashExpiry {
                    let time = reader.next(&self.packed).map_err(fault)?;
                    let expire_ms = match time {
                        Some(Item::Int(0)) => None,
                        Some(Item::Int(time)) => Some(checked_expiry(Some(time))?),
                        _ => return Err(fault("a time is not a number")),
                    };
                    RawPart::Field(
                        item_span(first, scratch),
                        item_span(second, scratch),
                        expire_ms,
                    )
                } else if kind == ValueKind::Hash {
                    RawPart::Field(item_span(first, scratch), item_span(second, scratch), None)
                } else {
                    RawPart::Scored(item_span(first, scratch), self.packed_score(second, what)?)
                }
            }
        };
        self.state = State::Body(Body::Packed {
            reader,
            kind,
            nodes,
        });
        Ok(Some(part))
    }

    fn packed_score(&self, item: Item, what: &'static str) -> Read<f64> {
        match item {
            Item::Int(value) => Ok(value as f64),
            Item::Bytes { start, len } => {
                let score = parse_score(&self.packed[start..start + len]);
                checked_score(score.ok_or_else(|| malformed(what, "a score is not a number"))?)
            }
        }
    }

    fn poll_node(
        &mut self,
        nodes: Nodes,
        limits: &Limits,
        scratch: &mut Vec<u8>,
    ) -> Read<Option<RawPart>> {
        let rest = Nodes {
            left: nodes.left - 1,
            ..nodes
        };
        if nodes.encoding == Encoding::Ziplist {
            return self.poll_blob(Encoding::Ziplist, ValueKind::List, rest, 0, limits);
        }
        let mut scan = self.scan();
        match scan.len()? {
            NODE_PLAIN => {
                let token = scan.element(limits)?;
                let used = scan.at;
                let item = self.span(token, scratch)?;
                self.pos += used;
                self.state = State::Body(Body::Nodes(rest));
                Ok(Some(RawPart::Item(item)))
            }
            NODE_PACKED => {
                let skip = scan.at;
                self.poll_blob(Encoding::Listpack, ValueKind::List, rest, skip, limits)
            }
            other => Err(unexpected("a list node's container, 1 or 2", other)),
        }
    }
}

fn text_part(opaque: bool, span: Span) -> RawPart {
    if opaque {
        RawPart::Opaque(span)
    } else {
        RawPart::Str(span)
    }
}

fn item_span(item: Item, scratch: &mut Vec<u8>) -> Span {
    match item {
        Item::Bytes { start, len } => Span {
            place: Place::Packed,
            start,
            len,
        },
        Item::Int(value) => digits(value, scratch),
    }
}

/// Expiry of a field or member: a string of decimal seconds since [`MEMBER_EXPIRY_BASE_S`]; 0 and below is none.
fn member_expiry(scan: &mut Scan<'_>, limits: &Limits) -> Read<Option<i64>> {
    let Token::Int(seconds) = scan.element(limits)? else {
        return Err(malformed(
            "member expiry",
            "not an integer of at most 32 bits",
        ));
    };
    Ok((seconds > 0).then_some((MEMBER_EXPIRY_BASE_S + seconds) * 1000))
}

/// An expiry of a field, which must be one that Redis can have.
fn checked_expiry(ms: Option<i64>) -> Read<i64> {
    ms.filter(|ms| (0..=MAX_FIELD_EXPIRY_MS).contains(ms))
        .ok_or_else(|| malformed("hash with field expiry", "a time is out of range"))
}

fn checked_score(score: f64) -> Read<f64> {
    if score.is_nan() {
        Err(malformed("sorted set", "a score is not a number"))
    } else {
        Ok(score)
    }
}

/// A score of type 3: a length byte and text, or one of three marks.
fn text_score(lane: &Lane, scan: &mut Scan<'_>) -> Read<f64> {
    match scan.byte()? {
        253 => checked_score(f64::NAN),
        254 => Ok(f64::INFINITY),
        255 => Ok(f64::NEG_INFINITY),
        len => {
            let start = lane.pos + scan.take(usize::from(len))?;
            let text = &lane.buf[start..start + usize::from(len)];
            checked_score(
                parse_score(text)
                    .ok_or_else(|| malformed("sorted set", "a score is not a number"))?,
            )
        }
    }
}
