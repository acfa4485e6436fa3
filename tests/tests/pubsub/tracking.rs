//! CLIENT TRACKING: who is told of which keys, beside redis-server.

use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Redis, Server, eventually, words};

use crate::beside_redis::{run, seeds};

const DEADLINE: Duration = Duration::from_secs(20);

const READS_AND_WRITES: &[&str] = &[
    "GET <k>",
    "GET <k>",
    "GET <k>",
    "GET <k>",
    "MGET <k> <k> <k>",
    "EXISTS <k> <k>",
    "STRLEN <k>",
    "TYPE <k>",
    "TTL <k>",
    "SMEMBERS <k>",
    "HGETALL <k>",
    "SINTER <k> <k>",
    "LRANGE <k> 0 -1",
    "SET <k> <m>",
    "SET <k> <m>",
    "SET <k> <m>",
    "APPEND <k> x",
    "DEL <k>",
    "DEL <k> <k>",
    "EXPIRE <k> 1000",
    "PERSIST <k>",
    "GETDEL <k>",
    "LPUSH <k> <m>",
    "INCR <k>",
    "SETNX <k> 1",
    "GETEX <k> PERSIST",
];
const OF_THE_CLIENT: &[&str] = &[
    "HELLO 3",
    "HELLO 3",
    "HELLO 3",
    "CLIENT TRACKINGINFO",
    "CLIENT GETREDIR",
    "CLIENT TRACKING off",
    "RESET",
    "PING",
    "CLIENT TRACKING",
    "CLIENT TRACKING maybe",
    "CLIENT TRACKING on NOSUCH",
    "CLIENT TRACKING on REDIRECT 99999999",
    "CLIENT TRACKING on REDIRECT x",
    "CLIENT TRACKING on PREFIX a",
    "CLIENT TRACKING on OPTIN OPTOUT",
    "CLIENT CACHING maybe",
];
const REMEMBERED: &[&str] = &[
    "CLIENT TRACKING on",
    "CLIENT TRACKING on",
    "CLIENT TRACKING on NOLOOP",
    "CLIENT TRACKING on OPTIN",
    "CLIENT TRACKING on OPTOUT",
    "CLIENT TRACKING on OPTIN NOLOOP",
    "CLIENT CACHING YES",
    "CLIENT CACHING NO",
    "CLIENT CACHING YES;GET <k>",
    "CLIENT CACHING NO;GET <k>",
    "CLIENT CACHING YES;MULTI;GET <k>;GET <k>;EXEC",
    "MULTI;GET <k>;SET <k> <m>;GET <k>;EXEC",
    "MSET <k> 1 <k> 2",
    "FLUSHALL",
    "FLUSHDB",
    "RENAME <k> <k>",
    "SUNIONSTORE <k> <k> <k>",
];
const BY_PREFIX: &[&str] = &[
    "CLIENT TRACKING on BCAST",
    "CLIENT TRACKING on BCAST PREFIX user:",
    "CLIENT TRACKING on BCAST PREFIX o PREFIX user:1",
    "CLIENT TRACKING on BCAST NOLOOP",
    "CLIENT TRACKING on BCAST PREFIX z NOLOOP",
    "CLIENT TRACKING on BCAST PREFIX a PREFIX ab",
    "CLIENT TRACKING on BCAST OPTIN",
    "CLIENT TRACKING on BCAST PREFIX u",
    "CLIENT CACHING YES",
    "FLUSHALL",
];

/// `single` leaves out what changes several keys: who named a prefix is told of them in one message by Redis, and in one for each
/// shard here.
fn sequences(more: &[&[&'static str]], single: bool) {
    let lines: Vec<&'static str> = [&[READS_AND_WRITES, READS_AND_WRITES, OF_THE_CLIENT], more]
        .concat()
        .concat();
    let lines: Vec<_> = lines
        .into_iter()
        .filter(|line| !single || *line != "DEL <k> <k>")
        .collect();
    let redis = Redis::start();
    for threads in [1, 3] {
        let server = Server::with_shards(threads);
        for seed in seeds() {
            run(seed, &lines, redis.address(), server.address());
        }
    }
}

#[test]
fn who_has_read_a_key_is_told_as_by_redis() {
    sequences(&[REMEMBERED], false);
}

#[test]
fn who_has_named_a_prefix_is_told_as_by_redis() {
    sequences(&[BY_PREFIX], true);
}

fn text(reply: &Reply) -> String {
    format!("{reply:?}")
}

/// What one client gets in place of another, in both protocols, and what becomes of it when that one is gone.
fn redirected(address: std::net::SocketAddr, proto: &str) -> Vec<String> {
    let connect = || Client::connect(address).expect("it accepts");
    let (mut tracker, mut target, mut writer) = (connect(), connect(), connect());
    let id = target.integer("CLIENT ID");
    target.ok(&format!("HELLO {proto}"));
    tracker.ok("HELLO 3");
    target.ok("SUBSCRIBE __redis__:invalidate");
    let mut got = Vec::new();
    tracker.ok(&format!("CLIENT TRACKING on REDIRECT {id}"));
    for round in 0..3 {
        tracker.ok("GET key");
        writer.ok(&format!("SET key {round}"));
        got.push(text(&target.receive().expect("a message")));
    }
    tracker.ok("GET key");
    tracker.ok("SET key own");
    got.push(text(&target.receive().expect("a message")));
    writer.ok("FLUSHALL");
    got.push(text(&target.receive().expect("a message")));
    assert_eq!(tracker.integer("CLIENT GETREDIR"), id);
    tracker.ok("GET key");
    drop(target);
    eventually(DEADLINE, "it is gone", || {
        !writer.text("CLIENT LIST").contains(&format!("id={id} "))
    });
    writer.ok("SET key broken");
    got.push(
        text(&tracker.receive().expect("a message"))
            .replace(&format!("Integer({id})"), "Integer(ID)"),
    );
    tracker
        .send(&words("CLIENT TRACKINGINFO"))
        .expect("it is connected");
    got.push(
        text(&tracker.receive().expect("a reply"))
            .replace(&format!("Integer({id})"), "Integer(ID)"),
    );
    got
}

#[test]
fn another_client_is_told_in_place_of_one() {
    let redis = Redis::start();
    for shards in [1, 3] {
        let server = Server::with_shards(shards);
        for proto in ["2", "3"] {
            let theirs = redirected(redis.address(), proto);
            assert_eq!(
                theirs,
                redirected(server.address(), proto),
                "RESP{proto}, {shards} shards"
            );
        }
    }
}

#[test]
fn keys_that_expire_or_give_way_are_told() {
    let server = Server::start(&["--proactor_threads=2", "--tracking_table_max_keys=20"]);
    let (mut tracker, mut other) = (server.client(), server.client());
    tracker.ok("HELLO 3");
    tracker.ok("CLIENT TRACKING on");
    tracker.ok("SET short 1 PX 20");
    tracker.ok("GET short");
    assert!(matches!(tracker.receive(), Ok(Reply::Push(_))));
    // More keys than are remembered: the others are told, whichever they are.
    let keys = 200;
    for number in 0..keys {
        other.ok(&format!("SET key:{number} 1"));
    }
    let commands: Vec<_> = (0..keys)
        .map(|number| words(&format!("GET key:{number}")))
        .collect();
    let mut bytes = Vec::new();
    for command in &commands {
        let args: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        damselfly_resp::encode_command(&mut bytes, &args);
    }
    tracker.send_raw(&bytes).expect("it is connected");
    let pushes = |reply: &Reply| matches!(reply, Reply::Push(_));
    let got: Vec<Reply> = (0..keys + keys - 20)
        .map(|_| tracker.receive().expect("a reply or a push"))
        .collect();
    assert_eq!(got.iter().filter(|reply| pushes(reply)).count(), keys - 20);
    let stats = other.info("stats");
    assert_eq!(
        (
            &*stats["tracking_total_keys"],
            &*stats["tracking_total_items"]
        ),
        ("20", "20")
    );
    assert_eq!(other.info("clients")["tracking_clients"], "1");
    let list = other.text("CLIENT LIST");
    assert!(
        list.contains("flags=t ") && list.contains("redir=0 "),
        "{list}"
    );
}

#[test]
fn what_a_script_reads_or_writes_counts() {
    for shards in [1, 3] {
        let server = Server::with_shards(shards);
        let (mut tracker, mut other) = (server.client(), server.client());
        tracker.ok("HELLO 3");
        tracker.ok("CLIENT TRACKING on");
        for number in 0..6 {
            let key = format!("key:{number}");
            let get = ["EVAL", "return redis.call('GET', KEYS[1])", "1", &key];
            let set = ["EVAL", "return redis.call('SET', KEYS[1], '1')", "1", &key];
            tracker.try_call(&get).expect("a reply");
            other.try_call(&set).expect("a reply");
            let told = Reply::Push(vec![
                Reply::Bulk(b"invalidate".to_vec()),
                Reply::Array(vec![Reply::Bulk(key.into_bytes())]),
            ]);
            assert_eq!(tracker.receive().expect("a push"), told, "{shards} shards");
        }
    }
}

/// What a client has read it may keep until it is told: whoever reads and is told nothing has what is there.
#[test]
fn nothing_stale_is_kept() {
    let server = Server::with_shards(3);
    let keys = 8;
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let mut client = server.client();
            std::thread::spawn(move || {
                for round in 0..1_500 {
                    client.ok(&format!("SET key:{} {writer}-{round}", round % keys));
                }
            })
        })
        .collect();
    let mut reader = server.client();
    reader.ok("HELLO 3");
    reader.ok("CLIENT TRACKING on");
    let mut kept: Vec<Option<Reply>> = vec![None; keys];
    let forget = |kept: &mut Vec<Option<Reply>>, push: &Reply| {
        let told = text(push);
        assert!(told.contains("Push"), "{told}");
        let items = push.as_items().expect("a push has items");
        let names = items[1].as_items().expect("keys");
        for name in names.iter().filter_map(Reply::as_text) {
            let number = String::from_utf8_lossy(name)
                .trim_start_matches("key:")
                .parse::<usize>();
            kept[number.expect("a number")] = None;
        }
    };
    for round in 0..2_000 {
        let at = round % keys;
        reader
            .send(&words(&format!("GET key:{at}")))
            .expect("it is connected");
        loop {
            match reader.receive().expect("a reply or a push") {
                push @ Reply::Push(_) => forget(&mut kept, &push),
                reply => {
                    kept[at] = Some(reply);
                    break;
                }
            }
        }
    }
    writers
        .into_iter()
        .for_each(|writer| writer.join().expect("all was written"));
    // What is on its way comes before the answer to a later word.
    reader
        .set_timeout(Some(Duration::from_millis(300)))
        .expect("a timeout");
    while let Ok(push) = reader.receive() {
        forget(&mut kept, &push);
    }
    let mut other = server.client();
    for (at, kept) in kept.iter().enumerate() {
        if let Some(kept) = kept {
            assert_eq!(other.ok(&format!("GET key:{at}")), *kept, "key:{at}");
        }
    }
}
