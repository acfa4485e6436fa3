//! Keyspace events: for every kind of command the names, keys and classes that redis-server tells of.

use std::sync::{Arc, Mutex};

use damselfly_engine::core::{ShardCore, Step};
use damselfly_engine::events::{EventFlags, EventHub, EventSink, KeyEvent};
use damselfly_engine::store::DbIndex;
use damselfly_engine::{CommandTable, families};
use damselfly_journal::JournalOptions;
use damselfly_resp::{Proto, Reply, ReplyWriter};
use damselfly_tests::{Client, Redis, Server};

/// The classes, each chosen alone, so that an event under another class is seen.
const CLASSES: &str = "g$lshzxetnm";

#[rustfmt::skip]
const LINES: &[&str] = &[
    "SET s 1", "SET s 2", "SET s 3 EX 1000", "SET s 3 KEEPTTL", "SET s 4 XX", "SET s 4 NX", "SET s 5 GET", "SETNX s 1", "SETNX n 1",
    "SETEX e 1000 1", "PSETEX e 100000 1", "GETSET s 7", "GETDEL s", "GETDEL s", "SET s 1", "GETEX s", "GETEX s EX 100", "GETEX s PERSIST", "GETEX s PERSIST",
    "APPEND s 1", "APPEND fresh 1", "SETRANGE s 1 abc", "SETRANGE s 1 abc", "SETRANGE none 0 x", "INCR i", "INCRBY i 5", "DECR i", "DECRBY i 2", "INCRBYFLOAT i 1.5",
    "MSET a 1 b 2", "MSETNX a 1 c 2", "MSETNX c 1 d 2", "SETBIT bits 7 1", "SETBIT bits 7 1", "BITFIELD bits SET u8 0 255 INCRBY u8 0 1", "BITFIELD bits GET u8 0",
    "BITOP AND dest bits a", "BITOP AND dest nothing1 nothing2", "BITOP OR dest nothing1 nothing2", "PFADD hll a b", "PFADD hll a", "PFADD hll2", "PFMERGE hll3 hll hll2",
    "GET nothing", "MGET a nothing", "EXISTS nothing a", "TTL nothing", "TYPE nothing", "STRLEN nothing", "OBJECT ENCODING nothing", "TOUCH nothing a", "DUMP nothing",
    "EXPIRE a 1000", "EXPIRE a 500 GT", "PEXPIRE a 100000", "EXPIREAT a 99999999999", "PERSIST a", "PERSIST a", "EXPIRE a -1", "EXPIRE a -1", "PEXPIREAT b 1",
    "SET a 1", "RENAME a z", "RENAME z z2", "SET a 2", "RENAME a z2", "RENAMENX z2 z3", "SET a 1", "RENAMENX a z3", "COPY a acopy", "COPY a acopy", "COPY a acopy REPLACE", "COPY a x DB 1",
    "MOVE a 1", "SET a 1", "MOVE a 1", "DEL a nothing z3", "UNLINK acopy nothing",
    "LPUSH l 1 2", "RPUSH l 3", "LPUSHX l 0", "RPUSHX nolist 1", "LINSERT l BEFORE 1 x", "LINSERT l BEFORE nothing x", "LSET l 0 y", "LREM l 1 y", "LREM l 1 y", "LTRIM l 0 1", "LTRIM l 0 1",
    "LPOP l", "RPOP l", "RPOP l", "RPUSH l 1 2 3", "LMOVE l l2 LEFT RIGHT", "RPOPLPUSH l l2", "LMOVE l l2 RIGHT LEFT", "LMOVE l2 l2 LEFT RIGHT", "LPOP l2 5", "RPUSH l 1 2", "LTRIM l 5 9", "RPOP nothing",
    "SADD set a b c", "SADD set a", "SREM set a", "SREM set nothing", "SMOVE set set2 b", "SMOVE set set2 nothing", "SMOVE set set2 c", "SADD s1 a b", "SADD s2 b c", "SINTERSTORE d s1 s2", "SUNIONSTORE d s1 s2",
    "SDIFFSTORE d s1 s2", "SDIFFSTORE d s1 s1", "SDIFFSTORE d s1 s1", "SPOP set2 0", "SPOP set2 10", "SADD one x", "SPOP one", "SREM s1 a b", "SPOP nothing", "SISMEMBER nothing a", "SINTER nothing s2",
    "HSET h a 1 b 2", "HSET h a 1", "HMSET h c 1", "HSETNX h a 1", "HSETNX h d 1", "HINCRBY h n 1", "HINCRBYFLOAT h f 1.5", "HDEL h a nothing", "HDEL h nothing", "HDEL h b c d n f", "HGET nothing a", "HGETALL nothing",
    "ZADD z 1 a 2 b", "ZADD z 1 a", "ZADD z XX CH 5 a", "ZADD z INCR 1 a", "ZADD z NX 1 a", "ZINCRBY z 1 b", "ZREM z a", "ZREM z nothing", "ZADD z 1 c 2 d 3 e", "ZPOPMIN z", "ZPOPMAX z", "ZREMRANGEBYSCORE z 0 100", "ZREMRANGEBYSCORE z 0 100",
    "ZADD z 0 a 0 b 0 c 0 d", "ZREMRANGEBYRANK z 0 0", "ZREMRANGEBYLEX z [b [b", "ZRANGESTORE z2 z 0 -1", "ZRANGESTORE z2 nothing 0 -1", "ZRANGESTORE z2 nothing 0 -1", "ZADD y 1 c 2 x", "ZUNIONSTORE u 2 z y", "ZINTERSTORE u 2 z y",
    "ZDIFFSTORE u 2 z y", "ZINTERSTORE u 2 z nothing", "ZINTERSTORE u 2 z nothing", "ZPOPMIN z 10", "ZPOPMIN nothing", "ZSCORE nothing a", "ZRANGE nothing 0 1",
    "GEOADD geo 13 38 a 15 37 b", "GEOADD geo 13 38 a", "GEOSEARCHSTORE near geo FROMLONLAT 13 38 BYRADIUS 10 km", "GEOSEARCHSTORE near geo FROMLONLAT 0 0 BYRADIUS 1 km", "GEORADIUS geo 13 38 10 km STORE near",
    "SADD lone a", "RPUSH numbers 3 1 2", "SORT numbers STORE sorted", "SORT numbers BY nothing:* GET what:* GET # STORE sorted", "SORT numbers BY nothing:* GET h:*->f", "SORT nothing STORE sorted", "SORT nothing STORE sorted", "SORT_RO nothing", "GEORADIUSBYMEMBER geo a 10 km STORE near", "GEORADIUSBYMEMBER nothing a 10 km STORE near",
    "GEOSEARCHSTORE near nothing FROMLONLAT 0 0 BYRADIUS 1 km", "GEORADIUS nothing 0 0 1 km STORE near", "GEORADIUS_RO nothing 0 0 1 km", "GEOSEARCH nothing FROMLONLAT 0 0 BYRADIUS 1 km", "SINTERSTORE d lone nothing", "SUNIONSTORE d nothing lone", "SDIFFSTORE d nothing lone",
    "ZUNIONSTORE u 2 nothing lone", "ZDIFFSTORE u 2 nothing lone", "ZRANGESTORE u nothing 0 1 BYSCORE", "GETSET nothing2 1", "SET nothing3 1 GET", "GETEX nothing", "GETEX nothing EX 10", "COPY nothing x", "RENAME nothing x", "RENAMENX nothing x", "MOVE nothing 1", "PERSIST nothing", "SMOVE nothing x a",
    "APPEND nothing4 a", "LMOVE nothing x LEFT LEFT", "RPOPLPUSH nothing x", "LPUSHX nothing a", "LSET nothing 0 a", "LREM nothing 1 a", "LTRIM nothing 0 1", "LINSERT nothing BEFORE a b", "SPOP nothing 1", "HINCRBY nothing5 f 1", "ZADD nothing XX 1 a", "ZREMRANGEBYSCORE nothing 0 1",
    "ZMPOP 2 nothing nothing6 MIN", "ZPOPMAX nothing", "BITFIELD nothing GET u8 0", "BITFIELD nothing7 SET u8 0 1", "BITFIELD_RO nothing GET u8 0", "SETBIT nothing8 1 0", "GETBIT nothing 1", "BITCOUNT nothing", "BITPOS nothing 1", "PFCOUNT nothing", "PFCOUNT nothing hll", "PFMERGE hll4 nothing", "PFMERGE hll4",
    "LCS nothing x", "SUBSTR nothing 0 1", "SINTERCARD 2 nothing lone", "ZINTERCARD 2 nothing lone", "ZDIFF 2 nothing lone", "ZRANDMEMBER nothing", "HRANDFIELD nothing", "SRANDMEMBER nothing", "HSCAN nothing 0", "LPOS nothing a", "SMISMEMBER nothing a", "SUNION nothing lone", "EXPIRETIME nothing", "PTTL nothing",
    "XADD st 1-1 a b", "XADD st NOMKSTREAM 1-2 a b", "XADD nothing NOMKSTREAM 1-2 a b", "XADD st MAXLEN 2 2-1 a b", "XADD st MAXLEN 2 2-2 a b", "XADD st MAXLEN 9 2-3 a b", "XADD st MAXLEN ~ 1 2-4 a b", "XADD st MINID 2-4 2-5 a b", "XTRIM st MAXLEN 9", "XTRIM st MAXLEN 1", "XTRIM nothing MAXLEN 1", "XDEL st 2-4", "XDEL st 2-5", "XDEL st 2-5", "XDEL nothing 1-1",
    "XSETID st 9-1", "XGROUP CREATE st g $", "XGROUP CREATE st g $", "XGROUP CREATE st2 g 0 MKSTREAM", "XGROUP CREATE nothing g 0", "XGROUP SETID st g 0", "XGROUP CREATECONSUMER st g one", "XGROUP CREATECONSUMER st g one", "XADD st 10-1 a b", "XADD st 10-2 a b",
    "XREADGROUP GROUP g one COUNT 1 STREAMS st >", "XREADGROUP GROUP g two STREAMS st >", "XREADGROUP GROUP g two STREAMS st >", "XREADGROUP GROUP g three STREAMS st 0", "XREADGROUP GROUP g four NOACK STREAMS st >", "XREADGROUP GROUP g one STREAMS nothing >", "XREAD STREAMS nothing 0", "XREAD STREAMS st nothing 0 0",
    "XCLAIM st g one 0 10-2", "XCLAIM st g five 0 10-1 10-2", "XCLAIM st g six 0 9-9", "XCLAIM nothing g one 0 1-1", "XAUTOCLAIM st g one 0 0", "XAUTOCLAIM st g seven 0 0", "XAUTOCLAIM nothing g one 0 0", "XACK st g 10-1", "XACK st g 10-1", "XACK nothing g 1-1", "XPENDING st g", "XPENDING nothing g", "XINFO STREAM nothing", "XLEN nothing", "XRANGE nothing - +",
    "XGROUP DELCONSUMER st g one", "XGROUP DELCONSUMER st g one", "XGROUP DESTROY st g", "XGROUP DESTROY st g", "XGROUP SETID nothing g 0", "XGROUP DESTROY nothing g", "XSETID nothing 1-1", "COPY st st3", "RENAME st3 st4", "DEL st st2 st4",
    "RPUSH l 1 2 3 4 5 6", "BLPOP nothing l 1", "BRPOP l 1", "BLMOVE l l3 LEFT RIGHT 1", "BRPOPLPUSH l l3 1", "BLMPOP 1 2 nothing l LEFT COUNT 9", "BLPOP l3 1", "BLPOP l3 1", "ZADD bz 1 a 2 b 3 c 4 d", "BZPOPMIN nothing bz 1", "BZPOPMAX bz 1", "BZMPOP 1 2 nothing bz MIN COUNT 9",
    "MSET a 1 a 2", "MSETNX nothing9 1 nothing9 2", "SET a 1 PX 100000", "SET a 1 EXAT 99999999999", "SET a 1 PXAT 99999999999999", "GETEX a EXAT 99999999999", "GETEX a PERSIST", "INCRBY a 0", "SETRANGE a 0 x", "SETNX a 2", "HSET hh f 1", "HINCRBYFLOAT hh f 0", "HDEL hh f", "ZADD zz 1 a", "ZADD zz GT 0 a", "ZADD zz INCR 0 a", "ZINCRBY zz 0 a", "ZREM zz a",
    "SADD sss 1 2", "SADD sss 2 3", "SMOVE sss sss 1", "SREM sss 1 2 3", "TOUCH a", "UNLINK a", "SELECT 0", "SWAPDB 0 1", "SET a 1", "FLUSHDB", "FLUSHALL",
    "GEOADD near 1 1 a", "LMPOP 2 nothing near LEFT", "RPUSH l 1 2", "LMPOP 2 nothing l LEFT COUNT 5", "ZMPOP 2 nothing y MIN", "ZMPOP 1 y MAX COUNT 9",
];

#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

struct Shared(Arc<Recorder>);

impl EventSink for Shared {
    fn event(&self, event: KeyEvent<'_>) {
        let key = String::from_utf8_lossy(event.key);
        let text = format!("{} {} {key}", event.db.0, event.name);
        self.0.0.lock().expect("nobody panics here").push(text);
    }
}

/// A shard whose events are recorded.
struct Ours {
    core: ShardCore,
    table: CommandTable,
    recorder: Arc<Recorder>,
}

impl Ours {
    fn new(flags: &str) -> Ours {
        let (hub, recorder) = (EventHub::default(), Arc::<Recorder>::default());
        hub.set_flags(EventFlags::parse(flags).expect("letters of Redis's"));
        hub.deliver_to(Box::new(Shared(recorder.clone())));
        let mut core = ShardCore::new(0, 16, 7, JournalOptions::default());
        core.space.events = Arc::new(hub);
        core.space.tick(1_800_000_000_000);
        Ours {
            core,
            table: CommandTable::new(families::ALL),
            recorder,
        }
    }

    fn run(&mut self, line: &str) -> Option<Vec<String>> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let row = self.table.find(args[0])?;
        let row = row
            .subcommands
            .iter()
            .find(|sub| args[1].eq_ignore_ascii_case(sub.name.as_bytes()))
            .unwrap_or(row);
        let keys = row.keys.positions(&args).expect("keys");
        let mut reply = Vec::new();
        let mut out = ReplyWriter::new(&mut reply, Proto::Resp2);
        let step = self
            .core
            .try_command(row, DbIndex(0), &args, &keys, &mut out);
        assert_eq!(step, Step::Done, "{line}");
        Some(std::mem::take(
            &mut *self.recorder.0.lock().expect("nobody panics here"),
        ))
    }
}

/// What a subscriber hears until its PING is answered.
fn heard(subscriber: &mut Client) -> Vec<String> {
    subscriber.send(&["PING"]).expect("sent");
    let mut events = Vec::new();
    loop {
        let reply = subscriber.receive().expect("an answer");
        let items = reply.as_items().expect("pushed messages are arrays");
        let texts: Vec<String> = items
            .iter()
            .filter_map(Reply::as_text)
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect();
        match texts.first().map(String::as_str) {
            Some("pong") => return events,
            Some("pmessage") => {
                let channel = texts[2]
                    .strip_prefix("__keyevent@")
                    .expect("a channel of events");
                let (db, name) = channel.split_once("__:").expect("a database and a name");
                events.push(format!("{db} {name} {}", texts[3]));
            }
            _ => {}
        }
    }
}

#[test]
fn events_are_those_of_redis() {
    let redis = Redis::start();
    let (mut client, mut subscriber) = (redis.client(), redis.client());
    subscriber
        .send(&["PSUBSCRIBE", "__keyevent@*"])
        .expect("sent");
    subscriber.receive().expect("subscribed");
    let mut differences = Vec::new();
    for class in CLASSES.chars() {
        client.ok("FLUSHALL");
        client.ok(&format!("CONFIG SET notify-keyspace-events E{class}"));
        heard(&mut subscriber);
        let mut ours = Ours::new(&format!("E{class}"));
        for line in LINES {
            let Some(mine) = ours.run(line) else {
                continue;
            };
            client.call(line);
            let theirs = heard(&mut subscriber);
            if mine != theirs {
                differences.push(format!(
                    "{class}: {line}\n   redis {theirs:?}\n   here  {mine:?}"
                ));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// Writes of Redis 7.0 that no line above has, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("restore", "its payload is no text: below"),
    ("restore-asking", "for clusters"),
    ("migrate", "to another server"),
    ("pfdebug", "for tests"),
    ("pfselftest", "for tests"),
    ("swapdb", "it tells of nothing"),
    ("flushdb", "it tells of nothing"),
    ("flushall", "it tells of nothing"),
];

#[test]
fn every_write_is_among_the_lines() {
    let redis = Redis::start();
    let mut client = redis.client();
    let mut missing = Vec::new();
    let rows = families::ALL.iter().flat_map(|family| family.iter());
    for row in rows.filter(|row| row.is_write()) {
        let known = client.call(&format!("COMMAND INFO {}", row.name));
        let is_known = known
            .as_items()
            .is_some_and(|items| items[0] != Reply::Null);
        let has_line = |name: &str| {
            let mut names = LINES
                .iter()
                .map(|line| line.split(' ').next().unwrap_or_default());
            names.any(|first| first.eq_ignore_ascii_case(name))
        };
        let is_left_out = LEFT_OUT.iter().any(|(name, _)| *name == row.name);
        if is_known && !is_left_out && !has_line(row.name) {
            missing.push(row.name);
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

/// A message of a pattern, as its channel and its text.
fn told(subscriber: &mut Client) -> Option<String> {
    let reply = subscriber.receive().expect("a message");
    let texts: Vec<String> = reply
        .as_items()
        .into_iter()
        .flatten()
        .filter_map(Reply::as_text)
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect();
    match &texts[..] {
        [kind, _, channel, text] if kind == "pmessage" => Some(format!("{channel} {text}")),
        _ => None,
    }
}

/// Through subscriptions, both kinds of channels, whichever threads the keys, the client and the subscriber live on.
#[test]
fn subscribers_hear_what_those_of_redis_hear() {
    for shards in [1, 3] {
        let (redis, server) = (Redis::start(), Server::with_shards(shards));
        let clients = |mut client: Client, mut subscriber: Client| {
            client.ok("CONFIG SET notify-keyspace-events AKEmn");
            subscriber.ok("PSUBSCRIBE __key*");
            (client, subscriber)
        };
        let (mut left, mut left_hears) = clients(redis.client(), redis.client());
        let (mut right, mut right_hears) = clients(server.client(), server.client());
        for line in LINES {
            left.call(line);
            right.call(line);
            left_hears.send(&["PING"]).expect("sent");
            let mut theirs: Vec<String> = std::iter::from_fn(|| told(&mut left_hears)).collect();
            // What other threads send has no place among what this one answers.
            let mut ours: Vec<String> = theirs
                .iter()
                .map(|_| told(&mut right_hears).expect("a message"))
                .collect();
            if shards > 1 {
                theirs.sort();
                ours.sort();
            }
            assert_eq!(theirs, ours, "{shards} shards: {line}");
        }
        right_hears.send(&["PING"]).expect("sent");
        assert_eq!(told(&mut right_hears), None);
    }
}

/// What is not in a line of text, or takes a moment: RESTORE, keys whose time comes, evicted ones.
#[test]
fn restored_expired_and_evicted_keys_are_told_of() {
    let (redis, server) = (Redis::start(), Server::with_shards(1));
    let mut heard = Vec::new();
    for (mut client, mut subscriber) in [
        (redis.client(), redis.client()),
        (server.client(), server.client()),
    ] {
        client.ok("CONFIG SET notify-keyspace-events AKE");
        client.ok("SET a 1");
        subscriber.ok("PSUBSCRIBE __key*");
        let payload = client.call("DUMP a");
        let payload = payload.as_text().expect("a payload").to_vec();
        for more in [&b"REPLACE"[..], b"ABSTTL"] {
            let args = [&b"RESTORE"[..], b"a", b"0", &payload, b"REPLACE", more];
            client.try_call(&args).expect("a reply");
        }
        let past = [&b"RESTORE"[..], b"a", b"1", &payload, b"REPLACE", b"ABSTTL"];
        client.try_call(&past).expect("a reply");
        client.ok("SET b 1 PX 1");
        let mut all = Vec::new();
        while all
            .last()
            .is_none_or(|last| last != "__keyevent@0__:expired b")
        {
            all.extend(told(&mut subscriber));
        }
        client.ok("SET c 1");
        client.ok("CONFIG SET maxmemory-policy allkeys-random");
        client.ok("CONFIG SET maxmemory 1");
        client.call("SET d 1");
        while all
            .last()
            .is_none_or(|last| last != "__keyevent@0__:evicted c")
        {
            all.extend(told(&mut subscriber));
        }
        heard.push(all);
    }
    assert_eq!(heard[0], heard[1]);
}

/// Redis 7.0 has no such command; the names are those of 7.4.
#[test]
fn expiry_of_fields_is_told_of() {
    let server = Server::with_shards(1);
    let (mut client, mut subscriber) = (server.client(), server.client());
    client.ok("CONFIG SET notify-keyspace-events AE");
    subscriber.ok("PSUBSCRIBE __key*");
    client.ok("HSET h a 1 b 2 c 3");
    client.ok("HEXPIRE h 100 FIELDS 1 a");
    client.ok("HPERSIST h FIELDS 1 a");
    client.ok("HEXPIRE h 0 FIELDS 1 a");
    client.ok("HPEXPIRE h 1 FIELDS 1 b");
    let mut hears = |name: &str| {
        let expected = format!("__keyevent@0__:{name} h");
        assert_eq!(told(&mut subscriber), Some(expected));
    };
    for name in ["hset", "hexpire", "hpersist", "hdel", "hexpire", "hexpired"] {
        hears(name);
    }
    client.ok("HPEXPIRE h 1 FIELDS 1 c");
    for name in ["hexpire", "hexpired", "del"] {
        hears(name);
    }
}

#[test]
fn events_of_a_transaction_come_before_its_replies() {
    for shards in [1, 3] {
        let server = Server::with_shards(shards);
        let mut client = server.client();
        client.ok("HELLO 3");
        client.ok("CONFIG SET notify-keyspace-events Kg$");
        client.ok("PSUBSCRIBE *");
        client.ok("MULTI");
        client.ok("SET key value");
        client.ok("DEL key");
        client.send(&["EXEC"]).expect("sent");
        for event in ["set", "del"] {
            assert_eq!(
                told(&mut client),
                Some(format!("__keyspace@0__:key {event}"))
            );
        }
        let replies = [Reply::Simple(b"OK".to_vec()), Reply::Integer(1)];
        assert_eq!(
            client.receive().expect("replies"),
            Reply::Array(replies.into())
        );
    }
}
