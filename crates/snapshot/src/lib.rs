//! The RDB format and its replication extensions; with feature `store`, the point-in-time walk.
//!
//! - [`RdbDecoder`]: reads RDB of versions 1 to 12, that of Valkey 9, and the full-sync streams of shard flows, in whatever pieces they come, as
//!   [`Event`]s for elements. Memory is bounded by an element, a packed collection or a blob, and by [`Limits`]; never by
//!   what a peer only announces. What it cannot read is a named error with its place ([`RdbError`], [`At`]).
//! - [`RdbWriter`] with [`Encoder`] and the `put_*` functions: writes them. [`Profile`] says who reads.
//! - [`dump_value`], [`restore_value`] (and below them [`finish_dump`], [`check_dump`], [`read_dump`]): payloads of DUMP and RESTORE.
//! - Feature `store`: [`Snapshots`] and [`Snapshot`], the relaxed point-in-time walk over a shard; [`Assembler`], from events
//!   back to values.
//!
//! What it is not: it opens no file and no connection, knows no clock, starts no thread, and executes no journal record (it
//! carries them as bytes). JSON, modules and other types that the store does not have
//! are framed, not taken apart.
//!
//! Sources: the published RDB format of Redis 5.0 to 7.4, and PROTOCOL section 3 for the extensions; the numbers are in [`wire`].
//!
//! ```
//! use damselfly_snapshot::{Checksum, Encoder, EntryMeta, Event, Head, Profile, RdbDecoder, RdbWriter};
//!
//! let mut writer = RdbWriter::new();
//! writer.header(&[(b"redis-ver", b"6.2.11")]);
//! writer.select(0);
//! let key = EntryMeta::new(b"colours").expiring(Some(1_900_000_000_000));
//! let members = ["red", "green"];
//! Encoder::new(Profile::Flow).set(writer.buffer(), Head::Entry(&key), members.len(), members.iter());
//! writer.end();
//!
//! let mut decoder = RdbDecoder::default();
//! let mut keys = Vec::new();
//! for piece in writer.take().chunks(7) {
//!     decoder.feed(piece);
//!     while let Some(event) = decoder.next()? {
//!         match event {
//!             Event::Key(meta) => keys.push(meta.key.to_vec()),
//!             Event::Eof(checksum) => assert_eq!(checksum, Checksum::Verified),
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(keys, [b"colours"]);
//! # Ok::<(), damselfly_snapshot::RdbError>(())
//! ```
#![forbid(unsafe_code)]

mod crc;
mod decode;
mod dump;
mod encode;
mod error;
mod functions;
mod lzf;
mod number;
mod packed;
#[cfg(feature = "store")]
mod store;
pub mod wire;

pub use crc::{Crc64, crc64};
#[cfg(feature = "store")]
pub use decode::WholeEntry;
pub use decode::{
    Checksum, ChunkId, Event, Format, KeyMeta, LastUse, Limits, ModuleId, Part, RdbDecoder,
    RunEntry, StreamPart, StreamTotals, ValueKind,
};
pub use dump::{check_dump, finish_dump, read_dump};
pub use encode::{
    Encoder, EntryMeta, Head, Profile, RdbWriter, lz4_blob, put_aux, put_blob, put_chunk, put_cut,
    put_f64, put_int, put_journal_blob, put_journal_offset, put_len, put_raw_string, put_select,
    put_split_head, put_string,
};
pub use error::{At, RdbError};
pub use functions::{FunctionsError, dump_functions, put_function, restore_functions};
#[cfg(feature = "fault-injection")]
pub use store::faults;
#[cfg(feature = "store")]
pub use store::{
    Assembled, Assembler, BuildError, Chunks, Progress, Refused, RestoreError, Sink, Snapshot,
    SnapshotError, SnapshotOptions, Snapshots, Uses, ValueBuilder, ValuePiece, dump_value,
    encode_value, restore_value,
};
