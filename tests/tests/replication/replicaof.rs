//! REPLICAOF that can't be carried out: an error in time, and all stays as it was.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use damselfly_tests::{Client, FaultProxy, Server, free_address};

use crate::pair::{Pair, error, follow, psync, settle, synced, write};

/// What REPLICAOF may take at most: the limit that the servers below have, and what a busy machine adds.
const IN_TIME: Duration = Duration::from_secs(20);
const IMPATIENT: &str = "--master_connect_timeout_ms=1000";

/// Listens, and answers whatever comes with this text; nothing if it is empty.
fn listener(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut request = [0; 1024];
                while stream.read(&mut request).is_ok_and(|length| length > 0) {
                    if stream.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// All that can't be followed from a server, and words of the error.
fn impossible(own: SocketAddr) -> Vec<(String, &'static str)> {
    let line = |address: SocketAddr| format!("REPLICAOF {} {}", address.ip(), address.port());
    let dead = free_address().expect("loopback has a free port");
    let own_port = own.port();
    vec![
        (line(dead), "cannot connect"),
        (
            line(listener(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
            "not a Redis-compatible server",
        ),
        (line(listener(b"-ERR what?\r\n")), "ERR what?"),
        (line(listener(b"")), "no answer to PING within 1000 ms"),
        (line(own), "this server itself"),
        (
            format!("REPLICAOF localhost {own_port}"),
            "this server itself",
        ),
        (
            format!("REPLICAOF no.such.host.invalid {own_port}"),
            "cannot resolve no.such.host.invalid",
        ),
        ("REPLICAOF 127.0.0.1 0".to_owned(), ""),
        (
            "REPLICAOF 127.0.0.1 65536".to_owned(),
            "Invalid master port",
        ),
        ("REPLICAOF 127.0.0.1 x".to_owned(), "Invalid master port"),
        ("REPLICAOF NO TWO".to_owned(), "Invalid master port"),
    ]
}

/// A client that reads a key all the time; every answer has to be right.
struct Reader {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Reader {
    fn start(server: &Server) -> Reader {
        let (stop, reads) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, counter, mut client) = (stop.clone(), reads.clone(), server.client());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                assert_eq!(client.text("GET kept"), "1");
                counter.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Reader {
            stop,
            reads,
            thread,
        }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("reads are served all the while");
        assert!(self.reads.load(Ordering::Relaxed) > 0);
    }
}

fn try_all(client: &mut Client, own: SocketAddr) {
    for (line, expected) in impossible(own) {
        let start = Instant::now();
        let found = error(&client.call(&line));
        assert!(
            found.starts_with("ERR ") && found.contains(expected),
            "{line}: {found}"
        );
        assert!(start.elapsed() < IN_TIME, "{line}: {:?}", start.elapsed());
    }
}

#[test]
fn a_replica_goes_on_with_its_primary() {
    let primary = Server::with_shards(2);
    let replica = Server::start(&["--proactor_threads=2", IMPATIENT]);
    primary.client().ok("SET kept 1");
    follow(&replica, primary.address());
    synced(&replica);
    settle(&primary, &replica);
    let reader = Reader::start(&replica);
    let mut client = replica.client();
    let before = client.info("replication");
    try_all(&mut client, replica.address());
    let after = client.info("replication");
    for field in [
        "role",
        "master_port",
        "master_link_status",
        "master_replid",
        "connected_slaves",
    ] {
        assert_eq!(before[field], after[field], "{field}");
    }
    write(&primary, 1, 300);
    settle(&primary, &replica);
    reader.end();
    let found = psync(&replica);
    assert_eq!(
        (found.successes, found.full_syncs, found.reconnects),
        (0, 1, 0)
    );
}

#[test]
fn a_primary_stays_one_with_its_data_and_its_replicas() {
    let server = Server::start(&["--proactor_threads=2", IMPATIENT]);
    let below = Server::with_shards(2);
    let mut client = server.client();
    client.ok("SET kept 1");
    follow(&below, server.address());
    synced(&below);
    let reader = Reader::start(&server);
    let before = client.info("replication")["master_replid"].clone();
    try_all(&mut client, server.address());
    client.ok("SET more 1");
    reader.end();
    let after = client.info("replication");
    assert_eq!(
        (&*after["role"], &after["master_replid"]),
        ("master", &before)
    );
    settle(&server, &below);
    assert_eq!(psync(&below).reconnects, 0);
}

/// The old link lives until the new one has greeted; a later order wins.
#[test]
fn a_later_replicaof_cancels_one_that_waits() {
    let pair = Pair::synced(2, 2);
    let (mut waiting, mut client) = (pair.replica.client(), pair.replica.client());
    let silent = listener(b"");
    waiting
        .send(&["REPLICAOF", "127.0.0.1", &silent.port().to_string()])
        .unwrap();
    let other = Server::with_shards(2);
    other.client().ok("SET other 1");
    follow(&pair.replica, other.address());
    let answer = waiting.receive().unwrap();
    // Whether it had been read when the other came is chance: then it is cancelled, or else it comes later and is still the loser.
    assert!(error(&answer).starts_with("ERR "), "{answer:?}");
    settle(&other, &pair.replica);
    assert_eq!(
        client.info("replication")["master_port"],
        other.address().port().to_string()
    );
}

#[test]
fn the_same_primary_again_changes_nothing() {
    let pair = Pair::synced(2, 2);
    let address = pair.network.address();
    let line = format!("REPLICAOF {} {}", address.ip(), address.port());
    let again = pair.replica.client().text(&line);
    assert!(again.starts_with("OK"), "{again}");
    write(&pair.primary, 1, 200);
    pair.settle();
    let found = pair.psync();
    assert_eq!((found.full_syncs, found.reconnects), (1, 0));
    // By another way, it is the same primary, and all that is here is known there.
    let direct = FaultProxy::new(pair.primary.address());
    follow(&pair.replica, direct.address());
    pair.settle();
    let found = pair.psync();
    assert_eq!((found.successes, found.full_syncs), (1, 0));
}

#[test]
fn a_server_that_starts_as_a_replica_waits_for_its_primary() {
    let network = FaultProxy::new(free_address().expect("loopback has a free port"));
    let replica = Server::replica_of(network.address(), 2);
    let mut client = replica.client();
    assert!(error(&client.call("SET a 1")).starts_with("READONLY"));
    assert_eq!(client.info("replication")["master_link_status"], "down");
    let primary = Server::with_shards(2);
    write(&primary, 1, 200);
    network.set_target(primary.address());
    settle(&primary, &replica);
    synced(&replica);
}
