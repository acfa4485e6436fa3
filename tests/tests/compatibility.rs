//! The differences from Redis 7.0 that `docs/compatibility.md` states are there, and as it states them.

use damselfly_tests::differences::{Both, SECTIONS, Shown};
use damselfly_tests::{Redis, Server};

/// More rows that nothing shows than these would be too many to believe.
const MOST_UNCHECKED: usize = 7;

#[test]
fn every_stated_difference_is_there() {
    let (redis, server) = (Redis::start(), Server::with_shards(2));
    let mut both = Both::new(&redis, &server);
    let rows = SECTIONS.iter().flat_map(|section| section.rows);
    let wrong: Vec<String> = rows.filter_map(|row| row.check(&mut both).err()).collect();
    assert!(
        wrong.is_empty(),
        "{} rows of tests/src/differences/table.rs are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn almost_all_rows_are_shown() {
    let rows = SECTIONS.iter().flat_map(|section| section.rows);
    let unchecked: Vec<_> = rows
        .filter(|row| matches!(row.shown, Shown::Unchecked(_)))
        .map(|row| row.place)
        .collect();
    assert!(unchecked.len() <= MOST_UNCHECKED, "{unchecked:#?}");
}
