//! Hashes whose fields have expiry times of their own.

use super::{Boxed, Form, Hash, HashIter, View, ViewMut};
use crate::UnixMs;
use crate::packed::Item;
use crate::values::timed::{At, Expiring, Timed, Times};

impl Timed<Hash> {
    pub(super) fn heap_size(&self) -> usize {
        size_of::<Boxed>() + self.plain.heap_size() + self.times.heap_size()
    }

    pub(super) fn free_slice(&mut self, max_items: usize) -> bool {
        self.plain.free_slice(max_items) && self.times.free_slice(max_items)
    }
}

impl Expiring for Hash {
    fn size(&self) -> usize {
        self.len()
    }

    fn has(&self, field: &[u8]) -> bool {
        self.contains(field)
    }

    fn times(&self) -> Option<&Times> {
        match self.view() {
            View::Timed(timed) => Some(&timed.times),
            _ => None,
        }
    }

    fn remove_element(&mut self, field: &[u8]) -> bool {
        self.remove(field)
    }

    fn set_element_expiry(&mut self, field: &[u8], expire_at: Option<UnixMs>) -> bool {
        if !self.contains(field) {
            return false;
        }
        match expire_at {
            None => self.forget_time(field),
            Some(at) => self.timed().times.set(field, at),
        }
        true
    }
}

impl Hash {
    /// Sets the value of `field`, whose expiry time stays; returns whether the field is new.
    pub fn insert_keeping_expiry(&mut self, field: &[u8], value: &[u8]) -> bool {
        match self.view_mut() {
            ViewMut::Timed(timed) => timed.plain.insert(field, value),
            _ => self.insert(field, value),
        }
    }

    /// The timed form, converted to when need be.
    fn timed(&mut self) -> &mut Timed<Hash> {
        if !matches!(self.view(), View::Timed(_)) {
            let timed = Timed {
                plain: std::mem::take(self),
                times: Times::new(),
            };
            self.0 = Form::Boxed(Box::new(Boxed::Timed(timed)));
        }
        match self.view_mut() {
            ViewMut::Timed(timed) => timed,
            _ => unreachable!("converted above"),
        }
    }

    /// Forgets a field's time, and the timed form with the last one.
    pub(super) fn forget_time(&mut self, field: &[u8]) {
        if let ViewMut::Timed(timed) = self.view_mut()
            && timed.times.forget(field)
            && timed.times.is_empty()
        {
            *self = std::mem::take(&mut timed.plain);
        }
    }
}

/// A hash at some time: fields that have expired are not there.
pub type HashAt<'a> = At<'a, Hash>;

impl<'a> At<'a, Hash> {
    /// The value of `field`.
    pub fn get(&self, field: &[u8]) -> Option<Item<'a>> {
        let value = self.all.get(field)?;
        (!self.is_due(field)).then_some(value)
    }

    /// All fields with their values.
    pub fn iter(self) -> HashAtIter<'a> {
        HashAtIter {
            all: self.all.iter(),
            at: self,
        }
    }

    /// Visits some fields; see the [module](crate::values) for the cursor.
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8], &[u8])) -> u64 {
        self.all.scan(cursor, &mut |field, value| {
            if !self.is_due(field) {
                visit(field, value);
            }
        })
    }

    /// A random field with its value, each with the same chance.
    pub fn random(&self, rng: &mut dyn FnMut() -> u64) -> Option<(Item<'a>, Item<'a>)> {
        self.draw(
            rng,
            |hash, rng| hash.random(rng),
            |(field, _)| field,
            |n| self.iter().nth(n),
        )
    }
}

/// The fields of a [`HashAt`] with their values.
#[derive(Clone)]
pub struct HashAtIter<'a> {
    all: HashIter<'a>,
    at: HashAt<'a>,
}

impl<'a> Iterator for HashAtIter<'a> {
    type Item = (Item<'a>, Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        self.all.find(|(field, _)| !at.is_due(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::test_kit::{all_scans, element, random_bits, steps};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<UnixMs>)>;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Vec<u8>, Vec<u8>),
        Keep(Vec<u8>, Vec<u8>),
        Remove(Vec<u8>),
        Expire(Vec<u8>, Option<UnixMs>),
    }

    fn step() -> impl Strategy<Value = Step> {
        let time = prop::option::weighted(0.8, 0i64..100);
        prop_oneof![
            4 => (element(), element()).prop_map(|(field, value)| Step::Insert(field, value)),
            1 => (element(), element()).prop_map(|(field, value)| Step::Keep(field, value)),
            1 => element().prop_map(Step::Remove),
            4 => (element(), time).prop_map(|(field, at)| Step::Expire(field, at)),
        ]
    }

    fn run(step: Step, hash: &mut Hash, model: &mut Model) {
        match step {
            Step::Insert(field, value) => {
                let is_new = hash.insert(&field, &value);
                assert_eq!(is_new, model.insert(field, (value, None)).is_none());
            }
            Step::Keep(field, value) => {
                let is_new = hash.insert_keeping_expiry(&field, &value);
                let at = model.get(&field).and_then(|(_, at)| *at);
                assert_eq!(is_new, model.insert(field, (value, at)).is_none());
            }
            Step::Remove(field) => {
                assert_eq!(hash.remove(&field), model.remove(&field).is_some());
            }
            Step::Expire(field, at) => {
                let known = model.get_mut(&field).map(|(_, old)| *old = at).is_some();
                assert_eq!(hash.set_element_expiry(&field, at), known);
            }
        }
    }

    fn check(hash: &Hash, model: &Model) {
        assert_eq!(hash.len(), model.len());
        let times = model.values().filter_map(|(_, at)| *at);
        assert_eq!(hash.timed_len(), times.clone().count());
        assert_eq!(hash.first_expiry(), times.min());
        assert_eq!(matches!(hash.view(), View::Timed(_)), hash.timed_len() > 0);
        for (field, (value, at)) in model {
            assert_eq!(hash.get(field).as_deref(), Some(&value[..]));
            assert_eq!(hash.element_expiry(field), *at);
        }
    }

    /// What is left at `now`, by every way of reading.
    fn check_at(hash: &Hash, model: &Model, now: UnixMs) {
        let is_left = |at: &Option<UnixMs>| at.is_none_or(|at| at > now);
        let left: BTreeMap<_, _> = model.iter().filter(|(_, (_, at))| is_left(at)).collect();
        let view = hash.at(now);
        assert_eq!((view.len(), view.is_empty()), (left.len(), left.is_empty()));
        assert_eq!(hash.due_len(now), model.len() - left.len());
        let due: Vec<_> = hash.due_elements(now).map(|field| field.to_vec()).collect();
        assert!(
            due.len() == hash.due_len(now) && due.iter().all(|field| !left.contains_key(field))
        );
        let seen: BTreeMap<_, _> = view.iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
        assert_eq!(seen.len(), left.len());
        assert!(
            left.iter()
                .all(|(field, (value, _))| seen.get(*field) == Some(value))
        );
        for (field, (_, at)) in model {
            assert_eq!(view.contains(field), is_left(at));
            assert_eq!(view.get(field).is_some(), is_left(at));
        }
        let mut scanned = BTreeMap::new();
        all_scans(|cursor| {
            view.scan(cursor, &mut |f, v| {
                _ = scanned.insert(f.to_vec(), v.to_vec())
            })
        });
        assert_eq!(scanned, seen);
        let drawn = view.random(&mut random_bits(5));
        assert_eq!(drawn.is_some(), !left.is_empty());
        assert!(drawn.is_none_or(|(field, _)| seen.contains_key(&*field)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn equals_a_map_with_times(steps in steps(step()), now in 0i64..100) {
            let (mut hash, mut model) = (Hash::new(), Model::new());
            for step in steps {
                run(step, &mut hash, &mut model);
            }
            check(&hash, &model);
            check_at(&hash.clone(), &model, now);
            while !hash.free_slice(3) {}
            prop_assert!(hash.is_empty() && hash.timed_len() == 0);
        }
    }

    #[test]
    fn hashes_without_times_stay_small_and_become_so_again() {
        let mut hash = Hash::new();
        hash.insert(b"field", b"value");
        let before = hash.heap_size();
        hash.set_element_expiry(b"field", Some(5));
        assert_eq!(hash.redis_encoding(), "listpackex");
        hash.insert(b"field", b"other");
        assert_eq!(
            (hash.heap_size(), hash.redis_encoding()),
            (before, "listpack")
        );
    }
}
