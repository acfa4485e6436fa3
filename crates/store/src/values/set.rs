//! Sets of byte strings.

mod timed;

use std::fmt;

use super::buckets::{self, Buckets};
use super::elem::{self, Elem};
use super::intset::IntSet;
use super::limits::Limits;
use super::timed::Timed;
use crate::packed::{self, Encoder, Item, MAX_ENTRIES, Packed, canonical_int};

pub use timed::{SetAt, SetAtIter};

/// A set of byte strings.
///
/// While all members are integers it is a sorted array of them. Packed, it keeps the order in which members came;
/// large, it has none.
#[derive(Clone)]
pub struct Set(Form);

#[derive(Clone)]
enum Form {
    Ints(IntSet),
    Packed(Packed<false>),
    Large(Box<Large>),
    /// One of the other forms, and expiry times of members.
    Timed(Box<Timed<Set>>),
}

#[derive(Clone)]
struct Large {
    members: Buckets<Elem>,
    /// What members own on the heap.
    elem_bytes: usize,
}

fn rehash(member: &Elem) -> u64 {
    elem::hash(member.as_bytes())
}

impl Large {
    fn new() -> Self {
        Large {
            members: Buckets::new(),
            elem_bytes: 0,
        }
    }

    fn contains(&self, member: &[u8]) -> bool {
        self.members
            .find(elem::hash(member), |other| other.as_bytes() == member)
            .is_some()
    }

    fn insert(&mut self, member: &[u8]) -> bool {
        let hash = elem::hash(member);
        if self
            .members
            .find(hash, |other| other.as_bytes() == member)
            .is_some()
        {
            return false;
        }
        let member = Elem::new(member);
        self.elem_bytes += member.heap_size();
        self.members.insert_new(hash, member, rehash);
        true
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let removed = self.members.remove(
            elem::hash(member),
            |other| other.as_bytes() == member,
            rehash,
        );
        self.elem_bytes -= removed.as_ref().map_or(0, Elem::heap_size);
        removed.is_some()
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

impl Set {
    /// An empty set.
    pub fn new() -> Self {
        Set(Form::Ints(IntSet::new()))
    }

    pub(super) fn of_packed(packed: Packed<false>) -> Self {
        Set(Form::Packed(packed))
    }

    /// A set of these, which ascend.
    pub(super) fn of_sorted_ints(ints: &[i64]) -> Self {
        Set(Form::Ints(IntSet::of_sorted(ints)))
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Ints(ints) => ints.len(),
            Form::Packed(packed) => packed.len(),
            Form::Large(large) => large.members.len(),
            Form::Timed(timed) => timed.plain.len(),
        }
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap behind this struct.
    pub fn heap_size(&self) -> usize {
        match &self.0 {
            Form::Ints(ints) => ints.heap_size(),
            Form::Packed(packed) => packed.heap_size(),
            Form::Large(large) => size_of::<Large>() + large.members.heap_size() + large.elem_bytes,
            Form::Timed(timed) => timed.heap_size(),
        }
    }

    /// Whether it is a sorted array of integers.
    pub fn is_intset(&self) -> bool {
        match &self.0 {
            Form::Ints(_) => true,
            Form::Timed(timed) => timed.plain.is_intset(),
            _ => false,
        }
    }

    /// The name that Redis 7.0's OBJECT ENCODING gives such a set.
    pub fn redis_encoding(&self) -> &'static str {
        if self.is_intset() {
            "intset"
        } else {
            "hashtable"
        }
    }

    /// Whether `member` is there.
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Form::Ints(ints) => canonical_int(member).is_some_and(|int| ints.contains(int)),
            Form::Packed(packed) => packed.find(member, 1).is_some(),
            Form::Large(large) => large.contains(member),
            Form::Timed(timed) => timed.plain.contains(member),
        }
    }

    /// Adds `member`; returns whether it is new. The expiry time of one that is there stays.
    pub fn insert(&mut self, member: &[u8]) -> bool {
        self.insert_within(member, &Limits::REDIS_7)
    }

    /// As [`Set::insert`], with other limits than the defaults for the small forms.
    pub fn insert_within(&mut self, member: &[u8], limits: &Limits) -> bool {
        if let Form::Timed(timed) = &mut self.0 {
            return timed.plain.insert_within(member, limits);
        }
        if let Form::Ints(ints) = &mut self.0 {
            if let Some(int) = canonical_int(member) {
                if ints.contains(int) {
                    return false;
                }
                if ints.len() < limits.set_max_intset_entries {
                    return ints.insert(int);
                }
                return self.large().insert(member);
            }
            self.ints_to_packed(limits);
        }
        if let Form::Packed(packed) = &mut self.0
            && member.len() <= limits.set_max_listpack_value
        {
            if packed.find(member, 1).is_some() {
                return false;
            }
            if packed.len() < limits.set_max_listpack_entries.min(MAX_ENTRIES) {
                packed.push(&Encoder::of(member));
                return true;
            }
        }
        self.large().insert(member)
    }

    /// Packs a set of integers, where the limits let one more member be packed with them.
    fn ints_to_packed(&mut self, limits: &Limits) {
        if self.len() < limits.set_max_listpack_entries.min(MAX_ENTRIES) {
            let encoder = self
                .iter()
                .fold(Encoder::new(), |encoder, int| encoder.bytes(&int));
            let mut packed = Packed::new();
            packed.push(&encoder);
            self.0 = Form::Packed(packed);
        }
    }

    /// The large form, converted to when need be.
    fn large(&mut self) -> &mut Large {
        if !matches!(self.0, Form::Large(_)) {
            let mut large = Large::new();
            for member in self.iter() {
                large.insert(&member);
            }
            self.0 = Form::Large(Box::new(large));
        }
        match &mut self.0 {
            Form::Large(large) => large,
            _ => unreachable!("converted above"),
        }
    }

    /// Removes `member`; returns whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Form::Ints(ints) => canonical_int(member).is_some_and(|int| ints.remove(int)),
            Form::Packed(packed) => match packed.find(member, 1) {
                Some(at) => {
                    packed.remove(at, 1);
                    true
                }
                None => false,
            },
            Form::Large(large) => large.remove(member),
            Form::Timed(timed) => {
                let removed = timed.plain.remove(member);
                self.forget_time(member);
                removed
            }
        }
    }

    /// All members; those of a set of integers in ascending order.
    pub fn iter(&self) -> SetIter<'_> {
        SetIter(match &self.0 {
            Form::Ints(ints) => FormIter::Ints(ints, 0),
            Form::Packed(packed) => FormIter::Packed(packed.iter()),
            Form::Large(large) => FormIter::Large(large.members.iter()),
            Form::Timed(timed) => return timed.plain.iter(),
        })
    }

    /// Visits some members; see the [module](super) for the cursor.
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8])) -> u64 {
        match &self.0 {
            Form::Large(large) => large
                .members
                .scan(cursor, &mut |member| visit(member.as_bytes())),
            Form::Timed(timed) => timed.plain.scan(cursor, visit),
            _ => {
                self.iter().for_each(|member| visit(&member));
                0
            }
        }
    }

    /// A random member, each with the same chance.
    pub fn random(&self, rng: &mut dyn FnMut() -> u64) -> Option<Item<'_>> {
        if self.is_empty() {
            return None;
        }
        Some(match &self.0 {
            Form::Ints(ints) => Item::from_int(ints.get(super::below(rng, ints.len()))),
            Form::Packed(packed) => packed.item(packed.seek(super::below(rng, packed.len()))),
            Form::Large(large) => Item::borrowed(large.members.random(rng)?.as_bytes()),
            Form::Timed(timed) => return timed.plain.random(rng),
        })
    }

    /// Removes a random member, each with the same chance, and returns it.
    pub fn pop_random(&mut self, rng: &mut dyn FnMut() -> u64) -> Option<Vec<u8>> {
        if self.is_empty() {
            return None;
        }
        match &mut self.0 {
            Form::Ints(ints) => {
                let index = super::below(rng, ints.len());
                let member = Item::from_int(ints.get(index)).to_vec();
                ints.remove_at(index);
                Some(member)
            }
            Form::Packed(packed) => {
                let at = packed.seek(super::below(rng, packed.len()));
                let member = packed.item(at).to_vec();
                packed.remove(at, 1);
                Some(member)
            }
            Form::Large(large) => {
                let member = large.members.pop_random(rng, rehash)?;
                large.elem_bytes -= member.heap_size();
                Some(member.as_bytes().to_vec())
            }
            Form::Timed(timed) => {
                let member = timed.plain.pop_random(rng)?;
                self.forget_time(&member);
                Some(member)
            }
        }
    }

    /// Reads on from `cursor`; see the [module](super).
    pub fn chunk(
        &self,
        cursor: u64,
        max_bytes: usize,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Option<u64> {
        if let Form::Timed(timed) = &self.0 {
            return timed.plain.chunk(cursor, max_bytes, visit);
        }
        let mut bytes = 0;
        let mut count = |member: &[u8]| {
            visit(member);
            bytes += member.len();
            bytes < max_bytes
        };
        match &self.0 {
            Form::Ints(ints) => {
                let mut index = cursor as usize;
                while index < ints.len() {
                    let go_on = count(&Item::from_int(ints.get(index)));
                    index += 1;
                    if !go_on && index < ints.len() {
                        return Some(index as u64);
                    }
                }
                None
            }
            Form::Packed(packed) => packed.chunk(cursor, 1, &mut |at| count(&packed.item(at))),
            Form::Large(large) => large
                .members
                .chunk(cursor, &mut |member| count(member.as_bytes())),
            Form::Timed(_) => unreachable!("read above"),
        }
    }

    /// Drops about `max_items` members; true when none are left. See the [module](super).
    pub fn free_slice(&mut self, max_items: usize) -> bool {
        match &mut self.0 {
            Form::Large(large) => {
                let elem_bytes = &mut large.elem_bytes;
                large
                    .members
                    .free_slice(max_items, |member| *elem_bytes -= member.heap_size());
            }
            Form::Timed(timed) => return timed.free_slice(max_items),
            _ => *self = Set::new(),
        }
        self.is_empty()
    }
}

/// The members of a set.
#[derive(Clone)]
pub struct SetIter<'a>(FormIter<'a>);

#[derive(Clone)]
enum FormIter<'a> {
    Ints(&'a IntSet, usize),
    Packed(packed::Iter<'a, false>),
    Large(buckets::Iter<'a, Elem>),
}

impl<'a> Iterator for SetIter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        match &mut self.0 {
            FormIter::Ints(ints, index) if *index < ints.len() => {
                *index += 1;
                Some(Item::from_int(ints.get(*index - 1)))
            }
            FormIter::Ints(..) => None,
            FormIter::Packed(iter) => iter.next(),
            FormIter::Large(iter) => iter.next().map(|member| Item::borrowed(member.as_bytes())),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            FormIter::Ints(ints, index) => (ints.len() - index, Some(ints.len() - index)),
            FormIter::Packed(iter) => iter.size_hint(),
            FormIter::Large(iter) => iter.size_hint(),
        }
    }
}

impl ExactSizeIterator for SetIter<'_> {}

#[cfg(test)]
mod tests;
