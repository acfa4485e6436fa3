//! MIGRATE: between servers of both kinds, with Redis's replies.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use damselfly_resp::Reply;
use damselfly_tests::{Args, Client, Redis, Server, words};

/// What source and target get, in turn; `@` is the target's host and port.
/// (Redis keeps its connections to targets for a while: once one has authenticated, it has.)
#[rustfmt::skip]
const SCENE: &[(&str, &str)] = &[
    ("target", "CONFIG SET requirepass word"),
    ("source", "SET secret 1"),
    ("source", "MIGRATE @ secret 0 1000"),
    ("source", "MIGRATE @ secret 0 1000 AUTH wrong"),
    ("source", "MIGRATE @ secret 0 1000 AUTH word"),
    ("target", "GET secret"),
    ("source", "SET secret 2"),
    ("source", "MIGRATE @ EMPTY 0 1000 REPLACE AUTH2 default word KEYS secret"),
    ("target", "GET secret"),
    ("source", "EXISTS secret"),
    ("target", "CONFIG SET requirepass EMPTY"),
    ("source", "MIGRATE @ nothing 0 1000"),
    ("source", "MIGRATE @ EMPTY 0 1000 KEYS no nothing"),
    ("source", "SET text value PX 1000000"),
    ("source", "RPUSH list a b c"),
    ("source", "ZADD zset 1.5 m 2 n"),
    ("source", "HSET hash f v g w"),
    ("source", "SADD set 1 2 3"),
    ("source", "XADD stream 1-1 f v"),
    ("source", "MIGRATE @ text 0 1000 COPY"),
    ("source", "EXISTS text"),
    ("target", "GET text"),
    ("source", "MIGRATE @ text 0 1000"),
    ("source", "MIGRATE @ text 0 1000 REPLACE"),
    ("source", "EXISTS text"),
    ("target", "GET text"),
    ("source", "MIGRATE @ EMPTY 0 5000 KEYS list no zset hash"),
    ("source", "EXISTS list zset hash set"),
    ("target", "LRANGE list 0 -1"),
    ("target", "ZRANGE zset 0 -1 WITHSCORES"),
    ("target", "HGETALL hash"),
    ("source", "MIGRATE @ set 3 1000"),
    ("source", "MIGRATE @ stream 99 1000"),
    ("source", "EXISTS set stream"),
    ("target", "SELECT 3"),
    ("target", "SMEMBERS set"),
    ("target", "SELECT 0"),
    ("source", "MIGRATE @ key 0 x"),
    ("source", "MIGRATE @ key x 10"),
    ("source", "MIGRATE @ key 0 10 NONSENSE"),
    ("source", "MIGRATE @ key 0 10 AUTH"),
    ("source", "MIGRATE @ key 0 10 AUTH2 user"),
    ("source", "MIGRATE @ key 0 10 KEYS a b"),
    ("source", "SET secret 1"),
    ("source", "MIGRATE 127.0.0.1 1 secret 0 1000"),
    ("source", "COMMAND GETKEYS MIGRATE @ key 0 10"),
    ("source", "COMMAND GETKEYS MIGRATE @ EMPTY 0 10 COPY KEYS a b"),
];

fn line(text: &str, target: SocketAddr) -> Args {
    let at = format!("{} {}", target.ip(), target.port());
    let mut args = words(&text.replace('@', &at));
    let empty = args.iter_mut().filter(|arg| **arg == b"EMPTY");
    empty.for_each(Vec::clear);
    args
}

/// All replies.
fn play(source: &mut Client, target: &mut Client, address: SocketAddr) -> Vec<String> {
    let run = |(whose, text): &(&str, &str)| {
        let client = match *whose {
            "source" => &mut *source,
            _ => &mut *target,
        };
        let reply = client.try_call(&line(text, address)).expect("an answer");
        format!("{text}: {reply:?}")
    };
    SCENE.iter().map(run).collect()
}

#[test]
fn keys_go_from_any_server_to_any() {
    let theirs = {
        let (source, target) = (Redis::start(), Redis::start());
        play(&mut source.client(), &mut target.client(), target.address())
    };
    for shards in [1, 3] {
        let (source, target) = (Server::with_shards(shards), Server::with_shards(2));
        let ours = play(&mut source.client(), &mut target.client(), target.address());
        assert_eq!(ours, theirs);
        let redis = Redis::start();
        let ours = play(&mut source.client(), &mut redis.client(), redis.address());
        assert_eq!(ours.len(), theirs.len());
    }
    let (source, target) = (Redis::start(), Server::with_shards(2));
    let to_ours = play(&mut source.client(), &mut target.client(), target.address());
    assert_eq!(to_ours, theirs);
}

#[test]
fn times_go_along() {
    let (source, target) = (Server::with_shards(2), Server::with_shards(3));
    let mut client = source.client();
    client.ok("SET k v PX 500000");
    client.ok("HSET h f v g w");
    client.ok("HPEXPIRE h 400000 FIELDS 1 f");
    client.ok("SADDEX s 300 m");
    let command = line("MIGRATE @ EMPTY 0 5000 KEYS k h s", target.address());
    assert_eq!(
        client.try_call(&command).expect("an answer"),
        Reply::Simple(b"OK".into())
    );
    let mut taken = target.client();
    assert!((490_000..=500_000).contains(&taken.integer("PTTL k")));
    assert!((390..=400).contains(&taken.integer("FIELDTTL h f")));
    assert_eq!(taken.integer("FIELDTTL h g"), -1);
    assert!((290..=301).contains(&taken.integer("FIELDTTL s m")));
    assert_eq!(client.integer("DBSIZE"), 0);
}

/// Nobody's write is lost while a key is on its way: the target is one that answers late.
#[test]
fn what_is_written_meanwhile_stays() {
    let (source, target) = (Server::with_shards(2), Redis::start());
    let (mut client, mut writer, mut sleeper) = (source.client(), source.client(), target.client());
    client.ok("SET k 0");
    sleeper.send(&words("DEBUG SLEEP 0.5")).expect("it is sent");
    let (is_over, command) = (
        AtomicBool::new(false),
        line("MIGRATE @ k 0 9000", target.address()),
    );
    let (reply, written) = std::thread::scope(|scope| {
        let writes = scope.spawn(|| {
            let ends = |number: &u64| {
                writer.ok(&format!("SET k {number}"));
                is_over.load(Ordering::Acquire)
            };
            (1..).find(ends).expect("it is over some time")
        });
        let reply = client.try_call(&command).expect("an answer");
        is_over.store(true, Ordering::Release);
        (reply, writes.join().expect("a number"))
    });
    let error = String::from_utf8_lossy(reply.as_error().expect("an error")).into_owned();
    assert!(error.starts_with("ERR A key was written to"), "{error}");
    assert_eq!(client.text("GET k"), written.to_string());
    assert_eq!(target.client().integer("EXISTS k"), 1);
}
