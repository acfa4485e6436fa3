//! Streams (types 15, 19, 21), unit by unit.
//!
//! Body: listpacks (id of the first entry, listpack), length, ids, consumer groups with their pending entries and
//! consumers. Source: `rdbSaveObject` of Redis 5.0, 7.0 and 7.2 for streams.

use super::Limits;
use super::body::Body;
use super::event::StreamTotals;
use super::lane::{Lane, Place, RawPart, RawStream, Span, State};
use super::scan::{Read, Scan, Token, malformed};
use crate::wire::type_byte;

/// Bytes of a stream id where it is not written as two lengths.
const RAW_ID: usize = 16;

/// What of a stream comes next. Counts are those that are left.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamBody {
    type_byte: u8,
    stage: Stage,
    listpacks: u64,
    groups: u64,
    pending: u64,
    consumers: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    ListpackCount,
    Listpacks,
    Groups,
    GroupPending,
    ConsumerCount,
    Consumers,
    ConsumerPending,
}

/// What was read, strings not yet materialised.
enum Unit {
    /// Only a count, or the change to the next stage.
    Nothing,
    Part(RawStream),
    Node((u64, u64), Token),
    Group(Token, (u64, u64), Option<u64>),
    Consumer(Token, i64, i64),
    End,
}

impl StreamBody {
    pub(super) fn new(type_byte: u8) -> StreamBody {
        StreamBody {
            type_byte,
            stage: Stage::ListpackCount,
            listpacks: 0,
            groups: 0,
            pending: 0,
            consumers: 0,
        }
    }

    /// Reads the next unit, to pass over it; `true`: there was none.
    pub(super) fn pass(&mut self, scan: &mut Scan<'_>, limits: &Limits) -> Read<bool> {
        Ok(matches!(self.read(scan, limits)?, Unit::End))
    }

    /// Reads the next unit.
    fn read(&mut self, scan: &mut Scan<'_>, limits: &Limits) -> Read<Unit> {
        match self.stage {
            Stage::ListpackCount => {
                self.listpacks = scan.len()?;
                self.stage = Stage::Listpacks;
            }
            Stage::Listpacks if self.listpacks > 0 => {
                let id = node_id(scan, limits)?;
                let listpack = scan.string("a packed collection", limits.max_packed)?;
                self.listpacks -= 1;
                return Ok(Unit::Node(id, listpack));
            }
            Stage::Listpacks => {
                let totals = self.read_totals(scan)?;
                self.stage = Stage::Groups;
                return Ok(Unit::Part(RawStream::Totals(totals)));
            }
            Stage::Groups if self.groups > 0 => return self.read_group(scan, limits),
            Stage::Groups => return Ok(Unit::End),
            Stage::GroupPending if self.pending > 0 => return self.read_pending(scan),
            Stage::GroupPending => self.stage = Stage::ConsumerCount,
            Stage::ConsumerCount => {
                self.consumers = scan.len()?;
                self.stage = Stage::Consumers;
            }
            Stage::Consumers if self.consumers > 0 => return self.read_consumer(scan, limits),
            Stage::Consumers => {
                self.stage = Stage::Groups;
                return Ok(Unit::Part(RawStream::GroupEnd));
            }
            Stage::ConsumerPending if self.pending > 0 => {
                let id = raw_id(scan)?;
                self.pending -= 1;
                return Ok(Unit::Part(RawStream::Owned(id)));
            }
            Stage::ConsumerPending => self.stage = Stage::Consumers,
        }
        Ok(Unit::Nothing)
    }

    fn has_second_form(&self) -> bool {
        self.type_byte != type_byte::STREAM_1
    }

    /// Length, last id; from the second form on first id, maximal deleted id, entries added; number of groups.
    fn read_totals(&mut self, scan: &mut Scan<'_>) -> Read<StreamTotals> {
        let length = scan.len()?;
        let last_id = (scan.len()?, scan.len()?);
        let (mut max_deleted_id, mut entries_added) = ((0, 0), None);
        if self.has_second_form() {
            // The first id says nothing that the entries do not.
            scan.len()?;
            scan.len()?;
            max_deleted_id = (scan.len()?, scan.len()?);
            entries_added = Some(scan.len()?);
        }
        self.groups = scan.len()?;
        Ok(StreamTotals {
            length,
            last_id,
            max_deleted_id,
            entries_added,
        })
    }

    /// Name, last id, from the second form on entries read (-1: unknown); number of pending entries.
    fn read_group(&mut self, scan: &mut Scan<'_>, limits: &Limits) -> Read<Unit> {
        let name = scan.element(limits)?;
        let last_id = (scan.len()?, scan.len()?);
        let entries_read = if self.has_second_form() {
            Some(scan.len()?).filter(|read| *read != u64::MAX)
        } else {
            None
        };
        self.pending = scan.len()?;
        self.groups -= 1;
        self.stage = Stage::GroupPending;
        Ok(Unit::Group(name, last_id, entries_read))
    }

    /// Id, time of delivery, number of deliveries.
    fn read_pending(&mut self, scan: &mut Scan<'_>) -> Read<Unit> {
        let id = raw_id(scan)?;
        let delivered_ms = time(scan)?;
        let deliveries = scan.len()?;
        self.pending -= 1;
        Ok(Unit::Part(RawStream::Pending(id, delivered_ms, deliveries)))
    }

    /// Name, time seen, in the third form time active; number of pending entries.
    fn read_consumer(&mut self, scan: &mut Scan<'_>, limits: &Limits) -> Read<Unit> {
        let name = scan.element(limits)?;
        let seen_ms = time(scan)?;
        let active_ms = if self.type_byte == type_byte::STREAM_3 {
            time(scan)?
        } else {
            seen_ms
        };
        self.pending = scan.len()?;
        self.consumers -= 1;
        self.stage = Stage::ConsumerPending;
        Ok(Unit::Consumer(name, seen_ms, active_ms))
    }
}

/// Unix milliseconds.
fn time(scan: &mut Scan<'_>) -> Read<i64> {
    Ok(i64::from_le_bytes(scan.array()?))
}

fn raw_id(scan: &mut Scan<'_>) -> Read<(u64, u64)> {
    let ms = u64::from_be_bytes(scan.array()?);
    Ok((ms, u64::from_be_bytes(scan.array()?)))
}

/// The id of a node: a string of 16 bytes.
fn node_id(scan: &mut Scan<'_>, limits: &Limits) -> Read<(u64, u64)> {
    match scan.element(limits)? {
        Token::Raw { start, len: RAW_ID } => {
            let end = std::mem::replace(&mut scan.at, start);
            let id = raw_id(scan)?;
            debug_assert_eq!(scan.at, end);
            Ok(id)
        }
        _ => Err(malformed("stream", "a node's id is not 16 bytes long")),
    }
}

impl Lane {
    pub(super) fn poll_stream(
        &mut self,
        mut body: StreamBody,
        limits: &Limits,
        scratch: &mut Vec<u8>,
    ) -> Read<Option<RawPart>> {
        let mut scan = Scan::new(&self.buf[self.pos..]);
        let unit = body.read(&mut scan, limits)?;
        let used = scan.at;
        let mut next = Body::Stream(body);
        let part = match unit {
            Unit::Nothing => None,
            Unit::Part(part) => Some(part),
            Unit::Node(id, listpack) => {
                self.load_packed(listpack)?;
                let listpack = Span {
                    place: Place::Packed,
                    start: 0,
                    len: self.packed.len(),
                };
                Some(RawStream::Node(id, listpack))
            }
            Unit::Group(name, last_id, read) => {
                Some(RawStream::Group(self.span(name, scratch)?, last_id, read))
            }
            Unit::Consumer(name, seen, active) => {
                Some(RawStream::Consumer(self.span(name, scratch)?, seen, active))
            }
            Unit::End => {
                next = Body::End;
                None
            }
        };
        self.pos += used;
        self.state = State::Body(next);
        Ok(part.map(RawPart::Stream))
    }
}
