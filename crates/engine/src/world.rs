//! What an engine asks of the world outside: the time of day, and numbers that nobody else draws.
//!
//! A simulation that runs whole nodes on one thread answers both itself ([`simulate`]), so that a seed repeats.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The answers of a simulation.
#[derive(Debug, Clone, Copy)]
pub struct Simulated {
    /// The time, in Unix milliseconds.
    pub unix_ms: fn() -> i64,
    /// A number.
    pub random: fn() -> u64,
}

thread_local! {
    static SIMULATED: Cell<Option<Simulated>> = const { Cell::new(None) };
}

/// What [`shift_clock`] adds.
static SHIFT_MS: AtomicI64 = AtomicI64::new(0);

/// From here on every engine of this process sees the time so many milliseconds later than it is (earlier, if negative):
/// for tests of what happens at other times, and of data from other times (`DEBUG CLOCK`).
pub fn shift_clock(by_ms: i64) {
    SHIFT_MS.store(by_ms, Ordering::Relaxed);
}

/// From here on engines that are driven by this thread live in a simulated world; `None` ends that.
pub fn simulate(world: Option<Simulated>) {
    SIMULATED.set(world);
}

/// The time, in Unix milliseconds.
pub fn unix_ms() -> i64 {
    if let Some(world) = SIMULATED.get() {
        return (world.unix_ms)();
    }
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    now.saturating_add(SHIFT_MS.load(Ordering::Relaxed))
}

/// The time, in Unix microseconds: for people to read.
pub fn unix_us() -> i64 {
    if SIMULATED.get().is_some() || SHIFT_MS.load(Ordering::Relaxed) != 0 {
        return unix_ms().saturating_mul(1000);
    }
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// From the process's randomly seeded hasher and the clock: unique, not secret.
pub(crate) fn random() -> u64 {
    if let Some(world) = SIMULATED.get() {
        return (world.random)();
    }
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_i64(unix_ms());
    hasher.write_u32(std::process::id());
    hasher.finish()
}
