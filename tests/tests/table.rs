//! The command table: its rows are sound, and what derives from them is what `redis-server` 7.0 says of itself.

use std::collections::{BTreeMap, BTreeSet};

use damselfly_engine::families;
use damselfly_engine::{Command, CommandTable, Flags, Handler, Keys};
use damselfly_resp::Reply;
use damselfly_tests::Redis;

/// Flags that are different on purpose, or that Redis 7.0 gives for its own reasons.
const OTHER_FLAGS: &[(&str, &str)] = &[
    // Redis rewrites these where it reads with a side effect; here the kind of the handler says what they are.
    ("touch", "readonly"),
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
        if !matches!(row.keys, Keys::None) {
            assert!(
                !positions.is_empty(),
                "{name} can be called without its keys"
            );
        }
    }
}

/// A row as `COMMAND INFO` tells it: arity, keys, flags.
#[derive(Debug, PartialEq)]
struct Told {
    arity: i64,
    keys: (i64, i64, i64),
    flags: BTreeSet<String>,
}

fn told_by_redis(reply: &Reply) -> Option<Told> {
    let items = reply.as_items()?;
    let number = |at: usize| match items[at] {
        Reply::Integer(number) => number,
        _ => panic!("{reply:?}"),
    };
    let flags = items[2].as_items()?.iter().map(|flag| match flag {
        Reply::Simple(text) => String::from_utf8_lossy(text).into_owned(),
        _ => panic!("{flag:?}"),
    });
    Some(Told {
        arity: number(1),
        keys: (number(3), number(4), number(5)),
        flags: flags.collect(),
    })
}

/// The flags that a row has or its kind says, as far as they mean something for a client or a proxy.
fn told_by_us(row: &Command) -> Told {
    let declared = [
        (Flags::FAST, "fast"),
        (Flags::DENY_OOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::NO_SCRIPT, "noscript"),
    ];
    let mut flags: BTreeSet<String> = declared
        .iter()
        .filter(|(flag, _)| row.flags.has(*flag))
        .map(|(_, name)| (*name).to_owned())
        .collect();
    match row.handler {
        Handler::Read(_) => drop(flags.insert("readonly".to_owned())),
        _ if row.is_write() => drop(flags.insert("write".to_owned())),
        _ => {}
    }
    Told {
        arity: row.arity.into(),
        keys: row.keys.legacy_range(),
        flags,
    }
}

#[test]
fn rows_agree_with_redis() {
    let redis = Redis::start();
    let mut client = redis.client();
    let mut differences = BTreeMap::new();
    for (name, row) in named_rows() {
        let reply = client.call(&format!("COMMAND INFO {name}"));
        let Some(theirs) = reply
            .as_items()
            .and_then(|items| told_by_redis(items.first()?))
        else {
            continue;
        };
        let ours = told_by_us(row);
        if ours.arity != theirs.arity || (!row.is_container() && ours.keys != theirs.keys) {
            differences.insert(name.clone(), format!("ours {ours:?}, theirs {theirs:?}"));
        }
        let compared = |told: &Told| -> BTreeSet<String> {
            let known = ["fast", "denyoom", "admin", "noscript", "write", "readonly"];
            let known = known
                .iter()
                .filter(|flag| row.is_data() || !["write", "readonly"].contains(flag));
            known
                .filter(|flag| {
                    told.flags.contains(**flag) && !OTHER_FLAGS.contains(&(name.as_str(), flag))
                })
                .map(|flag| (*flag).to_owned())
                .collect()
        };
        if !row.is_container() && compared(&ours) != compared(&theirs) {
            differences.insert(
                format!("{name} (flags)"),
                format!("ours {:?}, theirs {:?}", compared(&ours), compared(&theirs)),
            );
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Whether the row only holds subcommands.
trait Container {
    fn is_container(&self) -> bool;
}

impl Container for Command {
    fn is_container(&self) -> bool {
        !self.subcommands.is_empty()
    }
}
