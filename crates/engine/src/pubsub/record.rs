//! PUBLISH on a primary reaches the subscribers of its replicas, too: it is a record of shard 0, the only one without a change.

use super::{Space, publish};
use crate::context::Effects;
use crate::core::{Job, ShardCore, Step};
use crate::engine::Role;
use crate::thread::{Answer, Thread};
use damselfly_store::DbIndex;
use std::rc::Rc;

/// Records command lines that publish, if there is anybody for whom; waits where a consumer of the journal is over its budget.
/// Whether they are recorded.
pub(crate) async fn record(thread: &Rc<Thread>, lines: Vec<(DbIndex, Vec<Vec<u8>>)>) -> bool {
    let engine = &thread.engine;
    if lines.is_empty() || engine.role() != Role::Primary {
        return false;
    }
    let recorded = thread.call(0, move |thread, answer| {
        let answer = Some(answer);
        thread.with_core(|core| core.submit(Box::new(RecordJob { lines, answer })));
    });
    recorded.await;
    true
}

/// Publishes what a record says, to the subscribers here.
pub(crate) fn replay(space: Space, args: &[&[u8]]) {
    if let (Some(thread), [_, channel, payload]) = (Thread::try_current(), args) {
        publish(&thread, space, channel, payload);
    }
}

/// Records that wait for the journal.
struct RecordJob {
    lines: Vec<(DbIndex, Vec<Vec<u8>>)>,
    answer: Option<Answer<()>>,
}

impl Job for RecordJob {
    fn step(&mut self, core: &mut ShardCore) -> Step {
        if !core.admits_record() {
            return Step::Parked;
        }
        if core.journal.is_active() && !core.is_replica {
            let mut effects = Effects::new(true);
            for (db, args) in &self.lines {
                let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                effects.push(*db, &args);
            }
            core.journal_alone(effects);
        }
        if let Some(answer) = self.answer.take() {
            answer.send(());
        }
        Step::Done
    }

    fn keys(&self, _: &mut dyn FnMut(u64)) {}
}
