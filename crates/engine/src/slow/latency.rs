//! The latency monitor: what took long, second by second, for each kind of event.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Samples that are kept of each event (Redis: 160).
const KEPT: usize = 160;

/// The longest time of one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The second, in Unix time.
    pub at_s: i64,
    /// The time, in milliseconds.
    pub took_ms: u64,
}

/// What is known of one kind of event.
#[derive(Debug, Clone, Default)]
pub struct LatencyEvent {
    /// The samples, the oldest first.
    pub samples: VecDeque<Sample>,
    /// The longest time ever, in milliseconds.
    pub most_ms: u64,
}

/// All events.
#[derive(Debug, Default)]
pub struct LatencyMonitor {
    events: Mutex<BTreeMap<&'static str, LatencyEvent>>,
}

impl LatencyMonitor {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, LatencyEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a sample; of one second the longest time counts.
    pub fn add(&self, event: &'static str, at_s: i64, took_ms: u64) {
        let mut events = self.lock();
        let event = events.entry(event).or_default();
        event.most_ms = event.most_ms.max(took_ms);
        match event.samples.back_mut().filter(|last| last.at_s == at_s) {
            Some(last) => last.took_ms = last.took_ms.max(took_ms),
            None => {
                if event.samples.len() == KEPT {
                    event.samples.pop_front();
                }
                event.samples.push_back(Sample { at_s, took_ms });
            }
        }
    }

    /// All events, in the order of their names.
    pub fn events(&self) -> Vec<(&'static str, LatencyEvent)> {
        self.lock()
            .iter()
            .map(|(name, event)| (*name, event.clone()))
            .collect()
    }

    /// One event.
    pub fn event(&self, name: &[u8]) -> Option<LatencyEvent> {
        let name = std::str::from_utf8(name).ok()?;
        self.lock().get(name).cloned()
    }

    /// Forgets an event. Whether there was one.
    pub fn reset(&self, name: &[u8]) -> bool {
        let name = std::str::from_utf8(name).unwrap_or_default();
        self.lock().remove(name).is_some()
    }

    /// Forgets all events, and says how many there were.
    pub fn reset_all(&self) -> usize {
        std::mem::take(&mut *self.lock()).len()
    }
}
