//! `maxmemory`: what is in use over all shards, and the policies by which keys give way (Redis 7.0, `evict.c`).
//!
//! The limit holds for all shards together: each tells the others what it uses, and asks for the sum before it takes more.
//! A shard makes room among its own keys. If it is below its even part then, the fullest shard owes
//! the others the same, and pays when it next looks: so neither big values on one shard nor an idle one drive the keys of the
//! others out.

use crate::usage::{Counting, Tracking};
use damselfly_snapshot::Uses;
use damselfly_store::Among;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Which keys give way, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EvictionPolicy {
    /// `volatile-lru`: of those that expire, the least recently used.
    VolatileLru,
    /// `volatile-lfu`: of those that expire, the least frequently used.
    VolatileLfu,
    /// `volatile-random`: any that expires.
    VolatileRandom,
    /// `volatile-ttl`: of those that expire, the next to.
    VolatileTtl,
    /// `allkeys-lru`: the least recently used.
    AllKeysLru,
    /// `allkeys-lfu`: the least frequently used.
    AllKeysLfu,
    /// `allkeys-random`: any.
    AllKeysRandom,
    /// `noeviction`: none; writes are refused.
    #[default]
    NoEviction,
}

/// By what a policy chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// The time since the last use.
    Idle,
    /// How seldom it is used.
    Seldom,
    /// How soon it expires.
    Soon,
    /// Chance.
    Random,
}

impl EvictionPolicy {
    /// The names, in the order in which Redis lists them.
    pub const NAMES: &'static [&'static str] = &[
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "noeviction",
    ];

    /// In the order of the names.
    const ALL: [EvictionPolicy; 8] = [
        EvictionPolicy::VolatileLru,
        EvictionPolicy::VolatileLfu,
        EvictionPolicy::VolatileRandom,
        EvictionPolicy::VolatileTtl,
        EvictionPolicy::AllKeysLru,
        EvictionPolicy::AllKeysLfu,
        EvictionPolicy::AllKeysRandom,
        EvictionPolicy::NoEviction,
    ];

    /// The policy of this name.
    pub fn of_name(name: &str) -> Option<EvictionPolicy> {
        let at = Self::NAMES.iter().position(|known| *known == name)?;
        Some(Self::ALL[at])
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Which keys give way, and by what they are chosen; none for `noeviction`.
    pub fn choice(self) -> Option<(Among, Rank)> {
        Some(match self {
            EvictionPolicy::VolatileLru => (Among::Expiring, Rank::Idle),
            EvictionPolicy::VolatileLfu => (Among::Expiring, Rank::Seldom),
            EvictionPolicy::VolatileRandom => (Among::Expiring, Rank::Random),
            EvictionPolicy::VolatileTtl => (Among::Expiring, Rank::Soon),
            EvictionPolicy::AllKeysLru => (Among::All, Rank::Idle),
            EvictionPolicy::AllKeysLfu => (Among::All, Rank::Seldom),
            EvictionPolicy::AllKeysRandom => (Among::All, Rank::Random),
            EvictionPolicy::NoEviction => return None,
        })
    }
}

/// How room is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvictionOptions {
    /// Which keys give way.
    pub policy: EvictionPolicy,
    /// Keys that are looked at for each that goes (`maxmemory-samples`).
    pub samples: u32,
    /// How long one command may have to make room, 0 to 100 (`maxmemory-eviction-tenacity`).
    pub tenacity: u32,
    /// How uses are counted with an LFU policy.
    pub counting: Counting,
}

impl Default for EvictionOptions {
    fn default() -> EvictionOptions {
        EvictionOptions {
            policy: EvictionPolicy::NoEviction,
            samples: 5,
            tenacity: 10,
            counting: Counting {
                log_factor: 10,
                decay_minutes: 1,
            },
        }
    }
}

/// Keys that a shard evicts in one go, with the default tenacity: about half a millisecond, Redis's default.
const DEFAULT_KEYS: f64 = 256.0;
/// The default tenacity.
const DEFAULT_TENACITY: u32 = 10;
/// The tenacity that knows no bound.
const MAX_TENACITY: u32 = 100;
/// Keys that are evicted in one go, at least.
const MIN_KEYS: usize = 16;

impl EvictionOptions {
    /// What has to be noted of uses.
    pub fn tracking(&self) -> Tracking {
        match self.policy.choice() {
            Some((_, Rank::Seldom)) => Tracking::Frequency(self.counting),
            _ => Tracking::Time,
        }
    }

    /// What snapshots tell of uses: what the policy looks at, as in Redis.
    pub fn told(&self, now_s: u32) -> Uses {
        match self.policy.choice() {
            Some((_, Rank::Idle)) => Uses::Idle { now_s },
            Some((_, Rank::Seldom)) => Uses::Frequency {
                now_s,
                decay_minutes: self.counting.decay_minutes,
            },
            _ => Uses::Untold,
        }
    }

    /// How many keys are evicted in one go. Redis sets the time so: linearly up to the default, then growing by 15 % a step.
    pub fn keys_at_once(&self) -> usize {
        let keys = match self.tenacity {
            ..=DEFAULT_TENACITY => {
                DEFAULT_KEYS * f64::from(self.tenacity) / f64::from(DEFAULT_TENACITY)
            }
            MAX_TENACITY.. => return usize::MAX,
            more => DEFAULT_KEYS * 1.15f64.powi((more - DEFAULT_TENACITY) as i32),
        };
        (keys as usize).max(MIN_KEYS)
    }
}

/// What all shards use, for all shards to see.
pub struct MemoryLedger {
    max: AtomicU64,
    shards: Box<[Account]>,
}

/// What one shard tells the others. On a cache line of its own: it is written with every command.
#[derive(Default)]
#[repr(align(64))]
struct Account {
    used: AtomicU64,
    /// Whether it has keys that the policy lets go.
    evictable: AtomicBool,
    /// What it is to free because another shard had to give way.
    owed: AtomicU64,
}

impl MemoryLedger {
    /// For so many shards, without a limit.
    pub fn new(shards: usize) -> MemoryLedger {
        MemoryLedger {
            max: AtomicU64::new(0),
            shards: (0..shards.max(1)).map(|_| Account::default()).collect(),
        }
    }

    /// Sets the limit in bytes; 0 is none.
    pub fn set_max(&self, bytes: u64) {
        self.max.store(bytes, Ordering::Relaxed);
    }

    fn total(&self) -> u64 {
        let used = self.shards.iter();
        used.map(|shard| shard.used.load(Ordering::Relaxed)).sum()
    }
}

/// The ledger, as one shard sees it.
pub struct MemoryShare {
    ledger: Arc<MemoryLedger>,
    index: usize,
}

impl MemoryShare {
    /// The share of the shard of this index.
    ///
    /// # Panics
    /// The ledger has no such shard.
    pub fn new(ledger: Arc<MemoryLedger>, index: usize) -> MemoryShare {
        assert!(index < ledger.shards.len(), "a ledger has all shards");
        MemoryShare { ledger, index }
    }

    fn own(&self) -> &Account {
        &self.ledger.shards[self.index]
    }

    /// Whether there is a limit.
    #[inline]
    pub(crate) fn is_limited(&self) -> bool {
        self.ledger.max.load(Ordering::Relaxed) != 0
    }

    /// Tells what this shard uses, and whether it could let keys go.
    pub(crate) fn publish(&self, used: u64, evictable: bool) {
        self.own().used.store(used, Ordering::Relaxed);
        self.own().evictable.store(evictable, Ordering::Relaxed);
    }

    /// Bytes over the limit, of all shards.
    pub(crate) fn excess(&self) -> u64 {
        match self.ledger.max.load(Ordering::Relaxed) {
            0 => 0,
            max => self.ledger.total().saturating_sub(max),
        }
    }

    /// Whether this shard uses more than its even part.
    pub(crate) fn is_over_part(&self) -> bool {
        let part = self.ledger.max.load(Ordering::Relaxed) / self.ledger.shards.len() as u64;
        self.own().used.load(Ordering::Relaxed) > part
    }

    /// Bytes that this shard owes the others.
    pub(crate) fn owed(&self) -> u64 {
        self.own().owed.load(Ordering::Relaxed)
    }

    /// So much has been freed here.
    pub(crate) fn pay(&self, bytes: u64) {
        let pay = |owed: u64| Some(owed.saturating_sub(bytes));
        // Nobody takes from it but this shard.
        _ = self
            .own()
            .owed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay);
    }

    /// The fullest of the other shards that could let keys go is to free so much more; false if there is none.
    pub(crate) fn charge_fullest(&self, bytes: u64) -> bool {
        self.charge(|owed| owed.saturating_add(bytes))
    }

    /// The fullest of the other shards that could let keys go is to free so much at least; false if there is none.
    pub(crate) fn leave_to_fullest(&self, bytes: u64) -> bool {
        self.charge(|owed| owed.max(bytes))
    }

    fn charge(&self, sum: impl Fn(u64) -> u64) -> bool {
        let others = self.ledger.shards.iter().enumerate();
        let able = others
            .filter(|(index, shard)| {
                *index != self.index && shard.evictable.load(Ordering::Relaxed)
            })
            .map(|(_, shard)| shard);
        let Some(fullest) = able.max_by_key(|shard| shard.used.load(Ordering::Relaxed)) else {
            return false;
        };
        // No more than it has: nobody waits for it to pay.
        let used = fullest.used.load(Ordering::Relaxed);
        let charge = |owed: u64| Some(sum(owed).min(used));
        _ = fullest
            .owed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, charge);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_policies_and_back() {
        for name in EvictionPolicy::NAMES {
            assert_eq!(
                EvictionPolicy::of_name(name).map(EvictionPolicy::name),
                Some(*name)
            );
        }
        assert_eq!(EvictionPolicy::of_name("lru"), None);
    }

    #[test]
    fn tenacity_is_time() {
        let keys = |tenacity| {
            EvictionOptions {
                tenacity,
                ..EvictionOptions::default()
            }
            .keys_at_once()
        };
        assert_eq!(
            [keys(0), keys(5), keys(10), keys(100)],
            [16, 128, 256, usize::MAX]
        );
        assert!(keys(50) > 50_000 && keys(99) < usize::MAX);
    }

    #[test]
    fn the_fullest_shard_owes_what_others_had_to_free() {
        let ledger = Arc::new(MemoryLedger::new(3));
        let [a, b, c] = [0, 1, 2].map(|index| MemoryShare::new(ledger.clone(), index));
        assert!(!a.is_limited());
        ledger.set_max(300);
        a.publish(50, true);
        b.publish(200, true);
        c.publish(250, false);
        assert_eq!(a.excess(), 200);
        assert!(!a.is_over_part() && b.is_over_part());
        assert!(a.charge_fullest(30));
        assert_eq!((b.owed(), c.owed()), (30, 0));
        assert!(a.leave_to_fullest(20) && a.leave_to_fullest(40) && a.leave_to_fullest(40));
        assert_eq!(b.owed(), 40);
        assert!(a.charge_fullest(u64::MAX));
        assert_eq!(b.owed(), 200);
        b.pay(199);
        assert_eq!(b.owed(), 1);
        b.pay(199);
        assert_eq!(b.owed(), 0);
        a.publish(50, false);
        b.publish(10, false);
        assert!(!c.charge_fullest(1));
        assert_eq!(c.excess(), 10);
    }
}
