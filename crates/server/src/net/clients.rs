//! The number of clients, bounded by `maxclients`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counts the connections of all threads.
#[derive(Debug, Default)]
pub struct ClientSlots {
    connected: AtomicUsize,
    accepted: AtomicU64,
    rejected: AtomicU64,
}

/// The place of one connection; dropping it frees the place.
#[derive(Debug)]
pub struct ClientSlot {
    slots: Arc<ClientSlots>,
}

impl ClientSlots {
    /// Takes a place, if fewer than `max` are taken.
    pub fn take(self: &Arc<Self>, max: usize) -> Option<ClientSlot> {
        let free = |connected: usize| (connected < max).then_some(connected + 1);
        match self
            .connected
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, free)
        {
            Ok(_) => {
                self.accepted.fetch_add(1, Ordering::Relaxed);
                Some(ClientSlot {
                    slots: self.clone(),
                })
            }
            Err(_) => {
                self.rejected.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Forgets what has been counted; the places stay taken.
    pub fn reset(&self) {
        self.accepted.store(0, Ordering::Relaxed);
        self.rejected.store(0, Ordering::Relaxed);
    }

    /// Counts a connection that was turned away for another reason.
    pub fn count_rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that are open now.
    pub fn connected(&self) -> usize {
        self.connected.load(Ordering::Acquire)
    }

    /// Connections accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections refused because of the limit, since the start.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }
}

impl Drop for ClientSlot {
    fn drop(&mut self) {
        self.slots.connected.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let slots = Arc::new(ClientSlots::default());
        let first = slots.take(2).unwrap();
        let _second = slots.take(2).unwrap();
        assert!(slots.take(2).is_none());
        drop(first);
        assert!(slots.take(2).is_some());
        assert_eq!(
            (slots.connected(), slots.accepted(), slots.rejected()),
            (1, 3, 1)
        );
    }
}
