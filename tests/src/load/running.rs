//! Load in the background.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Latencies, Pipe};
use crate::client::Args;

/// Pause before a broken connection is made again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// How far load with a rate may lag behind and still catch up.
const CATCH_UP: Duration = Duration::from_millis(100);

/// Draws commands: queues exactly one at each call.
pub trait Source: Send {
    /// Queues the next command.
    fn draw(&mut self, pipe: &mut Pipe);
}

impl<F: FnMut(&mut Pipe) + Send> Source for F {
    fn draw(&mut self, pipe: &mut Pipe) {
        self(pipe);
    }
}

impl Source for crate::commands::Workload {
    fn draw(&mut self, pipe: &mut Pipe) {
        let args: Args = self.next().expect("a workload never ends");
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        pipe.queue(&args);
    }
}

/// What to send.
#[derive(Debug, Clone, Copy)]
pub struct LoadPlan {
    /// Connections, each with a thread of its own.
    pub connections: usize,
    /// Commands of one batch; the next batch goes out when all of it is answered.
    pub pipeline: u64,
    /// Commands a second over all connections; `None` = as fast as they are answered.
    pub rate: Option<u64>,
    /// How long an answer may take until the connection counts as broken.
    pub timeout: Duration,
}

impl Default for LoadPlan {
    fn default() -> LoadPlan {
        LoadPlan {
            connections: 1,
            pipeline: 1,
            rate: None,
            timeout: Duration::from_secs(120),
        }
    }
}

impl LoadPlan {
    /// Time between two batches of one connection, if there is a rate.
    fn interval(&self) -> Option<Duration> {
        let commands = self.connections as u64 * self.pipeline;
        self.rate
            .map(|rate| Duration::from_secs_f64(commands as f64 / rate.max(1) as f64))
    }
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct LoadReport {
    /// Commands that were answered, by errors too.
    pub commands: u64,
    /// Answers that were errors.
    pub errors: u64,
    /// How often a connection broke.
    pub breaks: u64,
    /// From sending a batch to its last answer; with a rate, for the batches left out meanwhile too.
    pub latencies: Latencies,
    /// How long it ran.
    pub elapsed: Duration,
}

impl LoadReport {
    /// Commands answered a second.
    pub fn rate(&self) -> f64 {
        self.commands as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Load that runs until it is stopped or dropped. A connection that breaks is made again.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<LoadReport>>,
    started: Instant,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    commands: AtomicU64,
}

impl Load {
    /// Starts it; `source` gives the commands of connection 0, 1, ….
    pub fn start<S: Source + 'static>(
        address: SocketAddr,
        plan: LoadPlan,
        source: impl Fn(usize) -> S,
    ) -> Load {
        let shared = Arc::new(Shared::default());
        let threads = (0..plan.connections).map(|number| {
            let sender = Sender {
                address,
                plan,
                source: source(number),
                shared: shared.clone(),
                report: LoadReport::default(),
            };
            std::thread::spawn(move || sender.run())
        });
        Load {
            threads: threads.collect(),
            shared,
            started: Instant::now(),
        }
    }

    /// Commands answered so far.
    pub fn commands(&self) -> u64 {
        self.shared.commands.load(Ordering::Relaxed)
    }

    /// Stops after the batches that are under way.
    ///
    /// # Panics
    /// When a source panicked.
    pub fn stop(mut self) -> LoadReport {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let mut sum = LoadReport {
            elapsed: self.started.elapsed(),
            ..LoadReport::default()
        };
        for thread in self.threads.drain(..) {
            let report = thread.join().expect("a source does not panic");
            sum.commands += report.commands;
            sum.errors += report.errors;
            sum.breaks += report.breaks;
            sum.latencies.merge(&report.latencies);
        }
        sum
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

struct Sender<S> {
    address: SocketAddr,
    plan: LoadPlan,
    source: S,
    shared: Arc<Shared>,
    report: LoadReport,
}

impl<S: Source> Sender<S> {
    fn run(mut self) -> LoadReport {
        while !self.stopped() {
            if self.connection().is_err() {
                self.report.breaks += 1;
                std::thread::sleep(RECONNECT_PAUSE);
            }
        }
        self.report
    }

    fn stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Relaxed)
    }

    /// Until the connection breaks or the load is stopped.
    fn connection(&mut self) -> io::Result<()> {
        let mut pipe = Pipe::connect(self.address, self.plan.timeout)?;
        let interval = self.plan.interval();
        let mut due = Instant::now();
        while !self.stopped() {
            (0..self.plan.pipeline).for_each(|_| self.source.draw(&mut pipe));
            let sent = Instant::now();
            let replies = pipe.exchange()?;
            self.note(replies, sent.elapsed(), interval);
            if let Some(interval) = interval {
                // After a longer stall the pace goes on; what was missed is not caught up.
                due = (due + interval).max(Instant::now() - CATCH_UP);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        Ok(())
    }

    fn note(&mut self, replies: super::Replies, took: Duration, interval: Option<Duration>) {
        self.report.commands += replies.all;
        self.report.errors += replies.errors;
        self.shared
            .commands
            .fetch_add(replies.all, Ordering::Relaxed);
        self.report
            .latencies
            .record_at_pace(took, interval.unwrap_or_default());
    }
}
