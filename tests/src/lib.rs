//! wip
mod client;
mod digest;
mod eventually;
mod process;
mod proxy;
mod redis;
mod rng;
mod server;
pub use client::{Args, Client, words};
pub use digest::{Digest, differences, digest, same_data};
pub use eventually::{eventually, eventually_some, within};
pub use process::{Process, TempDir};
pub use proxy::{Direction, FaultProxy};
pub use redis::{Redis, RedisVersion, free_address};
pub use rng::Rng;
pub use server::Server;
pub mod commands;
pub mod differential;
