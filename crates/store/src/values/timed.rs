//! Collections whose elements have expiry times of their own: what hashes and sets share.

use super::zset::{ScoreBound, ZSet};
use crate::UnixMs;
use crate::packed::Item;

/// A collection some of whose elements have expiry times.
#[derive(Clone)]
pub(super) struct Timed<T> {
    /// All elements, in a form without times.
    pub(super) plain: T,
    pub(super) times: Times,
}

/// When elements expire: by name, whole numbers that are exact in a score up to the year 287396.
#[derive(Clone)]
pub struct Times(ZSet);

impl Times {
    pub(super) fn new() -> Times {
        Times(ZSet::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn heap_size(&self) -> usize {
        self.0.heap_size()
    }

    pub(super) fn free_slice(&mut self, max_items: usize) -> bool {
        self.0.free_slice(max_items)
    }

    pub(super) fn set(&mut self, element: &[u8], at: UnixMs) {
        self.0.insert(element, at as f64);
    }

    /// Whether the element had a time.
    pub(super) fn forget(&mut self, element: &[u8]) -> bool {
        self.0.remove(element).is_some()
    }
}

/// A collection whose elements may have expiry times, each element named by its bytes. Those whose time has passed stay
/// until somebody removes them: time is the caller's.
pub trait Expiring: Sized {
    /// The number of elements, expired ones included.
    fn size(&self) -> usize;

    /// Whether there is such an element, expired or not.
    fn has(&self, element: &[u8]) -> bool;

    /// The times, if any element has one.
    fn times(&self) -> Option<&Times>;

    /// Removes an element with its time; returns whether it was there.
    fn remove_element(&mut self, element: &[u8]) -> bool;

    /// Sets or clears the expiry time of an element; false if there is no such element.
    fn set_element_expiry(&mut self, element: &[u8], expire_at: Option<UnixMs>) -> bool;

    /// How many elements have an expiry time.
    fn timed_len(&self) -> usize {
        self.times().map_or(0, |times| times.0.len())
    }

    /// When the first element expires.
    fn first_expiry(&self) -> Option<UnixMs> {
        let (_, at) = self.times()?.0.by_rank(0)?;
        Some(at as UnixMs)
    }

    /// When an element expires.
    fn element_expiry(&self, element: &[u8]) -> Option<UnixMs> {
        self.times()?.0.score(element).map(|at| at as UnixMs)
    }

    /// How many elements expired at `now` or before. O(log n).
    fn due_len(&self, now: UnixMs) -> usize {
        self.times().map_or(0, |times| {
            times.0.lower_rank(ScoreBound::Exclusive(now as f64))
        })
    }

    /// The elements that expired at `now` or before, the earliest first.
    fn due_elements(&self, now: UnixMs) -> impl Iterator<Item = Item<'_>> {
        let times = self.times().into_iter().flat_map(|times| times.0.iter());
        times
            .take_while(move |(_, at)| *at <= now as f64)
            .map(|(element, _)| element)
    }

    /// As the collection is at `now`: without the elements that have expired.
    fn at(&self, now: UnixMs) -> At<'_, Self> {
        At {
            all: self,
            now,
            due: self.due_len(now),
        }
    }
}

/// A collection at some time: elements that have expired are not there.
#[derive(Debug)]
pub struct At<'a, T> {
    pub(super) all: &'a T,
    now: UnixMs,
    due: usize,
}

impl<T> Clone for At<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for At<'_, T> {}

impl<'a, T: Expiring> At<'a, T> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.all.size() - self.due
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn is_due(&self, element: &[u8]) -> bool {
        self.due > 0
            && self
                .all
                .element_expiry(element)
                .is_some_and(|at| at <= self.now)
    }

    /// Whether an element is there.
    pub fn contains(&self, element: &[u8]) -> bool {
        self.all.has(element) && !self.is_due(element)
    }

    /// When an element expires, if it is there and does.
    pub fn element_expiry(&self, element: &[u8]) -> Option<UnixMs> {
        self.all.element_expiry(element).filter(|at| *at > self.now)
    }

    /// A random element of those that are there, each with the same chance: drawn from all by `draw`, or, where too many have
    /// expired, taken from those that are left by its number.
    pub(super) fn draw<E>(
        &self,
        rng: &mut dyn FnMut() -> u64,
        draw: impl Fn(&'a T, &mut dyn FnMut() -> u64) -> Option<E>,
        name: impl Fn(&E) -> &[u8],
        nth: impl FnOnce(usize) -> Option<E>,
    ) -> Option<E> {
        /// Draws that may hit an element that has expired, before the others are gone through.
        const DRAWS: usize = 8;
        if self.is_empty() {
            return None;
        }
        for _ in 0..DRAWS {
            let drawn = draw(self.all, rng)?;
            if !self.is_due(name(&drawn)) {
                return Some(drawn);
            }
        }
        nth(super::below(rng, self.len()))
    }
}
