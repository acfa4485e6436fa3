//! What the machines of both dialects have in common: how a flow is driven.

use damselfly_journal::Lsn;

use super::{
    flow::{FlowOutput, ReplicaFlow},
    message::FlowCommand,
};
use crate::{error::DataError, part::TransactionPart};

/// A flow as its driver sees it. [`ReplicaFlow`] has the contract.
pub trait FlowMachine {
    /// What is to be done next.
    fn poll_output(&mut self) -> FlowOutput<'_>;
    /// Appends what is to be sent; `false` if nothing.
    fn poll_transmit(&mut self, into: &mut Vec<u8>) -> bool;
    /// Whether bytes of the connection may be read now.
    fn wants_input(&self) -> bool;
    /// The next LSN that it would execute; `None` before stable sync.
    fn executed(&self) -> Option<Lsn>;
    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    fn deadline(&self) -> Option<u64>;
    /// Looks at the clock.
    fn handle_timeout(&mut self, now_ms: u64);
    /// Bytes came.
    fn handle_bytes(&mut self, now_ms: u64, bytes: &[u8]);
    /// The connection closed or failed.
    fn handle_closed(&mut self, why: String);
    /// The link says something.
    fn handle_command(&mut self, now_ms: u64, command: FlowCommand);
    /// Of the parts of the last [`FlowOutput::Apply`] the first `done` have been executed.
    fn handle_applied(&mut self, now_ms: u64, done: usize, parts: Vec<TransactionPart>);
    /// The data set refused an item or a part.
    fn handle_data_error(&mut self, error: DataError);
}

impl FlowMachine for ReplicaFlow {
    fn poll_output(&mut self) -> FlowOutput<'_> {
        self.poll_output()
    }

    fn poll_transmit(&mut self, into: &mut Vec<u8>) -> bool {
        self.poll_transmit(into)
    }

    fn wants_input(&self) -> bool {
        self.wants_input()
    }

    fn executed(&self) -> Option<Lsn> {
        self.executed()
    }

    fn deadline(&self) -> Option<u64> {
        self.deadline()
    }

    fn handle_timeout(&mut self, now_ms: u64) {
        self.handle_timeout(now_ms);
    }

    fn handle_bytes(&mut self, now_ms: u64, bytes: &[u8]) {
        self.handle_bytes(now_ms, bytes);
    }

    fn handle_closed(&mut self, why: String) {
        self.handle_closed(why);
    }

    fn handle_command(&mut self, now_ms: u64, command: FlowCommand) {
        self.handle_command(now_ms, command);
    }

    fn handle_applied(&mut self, now_ms: u64, done: usize, parts: Vec<TransactionPart>) {
        self.handle_applied(now_ms, done, parts);
    }

    fn handle_data_error(&mut self, error: DataError) {
        self.handle_data_error(error);
    }
}
