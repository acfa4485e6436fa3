//! Feature `store`: values of `damselfly-store` to RDB and back, and the point-in-time walk.

mod build;
#[cfg(feature = "fault-injection")]
pub mod faults;
mod job;
mod output;
mod snapshot;
mod state;
mod stream;
mod value;

pub use build::{Assembled, Assembler, BuildError, Refused, ValueBuilder};
pub use output::{Sink, ValuePiece};
pub use snapshot::{Progress, Snapshot, SnapshotError, Snapshots};
pub use state::{Chunks, SnapshotOptions, Uses};
pub use value::{RestoreError, dump_value, encode_value, restore_value};
