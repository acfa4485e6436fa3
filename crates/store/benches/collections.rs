//! Speed, longest stall and memory of the collections: `cargo bench -p damselfly-store --bench collections [elements]`.
//!
//! Prints a row for each operation: mean time, the longest single call (a stall of the shard), and for growing
//! operations the bytes that an element costs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use damselfly_store::values::{Hash, List, ScoreBound, Set, ZSet};

const DEFAULT_ELEMENTS: usize = 1_000_000;

/// The ranks that ranges are read from, and elements of a packed collection.
const RANGE: usize = 100;
const SMALL: usize = 64;

struct Row {
    name: &'static str,
    count: usize,
    total: Duration,
    longest: Duration,
}

impl Row {
    fn print(&self, bytes: Option<usize>) {
        let mean = self.total.as_nanos() as f64 / self.count as f64;
        let bytes = bytes.map_or(String::new(), |bytes| {
            format!("{:8.1} B", bytes as f64 / self.count as f64)
        });
        println!(
            "{:34}{:10.0} ns{:12.1} µs{bytes}",
            self.name,
            mean,
            self.longest.as_nanos() as f64 / 1e3
        );
    }
}

/// Times `step` over `0..count`: once as a whole, once call by call (for the longest) on a second pass of `setup`.
fn time(name: &'static str, count: usize, mut step: impl FnMut(usize)) -> Row {
    let (mut longest, begin) = (Duration::ZERO, Instant::now());
    let mut last = begin;
    for at in 0..count {
        step(at);
        if at % 16 == 0 {
            let now = Instant::now();
            longest = longest.max(now - last);
            last = now;
        }
    }
    Row {
        name,
        count,
        total: begin.elapsed(),
        longest,
    }
}

/// The `at`th of `count` numbers in an order that jumps about.
fn shuffled(at: usize, count: usize) -> usize {
    (at.wrapping_mul(0x9e37_79b1) ^ (at >> 7)) % count
}

fn field(n: usize) -> [u8; 16] {
    let mut bytes = *b"field:0000000000";
    let mut n = n;
    for digit in bytes[6..].iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
    bytes
}

fn random_bits() -> impl FnMut() -> u64 {
    let mut state = 88_172_645_463_325_252u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

fn hashes(n: usize) {
    let mut hash = Hash::new();
    let row = time("hash insert", n, |at| {
        black_box(hash.insert(&field(at), b"value-of-a-field"));
    });
    row.print(Some(hash.heap_size()));
    time("hash get", n, |at| {
        black_box(hash.get(&field(shuffled(at, n))));
    })
    .print(None);
    let mut rng = random_bits();
    time("hash random", n / 10, |_| {
        black_box(hash.random(&mut rng));
    })
    .print(None);
    let mut cursor = 0;
    time("hash scan (a bucket)", n / 16, |_| {
        cursor = hash.scan(cursor, &mut |field, _| {
            black_box(field);
        });
    })
    .print(None);
    time("hash remove", n, |at| {
        black_box(hash.remove(&field(at)));
    })
    .print(None);
}

fn sets(n: usize) {
    let mut set = Set::new();
    let row = time("set insert", n, |at| {
        black_box(set.insert(&field(at)));
    });
    row.print(Some(set.heap_size()));
    time("set contains", n, |at| {
        black_box(set.contains(&field(shuffled(at, n))));
    })
    .print(None);
    let mut rng = random_bits();
    time("set pop_random", n, |_| {
        black_box(set.pop_random(&mut rng));
    })
    .print(None);
}

fn sorted_sets(n: usize) {
    let mut zset = ZSet::new();
    let row = time("zset insert, any order", n, |at| {
        black_box(zset.insert(&field(at), shuffled(at, n) as f64));
    });
    row.print(Some(zset.heap_size()));
    time("zset score", n, |at| {
        black_box(zset.score(&field(shuffled(at, n))));
    })
    .print(None);
    time("zset rank", n, |at| {
        black_box(zset.rank(&field(shuffled(at, n))));
    })
    .print(None);
    time("zset range of 100 by score", n / 100, |at| {
        let ranks = zset.score_ranks(
            ScoreBound::Inclusive(shuffled(at, n) as f64),
            ScoreBound::Inclusive(f64::INFINITY),
        );
        black_box(zset.iter_from_rank(ranks.start).take(RANGE).count());
    })
    .print(None);
    time("zset new score", n, |at| {
        black_box(zset.insert(&field(shuffled(at, n)), at as f64));
    })
    .print(None);
    time("zset remove", n, |at| {
        black_box(zset.remove(&field(at)));
    })
    .print(None);
    let row = time("zset insert, in order", n, |at| {
        black_box(zset.insert(&field(at), at as f64));
    });
    row.print(Some(zset.heap_size()));
}

fn lists(n: usize) {
    let mut list = List::new();
    let row = time("list push_back", n, |at| list.push_back(&field(at)));
    row.print(Some(list.heap_size()));
    time("list get, any index", n / 10, |at| {
        black_box(list.get(shuffled(at, n)));
    })
    .print(None);
    time("list insert in the middle", n / 100, |_| {
        list.insert(list.len() / 2, b"between")
    })
    .print(None);
    time("list iterate", 1, |_| {
        black_box(list.iter().map(|item| item.len()).sum::<usize>());
    })
    .print(None);
    time("list pop_front", n, |_| {
        black_box(list.pop_front());
    })
    .print(None);
}

fn small(n: usize) {
    let n = n / SMALL;
    let mut hash = Hash::new();
    time("packed hash: 64 fields", n, |_| {
        hash = Hash::new();
        (0..SMALL).for_each(|at| {
            hash.insert(&field(at), b"1000");
        });
    })
    .print(None);
    time("packed hash: get of 64 fields", n, |_| {
        (0..SMALL).for_each(|at| {
            black_box(hash.get(&field(at)));
        });
    })
    .print(None);
    time("packed zset: 64 members", n, |_| {
        let mut zset = ZSet::new();
        (0..SMALL).for_each(|at| {
            zset.insert(&field(at), (at * 7 % SMALL) as f64);
        });
        black_box(&zset);
    })
    .print(None);
    time("packed list: 64 elements", n, |_| {
        let mut list = List::new();
        (0..SMALL).for_each(|at| list.push_back(&field(at)));
        black_box(&list);
    })
    .print(None);
}

fn main() {
    let count = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let n = count.unwrap_or(DEFAULT_ELEMENTS);
    println!(
        "{n} elements of 16 bytes; the longest is of 16 calls together\n{:34}{:>13}{:>15}",
        "", "mean", "longest"
    );
    hashes(n);
    sets(n);
    sorted_sets(n);
    lists(n);
    small(n);
}
