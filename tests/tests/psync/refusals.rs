//! What can't be followed: named, not tried for ever, and no reason to lose what was there.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use damselfly_resp::{ArgVec, Reply, RequestDecoder, RequestLimits};
use damselfly_tests::RedisVersion::{V62, V70};
use damselfly_tests::{Client, Redis, Server, eventually, replicaof};

use crate::stage::{DEADLINE, Stage, synced};

const REPLID: &str = "9f539ca1cd393c9a9bbcd700684d469d966ba9ca";

/// Something that greets as a Redis does, and answers `PSYNC` with these bytes. It ends with its test.
fn fake(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || converse(stream, &answer));
        }
    });
    address
}

fn converse(mut stream: TcpStream, answer: &[u8]) -> Option<()> {
    let mut decoder = RequestDecoder::new(RequestLimits::default());
    let (mut input, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        input.extend_from_slice(&chunk[..read]);
        loop {
            let mut args = ArgVec::new();
            let Some(bytes) = decoder.decode(&input, &mut args).ok()? else {
                break;
            };
            match args.first() {
                Some(&b"PING") => stream.write_all(b"+PONG\r\n").ok()?,
                Some(&b"PSYNC") => stream.write_all(answer).ok()?,
                Some(&b"REPLCONF") if args[1] != b"ACK" => stream.write_all(b"+OK\r\n").ok()?,
                _ => {}
            }
            drop(args);
            input.drain(..bytes);
        }
    }
}

fn full_sync(rdb: &[u8], commands: &str) -> Vec<u8> {
    let mut bytes = format!("+FULLRESYNC {REPLID} 0\r\n${}\r\n", rdb.len()).into_bytes();
    bytes.extend_from_slice(rdb);
    bytes.extend_from_slice(commands.as_bytes());
    bytes
}

/// A value of INFO; empty if it is not there.
fn shown(client: &mut Client, name: &str) -> String {
    client.info("replication").remove(name).unwrap_or_default()
}

#[test]
fn what_is_unknown_ends_the_link_for_good_and_is_named() {
    const EMPTY: &[u8] = b"REDIS0010\xff\0\0\0\0\0\0\0\0";
    for (answer, words, kept) in [
        (
            b"-ERR unknown command 'PSYNC'\r\n".to_vec(),
            "refused PSYNC",
            true,
        ),
        (
            full_sync(b"REDIS0099\xff\0\0\0\0\0\0\0\0", ""),
            "RDB version 99",
            true,
        ),
        (
            full_sync(
                b"REDIS0010\x07\x03mod\x81\x45\xe2\x52\x38\xdf\x91\x2c\x03\x05",
                "",
            ),
            "key mod of database 0 (type 7, module): values of type Module(ReJSON-RL version 3)",
            false,
        ),
        (
            full_sync(
                b"REDIS0010\xf7\x81\x45\xe2\x52\x38\xdf\x91\x2c\x03\x02\x02\0",
                "",
            ),
            "data of module ReJSON-RL version 3",
            false,
        ),
        (
            full_sync(b"REDIS0010\xf5\x0flibrary of them\xff\0\0\0\0\0\0\0\0", ""),
            "FUNCTION LOAD library of them",
            false,
        ),
        (
            full_sync(EMPTY, "*2\r\n$8\r\nMODULE.X\r\n$1\r\nk\r\n"),
            "MODULE.X k",
            false,
        ),
        (
            full_sync(EMPTY, "*1\r\n$99999999999\r\n"),
            "command stream",
            false,
        ),
    ] {
        let replica = Server::with_shards(2);
        let mut client = replica.client();
        client.ok("SET old 1");
        replicaof(&mut client, fake(answer));
        eventually(DEADLINE, words, || {
            shown(&mut client, "master_link_error").contains(words)
        });
        assert_eq!(shown(&mut client, "master_reconnects"), "0", "{words}");
        client.ok("REPLICAOF NO ONE");
        assert_eq!(client.integer("EXISTS old"), i64::from(kept), "{words}");
    }
}

#[test]
fn what_passes_by_itself_is_tried_again_and_the_data_stays() {
    for (answer, words) in [
        (
            b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n".to_vec(),
            "not ready",
        ),
        (
            b"-LOADING Redis is loading the dataset in memory\r\n".to_vec(),
            "not ready",
        ),
    ] {
        let replica = Server::with_shards(2);
        let mut client = replica.client();
        client.ok("SET old 1");
        replicaof(&mut client, fake(answer));
        eventually(DEADLINE, "several attempts", || {
            shown(&mut client, "master_reconnects").parse().unwrap_or(0) >= 3
        });
        assert!(shown(&mut client, "master_link_last_error").contains(words));
        assert_eq!(client.integer("EXISTS old"), 1);
    }
}

#[test]
fn what_is_not_here_is_passed_over_if_that_is_wanted() {
    let replica = Server::start(&["--proactor_threads=2", "--rdb_unknown_types=skip"]);
    let rdb = b"REDIS0010\xf5\x07library\xff\0\0\0\0\0\0\0\0";
    let commands = "*2\r\n$8\r\nMODULE.X\r\n$1\r\nk\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
    let mut client = replica.client();
    replicaof(&mut client, fake(full_sync(rdb, commands)));
    eventually(DEADLINE, "what comes behind it", || {
        client.call("EXISTS k").as_integer() == Some(1)
    });
    assert_eq!(shown(&mut client, "rdb_skipped_records"), "2");
    assert_eq!(
        shown(&mut client, "slave_repl_offset"),
        (commands.len()).to_string()
    );
}

#[test]
fn modules_are_passed_over_if_that_is_wanted() {
    let replica = Server::start(&["--proactor_threads=2", "--rdb_unknown_types=skip"]);
    let id = b"\x81\x45\xe2\x52\x38\xdf\x91\x2c\x03";
    let value = b"\x01\x05\x02\x81\0\0\0\0\0\0\0\x07\x03abcd\x04abcdefgh\x05\x03str\0";
    let rdb = [
        b"REDIS0011\xf7",
        &id[..],
        b"\x02\x02\x05\x01x\0\x07\x03mod",
        id,
        value,
        b"\0\x01k\x01v\xff\0\0\0\0\0\0\0\0",
    ];
    let mut client = replica.client();
    replicaof(&mut client, fake(full_sync(&rdb.concat(), "")));
    synced(&replica);
    let counts = ["rdb_skipped_keys", "rdb_skipped_records"];
    assert_eq!(counts.map(|name| shown(&mut client, name)), ["1", "1"]);
    assert_eq!(client.integer("DBSIZE"), 1);
}

/// Values are taken apart on the threads of their shards; where a fault is, is said of the stream that came.
#[test]
fn a_damaged_value_is_named_with_its_place_in_the_stream() {
    let mut rdb = b"REDIS0010\xfe\0".to_vec();
    for number in 10..90 {
        rdb.extend(format!("\0\x05key{number}\x05value").into_bytes());
    }
    let place = rdb.len() + b"\x10\x01k".len();
    rdb.extend(b"\x10\x01k\x03abc\xff\0\0\0\0\0\0\0\0");
    let replica = Server::with_shards(2);
    let mut client = replica.client();
    replicaof(&mut client, fake(full_sync(&rdb, "")));
    let words = format!("offset {place}: malformed listpack");
    eventually(DEADLINE, &words, || replica.log().contains(&words));
}

#[test]
fn a_password_is_asked_for_and_given() {
    let redis = Redis::with_options(V70, &["--requirepass", "secret"]);
    let replica = Server::with_shards(1);
    let refused = replicaof(&mut replica.client(), redis.address());
    assert!(refused.as_error().is_some(), "{refused:?}");
    let replica = Server::start(&["--proactor_threads=2", "--masterauth=secret"]);
    replicaof(&mut replica.client(), redis.address());
    synced(&replica);
}

/// A Redis that sends scripts instead of what they did would have this server run them: it says that it does not.
#[test]
fn scripts_that_come_themselves_are_named() {
    let stage = Stage::apart(V62, &["--lua-replicate-commands", "no"], 2);
    stage.follow();
    stage.synced();
    let mut redis = stage.redis.client();
    let script = b"return redis.call('SET', KEYS[1], 'v')";
    redis
        .try_call(&[&b"EVAL"[..], script, b"1", b"k"])
        .expect("Redis answers");
    let mut replica = stage.replica.client();
    eventually(DEADLINE, "a named error", || {
        shown(&mut replica, "master_link_error").contains("EVAL")
    });
}

/// Libraries of functions come with the full sync and as commands.
#[test]
fn functions_are_taken() {
    let stage = Stage::apart(V70, &[], 2);
    let mut redis = stage.redis.client();
    let load = |redis: &mut Client, name: &str, options: &[&str]| {
        let code = format!(
            "#!lua name={name}\nredis.register_function('{name}', function(keys, args) \
             return redis.call('INCRBY', keys[1], args[1]) end)"
        );
        let line = [&["FUNCTION", "LOAD"], options, &[code.as_str()]].concat();
        let reply = redis.try_call(&line).expect("it is answered");
        assert!(reply.as_error().is_none(), "{reply:?}");
    };
    load(&mut redis, "one", &[]);
    stage.follow();
    stage.synced();
    load(&mut redis, "two", &[]);
    let payload = redis.call("FUNCTION DUMP");
    redis.ok("FUNCTION DELETE one");
    load(&mut redis, "two", &["REPLACE"]);
    redis.ok("FUNCTION FLUSH");
    let restore = [
        b"FUNCTION",
        &b"RESTORE"[..],
        payload.as_text().expect("a payload"),
    ];
    redis.try_call(&restore).expect("it is answered");
    redis.ok("MULTI");
    redis.ok("FCALL one 1 k 5");
    redis.ok("FUNCTION DELETE one");
    redis.ok("EXEC");
    redis.ok("FCALL two 1 k 6");
    stage.settle();
    let mut replica = stage.replica.client();
    assert_eq!(replica.text("GET k"), "11");
    let list = redis.call("FUNCTION LIST WITHCODE");
    assert_eq!(replica.call("FUNCTION LIST WITHCODE"), list);
    assert_eq!(list.as_items().map(<[Reply]>::len), Some(1));
}

/// Sixteen databases of a stream of a few bytes say that they have as many keys as can be written down.
#[test]
fn what_is_announced_and_does_not_come_takes_little_memory() {
    let mut rdb = b"REDIS0010".to_vec();
    for db in 0..16 {
        rdb.extend([
            0xFE, db, 0xFB, 0x81, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0,
        ]);
        rdb.extend(b"\0\x01k\x01v");
    }
    rdb.extend(b"\xff\0\0\0\0\0\0\0\0");
    let replica = Server::with_shards(2);
    let mut client = replica.client();
    replicaof(&mut client, fake(full_sync(&rdb, "")));
    synced(&replica);
    assert_eq!(client.integer("DBSIZE"), 1);
    let used = |client: &mut Client| client.info("memory")["used_memory"].parse::<u64>();
    let used_by_stream = used(&mut client).unwrap();
    assert!(used_by_stream < 400 << 20, "{used_by_stream}");
    // The length of a file is known: no more than that accounts for.
    let file = replica.dir().join("hostile.rdb");
    std::fs::write(&file, &rdb).unwrap();
    client.ok("REPLICAOF NO ONE");
    client.ok(&format!("DFLY LOAD {}", file.display()));
    assert_eq!(client.integer("DBSIZE"), 1);
    let used_by_file = used(&mut client).unwrap();
    assert!(used_by_file < 8 << 20, "{used_by_file}");
}
