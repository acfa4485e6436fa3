//! What the server counts, and the task on every thread that looks at it ten times a second.

use crate::clients::ClientKind;
use crate::service::ServerThread;
use damselfly_engine::thread::{Thread, unix_ms};
use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Interval of the looks.
const TICK: Duration = Duration::from_millis(100);
/// Looks that a rate is averaged over (Redis: `STATS_METRIC_SAMPLES`).
const SAMPLES: usize = 16;
/// Looks between two searches for idle clients.
const IDLE_SEARCH_TICKS: u64 = 10;

/// What is known of a server as a whole.
#[derive(Debug)]
pub struct ServerFacts {
    /// 40 hex digits that no other run has.
    pub run_id: String,
    /// When it started.
    pub started: Instant,
    /// Why it cannot go on.
    failure: OnceLock<String>,
    used: Box<[AtomicU64]>,
    peak: AtomicU64,
}

impl ServerFacts {
    /// A server of so many threads starts.
    pub fn new(threads: usize) -> ServerFacts {
        let random = RandomState::new();
        let id: String = (0..3u8)
            .map(|part| format!("{:016x}", random.hash_one((part, unix_ms()))))
            .collect();
        ServerFacts {
            run_id: id[..40].to_owned(),
            started: Instant::now(),
            failure: OnceLock::new(),
            used: (0..threads).map(|_| AtomicU64::new(0)).collect(),
            peak: AtomicU64::new(0),
        }
    }

    /// Says why the server cannot go on; the first reason counts.
    pub fn fail(&self, why: String) {
        let _ = self.failure.set(why);
    }

    /// Why the server cannot go on.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Notes what one thread uses; the sum may be a new peak.
    fn note_memory(&self, thread: usize, bytes: u64) {
        self.used[thread].store(bytes, Ordering::Relaxed);
        let sum = self
            .used
            .iter()
            .map(|used| used.load(Ordering::Relaxed))
            .sum();
        self.peak.fetch_max(sum, Ordering::Relaxed);
    }

    /// The most memory that has been seen in use, in bytes; at least what is in use now.
    pub fn peak_memory(&self, now: u64) -> u64 {
        self.peak.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// Forgets the peak (CONFIG RESETSTAT).
    pub fn reset_peak(&self) {
        self.peak.store(0, Ordering::Relaxed);
    }
}

/// A number that grows, and how fast it did of late.
#[derive(Debug, Default)]
struct Rate {
    last: Cell<u64>,
    samples: Cell<[f64; SAMPLES]>,
    next: Cell<usize>,
}

impl Rate {
    fn sample(&self, total: u64, elapsed: Duration) {
        let grown = total.saturating_sub(self.last.replace(total));
        let mut samples = self.samples.get();
        samples[self.next.get()] = grown as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        self.samples.set(samples);
        self.next.set((self.next.get() + 1) % SAMPLES);
    }

    fn per_second(&self) -> f64 {
        self.samples.get().iter().sum::<f64>() / SAMPLES as f64
    }
}

/// Counters of one thread's connections.
#[derive(Debug, Default)]
pub struct ThreadCounters {
    /// Bytes read from clients.
    pub input_bytes: Cell<u64>,
    /// Bytes written to clients.
    pub output_bytes: Cell<u64>,
    /// Reads of a socket.
    pub reads: Cell<u64>,
    /// Writes to a socket.
    pub writes: Cell<u64>,
    commands: Rate,
    changes: Rate,
    input: Rate,
    output: Rate,
}

/// The rates of one thread.
#[derive(Debug, Default, Clone, Copy)]
pub struct Rates {
    /// Commands a second.
    pub commands: f64,
    /// Changes of data a second.
    pub changes: f64,
    /// Bytes a second from clients.
    pub input: f64,
    /// Bytes a second to clients.
    pub output: f64,
}

impl ThreadCounters {
    /// Counts a read of so many bytes.
    pub fn read(&self, bytes: usize) {
        self.reads.set(self.reads.get() + 1);
        self.input_bytes.set(self.input_bytes.get() + bytes as u64);
    }

    /// Counts a write of so many bytes.
    pub fn wrote(&self, bytes: usize) {
        self.writes.set(self.writes.get() + 1);
        self.output_bytes
            .set(self.output_bytes.get() + bytes as u64);
    }

    /// The rates of the last seconds.
    pub fn rates(&self) -> Rates {
        Rates {
            commands: self.commands.per_second(),
            changes: self.changes.per_second(),
            input: self.input.per_second(),
            output: self.output.per_second(),
        }
    }

    /// Forgets all sums (CONFIG RESETSTAT).
    pub fn reset(&self) {
        [
            &self.input_bytes,
            &self.output_bytes,
            &self.reads,
            &self.writes,
        ]
        .into_iter()
        .for_each(|sum| sum.set(0));
    }

    fn sample(&self, commands: u64, changes: u64, elapsed: Duration) {
        self.commands.sample(commands, elapsed);
        self.changes.sample(changes, elapsed);
        self.input.sample(self.input_bytes.get(), elapsed);
        self.output.sample(self.output_bytes.get(), elapsed);
    }
}

/// Bytes in use on a thread: its shard with what is kept of the journal, and the buffers of its clients.
pub fn used_memory(thread: &Thread, server: &ServerThread) -> u64 {
    let shard =
        thread.try_with_core(|core| core.space.store.used_memory() + core.journal.backlog_bytes());
    let clients: usize = server
        .clients
        .entries()
        .iter()
        .map(|entry| entry.buffers.get().total() + entry.waiting_bytes())
        .sum();
    (shard.unwrap_or(0) + clients) as u64
}

/// Commands that ran on a thread.
pub fn commands_run(thread: &Thread) -> u64 {
    thread.stats.borrow().total() + thread.try_with_core(|core| core.stats.total()).unwrap_or(0)
}

/// The task that samples rates and memory, and ends clients that are idle for too long. Ends with the runtime.
pub async fn watch_thread(thread: Rc<Thread>, server: Rc<ServerThread>) {
    let mut timer = tokio::time::interval(TICK);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = Instant::now();
    for tick in 0u64.. {
        timer.tick().await;
        let changes = thread.try_with_core(|core| core.space.changes);
        let (commands, changes) = (commands_run(&thread), changes.unwrap_or(0));
        server.counters.sample(commands, changes, last.elapsed());
        last = Instant::now();
        server
            .shared
            .facts
            .note_memory(thread.index, used_memory(&thread, &server));
        if tick % IDLE_SEARCH_TICKS == 0 {
            let clients = server.clients.entries();
            let limits = &thread.engine.output_limits;
            clients.iter().for_each(|entry| entry.check_limits(limits));
            end_idle_clients(&server);
        }
    }
}

/// Only ordinary clients: a link of replication has timeouts of its own.
fn end_idle_clients(server: &ServerThread) {
    let timeout_ms = i64::from(server.shared.settings.load().timeout) * 1000;
    if timeout_ms == 0 {
        return;
    }
    let now = unix_ms();
    let entries = server.clients.entries();
    for entry in entries.iter().filter(|entry| {
        entry.kind.get() == ClientKind::Normal
            && !entry.is_blocked()
            && !entry.listens()
            && !entry.monitors()
    }) {
        if entry.idle_ms(now) > timeout_ms {
            tracing::debug!(id = entry.id, "closing an idle client");
            entry.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_average_of_the_last_samples() {
        let rate = Rate::default();
        (1..=40).for_each(|step| rate.sample(step * 10, Duration::from_millis(100)));
        assert!((rate.per_second() - 100.0).abs() < 1e-6);
        (0..SAMPLES).for_each(|_| rate.sample(400, Duration::from_millis(100)));
        assert_eq!(rate.per_second(), 0.0);
    }

    #[test]
    fn the_peak_is_of_the_sum_and_run_ids_differ() {
        let facts = ServerFacts::new(2);
        facts.note_memory(0, 10);
        facts.note_memory(1, 5);
        facts.note_memory(0, 1);
        assert_eq!((facts.peak_memory(6), facts.peak_memory(20)), (15, 20));
        assert_eq!(facts.run_id.len(), 40);
        assert_ne!(facts.run_id, ServerFacts::new(1).run_id);
    }
}
