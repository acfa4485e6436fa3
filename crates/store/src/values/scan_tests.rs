//! The guarantee of HSCAN, SSCAN and ZSCAN: an element that is there from the first call to the last is visited, while the value
//! leaves its packed form, grows and shrinks. The property is also tried on scans with a bug, and has to find every one of them.

use super::buckets::Buckets;
use super::test_kit::random_bits;
use super::{Hash, Set, ZSet, below, elem};
use std::collections::BTreeSet;
use std::ops::Range;

/// Storms that the true scans stand, and within which every bug must show.
const SEEDS: Range<u64> = 0..16;
const MOST_CALLS: usize = 20_000;

/// A collection of numbers, by name, in one of the three types.
trait Collection {
    fn new() -> Self;
    fn insert(&mut self, number: u32);
    fn remove(&mut self, number: u32);
    fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8])) -> u64;
    /// All elements in their order.
    fn names(&self) -> Vec<Vec<u8>>;
}

fn name(number: u32) -> String {
    match number % 2 {
        0 => format!("element:{number}"),
        _ => number.to_string(),
    }
}

fn number(name: &[u8]) -> u32 {
    let digits = name.strip_prefix(b"element:").unwrap_or(name);
    String::from_utf8_lossy(digits)
        .parse()
        .expect("a name of ours")
}

impl Collection for Hash {
    fn new() -> Hash {
        Hash::new()
    }
    fn insert(&mut self, number: u32) {
        Hash::insert(self, name(number).as_bytes(), b"value");
    }
    fn remove(&mut self, number: u32) {
        Hash::remove(self, name(number).as_bytes());
    }
    fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8])) -> u64 {
        Hash::scan(self, cursor, &mut |field, _| visit(field))
    }
    fn names(&self) -> Vec<Vec<u8>> {
        self.iter().map(|(field, _)| field.to_vec()).collect()
    }
}

impl Collection for Set {
    fn new() -> Set {
        Set::new()
    }
    fn insert(&mut self, number: u32) {
        Set::insert(self, name(number).as_bytes());
    }
    fn remove(&mut self, number: u32) {
        Set::remove(self, name(number).as_bytes());
    }
    fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8])) -> u64 {
        Set::scan(self, cursor, visit)
    }
    fn names(&self) -> Vec<Vec<u8>> {
        self.iter().map(|member| member.to_vec()).collect()
    }
}

impl Collection for ZSet {
    fn new() -> ZSet {
        ZSet::new()
    }
    fn insert(&mut self, number: u32) {
        ZSet::insert(self, name(number).as_bytes(), f64::from(number % 77));
    }
    fn remove(&mut self, number: u32) {
        ZSet::remove(self, name(number).as_bytes());
    }
    fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8])) -> u64 {
        ZSet::scan(self, cursor, &mut |member, _| visit(member))
    }
    fn names(&self) -> Vec<Vec<u8>> {
        self.iter().map(|(member, _)| member.to_vec()).collect()
    }
}

/// A table of numbers: what large forms are made of.
struct Bare(Buckets<u32>);

fn mixed(number: &u32) -> u64 {
    elem::hash(&number.to_le_bytes())
}

impl Collection for Bare {
    fn new() -> Bare {
        Bare(Buckets::new())
    }
    fn insert(&mut self, number: u32) {
        let hash = mixed(&number);
        if self.0.find(hash, |&other| other == number).is_none() {
            self.0.insert_new(hash, number, mixed);
        }
    }
    fn remove(&mut self, number: u32) {
        self.0
            .remove(mixed(&number), |&other| other == number, mixed);
    }
    fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8])) -> u64 {
        self.0
            .scan(cursor, &mut |&number| visit(name(number).as_bytes()))
    }
    fn names(&self) -> Vec<Vec<u8>> {
        self.0
            .iter()
            .map(|&number| name(number).into_bytes())
            .collect()
    }
}

/// How many of those that stayed were missed.
fn missed<C: Collection>(seed: u64, scan: impl Fn(&C, u64, &mut dyn FnMut(&[u8])) -> u64) -> usize {
    let mut rng = random_bits(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let start = [20, 100, 400, 1200][below(&mut rng, 4)];
    let universe = 4 * start;
    // Growing, shrinking, or both by turns.
    let mut inserts = [10, 50, 95][below(&mut rng, 3)];
    let mut value = C::new();
    (0..start as u32).for_each(|number| value.insert(number));
    if below(&mut rng, 2) == 0 {
        // As sparse as a table gets: from here on every few removals join two buckets.
        (start as u32..universe as u32).for_each(|number| value.insert(number));
        (start as u32..universe as u32).for_each(|number| value.remove(number));
    }
    let mut stay: BTreeSet<u32> = (0..start as u32).collect();
    let (mut seen, mut cursor) = (BTreeSet::new(), 0);
    for call in 0.. {
        assert!(call < MOST_CALLS, "seed {seed}: no end");
        cursor = scan(&value, cursor, &mut |name| {
            seen.insert(number(name));
        });
        if cursor == 0 {
            break;
        }
        for _ in 0..below(&mut rng, 1 + start / 20) {
            let number = below(&mut rng, universe) as u32;
            if below(&mut rng, 100) < inserts {
                value.insert(number);
            } else {
                value.remove(number);
                stay.remove(&number);
            }
        }
        if below(&mut rng, 150) == 0 {
            inserts = 100 - inserts;
        }
    }
    stay.difference(&seen).count()
}

#[test]
fn whoever_stays_is_visited() {
    for seed in SEEDS {
        assert_eq!(missed(seed, Hash::scan_names), 0, "hash, seed {seed}");
        assert_eq!(missed(seed, Set::scan_names), 0, "set, seed {seed}");
        assert_eq!(missed(seed, ZSet::scan_names), 0, "sorted set, seed {seed}");
        assert_eq!(missed(seed, Bare::scan_names), 0, "table, seed {seed}");
    }
}

/// The scan of the type itself, as a function.
trait ScanNames: Collection {
    fn scan_names(&self, cursor: u64, visit: &mut dyn FnMut(&[u8])) -> u64 {
        self.scan(cursor, visit)
    }
}

impl<C: Collection> ScanNames for C {}

/// Bug: the cursor counts elements, as one might page a packed form.
fn by_offset<C: Collection>(value: &C, cursor: u64, visit: &mut dyn FnMut(&[u8])) -> u64 {
    const COUNT: usize = 10;
    let names = value.names();
    let rest = names.iter().skip(cursor as usize);
    rest.take(COUNT).for_each(|name| visit(name));
    let next = cursor as usize + COUNT;
    if next < names.len() { next as u64 } else { 0 }
}

/// Bug: buckets in ascending order. Right as long as none are joined.
fn ascending(value: &Bare, cursor: u64, visit: &mut dyn FnMut(&[u8])) -> u64 {
    value.scan(cursor, visit);
    if cursor + 1 < value.0.bucket_count() as u64 {
        cursor + 1
    } else {
        0
    }
}

/// Bug: the order of reversed bits, but all buckets count as deep as the deepest ones are. Right as long as
/// there is a power of two of them.
fn too_deep(value: &Bare, cursor: u64, visit: &mut dyn FnMut(&[u8])) -> u64 {
    value.scan(cursor, visit);
    let shift = 64 - value.0.bucket_count().ilog2();
    match value.0.bucket_count() {
        1 => 0,
        _ => (((cursor.reverse_bits() >> shift) + 1) << shift).reverse_bits(),
    }
}

#[test]
fn bugs_are_found() {
    let find = |name: &str, missed: &dyn Fn(u64) -> usize| {
        let found = SEEDS.into_iter().find(|&seed| missed(seed) > 0);
        println!("{name}: seed {found:?}");
        assert!(found.is_some(), "nobody notices the bug {name:?}");
    };
    find("hash by offset", &|seed| missed(seed, by_offset::<Hash>));
    find("set by offset", &|seed| missed(seed, by_offset::<Set>));
    find("sorted set by offset", &|seed| {
        missed(seed, by_offset::<ZSet>)
    });
    find("ascending", &|seed| missed(seed, ascending));
    find("too deep", &|seed| missed(seed, too_deep));
}
