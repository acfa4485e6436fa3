//! Scripts: what they answer beside `redis-server`, what replicas get of them, and what becomes of those that don't end.

mod functions;
mod hostile;

use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Digest, Redis, Rng, Server, eventually, same_data};

const DEADLINE: Duration = Duration::from_secs(20);

/// Command lines, with tabs between the arguments; `\xNN` and `\\` stand for bytes.
const CASES: &str = include_str!("cases.txt");

/// What the cases find.
const DATA: [&str; 6] = [
    "SET a x",
    "SET n 5",
    "RPUSH l 1 2 3",
    "HSET h f v g w",
    "ZADD z 1.5 a 2 b",
    "SADD s m",
];

const SEVERAL_SHARDS: [&str; 2] = [
    "--proactor_threads=3",
    "--default_lua_flags=allow-undeclared-keys",
];

fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digit = |byte: &u8| (*byte as char).to_digit(16).expect("a digit") as u8;
                bytes.push(digit(high) << 4 | digit(low));
                rest = after;
            }
            (b'\\', [_, after @ ..]) => {
                bytes.push(b'\\');
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

fn answer(client: &mut Client, args: &[Vec<u8>]) -> Vec<u8> {
    client.send(args).expect("a request is sent");
    let (_, bytes) = client.receive_with_bytes().expect("it is answered");
    bytes
}

/// Runs every case on both servers: those whose answers differ.
fn differing(cases: &str, ours: &mut Client, theirs: &mut Client) -> Vec<String> {
    let mut found = Vec::new();
    for line in cases.lines() {
        let args: Vec<Vec<u8>> = line.split('\t').map(unescaped).collect();
        let (mine, other) = (answer(ours, &args), answer(theirs, &args));
        if mine != other {
            let [mine, other] = [mine, other].map(|bytes| bytes.escape_ascii().to_string());
            found.push(format!("{line}\n  ours {mine}\n  Redis {other}"));
        }
    }
    found
}

fn compare(cases: &str, flags: &[&str]) {
    let (server, redis) = (Server::start(flags), Redis::start());
    for proto in ["HELLO 2", "HELLO 3"] {
        let (mut ours, mut theirs) = (server.client(), redis.client());
        for client in [&mut ours, &mut theirs] {
            client.call(proto);
            client.ok("FLUSHALL");
            DATA.iter().for_each(|line| drop(client.ok(line)));
        }
        let found = differing(cases, &mut ours, &mut theirs);
        assert!(
            found.is_empty(),
            "{proto}, {flags:?}:\n{}",
            found.join("\n")
        );
    }
}

#[test]
fn scripts_answer_as_in_redis() {
    compare(CASES, &["--proactor_threads=1"]);
}

#[test]
fn scripts_over_several_shards_answer_as_in_redis() {
    compare(CASES, &SEVERAL_SHARDS);
}

/// Scripts that write to two keys, some of which fail on their way.
const WRITERS: [&str; 6] = [
    "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('INCRBY', KEYS[2], ARGV[1])",
    "local t = redis.call('TIME') redis.call('HSET', KEYS[1], t[1], t[2]) redis.call('HSET', KEYS[2], t[2], t[1])",
    "redis.pcall('SADD', KEYS[1], 1, 2, 3, ARGV[1]) redis.pcall('SPOP', KEYS[1]) redis.call('PEXPIRE', KEYS[2], 1000 * ARGV[1] + 100000)",
    "redis.call('RPUSH', KEYS[1], ARGV[1]) redis.call('LPUSH', KEYS[2], math.random(100)) error('on its way')",
    "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('RENAME', KEYS[1], KEYS[2]) end redis.call('SET', KEYS[2], 'x', 'EX', 1000)",
    "redis.call('DEL', KEYS[1], KEYS[2]) redis.call('XADD', KEYS[1], '*', 'f', ARGV[1]) redis.call('PUBLISH', 'c', 'm')",
];

#[test]
fn replicas_have_what_scripts_did() {
    let primary = Server::with_shards(3);
    let replicas = [3, 2].map(|shards| Server::replica_of(primary.address(), shards));
    let (mut client, mut rng) = (primary.client(), Rng::new(7));
    for round in 0..600 {
        let keys = [rng.below(40), rng.below(40)];
        let line = [
            "EVAL".to_owned(),
            WRITERS[rng.below(WRITERS.len() as u64) as usize].to_owned(),
            "2".to_owned(),
            format!("k{}", keys[0]),
            format!("k{}", keys[1]),
            round.to_string(),
        ];
        client.try_call(&line).expect("it is answered");
    }
    for replica in &replicas {
        same_data(DEADLINE, &mut client, &mut replica.client(), Digest::Strict);
    }
}

#[test]
fn keys_have_to_be_declared() {
    let server = Server::with_shards(2);
    let mut client = server.client();
    for (script, expected) in [
        ("return redis.call('SET', KEYS[1], 1)", "OK"),
        (
            "return redis.call('SET', 'other', 1)",
            "ERR script tried accessing undeclared key",
        ),
        (
            "#!lua flags=allow-undeclared-keys\nreturn redis.call('SET', 'other', 1)",
            "OK",
        ),
        (
            "--!df flags=allow-undeclared-keys\nreturn redis.call('GET', 'other')",
            "1",
        ),
    ] {
        let reply = client
            .try_call(&["EVAL", script, "1", "key"])
            .expect("it is answered");
        let text = reply.as_error().or(reply.as_text()).unwrap_or_default();
        assert!(text.starts_with(expected.as_bytes()), "{script}: {reply:?}");
    }
}

/// A client whose script does not end.
fn endless(server: &Server, script: &str) -> Client {
    let mut runner = server.client();
    runner
        .send(&["EVAL", script, "1", "key"])
        .expect("a request is sent");
    let mut other = server.client();
    eventually(DEADLINE, "the server is busy", || {
        let reply = other.call("GET key");
        reply
            .as_error()
            .is_some_and(|text| text.starts_with(b"BUSY "))
    });
    runner
}

#[test]
fn endless_scripts_are_killed_unless_they_have_written() {
    for shards in ["--num_shards=1", "--num_shards=2"] {
        let server = Server::start(&["--proactor_threads=2", shards, "--busy_reply_threshold=30"]);
        let mut client = server.client();
        for script in [
            "while true do end",
            "while true do pcall(function() while true do end end) end",
            "while true do redis.call('GET', KEYS[1]) end",
            "while true do coroutine.wrap(function() while true do end end)() end",
        ] {
            let mut runner = endless(&server, script);
            client.ok("SCRIPT KILL");
            let reply = runner.receive().expect("it is answered");
            let text = reply.as_error().unwrap_or_default();
            assert!(
                text.starts_with(b"ERR Script killed by user"),
                "{script}: {reply:?}"
            );
            client.ok("SET key 1");
        }
        let script = "local from = redis.call('TIME') redis.call('SET', KEYS[1], 5) \
            repeat local now = redis.call('TIME') until (now[1] - from[1]) * 1000000 + now[2] - from[2] > 400000 \
            return redis.call('INCR', KEYS[1])";
        let mut runner = endless(&server, script);
        let reply = client.call("SCRIPT KILL");
        assert!(
            reply
                .as_error()
                .unwrap_or_default()
                .starts_with(b"UNKILLABLE"),
            "{reply:?}"
        );
        assert_eq!(runner.receive().expect("it ends"), Reply::Integer(6));
        assert_eq!(client.text("GET key"), "6");
        let reply = client.call("SCRIPT KILL");
        assert!(
            reply.as_error().unwrap_or_default().starts_with(b"NOTBUSY"),
            "{reply:?}"
        );
    }
}

#[test]
fn scripts_that_take_too_much_get_an_error() {
    let server = Server::start(&["--proactor_threads=1", "--lua_mem_limit=4mb"]);
    let mut client = server.client();
    for (script, expected) in [
        (
            "local t = {} while true do t[#t + 1] = string.rep('x', 10000) .. #t end",
            "not enough memory",
        ),
        ("return string.rep('x', 100000000)", "not enough memory"),
        (
            "local t = {} for i = 1, 100 do t = {t, t} end return t",
            "not enough memory",
        ),
        (
            "local t = {} for i = 1, 100 do t = {t, t} end return cjson.encode(t)",
            "not enough memory",
        ),
        (
            "return #cmsgpack.pack(string.rep('x', 1000)) + load(function() return string.rep('x', 100) end)",
            "not enough memory",
        ),
        (
            "local function f() return 1 + f() end return f()",
            "stack overflow",
        ),
        (
            "local function f() return (string.gsub('b', 'b', f)) end return f()",
            "stack overflow",
        ),
        (
            "local t = setmetatable({}, {__index = function(t, k) return t[k .. 'x'] end}) return t.a",
            "overflow",
        ),
        ("return loadstring(string.rep('(', 10000))", ""),
        (
            "local t = {} t[1] = t return cjson.encode(t)",
            "excessive nesting",
        ),
    ] {
        let reply = client
            .try_call(&["EVAL", script, "0"])
            .expect("the server lives");
        let text = String::from_utf8_lossy(reply.as_error().unwrap_or_default()).into_owned();
        assert!(text.contains(expected), "{script}: {text}");
        assert_eq!(client.call("PING"), Reply::Simple(b"PONG".to_vec()));
    }
}

#[test]
fn options_of_cjson_end_with_their_script() {
    let server = Server::with_shards(1);
    let mut client = server.client();
    for (script, expected) in [
        (
            "cjson.encode_number_precision(3) return cjson.encode(1.23456)",
            "1.23",
        ),
        ("return cjson.encode(1.23456)", "1.23456"),
    ] {
        let reply = client.try_call(&["EVAL", script, "0"]);
        let reply = reply.expect("it is answered");
        assert_eq!(reply, Reply::Bulk(expected.as_bytes().to_vec()));
    }
}

#[test]
fn replies_are_bounded_in_depth() {
    let server = Server::with_shards(1);
    let mut client = server.client();
    let script = "local t = {} t[1] = t return t";
    client
        .send(&["EVAL", script, "0"])
        .expect("a request is sent");
    client.send(&["PING"]).expect("a request is sent");
    // Deeper than a client reads.
    assert!(client.receive().is_err());
    let reply = server.client().call("PING");
    assert_eq!(reply, Reply::Simple(b"PONG".to_vec()));
}
