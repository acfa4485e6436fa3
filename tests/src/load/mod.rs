//! Load for the long runs (`cargo xtask bench`, `demo` and `soak`): connections that send commands
//! in pipelines as fast as they can or at a rate, and note how long each batch waited.

mod acknowledged;
mod fill;
mod latency;
mod pipe;
mod running;

pub use acknowledged::{Acknowledged, Written};
pub use fill::{Fill, Text, key_name};
pub use latency::Latencies;
pub use pipe::{Pipe, Replies};
pub use running::{Load, LoadPlan, LoadReport, Source};
