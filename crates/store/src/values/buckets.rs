//! A hash table of small buckets that grows and shrinks by one bucket at a time.
//!
//! Linear hashing (Litwin, VLDB 1980): with `n` buckets, 2^L ≤ n < 2^(L+1), an element's bucket is its hash modulo
//! 2^(L+1), or modulo 2^L where that bucket does not exist yet. Bucket `n` splits off bucket `n - 2^L`.
//! Read the low bits of the hash as a path from the root of a binary tree, and each bucket is a subtree: a
//! cursor that walks the tree from left to right (reversed bits, as Redis's SCAN does) stays true
//! through splits and merges.
//!
//! A bucket's elements are one allocation with little slack, beside a byte of each element's hash: it
//! takes less memory than open addressing, and no operation moves more than a bucket.

use super::segvec::SegVec;

/// Elements in a bucket on average, at most.
const TARGET: usize = 16;

/// Buckets merge when they are filled to less than one in so many of `TARGET`.
const MERGE_BELOW: usize = 4;

/// How many elements of a bucket have a tag; buckets rarely grow beyond.
const TAGS: usize = 32;

/// Spare places that a bucket gets when it is full.
const STEP: usize = 4;

/// Bits of a chunk cursor that count elements within a bucket.
const ITEM_BITS: u32 = 24;

/// A hash table of `T`, hashed by its owner.
#[derive(Clone, Debug)]
pub(super) struct Buckets<T> {
    buckets: SegVec<Bucket<T>>,
    len: usize,
    /// Capacity of all buckets together.
    slots: usize,
    /// No bucket has more elements.
    tallest: usize,
}

#[derive(Debug)]
struct Bucket<T> {
    tags: [u8; TAGS],
    items: Vec<T>,
}

impl<T: Clone> Clone for Bucket<T> {
    fn clone(&self) -> Self {
        let mut items = Vec::with_capacity(self.items.capacity());
        items.extend_from_slice(&self.items);
        Bucket {
            tags: self.tags,
            items,
        }
    }
}

fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8
}

impl<T> Bucket<T> {
    const fn new() -> Self {
        Bucket {
            tags: [0; TAGS],
            items: Vec::new(),
        }
    }

    #[inline]
    fn find(&self, hash: u64, eq: impl Fn(&T) -> bool) -> Option<usize> {
        let tag = tag(hash);
        let tagged = self.items.len().min(TAGS);
        for (at, &other) in self.tags[..tagged].iter().enumerate() {
            if other == tag && eq(&self.items[at]) {
                return Some(at);
            }
        }
        (tagged..self.items.len()).find(|&at| eq(&self.items[at]))
    }

    fn push(&mut self, hash: u64, item: T) {
        if let Some(place) = self.tags.get_mut(self.items.len()) {
            *place = tag(hash);
        }
        if self.items.len() == self.items.capacity() {
            self.items.reserve_exact(STEP);
        }
        self.items.push(item);
    }

    fn remove(&mut self, at: usize, rehash: &impl Fn(&T) -> u64) -> T {
        let item = self.items.swap_remove(at);
        if let (Some(moved), Some(place)) = (self.items.get(at), self.tags.get_mut(at)) {
            *place = tag(rehash(moved));
        }
        item
    }

    fn trim(&mut self) {
        if self.items.capacity() - self.items.len() >= 2 * STEP {
            self.items
                .shrink_to(self.items.len().next_multiple_of(STEP));
        }
    }
}

impl<T> Buckets<T> {
    pub(super) const fn new() -> Self {
        Buckets {
            buckets: SegVec::new(),
            len: 0,
            slots: 0,
            tallest: 0,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated, without what the elements own.
    pub(super) fn heap_size(&self) -> usize {
        self.buckets.heap_size() + self.slots * size_of::<T>()
    }

    /// The level L of the table: the highest bit of the number of buckets.
    fn level(&self) -> u32 {
        self.buckets.len().ilog2()
    }

    /// The bucket of `hash`, in a table that has one.
    #[inline]
    fn address(&self, hash: u64) -> usize {
        let level = self.level();
        let wide = (hash & ((2 << level) - 1)) as usize;
        if wide < self.buckets.len() {
            wide
        } else {
            wide & ((1 << level) - 1)
        }
    }

    /// How many low bits of the hash lead to bucket `at`.
    fn depth(&self, at: usize) -> u32 {
        let level = self.level();
        let full = 1 << level;
        if at >= full || at < self.buckets.len() - full {
            level + 1
        } else {
            level
        }
    }

    #[inline]
    fn locate(&self, hash: u64, eq: impl Fn(&T) -> bool) -> Option<(usize, usize)> {
        if self.len == 0 {
            return None;
        }
        let bucket = self.address(hash);
        Some((bucket, self.buckets[bucket].find(hash, eq)?))
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, eq: impl Fn(&T) -> bool) -> Option<&T> {
        let (bucket, at) = self.locate(hash, eq)?;
        Some(&self.buckets[bucket].items[at])
    }

    pub(super) fn find_mut(&mut self, hash: u64, eq: impl Fn(&T) -> bool) -> Option<&mut T> {
        let (bucket, at) = self.locate(hash, eq)?;
        Some(&mut self.buckets[bucket].items[at])
    }

    /// Adds an element that is not in the table.
    pub(super) fn insert_new(&mut self, hash: u64, item: T, rehash: impl Fn(&T) -> u64) {
        if self.buckets.len() == 0 {
            self.buckets.push(Bucket::new());
        }
        let at = self.address(hash);
        self.change(at, |bucket| bucket.push(hash, item));
        self.len += 1;
        if self.len > self.buckets.len() * TARGET {
            self.split(rehash);
        }
    }

    pub(super) fn remove(
        &mut self,
        hash: u64,
        eq: impl Fn(&T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) -> Option<T> {
        let (bucket, at) = self.locate(hash, eq)?;
        let item = self.remove_at(bucket, at, &rehash);
        Some(item)
    }

    fn remove_at(&mut self, bucket: usize, at: usize, rehash: &impl Fn(&T) -> u64) -> T {
        let item = self.change(bucket, |bucket| {
            let item = bucket.remove(at, rehash);
            bucket.trim();
            item
        });
        self.len -= 1;
        if self.len < self.buckets.len() * TARGET / MERGE_BELOW && self.buckets.len() > 1 {
            self.merge(rehash);
        }
        item
    }

    /// Changes a bucket and keeps the sums true.
    fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut Bucket<T>) -> R) -> R {
        let bucket = &mut self.buckets[at];
        let before = bucket.items.capacity();
        let result = change(bucket);
        self.slots = self.slots - before + bucket.items.capacity();
        self.tallest = self.tallest.max(bucket.items.len());
        result
    }

    fn split(&mut self, rehash: impl Fn(&T) -> u64) {
        let new = self.buckets.len();
        let mask = (2u64 << self.level()) - 1;
        let source = new - (1 << self.level());
        self.buckets.push(Bucket::new());
        let items = self.change(source, |bucket| std::mem::take(&mut bucket.items));
        for item in items {
            let hash = rehash(&item);
            let at = if hash & mask == new as u64 {
                new
            } else {
                source
            };
            self.change(at, |bucket| bucket.push(hash, item));
        }
    }

    fn merge(&mut self, rehash: &impl Fn(&T) -> u64) {
        let last = self.buckets.pop().expect("there is more than one bucket");
        self.slots -= last.items.capacity();
        let target = self.buckets.len() - (1 << self.level());
        for item in last.items {
            let hash = rehash(&item);
            self.change(target, |bucket| bucket.push(hash, item));
        }
    }

    /// Visits the elements of one bucket; see [`super`] for the cursor.
    pub(super) fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&T)) -> u64 {
        if self.len == 0 {
            return 0;
        }
        let at = self.address(cursor);
        self.buckets[at].items.iter().for_each(visit);
        next_in_reversed_order(cursor, self.depth(at))
    }

    /// A random element, each with the same chance.
    pub(super) fn random(&self, rng: &mut dyn FnMut() -> u64) -> Option<&T> {
        let (bucket, at) = self.random_place(rng)?;
        Some(&self.buckets[bucket].items[at])
    }

    /// Removes a random element, each with the same chance.
    pub(super) fn pop_random(
        &mut self,
        rng: &mut dyn FnMut() -> u64,
        rehash: impl Fn(&T) -> u64,
    ) -> Option<T> {
        let (bucket, at) = self.random_place(rng)?;
        Some(self.remove_at(bucket, at, &rehash))
    }

    /// Draws a bucket and a place in the tallest one until there is an element: about three draws.
    fn random_place(&self, rng: &mut dyn FnMut() -> u64) -> Option<(usize, usize)> {
        if self.len == 0 {
            return None;
        }
        loop {
            let bucket = super::below(rng, self.buckets.len());
            let at = super::below(rng, self.tallest);
            if at < self.buckets[bucket].items.len() {
                return Some((bucket, at));
            }
        }
    }

    /// Reads on from `cursor` until `visit` says to stop (false); `None` when all is read.
    pub(super) fn chunk(&self, cursor: u64, visit: &mut dyn FnMut(&T) -> bool) -> Option<u64> {
        let mut bucket = (cursor >> ITEM_BITS) as usize;
        let mut at = (cursor & ((1 << ITEM_BITS) - 1)) as usize;
        while bucket < self.buckets.len() {
            for item in self.buckets[bucket].items.iter().skip(at) {
                at += 1;
                if !visit(item) {
                    return Some((bucket as u64) << ITEM_BITS | at as u64);
                }
            }
            (bucket, at) = (bucket + 1, 0);
        }
        None
    }

    pub(super) fn iter(&self) -> Iter<'_, T> {
        Iter {
            table: self,
            bucket: 0,
            items: [].iter(),
            left: self.len,
        }
    }

    /// Drops the elements of whole buckets until about `max_items` are gone; gives each to `dropped`.
    pub(super) fn free_slice(&mut self, max_items: usize, mut dropped: impl FnMut(&T)) {
        let mut freed = 0;
        while freed < max_items {
            let Some(bucket) = self.buckets.pop() else {
                return;
            };
            bucket.items.iter().for_each(&mut dropped);
            self.slots -= bucket.items.capacity();
            self.len -= bucket.items.len();
            freed += bucket.items.len().max(1);
        }
    }
}

/// The cursor behind the subtree of `depth` bits that `cursor` is in; 0 behind the last.
fn next_in_reversed_order(cursor: u64, depth: u32) -> u64 {
    if depth == 0 {
        return 0;
    }
    let place = cursor.reverse_bits() >> (64 - depth);
    ((place + 1) << (64 - depth)).reverse_bits()
}

/// All elements of a table.
#[derive(Clone, Debug)]
pub(super) struct Iter<'a, T> {
    table: &'a Buckets<T>,
    bucket: usize,
    items: std::slice::Iter<'a, T>,
    left: usize,
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(item) = self.items.next() {
                self.left -= 1;
                return Some(item);
            }
            if self.left == 0 {
                return None;
            }
            self.items = self.table.buckets[self.bucket].items.iter();
            self.bucket += 1;
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

#[cfg(test)]
mod tests;
