//! CLIENT's subcommands, LOLWUT and DEBUG, beside redis-server 7.0 where it has them.

use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Redis, Server, eventually, words};

const DEADLINE: Duration = Duration::from_secs(10);

/// Lines that both answer alike.
const LINES: &[&str] = &[
    "CLIENT KILL",
    "CLIENT KILL a b c",
    "CLIENT KILL id",
    "CLIENT KILL ID x",
    "CLIENT KILL ID 0",
    "CLIENT KILL ID 999999",
    "CLIENT KILL TYPE foo",
    "CLIENT KILL USER nosuch",
    "CLIENT KILL ADDR 1.2.3.4:5 LADDR x",
    "CLIENT KILL skipme",
    "CLIENT KILL SKIPME x",
    "CLIENT KILL SKIPME no ID 999999",
    "CLIENT KILL TYPE normal TYPE pubsub",
    "CLIENT KILL nosuch x",
    "CLIENT LIST TYPE",
    "CLIENT LIST TYPE x",
    "CLIENT LIST TYPE replica",
    "CLIENT LIST ID",
    "CLIENT LIST ID x",
    "CLIENT LIST ID 999999",
    "CLIENT LIST ID -1",
    "CLIENT LIST foo",
    "CLIENT LIST TYPE normal x",
    "CLIENT REPLY",
    "CLIENT REPLY foo",
    "CLIENT NO-EVICT",
    "CLIENT NO-EVICT x",
    "CLIENT NO-EVICT on",
    "CLIENT NO-EVICT off",
    "CLIENT UNBLOCK",
    "CLIENT UNBLOCK x",
    "CLIENT UNBLOCK 1 x",
    "CLIENT UNBLOCK 999999",
    "CLIENT UNBLOCK 1 x x",
    "CLIENT CACHING yes",
    "CLIENT INFO x",
    "CLIENT ID x",
    "CLIENT SETNAME",
    "CLIENT GETNAME x",
    "CLIENT HELP x",
    "CLIENT nosuch",
    "CLIENT",
    "LOLWUT VERSION x",
    "DEBUG SLEEP",
    "DEBUG SLEEP x",
    "DEBUG SLEEP -1",
    "DEBUG SLEEP 0.01",
    "DEBUG SLEEP 0 1",
    "DEBUG SET-ACTIVE-EXPIRE",
    "DEBUG SET-ACTIVE-EXPIRE x",
    "DEBUG SET-ACTIVE-EXPIRE 0",
    "DEBUG SET-ACTIVE-EXPIRE 1",
    "DEBUG QUICKLIST-PACKED-THRESHOLD",
    "DEBUG QUICKLIST-PACKED-THRESHOLD 100b",
    "DEBUG QUICKLIST-PACKED-THRESHOLD 10K",
    "DEBUG QUICKLIST-PACKED-THRESHOLD x",
    "DEBUG QUICKLIST-PACKED-THRESHOLD 5g",
    "DEBUG QUICKLIST-PACKED-THRESHOLD 0",
    "DEBUG LISTPACK",
    "DEBUG LISTPACK nokey",
    "ZADD z 1 a",
    "DEBUG LISTPACK z",
    "SET s a",
    "DEBUG LISTPACK s",
    "DEBUG STRINGMATCH-LEN",
    "DEBUG STRINGMATCH-LEN 10",
    "DEBUG CHANGE-REPL-ID x",
    "DEBUG CHANGE-REPL-ID",
    "DEBUG DIGEST",
    "DEBUG DIGEST x",
    "DEBUG DIGEST-VALUE",
    "DEBUG DIGEST-VALUE z s nokey",
    "DEBUG OBJECT",
    "DEBUG OBJECT nokey",
    "DEBUG ERROR foo",
    "DEBUG LOG hi",
    "DEBUG NOTHING",
];

#[test]
fn errors_and_short_answers_are_those_of_redis() {
    for hello in ["HELLO 2", "HELLO 3"] {
        let (redis, server) = (Redis::start(), Server::with_shards(2));
        let (mut theirs, mut ours) = (redis.client(), server.client());
        theirs.ok(hello);
        ours.ok(hello);
        for line in LINES {
            let bytes = |client: &mut Client| {
                client.send(&words(line)).unwrap();
                client.receive_with_bytes().unwrap().1
            };
            let (theirs, ours) = (bytes(&mut theirs), bytes(&mut ours));
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(text(&theirs), text(&ours), "{hello}: {line}");
        }
    }
}

#[test]
fn a_picture_ends_with_the_version() {
    let (redis, server) = (Redis::start(), Server::with_shards(1));
    for line in [
        "LOLWUT",
        "LOLWUT VERSION 5",
        "LOLWUT VERSION 5 10 10",
        "LOLWUT VERSION 99",
        "LOLWUT x",
    ] {
        let last = |mut client: Client| {
            let text = client.text(line);
            let at = text.rfind("Redis ver. ").expect("the version");
            text[at..].to_owned()
        };
        assert_eq!(last(redis.client()), last(server.client()), "{line}");
    }
}

#[test]
fn clients_are_found_by_what_they_are() {
    let server = Server::with_shards(2);
    let (mut admin, mut named, mut listening) = (server.client(), server.client(), server.client());
    admin.ok("CLIENT SETNAME admin");
    named.ok("CLIENT SETNAME joe");
    named.ok("CLIENT SETINFO LIB-NAME lib");
    named.ok("CLIENT SETINFO LIB-VER 1.2");
    named.ok("SELECT 3");
    listening.ok("SUBSCRIBE c");
    let port = named.local_address().unwrap().port();
    let mut found = |options: &str| {
        let text = admin.text(&format!("CLIENT LIST {options}"));
        let name = |line: &str| {
            let name = line
                .split(' ')
                .find_map(|field| field.strip_prefix("name="));
            name.expect("a name").to_owned()
        };
        let mut names: Vec<String> = text.lines().map(name).collect();
        names.sort();
        names.join(",")
    };
    for (options, expected) in [
        ("", ",admin,joe"),
        ("NAME joe", "joe"),
        ("NOT-NAME joe", ",admin"),
        ("LIB-NAME lib LIB-VER 1.2", "joe"),
        ("NOT-LIB-NAME lib TYPE normal", "admin"),
        ("DB 3", "joe"),
        ("NOT-DB 3 NOT-TYPE pubsub", "admin"),
        ("FLAGS P", ""),
        ("NOT-FLAGS P", "admin,joe"),
        ("IP 127.0.0.1 USER default", ",admin,joe"),
        ("NOT-USER default", ""),
        ("MAXAGE 1000", ""),
        ("IDLE 1000", ""),
        (&format!("ADDR 127.0.0.1:{port}"), "joe"),
        (&format!("NOT-ADDR 127.0.0.1:{port} TYPE normal"), "admin"),
    ] {
        assert_eq!(found(options), expected, "{options}");
    }
    assert_eq!(admin.integer("CLIENT KILL NAME joe NOT-DB 3"), 0);
    assert_eq!(admin.integer("CLIENT KILL NAME joe DB 3"), 1);
    assert!(named.try_call(&["PING"]).is_err());
    assert_eq!(admin.integer("CLIENT KILL FLAGS P"), 1);
    eventually(DEADLINE, "they are gone", || {
        admin.text("CLIENT LIST").lines().count() == 1
    });
}

#[test]
fn who_comes_back_after_another_history_gets_all_data() {
    let primary = Server::with_shards(2);
    let replica = Server::replica_of(primary.address(), 2);
    let (mut admin, mut there) = (primary.client(), replica.client());
    eventually(DEADLINE, "the first sync", || {
        damselfly_tests::is_synced(&mut there)
    });
    let before = admin.info("replication")["master_replid"].clone();
    let full = |client: &mut Client| client.info("replication")["master_full_syncs"].clone();
    let syncs = full(&mut there);
    admin.ok("DEBUG CHANGE-REPL-ID");
    assert_ne!(admin.info("replication")["master_replid"], before);
    admin.ok("SET a 1");
    assert!(matches!(
        admin.call("CLIENT KILL TYPE replica"),
        Reply::Integer(1..)
    ));
    eventually(DEADLINE, "another full sync", || full(&mut there) != syncs);
    eventually(DEADLINE, "the link is up", || {
        damselfly_tests::is_synced(&mut there) && there.integer("EXISTS a") == 1
    });
}
