//! The primary's end of a link: sessions, flows, and the answers to the greeting.

mod acks;
mod dfly;
mod flow;
mod greeting;
mod handle;
mod session;
mod stall;
mod trail;

pub use dfly::{DflyCommand, DflyError, FlowRequest};
pub use flow::{FlowEnd, FlowStage, PrimaryFlow};
pub use greeting::{PeerGreeting, PrimaryIdentity, ReplconfAnswer, write_greeting};
pub use handle::{FlowHandle, FlowSignal, FlowTable};
pub use session::{FlowClaim, PrimarySession, SessionOutput, SessionState};
pub use stall::SiblingFlow;
pub use trail::Behind;

#[cfg(test)]
mod flow_tests;
