//! [`Value`]: what stands under a key.

use crate::compact::StrValue;
use crate::values::{Expiring, Hash, List, Set, Stream, ZSet};
use std::fmt;
use std::mem::size_of;

/// The types of values, in the order of [`Kind::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// A string.
    Str,
    /// A list.
    List,
    /// A hash.
    Hash,
    /// A set.
    Set,
    /// A sorted set.
    ZSet,
    /// A stream.
    Stream,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 6;
    /// Every kind.
    pub const ALL: [Kind; Kind::COUNT] = [
        Kind::Str,
        Kind::List,
        Kind::Hash,
        Kind::Set,
        Kind::ZSet,
        Kind::Stream,
    ];

    /// The name that the command TYPE answers with.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Str => "string",
            Kind::List => "list",
            Kind::Hash => "hash",
            Kind::Set => "set",
            Kind::ZSet => "zset",
            Kind::Stream => "stream",
        }
    }
}

/// A value of any type, in 16 bytes: strings are in place or point to their bytes, collections are boxed.
#[derive(Clone)]
#[non_exhaustive]
pub enum Value {
    /// A string.
    Str(StrValue),
    /// A list.
    List(Box<List>),
    /// A hash.
    Hash(Box<Hash>),
    /// A set.
    Set(Box<Set>),
    /// A sorted set.
    ZSet(Box<ZSet>),
    /// A stream.
    Stream(Box<Stream>),
}

const _: () = assert!(size_of::<Value>() == 16);

impl Value {
    /// A string value of these bytes.
    #[inline]
    pub fn string(bytes: &[u8]) -> Value {
        Value::Str(StrValue::new(bytes))
    }

    /// The type.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self {
            Value::Str(_) => Kind::Str,
            Value::List(_) => Kind::List,
            Value::Hash(_) => Kind::Hash,
            Value::Set(_) => Kind::Set,
            Value::ZSet(_) => Kind::ZSet,
            Value::Stream(_) => Kind::Stream,
        }
    }

    /// Bytes on the heap that belong to this value, in O(1).
    #[inline]
    pub fn heap_size(&self) -> usize {
        match self {
            Value::Str(string) => string.heap_size(),
            Value::List(list) => size_of::<List>() + list.heap_size(),
            Value::Hash(hash) => size_of::<Hash>() + hash.heap_size(),
            Value::Set(set) => size_of::<Set>() + set.heap_size(),
            Value::ZSet(zset) => size_of::<ZSet>() + zset.heap_size(),
            Value::Stream(stream) => size_of::<Stream>() + stream.heap_size(),
        }
    }

    /// When the first of its fields or members expires by itself, if any does.
    #[inline]
    pub fn first_element_expiry(&self) -> Option<crate::UnixMs> {
        match self {
            Value::Hash(hash) => hash.first_expiry(),
            Value::Set(set) => set.first_expiry(),
            _ => None,
        }
    }

    /// Whether this is a collection without elements, which must not stay under a key. An empty string may, and an empty stream.
    pub fn is_empty_collection(&self) -> bool {
        match self {
            Value::Str(_) | Value::Stream(_) => false,
            Value::List(list) => list.is_empty(),
            Value::Hash(hash) => hash.is_empty(),
            Value::Set(set) => set.is_empty(),
            Value::ZSet(zset) => zset.is_empty(),
        }
    }

    /// How many elements a collection has; 1 for a string.
    pub fn element_count(&self) -> usize {
        match self {
            Value::Str(_) => 1,
            Value::List(list) => list.len(),
            Value::Hash(hash) => hash.len(),
            Value::Set(set) => set.len(),
            Value::ZSet(zset) => zset.len(),
            Value::Stream(stream) => stream.len(),
        }
    }

    /// Frees at most about `max_items` elements; true when nothing big is left, so that dropping the value is cheap.
    pub fn free_slice(&mut self, max_items: usize) -> bool {
        match self {
            Value::Str(_) => true,
            Value::List(list) => list.free_slice(max_items),
            Value::Hash(hash) => hash.free_slice(max_items),
            Value::Set(set) => set.free_slice(max_items),
            Value::ZSet(zset) => zset.free_slice(max_items),
            Value::Stream(stream) => stream.free_slice(max_items),
        }
    }
}

impl Default for Value {
    /// The empty string.
    #[inline]
    fn default() -> Value {
        Value::Str(StrValue::default())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Str(string) => string.fmt(f),
            collection => write!(
                f,
                "{:?} of {}",
                collection.kind(),
                collection.element_count()
            ),
        }
    }
}

impl From<StrValue> for Value {
    fn from(string: StrValue) -> Value {
        Value::Str(string)
    }
}

impl From<List> for Value {
    fn from(list: List) -> Value {
        Value::List(Box::new(list))
    }
}

impl From<Hash> for Value {
    fn from(hash: Hash) -> Value {
        Value::Hash(Box::new(hash))
    }
}

impl From<Set> for Value {
    fn from(set: Set) -> Value {
        Value::Set(Box::new(set))
    }
}

impl From<ZSet> for Value {
    fn from(zset: ZSet) -> Value {
        Value::ZSet(Box::new(zset))
    }
}

impl From<Stream> for Value {
    fn from(stream: Stream) -> Value {
        Value::Stream(Box::new(stream))
    }
}
