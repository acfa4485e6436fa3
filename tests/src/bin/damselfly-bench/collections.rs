//! Memory of small collections: what a key with five elements takes, and one with a hundred.
//!
//! Both servers get the same bytes in the same order: a collection comes with one command (a stream
//! with one for each entry), over two connections. What counts is resident memory, less that of the empty server.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use damselfly_tests::load::{Pipe, Text, key_name};
use damselfly_tests::{PeerKind, Rng};

use crate::case::{Case, Ratio, Round, Rounds, Row, Scale, Target};
use crate::full_sync::THREADS;

/// Elements of the two sizes.
const SIZES: [usize; 2] = [5, 100];
/// Letters of an element that are its own.
const LETTERS: usize = 12;
/// Scores are whole numbers below this.
const SCORES: u64 = 1_000_000;
/// Bytes of one exchange, about.
const EXCHANGE_BYTES: usize = 64 * 1024;
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// What is stored under a key.
struct Shape {
    command: &'static str,
    /// Writes the arguments of one element behind what is there.
    element: fn(&mut Maker, usize, &mut Arguments),
    /// Whether an element is a command of its own.
    one_by_one: bool,
    /// How many times fewer keys there are of each size than [`Scale::collections`].
    fewer: [u64; 2],
}

type Arguments = Vec<Vec<u8>>;

/// Draws elements.
struct Maker {
    text: Text,
    rng: Rng,
}

impl Maker {
    fn letters(&mut self) -> Vec<u8> {
        self.text.slice(LETTERS).to_vec()
    }

    fn score(&mut self) -> Vec<u8> {
        self.rng.below(SCORES).to_string().into_bytes()
    }
}

macro_rules! case {
    ($name:literal, $what:literal, $needs:expr, $shape:expr) => {
        Case {
            name: $name,
            summary: concat!("resident memory of ", $what, " of 5 and of 100 elements"),
            rows: &[
                Row {
                    what: concat!("memory, ", $what, " of 5"),
                    unit: "B/key",
                    ratio: Ratio::Ours,
                    target: Target::RatioAtMost(1.1),
                },
                Row {
                    what: concat!("memory, ", $what, " of 100"),
                    unit: "B/key",
                    ratio: Ratio::Ours,
                    target: Target::RatioAtMost(1.1),
                },
            ],
            rounds: Rounds::One,
            needs: $needs,
            start: |kind, scale| {
                const SHAPE: Shape = $shape;
                Ok(round(kind, scale, &SHAPE))
            },
        }
    };
}

/// The collections.
pub const CASES: &[Case] = &[
    case!(
        "memory-hashes",
        "hashes",
        None,
        Shape::of("HSET", |maker, at, out| {
            out.push(format!("field:{at}").into_bytes());
            out.push(maker.letters());
        })
    ),
    case!(
        "memory-lists",
        "lists",
        None,
        Shape::of("RPUSH", |maker, _, out| out.push(maker.letters()))
    ),
    case!(
        "memory-sets",
        "sets",
        None,
        Shape::of("SADD", |maker, _, out| out.push(maker.letters()))
    ),
    case!(
        "memory-int-sets",
        "sets of integers",
        None,
        Shape {
            // They are so small that what a server takes once would count among them.
            fewer: [1, 2],
            ..Shape::of("SADD", |maker, _, out| out.push(maker.score()))
        }
    ),
    case!(
        "memory-zsets",
        "sorted sets",
        None,
        Shape::of("ZADD", |maker, _, out| {
            out.push(maker.score());
            out.push(maker.letters());
        })
    ),
    case!(
        "memory-streams",
        "streams",
        Some("XADD"),
        Shape {
            // Redis reserves 4 KiB for the first entries of a stream.
            fewer: [10, 100],
            one_by_one: true,
            ..Shape::of("XADD", |maker, _, out| {
                out.extend([b"*".to_vec(), b"sensor".to_vec(), maker.score()]);
                out.extend([b"reading".to_vec(), maker.letters()]);
            })
        }
    ),
];

impl Shape {
    const fn of(command: &'static str, element: fn(&mut Maker, usize, &mut Arguments)) -> Shape {
        Shape {
            command,
            element,
            one_by_one: false,
            fewer: [1, 20],
        }
    }
}

fn round(kind: PeerKind, scale: Scale, shape: &'static Shape) -> Round {
    Box::new(move || {
        let sizes = SIZES.into_iter().zip(shape.fewer);
        sizes
            .map(|(elements, fewer)| {
                bytes_per_key(kind, scale.collections / fewer, elements, shape)
            })
            .collect()
    })
}

fn bytes_per_key(kind: PeerKind, keys: u64, elements: usize, shape: &Shape) -> io::Result<f64> {
    let server = kind.start(THREADS)?;
    let empty = server.resident_bytes();
    let address = server.address();
    std::thread::scope(|scope| {
        let halves = [0..keys / 2, keys / 2..keys];
        let writers = halves.map(|keys| scope.spawn(|| write(address, keys, elements, shape)));
        let mut results = writers.map(|writer| writer.join().expect("a writer does not panic"));
        results
            .iter_mut()
            .try_for_each(|result| std::mem::replace(result, Ok(())))
    })?;
    let full = server.resident_bytes();
    Ok(full.saturating_sub(empty) as f64 / keys as f64)
}

fn write(address: SocketAddr, keys: Range<u64>, elements: usize, shape: &Shape) -> io::Result<()> {
    let mut maker = Maker {
        text: Text::new(keys.start, LETTERS),
        rng: Rng::new(keys.start),
    };
    let mut pipe = Pipe::connect(address, REPLY_TIMEOUT)?;
    for number in keys {
        let head = [
            shape.command.as_bytes().to_vec(),
            key_name(number).into_bytes(),
        ];
        let mut arguments = head.to_vec();
        for at in 0..elements {
            (shape.element)(&mut maker, at, &mut arguments);
            if shape.one_by_one || at + 1 == elements {
                let line: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
                pipe.queue(&line);
                arguments.truncate(head.len());
            }
        }
        if pipe.queued_bytes() >= EXCHANGE_BYTES {
            exchange(&mut pipe)?;
        }
    }
    exchange(&mut pipe)
}

fn exchange(pipe: &mut Pipe) -> io::Result<()> {
    match pipe.exchange()?.errors {
        0 => Ok(()),
        errors => Err(io::Error::other(format!("{errors} commands were refused"))),
    }
}
