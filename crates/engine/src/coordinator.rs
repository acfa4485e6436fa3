//! The coordinator's end of a transaction over several shards, and of a cut.

use crate::command::CommandError;
use crate::context::Effects;
use crate::core::{
    CutAction, Hop, HopReply, HopWrites, KeyLock, Scheduled, ShardCore, TxId, TxShared, TxSpec,
};
use crate::thread::{Pending, Thread, join};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// What a transaction wants of a shard.
#[derive(Debug, Clone, Default)]
pub struct ShardPlan {
    /// The shard.
    pub shard: usize,
    /// Its keys there.
    pub locks: Vec<KeyLock>,
    /// Whether it writes there.
    pub writes: bool,
    /// Whether it may grow memory there.
    pub grows: bool,
}

/// What a transaction is about, beyond its keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope {
    /// It is over all keys.
    pub global: bool,
    /// It replays what a primary did, and so may write on a replica.
    pub replays: bool,
}

/// A transaction that has been scheduled and prepared on all its shards: it can be applied.
///
/// Dropped, it is concluded with what it has done.
pub struct Transaction {
    thread: Rc<Thread>,
    shared: Arc<TxShared>,
    shards: Vec<usize>,
    with_effects: RefCell<BTreeSet<usize>>,
}

impl Transaction {
    /// Schedules a transaction on these shards and waits for its turn.
    ///
    /// # Errors
    /// [`CommandError::ReadOnly`]: it writes, and this has become a replica. [`CommandError::OutOfMemory`]: a shard is over its
    /// part of `maxmemory`. Nothing has been applied then.
    pub async fn begin(
        thread: &Rc<Thread>,
        plans: Vec<ShardPlan>,
        scope: Scope,
    ) -> Result<Transaction, CommandError> {
        loop {
            let shared = Arc::new(TxShared::new(TxId(thread.engine.mesh.next_txid())));
            match try_schedule(thread, &plans, scope, &shared).await {
                Scheduled::Accepted => {
                    let shards = plans.iter().map(|plan| plan.shard).collect();
                    return Ok(Transaction {
                        thread: thread.clone(),
                        shared,
                        shards,
                        with_effects: RefCell::default(),
                    });
                }
                Scheduled::TooLate => {}
                Scheduled::Paused => thread.engine.pauses.ended(|_| true).await,
                Scheduled::ReadOnly => return Err(CommandError::ReadOnly),
                Scheduled::OutOfMemory => return Err(CommandError::OutOfMemory),
            }
        }
    }

    /// Makes a transaction of what has been running in place on this thread's shard, with the effects that it has so far.
    /// Without locks it is on all keys of the shard.
    pub(crate) fn adopt(
        thread: &Rc<Thread>,
        shard: usize,
        locks: Vec<KeyLock>,
        writes: bool,
        effects: Effects,
    ) -> Transaction {
        let shared = Arc::new(TxShared::new(TxId(thread.engine.mesh.next_txid())));
        shared.commit();
        let with_effects = effects.has_records().then_some(shard).into_iter().collect();
        let inner = shared.clone();
        thread.with_core_now(|core| core.adopt_script(inner, locks, writes, effects));
        Transaction {
            thread: thread.clone(),
            shared,
            shards: vec![shard],
            with_effects: RefCell::new(with_effects),
        }
    }

    /// The shards that it is on.
    pub(crate) fn shards(&self) -> &[usize] {
        &self.shards
    }

    /// A transaction over all keys of all shards that replays a primary's.
    ///
    /// # Errors
    /// None that a replay can meet.
    pub async fn begin_global_replay(thread: &Rc<Thread>) -> Result<Transaction, CommandError> {
        let shards = thread.engine.mesh.shards();
        let plans = (0..shards)
            .map(|shard| ShardPlan {
                shard,
                locks: Vec::new(),
                writes: true,
                grows: false,
            })
            .collect();
        Transaction::begin(
            thread,
            plans,
            Scope {
                global: true,
                replays: true,
            },
        )
        .await
    }

    /// Its id.
    pub fn id(&self) -> TxId {
        self.shared.id
    }

    /// Visits a shard. The visit is on its way when this returns, so several can run at once.
    /// `writes` is what it may change there.
    pub fn hop<R: Send + 'static>(
        &self,
        shard: usize,
        writes: HopWrites,
        run: impl FnOnce(&mut ShardCore, &mut Effects) -> R + Send + 'static,
    ) -> PendingHop<'_, R> {
        let id = self.shared.id;
        let pending = self.thread.call(shard, move |thread, answer| {
            let hop = Hop {
                writes,
                run: Box::new(move |core, effects| Box::new(run(core, effects))),
                reply: Box::new(move |reply| answer.send(reply)),
            };
            thread.with_core(|core| core.hop(id, hop));
        });
        PendingHop {
            transaction: self,
            shard,
            pending,
            of: std::marker::PhantomData,
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let touched = self.with_effects.borrow().len() as u16;
        let id = self.shared.id;
        for &shard in &self.shards {
            on_core(&self.thread, shard, move |core| core.conclude(id, touched));
        }
    }
}

/// A visit that is on its way.
pub struct PendingHop<'t, R> {
    transaction: &'t Transaction,
    shard: usize,
    pending: Pending<HopReply>,
    of: std::marker::PhantomData<R>,
}

impl<R: 'static> PendingHop<'_, R> {
    /// Its answer.
    pub async fn answer(self) -> R {
        let reply = self.pending.await;
        if reply.has_effects {
            self.transaction
                .with_effects
                .borrow_mut()
                .insert(self.shard);
        }
        *reply
            .result
            .downcast()
            .expect("a hop's answer has the hop's type")
    }
}

/// Runs `work` on a shard without waiting for it: in place if the shard is this thread's.
pub(crate) fn on_core(
    thread: &Rc<Thread>,
    shard: usize,
    work: impl FnOnce(&mut ShardCore) + Send + 'static,
) {
    if thread.owns(shard) {
        thread.with_core(work);
    } else {
        thread
            .engine
            .mesh
            .run_on(shard, Box::new(move |thread| thread.with_core(work)));
    }
}

async fn try_schedule(
    thread: &Rc<Thread>,
    plans: &[ShardPlan],
    scope: Scope,
    shared: &Arc<TxShared>,
) -> Scheduled {
    let mut accepted = Vec::with_capacity(plans.len());
    let mut ready = Vec::with_capacity(plans.len());
    for plan in plans {
        let (tell_ready, is_ready) = thread.answer::<()>();
        let spec = TxSpec {
            shared: shared.clone(),
            locks: plan.locks.clone(),
            global: scope.global,
            writes: plan.writes,
            grows: plan.grows,
            replays: scope.replays,
        };
        accepted.push(thread.call(plan.shard, move |thread, answer| {
            let accepted =
                thread.with_core(|core| core.schedule(spec, Box::new(move || tell_ready.send(()))));
            answer.send(accepted);
        }));
        ready.push(is_ready);
    }
    let refused = join(accepted)
        .await
        .into_iter()
        .find(|scheduled| *scheduled != Scheduled::Accepted);
    let refused = match refused {
        None => {
            join(ready).await;
            if shared.commit() {
                return Scheduled::Accepted;
            }
            // The role changed first: the next attempt asks anew.
            Scheduled::TooLate
        }
        Some(refused) => refused,
    };
    let id = shared.id;
    for plan in plans {
        on_core(thread, plan.shard, move |core| core.cancel(id));
    }
    refused
}

/// What a cut does with transactions that nobody has applied yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecided {
    /// They come after it.
    Follow,
    /// They are revoked: the role changes, and they have to ask again whether they may run.
    Revoked,
}

/// Runs an action on every shard at one point of the transaction order.
///
/// Cuts are ordered among each other here; commands meanwhile wait for no more than the
/// messages of the cut and for transactions that are already being applied.
pub async fn cut(
    thread: &Rc<Thread>,
    undecided: Undecided,
    mut action: impl FnMut(usize) -> CutAction,
) {
    let engine = thread.engine.clone();
    let _one_at_a_time = engine.cuts.lock().await;
    let shards = engine.mesh.shards();
    let frozen: Vec<_> = (0..shards)
        .map(|shard| {
            thread.call(shard, |thread, answer| {
                answer.send(thread.with_core(ShardCore::freeze))
            })
        })
        .collect();
    let queued = join(frozen).await;
    let before: BTreeSet<TxId> = queued
        .into_iter()
        .flatten()
        .filter(|tx| is_before(tx, undecided))
        .map(|tx| tx.id)
        .collect();
    let before: Vec<TxId> = before.into_iter().collect();
    let done: Vec<_> = (0..shards)
        .map(|shard| {
            let (before, action) = (before.clone(), action(shard));
            thread.call(shard, move |thread, answer| {
                let action: CutAction = Box::new(move || {
                    action();
                    answer.send(());
                });
                thread.with_core(|core| core.cut(&before, action));
            })
        })
        .collect();
    join(done).await;
}

fn is_before(tx: &TxShared, undecided: Undecided) -> bool {
    match undecided {
        Undecided::Follow => tx.is_committed(),
        Undecided::Revoked => !tx.revoke(),
    }
}
