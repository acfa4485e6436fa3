//! Speed and memory of a shard with 1 M keys of 16 bytes: `cargo bench -p damselfly-store --bench shard [keys]`.
//!
//! Prints nanoseconds an operation (the median of several rounds over all keys in random order), the longest single
//! insert, and bytes an entry: what the shard accounts for, and what the process grew by.

use damselfly_store::{DbIndex, Observer, Shard, ShardOptions, StrValue, Value};
use std::hint::black_box;
use std::time::{Duration, Instant};

const DB: DbIndex = DbIndex(0);
const ROUNDS: usize = 5;
const VALUE: [u8; 64] = [b'v'; 64];

/// Key number `i`: 16 bytes of text.
fn key(i: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = i;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// Keys in an order that no cache foresees.
fn shuffled(count: u64) -> Vec<[u8; 16]> {
    let mut keys: Vec<_> = (0..count).map(key).collect();
    let mut state = 88_172_645_463_325_252u64;
    for i in (1..keys.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        keys.swap(i, (state % (i as u64 + 1)) as usize);
    }
    keys
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm
        .split(' ')
        .nth(1)
        .and_then(|field| field.parse().ok())
        .unwrap_or(0);
    pages * 4096
}

fn report(name: &str, count: usize, mut round: impl FnMut()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "{name:<44} {:8.1} ns",
        times[ROUNDS / 2].as_nanos() as f64 / count as f64
    );
}

fn new_shard() -> Shard {
    Shard::new(ShardOptions {
        dbnum: 16,
        hash_seed: 42,
    })
}

fn fill(keys: &[[u8; 16]], value: &[u8]) -> Shard {
    let mut shard = new_shard();
    let mut longest = Duration::ZERO;
    let start = Instant::now();
    for key in keys {
        let before = Instant::now();
        shard.insert(DB, key, Value::string(value), None);
        longest = longest.max(before.elapsed());
    }
    let each = start.elapsed().as_nanos() as f64 / keys.len() as f64;
    println!(
        "insert of new keys, {:2}-byte values {:>17.1} ns (clock included), longest {longest:?}",
        value.len(),
        each
    );
    shard
}

fn memory(keys: &[[u8; 16]], value: &[u8]) {
    let before = resident_bytes();
    let shard = fill(keys, value);
    let accounted = shard.memory(DB).total() as f64 / keys.len() as f64;
    let over = accounted - 16.0 - value.len() as f64;
    let resident = (resident_bytes() - before) as f64 / keys.len() as f64;
    println!(
        "  bytes an entry: {accounted:.1} accounted ({over:.1} over key and value), {resident:.1} resident"
    );
}

/// Bytes over key and value at every phase of growth.
fn overhead_curve(keys: &[[u8; 16]]) {
    let mut shard = new_shard();
    let (mut best, mut worst, mut sum, mut points) = (f64::MAX, 0f64, 0.0, 0);
    for (i, key) in keys.iter().enumerate() {
        shard.insert(DB, key, Value::Str(StrValue::new(b"value 12345678")), None);
        if i * 2 >= keys.len() && i % 1000 == 0 {
            let overhead = shard.memory(DB).total() as f64 / (i + 1) as f64 - 30.0;
            (best, worst) = (best.min(overhead), worst.max(overhead));
            (sum, points) = (sum + overhead, points + 1);
        }
    }
    println!(
        "16-byte key, 14-byte value: bytes over both, from half the keys to all: best {best:.1}, mean {:.1}, worst {worst:.1}",
        sum / f64::from(points)
    );
}

struct Ignore;

impl Observer for Ignore {
    fn before_change(&mut self, bucket: &damselfly_store::BucketView<'_>) {
        black_box(bucket.len());
    }
}

fn speed(keys: &[[u8; 16]], absent: &[[u8; 16]]) {
    let mut shard = fill(keys, &VALUE);
    let count = keys.len();
    report("get, entry found", count, || {
        keys.iter()
            .for_each(|key| _ = black_box(shard.get(DB, key)));
    });
    report("get, and a byte of the value", count, || {
        for key in keys {
            if let Some(Value::Str(string)) = shard.get(DB, key).map(|entry| entry.value()) {
                black_box(string.bytes()[0]);
            }
        }
    });
    report("get, not there", count, || {
        absent
            .iter()
            .take(count)
            .for_each(|key| _ = black_box(shard.get(DB, key)));
    });
    let batches: Vec<Vec<&[u8]>> = keys
        .chunks(32)
        .map(|keys| keys.iter().map(|key| &key[..]).collect())
        .collect();
    report("get, and a byte of the value, batches of 32", count, || {
        for keys in &batches {
            shard.warm(DB, keys);
            for key in keys {
                if let Some(Value::Str(string)) = shard.get(DB, key).map(|entry| entry.value()) {
                    black_box(string.bytes()[0]);
                }
            }
        }
    });
    report("replace a 64-byte string, batches of 32", count, || {
        for keys in &batches {
            shard.warm(DB, keys);
            keys.iter()
                .for_each(|key| _ = shard.insert(DB, key, Value::string(&VALUE), None));
        }
    });
    report("replace a 64-byte string", count, || {
        keys.iter()
            .for_each(|key| _ = shard.insert(DB, key, Value::string(&VALUE), None));
    });
    report("replace, expiry set", count, || {
        keys.iter()
            .for_each(|key| _ = shard.insert(DB, key, Value::string(&VALUE), Some(5)));
    });
    report("replace, expiry cleared", count, || {
        keys.iter()
            .for_each(|key| _ = shard.insert(DB, key, Value::string(&VALUE), None));
    });
    report("get_mut", count, || {
        keys.iter()
            .for_each(|key| _ = black_box(shard.get_mut(DB, key)));
    });
    let (id, _) = shard.register_observer(Box::new(Ignore));
    report("replace, observed", count, || {
        keys.iter()
            .for_each(|key| _ = shard.insert(DB, key, Value::string(&VALUE), None));
    });
    shard.remove_observer(id);
    report("remove and insert again", count, || {
        for key in keys {
            let (value, _) = shard.remove(DB, key).expect("it is there");
            shard.insert(DB, key, value, None);
        }
    });
}

fn main() {
    let count = std::env::args()
        .skip(1)
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(1_000_000);
    let all = shuffled(2 * count);
    let (keys, absent) = all.split_at(count as usize);
    memory(keys, &VALUE); // first: what is freed later would be used again, and not show up as growth
    overhead_curve(keys);
    speed(keys, absent);
}
