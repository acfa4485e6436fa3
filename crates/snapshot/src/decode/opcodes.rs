//! What stands between values: opcodes, what they say of the next key, and the beginning of an entry.

use super::Limits;
use super::body::{Body, VALKEY_HASH};
use super::event::{Format, LastUse, ModuleId, ValueKind};
use super::lane::{Lane, LaneKind, Properties, Raw, RawKey, State};
use super::module::ModuleBody;
use super::scan::{Halt, Read, Scan, Token, too_large, unexpected, within};
use super::split::Split;
use super::whole::take_string;
use crate::error::{At, RdbError};
use crate::wire::{
    CLUSTER_SLOTS, FIRST_CHECKED_VERSION, KEY_MC_FLAGS, KEY_STICKY, opcode, type_byte as types,
    type_name,
};

/// The highest byte that can be a type and not an opcode.
const MAX_TYPE_BYTE: u8 = 37;

impl Lane {
    pub(super) fn poll_opcode(&mut self, limits: &Limits, scratch: &mut Vec<u8>) -> Read<Raw> {
        if self.runs
            && self.is_plain()
            && let Some(run) = self.take_run(limits)
        {
            return Ok(run);
        }
        loop {
            let mut scan = Scan::new(&self.buf[self.pos..]);
            let byte = scan.byte()?;
            if byte <= MAX_TYPE_BYTE {
                return self.begin_entry(byte, limits, scratch);
            }
            if !self.read_property(byte, limits)? {
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
    fn read_property(&mut self, byte: u8, limits: &Limits) -> Read<bool> {
        if self.kind == LaneKind::Payload {
            return Ok(false);
        }
        let mut scan = Scan::new(&self.buf[self.pos + 1..]);
        // The slice begins after the opcode: one byte more is needed than it says.
        let read =
            read_property(&mut scan, byte, &mut self.props, limits).map_err(|halt| match halt {
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
        let behind_key = scan.at;
        if type_byte == types::STRING
            && self.takes_strings()
            && let Some((value, behind)) = take_string(scan, limits)
        {
            return self.whole_string((token, value), behind, scratch);
        }
        let mut scan = Scan::new(&self.buf[self.pos..]);
        scan.at = behind_key;
        let known = match type_byte {
            types::MODULE_2 => {
                let module = ValueKind::Module(ModuleId(scan.len()?));
                Some((module, Body::Module(ModuleBody::new(None))))
            }
            _ => Body::of_type(type_byte, self.format),
        };
        let used = scan.at;
        let key = self.span(token, scratch)?;
        let Some((kind, body)) = known else {
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
        // A module's id is looked at in any case, but it belongs to the value.
        (self.pos, self.state) = if self.splits {
            let split = Split::new(type_byte, self.format);
            (self.pos + behind_key, State::Split(split))
        } else {
            (self.pos + used, State::Body(body))
        };
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
                let (key, value) = (scan.element(limits)?, scan.element(limits)?);
                Raw::Aux(self.span(key, scratch)?, self.span(value, scratch)?)
            }
            opcode::MODULE_AUX => {
                let module = ModuleId(scan.len()?);
                self.pos += scan.at;
                let body = Body::Module(ModuleBody::new(Some(module)));
                self.state = State::Body(body);
                return self.poll_body(body, limits, scratch);
            }
            opcode::FUNCTION_PRE_GA => {
                return Err(RdbError::Unsupported {
                    at: At::default(),
                    what: "a function of a release candidate of Redis 7.0",
                }
                .into());
            }
            opcode::FUNCTION => Raw::Function(self.span(scan.element(limits)?, scratch)?),
            opcode::JOURNAL_BLOB => {
                let entries = scan.len()?;
                let records = scan.string("a journal blob", limits.max_journal_blob)?;
                Raw::Journal(entries, self.span(records, scratch)?)
            }
            opcode::ZSTD_BLOB | opcode::LZ4_BLOB if self.kind == LaneKind::Outer => {
                let frame = scan.string("a compressed blob", limits.max_blob)?;
                Raw::Blob(byte, self.span(frame, scratch)?)
            }
            opcode::SELECT_DB => Raw::Select(read_db(&mut scan)?),
            opcode::RESIZE => Raw::Resize(scan.len()?, scan.len()?),
            opcode::TAGGED_CHUNK => read_chunk_head(&mut scan)?,
            opcode::FULL_SYNC_CUT => {
                scan.array::<8>()?;
                Raw::Cut
            }
            opcode::JOURNAL_OFFSET => Raw::Offset(scan.u64()?),
            opcode::EOF if self.kind == LaneKind::Outer => match self.format.version {
                ..FIRST_CHECKED_VERSION => Raw::Eof(0),
                _ => Raw::Eof(scan.u64()?),
            },
            _ => return Err(unknown(byte)),
        };
        self.pos += scan.at;
        if let Raw::Eof(_) = raw {
            self.state = State::Ended;
        }
        Ok(raw)
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

fn read_property(
    scan: &mut Scan<'_>,
    byte: u8,
    props: &mut Properties,
    limits: &Limits,
) -> Read<bool> {
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
        opcode::FREQ => props.used = LastUse::Frequency(scan.byte()?),
        opcode::IDLE => props.used = LastUse::Idle(scan.len()?),
        opcode::SLOT_INFO => {
            for _ in 0..3 {
                scan.len()?;
            }
        }
        opcode::SLOT_IMPORT => {
            scan.element(limits)?;
            let ranges = within("a number of slot ranges", scan.len()?, CLUSTER_SLOTS)?;
            for _ in 0..2 * ranges {
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
    fn of_type(type_byte: u8, format: Format) -> Option<(ValueKind, Body)> {
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
            types::VALKEY_HASH_2 if format.valkey => (K::HashExpiry, Body::Count(VALKEY_HASH)),
            // Nobody but Redis and ourselves writes these.
            23.. if format.valkey => return None,
            types::HASH_METADATA_PRE_GA => (K::HashExpiry, Body::Count(type_byte)),
            types::HASH_LISTPACK_EX_PRE_GA => (K::HashExpiry, Body::Blob(Listpack, K::HashExpiry)),
            types::JSON => (K::Json, Body::Text { opaque: true }),
            types::HASH_EXPIRY => (K::HashExpiry, Body::Count(type_byte)),
            types::HASH_METADATA => (K::HashExpiry, Body::TimedCount),
            types::HASH_LISTPACK_EX => (K::HashExpiry, Body::TimedBlob),
            types::SET_EXPIRY => (K::SetExpiry, Body::Count(type_byte)),
            _ => return None,
        })
    }
}
