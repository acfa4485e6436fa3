//! Sets whose members have expiry times of their own.

use super::{Form, Set, SetIter};
use crate::UnixMs;
use crate::packed::Item;
use crate::values::timed::{At, Expiring, Timed, Times};

impl Timed<Set> {
    pub(super) fn heap_size(&self) -> usize {
        size_of::<Self>() + self.plain.heap_size() + self.times.heap_size()
    }

    pub(super) fn free_slice(&mut self, max_items: usize) -> bool {
        self.plain.free_slice(max_items) && self.times.free_slice(max_items)
    }
}

impl Expiring for Set {
    fn size(&self) -> usize {
        self.len()
    }

    fn has(&self, member: &[u8]) -> bool {
        self.contains(member)
    }

    fn times(&self) -> Option<&Times> {
        match &self.0 {
            Form::Timed(timed) => Some(&timed.times),
            _ => None,
        }
    }

    fn remove_element(&mut self, member: &[u8]) -> bool {
        self.remove(member)
    }

    fn set_element_expiry(&mut self, member: &[u8], expire_at: Option<UnixMs>) -> bool {
        if !self.contains(member) {
            return false;
        }
        match expire_at {
            None => self.forget_time(member),
            Some(at) => self.timed().times.set(member, at),
        }
        true
    }
}

impl Set {
    /// The timed form, converted to when need be.
    fn timed(&mut self) -> &mut Timed<Set> {
        if !matches!(self.0, Form::Timed(_)) {
            self.0 = Form::Timed(Box::new(Timed {
                plain: std::mem::take(self),
                times: Times::new(),
            }));
        }
        match &mut self.0 {
            Form::Timed(timed) => timed,
            _ => unreachable!("converted above"),
        }
    }

    /// Forgets a member's time, and the timed form with the last one.
    pub(super) fn forget_time(&mut self, member: &[u8]) {
        if let Form::Timed(timed) = &mut self.0
            && timed.times.forget(member)
            && timed.times.is_empty()
        {
            *self = std::mem::take(&mut timed.plain);
        }
    }
}

/// A set at some time: members that have expired are not there.
pub type SetAt<'a> = At<'a, Set>;

impl<'a> At<'a, Set> {
    /// All members.
    pub fn iter(self) -> SetAtIter<'a> {
        SetAtIter {
            all: self.all.iter(),
            at: self,
        }
    }

    /// Visits some members; see the [module](crate::values) for the cursor.
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8])) -> u64 {
        self.all.scan(cursor, &mut |member| {
            if !self.is_due(member) {
                visit(member);
            }
        })
    }

    /// A random member, each with the same chance.
    pub fn random(&self, rng: &mut dyn FnMut() -> u64) -> Option<Item<'a>> {
        self.draw(
            rng,
            |set, rng| set.random(rng),
            |member| member,
            |n| self.iter().nth(n),
        )
    }
}

/// The members of a [`SetAt`].
#[derive(Clone)]
pub struct SetAtIter<'a> {
    all: SetIter<'a>,
    at: SetAt<'a>,
}

impl<'a> Iterator for SetAtIter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let at = self.at;
        self.all.find(|member| !at.is_due(member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::test_kit::{all_scans, element, random_bits, steps};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    type Model = BTreeMap<Vec<u8>, Option<UnixMs>>;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Vec<u8>),
        Remove(Vec<u8>),
        Pop(u64),
        Expire(Vec<u8>, Option<UnixMs>),
    }

    fn step() -> impl Strategy<Value = Step> {
        let member = || {
            prop_oneof![
                element(),
                (0..40i64).prop_map(|n| n.to_string().into_bytes())
            ]
        };
        prop_oneof![
            4 => member().prop_map(Step::Insert),
            1 => member().prop_map(Step::Remove),
            1 => any::<u64>().prop_map(Step::Pop),
            4 => (member(), prop::option::weighted(0.8, 0i64..100)).prop_map(|(m, at)| Step::Expire(m, at)),
        ]
    }

    fn run(step: Step, set: &mut Set, model: &mut Model) {
        match step {
            Step::Insert(member) => {
                assert_eq!(set.insert(&member), !model.contains_key(&member));
                model.entry(member).or_insert(None);
            }
            Step::Remove(member) => {
                assert_eq!(set.remove(&member), model.remove(&member).is_some());
            }
            Step::Pop(seed) => match set.pop_random(&mut random_bits(seed)) {
                Some(member) => assert!(model.remove(&member).is_some()),
                None => assert!(model.is_empty()),
            },
            Step::Expire(member, at) => {
                let known = model.get_mut(&member).map(|old| *old = at).is_some();
                assert_eq!(set.set_element_expiry(&member, at), known);
            }
        }
    }

    fn check(set: &Set, model: &Model) {
        assert_eq!(set.len(), model.len());
        let times = model.values().filter_map(|at| *at);
        assert_eq!(set.timed_len(), times.clone().count());
        assert_eq!(set.first_expiry(), times.min());
        assert_eq!(matches!(set.0, Form::Timed(_)), set.timed_len() > 0);
        for (member, at) in model {
            assert!(set.contains(member));
            assert_eq!(set.element_expiry(member), *at);
        }
    }

    /// What is left at `now`, by every way of reading.
    fn check_at(set: &Set, model: &Model, now: UnixMs) {
        let is_left = |at: &Option<UnixMs>| at.is_none_or(|at| at > now);
        let left: BTreeSet<_> = model
            .iter()
            .filter(|(_, at)| is_left(at))
            .map(|(member, _)| member.clone())
            .collect();
        let view = set.at(now);
        assert_eq!((view.len(), view.is_empty()), (left.len(), left.is_empty()));
        let due: BTreeSet<_> = set.due_elements(now).map(|m| m.to_vec()).collect();
        assert!(due.len() == set.due_len(now) && due.is_disjoint(&left));
        let seen: BTreeSet<_> = view.iter().map(|member| member.to_vec()).collect();
        assert_eq!(seen, left);
        assert!(model.keys().all(|m| view.contains(m) == left.contains(m)));
        let mut scanned = BTreeSet::new();
        all_scans(|cursor| view.scan(cursor, &mut |member| _ = scanned.insert(member.to_vec())));
        assert_eq!(scanned, left);
        let drawn = view.random(&mut random_bits(5));
        assert_eq!(drawn.is_some(), !left.is_empty());
        assert!(drawn.is_none_or(|member| left.contains(&*member)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn equals_a_map_of_times(steps in steps(step()), now in 0i64..100) {
            let (mut set, mut model) = (Set::new(), Model::new());
            for step in steps {
                run(step, &mut set, &mut model);
            }
            check(&set, &model);
            check_at(&set.clone(), &model, now);
            while !set.free_slice(3) {}
            prop_assert!(set.is_empty() && set.timed_len() == 0);
        }
    }

    #[test]
    fn sets_without_times_stay_small_and_become_so_again() {
        let mut set = Set::new();
        set.insert(b"7");
        let before = set.heap_size();
        set.set_element_expiry(b"7", Some(5));
        assert!(set.heap_size() > before && set.redis_encoding() == "intset");
        set.set_element_expiry(b"7", None);
        assert_eq!(set.heap_size(), before);
    }
}
