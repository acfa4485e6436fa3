//! What replication holds in memory for a replica stays within its budget (ARCHITECTURE, "Bounds").

use damselfly_engine::thread::Thread;
use damselfly_journal::Run;
use damselfly_replication::primary::FlowStage;

use super::Verdict;
use crate::sim::plan::Plan;

/// What one step of the walk adds, give or take one chunk of a big value.
const STEP_BYTES: usize = (32 << 10) + (96 << 10);
/// Entries of a bucket.
const BUCKET_ENTRIES: usize = 14;
/// From this size on values are streamed.
const STREAMED_BYTES: usize = 64 << 10;
/// SELECT, TXN, CHECK, and what else frames little.
const FRAMING_BYTES: usize = 4 << 10;

/// The bounds of a plan.
pub struct Memory {
    output_limit: usize,
    bucket_bytes: usize,
    backlog_bytes: usize,
    /// The largest part of a transaction that was journalled so far.
    run_bytes: usize,
}

impl Memory {
    pub fn new(plan: &Plan) -> Memory {
        Memory {
            output_limit: plan.primary.output_limit,
            bucket_bytes: BUCKET_ENTRIES * (plan.load.largest_value().min(STREAMED_BYTES) + 128),
            backlog_bytes: plan.backlog_bytes as usize,
            run_bytes: 0,
        }
    }

    /// Something was journalled.
    pub fn on_run(&mut self, run: &Run) {
        self.run_bytes = self.run_bytes.max(run.memory());
    }

    pub fn check(&self, thread: &Thread) -> Verdict {
        // One record that found the gate open, and a transaction that had found it open before. Framing adds most to small records.
        let stable = self.output_limit + self.output_limit / 2 + 2 * self.run_bytes + FRAMING_BYTES;
        for flow in thread.flows.handles() {
            let bound = match flow.stage() {
                FlowStage::Stable => stable,
                _ => stable + self.bucket_bytes + STEP_BYTES,
            };
            if flow.unsent() > bound {
                let (stage, unsent) = (flow.stage(), flow.unsent());
                return Err(format!(
                    "a flow in {stage:?} holds {unsent} bytes, the bound is {bound} (output limit {}, largest transaction {}, bucket {})",
                    self.output_limit, self.run_bytes, self.bucket_bytes
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
