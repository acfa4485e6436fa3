//! Small collections out of all their elements at once: one allocation of the right size, where adding one element after the other would make
//! the blob anew for each.

use super::{Hash, Limits, List, Set, ZSet};
use crate::packed::{
    Item, Packed, Raw, Scratch, put_back_len, put_bytes, put_int, put_score, read_element,
};
use smallvec::SmallVec;

/// Elements beyond which collections are not gathered.
const MOST_ELEMENTS: usize = 1024;
/// Bytes of entries that no collection gets to that is gathered: the limits of the packed forms are below.
const MOST_BYTES: usize = 80 << 10;

/// The elements of a collection in its order, as they were read somewhere. Used again for the next one, it keeps its memory.
///
/// What it makes is what inserting them into an empty collection one by one would make; where that would not be a
/// small collection of different elements in good order it makes nothing.
///
/// ```
/// use damselfly_store::values::{Gather, Hash};
/// let mut gather = Gather::default();
/// gather.bytes(b"colour");
/// gather.bytes(b"blue");
/// let hash: Hash = gather.hash().expect("small");
/// assert_eq!(hash.get(b"colour").as_deref(), Some(&b"blue"[..]));
/// ```
#[derive(Debug, Default)]
pub struct Gather {
    bytes: Scratch,
    /// Where entries end in it.
    ends: SmallVec<[u32; 64]>,
    linked: bool,
    /// Bytes of the longest string.
    longest: usize,
    /// Elements that are not integers.
    strings: usize,
    has_nan: bool,
}

impl Gather {
    /// Begins anew: a list, or another collection.
    pub fn begin(&mut self, is_list: bool) {
        if self.bytes.len() > MOST_BYTES {
            self.bytes = Scratch::new();
        }
        self.bytes.clear();
        self.ends.clear();
        (self.linked, self.longest, self.strings) = (is_list, 0, 0);
        self.has_nan = false;
    }

    /// Whether it takes no more elements.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.ends.len() >= MOST_ELEMENTS || self.bytes.len() > MOST_BYTES
    }

    /// Adds a byte string.
    #[inline]
    pub fn bytes(&mut self, element: &[u8]) {
        let start = self.bytes.len();
        put_bytes(&mut self.bytes, element);
        self.longest = self.longest.max(element.len());
        let is_int = matches!(read_element(&self.bytes[start..]), Raw::Int(_));
        self.strings += usize::from(!is_int);
        self.end(start);
    }

    /// Adds the byte string that spells an integer.
    #[inline]
    pub fn int(&mut self, int: i64) {
        let start = self.bytes.len();
        put_int(&mut self.bytes, int);
        self.end(start);
    }

    /// Adds the score of the member before it.
    #[inline]
    pub fn score(&mut self, score: f64) {
        let start = self.bytes.len();
        self.has_nan |= score.is_nan();
        put_score(&mut self.bytes, score);
        self.end(start);
    }

    #[inline]
    fn end(&mut self, start: usize) {
        if self.linked {
            let len = self.bytes.len() - start;
            put_back_len(&mut self.bytes, len);
        }
        self.ends.push(self.bytes.len() as u32);
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn entry(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[index] as usize]
    }

    fn packed<const LINKED: bool>(&self) -> Packed<LINKED> {
        debug_assert_eq!(LINKED, self.linked);
        Packed::from_parts(&[&self.bytes], self.len())
    }

    /// Whether there are elements, `stride` for each of at most `most`, none of them too long, and the first of each differs from all others.
    fn are_small(&self, stride: usize, most: usize, longest: usize) -> bool {
        let fit = self.longest <= longest
            && (stride..=most * stride).contains(&self.len())
            && self.len().is_multiple_of(stride);
        fit && {
            let entries = (0..self.len()).step_by(stride);
            let mut entries: SmallVec<[&[u8]; 64]> = entries.map(|at| self.entry(at)).collect();
            entries.sort_unstable();
            entries.windows(2).all(|pair| pair[0] != pair[1])
        }
    }

    /// A hash: fields and values by turns.
    pub fn hash(&self) -> Option<Hash> {
        let limits = Limits::REDIS_7;
        let (most, longest) = (
            limits.hash_max_listpack_entries,
            limits.hash_max_listpack_value,
        );
        self.are_small(2, most, longest)
            .then(|| Hash::of_packed(self.packed()))
    }

    /// A list.
    pub fn list(&self) -> Option<List> {
        let packed: Packed<true> = self.packed();
        let is_small = packed.heap_size() <= Limits::REDIS_7.list_max_node_bytes;
        (is_small && !packed.is_empty()).then(|| List::of_packed(packed))
    }

    /// A set.
    pub fn set(&self) -> Option<Set> {
        let limits = Limits::REDIS_7;
        if self.strings == 0 {
            return self.int_set(limits.set_max_intset_entries);
        }
        let (most, longest) = (
            limits.set_max_listpack_entries,
            limits.set_max_listpack_value,
        );
        let is_small = self.are_small(1, most, longest) && self.first_ints_ascend();
        is_small.then(|| Set::of_packed(self.packed()))
    }

    /// Whether the integers before the first other element ascend: until then the set would have been one of integers.
    fn first_ints_ascend(&self) -> bool {
        let elements = (0..self.len()).map(|at| read_element(self.entry(at)));
        let ints = elements.map_while(|element| match element {
            Raw::Int(int) => Some(int),
            _ => None,
        });
        ints.is_sorted()
    }

    fn int_set(&self, most: usize) -> Option<Set> {
        if !(1..=most).contains(&self.len()) {
            return None;
        }
        let ints = (0..self.len()).map(|at| match read_element(self.entry(at)) {
            Raw::Int(int) => Some(int),
            _ => None,
        });
        let mut ints = ints.collect::<Option<SmallVec<[i64; 64]>>>()?;
        if !ints.is_sorted() {
            ints.sort_unstable();
        }
        let are_distinct = ints.windows(2).all(|pair| pair[0] < pair[1]);
        are_distinct.then(|| Set::of_sorted_ints(&ints))
    }

    /// A sorted set: members and scores by turns.
    pub fn zset(&self) -> Option<ZSet> {
        let limits = Limits::REDIS_7;
        let (most, longest) = (
            limits.zset_max_listpack_entries,
            limits.zset_max_listpack_value,
        );
        let fits = !self.has_nan && self.are_small(2, most, longest);
        (fits && self.is_in_order()).then(|| ZSet::of_packed(self.packed()))
    }

    /// Whether members ascend by score, then by their bytes.
    fn is_in_order(&self) -> bool {
        let pair = |at: usize| {
            let member = Item::from_raw(read_element(self.entry(at)));
            (read_element(self.entry(at + 1)).score(), member)
        };
        let mut last = pair(0);
        (2..self.len()).step_by(2).all(|at| {
            let next = pair(at);
            let ascends =
                last.0 < next.0 || last.0 == next.0 && last.1.as_bytes() < next.1.as_bytes();
            last = next;
            ascends
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(97u8..100, 0..4),
            proptest::collection::vec(any::<u8>(), 0..70),
            any::<i64>().prop_map(|int| int.to_string().into_bytes()),
            (-300i64..300).prop_map(|int| int.to_string().into_bytes()),
        ]
    }

    fn elements() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop_oneof![
            proptest::collection::vec(element(), 0..20),
            proptest::collection::vec(element(), 0..300),
            proptest::collection::vec(
                any::<i16>().prop_map(|int| int.to_string().into_bytes()),
                0..600
            ),
        ]
    }

    fn gathered(elements: &[Vec<u8>], is_list: bool) -> Gather {
        let mut gather = Gather::default();
        gather.bytes(b"of another one");
        gather.begin(is_list);
        for element in elements {
            let text = std::str::from_utf8(element).ok();
            match text.and_then(|text| text.parse::<i64>().ok()) {
                Some(int) if int.to_string().as_bytes() == element => gather.int(int),
                _ => gather.bytes(element),
            }
        }
        gather
    }

    proptest! {
        #[test]
        fn makes_what_one_insertion_after_the_other_makes(elements in elements()) {
            if let Some(list) = gathered(&elements, true).list() {
                let mut expected = List::new();
                elements.iter().for_each(|element| expected.push_back(element));
                prop_assert_eq!(format!("{list:?}"), format!("{expected:?}"));
                prop_assert_eq!(list.heap_size(), expected.heap_size());
            }
            let gather = gathered(&elements, false);
            if let Some(set) = gather.set() {
                let mut expected = Set::new();
                for element in &elements {
                    prop_assert!(expected.insert(element) && set.contains(element));
                }
                prop_assert_eq!(set.len(), expected.len());
                prop_assert_eq!(set.is_intset(), expected.is_intset());
                prop_assert_eq!(set.heap_size(), expected.heap_size());
            }
            if let Some(hash) = gather.hash() {
                let mut expected = Hash::new();
                for pair in elements.chunks(2) {
                    prop_assert!(expected.insert(&pair[0], &pair[1]));
                }
                prop_assert_eq!(format!("{hash:?}"), format!("{expected:?}"));
                prop_assert_eq!(hash.heap_size(), expected.heap_size());
            }
        }

        #[test]
        fn sorted_sets_are_what_insertion_makes(
            mut pairs in proptest::collection::vec((element(), -3i32..3, any::<bool>()), 0..140),
            sorted in any::<bool>(),
        ) {
            let score = |tenths: i32| f64::from(tenths) / 10.0;
            if sorted {
                pairs.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
            }
            let mut gather = Gather::default();
            let mut expected = ZSet::new();
            for (member, tenths, _) in &pairs {
                gather.bytes(member);
                gather.score(score(*tenths));
                expected.insert(member, score(*tenths));
            }
            if let Some(zset) = gather.zset() {
                prop_assert_eq!(zset.len(), pairs.len());
                prop_assert_eq!(format!("{zset:?}"), format!("{expected:?}"));
                prop_assert_eq!(zset.heap_size(), expected.heap_size());
                prop_assert_eq!(zset.redis_encoding(), expected.redis_encoding());
            }
        }
    }

    #[test]
    fn what_is_not_small_or_not_in_order_is_left_alone() {
        let two = |first: &[u8], second: &[u8]| gathered(&[first.to_vec(), second.to_vec()], false);
        assert!(two(b"a", b"a").set().is_none() && two(b"7", b"7").set().is_none());
        assert!(two(b"a", b"b").set().is_some() && two(b"8", b"7").set().is_some());
        assert!(two(b"a", &[b'x'; 65]).hash().is_none() && two(b"a", &[b'x'; 64]).hash().is_some());
        assert!(gathered(&[b"a".to_vec()], false).hash().is_none());
        assert!(gathered(&[], true).list().is_none() && gathered(&[], false).set().is_none());
        let mut gather = Gather::default();
        for (member, score) in [(b"b", 1.0), (b"a", 1.0)] {
            gather.bytes(member);
            gather.score(score);
        }
        assert!(gather.zset().is_none());
        gather.begin(false);
        gather.bytes(b"a");
        gather.score(f64::NAN);
        assert!(gather.zset().is_none());
    }
}
