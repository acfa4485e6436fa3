//! How long things took: a histogram with buckets of 3 % width.

use std::time::Duration;

/// Buckets per doubling.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Times, in whole microseconds, to about 3 %; the longest exactly.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
    longest_us: u64,
}

impl Latencies {
    /// Notes one time.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket_of(micros);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.longest_us = self.longest_us.max(micros);
    }

    /// Notes one time of a sender that should have sent every `interval`, but waited for the answer:
    /// the requests that it left out would have waited too ("coordinated omission", Gil Tene).
    pub fn record_at_pace(&mut self, time: Duration, interval: Duration) {
        self.record(time);
        let mut missed = time.saturating_sub(interval);
        while !interval.is_zero() && missed > interval {
            self.record(missed);
            missed = missed.saturating_sub(interval);
        }
    }

    /// Adds another's times.
    pub fn merge(&mut self, other: &Latencies) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
        self.total += other.total;
        self.longest_us = self.longest_us.max(other.longest_us);
    }

    /// How many times were noted.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The longest time.
    pub fn longest(&self) -> Duration {
        Duration::from_micros(self.longest_us)
    }

    /// The time that `share` (0 to 1) of all stayed below; zero if there is none.
    pub fn percentile(&self, share: f64) -> Duration {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_micros(upper_end(bucket).min(self.longest_us));
            }
        }
        self.longest()
    }
}

/// Below [`STEPS`] one bucket a microsecond, then `STEPS` buckets per doubling.
fn bucket_of(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let shift = micros.ilog2() - STEP_BITS;
    (u64::from(shift + 1) * STEPS + ((micros >> shift) - STEPS)) as usize
}

fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    let start = u128::from(STEPS + bucket % STEPS) << shift;
    u64::try_from(start + (1 << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_they_say() {
        for micros in (0..5_000).chain([123_456, 40_000_000, u64::MAX]) {
            let end = upper_end(bucket_of(micros));
            assert!(
                end >= micros && end - micros <= micros / STEPS,
                "{micros} {end}"
            );
        }
    }

    #[test]
    fn percentiles_and_the_longest() {
        let mut times = Latencies::default();
        (1..=100).for_each(|ms| times.record(Duration::from_millis(ms)));
        let ms = |share| times.percentile(share).as_millis();
        assert!((49..=52).contains(&ms(0.5)) && (97..=102).contains(&ms(0.99)));
        assert_eq!(
            (times.longest(), times.count()),
            (Duration::from_millis(100), 100)
        );
        let mut sum = Latencies::default();
        sum.merge(&times);
        assert_eq!(sum.percentile(0.5), times.percentile(0.5));
        assert_eq!(Latencies::default().percentile(0.99), Duration::ZERO);
    }

    #[test]
    fn a_stall_counts_for_those_who_were_not_sent() {
        let mut times = Latencies::default();
        times.record_at_pace(Duration::from_millis(10), Duration::from_millis(1));
        assert_eq!(times.count(), 9);
    }
}
