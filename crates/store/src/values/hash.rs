//! Hashes: fields with values.

mod timed;

use std::fmt;

use super::buckets::{self, Buckets};
use super::elem::{self, Elem};
use super::limits::Limits;
use super::timed::Timed;
use crate::packed::{self, Encoder, Item, MAX_ENTRIES, Packed};

pub use timed::{HashAt, HashAtIter};

/// A hash: fields with values.
///
/// Packed, it keeps the order in which fields came; large, it has none.
#[derive(Clone)]
pub struct Hash(Form);

#[derive(Clone)]
enum Form {
    /// Field, value, field, value, …
    Packed(Packed<false>),
    Boxed(Box<Boxed>),
}

/// Behind one pointer, so that the struct stays small.
#[derive(Clone)]
enum Boxed {
    Large(Large),
    /// One of the other forms, and expiry times of fields.
    Timed(Timed<Hash>),
}

// Hashes whose fields don't expire pay nothing for those whose do.
const _: () = assert!(size_of::<Boxed>() == size_of::<Large>());

/// The form, to read.
enum View<'a> {
    Packed(&'a Packed<false>),
    Large(&'a Large),
    Timed(&'a Timed<Hash>),
}

/// The form, to change.
enum ViewMut<'a> {
    Packed(&'a mut Packed<false>),
    Large(&'a mut Large),
    Timed(&'a mut Timed<Hash>),
}

#[derive(Clone)]
struct Large {
    pairs: Buckets<Pair>,
    /// What fields and values own on the heap.
    elem_bytes: usize,
}

#[derive(Clone, Debug)]
struct Pair {
    field: Elem,
    value: Elem,
}

impl Pair {
    fn heap(&self) -> usize {
        self.field.heap_size() + self.value.heap_size()
    }

    fn as_bytes(&self) -> (&[u8], &[u8]) {
        (self.field.as_bytes(), self.value.as_bytes())
    }

    fn is(&self, field: &[u8]) -> bool {
        self.field.as_bytes() == field
    }
}

fn rehash(pair: &Pair) -> u64 {
    elem::hash(pair.field.as_bytes())
}

impl Large {
    fn get(&self, field: &[u8]) -> Option<&Pair> {
        self.pairs.find(elem::hash(field), |pair| pair.is(field))
    }

    fn insert(&mut self, field: &[u8], value: &[u8]) -> bool {
        let hash = elem::hash(field);
        if let Some(pair) = self.pairs.find_mut(hash, |pair| pair.is(field)) {
            self.elem_bytes -= pair.value.heap_size();
            pair.value = Elem::new(value);
            self.elem_bytes += pair.value.heap_size();
            return false;
        }
        let pair = Pair {
            field: Elem::new(field),
            value: Elem::new(value),
        };
        self.elem_bytes += pair.heap();
        self.pairs.insert_new(hash, pair, rehash);
        true
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        let removed = self
            .pairs
            .remove(elem::hash(field), |pair| pair.is(field), rehash);
        self.elem_bytes -= removed.as_ref().map_or(0, Pair::heap);
        removed.is_some()
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl Hash {
    #[inline]
    fn view(&self) -> View<'_> {
        match &self.0 {
            Form::Packed(packed) => View::Packed(packed),
            Form::Boxed(boxed) => match &**boxed {
                Boxed::Large(large) => View::Large(large),
                Boxed::Timed(timed) => View::Timed(timed),
            },
        }
    }

    #[inline]
    fn view_mut(&mut self) -> ViewMut<'_> {
        match &mut self.0 {
            Form::Packed(packed) => ViewMut::Packed(packed),
            Form::Boxed(boxed) => match &mut **boxed {
                Boxed::Large(large) => ViewMut::Large(large),
                Boxed::Timed(timed) => ViewMut::Timed(timed),
            },
        }
    }

    /// An empty hash.
    pub fn new() -> Self {
        Hash(Form::Packed(Packed::new()))
    }

    pub(super) fn of_packed(packed: Packed<false>) -> Self {
        Hash(Form::Packed(packed))
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        match self.view() {
            View::Packed(packed) => packed.len() / 2,
            View::Large(large) => large.pairs.len(),
            View::Timed(timed) => timed.plain.len(),
        }
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap behind this struct.
    pub fn heap_size(&self) -> usize {
        match self.view() {
            View::Packed(packed) => packed.heap_size(),
            View::Large(large) => size_of::<Large>() + large.pairs.heap_size() + large.elem_bytes,
            View::Timed(timed) => timed.heap_size(),
        }
    }

    /// The name that Redis's OBJECT ENCODING gives this form (7.4's where fields expire).
    pub fn redis_encoding(&self) -> &'static str {
        match self.view() {
            View::Packed(_) => "listpack",
            View::Large(_) => "hashtable",
            View::Timed(timed) => match timed.plain.0 {
                Form::Packed(_) => "listpackex",
                _ => "hashtable",
            },
        }
    }

    /// The value of `field`.
    pub fn get(&self, field: &[u8]) -> Option<Item<'_>> {
        match self.view() {
            View::Packed(packed) => packed.find(field, 2).map(|at| packed.item(packed.next(at))),
            View::Large(large) => large
                .get(field)
                .map(|pair| Item::borrowed(pair.value.as_bytes())),
            View::Timed(timed) => timed.plain.get(field),
        }
    }

    /// Whether `field` is there.
    pub fn contains(&self, field: &[u8]) -> bool {
        match self.view() {
            View::Packed(packed) => packed.find(field, 2).is_some(),
            View::Large(large) => large.get(field).is_some(),
            View::Timed(timed) => timed.plain.contains(field),
        }
    }

    /// Sets the value of `field`, which then expires no more; returns whether the field is new.
    pub fn insert(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.insert_within(field, value, &Limits::REDIS_7)
    }

    /// As [`Hash::insert`], with other limits than Redis's defaults for the packed form.
    pub fn insert_within(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        if let ViewMut::Timed(timed) = self.view_mut() {
            let is_new = timed.plain.insert_within(field, value, limits);
            self.forget_time(field);
            return is_new;
        }
        if let Form::Packed(packed) = &mut self.0
            && field.len().max(value.len()) <= limits.hash_max_listpack_value
        {
            if let Some(at) = packed.find(field, 2) {
                packed.replace(packed.next(at), &Encoder::of(value));
                return false;
            }
            if packed.len() / 2 < limits.hash_max_listpack_entries.min(MAX_ENTRIES / 2) {
                packed.push(&Encoder::of(field).bytes(value));
                return true;
            }
        }
        self.large().insert(field, value)
    }

    /// The large form, converted to when need be.
    fn large(&mut self) -> &mut Large {
        if let Form::Packed(_) = self.0 {
            let mut large = Large {
                pairs: Buckets::new(),
                elem_bytes: 0,
            };
            for (field, value) in self.iter() {
                large.insert(&field, &value);
            }
            self.0 = Form::Boxed(Box::new(Boxed::Large(large)));
        }
        match self.view_mut() {
            ViewMut::Large(large) => large,
            _ => unreachable!("converted above"),
        }
    }

    /// Removes `field`; returns whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self.view_mut() {
            ViewMut::Packed(packed) => match packed.find(field, 2) {
                Some(at) => {
                    packed.remove(at, 2);
                    true
                }
                None => false,
            },
            ViewMut::Large(large) => large.remove(field),
            ViewMut::Timed(timed) => {
                let removed = timed.plain.remove(field);
                self.forget_time(field);
                removed
            }
        }
    }

    /// All fields with their values.
    pub fn iter(&self) -> HashIter<'_> {
        HashIter(match self.view() {
            View::Timed(timed) => return timed.plain.iter(),
            View::Packed(packed) => FormIter::Packed(packed.iter()),
            View::Large(large) => FormIter::Large(large.pairs.iter()),
        })
    }

    /// Visits some fields; see the [module](super) for the cursor.
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8], &[u8])) -> u64 {
        match self.view() {
            View::Packed(_) => {
                self.iter().for_each(|(field, value)| visit(&field, &value));
                0
            }
            View::Large(large) => large.pairs.scan(cursor, &mut |pair| {
                let (field, value) = pair.as_bytes();
                visit(field, value);
            }),
            View::Timed(timed) => timed.plain.scan(cursor, visit),
        }
    }

    /// A random field with its value, each with the same chance.
    pub fn random(&self, rng: &mut dyn FnMut() -> u64) -> Option<(Item<'_>, Item<'_>)> {
        match self.view() {
            View::Packed(packed) if packed.is_empty() => None,
            View::Packed(packed) => {
                let at = packed.seek(2 * super::below(rng, packed.len() / 2));
                Some((packed.item(at), packed.item(packed.next(at))))
            }
            View::Large(large) => {
                let (field, value) = large.pairs.random(rng)?.as_bytes();
                Some((Item::borrowed(field), Item::borrowed(value)))
            }
            View::Timed(timed) => timed.plain.random(rng),
        }
    }

    /// Reads on from `cursor`; see the [module](super).
    pub fn chunk(
        &self,
        cursor: u64,
        max_bytes: usize,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Option<u64> {
        if let View::Timed(timed) = self.view() {
            return timed.plain.chunk(cursor, max_bytes, visit);
        }
        let mut bytes = 0;
        let mut count = |field: &[u8], value: &[u8]| {
            visit(field, value);
            bytes += field.len() + value.len();
            bytes < max_bytes
        };
        match self.view() {
            View::Packed(packed) => packed.chunk(cursor, 2, &mut |at| {
                count(&packed.item(at), &packed.item(packed.next(at)))
            }),
            View::Large(large) => large.pairs.chunk(cursor, &mut |pair| {
                let (field, value) = pair.as_bytes();
                count(field, value)
            }),
            View::Timed(_) => unreachable!("read above"),
        }
    }

    /// Drops about `max_items` fields; true when none are left. See the [module](super).
    pub fn free_slice(&mut self, max_items: usize) -> bool {
        match self.view_mut() {
            ViewMut::Packed(packed) => *packed = Packed::new(),
            ViewMut::Large(large) => {
                let elem_bytes = &mut large.elem_bytes;
                large
                    .pairs
                    .free_slice(max_items, |pair| *elem_bytes -= pair.heap());
            }
            ViewMut::Timed(timed) => return timed.free_slice(max_items),
        }
        self.is_empty()
    }
}

/// The fields of a hash with their values.
#[derive(Clone)]
pub struct HashIter<'a>(FormIter<'a>);

#[derive(Clone)]
enum FormIter<'a> {
    Packed(packed::Iter<'a, false>),
    Large(buckets::Iter<'a, Pair>),
}

impl<'a> Iterator for HashIter<'a> {
    type Item = (Item<'a>, Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            FormIter::Packed(iter) => Some((iter.next()?, iter.next()?)),
            FormIter::Large(iter) => {
                let (field, value) = iter.next()?.as_bytes();
                Some((Item::borrowed(field), Item::borrowed(value)))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            FormIter::Packed(iter) => (
                iter.size_hint().0 / 2,
                iter.size_hint().1.map(|high| high / 2),
            ),
            FormIter::Large(iter) => iter.size_hint(),
        }
    }
}

impl ExactSizeIterator for HashIter<'_> {}

#[cfg(test)]
mod tests;
