//! `COMMAND DOCS`: arguments, history and standing of every command are those of redis-server 7.0; the sentences are our own.

use super::{fields, text};
use damselfly_resp::Reply;
use damselfly_tests::{Client, Redis, Server};
use std::collections::{BTreeMap, BTreeSet};

/// Fields that are others on purpose.
const OTHERWISE: &[(&str, &str)] = &[
    // They take more than Redis 7.0 does.
    ("bgsave", "arguments"),
    ("client|kill", "arguments"),
    ("client|list", "arguments"),
    ("save", "arguments"),
    // COMMAND INFO does not tell the keys of BY and GET, so that of STORE has another number.
    ("sort", "arguments"),
    ("sort_ro", "arguments"),
    // It is about replication.
    ("wait", "group"),
];

/// Commands whose arguments nobody tells: a whole command line, or what only servers say to each other.
const UNTOLD: &[&str] = &[
    "command|getkeys",
    "command|getkeysandflags",
    "quit",
    "replconf",
];

/// Commands that take less than is told of them, in Redis as here.
const TAKES_LESS: &[&str] = &["geohash", "geopos", "pfmerge"];

type Docs = BTreeMap<String, Reply>;

fn gather(reply: &Reply, docs: &mut Docs) {
    for (name, command) in fields(reply) {
        if let Some(subcommands) = fields(command).get("subcommands") {
            gather(subcommands, docs);
        }
        docs.insert(name, command.clone());
    }
}

fn all_docs(client: &mut Client) -> Docs {
    let mut docs = Docs::new();
    gather(&client.ok("COMMAND DOCS"), &mut docs);
    docs
}

/// The versions that changed something.
fn versions(command: &Reply) -> BTreeSet<String> {
    let fields = fields(command);
    let history = fields.get("history").and_then(|history| history.as_items());
    let version = |entry: &Reply| text(&entry.as_items().expect("a version and a sentence")[0]);
    history.unwrap_or_default().iter().map(version).collect()
}

/// The first command that stands in the place of one that is better not used.
fn successor(command: &Reply) -> Option<String> {
    let by = fields(command).get("replaced_by").map(|by| text(by))?;
    by.split('`').nth(1).map(str::to_owned)
}

fn differences(name: &str, ours: &Reply, theirs: &Reply) -> Vec<String> {
    let (our_fields, their_fields) = (fields(ours), fields(theirs));
    let mut found = Vec::new();
    let mut compare = |field: &str| {
        let (ours, theirs) = (our_fields.get(field), their_fields.get(field));
        if ours != theirs && !OTHERWISE.contains(&(name, field)) {
            found.push(format!(
                "{name} {field}:\n  ours {ours:?}\ntheirs {theirs:?}"
            ));
        }
    };
    for field in [
        "since",
        "group",
        "doc_flags",
        "deprecated_since",
        "arguments",
    ] {
        compare(field);
    }
    if successor(ours) != successor(theirs) {
        found.push(format!(
            "{name}: {:?}, not {:?}",
            successor(ours),
            successor(theirs)
        ));
    }
    let (here, there) = (versions(ours), versions(theirs));
    if !there.is_subset(&here) {
        found.push(format!("{name}: a history of {here:?}, not {there:?}"));
    }
    found
}

#[test]
fn arguments_and_history_are_those_of_redis() {
    let (server, redis) = (Server::with_shards(1), Redis::start());
    for protocol in ["HELLO 2", "HELLO 3"] {
        let (mut here, mut there) = (server.client(), redis.client());
        here.ok(protocol);
        there.ok(protocol);
        let (ours, theirs) = (all_docs(&mut here), all_docs(&mut there));
        let both = theirs
            .iter()
            .filter_map(|(name, theirs)| Some((name, ours.get(name)?, theirs)));
        let found: Vec<_> = both
            .flat_map(|(name, ours, theirs)| differences(name, ours, theirs))
            .collect();
        assert!(found.is_empty(), "{protocol}\n{}", found.join("\n"));
    }
}

/// Arity by full name, of containers nothing.
fn arities(info: &Reply, found: &mut BTreeMap<String, i64>) {
    for row in info.as_items().unwrap_or_default() {
        let row = row.as_items().expect("a row");
        if row[9].as_items().is_none_or(<[Reply]>::is_empty) {
            found.insert(text(&row[0]), row[1].as_integer().expect("a number"));
        }
        arities(&row[9], found);
    }
}

/// How many words a command line has at least, going by the documentation.
fn least_words(arguments: &Reply) -> i64 {
    let one = |argument: &Reply| {
        let fields = fields(argument);
        let flags = fields.get("flags").and_then(|flags| flags.as_items());
        if flags.is_some_and(|flags| flags.iter().any(|flag| text(flag) == "optional")) {
            return 0;
        }
        let inner = fields.get("arguments").and_then(|inner| inner.as_items());
        let inner = inner.unwrap_or_default();
        let own = match text(fields["type"]).as_str() {
            "oneof" => inner
                .iter()
                .map(|one| least_words(&Reply::Array(vec![one.clone()])))
                .min()
                .unwrap_or(0),
            "block" => least_words(&Reply::Array(inner.to_vec())),
            "pure-token" => 0,
            _ => 1,
        };
        own + i64::from(fields.contains_key("token"))
    };
    arguments
        .as_items()
        .unwrap_or_default()
        .iter()
        .map(one)
        .sum()
}

/// Ours and Redis's alike: who may give arguments is told which, and so many are needed as the arity says.
#[test]
fn every_command_with_arguments_tells_them() {
    let server = Server::with_shards(1);
    let mut client = server.client();
    let docs = all_docs(&mut client);
    let mut rows = BTreeMap::new();
    arities(&client.ok("COMMAND"), &mut rows);
    let mut wrong = Vec::new();
    for (name, arity) in &rows {
        let own_words = 1 + name.matches('|').count() as i64;
        let told = fields(&docs[name])
            .get("arguments")
            .map(|arguments| least_words(arguments));
        let fits = match told {
            _ if TAKES_LESS.contains(&name.as_str()) => true,
            // Its options stand for the filter that has to be there.
            _ if name == "client|kill" => true,
            None => *arity == own_words || UNTOLD.contains(&name.as_str()),
            Some(least) => own_words + least == arity.abs(),
        };
        if !fits {
            wrong.push(format!("{name}: arity {arity}, and {told:?} told"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
