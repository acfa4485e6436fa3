//! Generated command sequences against `damselfly` and `redis-server` 7.0, replies compared byte
//! for byte.
//!
//! `DIFF_SEED=n` runs one seed, `DIFF_SEEDS=n` that many; `DIFF_COMMANDS=n` sets the length of a
//! sequence. `DIFF_FIRST_SEED` moves the first. `DIFF_FAMILIES=strings,keys` keeps to these families.
//! All mismatches found are shrunk and shown, one of a kind.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use damselfly_resp::Proto;
use damselfly_tests::commands::{Compare, Family};
use damselfly_tests::differential::{Mismatch, Pair, Step, sequence};
use damselfly_tests::{Redis, Server, words};

/// In a damaged command something may be a key that is none.
const UNDECLARED: &str = "--default_lua_flags=allow-undeclared-keys";
/// Kinds of mismatch after which a run ends: there is enough to do.
const MOST_KINDS: usize = 25;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number"))
    })
}

fn seeds() -> std::ops::Range<u64> {
    let first = number("DIFF_SEED")
        .or(number("DIFF_FIRST_SEED"))
        .unwrap_or(1);
    let count = if number("DIFF_SEED").is_some() {
        1
    } else {
        number("DIFF_SEEDS").unwrap_or(30)
    };
    first..first + count
}

/// Whether a family is among those asked for.
fn is_chosen(family: Family) -> bool {
    let Ok(families) = std::env::var("DIFF_FAMILIES") else {
        return family != Family::Sort;
    };
    families
        .split(',')
        .any(|name| name.trim().eq_ignore_ascii_case(&format!("{family:?}")))
}

/// Runs all seeds, and fails with all kinds of mismatches.
fn compare(mut pair: Pair<'_>, test: &str, choose: fn(Family) -> bool) {
    let commands = usize::try_from(number("DIFF_COMMANDS").unwrap_or(300)).unwrap();
    let mut kinds: BTreeMap<String, (u64, Mismatch)> = BTreeMap::new();
    for seed in seeds() {
        let steps = sequence(seed, commands, choose);
        let found = pair
            .run(&steps)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        // What does not come again was a race of clocks.
        let found = found.and_then(|found| {
            pair.shrink(&found)
                .unwrap_or_else(|error| panic!("seed {seed}: {error}"))
        });
        if let Some(found) = found {
            kinds.entry(found.kind()).or_insert((seed, found));
        }
        if kinds.len() >= MOST_KINDS {
            break;
        }
    }
    if !kinds.is_empty() {
        panic!("{}", report(&kinds, test, commands));
    }
}

fn report(kinds: &BTreeMap<String, (u64, Mismatch)>, test: &str, commands: usize) -> String {
    let mut text = format!(
        "{} kinds of mismatches; first = redis-server 7.0\n",
        kinds.len()
    );
    for (seed, mismatch) in kinds.values() {
        let _ = writeln!(
            text,
            "seed {seed}; repeat: DIFF_SEED={seed} DIFF_COMMANDS={commands} cargo test -p damselfly-tests --test differential {test}\n{mismatch}"
        );
    }
    text
}

fn redis_and(
    second: impl FnMut() -> SocketAddr,
    proto: Proto,
    test: &str,
    choose: fn(Family) -> bool,
) {
    let redis = Redis::start();
    let left = Box::new(|| redis.address());
    compare(
        Pair {
            left,
            right: Box::new(second),
            proto,
        },
        test,
        choose,
    );
}

fn redis_and_damselfly(proto: Proto, flags: &[&str], test: &str, choose: fn(Family) -> bool) {
    let mut server = Server::start(flags);
    let second = || {
        if server.exit_status().is_some() {
            server.crash_and_restart();
        }
        server.address()
    };
    redis_and(second, proto, test, choose);
}

/// The tool itself: a server agrees with another one of its kind.
#[test]
fn redis_agrees_with_redis() {
    let redis = Redis::start();
    for proto in [Proto::Resp2, Proto::Resp3] {
        redis_and(
            || redis.address(),
            proto,
            "redis_agrees_with_redis",
            is_chosen,
        );
    }
}

#[test]
fn damselfly_answers_as_redis_does_resp2() {
    redis_and_damselfly(
        Proto::Resp2,
        &["--proactor_threads=2", UNDECLARED],
        "damselfly_answers_as_redis_does_resp2",
        is_chosen,
    );
}

#[test]
fn damselfly_answers_as_redis_does_resp3() {
    redis_and_damselfly(
        Proto::Resp3,
        &["--proactor_threads=1", UNDECLARED],
        "damselfly_answers_as_redis_does_resp3",
        is_chosen,
    );
}

/// By itself: Redis finds fault with a weight if any number before it, in any command, was out of range (`errno`).
#[test]
fn damselfly_sorts_as_redis_does() {
    redis_and_damselfly(
        Proto::Resp2,
        &["--proactor_threads=2"],
        "damselfly_sorts_as_redis_does",
        |family| family == Family::Sort,
    );
}

/// Strings and estimates of HyperLogLogs of all sizes, PFCOUNT of a single one included.
#[test]
fn hyperloglogs_are_byte_for_byte_those_of_redis() {
    let (redis, server) = (Redis::start(), Server::start(&["--proactor_threads=1"]));
    let (mut theirs, mut ours) = (redis.client(), server.client());
    let mut both = |line: &str| {
        let (left, right) = (theirs.call(line), ours.call(line));
        assert!(left == right, "{}", &line[..line.len().min(100)]);
    };
    both("PFSELFTEST");
    let (mut next, mut step) = (0u64, 1);
    while next < 60_000 {
        let elements: String = (next..next + step)
            .map(|number| format!(" e:{number}"))
            .collect();
        both(&format!("PFADD hll{elements}"));
        both("GET hll");
        // What Redis keeps there would stay different.
        both("SET copy other");
        both("COPY hll copy REPLACE");
        both("PFCOUNT copy");
        next += step;
        step = (step * 5 / 4 + 1).min(2_000);
    }
    both("PFDEBUG ENCODING hll");
    both("PFMERGE sum hll hll");
    both("GET sum");
}

/// Redis's packed form of sorted sets knows no -0, and what a range is stored in begins packed unless its size is known.
#[test]
fn negative_zeros_of_stored_ranges_are_those_of_redis() {
    let (redis, server) = (Redis::start(), Server::start(&["--proactor_threads=1"]));
    let (mut theirs, mut ours) = (redis.client(), server.client());
    let mut both = |line: &str| {
        let (left, right) = (theirs.call(line), ours.call(line));
        assert!(left == right, "{line}: {left:?} and {right:?}");
    };
    for members in [1, 127, 128, 200] {
        both("DEL from");
        for number in 0..members {
            both(&format!("ZADD from {number} m{number}"));
        }
        both("ZADD from -0 negative");
        for range in [
            "0 -1",
            "0 -1 REV",
            "-inf +inf BYSCORE",
            "+inf -inf BYSCORE REV",
        ] {
            both(&format!("ZRANGESTORE to from {range}"));
            both("ZRANGE to 0 -1 WITHSCORES");
        }
    }
}

/// A difference is found, shrunk and told.
#[test]
fn a_planted_difference_is_shrunk_to_its_cause() {
    let (redis, other) = (Redis::start(), Redis::start());
    other.client().ok("CONFIG SET proto-max-bulk-len 1048576");
    let planted = |line| Step {
        compare: Compare::Exact,
        args: words(line),
    };
    let mut steps = sequence(1, 200, |_| true);
    // Outside of whatever transaction is open.
    steps.splice(
        100..100,
        ["DISCARD", "DEL string:1", "SETRANGE string:1 2000000 x"].map(planted),
    );
    let (left, right) = (Box::new(|| redis.address()), Box::new(|| other.address()));
    let mut pair = Pair {
        left,
        right,
        proto: Proto::Resp2,
    };
    let found = pair.run(&steps).unwrap().expect("the limits differ");
    let least = pair.shrink(&found).unwrap().expect("it comes again");
    assert_eq!(least.steps.len(), 1, "{least}");
    assert!(
        least.to_string().contains("SETRANGE string:1 2000000 x"),
        "{least}"
    );
}
