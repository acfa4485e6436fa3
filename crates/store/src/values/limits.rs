//! Where packed forms end.

/// The limits up to which a collection stays packed, under the names of Redis's configuration.
///
/// A collection that has outgrown one stays in its large form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `hash-max-listpack-entries`: fields of a packed hash.
    pub hash_max_listpack_entries: usize,
    /// `hash-max-listpack-value`: bytes of a field or value in a packed hash.
    pub hash_max_listpack_value: usize,
    /// `set-max-intset-entries`: members of a set of integers.
    pub set_max_intset_entries: usize,
    /// Members of a packed set that is not all integers. Ours: Redis 7.0 has no such form.
    pub set_max_listpack_entries: usize,
    /// Bytes of a member of a packed set. Ours: Redis 7.0 has no such form.
    pub set_max_listpack_value: usize,
    /// `zset-max-listpack-entries`: members of a packed sorted set.
    pub zset_max_listpack_entries: usize,
    /// `zset-max-listpack-value`: bytes of a member of a packed sorted set.
    pub zset_max_listpack_value: usize,
    /// `list-max-listpack-size`: bytes of a list node; 8 KiB is Redis's -2. More than 64 KiB counts as 64 KiB.
    pub list_max_node_bytes: usize,
    /// `stream-node-max-bytes`: bytes of a stream's node; 0 is no limit, that is a GiB.
    pub stream_node_max_bytes: usize,
    /// `stream-node-max-entries`: entries of a stream's node, deleted ones too; 0 is no limit.
    pub stream_node_max_entries: usize,
}

impl Limits {
    /// The defaults of Redis 7.0.
    pub const REDIS_7: Limits = Limits {
        hash_max_listpack_entries: 512,
        hash_max_listpack_value: 64,
        set_max_intset_entries: 512,
        set_max_listpack_entries: 128,
        set_max_listpack_value: 64,
        zset_max_listpack_entries: 128,
        zset_max_listpack_value: 64,
        list_max_node_bytes: 8192,
        stream_node_max_bytes: 4096,
        stream_node_max_entries: 100,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::REDIS_7
    }
}
