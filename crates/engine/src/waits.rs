//! The keys of a shard that clients wait for, each with its clients in the order in which they began to wait.

use crate::waiter::Waiter;
use damselfly_store::{DbIndex, Kind};
use hashbrown::{Equivalent, HashMap};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

/// A key of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyId {
    /// The database.
    pub db: DbIndex,
    /// The key.
    pub key: Box<[u8]>,
}

/// A [`KeyId`] that owns nothing.
struct KeyRef<'a>(DbIndex, &'a [u8]);

impl Hash for KeyId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        KeyRef(self.db, &self.key).hash(state);
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.0.hash(state);
        self.1.hash(state);
    }
}

impl Equivalent<KeyId> for KeyRef<'_> {
    fn equivalent(&self, id: &KeyId) -> bool {
        self.0 == id.db && *self.1 == *id.key
    }
}

/// A client's place at a key.
#[derive(Clone)]
pub(crate) struct Seat {
    /// The client.
    pub(crate) waiter: Arc<Waiter>,
    /// The command line that is run for it when the key is ready.
    pub(crate) args: Arc<[Vec<u8>]>,
}

#[derive(Default)]
struct Queue {
    /// By the type that they wait for, and then in the order of their beginning.
    seats: BTreeMap<(Kind, u64), Seat>,
    /// How many of them want to know when the key is gone.
    gone: usize,
    /// It stands among the ready keys.
    is_ready: bool,
    /// The serving of it is parked.
    is_held: bool,
}

/// The keys that clients wait for.
#[derive(Default)]
pub struct WaitTable {
    keys: HashMap<KeyId, Queue, foldhash::fast::RandomState>,
    ready: Vec<KeyId>,
    /// Whether a handler runs for a client that waits.
    pub(crate) serving: bool,
}

impl WaitTable {
    /// Whether nobody waits for anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Keys that somebody waits for.
    pub fn keys_len(&self) -> usize {
        self.keys.len()
    }

    /// The key has changed: whoever waits for it is to be tried.
    pub fn touch(&mut self, db: DbIndex, key: &[u8]) {
        if let Some(queue) = self.keys.get_mut(&KeyRef(db, key))
            && !queue.is_ready
        {
            queue.is_ready = true;
            let key = key.into();
            self.ready.push(KeyId { db, key });
        }
    }

    /// Every key that matches may have changed (FLUSHALL, SWAPDB, a new data set).
    pub fn touch_where(&mut self, matches: impl Fn(DbIndex, &[u8]) -> bool) {
        let mut found: Vec<KeyId> = self
            .keys
            .keys()
            .filter(|id| matches(id.db, &id.key))
            .cloned()
            .collect();
        found.sort_unstable_by(|a, b| (a.db, &a.key).cmp(&(b.db, &b.key)));
        found.iter().for_each(|id| self.touch(id.db, &id.key));
    }

    /// Whether keys have changed since they were last taken.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The keys that have changed, in that order.
    pub(crate) fn take_ready(&mut self) -> Vec<KeyId> {
        std::mem::take(&mut self.ready)
    }

    /// Keys that changed in a transaction which has been concluded now.
    pub(crate) fn add_ready(&mut self, keys: Vec<KeyId>) {
        self.ready.extend(keys);
    }

    /// The serving of a key begins. `false`: it is parked and will be tried by itself, unless it is that which begins.
    pub(crate) fn begin(&mut self, id: &KeyId, was_held: bool) -> bool {
        let Some(queue) = self.keys.get_mut(id) else {
            return false;
        };
        queue.is_ready = false;
        if queue.is_held && !was_held {
            return false;
        }
        queue.is_held = false;
        true
    }

    /// The serving of a key is parked.
    pub(crate) fn hold(&mut self, id: &KeyId) {
        if let Some(queue) = self.keys.get_mut(id) {
            queue.is_held = true;
        }
    }

    /// Gives a client its place at a key.
    pub(crate) fn add(&mut self, id: KeyId, seat: Seat) {
        let queue = self.keys.entry(id).or_default();
        let place = place(&seat.waiter);
        let gone = usize::from(seat.waiter.blocks.gone);
        if queue.seats.insert(place, seat).is_none() {
            queue.gone += gone;
        }
    }

    /// Takes a client's place at a key away.
    pub(crate) fn remove(&mut self, id: &KeyId, waiter: &Waiter) {
        let Some(queue) = self.keys.get_mut(id) else {
            return;
        };
        if queue.seats.remove(&place(waiter)).is_some() {
            queue.gone -= usize::from(waiter.blocks.gone);
        }
        if queue.seats.is_empty() {
            self.keys.remove(id);
        }
    }

    /// The first client behind number `after` that waits for this type at the key.
    pub(crate) fn next(&self, id: &KeyId, kind: Kind, after: u64) -> Option<Seat> {
        let places = (Excluded((kind, after)), Included((kind, u64::MAX)));
        let (_, seat) = self.keys.get(id)?.seats.range(places).next()?;
        Some(seat.clone())
    }

    /// The clients that wait for another type than this one at the key, and want to know that it is not there.
    pub(crate) fn gone(&self, id: &KeyId, there: Option<Kind>) -> Vec<Seat> {
        let Some(queue) = self.keys.get(id).filter(|queue| queue.gone > 0) else {
            return Vec::new();
        };
        let mut seats: Vec<Seat> = queue
            .seats
            .values()
            .filter(|seat| seat.waiter.blocks.gone && Some(seat.waiter.blocks.on) != there)
            .cloned()
            .collect();
        seats.sort_unstable_by_key(|seat| seat.waiter.id);
        seats
    }

    /// All clients that wait here, some of them several times.
    pub(crate) fn waiters(&self) -> impl Iterator<Item = &Arc<Waiter>> {
        let seats = self.keys.values().flat_map(|queue| queue.seats.values());
        seats.map(|seat| &seat.waiter)
    }
}

fn place(waiter: &Waiter) -> (Kind, u64) {
    (waiter.blocks.on, waiter.id)
}
