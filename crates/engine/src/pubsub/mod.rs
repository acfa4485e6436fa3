//! Publish/subscribe: who gets what is published, over all threads.
//!
//! An [`Index`] that all threads read without locks knows how many subscribers every name has on which thread: so a
//! publisher knows at once how many get its message, and sends it to those threads only. Who they are is in the table of
//! each thread ([`Subscribers`]); what they get waits in their [`PushQueue`]. A message is encoded once for each
//! version of the protocol, and those bytes are shared by all who get it.

mod events;
mod index;
mod limits;
mod message;
mod queue;
mod record;
mod subscriptions;

pub(crate) use events::PublishedEvents;
pub use index::{Index, Kind, Name, Space};
pub use limits::{OutputLimit, OutputLimits};
pub use message::publish;
pub use queue::{PushChunk, PushQueue};
pub(crate) use record::{record, replay};
pub use subscriptions::{Subscribers, Subscriptions};
