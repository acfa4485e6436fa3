//! Redis Sentinel watches a primary and two replicas of ours: priorities, announced addresses, flag files. Stopped and cut off primaries, and rounds of them, are in
//! `cargo xtask soak --only sentinel`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::sentinel::{Sentinels, primary_of};
use damselfly_tests::{Client, FaultProxy, Server, TempDir, eventually};

use crate::pair::{DEADLINE, follow, settle, synced};

/// Writes through the sentinels: each key to whom they call the primary, until both replicas of `first` have it, or one of another. All
/// that was acknowledged so. (One replica is not enough with two of them: it may be the one that is not promoted.)
fn write_through(
    sentinels: &[SocketAddr],
    first: SocketAddr,
    stop: &AtomicBool,
    count: &AtomicUsize,
) -> Vec<String> {
    let (mut keys, mut at) = (Vec::new(), 0);
    while !stop.load(Relaxed) {
        at += 1;
        let Some(primary) = primary_of(sentinels[at % sentinels.len()]) else {
            continue;
        };
        let Ok(mut client) = Client::connect(primary) else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        let _ = client.set_timeout(Some(Duration::from_millis(500)));
        let replicas = if primary == first { 2 } else { 1 };
        while !stop.load(Relaxed) {
            let key = format!("key:{}:{at}", keys.len());
            let written = client.try_call(&["SET", &key, "1"]);
            if !matches!(written, Ok(Reply::Simple(_))) {
                break;
            }
            match client.try_call(&["WAIT", &replicas.to_string(), "300"]) {
                Ok(Reply::Integer(count)) if count >= replicas => keys.push(key),
                _ => break,
            }
            count.fetch_add(1, Relaxed);
        }
    }
    keys
}

/// What an operator of servers behind Sentinel has: a flag file for each.
struct Fleet {
    dir: TempDir,
    servers: Vec<Server>,
    /// What the last announces is not where it listens.
    announced: FaultProxy,
}

impl Fleet {
    /// A primary, a replica that is never to be promoted, and one that is reached by another address.
    fn start() -> Fleet {
        let dir = TempDir::new("sentinel").unwrap();
        let servers: Vec<Server> = (0..3)
            .map(|index| {
                let path = dir.path().join(index.to_string());
                std::fs::write(&path, "--proactor_threads=2\n").unwrap();
                Server::start(&[&format!("--flagfile={}", path.display())])
            })
            .collect();
        let announced = FaultProxy::new(servers[2].address());
        servers[1].client().ok("CONFIG SET replica-priority 0");
        servers[2].client().ok(&format!(
            "CONFIG SET replica-announce-ip 127.0.0.1 replica-announce-port {}",
            announced.address().port()
        ));
        for replica in &servers[1..] {
            follow(replica, servers[0].address());
            synced(replica);
        }
        Fleet {
            dir,
            servers,
            announced,
        }
    }

    /// The primary that the flag file of a server names.
    fn configured(&self, index: usize) -> Option<String> {
        let text = std::fs::read_to_string(self.dir.path().join(index.to_string())).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("--replicaof="))?;
        Some(line.to_owned())
    }
}

#[test]
fn a_primary_that_dies_is_replaced_and_comes_back_as_a_replica() {
    let mut fleet = Fleet::start();
    let old = fleet.servers[0].address();
    let sentinels = Sentinels::start(old, 2, Duration::from_millis(500))
        .unwrap_or_else(|error| panic!("{error}"));
    let (stop, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let writer = {
        let (addresses, stop, count) = (sentinels.addresses(), stop.clone(), count.clone());
        std::thread::spawn(move || write_through(&addresses, old, &stop, &count))
    };
    eventually(DEADLINE, "writes", || count.load(Relaxed) > 50);
    fleet.servers[0].kill();
    let new = sentinels
        .await_other_than(old, DEADLINE)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        new,
        fleet.announced.address(),
        "the one that may, as it announced itself"
    );
    let before = count.load(Relaxed);
    eventually(DEADLINE, "writes to the new primary", || {
        count.load(Relaxed) > before + 50
    });
    stop.store(true, Relaxed);
    let keys = writer.join().expect("the writer does not panic");
    let mut client = fleet.servers[2].client();
    for keys in keys.chunks(500) {
        let exists = format!("EXISTS {}", keys.join(" "));
        assert_eq!(
            client.integer(&exists),
            keys.len() as i64,
            "acknowledged by WAIT"
        );
    }
    fleet.servers[0].crash_and_restart();
    for index in [0, 1] {
        let server = &fleet.servers[index];
        eventually(DEADLINE, "a replica of the new primary", || {
            let info = server.client().info("replication");
            info["role"] == "slave" && info["master_port"] == new.port().to_string()
        });
        settle(&fleet.servers[2], server);
        assert_eq!(server.client().integer("EXISTS key:0:1"), 1, "{index}");
        // CONFIG REWRITE came in the same transaction.
        let expected = format!("{} {}", new.ip(), new.port());
        assert_eq!(fleet.configured(index), Some(expected), "{index}");
    }
    assert_eq!(fleet.configured(2), None);
}
