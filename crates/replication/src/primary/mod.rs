//! The primary's end of a link: sessions, flows, and the answers to the greeting.

mod acks;
mod flow;
mod handle;

pub use flow::{FlowEnd, FlowStage, PrimaryFlow};
pub use handle::{FlowHandle, FlowSignal, FlowTable};
