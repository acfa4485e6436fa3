//! A snapshot holds what stood at one point of the transaction order, on all shards.

use crate::{await_saved, directory, fill, server};
use damselfly_tests::{Client, Digest, Server, digest, words};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const ACCOUNTS: u64 = 64;
const EACH: i64 = 1000;

/// Moves money between accounts of all shards, and counts in two places, in transactions.
fn transfer(server: &Server, seed: u64, stop: &AtomicBool, done: &AtomicU64) {
    let mut client = server.client();
    let mut number = seed;
    while !stop.load(Ordering::Relaxed) {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (from, to) = ((number >> 33) % ACCOUNTS, (number >> 45) % ACCOUNTS);
        let lines = [
            "MULTI".to_owned(),
            format!("DECRBY account:{from} 3"),
            format!("INCR first:{seed}"),
            format!("INCRBY account:{to} 3"),
            format!("INCR second:{seed}"),
            "EXEC".to_owned(),
        ];
        let lines: Vec<_> = lines.iter().map(|line| words(line)).collect();
        client.pipeline(&lines).unwrap();
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is true of every cut.
fn check(client: &mut Client) {
    let total: i64 = (0..ACCOUNTS)
        .map(|account| client.text(&format!("GET account:{account}")))
        .map(|text| text.parse::<i64>().unwrap())
        .sum();
    assert_eq!(total, ACCOUNTS as i64 * EACH, "money came or went");
    for seed in [1, 2] {
        let first = client.text(&format!("GET first:{seed}"));
        assert_eq!(first, client.text(&format!("GET second:{seed}")));
    }
}

#[test]
fn transactions_are_in_it_whole_or_not_at_all() {
    let dir = directory();
    let ours = server(&dir, "", 3);
    let mut client = ours.client();
    for account in 0..ACCOUNTS {
        client.ok(&format!("SET account:{account} {EACH}"));
    }
    client.ok("DEBUG POPULATE 4000 pad 300");
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for seed in [1, 2] {
            let (server, stop, done) = (&ours, &stop, &done);
            scope.spawn(move || transfer(server, seed, stop, done));
        }
        for round in 0..4 {
            let before = done.load(Ordering::Relaxed);
            damselfly_tests::eventually(crate::DEADLINE, "transfers", || {
                done.load(Ordering::Relaxed) > before + 20
            });
            let format = if round % 2 == 0 { "DF" } else { "RDB" };
            client.ok(&format!("BGSAVE {format} round{round}"));
            assert!(await_saved(&mut client));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let reader = server(&dir, "", 2);
    let mut client = reader.client();
    for (round, end) in ["-summary.dfs", ".rdb", "-summary.dfs", ".rdb"]
        .iter()
        .enumerate()
    {
        client.ok(&format!("DFLY LOAD round{round}{end}"));
        check(&mut client);
        assert_eq!(client.integer("DBSIZE"), 4000 + ACCOUNTS as i64 + 4);
    }
}

/// What is flushed or exchanged while a save runs is in the file as it stood at the cut.
#[test]
fn databases_that_go_away_are_in_it() {
    let dir = directory();
    let ours = server(&dir, "", 2);
    let mut client = ours.client();
    fill(&mut client);
    client.ok("DEBUG POPULATE 20000 pad 100");
    let expected = digest(&mut client, Digest::Strict);
    for format in ["DF", "RDB"] {
        client.ok(&format!("BGSAVE {format} {format}"));
        for line in [
            "SWAPDB 0 3",
            "SET new key",
            "SWAPDB 3 5",
            "FLUSHALL",
            "SET another key",
        ] {
            client.call(line);
        }
        assert!(await_saved(&mut client));
        let file = if format == "DF" {
            "DF-summary.dfs"
        } else {
            "RDB.rdb"
        };
        client.ok(&format!("DFLY LOAD {file}"));
        assert_eq!(digest(&mut client, Digest::Strict), expected, "{format}");
    }
}

#[test]
fn a_second_save_waits_its_turn() {
    let dir = directory();
    let ours = server(&dir, "", 2);
    let mut client = ours.client();
    client.ok("DEBUG POPULATE 20000 pad 100");
    let lines = ["BGSAVE DF one", "SAVE RDB two"].map(words);
    let replies = client.pipeline(&lines).unwrap();
    assert_eq!(
        crate::error(replies[1].clone()),
        "ERR Background save already in progress"
    );
    assert!(await_saved(&mut client));
}
