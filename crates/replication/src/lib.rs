//! Both ends of shard-flow replication: sans-IO state machines, and their tokio driver.
#![forbid(unsafe_code)]

mod config;
mod dataset;
mod error;
mod ids;
mod lineage;
mod on_thread;
mod part;
#[cfg(feature = "tokio")]
pub mod driver;
pub mod primary;
pub mod replica;

pub use crate::{
    config::{Credentials, LEVEL, PrimaryConfig, ReplicaConfig, StreamLimits, VERSION},
    dataset::{PrimaryDataSet, PrimaryShard, ReplicaDataSet, ReplicaFlowSink, ShardAction, ShardSnapshot, ThreadJob, Upstream},
    error::{DataError, LinkError, Severity},
    ids::{EofToken, LsnVector, MAX_FLOWS, ReplId, SyncId, parse_lsn, parse_vector, write_vector},
    lineage::{Fork, Lineage, LineageChange, Offer, Resume},
    on_thread::OnThread,
    part::{Effect, TransactionPart, is_global_command},
};
