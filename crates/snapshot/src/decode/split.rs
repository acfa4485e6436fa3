//! Values that are not taken apart, only their end is found: who receives a stream hands the bytes to whom they are for.

use super::Limits;
use super::event::Format;
use super::lane::{Lane, Place, Raw, Span, State};
use super::module::ModuleBody;
use super::scan::{Halt, Read, Scan, StringHead, within};
use super::stream::StreamBody;
use crate::wire::type_byte as types;

/// A part of an item.
#[derive(Debug, Clone, Copy)]
enum Field {
    /// A string.
    Text,
    /// A length.
    Length,
    /// So many bytes.
    Bytes(u8),
    /// A score as text.
    Score,
}

use Field::{Bytes, Length, Score, Text};

/// From here on the length byte of a score as text is a mark instead.
const FIRST_SCORE_MARK: u8 = 253;

/// What has to be passed over of a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    stage: Stage,
    /// Bytes that come before that.
    skip: u64,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The number of items of this form.
    Count(&'static [Field]),
    Items {
        form: &'static [Field],
        left: u64,
        at: usize,
    },
    Stream(StreamBody),
    ModuleId,
    Module(ModuleBody),
    End,
}

impl Split {
    /// Where a value of a known type begins.
    pub(super) fn new(type_byte: u8, format: Format) -> Split {
        let stage = match type_byte {
            types::LIST | types::SET | types::LIST_QUICKLIST => Stage::Count(&[Text]),
            types::HASH | types::SET_EXPIRY => Stage::Count(&[Text, Text]),
            types::ZSET_TEXT => Stage::Count(&[Text, Score]),
            types::ZSET => Stage::Count(&[Text, Bytes(8)]),
            types::LIST_QUICKLIST_2 => Stage::Count(&[Length, Text]),
            types::VALKEY_HASH_2 if format.valkey => Stage::Count(&[Text, Text, Bytes(8)]),
            types::HASH_METADATA_PRE_GA | types::HASH_METADATA => {
                Stage::Count(&[Length, Text, Text])
            }
            types::HASH_EXPIRY => Stage::Count(&[Text, Text, Text]),
            types::STREAM_1 | types::STREAM_2 | types::STREAM_3 => {
                Stage::Stream(StreamBody::new(type_byte))
            }
            types::MODULE_2 => Stage::ModuleId,
            _ => Stage::Items {
                form: &[Text],
                left: 1,
                at: 0,
            },
        };
        let timed = matches!(type_byte, types::HASH_METADATA | types::HASH_LISTPACK_EX);
        Split {
            stage,
            skip: if timed { 8 } else { 0 },
        }
    }

    /// Reads the next thing; bytes of a string are left for later.
    fn read(&mut self, scan: &mut Scan<'_>, limits: &Limits) -> Read<()> {
        match &mut self.stage {
            Stage::Count(form) => {
                self.stage = Stage::Items {
                    form,
                    left: scan.len()?,
                    at: 0,
                };
            }
            Stage::Items { left: 0, .. } => self.stage = Stage::End,
            Stage::Items { form, left, at } => {
                self.skip = read_field(form[*at], scan, limits)?;
                *at += 1;
                if *at == form.len() {
                    (*at, *left) = (0, *left - 1);
                }
            }
            Stage::Stream(stream) => {
                if stream.pass(scan, limits)? {
                    self.stage = Stage::End;
                }
            }
            Stage::ModuleId => {
                scan.len()?;
                self.stage = Stage::Module(ModuleBody::new(None));
            }
            Stage::Module(module) => {
                if module.read_item(scan, limits)? {
                    self.skip = module.take_skip();
                } else {
                    self.stage = Stage::End;
                }
            }
            Stage::End => {}
        }
        Ok(())
    }
}

/// How many bytes belong to it behind what has been read.
fn read_field(field: Field, scan: &mut Scan<'_>, limits: &Limits) -> Read<u64> {
    match field {
        Text => match scan.string_head()? {
            StringHead::Raw(len) => Ok(within("a string", len, limits.max_string)? as u64),
            StringHead::Int(_) => Ok(0),
            StringHead::Lzf { packed, len } => {
                within("a string", len, limits.max_string)?;
                Ok(within("a string", packed, limits.max_string)? as u64)
            }
        },
        Length => scan.len().map(|_| 0),
        Bytes(len) => Ok(u64::from(len)),
        Score => match scan.byte()? {
            FIRST_SCORE_MARK.. => Ok(0),
            len => Ok(u64::from(len)),
        },
    }
}

impl Lane {
    /// The next bytes of a value, as many as are here.
    pub(super) fn poll_split(&mut self, mut split: Split, limits: &Limits) -> Read<Raw> {
        let start = self.pos;
        let mut need = None;
        while need.is_none() && !matches!((&split.stage, split.skip), (Stage::End, 0)) {
            let skipped = split.skip.min(self.unread() as u64);
            self.pos += skipped as usize;
            split.skip -= skipped;
            if split.skip > 0 {
                need = Some(Halt::Need(1));
                break;
            }
            let mut scan = Scan::new(&self.buf[self.pos..]);
            // What needs more bytes has to be as it was.
            let mut next = split;
            match next.read(&mut scan, limits) {
                Ok(()) => {
                    self.pos += scan.at;
                    split = next;
                }
                Err(Halt::Need(len)) => need = Some(Halt::Need(len)),
                Err(error) => return Err(error),
            }
        }
        let last = need.is_none();
        self.state = if last {
            State::Opcode
        } else {
            State::Split(split)
        };
        let bytes = Span {
            place: Place::Buf,
            start,
            len: self.pos - start,
        };
        match need {
            Some(need) if bytes.len == 0 => Err(need),
            _ => Ok(Raw::Value(bytes, last)),
        }
    }
}
