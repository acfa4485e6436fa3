//! Libraries of functions: what they answer beside `redis-server`, and that replicas have them.

use super::{DEADLINE, SEVERAL_SHARDS, compare};
use damselfly_resp::Reply;
use damselfly_tests::{Client, Digest, Rng, Server, eventually, same_data};

const CASES: &str = include_str!("functions.txt");

#[test]
fn functions_answer_as_in_redis() {
    compare(CASES, &SEVERAL_SHARDS);
}

/// A library whose functions write what is not the same twice.
fn library(name: &str, version: u32) -> String {
    format!(
        "#!lua name={name}\n\
         local version = {version}\n\
         redis.register_function('{name}', function(keys, args)\n\
           redis.call('SADD', keys[1], version, args[1], redis.call('TIME')[2])\n\
           redis.call('SPOP', keys[1])\n\
           return redis.call('HSET', keys[2], math.random(100), redis.call('RANDOMKEY') or 'none')\n\
         end)\n\
         redis.register_function{{function_name='{name}_ro', flags={{'no-writes'}}, \
           callback=function(keys) return redis.call('EXISTS', unpack(keys)) end}}"
    )
}

#[track_caller]
fn run(client: &mut Client, line: &[&str]) -> Reply {
    let reply = client.try_call(line).expect("it is answered");
    assert!(reply.as_error().is_none(), "{line:?}: {reply:?}");
    reply
}

/// What there is of libraries, as bytes.
fn dump(client: &mut Client) -> Vec<u8> {
    let dump = client.call("FUNCTION DUMP");
    dump.as_text().expect("a payload").to_vec()
}

#[track_caller]
fn same_libraries(primary: &mut Client, replica: &mut Client) {
    let expected = dump(primary);
    eventually(DEADLINE, "the replica's libraries", || {
        replica.call("FUNCTION DUMP").as_text() == Some(&expected)
    });
}

/// Changes of libraries between calls of their functions.
fn change(client: &mut Client, rng: &mut Rng, round: u32) {
    let name = format!("lib{}", rng.below(4));
    match rng.below(12) {
        0..=3 => drop(run(
            client,
            &["FUNCTION", "LOAD", "REPLACE", &library(&name, round)],
        )),
        4 => drop(client.try_call(&["FUNCTION", "DELETE", &name])),
        5 => drop(client.ok("FUNCTION FLUSH")),
        6 => drop(client.ok("FLUSHALL")),
        7 => {
            let (payload, words) = (dump(client), [&b"FUNCTION"[..], b"RESTORE"]);
            client.ok("FUNCTION FLUSH");
            let line = [words[0], words[1], &payload, b"FLUSH"];
            assert_eq!(
                client.try_call(&line).ok(),
                Some(Reply::Simple(b"OK".to_vec()))
            );
        }
        8 => {
            client.ok("MULTI");
            run(
                client,
                &["FUNCTION", "LOAD", "REPLACE", &library(&name, round)],
            );
            run(client, &["FCALL", &name, "2", "k1", "h1", "x"]);
            run(client, &["FUNCTION", "DELETE", &name]);
            run(client, &["SET", "s", &name]);
            client.ok("EXEC");
        }
        _ => {}
    }
}

#[test]
fn replicas_have_the_libraries() {
    let flags = [
        "--proactor_threads=3",
        "--default_lua_flags=allow-undeclared-keys",
    ];
    let primary = Server::start(&flags);
    let (mut client, mut rng) = (primary.client(), Rng::new(11));
    run(&mut client, &["FUNCTION", "LOAD", &library("before", 0)]);
    let replicas = [3, 2].map(|shards| Server::replica_of(primary.address(), shards));
    let chained = Server::replica_of(replicas[0].address(), 3);
    for round in 0..300 {
        change(&mut client, &mut rng, round);
        let name = format!("lib{}", rng.below(4));
        let keys = [format!("k{}", rng.below(20)), format!("h{}", rng.below(20))];
        let line = ["FCALL", &name, "2", &keys[0], &keys[1], "a"];
        client.try_call(&line).expect("it is answered");
    }
    run(
        &mut client,
        &["FUNCTION", "LOAD", "REPLACE", &library("after", 0)],
    );
    for replica in replicas.iter().chain([&chained]) {
        let mut replica = replica.client();
        same_libraries(&mut client, &mut replica);
        same_data(DEADLINE, &mut client, &mut replica, Digest::Strict);
        let refused = replica.call("FUNCTION FLUSH");
        assert!(
            refused
                .as_error()
                .is_some_and(|text| text.starts_with(b"READONLY"))
        );
        run(&mut replica, &["FCALL_RO", "after_ro", "1", "k1"]);
    }
}

#[test]
fn a_full_sync_replaces_the_libraries() {
    let (primary, replica) = (Server::with_shards(2), Server::with_shards(2));
    let (mut client, mut other) = (primary.client(), replica.client());
    run(&mut client, &["FUNCTION", "LOAD", &library("ours", 0)]);
    run(&mut other, &["FUNCTION", "LOAD", &library("theirs", 0)]);
    run(&mut other, &["FCALL", "theirs_ro", "1", "k"]);
    damselfly_tests::replicaof(&mut other, primary.address());
    same_libraries(&mut client, &mut other);
    let gone = other.call("FCALL_RO theirs_ro 1 k");
    assert_eq!(gone.as_error(), Some(&b"ERR Function not found"[..]));
    other.ok("REPLICAOF NO ONE");
    run(&mut other, &["FCALL", "ours_ro", "1", "k"]);
    run(
        &mut other,
        &["FUNCTION", "LOAD", "REPLACE", &library("ours", 1)],
    );
}

#[test]
fn libraries_have_to_load_in_time_and_leave_nothing_behind() {
    let server = Server::start(&["--proactor_threads=2", "--lua_mem_limit=4mb"]);
    let mut client = server.client();
    let registers = "redis.register_function('f', function() return 1 end)";
    for (body, expected) in [
        ("while true do end", "FUNCTION LOAD timeout"),
        (
            "local s = 'x' while true do s = s .. s end",
            "not enough memory",
        ),
        ("local s = ('x'):rep(1e9)", "not enough memory"),
        (
            "local function f() return 1 + f() end f()",
            "stack overflow",
        ),
        ("local t = {} t.x.y = 1", "attempt to index"),
    ] {
        let code = format!("#!lua name=lib\n{registers} {body}");
        let reply = client
            .try_call(&["FUNCTION", "LOAD", &code])
            .expect("the server lives");
        let text = String::from_utf8_lossy(reply.as_error().unwrap_or_default()).into_owned();
        assert!(text.contains(expected), "{body}: {reply:?}");
        assert_eq!(client.call("FUNCTION LIST"), Reply::Array(Vec::new()));
    }
    run(
        &mut client,
        &["FUNCTION", "LOAD", &format!("#!lua name=lib\n{registers}")],
    );
    assert_eq!(client.integer("FCALL f 0"), 1);
}

#[test]
fn endless_functions_are_killed() {
    let server = Server::start(&["--proactor_threads=2", "--busy_reply_threshold=30"]);
    let mut client = server.client();
    let code =
        "#!lua name=lib\nredis.register_function('endless', function() while true do end end)";
    run(&mut client, &["FUNCTION", "LOAD", code]);
    let mut runner = server.client();
    runner
        .send(&["FCALL", "endless", "1", "key", "arg"])
        .expect("a request is sent");
    eventually(DEADLINE, "the server is busy", || {
        let reply = client.call("GET key");
        let text = reply.as_error().unwrap_or_default();
        text.starts_with(b"BUSY ") && text.windows(13).any(|word| word == b"FUNCTION KILL")
    });
    let refused = client.call("SCRIPT KILL");
    assert!(
        refused
            .as_error()
            .is_some_and(|text| text.starts_with(b"BUSY "))
    );
    let stats = client.ok("FUNCTION STATS");
    let running = stats.as_items().and_then(|stats| stats[1].as_items());
    let name = running.and_then(|running| running[1].as_text());
    assert_eq!(name, Some(&b"endless"[..]), "{stats:?}");
    client.ok("FUNCTION KILL");
    let reply = runner.receive().expect("it is answered");
    let text = reply.as_error().unwrap_or_default();
    assert!(text.starts_with(b"ERR Script killed by user"), "{reply:?}");
    client.ok("SET key 1");
}

#[test]
fn variables_of_libraries_are_a_threads_own() {
    let server = Server::with_shards(1);
    let mut client = server.client();
    let code = "#!lua name=lib\nlocal n = 0 redis.register_function('count', function() n = n + 1 return n end)";
    run(&mut client, &["FUNCTION", "LOAD", code]);
    assert_eq!(client.integer("FCALL count 0"), 1);
    assert_eq!(client.integer("FCALL count 0"), 2);
    run(&mut client, &["FUNCTION", "LOAD", "REPLACE", code]);
    assert_eq!(client.integer("FCALL count 0"), 1);
}
