//! Noting uses of keys: when, or how often, as the eviction policy asks (Redis 7.0, `evict.c`).

use crate::core::ShardCore;
use crate::keyspace::Keyspace;
use damselfly_snapshot::LastUse;
use damselfly_store::{Access, DbIndex, EntryMut, EntryRef, UnixMs, Value};

/// Counts above this grow with ever smaller probability.
const COUNT_BASE: u8 = Access::FIRST_COUNT;
/// Milliseconds of the clock of uses.
const CLOCK_MS: i64 = 1_000;

/// What is noted of a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tracking {
    /// When it was.
    #[default]
    Time,
    /// That it was: counters that grow logarithmically and decay.
    Frequency(Counting),
}

/// How counters of uses go up and down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counting {
    /// The greater, the slower they grow (`lfu-log-factor`).
    pub log_factor: u32,
    /// Minutes in which they lose one; 0 is never (`lfu-decay-time`).
    pub decay_minutes: u32,
}

impl Counting {
    /// The counter as it is now.
    pub fn decayed(self, access: Access, now_s: u32) -> u8 {
        access.count_at(now_s, self.decay_minutes)
    }

    /// After one more use. `chance` is any random number.
    fn used(self, access: Access, now_s: u32, chance: u64) -> Access {
        let count = self.decayed(access, now_s);
        let above = u64::from(count.saturating_sub(COUNT_BASE));
        let grows = chance.is_multiple_of(above * u64::from(self.log_factor) + 1);
        access
            .with_count(count.saturating_add(u8::from(grows)))
            .at(now_s)
    }
}

/// What a use does; one look decides on the way of every read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Note {
    #[default]
    Time,
    Frequency,
    Nothing,
}

/// How a shard notes uses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    tracking: Tracking,
    note: Note,
}

impl Usage {
    /// What is noted.
    pub fn tracking(&self) -> Tracking {
        self.tracking
    }

    /// Changes what is noted, from now on.
    pub fn track(&mut self, tracking: Tracking) {
        self.tracking = tracking;
        self.set_quiet(false);
    }

    /// Whether the uses from now on are noted (CLIENT NO-TOUCH).
    pub(crate) fn set_quiet(&mut self, quiet: bool) {
        self.note = match self.tracking {
            _ if quiet => Note::Nothing,
            Tracking::Time => Note::Time,
            Tracking::Frequency(_) => Note::Frequency,
        };
    }
}

impl ShardCore {
    /// Does some work of a client, whose uses of keys don't count if `quiet` says so (CLIENT NO-TOUCH).
    #[inline]
    pub(crate) fn quietly<R>(&mut self, quiet: bool, work: impl FnOnce(&mut ShardCore) -> R) -> R {
        if !quiet {
            return work(self);
        }
        self.space.usage.set_quiet(true);
        let result = work(self);
        self.space.usage.set_quiet(false);
        result
    }
}

impl Keyspace {
    /// Sets the clock, for commands and for uses of keys.
    pub fn tick(&mut self, now_ms: i64) {
        self.now = now_ms;
        self.store.set_access_clock((now_ms / CLOCK_MS) as u32);
    }

    /// Puts an entry of a snapshot in place, with what that tells of its last use.
    pub(crate) fn load(
        &mut self,
        db: DbIndex,
        key: &[u8],
        value: Value,
        expire_at: Option<UnixMs>,
        used: LastUse,
    ) {
        self.store.insert(db, key, value, expire_at);
        if used != LastUse::Untold {
            self.set_last_use(db, key, used);
        }
    }

    /// Says when or how often a key was used, as far as that is noted here.
    pub(crate) fn set_last_use(&self, db: DbIndex, key: &[u8], used: LastUse) {
        let Some(entry) = self.store.get(db, key) else {
            return;
        };
        match (used, self.usage.tracking) {
            (LastUse::Idle(idle_s), Tracking::Time) => {
                let idle_s = idle_s.min(u64::from(Access::MAX_IDLE_S)) as u32;
                let at_s = self.store.access_clock().wrapping_sub(idle_s);
                entry.set_access(entry.access().at(at_s));
            }
            (LastUse::Frequency(count), Tracking::Frequency(_)) => {
                entry.set_access(entry.access().with_count(count));
            }
            _ => {}
        }
    }

    /// Notes a use of an entry.
    #[inline]
    pub(crate) fn touch(&self, entry: &EntryRef<'_>) {
        if self.usage.note == Note::Time {
            entry.used_at(self.store.access_clock());
        } else if let Some(access) = self.counted(entry.access()) {
            entry.set_access(access);
        }
    }

    /// Notes a use even where uses are not to be noted: TOUCH.
    pub(crate) fn touch_anyhow(&self, entry: &EntryRef<'_>) {
        entry.set_access(self.used(entry.access()));
    }

    /// Notes a use of the entry of a key, if it is there.
    pub(crate) fn touch_key(&self, db: DbIndex, key: &[u8]) {
        if let Some(entry) = self.store.get(db, key) {
            self.touch(&entry);
        }
    }

    /// A value has been put in the place of another: the store has marked it with the time.
    pub(crate) fn touch_replaced(&self, db: DbIndex, key: &[u8]) {
        if self.usage.note == Note::Frequency {
            self.touch_key(db, key);
        }
    }

    #[cold]
    fn counted(&self, access: Access) -> Option<Access> {
        (self.usage.note == Note::Frequency).then(|| self.used(access))
    }

    fn used(&self, access: Access) -> Access {
        let now_s = self.store.access_clock();
        match self.usage.tracking {
            Tracking::Time => access.at(now_s),
            Tracking::Frequency(counting) => counting.used(access, now_s, self.random()),
        }
    }
}

/// What a use of an entry leaves, for where the keyspace is borrowed meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Use {
    note: Note,
    tracking: Tracking,
    now_s: u32,
    chance: u64,
}

impl Use {
    /// A use now.
    #[inline]
    pub(crate) fn now(space: &Keyspace) -> Use {
        Use {
            note: space.usage.note,
            tracking: space.usage.tracking,
            now_s: space.store.access_clock(),
            chance: if space.usage.note == Note::Frequency {
                space.random()
            } else {
                0
            },
        }
    }

    /// Notes it.
    #[inline]
    pub(crate) fn of(self, entry: &EntryMut<'_>) {
        match (self.note, self.tracking) {
            (Note::Time, _) => entry.set_access(entry.access().at(self.now_s)),
            (Note::Frequency, Tracking::Frequency(counting)) => {
                entry.set_access(counting.used(entry.access(), self.now_s, self.chance));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTING: Counting = Counting {
        log_factor: 10,
        decay_minutes: 1,
    };

    /// The table of redis.conf: about so many uses make such a count.
    #[test]
    fn counts_grow_logarithmically() {
        let space = Keyspace::new(1, 7);
        for (uses, low, high) in [(100, 8, 13), (1_000, 14, 24), (100_000, 120, 165)] {
            let mut access = Access::new(600);
            for _ in 0..uses {
                access = COUNTING.used(access, 600, space.random());
            }
            assert!(
                (low..=high).contains(&access.count()),
                "{uses} uses: {}",
                access.count()
            );
        }
    }

    #[test]
    fn counts_decay_by_minutes_of_the_clock() {
        let access = Access::new(659).with_count(20);
        assert_eq!(COUNTING.decayed(access, 659), 20);
        assert_eq!(COUNTING.decayed(access, 660), 19);
        assert_eq!(COUNTING.decayed(access, 660 + 600), 9);
        assert_eq!(COUNTING.decayed(access, 660 + 6_000), 0);
        let never = Counting {
            decay_minutes: 0,
            ..COUNTING
        };
        assert_eq!(never.decayed(access, 660 + 6_000), 20);
    }
}
