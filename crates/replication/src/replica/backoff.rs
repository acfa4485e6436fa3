//! Delays between attempts: exponential, with jitter.

/// Doubles from the smallest to the largest delay; each is spread evenly over its upper half, so that many replicas of
/// one primary don't come back in step.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    min_ms: u64,
    max_ms: u64,
    failures: u32,
    random: u64,
}

impl Backoff {
    /// `seed` is any random number.
    pub(super) fn new(min_ms: u64, max_ms: u64, seed: u64) -> Backoff {
        Backoff {
            min_ms: min_ms.max(1),
            max_ms: max_ms.max(min_ms.max(1)),
            failures: 0,
            random: seed,
        }
    }

    /// The delay after one more failure.
    pub(super) fn next_ms(&mut self) -> u64 {
        let full = self
            .min_ms
            .saturating_mul(1 << self.failures.min(20))
            .min(self.max_ms);
        self.failures += 1;
        let half = full.div_ceil(2);
        (half + self.next_random() % (full - half + 1)).max(self.min_ms)
    }

    /// The link stood: the next failure counts as the first.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_limit_and_starts_again() {
        for seed in 0..50 {
            let mut backoff = Backoff::new(100, 5_000, seed);
            let delays: Vec<u64> = (0..40).map(|_| backoff.next_ms()).collect();
            assert_eq!(delays[0], 100);
            assert!(
                delays.iter().all(|delay| (100..=5_000).contains(delay)),
                "{delays:?}"
            );
            assert!(delays[10..].iter().all(|delay| *delay >= 2_500));
            assert!(
                delays[10..].iter().any(|delay| *delay != delays[10]),
                "jitter"
            );
            backoff.reset();
            assert_eq!(backoff.next_ms(), 100);
        }
    }
}
