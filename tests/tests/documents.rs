//! Pages of `docs/` that derive from what the server says of itself. `BLESS=1` writes them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Redis, Server, differences};

/// Groups of COMMAND DOCS, in the order of the page, with their headings.
const GROUPS: &[(&str, &str)] = &[
    ("string", "Strings"),
    ("list", "Lists"),
    ("hash", "Hashes"),
    ("set", "Sets"),
    ("sorted-set", "Sorted sets"),
    ("bitmap", "Bits"),
    ("hyperloglog", "HyperLogLogs"),
    ("geo", "Places on the globe"),
    ("stream", "Streams"),
    ("generic", "Keys of any type"),
    ("transactions", "Transactions"),
    ("pubsub", "Publishing"),
    ("scripting", "Scripts and functions"),
    ("connection", "Connections"),
    ("server", "The server, and replication"),
    ("cluster", "Clusters"),
];

/// Flags of COMMAND INFO that a reader of the page wants to know.
const SHOWN_FLAGS: &[&str] = &["write", "readonly", "fast", "admin", "loading", "denyoom"];

const HEAD: &str = "# Commands

Every command of Redis 7.0, and what this server has beyond them, by family. The page is made of `COMMAND DOCS` and `COMMAND INFO`
of this server and of `redis-server` 7.0 by a test (`BLESS=1 cargo test -p damselfly-tests --test documents`), so it is what they say of themselves.

*State* is `here`, `not here yet`, or `added`: no command of Redis 7.0.

*Arguments* counts the command's own words too, as `COMMAND INFO` does: 3 is exactly three, 2+ is two or more.
*Since* is the version of Redis that has the command first. The flags are Redis's: `write` and `readonly` as to the data
set, `fast` for constant or logarithmic time, `denyoom` for what is refused over `maxmemory`, `loading` for what answers
during a full sync, `admin` for what an administrator does. How replies differ from those of Redis 7.0 is in
[compatibility.md](compatibility.md).
";

/// What the page has of one command or subcommand.
struct Row {
    name: String,
    arity: i64,
    flags: Vec<String>,
    since: String,
    group: String,
    summary: String,
    state: &'static str,
}

/// Of what both servers have.
const HERE: &str = "here";
/// Of what only Redis has.
const MISSING: &str = "not here yet";
/// Of what only this server has.
const ADDED: &str = "added";

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.as_text().unwrap_or_default()).into_owned()
}

/// A flat array of names and values.
fn fields(reply: &Reply) -> BTreeMap<String, &Reply> {
    let items = reply.as_items().unwrap_or_default();
    let pairs = items.chunks_exact(2);
    pairs.map(|pair| (text(&pair[0]), &pair[1])).collect()
}

/// Documentation of all commands, by full name.
fn documentation(name: String, reply: &Reply, all: &mut BTreeMap<String, [String; 3]>) {
    let docs = fields(reply);
    let field = |name: &str| docs.get(name).map(|reply| text(reply)).unwrap_or_default();
    all.insert(name, ["since", "group", "summary"].map(field));
    if let Some(subcommands) = docs.get("subcommands") {
        for (name, reply) in fields(subcommands) {
            documentation(name, reply, all);
        }
    }
}

/// The rows of COMMAND INFO, subcommands after their containers.
fn rows(info: &Reply, docs: &BTreeMap<String, [String; 3]>, found: &mut Vec<Row>) {
    let item = |at: usize| &info.as_items().expect("an array for each command")[at];
    let name = text(item(0));
    let [since, group, summary] = docs[&name].clone();
    let flags = item(2).as_items().unwrap_or_default();
    found.push(Row {
        arity: item(1).as_integer().expect("the arity is a number"),
        flags: flags.iter().map(text).collect(),
        name,
        since,
        group,
        summary,
        state: HERE,
    });
    for subcommand in item(9).as_items().unwrap_or_default() {
        rows(subcommand, docs, found);
    }
}

fn all_rows(client: &mut Client) -> Vec<Row> {
    let mut docs = BTreeMap::new();
    for (name, reply) in fields(&client.call("COMMAND DOCS")) {
        documentation(name, reply, &mut docs);
    }
    let mut found = Vec::new();
    for info in client.call("COMMAND").as_items().unwrap_or_default() {
        rows(info, &docs, &mut found);
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found
}

/// Our rows, and Redis's that we have not: its words stay with it.
fn with_missing(mut ours: Vec<Row>, theirs: Vec<Row>) -> Vec<Row> {
    let names =
        |rows: &[Row]| -> BTreeSet<String> { rows.iter().map(|row| row.name.clone()).collect() };
    let (known, of_redis) = (names(&ours), names(&theirs));
    for row in ours.iter_mut().filter(|row| !of_redis.contains(&row.name)) {
        row.state = ADDED;
    }
    let missing = theirs.into_iter().filter(|row| !known.contains(&row.name));
    ours.extend(missing.map(|row| Row {
        summary: String::new(),
        state: MISSING,
        ..row
    }));
    ours.sort_by(|left, right| left.name.cmp(&right.name));
    ours
}

/// How far the page has come.
fn counts(rows: &[Row]) -> String {
    let of = |state| rows.iter().filter(|row| row.state == state).count();
    let (here, missing) = (of(HERE), of(MISSING));
    format!(
        "\nOf the {} commands and subcommands of Redis 7.0, {here} are here and {missing} are not; {} are added.\n",
        here + missing,
        of(ADDED)
    )
}

fn page(rows: &[Row]) -> String {
    let mut page = HEAD.to_owned() + &counts(rows);
    for (group, heading) in GROUPS {
        let _ = write!(
            page,
            "\n## {heading}\n\n| command | state | arguments | since | flags | |\n|---|---|---|---|---|---|\n"
        );
        for row in rows.iter().filter(|row| row.group == *group) {
            let flags: Vec<&str> = SHOWN_FLAGS
                .iter()
                .copied()
                .filter(|shown| row.flags.iter().any(|flag| flag == shown))
                .collect();
            let _ = writeln!(
                page,
                "| {} | {} | {}{} | {} | {} | {} |",
                row.name.replace('|', " ").to_uppercase(),
                row.state,
                row.arity.abs(),
                if row.arity < 0 { "+" } else { "" },
                row.since,
                flags.join(", "),
                row.summary
            );
        }
    }
    page
}

#[test]
fn the_page_of_commands_is_current() {
    let server = Server::start(&["--proactor_threads=1"]);
    let redis = Redis::start();
    let rows = with_missing(
        all_rows(&mut server.client()),
        all_rows(&mut redis.client()),
    );
    for row in &rows {
        assert!(
            GROUPS.iter().any(|(group, _)| *group == row.group),
            "{} is of group {:?}, which has no heading",
            row.name,
            row.group
        );
    }
    is_current("commands.md", &page(&rows));
}

#[test]
fn the_page_of_differences_is_current() {
    is_current("compatibility.md", &differences::page());
}

/// Compares a page of `docs/` with what it has to be, or writes it anew.
#[track_caller]
fn is_current(name: &str, page: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, page).expect("pages can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/{name} is not what it is made of; BLESS=1 cargo test -p damselfly-tests --test documents"
    );
}
