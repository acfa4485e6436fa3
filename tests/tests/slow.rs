//! The slow log and the latency monitor, beside `redis-server` 7.0.

use damselfly_resp::Reply;
use damselfly_tests::{Client, Redis, Server, await_synced, eventually, replicaof, words};
use std::net::SocketAddr;
use std::time::Duration;

/// The last ones: number, arguments and name of the client.
fn entries(client: &mut Client) -> Vec<(i64, Vec<String>, String)> {
    let text =
        |reply: &Reply| String::from_utf8_lossy(reply.as_text().unwrap_or_default()).into_owned();
    let reply = client.ok("SLOWLOG GET -1");
    let entry = |entry: &Reply| {
        let fields = entry.as_items().expect("an entry");
        assert_eq!(fields.len(), 6);
        assert!(text(&fields[4]).starts_with("127.0.0.1:"));
        let args = fields[3]
            .as_items()
            .expect("arguments")
            .iter()
            .map(text)
            .collect();
        (
            fields[0].as_integer().expect("a number"),
            args,
            text(&fields[5]),
        )
    };
    reply
        .as_items()
        .expect("entries")
        .iter()
        .map(entry)
        .collect()
}

#[test]
fn everything_is_logged_as_by_redis_where_everything_is_slow() {
    let (redis, server) = (Redis::start(), Server::with_shards(2));
    let (mut theirs, mut ours) = (redis.client(), server.client());
    let many: String = (0..40).map(|n| format!(" {n}")).collect();
    let long = format!("SET long {}", "x".repeat(200));
    let lines = [
        "CONFIG SET slowlog-log-slower-than 0",
        "SLOWLOG RESET",
        "CLIENT SETNAME joe",
        "SET a b",
        &format!("RPUSH l{many}"),
        &long,
        "AUTH default secret",
        "ACL SETUSER foo >secret",
        "ACL GETUSER foo",
        "ACL DELUSER foo",
        "CONFIG SET masterauth secret",
        "CONFIG SET maxmemory 0 masterauth secret",
        "HELLO 2 AUTH default secret",
        "MULTI",
        "SET a b",
        "MGET a b c d e f",
        "PING",
        "EXEC",
        "GET",
        "NOTHING",
        "LPUSH a b",
        "MSET a 1 b 2 c 3 d 4",
        "BLPOP l 0",
        "SELECT 1",
        "SLOWLOG LEN",
        "SLOWLOG NOTHING",
        "SLOWLOG GET 0",
        "SLOWLOG HELP",
        "SLOWLOG GET x",
        "SLOWLOG GET -2",
        "SLOWLOG GET 1 2",
        "SLOWLOG",
        "SLOWLOG LEN x",
        "CONFIG SET slowlog-max-len -1",
        "CONFIG SET slowlog-log-slower-than -2",
    ];
    for line in lines {
        let replies = (theirs.call(line), ours.call(line));
        if !line.starts_with("HELLO") {
            assert_eq!(replies.0, replies.1, "{line}");
        }
    }
    assert_eq!(entries(&mut theirs), entries(&mut ours));
    for line in [
        "CONFIG SET slowlog-max-len 3",
        "PING",
        "PING",
        "SLOWLOG LEN",
        "CONFIG SET slowlog-log-slower-than -1",
        "SLOWLOG LEN",
        "SLOWLOG RESET",
        "SLOWLOG LEN",
    ] {
        assert_eq!(theirs.call(line), ours.call(line), "{line}");
    }
}

/// With the threshold that servers have, on the client's own shard and on another, in a pipeline and by itself.
#[test]
fn what_takes_long_is_found() {
    let server = Server::with_shards(2);
    let mut client = server.client();
    client.ok("DEBUG POPULATE 200000");
    client.ok("CONFIG SET slowlog-log-slower-than 1000 latency-monitor-threshold 1");
    client.ok("SLOWLOG RESET");
    let mut pipeline = Vec::new();
    for line in [
        "GET key:1",
        "KEYS nothing*",
        "GET key:2",
        "DEBUG SLEEP 0.02",
    ] {
        damselfly_resp::encode_command(
            &mut pipeline,
            &words(line).iter().map(Vec::as_slice).collect::<Vec<_>>(),
        );
    }
    client.send_raw(&pipeline).expect("sent");
    (0..4).for_each(|_| drop(client.receive().expect("a reply")));
    let found: Vec<_> = entries(&mut client)
        .into_iter()
        .map(|(_, args, _)| args.join(" "))
        .collect();
    assert_eq!(found, ["DEBUG SLEEP 0.02", "KEYS nothing*"]);
    let latest = client.ok("LATENCY LATEST");
    let event = latest
        .as_items()
        .and_then(|events| events[0].as_items())
        .expect("an event");
    assert_eq!(event[0].as_text(), Some(&b"command"[..]));
    assert!(
        event[3]
            .as_integer()
            .is_some_and(|most| (20..2000).contains(&most)),
        "{event:?}"
    );
    assert!(
        client
            .text("LATENCY GRAPH command")
            .starts_with("command - high ")
    );
    assert!(client.text("LATENCY DOCTOR").contains("command"));
    assert_eq!(client.ok("LATENCY RESET nothing"), Reply::Integer(0));
    assert_eq!(client.ok("LATENCY RESET"), Reply::Integer(1));
}

#[test]
fn latency_answers_as_redis_does() {
    let (redis, server) = (Redis::start(), Server::with_shards(2));
    for proto in ["2", "3"] {
        let (mut theirs, mut ours) = (redis.client(), server.client());
        theirs.ok(&format!("HELLO {proto}"));
        ours.ok(&format!("HELLO {proto}"));
        for line in [
            "LATENCY",
            "LATENCY NOTHING",
            "LATENCY HELP",
            "LATENCY LATEST",
            "LATENCY HISTORY",
            "LATENCY HISTORY nothing",
            "LATENCY GRAPH nothing",
            "LATENCY RESET",
            "LATENCY RESET nothing",
            "LATENCY HISTOGRAM nothing",
            "LATENCY HISTOGRAM nothing too",
            "CONFIG GET latency-monitor-threshold",
            "CONFIG GET latency-tracking*",
            "CONFIG GET slowlog*",
            "CONFIG SET latency-monitor-threshold -1",
        ] {
            let (left, right) = (theirs.call(line), ours.call(line));
            if line.starts_with("CONFIG GET") {
                continue;
            }
            assert_eq!(left, right, "{line}");
        }
        // Names and numbers of calls; times are chance.
        for (line, calls) in [("GET a", 50), ("PING", 3)] {
            ours.ok("CONFIG RESETSTAT");
            (0..calls).for_each(|_| drop(ours.ok(line)));
            let shown = format!(
                "{:?}",
                ours.ok(&format!(
                    "LATENCY HISTOGRAM {}",
                    words(line)[0].escape_ascii()
                ))
            );
            assert!(shown.contains(&format!("Integer({calls})")), "{shown}");
        }
    }
}

/// What a link brings is logged like what clients send, under the primary's address: on the shard where it comes, over several shards,
/// and of a Redis.
#[test]
fn records_of_a_primary_are_logged_under_its_address() {
    let (redis, server) = (Redis::start(), Server::with_shards(2));
    for (primary, shards) in [
        (server.address(), 2),
        (server.address(), 3),
        (redis.address(), 2),
    ] {
        let replica = Server::with_shards(shards);
        let mut client = replica.client();
        replicaof(&mut client, primary);
        await_synced(Duration::from_secs(20), &mut client).unwrap();
        client.ok("CONFIG SET slowlog-log-slower-than 0");
        let mut writer = Client::connect(primary).unwrap();
        writer.ok("SET one 1");
        writer.ok("MSET a 1 b 2 c 3 d 4");
        eventually(Duration::from_secs(20), "both records", || {
            let found = peers_of(&mut client, &["SET one 1", "MSET a 1"]);
            found.iter().all(|peers| peers.contains(&primary))
        });
    }
}

/// The addresses under which commands that begin so are logged.
fn peers_of(client: &mut Client, lines: &[&str]) -> Vec<Vec<SocketAddr>> {
    let reply = client.ok("SLOWLOG GET -1");
    let text = |reply: &Reply| String::from_utf8_lossy(reply.as_text().unwrap()).into_owned();
    let entries = reply.as_items().unwrap().iter().map(|entry| {
        let fields = entry.as_items().unwrap();
        let args: Vec<String> = fields[3].as_items().unwrap().iter().map(text).collect();
        (args.join(" "), text(&fields[4]))
    });
    let entries: Vec<_> = entries.collect();
    let peers = |line: &&str| {
        let found = entries.iter().filter(|(shown, _)| shown.starts_with(line));
        found.filter_map(|(_, peer)| peer.parse().ok()).collect()
    };
    lines.iter().map(peers).collect()
}
