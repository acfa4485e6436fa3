//! What every thread does for its shard besides commands: it deletes keys whose time has come, and evicts what could not be
//! evicted at once.

use crate::core::ShardCore;
use crate::thread::Thread;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often active expiry looks for keys whose time has come, and eviction whether it is behind.
const INTERVAL: Duration = Duration::from_millis(100);
/// Slices of active expiry in one turn, at most.
const EXPIRY_SLICES: usize = 40;
/// Slices of eviction in one turn, at most.
const EVICTION_SLICES: usize = 40;

/// What it took so far.
#[derive(Debug, Default, Clone, Copy)]
pub struct CleaningStats {
    /// The time of active expiry.
    pub expiry: Duration,
    /// Turns of active expiry that ended with more to do.
    pub expiry_unfinished: u64,
    /// How long memory has been over its limit, all in all, as seen from this shard.
    pub over_limit: Duration,
    /// How long it has been since it was not.
    pub over_limit_now: Duration,
}

impl CleaningStats {
    /// Adds what another shard counted.
    pub fn add(&mut self, other: &CleaningStats) {
        self.expiry += other.expiry;
        self.expiry_unfinished += other.expiry_unfinished;
        // The limit is one for all.
        self.over_limit = self.over_limit.max(other.over_limit);
        self.over_limit_now = self.over_limit_now.max(other.over_limit_now);
    }
}

/// Goes on until the runtime ends.
pub(crate) async fn clean_actively(thread: Rc<Thread>) {
    let mut timer = tokio::time::interval(INTERVAL);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        timer.tick().await;
        if thread.engine.is_loading() {
            // What is deleted now would have no record in the history that the data comes with.
            continue;
        }
        expire(&thread).await;
        evict(&thread).await;
        note_limit(&thread, last.elapsed());
        last = Instant::now();
        thread.clean_up();
    }
}

async fn expire(thread: &Rc<Thread>) {
    for _ in 0..EXPIRY_SLICES {
        let begun = Instant::now();
        let deleted = thread.try_with_core(ShardCore::expire_slice).unwrap_or(0);
        let took = begun.elapsed();
        thread.engine.slow.note_event("expire-cycle", took);
        change(thread, |stats| stats.expiry += took);
        if deleted == 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
    change(thread, |stats| stats.expiry_unfinished += 1);
}

async fn evict(thread: &Rc<Thread>) {
    for _ in 0..EVICTION_SLICES {
        let begun = Instant::now();
        let more = thread.try_with_core(ShardCore::evict_slice);
        let took = begun.elapsed();
        thread.engine.slow.note_event("eviction-cycle", took);
        if !more.unwrap_or(false) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Counts the time since the last turn if memory is over its limit.
fn note_limit(thread: &Thread, elapsed: Duration) {
    let is_over = thread.try_with_core(|core| core.is_over_limit());
    change(thread, |stats| {
        if is_over == Some(true) {
            stats.over_limit += elapsed;
            stats.over_limit_now += elapsed;
        } else {
            stats.over_limit_now = Duration::ZERO;
        }
    });
}

fn change(thread: &Thread, change: impl FnOnce(&mut CleaningStats)) {
    let mut stats = thread.cleaned.get();
    change(&mut stats);
    thread.cleaned.set(stats);
}
