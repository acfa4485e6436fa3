//! Commands that may not run: when that is seen, what is answered, and what stays as it was.

use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Server, await_synced, replicaof};

const DEADLINE: Duration = Duration::from_secs(20);

fn error(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.as_error().unwrap_or_default()).into_owned()
}

fn setting(client: &mut Client, name: &str) -> String {
    let reply = client.ok(&format!("CONFIG GET {name}"));
    let value = reply.as_items().and_then(|items| items.get(1)?.as_text());
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

#[test]
fn what_was_queued_on_a_primary_is_not_carried_out_on_a_replica() {
    let (primary, server) = (Server::with_shards(2), Server::with_shards(2));
    let mut client = server.client();
    client.ok("SET kept 1");
    client.ok("MULTI");
    client.ok("GET kept");
    client.ok("SET kept 2");

    let mut other = server.client();
    let reply = replicaof(&mut other, primary.address());
    assert_eq!(error(&reply), "");
    await_synced(DEADLINE, &mut other).expect("the replica gets into stable sync");
    let refused = error(&client.call("EXEC"));
    assert_eq!(
        refused,
        "EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica."
    );
    assert_eq!(error(&client.call("EXEC")), "ERR EXEC without MULTI");

    let port = primary.address().port();
    assert_eq!(
        setting(&mut other, "replicaof"),
        format!("127.0.0.1 {port}")
    );
    other.ok("REPLICAOF NO ONE");
    assert_eq!(setting(&mut other, "slaveof"), "");
    // What reads alone goes through.
    client.ok("MULTI");
    client.ok("EXISTS kept");
    assert_eq!(client.ok("EXEC"), Reply::Array(vec![Reply::Integer(0)]));
}

#[test]
fn a_refused_exec_forgets_what_was_watched() {
    let server = Server::with_shards(2);
    let (mut client, mut other) = (server.client(), server.client());
    client.ok("WATCH a b c d");
    client.ok("MULTI");
    client.ok("SET a 1");
    let refused = error(&client.call("EXEC now"));
    assert_eq!(
        refused,
        "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command"
    );
    other.ok("MSET a 2 b 2 c 2 d 2");
    client.ok("MULTI");
    client.ok("GET a");
    let reply = client.ok("EXEC");
    assert_eq!(reply, Reply::Array(vec![Reply::Bulk(b"2".to_vec())]));
}

#[test]
fn settings_of_replication_reach_those_who_ask() {
    let (primary, server) = (Server::with_shards(1), Server::with_shards(2));
    let mut client = server.client();
    client.ok("CONFIG SET repl-backlog-size 3mb replica-priority 7 repl-timeout 9");
    let info = client.info("replication");
    assert_eq!(info["repl_backlog_size"], "3145728");
    assert_eq!(setting(&mut client, "replication_timeout"), "9000");
    replicaof(&mut client, primary.address());
    let info = client.info("replication");
    assert_eq!(
        (info["role"].as_str(), info["slave_priority"].as_str()),
        ("slave", "7")
    );
}

/// What is drawn with repetition is bounded, whatever the collection.
#[test]
fn nobody_draws_without_end() {
    let server = Server::with_shards(2);
    let mut client = server.client();
    client.ok("SADD s a");
    client.ok("HSET h f v");
    client.ok("ZADD z 1 m");
    for line in ["SRANDMEMBER s", "HRANDFIELD h", "ZRANDMEMBER z"] {
        let drawn = client.ok(&format!("{line} -3"));
        assert_eq!(drawn.as_items().map(<[Reply]>::len), Some(3), "{line}");
        let refused = error(&client.call(&format!("{line} -1048577")));
        assert!(refused.contains("drawn with repetition"), "{refused}");
    }
}
