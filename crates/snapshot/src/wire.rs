//! The numbers of the format: opcodes, type bytes, length and string prefixes.
//!
//! Sources: the published Redis RDB format (`rdb.h` of Redis 5.0 to 7.4 and Valkey 9 names them) and, for the extensions from 200
//! on and the types from 30 on, the replication wire of this project (`docs/`, PROTOCOL section 3).

/// Opcodes: what may stand where an entry's type byte could stand.
pub mod opcode {
    /// Full-sync cut: 8 zero bytes follow. Everything that stood in the shard at the cut has been sent.
    pub const FULL_SYNC_CUT: u8 = 200;
    /// A zstd frame as an RDB string; its content is opcodes and entries.
    pub const ZSTD_BLOB: u8 = 201;
    /// An LZ4 frame as an RDB string; its content is opcodes and entries.
    pub const LZ4_BLOB: u8 = 202;
    /// A number of entries (length), then an RDB string of serialized journal records.
    pub const JOURNAL_BLOB: u8 = 210;
    /// u64 little endian: the LSN of the next journal record.
    pub const JOURNAL_OFFSET: u8 = 211;
    /// u32 little endian mask of key properties; see [`KEY_STICKY`](super::KEY_STICKY), [`KEY_MC_FLAGS`](super::KEY_MC_FLAGS).
    pub const KEY_PROPERTIES: u8 = 220;
    /// u32 LE stream id, u32 LE payload length, payload: a piece of one entry.
    pub const TAGGED_CHUNK: u8 = 224;
    /// Valkey 9: a slot migration under way: its name, a number of ranges, two lengths for each.
    pub const SLOT_IMPORT: u8 = 243;
    /// Redis 7.4 cluster slot information: three lengths.
    pub const SLOT_INFO: u8 = 244;
    /// A function library's source (Redis 7.0).
    pub const FUNCTION: u8 = 245;
    /// A function of the release candidates of Redis 7.0, which no release reads.
    pub const FUNCTION_PRE_GA: u8 = 246;
    /// What a module saved beside its keys: module id, then as in a value of type [`MODULE_2`](super::type_byte::MODULE_2), the
    /// first number being when it is to be loaded.
    pub const MODULE_AUX: u8 = 247;
    /// LFU counter of the next key: one byte.
    pub const FREQ: u8 = 249;
    /// LRU idle time of the next key: a length.
    pub const IDLE: u8 = 248;
    /// Two strings: a field of the header.
    pub const AUX: u8 = 250;
    /// Two lengths: keys, keys with an expiry.
    pub const RESIZE: u8 = 251;
    /// i64 LE: Unix milliseconds.
    pub const EXPIRE_MS: u8 = 252;
    /// i32 LE: Unix seconds (old files).
    pub const EXPIRE_S: u8 = 253;
    /// A length: the database of what follows.
    pub const SELECT_DB: u8 = 254;
    /// u64 LE CRC64 of everything before it; 0 = unchecked.
    pub const EOF: u8 = 255;
}

/// Type bytes: how a value is encoded.
pub mod type_byte {
    /// String.
    pub const STRING: u8 = 0;
    /// List: count, strings.
    pub const LIST: u8 = 1;
    /// Set: count, strings.
    pub const SET: u8 = 2;
    /// Sorted set with scores as text.
    pub const ZSET_TEXT: u8 = 3;
    /// Hash: count, pairs of strings.
    pub const HASH: u8 = 4;
    /// Sorted set with binary doubles.
    pub const ZSET: u8 = 5;
    /// A module's value in the release candidates of Redis 4.0: without framing, nobody but the module knows where it ends.
    pub const MODULE_PRE_GA: u8 = 6;
    /// A module's value: module id, then items behind a number that tells their kind, 0 ends them.
    pub const MODULE_2: u8 = 7;
    /// Hash as a zipmap (Redis 2.x).
    pub const HASH_ZIPMAP: u8 = 9;
    /// List as one ziplist.
    pub const LIST_ZIPLIST: u8 = 10;
    /// Set of integers as an intset.
    pub const SET_INTSET: u8 = 11;
    /// Sorted set as a ziplist.
    pub const ZSET_ZIPLIST: u8 = 12;
    /// Hash as a ziplist.
    pub const HASH_ZIPLIST: u8 = 13;
    /// List as a quicklist of ziplists.
    pub const LIST_QUICKLIST: u8 = 14;
    /// Stream, first form.
    pub const STREAM_1: u8 = 15;
    /// Hash as a listpack.
    pub const HASH_LISTPACK: u8 = 16;
    /// Sorted set as a listpack.
    pub const ZSET_LISTPACK: u8 = 17;
    /// List as a quicklist of listpacks and plain nodes.
    pub const LIST_QUICKLIST_2: u8 = 18;
    /// Stream, second form (first id, maximal deleted id, entries added and read).
    pub const STREAM_2: u8 = 19;
    /// Set as a listpack.
    pub const SET_LISTPACK: u8 = 20;
    /// Stream, third form (active time of consumers).
    pub const STREAM_3: u8 = 21;
    /// Hash with an expiry per field (release candidates of Redis 7.4): count; for each field its time (a length; 0: none), field, value.
    pub const HASH_METADATA_PRE_GA: u8 = 22;
    /// The same byte in Valkey 9: count; for each field its name, its value, its time (i64 LE; -1: none).
    pub const VALKEY_HASH_2: u8 = 22;
    /// Hash with an expiry per field as a listpack of triples of field, value, time (release candidates of Redis 7.4).
    pub const HASH_LISTPACK_EX_PRE_GA: u8 = 23;
    /// Hash with an expiry per field (Redis 7.4): u64 LE of the first time, count; for each field how far its time is beyond one before
    /// that (a length; 0: none), field, value.
    pub const HASH_METADATA: u8 = 24;
    /// The same as a listpack (Redis 7.4): u64 LE of the first time, then triples of field, value, time (0: none).
    pub const HASH_LISTPACK_EX: u8 = 25;
    /// Dragonfly: a JSON document as text.
    pub const JSON: u8 = 30;
    /// Dragonfly: hash with an expiry per field.
    pub const HASH_EXPIRY: u8 = 31;
    /// Dragonfly: set with an expiry per member.
    pub const SET_EXPIRY: u8 = 32;
}

/// Bit of [`opcode::KEY_PROPERTIES`]: the key is never evicted.
pub const KEY_STICKY: u32 = 1;
/// Bit of [`opcode::KEY_PROPERTIES`]: memcache flags follow as u32 LE.
pub const KEY_MC_FLAGS: u32 = 2;
/// The RDB version that the header and DUMP payloads announce.
pub const RDB_VERSION: u16 = 9;
/// The newest RDB version that is read (Redis 7.4, Valkey 8).
pub const MAX_RDB_VERSION: u16 = 12;
/// The oldest RDB version that is read (Redis 1.x).
pub const MIN_RDB_VERSION: u16 = 1;
/// The RDB version of Valkey 9, whose files begin with `VALKEY`. Valkey 8 and older write those of Redis 7.2.
pub const VALKEY_RDB_VERSION: u16 = 80;
/// From this RDB version on a checksum stands behind the end.
pub(crate) const FIRST_CHECKED_VERSION: u16 = 5;
/// Slots of a cluster.
pub(crate) const CLUSTER_SLOTS: u64 = 16_384;
/// Bytes of a flow's EOF token.
pub const EOF_TOKEN_LEN: usize = 40;
/// Latest expiry of a field, Unix milliseconds (Redis 7.4).
pub const MAX_FIELD_EXPIRY_MS: i64 = (1 << 48) - 2;
/// Dragonfly counts expiry of fields and members in seconds from here (Unix seconds; 1 February 2023).
pub const MEMBER_EXPIRY_BASE_S: i64 = 1_675_209_600;

/// Quicklist-2 node container: one element, raw.
pub(crate) const NODE_PLAIN: u64 = 1;
/// Quicklist-2 node container: a listpack.
pub(crate) const NODE_PACKED: u64 = 2;
/// First byte of a string: 8-bit integer.
pub(crate) const STR_INT8: u8 = 0xC0;
/// First byte of a string: 16-bit integer.
pub(crate) const STR_INT16: u8 = 0xC1;
/// First byte of a string: 32-bit integer.
pub(crate) const STR_INT32: u8 = 0xC2;
/// First byte of a string: LZF.
pub(crate) const STR_LZF: u8 = 0xC3;
/// First byte of a 32-bit length.
pub(crate) const LEN_32: u8 = 0x80;
/// First byte of a 64-bit length.
pub(crate) const LEN_64: u8 = 0x81;

/// The name of a type byte, for errors and lists of skipped keys.
pub fn type_name(type_byte: u8) -> &'static str {
    match type_byte {
        type_byte::STRING => "string",
        type_byte::LIST
        | type_byte::LIST_ZIPLIST
        | type_byte::LIST_QUICKLIST
        | type_byte::LIST_QUICKLIST_2 => "list",
        type_byte::SET | type_byte::SET_INTSET | type_byte::SET_LISTPACK => "set",
        type_byte::ZSET_TEXT
        | type_byte::ZSET
        | type_byte::ZSET_ZIPLIST
        | type_byte::ZSET_LISTPACK => "zset",
        type_byte::HASH
        | type_byte::HASH_ZIPMAP
        | type_byte::HASH_ZIPLIST
        | type_byte::HASH_LISTPACK => "hash",
        type_byte::STREAM_1 | type_byte::STREAM_2 | type_byte::STREAM_3 => "stream",
        type_byte::MODULE_PRE_GA => "module of a Redis 4.0 release candidate",
        type_byte::MODULE_2 => "module",
        22..=25 => "hash with field expiry",
        26..=27 => "stream (Redis 8.6 and newer)",
        type_byte::JSON => "json",
        type_byte::HASH_EXPIRY => "hash with field expiry",
        type_byte::SET_EXPIRY => "set with member expiry",
        33..=37 => "probabilistic",
        _ => "unknown",
    }
}
