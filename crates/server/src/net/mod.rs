//! Sockets: where to listen, how an accepted connection is set up, and the loop that accepts.

mod accept;
mod clients;
mod listen;
mod resolve;
mod stream;
mod tune;

pub use accept::{Accepted, accept_all};
pub use clients::{ClientSlot, ClientSlots};
pub use listen::{ListenError, ListenOptions, listen};
pub use resolve::resolve_ipv4_first;
pub use stream::Stream;
pub use tune::{StreamOptions, tune};
