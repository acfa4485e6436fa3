//! How much may wait for a client that does not read (`client-output-buffer-limit`).

use std::sync::atomic::{AtomicU64, Ordering};

/// The limits of a class of clients; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// Bytes with which a client is dropped at once.
    pub hard: u64,
    /// Bytes with which it is dropped when it has had as many for some time.
    pub soft: u64,
    /// That time.
    pub soft_seconds: u64,
}

impl OutputLimit {
    /// Whether a client with so many bytes waiting is to be dropped; `over_since` is when it came over the soft limit.
    pub fn is_exceeded(self, bytes: usize, over_since: &mut Option<i64>, now_ms: i64) -> bool {
        let bytes = bytes as u64;
        if self.hard > 0 && bytes > self.hard {
            return true;
        }
        if self.soft == 0 || bytes <= self.soft {
            *over_since = None;
            return false;
        }
        let since = *over_since.get_or_insert(now_ms);
        // Redis counts in whole seconds, and drops a client when more of them than these have gone by.
        (now_ms - since) / 1000 > i64::try_from(self.soft_seconds).unwrap_or(i64::MAX)
    }
}

/// A limit that threads share.
#[derive(Debug, Default)]
struct Shared([AtomicU64; 3]);

impl Shared {
    fn load(&self) -> OutputLimit {
        let [hard, soft, soft_seconds] = [0, 1, 2].map(|at| self.0[at].load(Ordering::Relaxed));
        OutputLimit {
            hard,
            soft,
            soft_seconds,
        }
    }

    fn store(&self, limit: OutputLimit) {
        let values = [limit.hard, limit.soft, limit.soft_seconds];
        for (place, value) in self.0.iter().zip(values) {
            place.store(value, Ordering::Relaxed);
        }
    }
}

/// The limits of all clients, and how many were dropped for them.
#[derive(Debug, Default)]
pub struct OutputLimits {
    normal: Shared,
    pubsub: Shared,
    dropped: AtomicU64,
}

impl OutputLimits {
    /// Changes them.
    pub fn set(&self, normal: OutputLimit, pubsub: OutputLimit) {
        self.normal.store(normal);
        self.pubsub.store(pubsub);
    }

    /// Of clients without subscriptions.
    pub fn normal(&self) -> OutputLimit {
        self.normal.load()
    }

    /// Of subscribers.
    pub fn pubsub(&self) -> OutputLimit {
        self.pubsub.load()
    }

    /// A client is dropped.
    pub fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were dropped (`client_output_buffer_limit_disconnections`).
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Forgets how many were dropped (CONFIG RESETSTAT).
    pub fn reset(&self) {
        self.dropped.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soft_limit_gives_time_and_a_hard_one_does_not() {
        let limit = OutputLimit {
            hard: 100,
            soft: 10,
            soft_seconds: 2,
        };
        let mut since = None;
        assert!(limit.is_exceeded(101, &mut since, 0));
        assert!(!limit.is_exceeded(100, &mut since, 1_000) && since == Some(1_000));
        assert!(!limit.is_exceeded(11, &mut since, 3_999));
        assert!(limit.is_exceeded(11, &mut since, 4_000));
        assert!(!limit.is_exceeded(10, &mut since, 9_000) && since.is_none());
        assert!(!OutputLimit::default().is_exceeded(usize::MAX, &mut since, 0));
    }
}
