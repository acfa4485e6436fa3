//! Client-side caching (CLIENT TRACKING): who is told when a key changes that it may have kept.
//!
//! Each shard remembers which clients have read which of its keys ([`TrackingTable`]); what a command has invalidated is sent,
//! when it has ended, to the threads where those clients live ([`Trackers`]). Clients that are told by prefix (BCAST) are not
//! remembered by any shard: it is enough to know whether there are any ([`TrackingIndex`]).

mod index;
mod notice;
mod state;
mod table;

pub use index::TrackingIndex;
pub(crate) use notice::deliver;
pub use notice::{Tracked, Trackers};
pub use state::{Mode, Tracking, TrackingOptions};
pub use table::{Caller, TrackingTable};
