//! MONITOR: what is shown, to whom, and what becomes of one that does not read.

use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Redis, Server, eventually, words};

const DEADLINE: Duration = Duration::from_secs(10);
const LAST: &str = "ECHO the-last-word";

/// What a client says while another one looks on.
const LINES: &[&str] = &[
    "SET a 1",
    "set a\u{0}\"\\\u{7}\u{8}\u{7f}\u{e9}' x",
    "SELECT 1",
    "select 99",
    "GET",
    "NOTHING",
    "INCR a",
    "LPUSH a x",
    "MGET a b c d e f",
    "MSET a 1 b 2 c 3",
    "LMPOP x y LEFT",
    "SELECT 0",
    "MULTI",
    "SET a 1",
    "MGET a b c d",
    "INCR n",
    "EVAL return(redis.call('ping')) 0",
    "PUBLISH a b",
    "SELECT 2",
    "INCR n",
    "EXEC",
    "SELECT 0",
    "MULTI",
    "SET",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH a",
    "EVAL redis.call('select','3');redis.call('set',KEYS[1],1);return(redis.call('ping')) 1 b",
    "EVAL redis.call('set',KEYS[1],1);return(redis.call('get',KEYS[1])) 1 b",
    "EVAL redis.call('publish','x','y') 0",
    "EVAL return(redis.pcall('nothing')) 0",
    "EVAL x= 0",
    "EVALSHA zzz 0",
    "EVAL_RO return(redis.call('get',KEYS[1])) 1 a",
    "AUTH foo",
    "AUTH default foo",
    "HELLO 3 AUTH default x",
    "HELLO 2",
    "CONFIG GET maxmemory",
    "CONFIG SET masterauth x",
    "BLPOP l 0.01",
    "XREAD BLOCK 1 STREAMS s $",
    "CLIENT SETNAME x",
    "CLIENT KILL ID 9999",
    "CLIENT LIST",
    "CLIENT",
    "ACL WHOAMI",
    "ACL SETUSER x >y",
    "SCRIPT LOAD return",
    "SUBSCRIBE x",
    "UNSUBSCRIBE x",
    "DEBUG SLEEP 0",
    "INFO server",
    "COMMAND COUNT",
    "TIME",
    "FLUSHALL",
    "DBSIZE",
    "KEYS *",
    "SLOWLOG LEN",
    "OBJECT ENCODING a",
    "MEMORY USAGE a",
    "REPLICAOF NO ONE",
    "MULTI",
    "RESET",
];

/// A line without its time and the client's port.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let (time, rest) = text.split_once(' ').expect("a time");
    let time = time.strip_prefix('+').expect("a simple string");
    let (seconds, micros) = time.split_once('.').expect("seconds and the rest");
    assert!(seconds.len() == 10 && micros.len() == 6, "{time}");
    match rest.split_once("127.0.0.1:") {
        Some((before, after)) => {
            before.to_owned() + after.trim_start_matches(|digit: char| digit.is_ascii_digit())
        }
        None => rest.to_owned(),
    }
}

fn seen(mut monitor: Client, mut client: Client, hello: &str) -> Vec<String> {
    monitor.ok(hello);
    monitor.ok("MONITOR");
    for line in LINES {
        client.call(line);
    }
    client.ok(LAST);
    let mut lines = Vec::new();
    while !lines
        .last()
        .is_some_and(|line: &String| line.contains("the-last-word"))
    {
        lines.push(shown(&monitor.receive_with_bytes().unwrap().1));
    }
    lines
}

#[test]
fn who_looks_on_sees_what_redis_shows() {
    for hello in ["HELLO 2", "HELLO 3"] {
        let redis = Redis::start();
        let theirs = seen(redis.client(), redis.client(), hello);
        for shards in [1, 2] {
            let flags = format!("--proactor_threads={shards}");
            let server = Server::start(&[&flags, "--default_lua_flags=allow-undeclared-keys"]);
            let ours = seen(server.client(), server.client(), hello);
            assert_eq!(theirs.len(), ours.len(), "{theirs:#?}\n{ours:#?}");
            for (theirs, ours) in theirs.iter().zip(&ours) {
                assert_eq!(theirs, ours);
            }
        }
    }
}

/// What the monitor itself says, in one go.
const OWN: &[&str] = &[
    "MONITOR",
    "MONITOR",
    "PING",
    "GET a",
    "SET a 1",
    "PUBLISH a b",
    "EVAL return(1) 0",
    "EVAL_RO return(1) 0",
    "CLIENT GETNAME",
    "ECHO x",
    "SUBSCRIBE x",
    "PING",
    "UNSUBSCRIBE x",
    "MULTI",
    "MONITOR",
    "EXEC",
    "MULTI",
    "GET a",
    "EXEC",
    "PING",
    "RESET",
    "PING",
    "GET a",
    "MONITOR",
    "ECHO the-last-word",
];

#[test]
fn its_own_commands_come_behind_their_replies() {
    let (redis, server) = (Redis::start(), Server::with_shards(2));
    let all = |mut client: Client| {
        OWN.iter()
            .for_each(|line| client.send(&words(line)).unwrap());
        let mut frames = Vec::new();
        while !frames
            .last()
            .is_some_and(|line: &String| line.contains("\"the-last-word\""))
        {
            let bytes = client.receive_with_bytes().unwrap().1;
            let is_line = bytes.starts_with(b"+") && bytes.contains(&b'[');
            let text = || String::from_utf8_lossy(&bytes).into_owned();
            frames.push(if is_line { shown(&bytes) } else { text() });
        }
        frames
    };
    assert_eq!(all(redis.client()), all(server.client()));
}

#[test]
fn it_is_listed_as_one_and_dropped_if_it_does_not_read() {
    let server = Server::with_shards(2);
    let (mut admin, mut slow, mut other) = (server.client(), server.client(), server.client());
    let limit = [
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "pubsub 1000000 0 0",
    ];
    assert_eq!(
        admin.try_call(&limit).unwrap(),
        Reply::Simple(b"OK".to_vec())
    );
    let id = slow.integer("CLIENT ID");
    slow.ok("MONITOR");
    other.ok("MONITOR");
    let line = admin.text(&format!("CLIENT LIST ID {id}"));
    assert!(
        line.contains(" flags=O ") && line.contains(" cmd=monitor "),
        "{line}"
    );
    let value = "x".repeat(50_000);
    let lines: Vec<_> = (0..20)
        .map(|n| words(&format!("SET k{n} {value}")))
        .collect();
    eventually(DEADLINE, "the slow one is gone", || {
        admin.pipeline(&lines).unwrap();
        for _ in &lines {
            assert!(matches!(other.receive().unwrap(), Reply::Simple(_)));
        }
        admin.text(&format!("CLIENT LIST ID {id}")).is_empty()
    });
    other.ok("RESET");
    drop(other);
    admin.ok("SET a 1");
}
