//! Both ends of shard-flow replication: sans-IO state machines, and the tokio driver that runs them.
//!
//! This crate *is*: the greeting, the control connection and the flows of a replica ([`replica`]); the sessions and flows of a
//! primary ([`primary`]); the rules of who may continue where ([`Lineage`]); the REPLICAOF algorithm that stops nothing
//! before the new link has proved itself ([`replica::ReplicaOf`]); and what a data set provides to be replicated
//! ([`PrimaryDataSet`], [`ReplicaDataSet`]). It speaks with its own kind and with Dragonfly (releases from 1.32 on), and
//! follows plain Redis and Valkey ([`replica::PsyncFlow`]).
//!
//! It is *not*: a store, a command table or a server; the data set may be anything whose changes can be written as lists of byte
//! strings (see `examples/src/bin/replicated_map.rs`). Outside of the [`driver`] module (feature `tokio`, on by
//! default) it sees no socket, no clock and no random number: these are arguments.
//!
//! # Driving a machine
//!
//! Methods are of four kinds: getters; `handle_*` for what happened; calls by the application; and `poll_*` for
//! what is to be done. Change a machine once, then poll until it has nothing more, then wait for what it waits for, at most until
//! its `deadline()`. All times are milliseconds of one clock that does not go back.
//!
//! A greeting, without a network between the two ends:
//!
//! ```
//! use damselfly_replication::primary::{PeerGreeting, PrimaryIdentity, ReplconfAnswer, write_greeting};
//! use damselfly_replication::replica::Greeting;
//! use damselfly_replication::{Lineage, ReplId, ReplicaConfig, SyncId};
//! use damselfly_resp::{ArgVec, RequestDecoder, RequestLimits};
//!
//! let replid = ReplId::from_random([1; 20]);
//! let mut greeting = Greeting::new(ReplicaConfig::default(), "primary:6379", ReplId::from_random([2; 20]));
//! let mut peer = PeerGreeting::default();
//! let greeted = loop {
//!     // The primary reads a request, and answers it.
//!     let request = greeting.poll_transmit();
//!     let mut args = ArgVec::new();
//!     RequestDecoder::new(RequestLimits::default()).decode(&request, &mut args)?;
//!     let mut answer = Vec::new();
//!     match args[0] {
//!         b"PING" => answer.extend_from_slice(b"+PONG\r\n"),
//!         _ => match peer.handle_replconf(&args) {
//!             ReplconfAnswer::OpenSession => {
//!                 let identity = PrimaryIdentity { replid, history: replid, flows: 4, level: Some(1), origin: Lineage::new(replid).announced(), restored: Vec::new() };
//!                 write_greeting(&mut answer, &identity, SyncId(7));
//!             }
//!             _ => answer.extend_from_slice(b"+OK\r\n"),
//!         },
//!     }
//!     if let Some(greeted) = greeting.handle_bytes(&answer)? {
//!         break greeted;
//!     }
//! };
//! assert_eq!((greeted.upstream.flows, greeted.upstream.level, greeted.sync_id), (4, 1, SyncId(7)));
//! assert!(peer.extensions);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod config;
mod dataset;
#[cfg(feature = "tokio")]
pub mod driver;
mod error;
mod ids;
mod lineage;
mod on_thread;
mod part;
pub mod primary;
pub mod replica;

pub use crate::{
    config::{
        Credentials, LEVEL, PrimaryConfig, ReplicaConfig, RestartedPrimary, StreamLimits, VERSION,
    },
    dataset::{
        Dialect, KEYS_AUX, PrimaryDataSet, PrimaryShard, ReplicaDataSet, ReplicaFlowSink,
        ShardAction, ShardSnapshot, ThreadJob, Upstream,
    },
    error::{DataError, LinkError, Severity},
    ids::{EofToken, LsnVector, MAX_FLOWS, ReplId, SyncId, parse_lsn, parse_vector, write_vector},
    lineage::{Fork, Lineage, LineageChange, Offer, Origin, Resume},
    on_thread::OnThread,
    part::{Effect, TransactionPart, is_global_command},
};
