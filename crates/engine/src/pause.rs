//! Holding clients back for a while: `CLIENT PAUSE`.
//!
//! Two things hold writes back. A session asks before it begins a command ([`Session::until_unpaused`](crate::Session::until_unpaused)),
//! so that a client waits where its connection can still be killed. And every shard is told, so that what was on its way when
//! the pause began waits too: when [`hold`] returns, no write begins that has not been scheduled before. What has been
//! scheduled goes on to its end, for which [`settled`] waits.
//!
//! A hand-over does not hold writes so (`ShardCore::writes_held`): it needs them to stop at one cut, in front of transactions that
//! wait for the very link that is too slow; and in the queues of shards, where it stops them, reads behind them would stand still for as long
//! as a pause may be.

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold {
    paused: Paused,
    /// `None`: for ever.
    until: Option<Instant>,
}

/// The pause of an engine.
#[derive(Debug, Default)]
pub struct Pauses {
    /// What has to wait, as a number; 0 is nothing.
    strongest: AtomicU8,
    hold: Mutex<Option<Hold>>,
    /// It has ended: who waits looks again.
    ended: Notify,
    /// It has begun, or been made longer: its end is another.
    begun: Notify,
}

impl Pauses {
    fn lock(&self) -> MutexGuard<'_, Option<Hold>> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// As Redis has it, a pause is never made weaker or shorter by a second one.
    fn begin(&self, paused: Paused, until: Option<Instant>) {
        let mut hold = self.lock();
        let before = hold.unwrap_or(Hold { paused, until });
        *hold = Some(Hold {
            paused: before.paused.max(paused),
            until: before
                .until
                .zip(until)
                .map(|(before, until)| before.max(until)),
        });
        self.publish(*hold);
        drop(hold);
        self.begun.notify_one();
    }

    /// Ends the pause, if `over` says so. Whether it did.
    fn end(&self, over: impl Fn(Hold) -> bool) -> bool {
        let mut hold = self.lock();
        let ends = hold.is_some_and(over);
        if ends {
            *hold = None;
            self.publish(None);
        }
        ends
    }

    fn publish(&self, hold: Option<Hold>) {
        let strongest = hold.map_or(0, |hold| hold.paused as u8);
        self.strongest.store(strongest, Ordering::SeqCst);
    }

    fn next_end(&self) -> Option<Instant> {
        self.lock().and_then(|hold| hold.until)
    }

    /// Until the pause has ended, if `waits` says of the present one that it has to be waited for.
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

/// Begins a pause, or makes it stronger and longer. Afterwards no shard begins a write.
pub async fn hold(thread: &Rc<Thread>, paused: Paused, time: Duration) {
    let until = Instant::now().checked_add(time);
    thread.engine.pauses.begin(paused, until);
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

/// Ends the pause.
pub fn release(thread: &Rc<Thread>) {
    if thread.engine.pauses.end(|_| true) {
        tell_ended(thread);
    }
}

fn tell_ended(thread: &Rc<Thread>) {
    for shard in 0..thread.engine.mesh.shards() {
        on_core(thread, shard, ShardCore::follow_pauses);
    }
    thread.engine.pauses.ended.notify_waiters();
}

/// The task that ends a pause whose time is over; one for an engine.
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
                if pauses.end(|hold| hold.until.is_some_and(|until| until <= now)) {
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
        pauses.begin(Paused::Writes, at(5));
        pauses.begin(Paused::All, at(3));
        pauses.begin(Paused::Writes, at(4));
        assert_eq!(
            (pauses.strongest(), pauses.next_end()),
            (Some(Paused::All), at(5))
        );
        assert!(!pauses.end(|hold| hold.until == at(3)));
        pauses.begin(Paused::Writes, None);
        assert_eq!(pauses.next_end(), None);
        assert!(pauses.end(|_| true) && pauses.strongest().is_none());
        assert!(!pauses.end(|_| true));
    }
}
