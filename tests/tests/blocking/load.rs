//! Many clients that wait: everything is delivered once, in order, and a replica has the same in the end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use damselfly_resp::Reply;
use damselfly_tests::{Client, Digest, Rng, Server, eventually, same_data, words};

const DEADLINE: Duration = Duration::from_secs(20);
const KEYS: u64 = 6;
const PRODUCERS: u64 = 3;
const CONSUMERS: u64 = 5;
const PUSHES: u64 = 150;

/// A producer's elements for a key are numbered: `producer:key:number`.
fn produce(address: SocketAddr, producer: u64) -> u64 {
    let mut client = Client::connect(address).unwrap();
    let mut rng = Rng::new(producer);
    let mut numbers: BTreeMap<u64, u64> = BTreeMap::new();
    let mut element = |key: u64| {
        let number = numbers.entry(key).or_default();
        *number += 1;
        format!("{producer}:{key}:{number}")
    };
    for _ in 0..PUSHES {
        let (one, two) = (rng.below(KEYS), rng.below(KEYS));
        match rng.below(4) {
            0 => drop(client.ok(&format!("RPUSH q{one} {}", element(one)))),
            1 => {
                let both = (element(one), element(one));
                client.ok(&format!("RPUSH q{one} {} {}", both.0, both.1));
            }
            // Whoever pushes does not take away what others wait for.
            2 => {
                let push = format!("RPUSH q{one} {}", element(one));
                client.pipeline(&[words(&push), words("PING")]).unwrap();
            }
            _ => {
                let pushes = [one, two].map(|key| format!("RPUSH q{key} {}", element(key)));
                let lines = ["MULTI", &pushes[0], &pushes[1], "EXEC"];
                client.pipeline(&lines.map(words)).unwrap();
            }
        }
    }
    numbers.values().sum()
}

/// What one consumer got, in its order.
fn consume(address: SocketAddr, consumer: u64, over: &AtomicBool) -> Vec<String> {
    let mut client = Client::connect(address).unwrap();
    let mut rng = Rng::new(1_000 + consumer);
    let mut got = Vec::new();
    loop {
        let was_over = over.load(Ordering::Acquire);
        let first = rng.below(KEYS);
        let keys: Vec<_> = (0..KEYS)
            .map(|key| format!("q{}", (first + key) % KEYS))
            .collect();
        let keys = keys.join(" ");
        let line = match rng.below(3) {
            0 => format!("BLPOP {keys} 0.05"),
            1 => format!("BLMPOP 0.05 {KEYS} {keys} LEFT COUNT 2"),
            _ => format!("BLPOP q{first} 0.02"),
        };
        match client.ok(&line).as_items() {
            Some([_, Reply::Bulk(element)]) => got.push(text(element)),
            Some([_, Reply::Array(elements)]) => {
                got.extend(elements.iter().filter_map(Reply::as_text).map(text));
            }
            _ if was_over && line.contains("q0") && line.contains("q5") => return got,
            _ => {}
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_element_is_delivered_once_and_in_order() {
    let server = Server::with_shards(3);
    let (address, over) = (server.address(), AtomicBool::new(false));
    let (pushed, got) = std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..CONSUMERS)
            .map(|consumer| {
                scope.spawn({
                    let over = &over;
                    move || consume(address, consumer, over)
                })
            })
            .collect();
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| scope.spawn(move || produce(address, producer)))
            .collect();
        let pushed: u64 = producers.into_iter().map(|one| one.join().unwrap()).sum();
        over.store(true, Ordering::Release);
        let got: Vec<_> = consumers
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect();
        (pushed, got)
    });
    for elements in &got {
        let mut last: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for element in elements {
            let parts: Vec<&str> = element.split(':').collect();
            let number = parts[2].parse().unwrap();
            let before = last.insert((parts[0], parts[1]), number);
            assert!(before < Some(number), "{element} after number {before:?}");
        }
    }
    let mut all: Vec<_> = got.concat();
    all.sort_unstable();
    let total = all.len();
    all.dedup();
    assert_eq!((all.len(), total as u64), (total, pushed));
    assert_eq!(server.client().integer("DBSIZE"), 0);
}

/// Pushes and takes until the time is up.
fn work(address: SocketAddr, seed: u64, until: Instant) {
    let mut client = Client::connect(address).unwrap();
    let mut rng = Rng::new(seed);
    while Instant::now() < until {
        let mut key = |kind: &str| format!("{kind}{}", rng.below(KEYS));
        let (l1, l2, l3) = (key("l"), key("l"), key("l"));
        let (z1, z2) = (key("z"), key("z"));
        let number = rng.below(1_000);
        let line = match rng.below(13) {
            0..4 => format!("RPUSH {l1} {number} {seed}"),
            4..6 => format!("ZADD {z1} {number} {seed} {seed} {number}"),
            6 => format!("BLPOP {l1} {l2} {l3} 0.01"),
            7 => format!("BLMOVE {l1} {l2} LEFT RIGHT 0.02"),
            8 => format!("BRPOPLPUSH {l1} {l2} 0.02"),
            9 => format!("BLMPOP 0.01 2 {l1} {l2} RIGHT COUNT 3"),
            10 => format!("BZPOPMIN {z1} {z2} 0.01"),
            11 => format!("BZMPOP 0.01 2 {z1} {z2} MAX COUNT 2"),
            _ => {
                let lines = [
                    "MULTI",
                    &format!("LPUSH {l1} {number}"),
                    &format!("RENAMENX {l1} {l2}"),
                    "EXEC",
                ];
                client.pipeline(&lines.map(words)).unwrap();
                continue;
            }
        };
        client.call(&line);
    }
}

#[test]
fn a_replica_has_the_same_after_much_waiting() {
    let primary = Server::with_shards(3);
    let address = primary.address();
    let until = Instant::now() + Duration::from_millis(2_000);
    let replica = std::thread::scope(|scope| {
        for seed in 0..8 {
            scope.spawn(move || work(address, seed, until));
        }
        // Its full sync is in the midst of all this.
        Server::replica_of(address, 3)
    });
    same_data(
        DEADLINE,
        &mut primary.client(),
        &mut replica.client(),
        Digest::Plain,
    );
    assert!(primary.client().integer("DBSIZE") > 0);
}

#[test]
fn many_are_served_in_the_order_of_their_waiting() {
    const MANY: usize = 300;
    let server = Server::with_shards(2);
    let mut admin = server.client();
    let mut clients: Vec<Client> = (0..MANY).map(|_| server.client()).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        client.send(&words("BLPOP other queue another 0")).unwrap();
        eventually(DEADLINE, "a waiting client", || {
            admin.info("clients")["blocked_clients"] == (index + 1).to_string()
        });
    }
    let elements: Vec<_> = (0..MANY).map(|index| index.to_string()).collect();
    admin.ok(&format!("RPUSH queue {}", elements.join(" ")));
    for (client, element) in clients.iter_mut().zip(&elements) {
        let items = client.receive().unwrap();
        let items = items.as_items().expect("a key and an element").to_vec();
        assert_eq!(items[1].as_text(), Some(element.as_bytes()));
    }
    assert_eq!(admin.integer("EXISTS queue"), 0);
    assert_eq!(admin.info("clients")["blocked_clients"], "0");
}

#[test]
fn who_waits_on_a_server_that_becomes_a_replica_is_told() {
    let (primary, other) = (Server::with_shards(2), Server::with_shards(2));
    let mut client = other.client();
    client.send(&words("BLPOP a b c d e f 0")).unwrap();
    let mut admin = other.client();
    eventually(DEADLINE, "a waiting client", || {
        admin.info("clients")["blocked_clients"] == "1"
    });
    let address = primary.address();
    admin.ok(&format!("REPLICAOF {} {}", address.ip(), address.port()));
    let told = client.receive().unwrap();
    let text = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
    assert_eq!(told.as_error(), Some(text.as_bytes()));
    assert!(client.receive().is_err(), "its connection is closed");
    eventually(DEADLINE, "a replica", || {
        admin.info("replication")["role"] == "slave"
    });
    let refused = admin.call("BLPOP a 0");
    assert!(
        refused
            .as_error()
            .is_some_and(|text| text.starts_with(b"READONLY"))
    );
    // And the primary's pushes serve nobody there.
    primary.client().ok("RPUSH a 1");
    same_data(DEADLINE, &mut primary.client(), &mut admin, Digest::Plain);
}
