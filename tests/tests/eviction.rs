//! Eviction: memory stays within `maxmemory`, the right keys go, and replicas stay equal.

use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::{Args, Client, Digest, Server, await_synced, same_data, within, words};

const DEADLINE: Duration = Duration::from_secs(20);
const OOM: &[u8] = b"OOM command not allowed when used memory > 'maxmemory'.";
const LIMIT: u64 = 1 << 20;
const VALUE: usize = 1_000;

fn server(policy: &str) -> Server {
    let policy = format!("--maxmemory_policy={policy}");
    Server::start(&["--proactor_threads=2", "--maxmemory=1mb", &policy])
}

/// Bytes that count against the limit.
fn limited(client: &mut Client) -> u64 {
    let info = client.info("memory");
    let field = |name: &str| info[name].parse::<u64>().expect("a number");
    field("used_memory") - field("mem_not_counted_for_evict")
}

fn evicted(client: &mut Client) -> u64 {
    client.info("stats")["evicted_keys"]
        .parse()
        .expect("a number")
}

/// Writes keys in pipelines of 100; those that were refused.
fn write(client: &mut Client, prefix: &str, count: usize, options: &str) -> usize {
    let mut refused = 0;
    for first in (0..count).step_by(100) {
        let set = |number| {
            let value = "x".repeat(VALUE + number % 100);
            words(&format!("SET {prefix}:{number} {value} {options}"))
        };
        let commands: Vec<Args> = (first..first + 100).map(set).collect();
        for reply in client.pipeline(&commands).expect("answers") {
            if let Some(error) = reply.as_error() {
                assert_eq!(error, OOM);
                refused += 1;
            }
        }
    }
    refused
}

fn exists(client: &mut Client, keys: &[String]) -> i64 {
    client.integer(&format!("EXISTS {}", keys.join(" ")))
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{prefix}:{number}"))
        .collect()
}

#[test]
fn memory_stays_within_the_limit_with_every_policy() {
    for policy in [
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ] {
        let server = server(policy);
        let mut client = server.client();
        for round in 0..4 {
            let refused = write(&mut client, &format!("round{round}"), 900, "EX 1000");
            assert_eq!(refused, 0, "{policy}");
            let used = limited(&mut client);
            assert!(used <= LIMIT + 2 * 2 * VALUE as u64, "{policy}: {used}");
            assert!(used > LIMIT / 2, "{policy}: too much went, {used} is left");
        }
        assert!(evicted(&mut client) > 2_000, "{policy}");
        // A lower limit is reached without a command.
        client.ok("CONFIG SET maxmemory 300000");
        let below = within(DEADLINE, || (limited(&mut client) <= 300_000).then_some(()));
        assert!(below.is_some(), "{policy}: {}", limited(&mut client));
    }
}

/// How many of the hot keys survive a flood of others.
fn hot_keys_left(policy: &str) -> i64 {
    let server = server(policy);
    let mut client = server.client();
    let hot = names("hot", 200);
    write(&mut client, "hot", 200, "");
    for round in 0..8 {
        // Seconds and minutes pass without waiting.
        client.ok(&format!("DEBUG CLOCK {}", round * 2_000));
        for _ in 0..30 {
            client.call(&format!("TOUCH {}", hot.join(" ")));
        }
        write(&mut client, &format!("cold{round}"), 300, "");
    }
    exists(&mut client, &hot)
}

#[test]
fn what_is_used_stays() {
    let [random, lru, lfu] = ["allkeys-random", "allkeys-lru", "allkeys-lfu"].map(hot_keys_left);
    assert!(lru > 170 && lru > random + 40, "lru {lru}, random {random}");
    assert!(lfu > 170 && lfu > random + 40, "lfu {lfu}, random {random}");
}

#[test]
fn volatile_policies_take_only_what_expires() {
    for policy in [
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ] {
        let server = server(policy);
        let mut client = server.client();
        assert_eq!(write(&mut client, "lasting", 400, ""), 0);
        assert_eq!(write(&mut client, "near", 150, "EX 1000"), 0);
        assert_eq!(write(&mut client, "far", 150, "EX 100000"), 0);
        assert_eq!(evicted(&mut client), 0, "{policy}");
        assert_eq!(write(&mut client, "more", 400, "EX 50000"), 0);
        assert_eq!(exists(&mut client, &names("lasting", 400)), 400, "{policy}");
        let [near, far] = ["near", "far"].map(|prefix| exists(&mut client, &names(prefix, 150)));
        if policy == "volatile-ttl" {
            assert!(near < 40 && far > 135, "{near} near, {far} far");
        }
        // When nothing is left that expires, writes are refused; what lasts stays.
        assert!(write(&mut client, "overmuch", 1_500, "") > 0, "{policy}");
        assert_eq!(exists(&mut client, &names("lasting", 400)), 400, "{policy}");
        let left = ["near", "far", "more"].map(|prefix| exists(&mut client, &names(prefix, 400)));
        assert_eq!(left, [0, 0, 0], "{policy}");
        client.ok("CONFIG SET maxmemory-policy allkeys-random");
        assert_eq!(write(&mut client, "welcome", 300, ""), 0);
    }
}

#[test]
fn transactions_make_room_before_they_begin() {
    let server = server("allkeys-lru");
    let (mut client, mut watcher) = (server.client(), server.client());
    write(&mut client, "k", 1_000, "");
    let oldest = (0..1_000).find(|n| client.integer(&format!("EXISTS k:{n}")) == 1);
    watcher.ok(&format!("WATCH k:{}", oldest.expect("not all are gone")));
    for round in 0..4 {
        client.ok("DEBUG CLOCK 10000");
        for first in (0..300).step_by(50) {
            client.ok("MULTI");
            for number in first..first + 50 {
                client.ok(&format!("SET tx{round}:{number} {}", "x".repeat(VALUE)));
            }
            let replies = client.call("EXEC");
            let items = replies.as_items().expect("not refused");
            assert!(items.iter().all(|reply| reply.as_error().is_none()));
            // It was within the limit before the last one: it has grown by no more than that.
            assert!(limited(&mut client) <= LIMIT + 50 * (VALUE as u64 + 200));
        }
    }
    watcher.ok("MULTI");
    watcher.ok("PING");
    assert_eq!(
        watcher.call("EXEC"),
        Reply::Null,
        "evicting a watched key is a change of it"
    );
}

#[test]
fn a_shard_with_big_values_gives_way_to_the_others() {
    let server = server("allkeys-lru");
    let mut client = server.client();
    // Nearly all of the memory in a few keys, wherever they are.
    for number in 0..6 {
        client.ok(&format!("SET big:{number} {}", "x".repeat(150_000)));
    }
    client.ok("DEBUG CLOCK 60000");
    for round in 0..4 {
        assert_eq!(write(&mut client, &format!("small{round}"), 500, ""), 0);
        assert!(limited(&mut client) <= LIMIT + 4 * VALUE as u64);
    }
    assert_eq!(exists(&mut client, &names("big", 6)), 0);
    let newest = exists(&mut client, &names("small3", 500));
    assert!(newest > 350, "{newest} of the newest keys are left");
}

#[test]
fn small_keys_go_one_by_one() {
    // A value in place frees nothing but its slot: that must be enough.
    let server = server("allkeys-lru");
    let mut client = server.client();
    for first in (0..40_000).step_by(1_000) {
        let set = |number| words(&format!("SET {number} {number}"));
        let commands: Vec<Args> = (first..first + 1_000).map(set).collect();
        client.pipeline(&commands).expect("answers");
    }
    let (keys, gone) = (client.integer("DBSIZE"), evicted(&mut client));
    assert!(gone > 4_000 && keys > 12_000, "{gone} gone, {keys} left");
    assert!(limited(&mut client) <= LIMIT + 4_000);
}

#[test]
fn replicas_follow_evictions_and_evict_nothing_themselves() {
    let primary = Server::start(&[
        "--proactor_threads=2",
        "--maxmemory=1mb",
        "--maxmemory_policy=allkeys-lru",
        "--shard_repl_backlog_max_bytes=64mb",
    ]);
    let mut writer = primary.client();
    write(&mut writer, "before", 900, "");
    let follow = format!("--replicaof=127.0.0.1:{}", primary.address().port());
    for threads in ["--proactor_threads=2", "--proactor_threads=3"] {
        // Its own limit is lower: what a primary had room for, a replica takes.
        let flags = [
            threads,
            "--maxmemory=1mb",
            "--maxmemory_policy=allkeys-lru",
            &follow,
        ];
        let replica = Server::start(&flags);
        let mut reader = replica.client();
        write(&mut writer, "during", 900, "PX 700");
        await_synced(DEADLINE, &mut reader).expect("the replica gets into stable sync");
        for round in 0..4 {
            write(&mut writer, &format!("{threads}:{round}"), 500, "");
            write(&mut writer, "expiring", 100, "PX 20");
            // The link breaks, and goes on where it broke.
            writer.call("CLIENT KILL TYPE REPLICA");
        }
        write(&mut writer, "after", 500, "");
        await_synced(DEADLINE, &mut reader).expect("the replica comes back");
        same_data(DEADLINE, &mut writer, &mut reader, Digest::Strict);
        assert_eq!(evicted(&mut reader), 0);
        assert!(reader.integer("DBSIZE") > 300);
        let info = reader.info("replication");
        assert_eq!(info["master_full_syncs"], "1");
    }
    assert!(evicted(&mut writer) > 2_000);
}
