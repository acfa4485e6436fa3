//! The `redis` crate against a primary and its replica: pipelines, transactions with WATCH, scripts, publish/subscribe at both ends, streams,
//! blocking pops, iterators, RESP3. Ports come in `PRIMARY_PORT` and `REPLICA_PORT`.

use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{Client, Commands, Connection, RedisResult};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Debug;
use std::time::{Duration, Instant};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const ADDERS: usize = 8;
const TURNS: usize = 25;
const MESSAGES: usize = 100;

fn main() -> Result {
    let (primary, replica) = (client("PRIMARY_PORT")?, client("REPLICA_PORT")?);
    let mut connection = primary.get_connection()?;
    pipelines(&mut connection, &mut replica.get_connection()?)?;
    watched(&primary)?;
    scripts(&mut connection)?;
    published(&primary, &primary, "news of the primary")?;
    published(&primary, &replica, "news of the replica")?;
    streams(&mut connection)?;
    blocking(&primary)?;
    println!(
        "1,000 keys, {ADDERS} threads x {TURNS} turns under WATCH, {} messages at both ends, scripts, streams, blocking pops: as expected",
        2 * MESSAGES
    );
    Ok(())
}

fn client(variable: &str) -> Result<Client> {
    let port = std::env::var(variable).map_err(|_| format!("{variable} is not set"))?;
    Ok(Client::open(format!(
        "redis://127.0.0.1:{port}/?protocol=resp3"
    ))?)
}

fn equal<T: PartialEq + Debug>(what: &str, got: T, wanted: T) -> Result {
    if got == wanted {
        return Ok(());
    }
    Err(format!("{what}: expected {wanted:?}, got {got:?}").into())
}

/// Asks until it gets what is wanted.
fn eventually<T: PartialEq + Debug>(
    what: &str,
    wanted: T,
    mut ask: impl FnMut() -> RedisResult<T>,
) -> Result {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let got = ask()?;
        if got == wanted || Instant::now() > end {
            return equal(what, got, wanted);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn pipelines(connection: &mut Connection, replica: &mut Connection) -> Result {
    let mut pipe = redis::pipe();
    for n in 0..1000 {
        pipe.set(format!("k:{n}"), n).ignore();
    }
    pipe.get("k:7").incr("k:7", 1);
    equal("a pipeline", pipe.query(connection)?, (7, 8))?;
    let keys: RedisResult<BTreeSet<String>> = connection.scan_match::<_, String>("k:*")?.collect();
    equal("keys of a scan", keys?.len(), 1000)?;
    eventually("a key on the replica", Some(8), || replica.get("k:7"))?;
    let _: () = connection.hset_multiple("h", &[("a", 1), ("b", 2)])?;
    let hash: BTreeMap<String, i64> = connection.hgetall("h")?;
    equal(
        "a hash",
        hash,
        BTreeMap::from([("a".into(), 1), ("b".into(), 2)]),
    )
}

fn watched(client: &Client) -> Result {
    let add = || -> RedisResult<()> {
        let mut connection = client.get_connection()?;
        for _ in 0..TURNS {
            redis::transaction(&mut connection, &["watched"], |connection, pipe| {
                let value: Option<i64> = connection.get("watched")?;
                pipe.set("watched", value.unwrap_or(0) + 1)
                    .ignore()
                    .query::<Option<()>>(connection)
            })?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..ADDERS).map(|_| scope.spawn(add)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("an adder does not panic"))
    })?;
    let value: usize = client.get_connection()?.get("watched")?;
    equal("a counter under WATCH", value, ADDERS * TURNS)
}

fn scripts(connection: &mut Connection) -> Result {
    let script = redis::Script::new("return {redis.call('INCRBY', KEYS[1], ARGV[1]), ARGV[2]}");
    for n in 1..=3 {
        let got: (i64, String) = script.key("n").arg(10).arg("text").invoke(connection)?;
        equal("a script", got, (10 * n, "text".into()))?;
    }
    Ok(())
}

fn published(publisher: &Client, subscriber: &Client, channel: &str) -> Result {
    let (mut publisher, mut subscriber) =
        (publisher.get_connection()?, subscriber.get_connection()?);
    subscriber.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut subscriber = subscriber.as_pubsub();
    subscriber.subscribe(channel)?;
    for n in 0..MESSAGES {
        let _: i64 = publisher.publish(channel, n)?;
    }
    for n in 0..MESSAGES {
        equal("a message", subscriber.get_message()?.get_payload()?, n)?;
    }
    Ok(())
}

fn streams(connection: &mut Connection) -> Result {
    let _: () = connection.xgroup_create_mkstream("stream", "group", "$")?;
    let id: String = connection.xadd("stream", "*", &[("n", 1)])?;
    let options = StreamReadOptions::default().group("group", "one").count(10);
    let read: Option<StreamReadReply> = connection.xread_options(&["stream"], &[">"], &options)?;
    let ids: Vec<String> = read
        .into_iter()
        .flat_map(|read| read.keys)
        .flat_map(|key| key.ids)
        .map(|entry| entry.id)
        .collect();
    equal("entries of a stream", ids, vec![id.clone()])?;
    equal("XACK", connection.xack("stream", "group", &[id])?, 1)
}

fn blocking(client: &Client) -> Result {
    let (mut waits, mut pushes) = (client.get_connection()?, client.get_connection()?);
    let waiting =
        std::thread::spawn(move || -> RedisResult<(String, i64)> { waits.blpop("list", 10.0) });
    eventually("blocked clients", true, || {
        let clients: redis::InfoDict = redis::cmd("INFO").arg("clients").query(&mut pushes)?;
        Ok(clients.get::<i64>("blocked_clients") == Some(1))
    })?;
    let _: i64 = pushes.rpush("list", 7)?;
    let popped = waiting
        .join()
        .expect("the thread that waits does not panic")?;
    equal("a blocking pop", popped, ("list".into(), 7))
}
