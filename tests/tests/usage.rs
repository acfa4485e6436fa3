//! When keys were last used: what counts as a use, and who is told.

use std::time::Duration;

use damselfly_tests::{Client, Server, eventually, is_synced, replicaof};

fn idle(client: &mut Client, key: &str) -> i64 {
    client.integer(&format!("OBJECT IDLETIME {key}"))
}

/// Keys of all kinds of places: some on the connection's own thread, some on others.
const KEYS: [&str; 4] = ["a", "b", "c", "d"];

#[test]
fn idle_time_counts_from_the_last_use() {
    let server = Server::start(&["--proactor_threads=2"]);
    let mut client = server.client();
    for key in KEYS {
        client.ok("DEBUG CLOCK 0");
        client.ok(&format!("SET {key} 1"));
        client.ok("DEBUG CLOCK 100000");
        for looked in ["TTL", "TYPE", "EXISTS", "OBJECT ENCODING", "PEXPIRETIME"] {
            client.call(&format!("{looked} {key}"));
            assert!((99..=101).contains(&idle(&mut client, key)), "{looked}");
        }
        for used in [
            "GET",
            "TOUCH",
            "STRLEN",
            "DUMP",
            "INCR",
            "PERSIST",
            "SUNION a b c d",
        ] {
            client.ok("DEBUG CLOCK 200000");
            client.ok(&format!("SETEX {key} 100000 1"));
            client.ok("DEBUG CLOCK 300000");
            assert!(idle(&mut client, key) >= 99);
            client.call(&format!("{used} {key}"));
            assert!(idle(&mut client, key) <= 1, "{used} {key}");
        }
    }
    assert_eq!(
        client.call("OBJECT IDLETIME nothing"),
        damselfly_resp::Reply::Null
    );
}

#[test]
fn uses_of_a_no_touch_client_do_not_count() {
    let server = Server::start(&["--proactor_threads=2"]);
    let mut client = server.client();
    for key in KEYS {
        client.ok("DEBUG CLOCK 0");
        client.ok("CLIENT NO-TOUCH OFF");
        client.ok(&format!("SET {key} 1"));
        client.ok("DEBUG CLOCK 100000");
        client.ok("CLIENT NO-TOUCH ON");
        client.call(&format!("GET {key}"));
        client.call("MULTI");
        client.call(&format!("GET {key}"));
        client.call(&format!("MGET {}", KEYS.join(" ")));
        client.call("EXEC");
        client.call(&format!("MGET {}", KEYS.join(" ")));
        client.call(&format!("SUNION {}", KEYS.join(" ")));
        assert!(idle(&mut client, key) >= 99, "{key}");
        client.call(&format!("TOUCH {key}"));
        assert!(idle(&mut client, key) <= 1, "{key}");
    }
}

fn restore(client: &mut Client, payload: &[u8], idle_s: &[u8]) {
    let command = [
        b"RESTORE",
        &b"r"[..],
        b"0",
        payload,
        b"REPLACE",
        b"IDLETIME",
        idle_s,
    ];
    let restored = client.try_call(&command).expect("an answer");
    assert_eq!(restored.as_text(), Some(&b"OK"[..]));
}

#[test]
fn restore_says_when_a_key_was_used() {
    let server = Server::start(&["--proactor_threads=2"]);
    let mut client = server.client();
    client.ok("SET k 1");
    let payload = client.call("DUMP k").as_text().expect("a payload").to_vec();
    restore(&mut client, &payload, b"1000");
    assert!((1000..=1001).contains(&idle(&mut client, "r")));
    // A day less than the clock has.
    let most = i64::from(u32::MAX >> 8) - 86_400;
    restore(&mut client, &payload, b"99999999999");
    assert!(idle(&mut client, "r") >= most - 1);
}

/// With an LRU or LFU policy a full sync tells a replica of uses, and RESTORE's own words about them are passed on.
#[test]
fn replicas_are_told_what_the_policy_looks_at() {
    for (policy, option, object) in [
        ("allkeys-lru", "IDLETIME", "OBJECT IDLETIME"),
        ("volatile-lfu", "FREQ", "OBJECT FREQ"),
    ] {
        let policy = format!("--maxmemory-policy={policy}");
        let servers = [(); 2].map(|()| Server::start(&["--proactor_threads=2", &policy]));
        let [mut primary, mut replica] = [0, 1].map(|index| servers[index].client());
        primary.ok("SET k 1");
        let payload = primary
            .call("DUMP k")
            .as_text()
            .expect("a payload")
            .to_vec();
        let mut restore = |key: &str| {
            let key = key.as_bytes();
            let words: [&[u8]; 6] = [b"RESTORE", key, b"0", &payload, option.as_bytes(), b"100"];
            primary.try_call(&words).expect("an answer");
        };
        KEYS.iter()
            .for_each(|key| restore(&format!("before:{key}")));
        replicaof(&mut replica, servers[0].address());
        let synced = |replica: &mut Client| is_synced(replica);
        eventually(Duration::from_secs(20), "a sync", || synced(&mut replica));
        KEYS.iter().for_each(|key| restore(&format!("after:{key}")));
        eventually(Duration::from_secs(20), "all keys", || {
            replica.integer("DBSIZE") == 1 + 2 * KEYS.len() as i64
        });
        for key in KEYS {
            for when in ["before", "after"] {
                let told = replica.integer(&format!("{object} {when}:{key}"));
                assert!((95..=110).contains(&told), "{option} {when}:{key}: {told}");
            }
        }
    }
}
