//! What a server says of its role, and what it takes in each.

use damselfly_resp::Reply;
use damselfly_tests::{Client, Server, eventually, replicaof};

use crate::pair::{DEADLINE, Pair, error, follow, synced};

fn texts(reply: &Reply) -> Vec<String> {
    let items = reply.as_items().unwrap_or_default().iter();
    items
        .filter_map(Reply::as_text)
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect()
}

/// Fields of INFO that must have these values.
fn expect(client: &mut Client, expected: &[(&str, &str)]) {
    let info = client.info("replication");
    for (field, value) in expected {
        assert_eq!(
            info.get(*field).map(String::as_str),
            Some(*value),
            "{field}"
        );
    }
}

#[test]
fn role_and_info_tell_of_both_ends() {
    let primary = Server::with_shards(2);
    let mut above = primary.client();
    assert_eq!(above.call("ROLE").as_items().map(<[Reply]>::len), Some(2));
    expect(&mut above, &[("role", "master"), ("connected_slaves", "0")]);
    let replica = Server::start(&[
        "--proactor_threads=1",
        "--announce_port=4321",
        "--replica_announce_ip=127.0.0.9",
    ]);
    follow(&replica, primary.address());
    synced(&replica);

    let port = primary.address().port().to_string();
    let mut below = replica.client();
    assert_eq!(
        texts(&below.ok("ROLE")),
        ["replica", "127.0.0.1", &port, "stable_sync"]
    );
    eventually(DEADLINE, "the primary's view", || {
        let role = above.ok("ROLE");
        let replicas = role
            .as_items()
            .and_then(|items| items[1].as_items())
            .unwrap_or_default();
        let [replica] = replicas else {
            return false;
        };
        texts(replica) == ["127.0.0.9", "4321", "stable_sync"]
    });
    expect(
        &mut below,
        &[
            ("role", "slave"),
            ("master_host", "127.0.0.1"),
            ("master_port", &port),
            ("master_link_status", "up"),
            ("master_sync_in_progress", "0"),
            ("master_full_syncs", "1"),
            ("psync_attempts", "0"),
            ("slave_read_only", "1"),
        ],
    );
    let line = above.info("replication")["slave0"].clone();
    assert!(
        line.starts_with("ip=127.0.0.9,port=4321,state=stable_sync,lag="),
        "{line}"
    );

    for client in [&mut above, &mut below] {
        client.ok("CONFIG SET info_replication_valkey_compatible true");
    }
    assert_eq!(
        texts(&below.ok("ROLE")),
        ["slave", "127.0.0.1", &port, "online"]
    );
    assert!(above.info("replication")["slave0"].contains("state=online"));
    below.ok("REPLICAOF NO ONE");
    expect(&mut below, &[("role", "master")]);
    eventually(DEADLINE, "the end", || {
        above.info("replication")["connected_slaves"] == "0"
    });
}

#[test]
fn a_replica_is_read_only() {
    let pair = Pair::synced(2, 2);
    pair.primary.client().ok("MSET a 1 b 2 c 3 d 4");
    pair.settle();
    let mut client = pair.replica.client();
    for line in [
        "SET a 1",
        "MSET a 1 b 2 c 3",
        "DEL a",
        "FLUSHALL",
        "FLUSHDB",
        "SWAPDB 0 1",
        "RENAME a b",
        "SUNIONSTORE a b c",
        "EXPIRE a 1",
    ] {
        assert_eq!(
            error(&client.call(line)),
            "READONLY You can't write against a read only replica.",
            "{line}"
        );
    }
    client.ok("MULTI");
    assert!(error(&client.call("SET a 1")).starts_with("READONLY"));
    assert!(error(&client.call("EXEC")).starts_with("EXECABORT"));
    client.ok("MULTI");
    client.ok("GET a");
    client.ok("MGET b c");
    assert_eq!(client.ok("EXEC").as_items().map(<[Reply]>::len), Some(2));
    pair.settle();
    client.ok("REPLICAOF NO ONE");
    client.ok("SET a 2");
}

#[test]
fn a_loading_replica_says_so_and_answers_what_it_can() {
    let pair = Pair::amid_full_sync(2, 2);
    let mut client = pair.replica.client();
    let loading = |client: &mut Client, line: &str| {
        let found = error(&client.call(line));
        found.starts_with("LOADING ")
    };
    for line in ["GET a", "MGET a b c", "DBSIZE", "KEYS *"] {
        assert!(loading(&mut client, line), "{line}");
    }
    for line in [
        "PING",
        "INFO",
        "ROLE",
        "CONFIG GET port",
        "CLIENT LIST",
        "CLIENT ID",
        "DEBUG REPLICA OFFSET",
        "COMMAND COUNT",
        "SELECT 1",
    ] {
        client.ok(line);
    }
    let info = client.info("replication");
    assert_eq!(
        info["master_sync_in_progress"], "1",
        "the full sync was over too early for this test"
    );
    assert_eq!(
        info["slave_repl_offset"], "0",
        "what it has is no point in the history before the full sync is done"
    );
    assert_eq!(client.info("persistence")["loading"], "1");
    assert_eq!(texts(&client.ok("ROLE"))[3], "full_sync");
    // Nobody follows one who has nothing yet.
    let third = Server::with_shards(2);
    let reply = replicaof(&mut third.client(), pair.replica.address());
    assert!(error(&reply).contains("LOADING"), "{reply:?}");
    pair.settle();
    follow(&third, pair.replica.address());
    synced(&third);
    assert_ne!(client.info("replication")["slave_repl_offset"], "0");
    assert_eq!(client.info("persistence")["loading"], "0");
    client.ok("DBSIZE");
}
