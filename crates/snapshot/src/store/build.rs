//! From decoder events to values, element by element.

use super::stream::StreamState;
use crate::decode::{ChunkId, Event, KeyMeta, LastUse, Part, ValueKind};
use crate::wire::type_name;
use damselfly_store::values::{Expiring, Hash, List, Set, Stream, ZSet};
use damselfly_store::{StrValue, Value};
use std::collections::HashMap;

/// Why a value has no place in the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The store has no such type.
    #[error("values of type {kind:?} are not supported")]
    Kind {
        /// The type.
        kind: ValueKind,
    },
    /// A stream's parts do not fit together.
    #[error("malformed stream: {why}")]
    Stream {
        /// What is wrong.
        why: &'static str,
    },
    /// A part that does not belong to the type, or an event out of order: the caller is at fault.
    #[error("an event out of order")]
    OutOfOrder,
}

/// An entry that the store cannot take, by name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "key {key} of database {db} (type {type_byte}, {name}): {reason}",
    key = .key.escape_ascii(),
    name = type_name(*.type_byte)
)]
pub struct Refused {
    /// Database.
    pub db: u32,
    /// The key, its beginning if it is long.
    pub key: Vec<u8>,
    /// Its type byte.
    pub type_byte: u8,
    /// Why.
    pub reason: BuildError,
}

/// Bytes of a key that an error repeats.
const SHOWN_KEY_BYTES: usize = 256;

/// Builds one value from its parts.
#[derive(Debug)]
pub struct ValueBuilder {
    value: Value,
    fresh: bool,
    stream: Option<Box<StreamState>>,
}

impl ValueBuilder {
    /// Whether the store has values of `kind`.
    ///
    /// # Errors
    /// [`BuildError::Kind`].
    pub fn check(kind: ValueKind) -> Result<(), BuildError> {
        match kind {
            ValueKind::Module(_) | ValueKind::Json => Err(BuildError::Kind { kind }),
            _ => Ok(()),
        }
    }

    /// A builder for a value of `kind`.
    ///
    /// # Errors
    /// [`BuildError::Kind`].
    pub fn new(kind: ValueKind) -> Result<ValueBuilder, BuildError> {
        let value = match kind {
            ValueKind::Str => Value::default(),
            ValueKind::List => List::new().into(),
            ValueKind::Set | ValueKind::SetExpiry => Set::new().into(),
            ValueKind::Hash | ValueKind::HashExpiry => Hash::new().into(),
            ValueKind::ZSet => ZSet::new().into(),
            ValueKind::Stream => Stream::new().into(),
            kind => return Err(BuildError::Kind { kind }),
        };
        Ok(ValueBuilder {
            stream: (kind == ValueKind::Stream).then(Box::default),
            value,
            fresh: true,
        })
    }

    /// Adds the next part. Of equal members or fields the last one counts.
    ///
    /// # Errors
    /// [`BuildError::OutOfOrder`].
    #[inline]
    pub fn push(&mut self, part: Part<'_>) -> Result<(), BuildError> {
        match (&mut self.value, part) {
            (Value::Str(text), Part::Str(bytes)) => {
                if self.fresh {
                    *text = StrValue::new(bytes);
                } else {
                    text.append(bytes);
                }
                self.fresh = false;
            }
            (Value::List(list), Part::Item(item)) => list.push_back(item),
            (Value::Set(set), Part::Member(member)) => _ = set.insert(member),
            (Value::Hash(hash), Part::Field { field, value }) => _ = hash.insert(field, value),
            (Value::ZSet(zset), Part::Scored { member, score }) => _ = zset.insert(member, score),
            (
                Value::Hash(hash),
                Part::FieldExpiring {
                    field,
                    value,
                    expire_ms,
                },
            ) => {
                hash.insert(field, value);
                hash.set_element_expiry(field, Some(expire_ms));
            }
            (Value::Stream(stream), Part::Stream(part)) => {
                let state = self.stream.as_mut().ok_or(BuildError::OutOfOrder)?;
                state.push(stream, part)?;
            }
            (Value::Set(set), Part::MemberExpiring { member, expire_ms }) => {
                set.insert(member);
                set.set_element_expiry(member, Some(expire_ms));
            }
            _ => return Err(BuildError::OutOfOrder),
        }
        Ok(())
    }

    /// The value; `None` for a collection without elements, which must not stand under a key, and for half a stream.
    #[inline]
    pub fn finish(self) -> Option<Value> {
        let whole = self.stream.is_none_or(|state| state.is_whole());
        (whole && !self.value.is_empty_collection()).then_some(self.value)
    }
}

/// An entry that is complete.
#[derive(Debug)]
pub enum Assembled<'a> {
    /// To be put into the store.
    Entry {
        /// Database.
        db: u32,
        /// The key.
        key: &'a [u8],
        /// The value.
        value: Value,
        /// Absolute expiry, Unix milliseconds.
        expire_ms: Option<i64>,
        /// Its last use.
        used: LastUse,
    },
    /// It was passed over: an empty collection, or a type that the store does not have (if those are to be skipped).
    Skipped {
        /// Database.
        db: u32,
        /// The key.
        key: &'a [u8],
        /// Its type byte.
        type_byte: u8,
        /// Why, unless it was an empty collection.
        reason: Option<BuildError>,
    },
}

/// Assembles entries from the events of one stream, chunk streams beside each other.
///
/// ```
/// use damselfly_snapshot::{Assembled, Assembler, RdbDecoder};
/// let mut decoder = RdbDecoder::default();
/// let mut assembler = Assembler::new(false);
/// decoder.feed(b"REDIS0009\x00\x03key\x05value");
/// let mut keys = Vec::new();
/// while let Some(event) = decoder.next()? {
///     if let Some(Assembled::Entry { key, .. }) = assembler.take(&event)? {
///         keys.push(key.to_vec());
///     }
/// }
/// assert_eq!(keys, [b"key"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Assembler {
    skip_unsupported: bool,
    plain: Open,
    chunked: HashMap<ChunkId, Open>,
    finished: Open,
}

/// An entry in the making; its key's memory is used again.
#[derive(Debug, Default)]
struct Open {
    db: u32,
    key: Vec<u8>,
    type_byte: u8,
    expire_ms: Option<i64>,
    used: LastUse,
    build: Option<Result<ValueBuilder, BuildError>>,
}

impl Open {
    #[cold]
    fn refused(&self, reason: BuildError) -> Refused {
        let key = self.key[..self.key.len().min(SHOWN_KEY_BYTES)].to_vec();
        Refused {
            db: self.db,
            key,
            type_byte: self.type_byte,
            reason,
        }
    }
}

#[cold]
fn out_of_order() -> Refused {
    Open::default().refused(BuildError::OutOfOrder)
}

impl Assembler {
    /// An assembler; `skip_unsupported` passes over keys of types that the store does not have.
    pub fn new(skip_unsupported: bool) -> Assembler {
        Assembler {
            skip_unsupported,
            ..Assembler::default()
        }
    }

    /// How many entries have begun in chunk streams and not ended.
    pub fn open_streams(&self) -> usize {
        self.chunked.len()
    }

    /// Takes an event; gives the entry that it completes. Events that are not about entries are ignored.
    ///
    /// # Errors
    /// [`Refused`], where unsupported types are not to be skipped.
    #[inline]
    pub fn take<'a>(&'a mut self, event: &Event<'a>) -> Result<Option<Assembled<'a>>, Refused> {
        match event {
            Event::Text { meta, value } => Ok(Some(Assembled::Entry {
                db: meta.db,
                key: meta.key,
                value: Value::string(value),
                expire_ms: meta.expire_ms,
                used: meta.used,
            })),
            Event::Key(meta) => self.begin(meta).map(|()| None),
            Event::Part { stream, part } => self.push(*stream, *part).map(|()| None),
            Event::KeyEnd { stream } => self.end(*stream).map(Some),
            _ => Ok(None),
        }
    }

    #[inline]
    fn begin(&mut self, meta: &KeyMeta<'_>) -> Result<(), Refused> {
        let build = ValueBuilder::new(meta.kind);
        if let (Err(reason), false) = (&build, self.skip_unsupported) {
            let open = Open {
                db: meta.db,
                key: meta.key.to_vec(),
                type_byte: meta.type_byte,
                ..Open::default()
            };
            return Err(open.refused(reason.clone()));
        }
        let open = match meta.stream {
            None => &mut self.plain,
            Some(stream) => self.chunked.entry(stream).or_default(),
        };
        open.key.clear();
        open.key.extend_from_slice(meta.key);
        (open.db, open.type_byte, open.expire_ms) = (meta.db, meta.type_byte, meta.expire_ms);
        open.used = meta.used;
        open.build = Some(build);
        Ok(())
    }

    #[inline]
    fn push(&mut self, stream: Option<ChunkId>, part: Part<'_>) -> Result<(), Refused> {
        let open = match stream {
            None => Some(&mut self.plain),
            Some(stream) => self.chunked.get_mut(&stream),
        };
        let open = open.ok_or_else(out_of_order)?;
        let Ok(builder) = open.build.as_mut().ok_or_else(out_of_order)? else {
            return Ok(());
        };
        match builder.push(part) {
            Ok(()) => Ok(()),
            Err(error) if self.skip_unsupported => {
                open.build = Some(Err(error));
                Ok(())
            }
            Err(error) => Err(open.refused(error)),
        }
    }

    #[inline]
    fn end(&mut self, stream: Option<ChunkId>) -> Result<Assembled<'_>, Refused> {
        let open = match stream {
            None => &mut self.plain,
            Some(stream) => {
                self.finished = self.chunked.remove(&stream).ok_or_else(out_of_order)?;
                &mut self.finished
            }
        };
        let build = open.build.take().ok_or_else(out_of_order)?;
        let (db, key, type_byte) = (open.db, &open.key[..], open.type_byte);
        Ok(match build.map(ValueBuilder::finish) {
            Ok(Some(value)) => Assembled::Entry {
                db,
                key,
                value,
                expire_ms: open.expire_ms,
                used: open.used,
            },
            Ok(None) => Assembled::Skipped {
                db,
                key,
                type_byte,
                reason: None,
            },
            Err(error) => Assembled::Skipped {
                db,
                key,
                type_byte,
                reason: Some(error),
            },
        })
    }
}
