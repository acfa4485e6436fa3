//! Handing the primary's part to a replica without losing a write: REPLTAKEOVER, which the replica begins, and FAILOVER,
//! which the primary begins.
//!
//! Both hold writes at one point of the transaction order, and wait for the acks of everything before it. Held writes have
//! not been applied: they go on where the hand-over fails, and are refused where it succeeds.

mod failover;
mod takeover;

pub(super) use takeover::{Request, answer_takeover};

use crate::command::Command;
use crate::coordinator::{Undecided, cut};
use crate::engine::Engine;
use crate::replicate::acks;
use crate::thread::Thread;
use damselfly_journal::Lsn;
use damselfly_replication::SyncId;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the last records may take.
const LAST_ACK: Duration = Duration::from_secs(1);

/// How far a hand-over is, in the words of INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    #[default]
    None,
    /// Writes are held until the replica has all before them.
    WaitingForSync,
    /// The replica is being promoted.
    InProgress,
}

impl Phase {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Phase::None => "no-failover",
            Phase::WaitingForSync => "waiting-for-sync",
            Phase::InProgress => "failover-in-progress",
        }
    }
}

/// The hand-over under way; at most one.
#[derive(Debug, Default)]
pub struct Handover {
    /// Locked for a moment only.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Gives the one under way up.
    abort: CancellationToken,
}

impl Handover {
    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Gives the one under way up, if it can be; whether there is one.
    fn abort(&self) -> bool {
        let state = self.lock();
        state.abort.cancel();
        state.phase != Phase::None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to hand over. Dropped, it lets the next one begin.
struct Turn {
    engine: Arc<Engine>,
    abort: CancellationToken,
}

impl Turn {
    /// `None`: somebody else has it.
    fn take(engine: &Arc<Engine>) -> Option<Turn> {
        let mut state = engine.replication().handover.lock();
        if state.phase != Phase::None {
            return None;
        }
        let abort = CancellationToken::new();
        *state = State {
            phase: Phase::WaitingForSync,
            abort: abort.clone(),
        };
        Some(Turn {
            engine: engine.clone(),
            abort,
        })
    }

    fn enter(&self, phase: Phase) {
        self.engine.replication().handover.lock().phase = phase;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.enter(Phase::None);
    }
}

/// All writes wait, on all shards. Dropped, it lets them go on.
pub(crate) struct HeldWrites {
    engine: Arc<Engine>,
    /// The next LSN of each shard: what replicas have to reach.
    targets: Vec<(usize, Lsn)>,
}

impl HeldWrites {
    /// Holds writes at one point of the transaction order, and asks for acks there. Not to be dropped while it waits.
    pub(crate) async fn hold(thread: &Rc<Thread>) -> HeldWrites {
        let shards = thread.engine.mesh.shards();
        let found = Arc::new(Mutex::new(vec![Lsn::FIRST; shards]));
        let noted = found.clone();
        cut(thread, Undecided::Follow, move |shard| {
            let noted = noted.clone();
            Box::new(move || {
                let next = Thread::current().with_core(|core| {
                    core.writes_held = true;
                    if core.journal.consumer_count() > 0 {
                        core.journal.ping(core.space.now.unsigned_abs());
                    }
                    core.journal.next_lsn()
                });
                noted.lock().unwrap_or_else(PoisonError::into_inner)[shard] = next;
            })
        })
        .await;
        let targets = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
        HeldWrites {
            engine: thread.engine.clone(),
            targets: targets.into_iter().enumerate().collect(),
        }
    }
}

impl Drop for HeldWrites {
    fn drop(&mut self) {
        for (shard, _) in &self.targets {
            let release = |thread: &Rc<Thread>| {
                thread.with_core(|core| {
                    core.writes_held = false;
                    core.wake();
                });
            };
            self.engine.mesh.run_on(*shard, Box::new(release));
        }
    }
}

/// Waits until a replica has what came after the writes that were held, which is no write, so that this server can follow it by a
/// partial sync; not for long.
async fn await_last_records(thread: &Rc<Thread>, next: Vec<Lsn>, replica: SyncId) {
    let next: Vec<_> = next.into_iter().enumerate().collect();
    let last = acks::wait_until(thread, &next, |found| found.contains(&replica));
    let _ = tokio::time::timeout(LAST_ACK, last).await;
}

/// The rows.
pub static COMMANDS: &[Command] = &[takeover::ROW, failover::ROW];
