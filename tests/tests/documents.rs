//! Pages of `docs/` that derive from what the server says of itself. `BLESS=1` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Server};

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
    ("generic", "Keys of any type"),
    ("transactions", "Transactions"),
    ("connection", "Connections"),
    ("server", "The server, and replication"),
];

/// Flags of COMMAND INFO that a reader of the page wants to know.
const SHOWN_FLAGS: &[&str] = &["write", "readonly", "fast", "admin", "loading", "denyoom"];

const HEAD: &str = "# Commands

What this server answers to, by family. The page is made of `COMMAND DOCS` and `COMMAND INFO` by a test
(`BLESS=1 cargo test -p damselfly-tests --test documents`), so it is what the server says of itself.

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
}

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

fn page(rows: &[Row]) -> String {
    let mut page = HEAD.to_owned();
    for (group, heading) in GROUPS {
        let _ = write!(
            page,
            "\n## {heading}\n\n| command | arguments | since | flags | |\n|---|---|---|---|---|\n"
        );
        for row in rows.iter().filter(|row| row.group == *group) {
            let flags: Vec<&str> = SHOWN_FLAGS
                .iter()
                .copied()
                .filter(|shown| row.flags.iter().any(|flag| flag == shown))
                .collect();
            let _ = writeln!(
                page,
                "| {} | {}{} | {} | {} | {} |",
                row.name.replace('|', " ").to_uppercase(),
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
    let rows = all_rows(&mut server.client());
    for row in &rows {
        assert!(
            GROUPS.iter().any(|(group, _)| *group == row.group),
            "{} is of group {:?}, which has no heading",
            row.name,
            row.group
        );
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    let page = page(&rows);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).expect("docs/commands.md can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/commands.md is not what the command table says; BLESS=1 cargo test -p damselfly-tests --test documents"
    );
}
