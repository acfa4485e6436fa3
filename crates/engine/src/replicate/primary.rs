//! The engine as a data set that replicas follow.

use crate::coordinator::{Undecided, cut};
use crate::engine::{Engine, Role};
use crate::thread::Thread;
use damselfly_journal::{Journal, StreamLevel};
use damselfly_replication::primary::{FlowHandle, FlowTable};
use damselfly_replication::{DataError, KEYS_AUX, Lineage};
use damselfly_replication::{PrimaryDataSet, PrimaryShard, ShardAction, ShardSnapshot, ThreadJob};
use damselfly_snapshot::{
    Progress, RdbWriter, Sink, Snapshot, SnapshotOptions, put_aux, put_function,
};
use damselfly_store::DbIndex;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// An AUX field at the beginning of a flow: all transactions before the cut have lower ids.
pub(crate) const TXID_AUX: &[u8] = b"damselfly-txid";

/// Bytes that one step of a snapshot writes (about 100 µs of work).
const STEP_BYTES: usize = 32 * 1024;

/// A handle of the engine for replication, to be sent to any thread.
#[derive(Clone)]
pub struct EngineDataSet(pub Arc<Engine>);

impl PrimaryDataSet for EngineDataSet {
    type Shard = EngineShard;

    fn shard_count(&self) -> usize {
        self.0.mesh.shards()
    }

    fn lineage(&self) -> Lineage {
        self.0.lineage()
    }

    fn readiness(&self) -> Result<(), String> {
        if self.0.is_loading() {
            return Err("LOADING Redis is loading the dataset in memory".to_owned());
        }
        // Nor with what it came with, before its primary has vouched for that.
        if self.0.role() == Role::Replica && !self.0.lineage().follows() {
            return Err("NOMASTERLINK Can't SYNC while not connected with my master".to_owned());
        }
        Ok(())
    }

    fn is_replica(&self) -> bool {
        self.0.role() == Role::Replica
    }

    fn shard(&self, index: usize) -> EngineShard {
        let thread = Thread::current();
        debug_assert!(thread.owns(index), "a shard is asked for on its own thread");
        EngineShard { thread }
    }

    fn run_on_shard(&self, index: usize, job: ThreadJob) {
        run_local(&self.0, index, job);
    }

    async fn on_every_shard(&self, action: ShardAction<EngineShard>) -> Result<(), DataError> {
        let set = self.clone();
        cut(&Thread::current(), Undecided::Follow, move |shard| {
            let (action, set) = (action.clone(), set.clone());
            Box::new(move || action(shard, &set.shard(shard)))
        })
        .await;
        Ok(())
    }
}

/// Starts a job's future on a thread of the engine.
pub(super) fn run_local(engine: &Arc<Engine>, thread: usize, job: ThreadJob) {
    engine.mesh.run_on(
        thread,
        Box::new(move |_| {
            tokio::task::spawn_local(job());
        }),
    );
}

/// One shard of the engine, on its thread.
pub struct EngineShard {
    thread: Rc<Thread>,
}

impl PrimaryShard for EngineShard {
    type Snapshot = EngineSnapshot;

    fn with_journal<R>(&self, use_it: impl FnOnce(&mut Journal) -> R) -> R {
        self.thread.with_core(|core| use_it(&mut core.journal))
    }

    fn flows(&self) -> &FlowTable<EngineSnapshot> {
        &self.thread.flows
    }

    fn begin_snapshot(&self, flow: FlowHandle) -> EngineSnapshot {
        if flow.level() == StreamLevel::Extended {
            // A replica that is promoted goes on with higher ids than its history has, so that they ascend in it.
            let txid = self.thread.engine.mesh.txids_end().to_string();
            flow.write_snapshot(|writer| put_aux(writer.buffer(), TXID_AUX, txid.as_bytes()));
            let keys = keys_of(&self.thread).to_string();
            flow.write_snapshot(|writer| put_aux(writer.buffer(), KEYS_AUX, keys.as_bytes()));
            if self.thread.owns(0) {
                // All shards have the same: the first one's flow brings them. (Dragonfly has none.)
                let sources = self.thread.engine.scripts.libraries.sources();
                flow.write_snapshot(|writer| {
                    for source in &sources {
                        put_function(writer.buffer(), source);
                    }
                });
            }
        }
        let snapshot = self.thread.with_core(|core| {
            // From its first replica on a primary keeps what one that comes back may want.
            core.journal.keep_backlog(true);
            let options = match flow.level() {
                StreamLevel::Reference => SnapshotOptions::level0_flow(),
                StreamLevel::Extended => SnapshotOptions {
                    uses: core.told_uses(),
                    ..SnapshotOptions::flow()
                },
            };
            let space = &mut core.space;
            space
                .snapshots
                .begin(&mut space.store, options, FlowSink(flow.clone()))
        });
        EngineSnapshot::new(self.thread.clone(), snapshot)
    }
}

/// Writes a snapshot's items to a flow.
struct FlowSink(FlowHandle);

impl Sink for FlowSink {
    fn write(&self, write: &mut dyn FnMut(&mut RdbWriter)) {
        self.0.write_snapshot(|writer| write(writer));
    }

    fn has_room(&self) -> bool {
        self.0.has_room() || self.0.has_ended()
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_room(context)
    }
}

/// A running snapshot of one shard.
pub struct EngineSnapshot {
    thread: Rc<Thread>,
    snapshot: Snapshot,
    /// Keys at the cut.
    keys: u64,
    finished: u64,
    pace: Pace,
}

impl EngineSnapshot {
    pub(crate) fn new(thread: Rc<Thread>, snapshot: Snapshot) -> EngineSnapshot {
        EngineSnapshot {
            keys: keys_of(&thread),
            thread,
            snapshot,
            finished: 0,
            pace: Pace::default(),
        }
    }

    /// Entries written so far.
    pub(crate) fn entries(&self) -> u64 {
        self.snapshot.entries()
    }
}

/// How long a snapshot works before it looks whether clients were served meanwhile.
const BURST: Duration = Duration::from_micros(300);
/// How long it leaves the thread to them then. (500,000 keys a second and shard come through beside clients.)
const PAUSE: Duration = Duration::from_millis(2);

/// Leaves clients a good part of a thread that a snapshot could fill. (That its slices are short is not enough: a thread that is always
/// busy waits for its turn with others that are, such as those of a replica on the same machine.)
#[derive(Default)]
struct Pace {
    worked: Duration,
    /// Commands that the shard had run when the burst began.
    commands: u64,
}

impl Pace {
    /// Notes work; whether it is time for a pause.
    fn is_spent(&mut self, worked: Duration, commands: u64) -> bool {
        self.worked += worked;
        if self.worked < BURST {
            return false;
        }
        self.worked = Duration::ZERO;
        std::mem::replace(&mut self.commands, commands) != commands
    }
}

impl ShardSnapshot for EngineSnapshot {
    async fn step(&mut self) -> Result<bool, DataError> {
        let EngineSnapshot {
            thread,
            snapshot,
            finished,
            pace,
            ..
        } = self;
        poll_fn(|context| snapshot.poll_room(context)).await;
        let begun = Instant::now();
        let (progress, commands) = thread.with_core(|core| {
            let progress = snapshot.step(&mut core.space.store, STEP_BYTES);
            let now_finished = core.space.snapshots.finished();
            if now_finished != *finished {
                *finished = now_finished;
                core.wake();
            }
            (progress, core.commands_run)
        });
        let took = begun.elapsed();
        thread.engine.slow.note_event("snapshot-slice", took);
        if pace.is_spent(took, commands) {
            tokio::time::sleep(PAUSE).await;
        }
        match progress {
            Ok(progress) => Ok(progress == Progress::Done),
            Err(error) => Err(DataError::retriable(error.to_string())),
        }
    }

    fn progress(&self) -> (u64, u64) {
        (self.snapshot.entries(), self.keys)
    }
}

/// Keys of this thread's shard, in all databases.
fn keys_of(thread: &Rc<Thread>) -> u64 {
    thread.with_core(|core| {
        let store = &core.space.store;
        let lengths = (0..store.dbnum()).map(|db| store.len(DbIndex(db)) as u64);
        lengths.sum()
    })
}

impl Drop for EngineSnapshot {
    fn drop(&mut self) {
        self.thread.wake_later();
    }
}
