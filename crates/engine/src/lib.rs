//! Shard threads, the command table, transactions and blocking over the store, journal and snapshots.
//!
//! What it is: a running data set. [`Engine::start`] starts one thread per shard; a [`Session`] on one of
//! the threads runs commands without a socket. What it is not: it opens no listener and reads no
//! configuration (that is `damselfly-server`), and knows no byte of the wire (`damselfly-resp`, `-snapshot`,
//! `-journal`, `-replication`).
//!
//! The layers, from the inside: [`core`] is one shard, synchronous and free of any runtime; [`thread`] and
//! [`mesh`] put it on a thread and let threads talk; [`coordinator`] runs transactions over several shards;
//! [`session`] is a client.

pub mod acl;
pub mod cleaning;
pub mod command;
pub mod context;
pub mod coordinator;
pub mod core;
pub mod digest;
pub mod engine;
pub mod events;
pub mod eviction;
pub mod families;
pub mod files;
pub mod keyspace;
pub mod mesh;
pub mod monitor;
pub mod pause;
pub mod pubsub;
pub mod replicate;
pub mod script;
pub mod session;
pub mod slow;
pub mod socket;
pub mod stats;
pub mod thread;
pub mod tracking;
pub mod usage;
pub mod waiter;
pub mod waits;
pub mod watch;
pub mod world;

pub use damselfly_replication as replication;
pub use damselfly_resp as resp;
pub use damselfly_store as store;

pub use command::{
    Blocks, Command, CommandError, CommandResult, CommandTable, Flags, Group, Handler, Keys, Merge,
    Spread,
};
pub use context::{ReadContext, RewriteContext, WriteContext};
pub use engine::{Engine, EngineLimits, EngineOptions, Role, RunningEngine};
pub use keyspace::EventClass;
pub use session::{Begun, Pipeline, Session};
