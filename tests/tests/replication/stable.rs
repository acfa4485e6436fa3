//! Stable sync: effects, time, order.

use damselfly_resp::Reply;
use damselfly_tests::{Server, eventually};

use crate::pair::{DEADLINE, Pair, follow, integers, offsets, settle, synced, write};

#[test]
fn every_write_is_carried_over_whatever_the_shard_counts() {
    for (primary, replica) in [(2, 2), (1, 4), (4, 1)] {
        let pair = Pair::synced(primary, replica);
        for seed in 0..2 {
            write(&pair.primary, seed, 1_000);
            pair.settle();
        }
        assert_eq!(pair.psync().reconnects, 0);
    }
}

#[test]
fn only_the_clock_of_the_primary_ends_a_key() {
    for (primary, replica) in [(2, 2), (2, 1)] {
        let mut pair = Pair::synced(primary, replica);
        let (mut above, mut below) = (pair.primary.client(), pair.replica.client());
        above.ok("DEBUG SET-ACTIVE-EXPIRE 0");
        for number in 0..10 {
            above.ok(&format!("SET brief:{number} x PX 300"));
        }
        above.ok("RPUSH stays x");
        pair.settle();
        pair.primary.freeze();
        eventually(DEADLINE, "the end of their time", || {
            below.call("GET brief:9") == Reply::Null
        });
        assert_eq!(
            below.integer("EXISTS brief:0 brief:1 brief:2"),
            0,
            "they are not shown any more"
        );
        assert_eq!(
            below.integer("DBSIZE"),
            11,
            "and yet nobody has deleted them"
        );
        pair.primary.thaw();
        // A write deletes it first, and its record does so there.
        assert_eq!(above.integer("APPEND brief:0 y"), 1);
        eventually(DEADLINE, "the write", || {
            below.call("GET brief:0") == Reply::Bulk(b"y".to_vec())
        });
        assert_eq!(below.integer("TTL brief:0"), -1);
        above.ok("DEBUG SET-ACTIVE-EXPIRE 1");
        eventually(DEADLINE, "all DELs", || below.integer("DBSIZE") == 2);
        pair.settle();
    }
}

#[test]
fn a_promoted_replica_has_a_clock_of_its_own() {
    let mut pair = Pair::synced(2, 2);
    let mut above = pair.primary.client();
    above.ok("DEBUG SET-ACTIVE-EXPIRE 0");
    above.ok("MSET a 1 b 1");
    for key in ["c", "d", "e"] {
        above.ok(&format!("SET {key} x PX 100"));
    }
    pair.settle();
    pair.primary.kill();
    let mut client = pair.replica.client();
    client.ok("REPLICAOF NO ONE");
    eventually(DEADLINE, "their end", || client.integer("DBSIZE") == 2);
}

/// A time that is over is a deletion, and a key that comes back has no old time.
#[test]
fn times_are_the_same_at_both_ends() {
    let pair = Pair::synced(2, 3);
    let mut client = pair.primary.client();
    for line in [
        "MSET a 1 b 1 c 1 d 1 e 1 f 1",
        "EXPIRE a 1000",
        "PEXPIRE b 1000000",
        "EXPIREAT c 4102444800",
        "EXPIRE d -1",
        "SET e 2 EX 1000",
        "GETEX f PX 1000000",
        "EXPIRE a 2000 NX",
        "SET b 3 KEEPTTL",
        "PERSIST c",
        "GETEX e PERSIST",
        "SET g 1 EXAT 1",
        "RESTORE h 1000000 nonsense",
    ] {
        client.call(line);
    }
    pair.settle();
    let mut below = pair.replica.client();
    for key in ["a", "b", "c", "d", "e", "f", "g"] {
        let line = format!("PEXPIRETIME {key}");
        assert_eq!(below.integer(&line), client.integer(&line), "{key}");
    }
}

#[test]
fn a_transaction_is_seen_whole_on_the_replica() {
    for (primary, replica) in [(3, 3), (3, 2)] {
        let pair = Pair::synced(primary, replica);
        let (mut writer, mut reader) = (pair.primary.client(), pair.replica.client());
        writer.ok("MSET a 0 b 0 c 0 d 0");
        pair.settle();
        let mut seen = 0;
        let mut number = 0;
        while seen < 30 {
            number += 1;
            let lines = ["MULTI", "INCR a", "INCR b", "INCR c", "INCR d", "EXEC"];
            lines.iter().for_each(|line| drop(writer.ok(line)));
            let reply = reader.ok("MGET a b c d");
            let values = reply.as_items().unwrap_or_default();
            assert!(
                values.windows(2).all(|pair| pair[0] == pair[1]),
                "{values:?}"
            );
            seen = values[0]
                .as_text()
                .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok())
                .unwrap_or(0);
            assert!(number < 100_000, "the replica does not keep up");
        }
    }
}

#[test]
fn a_paused_replica_goes_on_where_it_was() {
    let pair = Pair::synced(2, 2);
    write(&pair.primary, 1, 300);
    pair.settle();
    let mut client = pair.replica.client();
    client.ok("DEBUG REPLICA PAUSE");
    let before = offsets(&mut client);
    write(&pair.primary, 2, 300);
    assert_eq!(offsets(&mut client), before);
    client.ok("DEBUG REPLICA RESUME");
    pair.settle();
    assert_ne!(offsets(&mut client), before);
    assert_eq!(pair.psync().reconnects, 0);
}

#[test]
fn offsets_agree_at_rest() {
    for (primary, replica) in [(2, 2), (3, 1)] {
        let pair = Pair::synced(primary, replica);
        write(&pair.primary, 1, 500);
        pair.settle();
        let (mut above, mut below) = (pair.primary.client(), pair.replica.client());
        eventually(DEADLINE, "equal offsets", || {
            let flows = integers(&above.ok("DFLY REPLICAOFFSET"));
            flows.len() == primary && flows == offsets(&mut below)
        });
        let reply = below.ok("DEBUG REPLICA OFFSET");
        let sync = reply
            .as_items()
            .and_then(|items| items[0].as_text())
            .unwrap_or_default();
        assert!(sync.starts_with(b"SYNC"), "{reply:?}");
        let (above, below) = (above.info("replication"), below.info("replication"));
        assert_eq!(above["master_repl_offset"], below["slave_repl_offset"]);
    }
    let alone = Server::with_shards(1);
    assert!(
        alone
            .client()
            .call("DEBUG REPLICA OFFSET")
            .as_error()
            .is_some()
    );
}

#[test]
fn scattered_writers_and_several_replicas_agree() {
    let primary = Server::with_shards(3);
    let replicas = [3, 2].map(Server::with_shards);
    for replica in &replicas {
        follow(replica, primary.address());
        synced(replica);
    }
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let primary = &primary;
            scope.spawn(move || write(primary, seed, 1_000));
        }
    });
    replicas
        .iter()
        .for_each(|replica| settle(&primary, replica));
}
