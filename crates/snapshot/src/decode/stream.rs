//! Framing of streams (types 15, 19, 21): where the body ends. Its bytes are handed out as they stand.
//!
//! Body: listpacks (id of the first entry, listpack), length, ids, consumer groups with their pending entries and
//! consumers. Source: `rdbSaveObject` of Redis 5.0, 7.0 and 7.2 for streams.

use super::Limits;
use super::body::Body;
use super::lane::{Lane, Place, RawPart, Span, State};
use super::scan::{Read, Scan};
use crate::wire::type_byte;

/// Bytes of a stream id in pending-entry lists.
const RAW_ID: usize = 16;
/// Bytes of a time in milliseconds.
const TIME: usize = 8;

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

    /// Reads the next unit; says whether it was the last.
    fn read(&mut self, scan: &mut Scan<'_>, limits: &Limits) -> Read<bool> {
        match self.stage {
            Stage::ListpackCount => {
                self.listpacks = scan.len()?;
                self.stage = Stage::Listpacks;
            }
            Stage::Listpacks if self.listpacks > 0 => {
                scan.element(limits)?;
                scan.string("a packed collection", limits.max_packed)?;
                self.listpacks -= 1;
            }
            Stage::Listpacks => {
                self.read_tail(scan)?;
                self.stage = Stage::Groups;
            }
            Stage::Groups if self.groups > 0 => self.read_group(scan, limits)?,
            Stage::Groups => return Ok(true),
            Stage::GroupPending if self.pending > 0 => {
                scan.take(RAW_ID + TIME)?;
                scan.len()?;
                self.pending -= 1;
            }
            Stage::GroupPending => self.stage = Stage::ConsumerCount,
            Stage::ConsumerCount => {
                self.consumers = scan.len()?;
                self.stage = Stage::Consumers;
            }
            Stage::Consumers if self.consumers > 0 => self.read_consumer(scan, limits)?,
            Stage::Consumers => self.stage = Stage::Groups,
            Stage::ConsumerPending if self.pending > 0 => {
                scan.take(RAW_ID)?;
                self.pending -= 1;
            }
            Stage::ConsumerPending => self.stage = Stage::Consumers,
        }
        Ok(false)
    }

    fn has_second_form(&self) -> bool {
        self.type_byte != type_byte::STREAM_1
    }

    /// Length, last id; from the second form on first id, maximal deleted id, entries added; number of groups.
    fn read_tail(&mut self, scan: &mut Scan<'_>) -> Read<()> {
        let lengths = if self.has_second_form() { 8 } else { 3 };
        for _ in 0..lengths {
            scan.len()?;
        }
        self.groups = scan.len()?;
        Ok(())
    }

    /// Name, last id, from the second form on entries read; number of pending entries.
    fn read_group(&mut self, scan: &mut Scan<'_>, limits: &Limits) -> Read<()> {
        scan.element(limits)?;
        let lengths = if self.has_second_form() { 3 } else { 2 };
        for _ in 0..lengths {
            scan.len()?;
        }
        self.pending = scan.len()?;
        self.groups -= 1;
        self.stage = Stage::GroupPending;
        Ok(())
    }

    /// Name, time seen, in the third form time active; number of pending entries.
    fn read_consumer(&mut self, scan: &mut Scan<'_>, limits: &Limits) -> Read<()> {
        scan.element(limits)?;
        scan.take(if self.type_byte == type_byte::STREAM_3 {
            2 * TIME
        } else {
            TIME
        })?;
        self.pending = scan.len()?;
        self.consumers -= 1;
        self.stage = Stage::ConsumerPending;
        Ok(())
    }
}

impl Lane {
    pub(super) fn poll_stream(
        &mut self,
        mut body: StreamBody,
        limits: &Limits,
    ) -> Read<Option<RawPart>> {
        let mut scan = Scan::new(&self.buf[self.pos..]);
        let ended = body.read(&mut scan, limits)?;
        let span = Span {
            place: Place::Buf,
            start: self.pos,
            len: scan.at,
        };
        self.pos += span.len;
        self.state = State::Body(if ended { Body::End } else { Body::Stream(body) });
        Ok((span.len > 0).then_some(RawPart::Opaque(span)))
    }
}
