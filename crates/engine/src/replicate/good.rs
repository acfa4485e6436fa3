//! Whether enough replicas are near enough for writes to be taken (Redis: `min-replicas-to-write`, `min-replicas-max-lag`).

use crate::engine::Engine;
use damselfly_replication::driver::ReplicaStatus;
use damselfly_replication::primary::SessionState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// How often replicas are counted, where that matters.
const COUNT_INTERVAL: Duration = Duration::from_millis(100);

/// The demand, and what was found last.
#[derive(Debug, Default)]
pub struct GoodReplicas {
    wanted: AtomicU32,
    max_lag_s: AtomicU32,
    lacking: AtomicBool,
}

impl GoodReplicas {
    /// Whether a write is to be refused.
    pub(crate) fn are_lacking(&self) -> bool {
        self.lacking.load(Relaxed)
    }

    /// How many there are, if anybody wants to know.
    pub(super) fn count(&self, replicas: &[ReplicaStatus]) -> Option<usize> {
        let (wanted, max_lag_s) = (self.wanted.load(Relaxed), self.max_lag_s.load(Relaxed));
        if wanted == 0 || max_lag_s == 0 {
            return None;
        }
        let is_good = |replica: &&ReplicaStatus| {
            replica.state == SessionState::StableSync
                && replica
                    .ack_age_ms
                    .is_some_and(|age| age / 1_000 <= u64::from(max_lag_s))
        };
        Some(replicas.iter().filter(is_good).count())
    }

    fn look(&self, engine: &Engine) {
        let count = self.count(&engine.replication().hub.replicas());
        let lacking = count.is_some_and(|count| count < self.wanted.load(Relaxed) as usize);
        self.lacking.store(lacking, Relaxed);
    }
}

impl Engine {
    /// Says how many replicas have to be near enough for writes to be taken, and how many seconds old the last ack of such a one may
    /// be. One of the two 0: writes need none.
    pub fn want_good_replicas(&self, wanted: u32, max_lag_s: u32) {
        let good = &self.replication().good;
        good.wanted.store(wanted, Relaxed);
        good.max_lag_s.store(max_lag_s, Relaxed);
        good.look(self);
    }
}

/// Counts again and again, where that matters; ends with its runtime.
pub(super) async fn watch(engine: Arc<Engine>) {
    let mut timer = tokio::time::interval(COUNT_INTERVAL);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let good = engine
            .try_replication()
            .map(|replication| &replication.good);
        if let Some(good) = good.filter(|good| good.wanted.load(Relaxed) > 0) {
            good.look(&engine);
        }
    }
}
