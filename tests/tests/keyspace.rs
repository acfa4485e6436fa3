//! Commands on keys where the keys live on several shards.

use std::collections::BTreeSet;
use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Digest, Server, eventually, same_data, words};

const SHARDS: usize = 3;
const DEADLINE: Duration = Duration::from_secs(20);

fn server() -> (Server, Client) {
    let server = Server::with_shards(SHARDS);
    let client = server.client();
    (server, client)
}

/// One page: the next cursor, and the keys.
fn page(client: &mut Client, line: &str) -> (String, Vec<String>) {
    let reply = client.call(line);
    let text = |reply: &Reply| match reply {
        Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{line}: {other:?}"),
    };
    match reply.as_items() {
        Some([cursor, keys]) => (
            text(cursor),
            keys.as_items().unwrap().iter().map(text).collect(),
        ),
        _ => panic!("{line}: {reply:?}"),
    }
}

fn scan_all(
    client: &mut Client,
    options: &str,
    mut between: impl FnMut(&mut Client),
) -> Vec<String> {
    let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
    loop {
        let (next, keys) = page(client, &format!("SCAN {cursor} {options}"));
        found.extend(keys);
        if next == "0" {
            return found;
        }
        cursor = next;
        between(client);
    }
}

#[test]
fn scan_finds_every_key_that_stays() {
    let (_server, mut client) = server();
    let stay: BTreeSet<String> = (0..2_000).map(|number| format!("stay:{number}")).collect();
    let fill: Vec<_> = stay
        .iter()
        .map(|key| words(&format!("SET {key} x")))
        .collect();
    client.pipeline(&fill).unwrap();
    let mut more = 0;
    let found = scan_all(&mut client, "COUNT 13", |client| {
        let batch: Vec<_> = (more..more + 40)
            .map(|number| words(&format!("SET come:{number} x")))
            .collect();
        client.pipeline(&batch).unwrap();
        client.call(&format!("DEL come:{}", more / 2));
        more += 40;
    });
    let found: BTreeSet<String> = found.into_iter().collect();
    assert_eq!(stay.difference(&found).next(), None);
    assert!(more > 1_000, "the table grew meanwhile");
}

#[test]
fn scan_filters_by_pattern_type_and_expiry() {
    let (_server, mut client) = server();
    for line in [
        "MSET a:1 x a:2 x b:1 x",
        "RPUSH a:3 x",
        "SADD b:2 x",
        "SET a:4 x PX 1",
        "SELECT 1",
        "SET other x",
        "SELECT 0",
    ] {
        client.ok(line);
    }
    std::thread::sleep(std::time::Duration::from_millis(5));
    let mut sorted = |options: &str| {
        let mut found = scan_all(&mut client, options, |_| {});
        found.sort();
        found.join(" ")
    };
    assert_eq!(sorted("COUNT 1"), "a:1 a:2 a:3 b:1 b:2");
    assert_eq!(sorted("MATCH a:*"), "a:1 a:2 a:3");
    assert_eq!(sorted("TYPE LIST COUNT 2"), "a:3");
    assert_eq!(sorted("MATCH b:? TYPE string"), "b:1");
    assert_eq!(sorted("TYPE nonsense"), "");
    assert_eq!(
        page(&mut client, "SCAN 281474976710655000"),
        ("0".to_owned(), Vec::new())
    );
}

#[test]
fn keys_move_between_shards_with_their_expiry() {
    let (_server, mut client) = server();
    for number in 0..30 {
        let (from, to) = (format!("from:{number}"), format!("to:{number}"));
        client.ok(&format!("HSET {from} field {number}"));
        client.ok(&format!("PEXPIREAT {from} 4102444800000"));
        client.ok(&format!("RENAME {from} {to}"));
        assert_eq!(client.text(&format!("HGET {to} field")), number.to_string());
        assert_eq!(
            client.integer(&format!("PEXPIRETIME {to}")),
            4_102_444_800_000
        );
        assert_eq!(client.integer(&format!("EXISTS {from} {to}")), 1);
        assert_eq!(client.integer(&format!("COPY {to} {from} DB 3")), 1);
        assert_eq!(
            client.integer(&format!("COPY {to} {from} DB 3")),
            0,
            "there is one already"
        );
        assert_eq!(client.integer(&format!("COPY {to} {from} DB 3 REPLACE")), 1);
        assert_eq!(client.integer(&format!("RENAMENX {to} {to}")), 0);
    }
    client.ok("SELECT 3");
    assert_eq!(client.integer("DBSIZE"), 30);
    assert_eq!(client.integer("PEXPIRETIME from:7"), 4_102_444_800_000);
}

#[test]
fn many_keys_at_once_are_one_step() {
    let (_server, mut client) = server();
    assert_eq!(client.integer("MSETNX a 1 b 2 c 3 d 4"), 1);
    assert_eq!(client.integer("MSETNX e 1 f 2 g 3 a 4"), 0);
    assert_eq!(client.integer("EXISTS a b c d e f g a"), 5);
    client.ok("MSET a x a y e z");
    client.ok("LPUSH list x");
    let values = client.call("MGET a nothing d list e");
    let bulk = |text: &str| Reply::Bulk(text.into());
    assert_eq!(
        values.as_items().unwrap(),
        [bulk("y"), Reply::Null, bulk("4"), Reply::Null, bulk("z")]
    );
    let error = client.call("MSET a 1 b");
    assert_eq!(
        error.as_error(),
        Some(&b"ERR wrong number of arguments for 'mset' command"[..])
    );
    assert_eq!(client.text("GET a"), "y");
    assert_eq!(client.integer("UNLINK a b c d e f g list"), 6);
    assert_eq!(client.integer("DBSIZE"), 0);
}

#[test]
fn whole_databases_change_on_every_shard() {
    let (_server, mut client) = server();
    assert_eq!(client.call("RANDOMKEY"), Reply::Null);
    for number in 0..100 {
        client.ok(&format!("SET key:{number} x"));
    }
    let random: BTreeSet<String> = (0..300).map(|_| client.text("RANDOMKEY")).collect();
    assert!(random.len() > 50, "{} of 100", random.len());
    client.ok("SWAPDB 0 5");
    assert_eq!(client.integer("DBSIZE"), 0);
    client.ok("SET here x");
    client.ok("FLUSHDB ASYNC");
    client.ok("SELECT 5");
    assert_eq!(
        (
            client.integer("DBSIZE"),
            client.call("KEYS key:*").as_items().unwrap().len()
        ),
        (100, 100)
    );
    client.ok("FLUSHALL");
    assert_eq!(client.integer("DBSIZE"), 0);
}

#[test]
fn watched_keys_notice_what_happens_to_their_database() {
    let (server, mut client) = server();
    let mut other = server.client();
    for (line, aborts) in [
        ("FLUSHALL", true),
        ("FLUSHDB", true),
        ("SWAPDB 0 1", true),
        ("SWAPDB 1 2", false),
        ("COPY there watched REPLACE", true),
        ("RENAME watched away", true),
        ("EXPIRE watched 100", true),
        ("GETDEL watched", true),
        ("APPEND watched x", true),
        ("DEL there", false),
    ] {
        for set_up in [
            "FLUSHALL",
            "SET watched x",
            "SET there y",
            "WATCH watched",
            "MULTI",
            "PING",
        ] {
            client.ok(set_up);
        }
        other.ok(line);
        assert_eq!(client.call("EXEC") == Reply::Null, aborts, "{line}");
    }
}

/// Times of fields go along with a full sync, small hashes and those that go in pieces, and with the records after it. A replica
/// deletes nothing by itself.
#[test]
fn fields_of_hashes_expire_alike_on_a_replica() {
    let (primary, mut left) = server();
    let fill: Vec<_> = (0..4_000)
        .map(|number| words(&format!("HSET big field:{number} {number:030}")))
        .chain((0..2_000).map(|number| {
            words(&format!(
                "HPEXPIRE big {} FIELDS 1 field:{}",
                5_000_000 + number,
                number * 2
            ))
        }))
        .collect();
    left.pipeline(&fill).unwrap();
    left.ok("HSET small a 1 b 2 c 3");
    left.ok("HEXPIRE small 1000 FIELDS 2 a b");
    let replica = Server::with_shards(SHARDS);
    let mut right = replica.client();
    let address = primary.address();
    right.ok(&format!("REPLICAOF {} {}", address.ip(), address.port()));
    same_data(DEADLINE, &mut left, &mut right, Digest::Strict);
    for line in [
        "HPEXPIRE small 2000000 FIELDS 2 b c",
        "HSET small a 5",
        "HINCRBYFLOAT small c 0.5",
        "HPERSIST big FIELDS 2 field:0 field:2",
        "HPEXPIRE big 1 FIELDS 3 field:4 field:6 field:7",
        "COPY small other",
    ] {
        left.ok(line);
    }
    eventually(DEADLINE, "three fields less", || {
        left.integer("HLEN big") == 3_997
    });
    same_data(DEADLINE, &mut left, &mut right, Digest::Strict);
    for line in [
        "HPEXPIRETIME small FIELDS 3 a b c",
        "HPEXPIRETIME other FIELDS 3 a b c",
        "HPEXPIRETIME big FIELDS 4 field:0 field:4 field:8 field:3998",
        "OBJECT ENCODING small",
    ] {
        assert_eq!(left.call(line), right.call(line), "{line}");
    }
    left.ok("HPEXPIRE small 30 FIELDS 3 a b c");
    eventually(DEADLINE, "the hash is gone", || {
        (left.integer("EXISTS small"), right.integer("EXISTS small")) == (0, 0)
    });
    same_data(DEADLINE, &mut left, &mut right, Digest::Strict);
}

/// SORT looks at keys that it doesn't name, wherever they live, and at one moment.
#[test]
fn sorting_by_keys_of_other_shards_is_one_step() {
    let (server, mut client) = server();
    client.integer("RPUSH l 0 1 2 3 4 5");
    client.ok("MSET w0 5 w1 4 w2 3 w3 2 w4 1 w5 0");
    let sorted = client.call("SORT l BY w* GET # GET w*");
    let expected: Vec<String> = (0..6)
        .flat_map(|n| [(5 - n).to_string(), n.to_string()])
        .collect();
    let text = |reply: &Reply| String::from_utf8_lossy(reply.as_text().unwrap()).into_owned();
    let texts =
        |reply: &Reply| -> Vec<String> { reply.as_items().unwrap().iter().map(text).collect() };
    assert_eq!(texts(&sorted), expected);

    let writer = std::thread::spawn({
        let mut other = server.client();
        move || {
            for n in 0..300 {
                other.ok(&format!("MSET w0 {n} w1 {n} w2 {n} w3 {n} w4 {n} w5 {n}"));
            }
        }
    });
    client.ok("MULTI");
    assert_eq!(
        client.call("SORT l BY w* DESC LIMIT 0 2 GET w* STORE s"),
        Reply::Simple(b"QUEUED".to_vec())
    );
    assert_eq!(
        client.call("LRANGE s 0 -1"),
        Reply::Simple(b"QUEUED".to_vec())
    );
    let stored = client.call("EXEC");
    let stored = texts(&stored.as_items().unwrap()[1]);
    assert!(
        stored.len() == 2 && (stored[0] == stored[1] || stored == ["5", "4"]),
        "{stored:?}"
    );
    while !writer.is_finished() {
        let weights = texts(&client.call("SORT_RO l BY nosort GET w*"));
        assert!(
            weights.windows(2).all(|pair| pair[0] == pair[1]) || weights[0] == "5",
            "{weights:?}"
        );
    }
    writer.join().expect("all writes were taken");
}
