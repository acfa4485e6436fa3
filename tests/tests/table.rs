//! The command table: its rows are sound, and what derives from them is what `redis-server` 7.0 says of itself.

use std::collections::BTreeSet;

use damselfly_engine::families;
use damselfly_engine::{Command, CommandTable, Keys};
use damselfly_resp::Reply;
use damselfly_tests::Redis;

/// Flags and categories that are different on purpose, by command (`*`: all).
const OTHER_WORDS: &[(&str, &str)] = &[
    // Monitors see a server that is alive.
    ("ping", "loading"),
    // They change the role of the whole server, also while it loads, and never in the middle of a transaction.
    ("replicaof", "loading"),
    ("slaveof", "loading"),
    // There is no cluster.
    ("restore-asking", "asking"),
];

/// Numbers of arguments that are different on purpose, with Redis's.
const OTHER_ARITIES: &[(&str, i64)] = &[
    // Dragonfly's format and name may follow.
    ("save", 1),
];

fn every_row() -> impl Iterator<Item = &'static Command> {
    families::ALL.iter().flat_map(|family| family.iter())
}

/// All rows with their full names, subcommands as `container|sub`.
fn named_rows() -> Vec<(String, &'static Command)> {
    let mut rows = Vec::new();
    for row in every_row() {
        rows.push((row.name.to_owned(), row));
        rows.extend(
            row.subcommands
                .iter()
                .map(|sub| (format!("{}|{}", row.name, sub.name), sub)),
        );
    }
    rows
}

#[test]
fn names_are_unique_and_lower_case() {
    let mut seen = BTreeSet::new();
    for (name, _) in named_rows() {
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase()
                || b"-|_.".contains(&byte)
                || byte.is_ascii_digit()),
            "{name}"
        );
        assert!(seen.insert(name.clone()), "{name} has two rows");
    }
    let table = CommandTable::new(families::ALL);
    assert!(table.rows().is_sorted_by_key(|row| row.name));
    for row in every_row() {
        let found = table
            .find(row.name.to_ascii_uppercase().as_bytes())
            .expect("a row is found by its name");
        assert!(std::ptr::eq(found, row), "{}", row.name);
    }
}

#[test]
fn rows_say_what_they_are() {
    for (name, row) in named_rows() {
        assert!(
            row.summary.ends_with('.') && row.summary.len() < 120,
            "{name}: '{}'",
            row.summary
        );
        assert!(
            row.since.split('.').count() == 3,
            "{name}: since '{}'",
            row.since
        );
        let container = usize::from(name.contains('|'));
        assert!(
            usize::from(row.arity.unsigned_abs()) > container,
            "{name}: arity {}",
            row.arity
        );
        assert!(row.accepts(row.arity.unsigned_abs().into()), "{name}");
    }
}

/// The smallest command line that the arity lets pass has its keys inside.
#[test]
fn keys_stand_among_the_arguments() {
    for (name, row) in named_rows() {
        let least = usize::from(row.arity.unsigned_abs());
        let args = vec![&b"1"[..]; least];
        let Ok(positions) = row.keys.positions(&args) else {
            continue;
        };
        assert!(
            positions.iter().all(|at| (*at as usize) < least),
            "{name}: {positions:?} of {least}"
        );
        if !matches!(row.keys, Keys::None) && !row.is_script() {
            assert!(
                !positions.is_empty(),
                "{name} can be called without its keys"
            );
        }
    }
}

/// What `COMMAND INFO` tells of a command.
#[derive(Debug, PartialEq)]
struct Told {
    arity: i64,
    keys: (i64, i64, i64),
    flags: BTreeSet<String>,
    categories: BTreeSet<String>,
}

impl Told {
    fn by_redis(reply: &Reply) -> Option<Told> {
        let items = reply.as_items()?;
        let number = |at: usize| match items[at] {
            Reply::Integer(number) => number,
            _ => panic!("{reply:?}"),
        };
        Some(Told {
            arity: number(1),
            keys: (number(3), number(4), number(5)),
            flags: texts(&items[2]),
            categories: texts(&items[6]),
        })
    }

    fn by_us(row: &Command) -> Told {
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
        Told {
            arity: row.arity.into(),
            keys: row.legacy_range(),
            flags: owned(row.flag_words()),
            categories: owned(row.acl_categories()),
        }
    }

    /// Without what is different on purpose.
    fn comparable(mut self, name: &str) -> Told {
        for (of, word) in OTHER_WORDS
            .iter()
            .filter(|(of, _)| [name, "*"].contains(of))
        {
            let _ = of;
            self.flags.remove(*word);
            self.categories.remove(*word);
        }
        for (_, arity) in OTHER_ARITIES.iter().filter(|(of, _)| *of == name) {
            self.arity = *arity;
        }
        self
    }
}

fn texts(reply: &Reply) -> BTreeSet<String> {
    let text = |item: &Reply| match item {
        Reply::Simple(text) => String::from_utf8_lossy(text).into_owned(),
        _ => panic!("{item:?}"),
    };
    reply
        .as_items()
        .expect("a list of words")
        .iter()
        .map(text)
        .collect()
}

#[test]
fn rows_agree_with_redis() {
    let redis = Redis::start();
    let mut client = redis.client();
    let mut differences = Vec::new();
    for (name, row) in named_rows() {
        let reply = client.call(&format!("COMMAND INFO {name}"));
        let theirs = reply
            .as_items()
            .and_then(|items| Told::by_redis(items.first()?));
        let Some(theirs) = theirs.map(|told| told.comparable(&name)) else {
            continue;
        };
        let ours = Told::by_us(row).comparable(&name);
        if ours != theirs {
            differences.push(format!("{name}\n   ours {ours:?}\n theirs {theirs:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
