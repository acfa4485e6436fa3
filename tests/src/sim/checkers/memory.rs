//! What replication holds in memory for a replica stays within its budget (ARCHITECTURE, "Bounds").

use damselfly_engine::thread::Thread;

use super::Verdict;
use crate::sim::plan::Plan;

/// One write to a socket.
const GATHERED_BYTES: usize = 128 << 10;
/// Entries of a bucket.
const BUCKET_ENTRIES: usize = 14;
/// From this size on values are streamed.
const STREAMED_BYTES: usize = 64 << 10;
/// What framing and a step of the walk add.
const SLACK_BYTES: usize = 48 << 10;

/// The bounds of a plan.
pub struct Memory {
    flow_bytes: usize,
    backlog_bytes: usize,
    run_bytes: usize,
}

impl Memory {
    pub fn new(plan: &Plan) -> Memory {
        let value = plan.load.largest_value().min(STREAMED_BYTES) + 128;
        let flow_bytes = plan.primary.output_limit
            + plan.load.largest_transaction()
            + BUCKET_ENTRIES * value
            + GATHERED_BYTES
            + SLACK_BYTES;
        Memory {
            flow_bytes,
            backlog_bytes: plan.backlog_bytes as usize,
            run_bytes: plan.load.largest_transaction() + SLACK_BYTES,
        }
    }

    pub fn check(&self, thread: &Thread) -> Verdict {
        for flow in thread.flows.handles() {
            let unsent = flow.unsent();
            if unsent > self.flow_bytes {
                return Err(format!(
                    "a flow holds {unsent} bytes, the bound is {}",
                    self.flow_bytes
                ));
            }
        }
        if !thread.owns(thread.index) {
            return Ok(());
        }
        let backlog = thread.with_core(|core| core.journal.backlog_bytes());
        let bound = 2 * self.backlog_bytes / thread.engine.mesh.shards() + self.run_bytes;
        if backlog > bound {
            return Err(format!(
                "the backlog of a shard holds {backlog} bytes, the bound is {bound}"
            ));
        }
        Ok(())
    }
}
