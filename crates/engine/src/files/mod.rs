//! Snapshots in files: written while clients write, read at the start.
//!
//! A save is one more consumer of the snapshot machinery: all shards make one cut, each walks its tables, and a thread per file
//! takes what they write ([`save`](self)). Entries are serialized before they change, databases count as they were at the cut, and no
//! records are written: a file holds what stood at one point of the transaction order. A load is a flow that comes from a file.
//!
//! Two formats: one RDB file that Redis reads, `NAME.rdb`; or, as Dragonfly names them, `NAME-0000.dfs`, `NAME-0001.dfs`, …, a file for
//! each shard with the stream of a full sync, and `NAME-summary.dfs`, which says that they belong together.
//!
//! Files appear whole or not at all. They are written under temporary names, synced, and renamed; a set of several is there when its
//! summary is, and renamings that a crash left open are made good at the next start ([`Target`] has the names).

mod apart;
mod commands;
mod ending;
mod error;
mod load;
mod names;
mod point;
mod save;
mod status;
mod tidy;
mod writer;

pub use commands::COMMANDS;
pub(crate) use commands::{debug_reload, dfly_load};
pub use ending::save_at_end;
pub use error::FileError;
pub use load::{find, load};
pub use names::{FileSettings, Format, Source, Target};
pub(crate) use point::RedisPosition;
pub use save::save;
pub use status::{Files, LoadProgress, SaveStatus};
