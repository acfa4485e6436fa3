//! Sockets: where to listen, how an accepted connection is set up, and the loop that accepts.

mod accept;
mod clients;
mod door;
mod listen;
mod resolve;
mod stream;
mod tune;
mod unix;

pub use accept::{Accepted, Listening, ListeningSocket, accept_all};
pub use clients::{ClientSlot, ClientSlots};
pub use door::{Address, Door, RawSocket};
pub(crate) use listen::own_address;
pub use listen::{ListenError, ListenOptions, listen};
pub use resolve::resolve_ipv4_first;
pub use stream::Stream;
pub use tune::{StreamOptions, tune};
pub use unix::{SocketFile, listen_unix};
