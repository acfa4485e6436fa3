//! Reading: an incremental push parser with events for elements, so that memory is bounded by an element (or a packed
//! collection), not by a value.

mod blob;
mod body;
mod decoder;
#[cfg(feature = "store")]
mod entry;
mod event;
mod lane;
mod magic;
mod module;
mod opcodes;
mod scan;
mod split;
mod stream;
mod whole;

pub use decoder::RdbDecoder;
#[cfg(feature = "store")]
pub use entry::WholeEntry;
pub use event::{
    Checksum, ChunkId, Event, Format, KeyMeta, LastUse, ModuleId, Part, StreamPart, StreamTotals,
    ValueKind,
};
pub use whole::RunEntry;

const MIB: u64 = 1024 * 1024;

/// What is refused, so that no peer can make the reader take memory for what it only announces.
/// All in bytes but [`Limits::max_chunk_streams`].
#[derive(Debug, Clone)]
pub struct Limits {
    /// A key. 512 MiB, as in Redis.
    pub max_key: u64,
    /// A string value or an element of a collection. 512 MiB, as in Redis.
    pub max_string: u64,
    /// A packed collection, which is read as a whole. 512 MiB.
    pub max_packed: u64,
    /// A journal blob. 1 GiB.
    pub max_journal_blob: u64,
    /// A compressed blob. 512 MiB.
    pub max_blob: u64,
    /// The content of a compressed blob. 1 GiB.
    pub max_blob_content: u64,
    /// Streams of tagged chunks that are open at a time. 1024.
    pub max_chunk_streams: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_key: 512 * MIB,
            max_string: 512 * MIB,
            max_packed: 512 * MIB,
            max_journal_blob: 1024 * MIB,
            max_blob: 512 * MIB,
            max_blob_content: 1024 * MIB,
            max_chunk_streams: 1024,
        }
    }
}
