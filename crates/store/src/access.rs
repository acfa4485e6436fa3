//! How recently and how often an entry was used, in four bytes.

use std::fmt;

/// Bits of the time; it wraps after 194 days, as Redis's clock does.
const TIME_BITS: u32 = 24;
const TIME_MASK: u32 = (1 << TIME_BITS) - 1;

/// When an entry was last used (seconds, 24 bits) and a count of uses (8 bits, logarithmic or whatever the caller likes).
///
/// The store marks new and replaced entries with its clock ([`crate::Shard::set_access_clock`]); uses are for the caller to note.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Access(u32);

impl Access {
    /// The count that new entries begin with (Redis's `LFU_INIT_VAL`): room to be found less used than they are.
    pub const FIRST_COUNT: u8 = 5;
    /// The longest time that can be told: the clock has wrapped after it, and a day.
    pub const MAX_IDLE_S: u32 = TIME_MASK - 86_400;

    /// Of an entry that comes in at this time.
    #[inline]
    pub fn new(now_s: u32) -> Access {
        Access(now_s & TIME_MASK | u32::from(Access::FIRST_COUNT) << TIME_BITS)
    }

    /// Seconds since the last use; 0 at a time that lies up to a day before it (a snapshot's).
    #[inline]
    pub fn idle_s(self, now_s: u32) -> u32 {
        match now_s.wrapping_sub(self.0) & TIME_MASK {
            idle_s if idle_s > Access::MAX_IDLE_S => 0,
            idle_s => idle_s,
        }
    }

    /// The count.
    #[inline]
    pub fn count(self) -> u8 {
        (self.0 >> TIME_BITS) as u8
    }

    /// The count, less one for each so many minutes of the clock (not of the time between) since the last use; 0 is never.
    pub fn count_at(self, now_s: u32, decay_minutes: u32) -> u8 {
        if decay_minutes == 0 {
            return self.count();
        }
        let minutes = now_s / 60 - now_s.wrapping_sub(self.idle_s(now_s)) / 60;
        let lost = u8::try_from(minutes / decay_minutes).unwrap_or(u8::MAX);
        self.count().saturating_sub(lost)
    }

    /// The same count at another time.
    #[inline]
    #[must_use]
    pub fn at(self, now_s: u32) -> Access {
        Access(self.0 & !TIME_MASK | now_s & TIME_MASK)
    }

    /// The same time with another count.
    #[must_use]
    pub fn with_count(self, count: u8) -> Access {
        Access(self.0 & TIME_MASK | u32::from(count) << TIME_BITS)
    }
}

impl Default for Access {
    fn default() -> Access {
        Access::new(0)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} uses, last at {} s",
            self.count(),
            self.0 & TIME_MASK
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_count_stand_beside_each_other() {
        let access = Access::new(1_800_000_000);
        assert_eq!(
            (access.idle_s(1_800_000_000), access.count()),
            (0, Access::FIRST_COUNT)
        );
        assert_eq!(access.idle_s(1_800_000_777), 777);
        let later = access.with_count(255).at(1_800_000_777);
        assert_eq!((later.idle_s(1_800_000_778), later.count()), (1, 255));
    }

    #[test]
    fn the_clock_wraps() {
        let access = Access::new(TIME_MASK - 1);
        assert_eq!(access.idle_s(TIME_MASK + 2), 3);
        assert_eq!(access.idle_s(TIME_MASK - 2), 0);
        let longest = TIME_MASK - 1 + Access::MAX_IDLE_S;
        assert_eq!(access.idle_s(longest), Access::MAX_IDLE_S);
    }
}
