//! The replica's end of a link: greeting, control connection, flows, rendezvous, and the REPLICAOF algorithm.

mod answer;
mod assembler;
mod backoff;
mod flow;
mod greeting;
mod link;
mod loading;
mod message;
mod rendezvous;
mod replicaof;
mod request;
mod session;
mod streaming;

pub use flow::{FlowOutput, ReplicaFlow};
pub use greeting::{Greeted, Greeting};
pub use link::{LinkOutput, LinkPhase, LinkStats, ReplicaLink};
pub use message::{FlowCommand, FlowEvent, FlowOffer, FlowSpec};
pub use rendezvous::{Meeting, Rendezvous};
pub use replicaof::{CoordinatorOutput, ReplicaOf, ReplicaOfError, Role, Ticket};
