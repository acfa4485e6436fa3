//! What a full sync carries, and what is written meanwhile.

use damselfly_resp::Reply;
use damselfly_tests::{Client, Rng, Server, eventually, words};

use crate::pair::{DEADLINE, Pair, follow, settle, synced, write};

/// Values of all types: small, with expiries, in several databases, and one of each type that goes out in chunks.
fn fill(server: &Server) {
    write(server, 1, 1_000);
    let mut client = server.client();
    client.ok("SELECT 15");
    client.ok("SET volatile 1 PX 10000000");
    client.ok("HSET hash field 1");
    client.ok("PEXPIREAT hash 4102444800001");
    client.ok("SELECT 0");
    for kind in ["string", "list", "hash", "set", "zset"] {
        client.ok(&format!(
            "DEBUG POPULATE 1 big:{kind} 100 RAND TYPE {kind} ELEMENTS 1000"
        ));
    }
    client.ok(&format!("SETRANGE big:bytes 300000 {}", "x".repeat(100)));
}

#[test]
fn all_types_arrive_whatever_the_shard_counts() {
    for (primary, replica) in [(1, 3), (3, 1), (2, 2)] {
        let pair = Pair::apart(primary, replica);
        fill(&pair.primary);
        pair.replica.client().ok("SET of:former:times 1");
        pair.follow();
        pair.await_synced();
        pair.settle();
        write(&pair.primary, 2, 500);
        pair.settle();
        assert_eq!(pair.psync().full_syncs, 1);
    }
}

#[test]
fn several_replicas_take_full_syncs_at_once() {
    let primary = Server::with_shards(2);
    fill(&primary);
    let replicas = [1, 2, 3].map(Server::with_shards);
    replicas
        .iter()
        .for_each(|replica| follow(replica, primary.address()));
    write(&primary, 2, 1_000);
    replicas.iter().for_each(synced);
    write(&primary, 3, 300);
    replicas
        .iter()
        .for_each(|replica| settle(&primary, replica));
}

/// Writes batch after batch as long as the full sync goes on. How many batches that were.
fn write_throughout(pair: &Pair, mut batch: impl FnMut(&mut Client)) -> usize {
    let mut client = pair.primary.client();
    let mut batches = 0;
    while batches == 0 || pair.is_in_full_sync() {
        batch(&mut client);
        batches += 1;
    }
    batch(&mut client);
    batches
}

/// Commands that read some keys and write another, on keys of all shards; `?` is a number.
const STORES: &[&str] = &[
    "SADD set:? ? ? ?",
    "SREM set:? ? ?",
    "ZADD zset:? ? ? ? ?",
    "RPUSH list:? ? ? ?",
    "SET string:? ?",
    "SUNIONSTORE set:? set:? set:? set:?",
    "SDIFFSTORE set:? set:? set:?",
    "SINTERSTORE set:? set:? set:?",
    "SMOVE set:? set:? ?",
    "ZUNIONSTORE zset:? 2 zset:? set:?",
    "ZINTERSTORE zset:? 2 zset:? zset:? AGGREGATE MAX",
    "ZRANGESTORE zset:? zset:? 0 ?",
    "LMOVE list:? list:? LEFT RIGHT",
    "RPOPLPUSH list:? list:?",
    "COPY string:? string:? REPLACE",
    "COPY set:? set:? DB 2 REPLACE",
    "RENAME zset:? zset:?",
    "RENAMENX list:? list:?",
    "RENAME string:? string:?",
    "MOVE string:? 2",
    "DEL list:? zset:? set:?",
    "MSET string:? ? string:? ? string:? ?",
    "PEXPIRE set:? 10000000",
];

#[test]
fn values_made_of_others_throughout_a_full_sync() {
    for (primary, replica) in [(3, 3), (2, 3)] {
        let pair = Pair::amid_full_sync(primary, replica);
        let mut rng = Rng::new(11);
        let mut failed = 0;
        let batches = write_throughout(&pair, |client| {
            let commands: Vec<_> = (0..40)
                .map(|_| {
                    let pieces = rng.pick(STORES).split('?').map(str::to_owned);
                    let line =
                        pieces.reduce(|line, piece| format!("{line}{}{piece}", rng.below(8)));
                    words(&line.unwrap_or_default())
                })
                .collect();
            let replies = client.pipeline(&commands).unwrap();
            // A RENAME of what is not there is one; commands of a release to come are others.
            failed += replies
                .iter()
                .filter(|reply| reply.as_error().is_some())
                .count();
        });
        pair.settle();
        assert!(
            batches > 3 && failed < batches * 20,
            "{batches} batches, {failed} errors"
        );
        assert_eq!(pair.psync().full_syncs, 1);
    }
}

#[test]
fn big_values_in_chunks_while_they_change() {
    for (primary, replica) in [(2, 2), (2, 1)] {
        let pair = Pair::apart(primary, replica);
        let mut client = pair.primary.client();
        for line in [
            "DEBUG POPULATE 1 hash 100 RAND TYPE hash ELEMENTS 6000",
            "DEBUG POPULATE 1 list 100 RAND TYPE list ELEMENTS 6000",
            "DEBUG POPULATE 1 zset 100 RAND TYPE zset ELEMENTS 6000",
            "DEBUG POPULATE 1 string 1000000 RAND",
            "DEBUG POPULATE 1000 small 200 RAND",
        ] {
            client.ok(line);
        }
        pair.follow_slowly();
        let mut number = 0;
        let batches = write_throughout(&pair, |client| {
            number += 1;
            for line in [
                format!("HSET hash:0 field:{number} {number}"),
                format!("RPUSH list:0 {number}"),
                "LPOP list:0".to_owned(),
                format!("ZADD zset:0 {number} member:{number}"),
                format!("SETRANGE string:0 {} {number}", number * 1_000),
                format!("APPEND string:0 {number}"),
                format!("MSET small:{number} x other:{number} y"),
            ] {
                client.ok(&line);
            }
        });
        pair.settle();
        assert!(batches > 1, "{batches}");
        assert_eq!(pair.psync().full_syncs, 1);
    }
}

#[test]
fn no_one_amid_a_full_sync_is_a_primary_of_its_own() {
    for (primary, replica) in [(2, 2), (1, 3)] {
        let pair = Pair::amid_full_sync(primary, replica);
        let mut client = pair.replica.client();
        assert!(client.call("GET a").as_error().is_some(), "it is loading");
        client.ok("REPLICAOF NO ONE");
        client.ok("MSET own:1 1 own:2 2 own:3 3");
        assert_eq!(client.info("replication")["role"], "master");
        eventually(DEADLINE, "the primary sees the end", || {
            pair.primary.client().info("replication")["connected_slaves"] == "0"
        });
        write(&pair.primary, 3, 200);
        pair.hurry();
        pair.follow();
        pair.settle();
        assert_eq!(client.integer("EXISTS own:1 own:2 own:3"), 0);
    }
}

#[test]
fn a_full_sync_that_breaks_begins_again() {
    let pair = Pair::amid_full_sync(2, 2);
    pair.network.cut_all();
    write(&pair.primary, 3, 200);
    eventually(DEADLINE, "another full sync", || {
        pair.psync().full_syncs == 2
    });
    pair.settle();
    assert_eq!(pair.psync().successes, 0);
}

/// A transaction over several shards comes whole, whether its keys were sent before or after it.
#[test]
fn transactions_throughout_a_full_sync() {
    for (primary, replica) in [(3, 3), (3, 2)] {
        let pair = Pair::amid_full_sync(primary, replica);
        let mut number = 0;
        write_throughout(&pair, |client| {
            number += 1;
            client.ok("MULTI");
            for key in ["a", "b", "c", "d", "e", "f"] {
                client.ok(&format!("INCR counter:{key}"));
                client.ok(&format!("RPUSH log:{key} {number}"));
            }
            let reply = client.ok("EXEC");
            assert_eq!(reply.as_items().map(<[Reply]>::len), Some(12));
        });
        pair.settle();
        let mut client = pair.replica.client();
        for key in ["a", "b", "c", "d", "e", "f"] {
            assert_eq!(
                client.text(&format!("GET counter:{key}")),
                number.to_string()
            );
            assert_eq!(client.integer(&format!("LLEN log:{key}")), number);
        }
    }
}
