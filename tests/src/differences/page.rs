//! The page that is made of the rows.

use std::fmt::Write as _;

use super::both::{Line, lines};
use super::{Difference, SECTIONS, Shown};

const HEAD: &str = "# Differences from Redis 7.0

The yardstick is `redis-server` 7.0 (7.0.15 from Debian 12). For the commands that are here ([commands.md](commands.md)), replies and
errors are its, byte for byte, in RESP2 and RESP3: `tests/tests/differential.rs` sends generated sequences, damaged ones too, to
both servers and compares. This page has what differs nevertheless, and why. Anything else that differs is a bug.

The page is made of the rows of `tests/src/differences`, and a test checks each row against both servers: it fails when they
agree by now, or differ in another way than the row says (`cargo test -p damselfly-tests --test compatibility`). *Shown by* has the commands whose replies
differ, `redis` → `here`, or what else shows it.

What is missing altogether stands in the [README](../README.md#what-is-not-here-yet).
";

/// Bytes of a reply that the page shows.
const REPLY_BYTES: usize = 60;
/// Replies of a row that the page shows.
const MOST_LINES: usize = 2;

/// `docs/compatibility.md`.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for section in SECTIONS {
        let head = "| where | here | why | shown by |\n|---|---|---|---|\n";
        let _ = write!(page, "\n## {}\n\n{head}", section.title);
        for row in section.rows {
            let (place, here, why) = (row.place, row.here, row.why);
            let _ = writeln!(page, "| {place} | {here} | {why} | {} |", shown_by(row));
        }
    }
    page
}

fn shown_by(row: &Difference) -> String {
    match row.shown {
        Shown::Script(script) => {
            let shown = lines(script).filter_map(|line| match line {
                Line::Differs { line, redis, here } => {
                    Some(format!("`{line}`: `{}` → `{}`", cut(redis), cut(here)))
                }
                _ => None,
            });
            let shown: Vec<String> = shown.take(MOST_LINES).collect();
            shown.join("; ").replace('|', "\\|")
        }
        Shown::Seen(_) => "a check of both servers".to_owned(),
        Shown::Test(file, name) => format!("`{name}` in `{file}`"),
        Shown::Unchecked(reason) => format!("not checked: {reason}"),
    }
}

fn cut(pattern: &str) -> String {
    let text = pattern.replace('*', "…");
    match text.char_indices().nth(REPLY_BYTES) {
        Some((at, _)) => format!("{}…", text[..at].trim_end_matches('…')),
        None => text,
    }
}
