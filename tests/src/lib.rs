//! What tests of whole servers need, and no product code.
//!
//! - Servers as processes: [`Server`] (the `damselfly` binary), [`Redis`] (7.0 and 6.2); both are
//!   [`Process`]es that can be frozen, killed and measured, and leave nothing behind.
//! - [`Client`]: blocking, both protocols, pipelines.
//! - [`FaultProxy`]: a network between them that cuts, stalls and delays.
//! - [`FakePrimary`]: a primary that says what a test wants it to say.
//! - [`browser`]: a headless Chromium.
//! - [`eventually`]: waiting on a condition with a deadline; [`same_data`]: on equal contents.
//! - [`commands`]: all commands of all types out of a seed; [`commands::Workload`] is load for
//!   replication, [`differential`] compares two servers reply by reply and shrinks what differs.
//! - [`mod@differences`]: what differs from Redis on purpose, each with what shows it.
//! - [`metrics`]: Prometheus's text, read strictly.
//! - [`http`]: a client that shows every byte of an answer of HTTP.
//! - [`migration`]: a Redis's data of every encoding, writes to it, and comparing value by value.
//! - For the long runs (`src/bin`: `cargo xtask bench`, `demo`, `soak`): [`load`] in the background
//!   with latencies, [`machine`] (processor time, memory, pinning), [`Peer`] (either server),
//!   [`end_children_on_signals`].
//! - Feature `sim`: `sim`, whole servers in virtual time over a seeded network (`cargo xtask sim`).
//!
//! ```no_run
//! use std::time::Duration;
//! use damselfly_tests::{Digest, FaultProxy, Server, commands::{Workload, run_workload}, same_data};
//!
//! let primary = Server::with_shards(2);
//! let network = FaultProxy::new(primary.address());
//! let replica = Server::replica_of(network.address(), 2);
//! let mut client = primary.client();
//! run_workload(&mut client, &mut Workload::new(1, "", 100), 10_000)?;
//! network.cut_all();
//! run_workload(&mut client, &mut Workload::new(2, "", 100), 10_000)?;
//! same_data(Duration::from_secs(20), &mut client, &mut replica.client(), Digest::Strict);
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod browser;
mod client;
pub mod commands;
pub mod differences;
pub mod differential;
mod digest;
mod eventually;
mod fake_primary;
mod figures;
pub mod http;
mod interrupt;
pub mod load;
pub mod machine;
pub mod metrics;
pub mod migration;
pub mod namespaces;
mod peer;
mod process;
mod proxy;
mod redis;
mod rng;
pub mod sentinel;
mod server;
#[cfg(feature = "sim")]
pub mod sim;

pub use client::{Args, Client, words};
pub use digest::{Digest, differences, digest, same_data};
pub use eventually::{eventually, eventually_some, within};
pub use fake_primary::{FakeEnd, FakeFlow, FakeLink, FakePrimary, Pieces, cut};
pub use figures::grouped;
pub use interrupt::{end_children_on_signals, wait_if_interrupted};
pub use peer::{Peer, PeerKind, Psync, await_synced, is_synced, replicaof};
pub use process::{Process, TempDir};
pub use proxy::{Direction, FaultProxy};
pub use redis::{Redis, RedisVersion, free_address};
pub use rng::Rng;
pub use server::{Server, announced};
