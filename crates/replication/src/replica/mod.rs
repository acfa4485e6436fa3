//! The replica's end of a link: greeting, control connection, flows, rendezvous, and the REPLICAOF algorithm.

mod answer;
mod assembler;
mod backoff;
mod flow;
mod greeting;
mod guard;
mod link;
mod link_output;
mod loading;
mod machine;
mod message;
mod psync;
mod rendezvous;
mod replicaof;
mod request;
mod session;
mod streaming;

pub(crate) use answer::accepted;
pub use flow::{FlowOutput, ReplicaFlow};
pub use greeting::{Greeted, Greeting};
pub use guard::Standing;
pub use link::ReplicaLink;
pub use link_output::{LinkOutput, LinkPhase, LinkStats};
pub use machine::FlowMachine;
pub use message::{FlowCommand, FlowEvent, FlowOffer, FlowSpec};
pub use psync::PsyncFlow;
pub use rendezvous::{Meeting, Rendezvous};
pub use replicaof::{CoordinatorOutput, ReplicaOf, ReplicaOfError, Role, Ticket};
pub(crate) use request::{auth_args, encode_strings};

#[cfg(test)]
mod flow_tests;
#[cfg(test)]
mod link_tests;
