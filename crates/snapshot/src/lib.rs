//! The RDB format and its replication extensions; with feature `store`, the point-in-time walk.
#![forbid(unsafe_code)]

mod crc;
mod decode;
mod dump;
mod encode;
mod error;
mod lzf;
mod number;
mod packed;
#[cfg(feature = "store")]
mod store;
pub mod wire;

pub use crc::{Crc64, crc64};
pub use decode::{Checksum, ChunkId, Event, KeyMeta, Limits, Part, RdbDecoder, ValueKind};
pub use dump::{check_dump, finish_dump, read_dump};
pub use encode::*;
pub use error::{At, RdbError};
#[cfg(feature = "store")]
pub use store::*;
