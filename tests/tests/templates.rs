//! What tests generate is complete: every command of Redis 7.0 that is here, with every option that `COMMAND DOCS` of `redis-server`
//! knows, comes up in a template.

use std::collections::{BTreeMap, BTreeSet};

use damselfly_engine::families;
use damselfly_resp::Reply;
use damselfly_tests::Redis;
use damselfly_tests::commands::{ROWS, Template};

/// Groups of COMMAND DOCS whose commands are generated.
const GROUPS: &[&str] = &[
    "string",
    "list",
    "hash",
    "set",
    "sorted-set",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "generic",
    "transactions",
];

/// Commands and options that no template has, and why. `*` stands for all options of a command.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    (
        "PFSELFTEST",
        "*",
        "it takes long; tests/tests/differential.rs runs it once",
    ),
    ("XADD", "*", "an id by the clock is another on each server"),
];

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.as_text().unwrap_or_default()).into_owned()
}

/// A flat array of names and values.
fn fields(reply: &Reply) -> BTreeMap<String, &Reply> {
    let pairs = reply.as_items().unwrap_or_default().chunks_exact(2);
    pairs.map(|pair| (text(&pair[0]), &pair[1])).collect()
}

/// All words that the arguments of a command have, options within options too.
fn tokens(arguments: &Reply, all: &mut BTreeSet<String>) {
    for argument in arguments.as_items().unwrap_or_default() {
        let fields = fields(argument);
        // A slot of its own.
        if fields.get("name").is_some_and(|name| text(name) == "unit") {
            continue;
        }
        if let Some(token) = fields.get("token") {
            all.insert(text(token).to_uppercase());
        }
        if let Some(inner) = fields.get("arguments") {
            tokens(inner, all);
        }
    }
}

/// The commands of these groups, subcommands as `CONTAINER|SUB`, each with its words.
fn documented(docs: &Reply, all: &mut BTreeMap<String, BTreeSet<String>>) {
    for (name, docs) in fields(docs) {
        let docs = fields(docs);
        if !GROUPS.contains(
            &docs
                .get("group")
                .map(|group| text(group))
                .as_deref()
                .unwrap_or_default(),
        ) {
            continue;
        }
        match docs.get("subcommands") {
            Some(subcommands) => documented(subcommands, all),
            None => {
                let mut words = BTreeSet::new();
                if let Some(arguments) = docs.get("arguments") {
                    tokens(arguments, &mut words);
                }
                all.insert(name.to_uppercase(), words);
            }
        }
    }
}

fn is_here(name: &str) -> bool {
    let (container, sub) = name.split_once('|').unwrap_or((name, ""));
    let mut rows = families::ALL.iter().flat_map(|family| family.iter());
    rows.any(|row| {
        row.name.eq_ignore_ascii_case(container)
            && (sub.is_empty()
                || row
                    .subcommands
                    .iter()
                    .any(|row| row.name.eq_ignore_ascii_case(sub)))
    })
}

/// The words of the templates that a command has; `None` if it has none.
fn generated(name: &str, templates: &[Template]) -> Option<BTreeSet<&'static str>> {
    let (container, sub) = name.split_once('|').unwrap_or((name, ""));
    let of_it = templates.iter().filter(|template| {
        template.names().contains(&container) && (sub.is_empty() || template.words().contains(&sub))
    });
    let mut of_it = of_it.peekable();
    of_it.peek()?;
    Some(of_it.flat_map(Template::words).collect())
}

#[test]
fn every_command_and_option_is_generated() {
    let redis = Redis::start();
    let mut all = BTreeMap::new();
    documented(&redis.client().call("COMMAND DOCS"), &mut all);
    let templates: Vec<Template> = ROWS
        .iter()
        .map(|row| Template::parse(row.template))
        .collect();
    let mut missing = BTreeSet::new();
    for (name, words) in all.into_iter().filter(|(name, _)| is_here(name)) {
        match generated(&name, &templates) {
            None => drop(missing.insert((name, "*".to_owned()))),
            Some(known) => missing.extend(
                words
                    .into_iter()
                    .filter(|word| !known.contains(word.as_str()))
                    .map(|word| (name.clone(), word)),
            ),
        }
    }
    let left_out = LEFT_OUT
        .iter()
        .map(|(name, word, _)| (name.to_string(), word.to_string()));
    assert_eq!(
        missing,
        left_out.collect(),
        "left: what no template has; right: what LEFT_OUT says"
    );
}
