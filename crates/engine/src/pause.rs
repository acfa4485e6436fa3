//! Holding clients back for a while: `CLIENT PAUSE`, and whoever else wants the data set to stand still.
//!
//! Two things hold writes back. A session asks before it begins a command ([`Session::until_unpaused`](crate::Session::until_unpaused)),
//! so that a client waits where its connection can still be killed. And every shard is told, so that what was on its way when
//! the pause began waits too: when [`hold`] returns, no write begins that has not been scheduled before. What has been
//! scheduled goes on to its end, for which [`settled`] waits.

use crate::coordinator::{Scope, ShardPlan, Transaction, on_core};
use crate::core::ShardCore;
use crate::thread::Thread;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Paused {
    /// Commands that may change data, or that replicas are told of.
    Writes = 1,
    /// All commands.
    All = 2,
}

/// Who wants it; each has a pause of its own, and all hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseReason {
    /// CLIENT PAUSE.
    Client = 0,
    /// This server gives its role away.
    Takeover = 1,
    /// This server ends.
    Shutdown = 2,
}

const REASONS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold {
    paused: Paused,
    /// `None`: for ever.
    until: Option<Instant>,
}

/// The pauses of an engine.
#[derive(Debug, Default)]
pub struct Pauses {
    /// The strongest that holds, as a number; 0 is none.
    strongest: AtomicU8,
    holds: Mutex<[Option<Hold>; REASONS]>,
    /// Something has ended: who waits looks again.
    ended: Notify,
    /// Something has begun: the next end may be another.
    begun: Notify,
}

impl Pauses {
    fn lock(&self) -> MutexGuard<'_, [Option<Hold>; REASONS]> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has to wait now.
    #[inline]
    pub fn strongest(&self) -> Option<Paused> {
        match self.strongest.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Paused::Writes),
            _ => Some(Paused::All),
        }
    }

    /// As Redis has it, a pause is never made weaker or shorter by a second one of the same reason.
    fn begin(&self, reason: PauseReason, paused: Paused, until: Option<Instant>) {
        let mut holds = self.lock();
        let place = &mut holds[reason as usize];
        let before = place.unwrap_or(Hold { paused, until });
        *place = Some(Hold {
            paused: before.paused.max(paused),
            until: before
                .until
                .zip(until)
                .map(|(before, until)| before.max(until)),
        });
        self.publish(&holds);
        drop(holds);
        self.begun.notify_one();
    }

    /// Ends the pauses that `over` says. Whether there was any.
    fn end(&self, over: impl Fn(usize, Hold) -> bool) -> bool {
        let mut holds = self.lock();
        let mut any = false;
        for (reason, place) in holds.iter_mut().enumerate() {
            if place.is_some_and(|hold| over(reason, hold)) {
                *place = None;
                any = true;
            }
        }
        self.publish(&holds);
        any
    }

    fn publish(&self, holds: &[Option<Hold>; REASONS]) {
        let strongest = holds.iter().flatten().map(|hold| hold.paused as u8).max();
        self.strongest
            .store(strongest.unwrap_or(0), Ordering::SeqCst);
    }

    fn next_end(&self) -> Option<Instant> {
        self.lock()
            .iter()
            .flatten()
            .filter_map(|hold| hold.until)
            .min()
    }

    /// Until a pause has ended, if `waits` says of the present one that it has to be waited for.
    pub async fn ended(&self, waits: impl Fn(Paused) -> bool) {
        loop {
            let ended = self.ended.notified();
            if !self.strongest().is_some_and(&waits) {
                return;
            }
            ended.await;
        }
    }
}

/// Begins a pause, or makes the one of this reason stronger and longer. Afterwards no shard begins a write.
pub async fn hold(thread: &Rc<Thread>, reason: PauseReason, paused: Paused, time: Duration) {
    let until = Instant::now().checked_add(time);
    thread.engine.pauses.begin(reason, paused, until);
    thread.on_all_shards(ShardCore::follow_pauses).await;
}

/// Until all writes have ended that had been scheduled before the pause. Not to be called from inside a transaction, for which
/// it would wait, too.
pub async fn settled(thread: &Rc<Thread>) {
    let plan = |shard| ShardPlan {
        shard,
        ..ShardPlan::default()
    };
    let plans = (0..thread.engine.mesh.shards()).map(plan).collect();
    let scope = Scope {
        global: true,
        replays: false,
    };
    // It comes behind all that are in the queues of the shards, and only reads: nothing can refuse it.
    let _ = Transaction::begin(thread, plans, scope).await;
}

/// Ends the pause of this reason; those of others go on.
pub fn release(thread: &Rc<Thread>, reason: PauseReason) {
    if thread.engine.pauses.end(|of, _| of == reason as usize) {
        tell_ended(thread);
    }
}

fn tell_ended(thread: &Rc<Thread>) {
    for shard in 0..thread.engine.mesh.shards() {
        on_core(thread, shard, ShardCore::follow_pauses);
    }
    thread.engine.pauses.ended.notify_waiters();
}

/// The task that ends pauses whose time is over; one for an engine.
pub(crate) async fn end_in_time(thread: Rc<Thread>) {
    let pauses = &thread.engine.pauses;
    loop {
        let over = async {
            match pauses.next_end() {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => {
                let now = Instant::now();
                if pauses.end(|_, hold| hold.until.is_some_and(|until| until <= now)) {
                    tell_ended(&thread);
                }
            }
            () = pauses.begun.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_pause_makes_the_first_no_weaker_and_no_shorter() {
        let (pauses, now) = (Pauses::default(), Instant::now());
        let at = |s| Some(now + Duration::from_secs(s));
        assert_eq!(pauses.strongest(), None);
        pauses.begin(PauseReason::Client, Paused::All, at(5));
        pauses.begin(PauseReason::Client, Paused::Writes, at(3));
        assert_eq!(
            (pauses.strongest(), pauses.next_end()),
            (Some(Paused::All), at(5))
        );
        pauses.begin(PauseReason::Takeover, Paused::Writes, at(2));
        assert_eq!(pauses.next_end(), at(2));
        assert!(pauses.end(|reason, _| reason == PauseReason::Client as usize));
        assert_eq!(pauses.strongest(), Some(Paused::Writes));
        pauses.begin(PauseReason::Takeover, Paused::Writes, None);
        assert_eq!(pauses.next_end(), None);
        assert!(pauses.end(|_, _| true) && pauses.strongest().is_none());
        assert!(!pauses.end(|_, _| true));
    }
}
