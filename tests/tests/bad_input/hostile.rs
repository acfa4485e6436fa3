//! Replicas that say what none should say, against our primary: it answers with the protocol's errors, ends
//! what makes no sense, keeps nothing of it, and goes on serving.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use damselfly_resp::Reply;
use damselfly_tests::{Client, Rng, Server, eventually};

use crate::{DEADLINE, MEMORY, Watched};

/// Links that a primary has at a time.
const MAX_SESSIONS: usize = 256;
/// A write waits for a bad replica no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);

/// A greeted replica: its control connection, the primary's replication id, its sync id.
struct Greeted {
    control: Client,
    replid: String,
    sync: String,
}

impl Greeted {
    fn new(server: &Server, capa: &str) -> Greeted {
        let mut control = server.client();
        if !capa.is_empty() {
            control.ok(&format!("REPLCONF capa {capa}"));
        }
        let greeting = control.ok("REPLCONF capa dragonfly");
        let items = greeting.as_items().unwrap();
        let text =
            |index: usize| String::from_utf8(items[index].as_text().unwrap().to_vec()).unwrap();
        let (replid, sync) = (text(0), text(1));
        Greeted {
            control,
            replid,
            sync,
        }
    }

    /// Opens a flow; its answer.
    fn flow(&self, server: &Server, index: &str, offer: &str) -> (Client, Reply) {
        let mut flow = server.client();
        let reply = flow.call(&format!(
            "DFLY FLOW {} {} {index} {offer}",
            self.replid, self.sync
        ));
        (flow, reply)
    }

    /// Both flows, granted.
    fn flows(&self, server: &Server) -> Vec<Client> {
        let open = |index: usize| {
            let (flow, reply) = self.flow(server, &index.to_string(), "");
            assert!(reply.as_items().is_some(), "{reply:?}");
            flow
        };
        (0..2).map(open).collect()
    }
}

fn error(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.as_error().unwrap_or_default()).into_owned()
}

/// Nobody is left, and the server serves at once.
fn check(watched: &mut Watched, name: &str) {
    eventually(DEADLINE, &format!("{name}: no replica is left"), || {
        watched.client.info("replication")["connected_slaves"] == "0"
    });
    let begun = Instant::now();
    for number in 0..20 {
        watched.client.ok(&format!("SET {name}:{number} 1"));
    }
    assert!(begun.elapsed() < PATIENCE, "{name}: {:?}", begun.elapsed());
    watched.check_memory(name);
}

#[test]
fn commands_that_make_no_sense_are_refused_by_name() {
    let mut watched = Watched::start(2, &[]);
    let (id, server) = ("0123456789abcdef0123456789abcdef01234567", &watched.server);
    let greeted = Greeted::new(server, "");
    let (own, sync) = (&greeted.replid, &greeted.sync);
    let vector = vec!["1"; 1025].join("-");
    let cases = [
        ("DFLY".to_owned(), "wrong number of arguments"),
        ("DFLY NONSENSE".to_owned(), "unknown subcommand 'NONSENSE'"),
        ("DFLY FLOW".to_owned(), "syntax error"),
        (format!("DFLY FLOW {id} {sync} 0"), "bad master id"),
        (format!("DFLY FLOW nonsense {sync} 0"), "bad master id"),
        (format!("DFLY FLOW {own} 1 0"), "bad sync id"),
        (format!("DFLY FLOW {own} SYNC99999 0"), "syncid not found"),
        (
            format!("DFLY FLOW {own} SYNC99999999999999999999 0"),
            "bad sync id",
        ),
        (
            format!("DFLY FLOW {own} {sync} 2"),
            "not an integer or out of range",
        ),
        (
            format!("DFLY FLOW {own} {sync} 18446744073709551615"),
            "not an integer or out of range",
        ),
        (
            format!("DFLY FLOW {own} {sync} -1"),
            "not an integer or out of range",
        ),
        (
            format!("DFLY FLOW {own} {sync} 0 0"),
            "not an integer or out of range",
        ),
        (
            format!("DFLY FLOW {own} {sync} 0 nonsense"),
            "not an integer or out of range",
        ),
        (
            format!("DFLY FLOW {own} {sync} 0 nonsense 1-1"),
            "bad master id",
        ),
        (
            format!("DFLY FLOW {own} {sync} 0 {own} {vector}"),
            "not an integer or out of range",
        ),
        (
            format!("DFLY FLOW {own} {sync} 0 {own} 1-1 more"),
            "syntax error",
        ),
        ("DFLY SYNC".to_owned(), "syntax error"),
        (format!("DFLY SYNC {sync} more"), "syntax error"),
        ("DFLY SYNC SYNC99999".to_owned(), "syncid not found"),
        (format!("DFLY STARTSTABLE {sync}"), "invalid state"),
        (format!("DFLY SYNC {sync}"), "invalid state"),
        (format!("DFLY TAKEOVER 1 {sync}"), "invalid state"),
        (format!("DFLY TAKEOVER 1 SAVE {sync}"), "invalid state"),
        ("REPLCONF".to_owned(), "syntax error"),
        ("REPLCONF capa".to_owned(), "syntax error"),
        ("REPLCONF listening-port 99999".to_owned(), "not an integer"),
        ("REPLCONF CLIENT-VERSION x".to_owned(), "not an integer"),
        (
            "REPLCONF nonsense 1".to_owned(),
            "Unrecognized REPLCONF option",
        ),
    ];
    let mut client = server.client();
    for (line, words) in cases {
        let reply = client.call(&line);
        assert!(
            error(&reply).contains(words),
            "{line}: {words:?} is not in {reply:?}"
        );
    }
    // Acks outside of a flow have no answer, and do nothing.
    client.send_raw(b"REPLCONF ACK 99\r\nPING\r\n").unwrap();
    assert_eq!(client.receive().unwrap().as_text(), Some(&b"PONG"[..]));
    drop(greeted);
    check(&mut watched, "commands");
}

#[test]
fn orders_out_of_order_end_nothing_but_their_link() {
    let mut watched = Watched::start(2, &[]);
    for capa in ["", "damselfly"] {
        let server = &watched.server;
        // The same flow twice.
        let mut greeted = Greeted::new(server, capa);
        let flows = greeted.flows(server);
        let (_, again) = greeted.flow(server, "0", "");
        assert!(again.as_error().is_some(), "{again:?}");
        // Stable sync without a full one.
        let early = greeted
            .control
            .call(&format!("DFLY STARTSTABLE {}", greeted.sync));
        assert!(error(&early).contains("invalid state"), "{early:?}");
        drop(flows);
        // A flow that closes takes its link with it.
        let mut greeted = Greeted::new(server, capa);
        let mut flows = greeted.flows(server);
        drop(flows.pop());
        eventually(DEADLINE, "the end of the link", || {
            greeted
                .control
                .try_call(&["DFLY", "SYNC", &greeted.sync])
                .is_ok_and(|reply| reply.as_error().is_some())
                || greeted.control.try_call(&["PING"]).is_err()
        });
        // Another connection's link.
        let mut other = server.client();
        let greeted = Greeted::new(server, capa);
        let flows = greeted.flows(server);
        let reply = other.call(&format!("DFLY SYNC {}", greeted.sync));
        assert!(
            reply.as_error().is_none() || error(&reply).contains("ERR"),
            "{reply:?}"
        );
        drop((flows, greeted));
        check(&mut watched, "order");
    }
}

/// A replica in stable sync, whose flows are read by nobody.
fn stable(server: &Server, capa: &str) -> (Greeted, Vec<Client>) {
    let mut greeted = Greeted::new(server, capa);
    let flows = greeted.flows(server);
    greeted.control.ok(&format!("DFLY SYNC {}", greeted.sync));
    eventually(DEADLINE, "STARTSTABLE", || {
        greeted
            .control
            .call(&format!("DFLY STARTSTABLE {}", greeted.sync))
            .as_error()
            .is_none()
    });
    (greeted, flows)
}

#[test]
fn acks_that_are_none_end_the_link() {
    let mut watched = Watched::start(2, &[]);
    let long = vec![b'x'; 1 << 20];
    let acks: [&[u8]; 12] = [
        b"REPLCONF ACK 999999\r\n",
        b"REPLCONF ACK 18446744073709551615\r\n",
        b"REPLCONF ACK 0\r\n",
        b"REPLCONF ACK -1\r\n",
        b"REPLCONF ACK\r\n",
        b"REPLCONF GETACK *\r\n",
        b"PING\r\n",
        b"FLUSHALL\r\n",
        b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$999999999\r\n",
        b"*-5\r\n*99999999\r\n",
        b"\0\xff\xfe\r\n",
        &long,
    ];
    for (index, ack) in acks.iter().enumerate() {
        for capa in ["", "damselfly"] {
            let (_greeted, mut flows) = stable(&watched.server, capa);
            drop(flows[0].send_raw(ack));
            eventually(
                DEADLINE,
                &format!("the end of the link after ack {index}"),
                || watched.client.info("replication")["connected_slaves"] == "0",
            );
        }
    }
    assert!(watched.holds_old(), "nothing of it was executed");
    check(&mut watched, "acks");
    // Before stable sync nothing is expected at all.
    let greeted = Greeted::new(&watched.server, "");
    let mut flows = greeted.flows(&watched.server);
    flows[1].send_raw(b"REPLCONF ACK 1\r\n").unwrap();
    drop(greeted);
    check(&mut watched, "early-acks");
}

#[test]
fn greetings_without_end_are_bounded() {
    let mut watched = Watched::start(2, &[]);
    let mut greeted = Vec::new();
    for _ in 0..MAX_SESSIONS {
        greeted.push(Greeted::new(&watched.server, ""));
    }
    let mut late = watched.server.client();
    let reply = late.call("REPLCONF capa dragonfly");
    assert!(
        error(&reply).contains("max number of replicas"),
        "{reply:?}"
    );
    // One connection has one link, however often it greets.
    drop(greeted);
    eventually(DEADLINE, "no links", || {
        watched.client.info("replication")["connected_slaves"] == "0"
    });
    let mut again = Greeted::new(&watched.server, "");
    for _ in 0..3 * MAX_SESSIONS {
        again.control.ok("REPLCONF capa dragonfly");
    }
    eventually(DEADLINE, "one link", || {
        watched.client.info("replication")["connected_slaves"] == "1"
    });
    drop(again);
    check(&mut watched, "greetings");
}

/// Whole conversations of noise: bytes that are none, and words of the protocol in any order.
#[test]
fn noise_is_survived() {
    let mut watched = Watched::start(2, &[]);
    let mut rng = Rng::new(21);
    let words = [
        "DFLY",
        "FLOW",
        "SYNC",
        "STARTSTABLE",
        "REPLCONF",
        "capa",
        "dragonfly",
        "damselfly",
        "ACK",
        "SYNC1",
        "SYNC2",
        "0",
        "1",
        "-1",
        "99999999999999999999",
        "PING",
        "0123456789abcdef0123456789abcdef01234567",
        "1-1",
        "REPLICAOFFSET",
        "TAKEOVER",
        "listening-port",
    ];
    for round in 0..100 {
        let mut noise = Vec::new();
        for _ in 0..20 {
            if rng.percent(10) {
                let length = rng.index(50);
                noise.extend(rng.bytes(length));
            }
            let line: Vec<&str> = (0..1 + rng.index(5)).map(|_| *rng.pick(&words)).collect();
            noise.extend(line.join(" ").as_bytes());
            noise.extend(b"\r\n");
        }
        let mut stream = TcpStream::connect(watched.server.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        drop(stream.write_all(&noise));
        let mut answer = [0; 65_536];
        drop(stream.read(&mut answer));
        if round % 10 == 0 {
            assert!(watched.holds_old());
        }
    }
    assert!(watched.server.resident_bytes() < watched.resident + MEMORY);
    check(&mut watched, "noise");
}
