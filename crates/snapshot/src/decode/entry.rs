//! Entries that lie in the buffer to their ends, strings and small collections, taken with one call each, and without an event for every element.
//!
//! Nothing here makes an error, and what is not taken is as it was: whatever is unusual, big or wrong is left to the states.

use super::Limits;
use super::RdbDecoder;
use super::lane::{Lane, Span, State, empty};
use super::scan::{Scan, Token};
use super::whole::{MAX_UNPACKED, MOST_ELEMENTS, take_string};
use crate::lzf;
use crate::number::parse_score;
use crate::packed::{Encoding, Item, Reader};
use crate::wire::{NODE_PACKED, opcode, type_byte as types};
use damselfly_store::Value;
use damselfly_store::values::Gather;

/// An entry, all of it.
#[derive(Debug)]
pub struct WholeEntry<'a> {
    /// Database.
    pub db: u32,
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: Value,
    /// Absolute expiry, Unix milliseconds.
    pub expire_ms: Option<i64>,
}

/// What stands in front of a value.
struct Head {
    type_byte: u8,
    expire_ms: Option<i64>,
    key: Token,
}

#[derive(Clone, Copy)]
enum Kind {
    List,
    Set,
    Hash,
    ZSet,
}

impl RdbDecoder {
    /// The next entry, if it is a string or a small collection that has come to its end, and nothing but an expiry time is said of it: what an
    /// [`Assembler`](crate::Assembler) would make of the events of [`next`](RdbDecoder::next), sooner. Only for decoders
    /// [`with_whole_strings`](RdbDecoder::with_whole_strings). `None`: ask `next`, which says what there is instead.
    #[inline]
    pub fn take_entry(&mut self, gather: &mut Gather) -> Option<WholeEntry<'_>> {
        if !self.is_outside() {
            return None;
        }
        let taken = self
            .outer
            .take_entry(&self.limits, &mut self.scratch, gather);
        let (key, value, expire_ms) = taken?;
        Some(WholeEntry {
            db: self.db,
            key: self.outer.resolve(key, &self.scratch),
            value,
            expire_ms,
        })
    }
}

impl Lane {
    #[inline]
    fn take_entry(
        &mut self,
        limits: &Limits,
        scratch: &mut Vec<u8>,
        gather: &mut Gather,
    ) -> Option<(Span, Value, Option<i64>)> {
        if !self.takes_strings() || !matches!(self.state, State::Opcode) || !self.is_plain() {
            return None;
        }
        let mut scan = Scan::new(&self.buf[self.pos..]);
        let head = read_head(&mut scan, limits)?;
        empty(scratch);
        let (value, behind) = if head.type_byte == types::STRING {
            let (value, behind) = take_string(scan, limits)?;
            let value = self.span(value, scratch).ok()?;
            (Value::string(self.resolve(value, scratch)), behind)
        } else {
            let mut small = Small {
                scan,
                bytes: &self.buf[self.pos..],
                unpacked: &mut self.packed,
                limits,
                gather,
            };
            (small.value(head.type_byte)?, small.scan.at)
        };
        let key = self.span(head.key, scratch).ok()?;
        self.passed(behind);
        Some((key, value, head.expire_ms))
    }
}

#[inline]
fn read_head(scan: &mut Scan<'_>, limits: &Limits) -> Option<Head> {
    let mut type_byte = scan.byte().ok()?;
    let mut expire_ms = None;
    if type_byte == opcode::EXPIRE_MS {
        expire_ms = Some(scan.u64().ok()? as i64);
        type_byte = scan.byte().ok()?;
    }
    if type_byte > types::SET_LISTPACK {
        return None;
    }
    Some(Head {
        type_byte,
        expire_ms,
        key: scan.string("a key", limits.max_key).ok()?,
    })
}

/// A small collection that is read.
struct Small<'a> {
    scan: Scan<'a>,
    /// What `scan` reads.
    bytes: &'a [u8],
    unpacked: &'a mut Vec<u8>,
    limits: &'a Limits,
    gather: &'a mut Gather,
}

impl Small<'_> {
    fn value(&mut self, type_byte: u8) -> Option<Value> {
        let kind = match type_byte {
            types::LIST | types::LIST_ZIPLIST | types::LIST_QUICKLIST | types::LIST_QUICKLIST_2 => {
                Kind::List
            }
            types::SET | types::SET_INTSET | types::SET_LISTPACK => Kind::Set,
            types::HASH | types::HASH_ZIPMAP | types::HASH_ZIPLIST | types::HASH_LISTPACK => {
                Kind::Hash
            }
            types::ZSET | types::ZSET_ZIPLIST | types::ZSET_LISTPACK => Kind::ZSet,
            _ => return None,
        };
        self.gather.begin(matches!(kind, Kind::List));
        match type_byte {
            types::LIST | types::SET | types::HASH | types::ZSET => self.plain(kind)?,
            types::LIST_QUICKLIST if self.scan.len().ok()? == 1 => {
                self.blob(Encoding::Ziplist, kind)?;
            }
            types::LIST_QUICKLIST_2 if self.scan.len().ok()? == 1 => {
                let container = self.scan.len().ok()?;
                (container == NODE_PACKED).then_some(())?;
                self.blob(Encoding::Listpack, kind)?;
            }
            types::LIST_QUICKLIST | types::LIST_QUICKLIST_2 => return None,
            types::LIST_ZIPLIST | types::HASH_ZIPLIST | types::ZSET_ZIPLIST => {
                self.blob(Encoding::Ziplist, kind)?;
            }
            types::SET_INTSET => self.blob(Encoding::Intset, kind)?,
            types::HASH_ZIPMAP => self.blob(Encoding::Zipmap, kind)?,
            _ => self.blob(Encoding::Listpack, kind)?,
        }
        match kind {
            Kind::List => self.gather.list().map(Value::from),
            Kind::Set => self.gather.set().map(Value::from),
            Kind::Hash => self.gather.hash().map(Value::from),
            Kind::ZSet => self.gather.zset().map(Value::from),
        }
    }

    /// A number of elements.
    fn plain(&mut self, kind: Kind) -> Option<()> {
        let count = self.scan.len().ok()?;
        let count = count.checked_mul(if matches!(kind, Kind::Hash) { 2 } else { 1 });
        for _ in 0..count.filter(|count| *count <= MOST_ELEMENTS)? {
            if self.gather.is_full() {
                return None;
            }
            self.element()?;
            if matches!(kind, Kind::ZSet) {
                let score = f64::from_le_bytes(self.scan.array().ok()?);
                self.gather.score(score);
            }
        }
        Some(())
    }

    fn element(&mut self) -> Option<()> {
        match self.scan.element(self.limits).ok()? {
            Token::Int(int) => self.gather.int(int),
            token => self.gather.bytes(text(token, self.bytes, self.unpacked)?),
        }
        Some(())
    }

    /// A packed collection.
    fn blob(&mut self, encoding: Encoding, kind: Kind) -> Option<()> {
        let token = self
            .scan
            .string("a packed collection", self.limits.max_packed)
            .ok()?;
        let blob = text(token, self.bytes, self.unpacked)?;
        let mut reader = Reader::open(encoding, blob).ok()?;
        while let Some(item) = reader.next(blob).ok()? {
            if self.gather.is_full() {
                return None;
            }
            match item {
                Item::Bytes { start, len } => self.gather.bytes(&blob[start..start + len]),
                Item::Int(int) => self.gather.int(int),
            }
            if matches!(kind, Kind::ZSet) {
                let score = match reader.next(blob).ok()?? {
                    Item::Int(int) => int as f64,
                    Item::Bytes { start, len } => parse_score(&blob[start..start + len])?,
                };
                self.gather.score(score);
            }
        }
        Some(())
    }
}

/// The bytes of a string that is no integer, if they are not many.
fn text<'a>(token: Token, bytes: &'a [u8], unpacked: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    match token {
        Token::Raw { start, len } if len <= MAX_UNPACKED => Some(&bytes[start..start + len]),
        Token::Lzf { start, packed, len } if len <= MAX_UNPACKED => {
            empty(unpacked);
            let input = &bytes[start..start + packed];
            lzf::decompress(input, len, unpacked).ok()?;
            Some(&unpacked[..])
        }
        _ => None,
    }
}
