//! What the decoder hands out.

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
    /// Stream (types 15, 19, 21): [`Part::Opaque`].
    Stream,
    /// JSON document (type 30): [`Part::Opaque`].
    Json,
    /// Hash with an expiry per field (types 24, 25, 31): [`Part::Field`], [`Part::FieldExpiring`].
    HashExpiry,
    /// Set with an expiry per member (type 32): [`Part::Member`], [`Part::MemberExpiring`].
    SetExpiry,
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
    /// The next encoded bytes of a value that is not taken apart here (streams: the body as it stands; JSON: text).
    Opaque(&'a [u8]),
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
    Header {
        /// RDB version.
        version: u16,
    },
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
