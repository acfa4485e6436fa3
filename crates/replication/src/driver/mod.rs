//! Runs the machines over tokio: any `AsyncRead + AsyncWrite` stream, `spawn_local` code only.
//!
//! Everything here must be called within a `LocalSet` or a `LocalRuntime`. Time is tokio's, so paused and simulated
//! clocks work; connecting and random numbers are arguments.

mod ask;
mod clock;
mod conn;
mod connect;
mod line_limit;
mod link_log;
mod primary;
mod primary_flow;
mod replica;
mod replica_flow;
mod replicaof;
mod serve;
mod session;
mod status;
mod tally;

pub use clock::{Clock, Random};
pub use connect::{Connect, TcpConnect};
pub use line_limit::LineLimit;
pub use primary::{CommandOutcome, PrimaryHub, ReplicaConnection};
pub use primary_flow::{FlowGauge, FlowTicket};
pub use replica::{Candidate, LinkHandle, LinkOptions, greet, start_link};
pub use replicaof::ReplicaOfHandle;
pub use serve::serve_connection;
pub use status::{LinkFlowStatus, LinkStatus, ReplicaFlowStatus, ReplicaStatus, SyncProgress};
pub use tally::SyncCounts;
