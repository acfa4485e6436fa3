//! The slow log.

use super::{LatencyMonitor, SlowCommand, Thresholds};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// Entries that are kept, unless the configuration says otherwise.
const DEFAULT_LEN: usize = 128;

/// A slow command, and who sent it.
#[derive(Debug, Clone)]
pub struct SlowEntry {
    /// Its number, which no other has.
    pub id: u64,
    /// When it was noted, in Unix milliseconds.
    pub at: i64,
    /// The command.
    pub command: SlowCommand,
    /// The client's address and port.
    pub peer: String,
    /// The client's name.
    pub name: Vec<u8>,
}

#[derive(Default)]
struct Entries {
    next: u64,
    entries: VecDeque<SlowEntry>,
}

/// The slow commands of a server, shared by its threads.
pub struct SlowLog {
    /// What happened of late that took long.
    pub latency: LatencyMonitor,
    thresholds: RwLock<Thresholds>,
    most: AtomicUsize,
    log: Mutex<Entries>,
    upstream: Mutex<String>,
}

impl Default for SlowLog {
    fn default() -> Self {
        SlowLog {
            latency: LatencyMonitor::default(),
            thresholds: RwLock::default(),
            most: AtomicUsize::new(DEFAULT_LEN),
            log: Mutex::default(),
            upstream: Mutex::default(),
        }
    }
}

impl SlowLog {
    /// Changes what is slow, and how much is kept of it. (The shards are told by themselves.)
    pub fn configure(&self, thresholds: Thresholds, most: usize) {
        *self
            .thresholds
            .write()
            .unwrap_or_else(PoisonError::into_inner) = thresholds;
        self.most.store(most, Ordering::Relaxed);
    }

    /// What is slow.
    pub fn thresholds(&self) -> Thresholds {
        *self
            .thresholds
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something that the server did on its own, if it took long.
    pub fn note_event(&self, event: &'static str, took: Duration) {
        let monitor = self.thresholds().monitor;
        if monitor.is_some_and(|least| took >= least) {
            let now_s = crate::thread::unix_ms() / 1000;
            self.latency.add(event, now_s, took.as_millis() as u64);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says where the records come from that this server executes: its primary's address.
    pub fn set_upstream(&self, address: String) {
        *self.upstream() = address;
    }

    fn upstream(&self) -> MutexGuard<'_, String> {
        self.upstream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes records of the primary that took long to execute.
    #[cold]
    pub fn add_records(&self, commands: Vec<SlowCommand>) {
        let peer = self.upstream().clone();
        for command in commands {
            self.add(command, crate::thread::unix_ms(), &peer, b"");
        }
    }

    /// Notes a command that a client sent.
    pub fn add(&self, command: SlowCommand, at: i64, peer: &str, name: &[u8]) {
        let thresholds = self.thresholds();
        if thresholds
            .monitor
            .is_some_and(|least| command.took >= least)
        {
            let event = if command.is_fast {
                "fast-command"
            } else {
                "command"
            };
            self.latency
                .add(event, at / 1000, command.took.as_millis() as u64);
        }
        if thresholds.log.is_none_or(|least| command.took < least) {
            return;
        }
        let mut log = self.entries();
        let entry = SlowEntry {
            id: log.next,
            at,
            command,
            peer: peer.to_owned(),
            name: name.to_vec(),
        };
        log.next += 1;
        log.entries.push_front(entry);
        log.entries.truncate(self.most.load(Ordering::Relaxed));
    }

    /// The last ones, at most so many.
    pub fn last(&self, most: usize) -> Vec<SlowEntry> {
        self.entries().entries.iter().take(most).cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries().entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all. Numbers go on.
    pub fn reset(&self) {
        self.entries().entries.clear();
    }
}
