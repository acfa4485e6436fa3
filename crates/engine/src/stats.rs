//! What ran, how often, how long and with which errors. Every thread and every shard counts for itself, in plain
//! numbers; whoever wants the sum (INFO) asks all of them.
//!
//! Calls are counted one by one. Their time is measured for the first calls of a command and for one in
//! [`SAMPLE_EVERY`] after that: two looks at the clock would cost as much as a short command itself.

use crate::command::{Command, CommandError};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// After the first calls one in so many is timed.
pub const SAMPLE_EVERY: u64 = 16;
/// Kinds of errors that are told apart; more fall under no name (Redis stops at 128 as well).
const MAX_ERROR_KINDS: usize = 128;

/// What is known of one command.
#[derive(Clone)]
pub struct RowStats {
    /// The row.
    pub row: &'static Command,
    /// Times it ran.
    pub calls: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and answered an error.
    pub failed: u64,
    /// Runs that were timed.
    pub samples: u64,
    /// Their time together.
    pub sampled: Duration,
    /// Their times, for percentiles.
    pub histogram: Histogram,
    runs: u64,
}

impl RowStats {
    fn new(row: &'static Command) -> RowStats {
        RowStats {
            row,
            calls: 0,
            rejected: 0,
            failed: 0,
            samples: 0,
            sampled: Duration::ZERO,
            histogram: Histogram::default(),
            runs: 0,
        }
    }

    /// Adds what another thread knows of the same command.
    pub fn add(&mut self, other: &RowStats) {
        self.calls += other.calls;
        self.rejected += other.rejected;
        self.failed += other.failed;
        self.samples += other.samples;
        self.sampled += other.sampled;
        self.histogram.add(&other.histogram);
    }

    /// Microseconds of one call, on average.
    pub fn usec_per_call(&self) -> f64 {
        if self.samples == 0 {
            0.0
        } else {
            self.sampled.as_secs_f64() * 1e6 / self.samples as f64
        }
    }
}

/// What one thread or shard has counted.
#[derive(Default, Clone)]
pub struct CommandStats {
    rows: HashMap<usize, RowStats, foldhash::fast::FixedState>,
    errors: BTreeMap<String, u64>,
    total: u64,
    total_errors: u64,
}

impl CommandStats {
    /// Counts a call that begins now. The timer goes back to [`CommandStats::ended`].
    #[inline]
    pub fn begin(&mut self, row: &'static Command) -> Option<Instant> {
        self.total += 1;
        let stats = self.row(row);
        stats.calls += 1;
        stats.sample()
    }

    /// A part of a call that has been counted elsewhere begins now.
    #[inline]
    pub fn begin_part(&mut self, row: &'static Command) -> Option<Instant> {
        self.row(row).sample()
    }

    /// Counts a call without timing it.
    pub fn count(&mut self, row: &'static Command) {
        self.total += 1;
        self.row(row).calls += 1;
    }

    /// What began with this timer is done.
    #[inline]
    pub fn ended(&mut self, row: &'static Command, timer: Option<Instant>) {
        if let Some(begun) = timer {
            self.took(row, begun.elapsed());
        }
    }

    /// Notes the time of one call.
    pub fn took(&mut self, row: &'static Command, time: Duration) {
        let stats = self.row(row);
        stats.samples += 1;
        stats.sampled += time;
        stats.histogram.record(time);
    }

    /// A call answered an error.
    #[cold]
    pub fn failed(&mut self, row: &'static Command, error: &CommandError) {
        self.row(row).failed += 1;
        self.error(error);
    }

    /// A command was refused before it ran.
    #[cold]
    pub fn rejected(&mut self, row: Option<&'static Command>, error: &CommandError) {
        if let Some(row) = row {
            self.row(row).rejected += 1;
        }
        self.error(error);
    }

    fn error(&mut self, error: &CommandError) {
        self.total_errors += 1;
        let text = error.to_string();
        let kind = text.split(' ').next().unwrap_or_default();
        if let Some(count) = self.errors.get_mut(kind) {
            *count += 1;
        } else if self.errors.len() < MAX_ERROR_KINDS {
            self.errors.insert(kind.to_owned(), 1);
        }
    }

    #[inline]
    fn row(&mut self, row: &'static Command) -> &mut RowStats {
        self.rows
            .entry(std::ptr::from_ref(row).addr())
            .or_insert_with(|| RowStats::new(row))
    }

    /// Calls so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Errors so far.
    pub fn total_errors(&self) -> u64 {
        self.total_errors
    }

    /// All commands that were called or refused, in no order.
    pub fn rows(&self) -> impl Iterator<Item = &RowStats> {
        self.rows.values()
    }

    /// How often each kind of error (its first word) was answered.
    pub fn errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }

    /// Adds what another thread or shard has counted.
    pub fn add(&mut self, other: &CommandStats) {
        for stats in other.rows.values() {
            self.row(stats.row).add(stats);
        }
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
        self.total += other.total;
        self.total_errors += other.total_errors;
    }

    /// Forgets everything (CONFIG RESETSTAT).
    pub fn reset(&mut self) {
        *self = CommandStats::default();
    }
}

impl RowStats {
    #[inline]
    fn sample(&mut self) -> Option<Instant> {
        self.runs += 1;
        (self.runs <= SAMPLE_EVERY || self.runs.is_multiple_of(SAMPLE_EVERY)).then(Instant::now)
    }
}

/// Steps of a histogram in each power of two.
const STEPS: usize = 16;
/// Powers of two that a histogram covers, in nanoseconds: more than an hour.
const POWERS: usize = 42;

/// Times in steps of a sixteenth: a percentile is right to about six in a hundred.
#[derive(Clone, Default)]
pub struct Histogram {
    counts: Vec<u32>,
    total: u64,
}

impl Histogram {
    /// Adds one time.
    pub fn record(&mut self, time: Duration) {
        if self.counts.is_empty() {
            self.counts = vec![0; STEPS * POWERS];
        }
        self.counts[bucket(time)] += 1;
        self.total += 1;
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Histogram) {
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
        } else {
            self.counts
                .iter_mut()
                .zip(&other.counts)
                .for_each(|(mine, theirs)| *mine += theirs);
        }
        self.total += other.total;
    }

    /// The time that `percent` of the times don't pass; `None` of nothing.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let wanted = (self.total as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        });
        reached.map(|bucket| Duration::from_nanos(upper_ns(bucket)))
    }
}

/// The lowest step that LATENCY HISTOGRAM shows is of 2¹⁰ ns.
const FIRST_SHOWN_POWER: u32 = 10;

impl Histogram {
    /// How many times don't pass each power of two of about a microsecond, where that is more than don't pass the one before; with
    /// the microseconds that Redis's histogram (two digits of precision) calls that power.
    pub fn cumulative(&self) -> Vec<(u64, u64)> {
        let (mut steps, mut seen, mut told) = (Vec::new(), 0, 0);
        let mut counts = self.counts.iter().enumerate().peekable();
        for power in FIRST_SHOWN_POWER.. {
            let limit = 1u64 << power;
            while let Some((_, count)) = counts.next_if(|(at, _)| upper_ns(*at) < limit) {
                seen += u64::from(*count);
            }
            if seen > told {
                told = seen;
                steps.push(((limit + (limit >> 7) - 1) / 1000, seen));
            }
            if seen == self.total {
                return steps;
            }
        }
        steps
    }
}

fn bucket(time: Duration) -> usize {
    let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    if ns < STEPS as u64 {
        return ns as usize;
    }
    let shift = ns.ilog2() - STEPS.ilog2();
    let step = (ns >> shift) as usize - STEPS;
    ((shift as usize + 1) * STEPS + step).min(STEPS * POWERS - 1)
}

/// The greatest number of nanoseconds that falls into a bucket.
fn upper_ns(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let (shift, step) = (bucket / STEPS - 1, bucket % STEPS);
    (((STEPS + step + 1) as u64) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_bucket_and_close_to_its_end() {
        for ns in (0..200).chain([1_000, 65_535, 65_536, 1_000_000, 999_999_999]) {
            let upper = upper_ns(bucket(Duration::from_nanos(ns)));
            assert!(
                upper >= ns && upper - ns <= ns / STEPS as u64,
                "{ns}: {upper}"
            );
        }
        assert_eq!(bucket(Duration::from_secs(1 << 40)), STEPS * POWERS - 1);
    }

    #[test]
    fn percentiles_of_a_thousand_times() {
        let mut times = Histogram::default();
        assert_eq!(times.percentile(50.0), None);
        (1..=1000).for_each(|us| times.record(Duration::from_micros(us)));
        let half = times.percentile(50.0).unwrap().as_micros();
        assert!((490..=540).contains(&half), "{half}");
        let most = times.percentile(99.9).unwrap().as_micros();
        assert!((990..=1070).contains(&most), "{most}");
    }

    #[test]
    fn steps_are_powers_of_two_and_add_up() {
        let mut times = Histogram::default();
        assert_eq!(times.cumulative(), []);
        for us in [0, 1, 5, 6, 20, 20, 3_000_000_000] {
            times.record(Duration::from_micros(us));
        }
        let steps = times.cumulative();
        assert_eq!(steps[..4], [(1, 2), (8, 4), (33, 6), steps[3]]);
        assert_eq!(steps[3].1, 7);
    }

    #[test]
    fn calls_errors_and_sums() {
        let row = &crate::families::connection::COMMANDS[0];
        let mut one = CommandStats::default();
        for _ in 0..100 {
            let timer = one.begin(row);
            one.ended(row, timer);
        }
        one.failed(row, &CommandError::WrongType);
        one.rejected(None, &CommandError::Syntax);
        let mut both = one.clone();
        both.add(&one);
        let stats = both.rows().next().unwrap();
        assert_eq!(
            (stats.calls, stats.failed, stats.rejected, both.total()),
            (200, 2, 0, 200)
        );
        assert!(stats.samples > 2 * SAMPLE_EVERY && stats.samples < 100);
        let errors: Vec<_> = both
            .errors()
            .iter()
            .map(|(kind, count)| (kind.as_str(), *count))
            .collect();
        assert_eq!(errors, [("ERR", 2), ("WRONGTYPE", 2)]);
        both.reset();
        assert_eq!(
            (both.total(), both.rows().count(), both.total_errors()),
            (0, 0, 0)
        );
    }
}
