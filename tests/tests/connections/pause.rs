//! CLIENT PAUSE: what waits, for how long, and that nothing is lost.

use std::io;
use std::time::{Duration, Instant};

use damselfly_tests::{Args, Client, Redis, Server, eventually, eventually_some, words};

const DEADLINE: Duration = Duration::from_secs(10);
/// Until somebody says that it is over.
const LONG: &str = "CLIENT PAUSE 100000000";

/// Command lines of one client each, and what waits.
const LINES: &[&str] = &[
    "GET a",
    "SET a 1",
    "DEL a",
    "TOUCH a",
    "PFCOUNT a",
    "PFADD h a",
    "PUBLISH c m",
    "SPUBLISH c m",
    "SUBSCRIBE c;UNSUBSCRIBE c",
    "EVAL return(1) 0",
    "EVAL_RO return(1) 0",
    "EVAL_RO return(redis.call('publish','a','b')) 0",
    "EVALSHA x 0",
    "EVALSHA_RO x 0",
    "SCRIPT LOAD return(1)",
    "MULTI;GET a;EXEC",
    "MULTI;SET a 1;EXEC",
    "MULTI;PUBLISH a 1;EXEC",
    "MULTI;SET;EXEC",
    "MULTI;DISCARD",
    "WATCH a",
    "BLPOP l 0.01",
    "XREAD COUNT 1 STREAMS s 0",
    "SORT a",
    "SORT_RO a",
    "BITFIELD b GET u8 0",
    "BITFIELD_RO b GET u8 0",
    "FLUSHALL",
    "DBSIZE",
    "RANDOMKEY",
    "SET a",
    "NOTHING",
    "CLIENT GETNAME",
    "CLIENT PAUSE",
    "CLIENT PAUSE x",
    "CLIENT PAUSE -1",
    "CLIENT PAUSE 1 x",
    "CLIENT PAUSE x x",
    "CLIENT PAUSE 99999999999999999999",
    "CLIENT PAUSE 1 ALL x",
    "CLIENT UNPAUSE x",
    "CLIENT REPLY SKIP;SET a 1;SET a 2",
    "HELLO 3",
    "PING",
];

/// What became of a client's lines, answered at once (or waiting): the bytes that came.
struct Told {
    waits: bool,
    bytes: Vec<Vec<u8>>,
}

/// Reads what comes within a moment.
fn receive_soon(client: &mut Client) -> Option<Vec<u8>> {
    client.set_timeout(Some(Duration::from_millis(5))).unwrap();
    match client.receive_with_bytes() {
        Ok((_, bytes)) => Some(bytes),
        Err(error) => {
            let kind = error.kind();
            assert!(
                kind == io::ErrorKind::WouldBlock || kind == io::ErrorKind::TimedOut,
                "{error}"
            );
            None
        }
    }
}

fn is_blocked(admin: &mut Client, id: i64) -> bool {
    let line = admin.text(&format!("CLIENT LIST ID {id}"));
    let flags = line
        .split(' ')
        .find_map(|field| field.strip_prefix("flags="));
    flags.expect("a client's line").contains('b')
}

/// Sends lines, and a last one whose reply is known; whether they wait.
fn tell(admin: &mut Client, client: &mut Client, id: i64, line: &str) -> Told {
    for line in line.split(';') {
        client.send(&words(line)).unwrap();
    }
    client.send(&words("CLIENT ID")).unwrap();
    let last = format!(":{id}\r\n").into_bytes();
    let mut bytes = Vec::new();
    let waits = eventually_some(DEADLINE, line, || {
        while let Some(more) = receive_soon(client) {
            if more == last {
                return Some(false);
            }
            bytes.push(more);
        }
        // BLPOP ends by itself.
        (!line.starts_with("BLPOP") && is_blocked(admin, id)).then_some(true)
    });
    Told { waits, bytes }
}

fn rest(client: &mut Client, id: i64) -> Vec<Vec<u8>> {
    client.set_timeout(Some(DEADLINE)).unwrap();
    let last = format!(":{id}\r\n").into_bytes();
    let mut bytes = Vec::new();
    loop {
        let (_, more) = client.receive_with_bytes().unwrap();
        if more == last {
            return bytes;
        }
        bytes.push(more);
    }
}

#[test]
fn what_writes_waits_as_in_redis_and_what_reads_does_not() {
    let (redis, server) = (Redis::start(), Server::with_shards(2));
    let mut told = Vec::new();
    for (mut admin, connect) in [
        (redis.client(), &(|| redis.client()) as &dyn Fn() -> Client),
        (server.client(), &|| server.client()),
    ] {
        let mut theirs = Vec::new();
        for line in LINES {
            admin.ok("FLUSHALL");
            admin.ok("SET key value");
            admin.ok(&format!("{LONG} WRITE"));
            let mut client = connect();
            let id = client.integer("CLIENT ID");
            if line.starts_with("BLPOP") {
                // Nothing tells a client that waits for a key from one that waits for the end of a pause.
                admin.ok("CLIENT UNPAUSE");
            }
            let begun = tell(&mut admin, &mut client, id, line);
            let paused = admin.info("clients")["blocked_clients"].clone();
            admin.ok("CLIENT UNPAUSE");
            let after = match begun.waits {
                true => rest(&mut client, id),
                false => Vec::new(),
            };
            let text = |all: Vec<Vec<u8>>| String::from_utf8_lossy(&all.concat()).into_owned();
            let shown = if line.starts_with("HELLO") {
                String::new()
            } else {
                text(begun.bytes) + "|" + &text(after)
            };
            theirs.push((*line, begun.waits, paused, shown));
        }
        told.push(theirs);
    }
    let ours = told.pop().unwrap();
    let theirs = told.pop().unwrap();
    for (theirs, ours) in theirs.into_iter().zip(ours) {
        assert_eq!(theirs, ours);
    }
}

#[test]
fn a_pause_of_all_holds_even_who_would_end_it_and_ends_in_time() {
    let server = Server::with_shards(2);
    let (mut first, mut second) = (server.client(), server.client());
    first.ok("SET a 1");
    let begun = Instant::now();
    first.ok("CLIENT PAUSE 300");
    // A shorter and weaker one changes nothing.
    first.send(&words("CLIENT PAUSE 1 WRITE")).unwrap();
    second.send(&words("CLIENT UNPAUSE")).unwrap();
    first.receive().unwrap();
    second.receive().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
    first.ok("CLIENT UNPAUSE");
    first.ok("SET a 2");
}

#[test]
fn who_is_held_can_be_killed_or_go() {
    let server = Server::with_shards(2);
    let (mut admin, mut held, mut gone) = (server.client(), server.client(), server.client());
    let ids = [&mut held, &mut gone].map(|client| client.integer("CLIENT ID"));
    admin.ok(&format!("{LONG} WRITE"));
    for client in [&mut held, &mut gone] {
        client.send(&words("SET a 1")).unwrap();
    }
    for id in ids {
        eventually(DEADLINE, "a client is held", || is_blocked(&mut admin, id));
    }
    drop(gone);
    assert_eq!(admin.integer(&format!("CLIENT UNBLOCK {}", ids[0])), 0);
    assert_eq!(admin.integer(&format!("CLIENT KILL ID {}", ids[0])), 1);
    eventually(DEADLINE, "both are gone", || {
        admin.info("clients")["connected_clients"] == "1"
    });
    admin.ok("CLIENT UNPAUSE");
    assert_eq!(admin.integer("EXISTS a"), 0);
}

/// Pipelines of several clients run while pauses begin and end: during a pause nothing changes, and nothing is lost.
#[test]
fn nothing_changes_during_a_pause_and_nothing_is_lost() {
    const WRITES: usize = 800;
    let server = Server::with_shards(2);
    let mut admin = server.client();
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let mut client = server.client();
            std::thread::spawn(move || {
                for batch in 0..WRITES / 20 {
                    let lines: Vec<Args> = (0..20)
                        .map(|n| match n % 4 {
                            0 => words(&format!("MSET a{n} {batch} b{n} {batch}")),
                            1 => words("EVAL redis.call('INCR',KEYS[1]) 1 scripts"),
                            _ => words(&format!("INCR count:{writer}:{n}")),
                        })
                        .collect();
                    client.pipeline(&lines).unwrap();
                }
            })
        })
        .collect();
    let digest = |admin: &mut Client| (admin.text("DEBUG DIGEST"), admin.call("GET scripts"));
    let mut pauses = 0;
    while !writers.iter().all(std::thread::JoinHandle::is_finished) {
        admin.ok(&format!("{LONG} WRITE"));
        let before = digest(&mut admin);
        for _ in 0..3 {
            assert_eq!(digest(&mut admin), before);
        }
        admin.ok("CLIENT UNPAUSE");
        admin.ok("PING");
        pauses += 1;
    }
    writers
        .into_iter()
        .for_each(|writer| writer.join().unwrap());
    assert!(pauses > 1, "{pauses}");
    assert_eq!(admin.integer("GET scripts") as usize, 3 * WRITES / 4);
}

#[test]
fn keys_neither_expire_nor_give_way_during_a_pause() {
    let server = Server::with_shards(2);
    let mut admin = server.client();
    for n in 0..20 {
        admin.ok(&format!("SET k{n} v PX 1"));
    }
    admin.ok(&format!("{LONG} WRITE"));
    let expired = admin.info("stats")["expired_keys"].clone();
    eventually(DEADLINE, "the keys are not seen any more", || {
        admin.integer("EXISTS k1 k2 k3") == 0
    });
    let size = admin.integer("DBSIZE");
    admin.ok("RANDOMKEY");
    assert_eq!(admin.info("stats")["expired_keys"], expired);
    assert_eq!(admin.integer("DBSIZE"), size);
    admin.ok("CLIENT UNPAUSE");
    eventually(DEADLINE, "the keys are gone", || {
        admin.integer("DBSIZE") == 0
    });
}
