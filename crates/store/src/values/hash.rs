//! Hashes: fields with values.

use std::fmt;

use super::buckets::{self, Buckets};
use super::elem::{self, Elem};
use super::limits::Limits;
use crate::packed::{self, Encoder, Item, MAX_ENTRIES, Packed};

/// A hash: fields with values.
///
/// Packed, it keeps the order in which fields came; large, it has none.
#[derive(Clone)]
pub struct Hash(Form);

#[derive(Clone)]
enum Form {
    /// Field, value, field, value, …
    Packed(Packed<false>),
    Large(Box<Large>),
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
    /// An empty hash.
    pub fn new() -> Self {
        Hash(Form::Packed(Packed::new()))
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.len() / 2,
            Form::Large(large) => large.pairs.len(),
        }
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap behind this struct.
    pub fn heap_size(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.heap_size(),
            Form::Large(large) => size_of::<Large>() + large.pairs.heap_size() + large.elem_bytes,
        }
    }

    /// The name that Redis 7.0's OBJECT ENCODING gives this form.
    pub fn redis_encoding(&self) -> &'static str {
        match &self.0 {
            Form::Packed(_) => "listpack",
            Form::Large(_) => "hashtable",
        }
    }

    /// The value of `field`.
    pub fn get(&self, field: &[u8]) -> Option<Item<'_>> {
        match &self.0 {
            Form::Packed(packed) => packed.find(field, 2).map(|at| packed.item(packed.next(at))),
            Form::Large(large) => large
                .get(field)
                .map(|pair| Item::borrowed(pair.value.as_bytes())),
        }
    }

    /// Whether `field` is there.
    pub fn contains(&self, field: &[u8]) -> bool {
        match &self.0 {
            Form::Packed(packed) => packed.find(field, 2).is_some(),
            Form::Large(large) => large.get(field).is_some(),
        }
    }

    /// Sets the value of `field`; returns whether the field is new.
    pub fn insert(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.insert_within(field, value, &Limits::REDIS_7)
    }

    /// As [`Hash::insert`], with other limits than Redis's defaults for the packed form.
    pub fn insert_within(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
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
            self.0 = Form::Large(Box::new(large));
        }
        match &mut self.0 {
            Form::Large(large) => large,
            Form::Packed(_) => unreachable!("converted above"),
        }
    }

    /// Removes `field`; returns whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.0 {
            Form::Packed(packed) => match packed.find(field, 2) {
                Some(at) => {
                    packed.remove(at, 2);
                    true
                }
                None => false,
            },
            Form::Large(large) => large.remove(field),
        }
    }

    /// All fields with their values.
    pub fn iter(&self) -> HashIter<'_> {
        HashIter(match &self.0 {
            Form::Packed(packed) => FormIter::Packed(packed.iter()),
            Form::Large(large) => FormIter::Large(large.pairs.iter()),
        })
    }

    /// Visits some fields; see the [module](super) for the cursor.
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8], &[u8])) -> u64 {
        match &self.0 {
            Form::Packed(_) => {
                self.iter().for_each(|(field, value)| visit(&field, &value));
                0
            }
            Form::Large(large) => large.pairs.scan(cursor, &mut |pair| {
                let (field, value) = pair.as_bytes();
                visit(field, value);
            }),
        }
    }

    /// A random field with its value, each with the same chance.
    pub fn random(&self, rng: &mut dyn FnMut() -> u64) -> Option<(Item<'_>, Item<'_>)> {
        match &self.0 {
            Form::Packed(packed) if packed.is_empty() => None,
            Form::Packed(packed) => {
                let at = packed.seek(2 * super::below(rng, packed.len() / 2));
                Some((packed.item(at), packed.item(packed.next(at))))
            }
            Form::Large(large) => {
                let (field, value) = large.pairs.random(rng)?.as_bytes();
                Some((Item::borrowed(field), Item::borrowed(value)))
            }
        }
    }

    /// Reads on from `cursor`; see the [module](super).
    pub fn chunk(
        &self,
        cursor: u64,
        max_bytes: usize,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Option<u64> {
        let mut bytes = 0;
        let mut count = |field: &[u8], value: &[u8]| {
            visit(field, value);
            bytes += field.len() + value.len();
            bytes < max_bytes
        };
        match &self.0 {
            Form::Packed(packed) => packed.chunk(cursor, 2, &mut |at| {
                count(&packed.item(at), &packed.item(packed.next(at)))
            }),
            Form::Large(large) => large.pairs.chunk(cursor, &mut |pair| {
                let (field, value) = pair.as_bytes();
                count(field, value)
            }),
        }
    }

    /// Drops about `max_items` fields; true when none are left. See the [module](super).
    pub fn free_slice(&mut self, max_items: usize) -> bool {
        match &mut self.0 {
            Form::Packed(packed) => *packed = Packed::new(),
            Form::Large(large) => {
                let elem_bytes = &mut large.elem_bytes;
                large
                    .pairs
                    .free_slice(max_items, |pair| *elem_bytes -= pair.heap());
            }
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
