//! A primary A with replicas B and C dies; B is promoted and takes writes; C follows B.

use damselfly_tests::{Psync, Server, eventually};

use crate::pair::{DEADLINE, error, follow, offsets, psync, settle, synced, write};

/// What became of C.
struct Found {
    psync: Psync,
    /// Records that only one of B and C had when A died.
    missed: i64,
    /// The log of B.
    log: String,
}

/// One of B and C hears nothing of the last writes.
fn fail_over(shards: [usize; 3], is_c_behind: bool) -> Found {
    let [mut a, b, c] = shards.map(Server::with_shards);
    for replica in [&b, &c] {
        follow(replica, a.address());
        synced(replica);
    }
    write(&a, 1, 500);
    settle(&a, &b);
    settle(&a, &c);
    let (behind, ahead) = if is_c_behind { (&c, &b) } else { (&b, &c) };
    let mut held = behind.client();
    held.ok("DEBUG REPLICA PAUSE");
    let before = offsets(&mut held);
    write(&a, 2, 500);
    settle(&a, ahead);
    assert_eq!(
        offsets(&mut held),
        before,
        "a paused replica executes nothing"
    );
    let further = offsets(&mut ahead.client());
    assert!(
        before
            .iter()
            .zip(&further)
            .all(|(held, other)| held < other),
        "{before:?} {further:?}"
    );

    a.kill();
    b.client().ok("REPLICAOF NO ONE");
    write(&b, 3, 500);
    follow(&c, b.address());
    settle(&b, &c);
    write(&b, 4, 200);
    settle(&b, &c);
    let missed = before.iter().zip(&further);
    Found {
        psync: psync(&c),
        missed: missed.map(|(held, other)| other - held).sum(),
        log: b.log(),
    }
}

#[test]
fn a_sibling_that_is_behind_goes_on_with_partial_sync() {
    let Found { psync, log, .. } = fail_over([2, 2, 2], true);
    assert_eq!(
        (psync.attempts, psync.successes, psync.full_syncs),
        (1, 1, 0)
    );
    assert!(!log.contains("a full sync drops them"), "{log}");
}

#[test]
fn a_sibling_that_is_ahead_takes_everything_anew() {
    let Found { psync, missed, log } = fail_over([2, 2, 2], false);
    assert_eq!((psync.successes, psync.full_syncs), (0, 1));
    let line = log
        .lines()
        .find(|line| line.contains("a full sync drops them"));
    assert!(
        line.is_some_and(|line| line.contains(&format!("records={missed}"))),
        "{missed} in {log}"
    );
}

/// LSNs of another number of shards mean nothing to each other.
#[test]
fn siblings_with_other_shard_counts_take_everything_anew() {
    for is_c_behind in [true, false] {
        let found = fail_over([2, 3, 2], is_c_behind).psync;
        assert_eq!((found.successes, found.full_syncs), (0, 1));
    }
}

#[test]
fn the_old_primary_follows_the_new_one() {
    let [a, b] = [2, 2].map(Server::with_shards);
    follow(&b, a.address());
    synced(&b);
    write(&a, 1, 300);
    settle(&a, &b);
    // In step: nothing was written that the other has not.
    b.client().ok("REPLICAOF NO ONE");
    follow(&a, b.address());
    write(&b, 2, 300);
    settle(&b, &a);
    let found = psync(&a);
    assert_eq!(
        (found.attempts, found.successes, found.full_syncs),
        (1, 1, 0)
    );
    assert!(error(&a.client().call("SET a 1")).starts_with("READONLY"));
    // And back, with writes that only the replica-to-be has: they are given up.
    a.client().ok("REPLICAOF NO ONE");
    a.client().ok("SET only:a 1");
    b.client().ok("SET only:b 1");
    follow(&b, a.address());
    settle(&a, &b);
    assert_eq!(b.client().integer("EXISTS only:a only:b"), 1);
    eventually(DEADLINE, "the count", || psync(&b).full_syncs == 1);
}
