//! A data set of every type and encoding.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::client::Client;
use crate::load::Pipe;
use crate::rng::Rng;

/// Keys are named as [`Workload`](crate::commands::Workload) names them, so that its writes meet them: this, type, number.
pub const PREFIX: &str = "m:";
/// Bytes of one exchange, about.
const EXCHANGE_BYTES: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(60);
/// A time in 2069.
const FAR_MS: u64 = 3_124_567_890_123;

/// How Redis keeps small collections while it is filled. Names that 6.2 and 7.0 both know.
const REGIMES: [&[(&str, &str)]; 3] = [
    // As it starts.
    &[
        ("hash-max-ziplist-entries", "512"),
        ("hash-max-ziplist-value", "64"),
        ("zset-max-ziplist-entries", "128"),
        ("zset-max-ziplist-value", "64"),
        ("set-max-intset-entries", "512"),
        ("list-max-ziplist-size", "-2"),
        ("list-compress-depth", "0"),
        ("stream-node-max-entries", "100"),
        ("hll-sparse-max-bytes", "3000"),
    ],
    // Everything is packed.
    &[
        ("hash-max-ziplist-entries", "100000"),
        ("hash-max-ziplist-value", "100000"),
        ("zset-max-ziplist-entries", "100000"),
        ("zset-max-ziplist-value", "100000"),
        ("set-max-intset-entries", "100000"),
        ("list-max-ziplist-size", "-5"),
        ("list-compress-depth", "1"),
        ("stream-node-max-entries", "1000"),
        ("hll-sparse-max-bytes", "15000"),
    ],
    // Nothing is.
    &[
        ("hash-max-ziplist-entries", "0"),
        ("zset-max-ziplist-entries", "0"),
        ("set-max-intset-entries", "0"),
        ("list-max-ziplist-size", "1"),
        ("list-compress-depth", "2"),
        ("stream-node-max-entries", "2"),
        ("hll-sparse-max-bytes", "0"),
    ],
];

/// How many keys of each type there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Strings; of the other types there are fewer.
    pub strings: u64,
}

/// A type's name in keys, how many of a hundred keys it has, and the command that makes its key.
type Kind = (&'static str, u64, fn(&mut Maker<'_>, &[u8], u64));

const KINDS: [Kind; 8] = [
    ("string", 60, string),
    ("hash", 11, hash),
    ("set", 8, set),
    ("zset", 9, sorted_set),
    ("list", 7, list),
    ("stream", 3, stream),
    ("hll", 1, sketch),
    ("geo", 1, places),
];

impl Sizes {
    /// For so many keys of all types.
    pub fn of(keys: u64) -> Sizes {
        Sizes {
            strings: keys * KINDS[0].1 / 100,
        }
    }

    fn of_kind(self, percent: u64) -> u64 {
        (self.strings * percent / KINDS[0].1).max(3)
    }
}

/// Writes the data set: two thirds with thresholds set low and high, in databases 0 and (a hundredth) 5; they are as at the start then.
///
/// # Errors
/// The system's, or how many commands were refused.
pub fn fill(address: SocketAddr, sizes: Sizes) -> io::Result<()> {
    let mut settings = Client::connect(address)?;
    let mut pipe = Pipe::connect(address, TIMEOUT)?;
    let few = Sizes {
        strings: sizes.strings / 100,
    };
    for regime in [1, 2, 0] {
        for (name, value) in REGIMES[regime] {
            settings.ok(&format!("CONFIG SET {name} {value}"));
        }
        for (database, sizes) in [("5", few), ("0", sizes)] {
            let mut maker = Maker::new(&mut pipe, regime as u64);
            maker.queue(&[b"SELECT", database.as_bytes()]);
            maker.fill(sizes)?;
        }
    }
    Ok(())
}

struct Maker<'p> {
    pipe: &'p mut Pipe,
    rng: Rng,
    regime: u64,
}

impl Maker<'_> {
    fn new(pipe: &mut Pipe, regime: u64) -> Maker<'_> {
        Maker {
            pipe,
            rng: Rng::new(regime),
            regime,
        }
    }

    fn fill(&mut self, sizes: Sizes) -> io::Result<()> {
        for (name, percent, make) in KINDS {
            // The regimes stand side by side, so that writes to a part of the keys meet all of them.
            let numbers = (self.regime..sizes.of_kind(percent)).step_by(REGIMES.len());
            for number in numbers {
                let key = format!("{PREFIX}{name}:{number}");
                make(self, key.as_bytes(), number);
                if number % 10 == 3 {
                    let at = (FAR_MS + number).to_string();
                    self.queue(&[b"PEXPIREAT", key.as_bytes(), at.as_bytes()]);
                }
                if self.pipe.queued_bytes() >= EXCHANGE_BYTES {
                    self.exchange()?;
                }
            }
        }
        self.exchange()
    }

    fn exchange(&mut self) -> io::Result<()> {
        let replies = self.pipe.exchange()?;
        match replies.errors {
            0 => Ok(()),
            errors => Err(io::Error::other(format!(
                "{errors} of {} commands were refused",
                replies.all
            ))),
        }
    }

    fn queue(&mut self, args: &[&[u8]]) {
        self.pipe.queue(args);
    }

    fn queue_all(&mut self, start: &[&[u8]], rest: &[Vec<u8>]) {
        let args: Vec<&[u8]> = start
            .iter()
            .copied()
            .chain(rest.iter().map(Vec::as_slice))
            .collect();
        self.pipe.queue(&args);
    }

    /// Few as a rule.
    fn count(&self, number: u64) -> u64 {
        match number % 1_000 {
            7 => 3_000,
            11..20 => 200,
            _ => 1 + number % 6,
        }
    }

    /// Integers of every width, short texts, texts that compress, others that do not.
    fn text(&mut self, number: u64) -> Vec<u8> {
        match self.rng.below(9) {
            0 => self.rng.between(-100, 100).to_string().into_bytes(),
            1 => self.rng.between(-30_000, 30_000).to_string().into_bytes(),
            2 => self.rng.between(-1 << 30, 1 << 30).to_string().into_bytes(),
            3 => self
                .rng
                .between(i64::MIN, i64::MAX)
                .to_string()
                .into_bytes(),
            4 => format!("text {number}").into_bytes(),
            5 => format!("{number} {}", "long and longer ".repeat(6)).into_bytes(),
            6 => format!("{}.{}", number, self.rng.below(1_000)).into_bytes(),
            7 => self.rng.bytes(70),
            _ => self.rng.bytes(12),
        }
    }

    fn texts(&mut self, number: u64, count: u64) -> Vec<Vec<u8>> {
        (0..count).map(|at| self.text(number + at)).collect()
    }
}

fn string(maker: &mut Maker<'_>, key: &[u8], number: u64) {
    let value = match number % 2_000 {
        5 => "x".repeat(100_000).into_bytes(),
        6 => maker.rng.bytes(40_000),
        _ => maker.text(number),
    };
    maker.queue(&[b"SET", key, &value]);
}

fn hash(maker: &mut Maker<'_>, key: &[u8], number: u64) {
    let count = maker.count(number);
    let fields = (0..count).flat_map(|field| {
        let value = maker.text(number + field);
        [format!("f{field}").into_bytes(), value]
    });
    let fields: Vec<Vec<u8>> = fields.collect();
    maker.queue_all(&[b"HSET", key], &fields);
}

fn set(maker: &mut Maker<'_>, key: &[u8], number: u64) {
    let count = maker.count(number);
    // Integers alone make an intset, of each width.
    let members = match number % 4 {
        0 => (0..count).map(|at| at.to_string().into_bytes()).collect(),
        1 => (0..count)
            .map(|at| (100_000 * (at + 1)).to_string().into_bytes())
            .collect(),
        2 => (0..count)
            .map(|at| ((at + 1) << 40).to_string().into_bytes())
            .collect(),
        _ => maker.texts(number, count),
    };
    maker.queue_all(&[b"SADD", key], &members);
}

fn sorted_set(maker: &mut Maker<'_>, key: &[u8], number: u64) {
    // No -0: whether a zero keeps its sign depends in Redis on the thresholds.
    const SCORES: [&str; 7] = ["0", "inf", "-inf", "3.5", "1e300", "-17", "5e-324"];
    let count = maker.count(number);
    let members = (0..count).flat_map(|at| {
        let score = match at % 3 {
            0 => SCORES[maker.rng.index(SCORES.len())].to_owned(),
            1 => at.to_string(),
            _ => (maker.rng.below(1 << 40) as f64 / 1024.0).to_string(),
        };
        [score.into_bytes(), maker.text(number + at)]
    });
    let members: Vec<Vec<u8>> = members.collect();
    maker.queue_all(&[b"ZADD", key], &members);
}

fn list(maker: &mut Maker<'_>, key: &[u8], number: u64) {
    let count = maker.count(number);
    let mut elements = maker.texts(number, count);
    if number % 5_000 == 8 {
        elements.push(maker.rng.bytes(50_000));
    }
    maker.queue_all(&[b"RPUSH", key], &elements);
}

fn stream(maker: &mut Maker<'_>, key: &[u8], number: u64) {
    let count = 1 + number % 7 + if number % 500 == 9 { 300 } else { 0 };
    for at in 1..=count {
        let id = format!("{}-{at}", number + at / 3);
        let value = maker.text(number);
        // Entries with the same fields as the first are kept without them.
        let field: &[u8] = if at % 4 == 0 { b"other" } else { b"field" };
        maker.queue(&[b"XADD", key, id.as_bytes(), field, &value, b"n", b"1"]);
    }
    if number.is_multiple_of(3) {
        maker.queue(&[b"XGROUP", b"CREATE", key, b"g0", b"0"]);
        let read: [&[u8]; 9] = [
            b"XREADGROUP",
            b"GROUP",
            b"g0",
            b"c1",
            b"COUNT",
            b"2",
            b"STREAMS",
            key,
            b">",
        ];
        maker.queue(&read);
        maker.queue(&[b"XGROUP", b"CREATECONSUMER", key, b"g0", b"idle"]);
        maker.queue(&[b"XGROUP", b"CREATE", key, b"g1", b"$"]);
    }
    if number % 4 == 1 {
        let first = format!("{number}-1");
        maker.queue(&[b"XDEL", key, first.as_bytes()]);
    }
}

fn sketch(maker: &mut Maker<'_>, key: &[u8], number: u64) {
    let count = if number.is_multiple_of(5) {
        3_000
    } else {
        1 + number % 40
    };
    let elements: Vec<_> = (0..count)
        .map(|at| (number + at).to_string().into_bytes())
        .collect();
    maker.queue_all(&[b"PFADD", key], &elements);
}

fn places(maker: &mut Maker<'_>, key: &[u8], number: u64) {
    let count = 1 + number % 20;
    let places = (0..count).flat_map(|at| {
        let longitude = maker.rng.between(-180_000, 180_000) as f64 / 1_000.0;
        let latitude = maker.rng.between(-85_000, 85_000) as f64 / 1_000.0;
        let name = format!("place {at}");
        [longitude.to_string(), latitude.to_string(), name].map(String::into_bytes)
    });
    let places: Vec<Vec<u8>> = places.collect();
    maker.queue_all(&[b"GEOADD", key], &places);
}
