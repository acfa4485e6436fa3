//! Commands about whole databases: in the midst of a full sync and in stable sync, alone and inside MULTI, whatever the shard counts.

use damselfly_tests::{Client, words};

use crate::pair::{Pair, write};

const SHARDS: [(usize, usize); 3] = [(2, 2), (1, 3), (3, 1)];

/// What is done at once; keys of all shards stand around it.
const STEPS: &[&[&str]] = &[
    &["FLUSHALL"],
    &["FLUSHALL ASYNC"],
    &["FLUSHDB"],
    &["SELECT 3", "FLUSHDB", "SELECT 0"],
    &["SWAPDB 0 3"],
    &["SWAPDB 3 9", "SWAPDB 9 0"],
    &[
        "MULTI",
        "MSET a 1 b 1 c 1 d 1",
        "FLUSHALL",
        "MSET c 2 d 2 e 2 f 2",
        "EXEC",
    ],
    &["MULTI", "FLUSHALL", "EXEC"],
    &[
        "MULTI",
        "SET a 3",
        "FLUSHDB",
        "SELECT 3",
        "SET b 3",
        "SWAPDB 0 3",
        "SET c 3",
        "SELECT 0",
        "EXEC",
    ],
    &["MULTI", "SWAPDB 0 3", "FLUSHDB", "SET x 4", "EXEC"],
];

fn fill(client: &mut Client, round: usize) {
    let mut lines = Vec::new();
    for database in [0, 3] {
        lines.push(format!("SELECT {database}"));
        for number in 0..20 {
            lines.push(format!("SET key:{number} {database}:{round}"));
            lines.push(format!("RPUSH list:{round} {number} {database}"));
        }
    }
    lines.push("SELECT 0".to_owned());
    let commands: Vec<_> = lines.iter().map(|line| words(line)).collect();
    let replies = client.pipeline(&commands).expect("the connection lasts");
    assert!(replies.iter().all(|reply| reply.as_error().is_none()));
}

fn step(client: &mut Client, lines: &[&str], round: usize) {
    fill(client, round);
    lines.iter().for_each(|line| drop(client.ok(line)));
    client.ok(&format!("MSET after:{round} 1 a {round} key:{round} 1"));
}

#[test]
fn in_stable_sync() {
    for (primary, replica) in SHARDS {
        let pair = Pair::synced(primary, replica);
        let mut client = pair.primary.client();
        for (round, lines) in STEPS.iter().enumerate() {
            step(&mut client, lines, round);
            pair.settle();
        }
        // And without a rest between them.
        for (round, lines) in STEPS.iter().cycle().take(2 * STEPS.len()).enumerate() {
            step(&mut client, lines, round);
        }
        pair.settle();
        assert_eq!(pair.psync().reconnects, 0);
    }
}

/// One kind in the midst of a full sync, with writes before it and behind it.
fn amid_full_sync(lines: &[&str]) {
    for (primary, replica) in SHARDS {
        let pair = Pair::amid_full_sync(primary, replica);
        step(&mut pair.primary.client(), lines, 1);
        write(&pair.primary, 7, 200);
        pair.settle();
        let found = pair.psync();
        assert_eq!((found.full_syncs, found.reconnects), (1, 0), "{lines:?}");
    }
}

#[test]
fn flushall_amid_a_full_sync() {
    amid_full_sync(&["FLUSHALL"]);
}

#[test]
fn flushdb_amid_a_full_sync() {
    amid_full_sync(&["SELECT 3", "FLUSHDB", "SELECT 0"]);
}

#[test]
fn swapdb_amid_a_full_sync() {
    amid_full_sync(&["SWAPDB 0 3"]);
}

#[test]
fn a_transaction_with_flushall_amid_a_full_sync() {
    amid_full_sync(STEPS[6]);
}

#[test]
fn a_transaction_with_swapdb_amid_a_full_sync() {
    amid_full_sync(STEPS[8]);
}

#[test]
fn all_of_them_amid_one_full_sync() {
    let pair = Pair::amid_full_sync(2, 2);
    let mut client = pair.primary.client();
    for (round, lines) in STEPS.iter().enumerate().rev() {
        step(&mut client, lines, round);
    }
    pair.settle();
    assert_eq!(pair.psync().full_syncs, 1);
}
