//! What all threads know of tracking.

use foldhash::fast::RandomState;
use papaya::{HashMap, Operation};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Who tracks, over all threads. Readers never wait.
#[derive(Default)]
pub struct TrackingIndex {
    /// Clients that track, by thread.
    clients: Box<[AtomicUsize]>,
    /// How many clients are told of each prefix.
    prefixes: HashMap<Box<[u8]>, usize, RandomState>,
    prefix_count: AtomicUsize,
    max_keys: AtomicUsize,
}

impl TrackingIndex {
    /// For so many threads.
    pub fn new(threads: usize) -> TrackingIndex {
        TrackingIndex {
            clients: (0..threads).map(|_| AtomicUsize::new(0)).collect(),
            ..TrackingIndex::default()
        }
    }

    /// Whether anybody tracks anything.
    pub fn is_used(&self) -> bool {
        self.clients
            .iter()
            .any(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// How many clients track.
    pub fn clients(&self) -> usize {
        let counts = self.clients.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Whether clients on a thread track.
    pub(super) fn has_clients(&self, thread: usize) -> bool {
        self.clients[thread].load(Ordering::Relaxed) > 0
    }

    /// How many threads there are.
    pub(super) fn threads(&self) -> usize {
        self.clients.len()
    }

    /// How many prefixes there are.
    pub fn prefixes(&self) -> usize {
        self.prefix_count.load(Ordering::Relaxed)
    }

    /// Whether a client is told of this key by its prefix.
    pub(super) fn is_broadcast(&self, key: &[u8]) -> bool {
        let prefixes = self.prefixes.pin();
        self.prefixes() > 0 && prefixes.keys().any(|prefix| key.starts_with(prefix))
    }

    /// The most keys that each shard may remember; 0 is as many as come.
    pub(super) fn max_keys(&self) -> usize {
        self.max_keys.load(Ordering::Relaxed)
    }

    /// Says how many keys may be remembered over so many shards; 0 is as many as come.
    pub fn set_max_keys(&self, keys: u64, shards: usize) {
        let each = usize::try_from(keys).unwrap_or(usize::MAX).div_ceil(shards);
        self.max_keys.store(each, Ordering::Relaxed);
    }

    pub(super) fn add_client(&self, thread: usize) {
        self.clients[thread].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_client(&self, thread: usize) {
        self.clients[thread].fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn add_prefix(&self, prefix: &[u8]) {
        let prefixes = self.prefixes.pin();
        prefixes.update_or_insert(prefix.into(), |count| count + 1, 1);
        self.prefix_count.store(prefixes.len(), Ordering::Relaxed);
    }

    pub(super) fn remove_prefix(&self, prefix: &[u8]) {
        let prefixes = self.prefixes.pin();
        prefixes.compute(prefix.into(), |entry| match entry {
            None => Operation::Abort(()),
            Some((_, 1)) => Operation::Remove,
            Some((_, count)) => Operation::Insert(count - 1),
        });
        self.prefix_count.store(prefixes.len(), Ordering::Relaxed);
    }
}
