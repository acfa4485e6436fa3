//! The generator behind `math.random`: that of `drand48`. As in Redis 7 it goes on from one script to the next.

use std::cell::Cell;

const MULTIPLIER: u64 = 0x5DEE_CE66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
/// The state before anything is seeded.
const FIRST: u64 = 0x1234_ABCD_330E;
/// The low bits of a state that was made of a seed.
const SEED_LOW: u64 = 0x330E;
/// The range of [`Random::next`].
const RANGE: i32 = i32::MAX;

/// A linear congruential generator of 48 bits.
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn new() -> Random {
        Random(Cell::new(FIRST))
    }

    pub(crate) fn seed(&self, seed: i32) {
        self.0.set((u64::from(seed as u32) << 16) | SEED_LOW);
    }

    /// A number from 0 to below 1.
    pub(crate) fn fraction(&self) -> f64 {
        let state = self
            .0
            .get()
            .wrapping_mul(MULTIPLIER)
            .wrapping_add(INCREMENT)
            & MASK;
        self.0.set(state);
        let number = (state >> 17) as i32;
        f64::from(number % RANGE) / f64::from(RANGE)
    }
}
