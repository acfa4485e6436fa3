//! What the decoder hands out.

use super::whole::RunEntry;
use crate::wire::RDB_VERSION;

/// The id of a stream of tagged chunks (opcode 224). Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId(pub u32);

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueKind {
    /// String: [`Part::Str`].
    Str,
    /// List: [`Part::Item`].
    List,
    /// Set: [`Part::Member`].
    Set,
    /// Hash: [`Part::Field`].
    Hash,
    /// Sorted set: [`Part::Scored`].
    ZSet,
    /// Stream (types 15, 19, 21): [`Part::Stream`].
    Stream,
    /// JSON document (type 30): [`Part::Opaque`].
    Json,
    /// A module's value (type 7), which is passed over: no parts.
    Module(ModuleId),
    /// Hash with an expiry per field (types 22 to 25, 31): [`Part::Field`], [`Part::FieldExpiring`].
    HashExpiry,
    /// Set with an expiry per member (type 32): [`Part::Member`], [`Part::MemberExpiring`].
    SetExpiry,
}

/// Who wrote an RDB: what its type bytes mean depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// RDB version.
    pub version: u16,
    /// It begins with `VALKEY`.
    pub valkey: bool,
}

impl Default for Format {
    /// What full syncs between shards have.
    fn default() -> Format {
        Format {
            version: RDB_VERSION,
            valkey: false,
        }
    }
}

/// A module's type: nine letters and a version, in 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModuleId(pub u64);

impl std::fmt::Display for ModuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for letter in 0..9 {
            let at = (self.0 >> (58 - 6 * letter)) & 63;
            write!(f, "{}", char::from(LETTERS[at as usize]))?;
        }
        write!(f, " version {}", self.0 & 1023)
    }
}

impl std::fmt::Debug for ModuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// What a stream tells of the last use of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LastUse {
    /// Nothing.
    #[default]
    Untold,
    /// Seconds since then (opcode 248).
    Idle(u64),
    /// A logarithmic count of uses (opcode 249).
    Frequency(u8),
}

/// A key, before its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyMeta<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The database selected when it began.
    pub db: u32,
    /// Kind of the value.
    pub kind: ValueKind,
    /// The type byte, see [`type_byte`](crate::wire::type_byte).
    pub type_byte: u8,
    /// Absolute expiry, Unix milliseconds.
    pub expire_ms: Option<i64>,
    /// Never to be evicted.
    pub sticky: bool,
    /// Memcache flags.
    pub mc_flags: Option<u32>,
    /// Its last use.
    pub used: LastUse,
    /// The chunk stream in which it comes; other keys and other streams' parts may come before its end.
    pub stream: Option<ChunkId>,
}

/// A part of a value, in the order of the bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part<'a> {
    /// The next bytes of a string (all of them, where it is small).
    Str(&'a [u8]),
    /// The next item of a list, from its head to its tail.
    Item(&'a [u8]),
    /// A member of a set.
    Member(&'a [u8]),
    /// A field of a hash.
    Field {
        /// Its name.
        field: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// A member of a sorted set.
    Scored {
        /// The member.
        member: &'a [u8],
        /// Its score.
        score: f64,
    },
    /// A field with an expiry of its own.
    FieldExpiring {
        /// Its name.
        field: &'a [u8],
        /// Its value.
        value: &'a [u8],
        /// Absolute, Unix milliseconds (whole seconds on the wire).
        expire_ms: i64,
    },
    /// A member of a set with an expiry of its own.
    MemberExpiring {
        /// The member.
        member: &'a [u8],
        /// Absolute, Unix milliseconds (whole seconds on the wire).
        expire_ms: i64,
    },
    /// The next encoded bytes of a value that is not taken apart here (JSON: text).
    Opaque(&'a [u8]),
    /// A part of a stream.
    Stream(StreamPart<'a>),
}

/// A part of a stream. Ids are milliseconds and number. They come in this order: nodes, totals, then for each group
/// its name, its pending entries, each consumer with the ids that it owns, its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamPart<'a> {
    /// Entries: a listpack with the id of its first one. What is in it has not been looked at.
    Node {
        /// The id.
        id: (u64, u64),
        /// The listpack.
        listpack: &'a [u8],
    },
    /// What is known of the whole stream.
    Totals(StreamTotals),
    /// A consumer group begins.
    Group {
        /// Its name.
        name: &'a [u8],
        /// The last id delivered.
        last_id: (u64, u64),
        /// Entries read; `None` where it is not known, and always in the first form (type 15).
        entries_read: Option<u64>,
    },
    /// An entry that was delivered to a consumer of the group that began last.
    Pending {
        /// The entry's id.
        id: (u64, u64),
        /// When, Unix milliseconds.
        delivered_ms: i64,
        /// How often.
        deliveries: u64,
    },
    /// A consumer of the group that began last.
    Consumer {
        /// Its name.
        name: &'a [u8],
        /// When it was seen last, Unix milliseconds.
        seen_ms: i64,
        /// When it was active last, Unix milliseconds, -1 for never; before the third form (type 21) as `seen_ms`.
        active_ms: i64,
    },
    /// The consumer that began last has this pending entry.
    Owned {
        /// The entry's id.
        id: (u64, u64),
    },
    /// The group that began last is complete.
    GroupEnd,
}

/// What is known of a whole stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamTotals {
    /// Entries.
    pub length: u64,
    /// The last id.
    pub last_id: (u64, u64),
    /// The greatest id that was deleted; 0-0 for none.
    pub max_deleted_id: (u64, u64),
    /// Entries ever added; `None` in the first form (type 15).
    pub entries_added: Option<u64>,
}

/// What the trailer's checksum said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// It is 0: the writer did not compute one (Dragonfly; Redis with `rdbchecksum no`).
    Absent,
    /// It agrees with the bytes.
    Verified,
}

/// One thing in the stream.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The header.
    Header(Format),
    /// A header field.
    Aux {
        /// Name.
        key: &'a [u8],
        /// Value; integers as decimal text.
        value: &'a [u8],
    },
    /// The database of the following entries ([`KeyMeta::db`] says it too).
    SelectDb(u32),
    /// A hint at the size of the selected database.
    Resize {
        /// Keys.
        keys: u64,
        /// Keys with an expiry.
        expires: u64,
    },
    /// What a module saved beside its keys, which is passed over.
    ModuleAux(ModuleId),
    /// The source of a function library (Redis 7.0).
    Function(&'a [u8]),
    /// An entry begins.
    Key(KeyMeta<'a>),
    /// A part of the value of the entry that began last in this stream (`None`: outside of chunks).
    Part {
        /// The entry's chunk stream.
        stream: Option<ChunkId>,
        /// The part.
        part: Part<'a>,
    },
    /// An entry begins whose value comes as [`Event::Value`]; only of [`RdbDecoder::splitting`](super::RdbDecoder::splitting).
    Entry {
        /// The key.
        meta: KeyMeta<'a>,
        /// Offset in the stream of the value's first byte.
        value_at: u64,
    },
    /// Entries that follow each other, as they stand in the stream; only of
    /// [`RdbDecoder::in_runs`](super::RdbDecoder::in_runs). [`RdbDecoder::of_entries`](super::RdbDecoder::of_entries) reads them.
    Run {
        /// The database of all of them.
        db: u32,
        /// Offset in the stream of the first byte.
        at: u64,
        /// All bytes.
        bytes: &'a [u8],
        /// Where each of them stands there.
        entries: &'a [RunEntry],
    },
    /// A string, complete; only of [`RdbDecoder::with_whole_strings`](super::RdbDecoder::with_whole_strings).
    Text {
        /// The key.
        meta: KeyMeta<'a>,
        /// The value.
        value: &'a [u8],
    },
    /// Bytes of the value of that entry, as they stand in the stream.
    Value {
        /// The bytes; [`RdbDecoder::of_entries`](super::RdbDecoder::of_entries) reads them behind a head for them.
        bytes: &'a [u8],
        /// They are the last ones of this value.
        last: bool,
    },
    /// The entry is complete.
    KeyEnd {
        /// The entry's chunk stream.
        stream: Option<ChunkId>,
    },
    /// Serialized journal records.
    JournalBlob {
        /// How many entries it announces (1).
        entries: u64,
        /// The records.
        records: &'a [u8],
    },
    /// Everything that stood in the shard at the cut has come.
    FullSyncCut,
    /// The LSN of the next journal record.
    JournalOffset(u64),
    /// The trailer. What follows is not RDB: see [`RdbDecoder::take_rest`](super::RdbDecoder::take_rest).
    Eof(Checksum),
}
