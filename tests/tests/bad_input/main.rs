//! Bad input to both ends of replication: a fake primary that sends what none should send, and
//! replicas that say what none should say. Each ends with a named error, on a server that lives on, takes
//! no memory for what was only announced, and keeps its data where no full sync had begun.

mod hostile;
mod streams;

use std::time::Duration;

use damselfly_snapshot::{put_blob, put_len, wire::opcode};
use damselfly_tests::{
    Client, FakeEnd, FakeFlow, FakeLink, FakePrimary, Pieces, Rng, Server, eventually,
    eventually_some, is_synced, replicaof,
};
use streams::{FIRST, Flow, REPLID, link, link_then, link_with};

const DEADLINE: Duration = Duration::from_secs(120);
/// What bad input may make a server take: buffers of some flows, nothing that was only announced.
const MEMORY: u64 = 64 << 20;

/// Whether trying again may help: how INFO names the error tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Severity {
    Retriable,
    Terminal,
}
use Severity::{Retriable, Terminal};

/// A primary that says this once; whoever comes back waits for its greeting in vain, and so goes on showing what went wrong.
fn once(link: FakeLink) -> FakePrimary {
    FakePrimary::scripted(move |attempt| match attempt {
        0 => link.clone(),
        _ => FakeLink {
            greeting: Vec::new(),
            ..link.clone()
        },
    })
}

/// A server whose memory is watched.
struct Watched {
    server: Server,
    client: Client,
    resident: u64,
}

impl Watched {
    fn start(shards: usize, flags: &[&str]) -> Watched {
        let threads = format!("--proactor_threads={shards}");
        let mut all = vec![threads.as_str(), "--replication_timeout=2000"];
        all.extend(flags);
        let server = Server::start(&all);
        let mut client = server.client();
        client.ok("SET old 1");
        let resident = server.resident_bytes();
        Watched {
            server,
            client,
            resident,
        }
    }

    /// Follows a primary until its link has an error, and gives it.
    fn error_of(&mut self, primary: &FakePrimary) -> (Severity, String) {
        let reply = replicaof(&mut self.client, primary.address());
        assert_eq!(reply.as_text(), Some(&b"OK"[..]), "{reply:?}");
        eventually_some(DEADLINE, "an error of the link", || self.link_error())
    }

    fn link_error(&mut self) -> Option<(Severity, String)> {
        let info = self.client.info("replication");
        let named = |field: &str, severity| info.get(field).map(|error| (severity, error.clone()));
        named("master_link_error", Terminal).or_else(|| named("master_link_last_error", Retriable))
    }

    /// What a link of this kind ends with.
    fn expect(&mut self, name: &str, link: FakeLink, severity: Severity, words: &str) {
        let (found, error) = self.error_of(&once(link));
        assert!(
            error.contains(words),
            "{name}: {words:?} is not in {error:?}"
        );
        assert_eq!(found, severity, "{name}: {error}");
        self.check_memory(name);
    }

    fn check_memory(&self, name: &str) {
        let peak = self.server.peak_resident_bytes();
        assert!(
            peak < self.resident + MEMORY,
            "{name}: {peak} bytes after {}",
            self.resident
        );
    }

    /// Whether the old data is there and can be read.
    fn holds_old(&mut self) -> bool {
        self.client.call("GET old").as_text() == Some(b"1")
    }
}

#[test]
fn the_good_link_is_good() {
    for level in [0, 1] {
        let mut watched = Watched::start(2, &[]);
        let records = Flow { level, index: 0 }.records(&[(0, 1, &[(0, "SET after 1")])]);
        let primary = FakePrimary::new(link_then(level, &records));
        replicaof(&mut watched.client, primary.address());
        eventually(DEADLINE, "the record", || {
            watched.client.call("GET after").as_text() == Some(b"1")
        });
        assert_eq!(
            (watched.client.integer("DBSIZE"), watched.link_error()),
            (81, None)
        );
        eventually(DEADLINE, "acks", || {
            primary.last_acks() == [(0, FIRST + 1), (1, FIRST)]
        });
    }
}

/// A greeting that says this.
fn greeting(text: &str) -> FakeLink {
    link(1, |link| link.greeting = text.as_bytes().to_vec())
}

#[test]
fn a_greeting_that_makes_no_sense_changes_nothing() {
    let mut watched = Watched::start(2, &[]);
    let of = |flows: &str| format!("*5\r\n+{REPLID}\r\n+SYNC1\r\n:{flows}\r\n:4\r\n+{REPLID}\r\n");
    let long = format!("+{}", "x".repeat(100_000));
    let many = format!("*{}\r\n", 1 << 30);
    let cases = [
        (of("0"), "0 flows"),
        (of("100000"), "100000 flows"),
        (of("1025"), "1025 flows"),
        (of("-1"), "-1 flows"),
        (of("9223372036854775807"), "9223372036854775807 flows"),
        (
            "*2\r\n+a\r\n+b\r\n".to_owned(),
            "an array of at least three",
        ),
        (
            "*3\r\n+short\r\n+SYNC1\r\n:2\r\n".to_owned(),
            "a replication id of 40 hex digits",
        ),
        (format!("*3\r\n+{REPLID}\r\n+1\r\n:2\r\n"), "a sync id"),
        (
            format!("*3\r\n+{REPLID}\r\n+SYNC1\r\n+two\r\n"),
            "a flow count",
        ),
        (long, "not a Redis-compatible server"),
        (many, "not a Redis-compatible server"),
        (
            "$2147483647\r\n".to_owned(),
            "not a Redis-compatible server",
        ),
        ("*1\r\n".repeat(1000), "not a Redis-compatible server"),
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned(),
            "not a Redis-compatible server",
        ),
        ("-ERR no\r\n".to_owned(), "refused"),
    ];
    for (text, words) in cases {
        let primary = FakePrimary::new(greeting(&text));
        let reply = replicaof(&mut watched.client, primary.address());
        let error = String::from_utf8_lossy(reply.as_error().unwrap_or_default()).into_owned();
        assert!(
            error.contains(words),
            "{text:.60}: {words:?} is not in {error:?}"
        );
        // Still a primary, that takes writes.
        watched.client.ok("SET written 1");
        assert!(watched.holds_old());
    }
    watched.check_memory("greetings");
    // From the start a server has nothing else than its link: it says there what is wrong.
    let primary = FakePrimary::new(greeting(&of("0")));
    let replica = Server::replica_of(primary.address(), 2);
    let mut client = replica.client();
    eventually(DEADLINE, "a named error", || {
        client
            .info("replication")
            .get("master_link_error")
            .is_some_and(|error| error.contains("0 flows"))
    });
}

#[test]
fn an_attempt_that_fails_before_the_sync_leaves_the_data() {
    let mut watched = Watched::start(2, &[]);
    let answer = |text: String| link(1, |link| link.flows[1].answer = text.into_bytes());
    let token = streams::TOKEN;
    let cases = [
        (
            "refused flow",
            answer("-ERR bad sync id\r\n".into()),
            Retriable,
            "bad sync id",
        ),
        (
            "no array",
            answer("+FULL\r\n".into()),
            Terminal,
            "bad answer to DFLY FLOW",
        ),
        (
            "short token",
            answer("*2\r\n+FULL\r\n+abc\r\n".into()),
            Terminal,
            "bad answer to DFLY FLOW",
        ),
        (
            "partial and full",
            answer(format!("*2\r\n+PARTIAL\r\n+{token}\r\n")),
            Retriable,
            "partial sync on some flows only",
        ),
        (
            "partial nobody offered",
            link(0, |link| {
                let partial = FakeFlow::granted("PARTIAL", token).answer;
                link.flows
                    .iter_mut()
                    .for_each(|flow| flow.answer.clone_from(&partial));
            }),
            Terminal,
            "bad answer to DFLY FLOW",
        ),
        (
            "no protocol",
            answer("\0\u{1}\u{2}\r\n".into()),
            Terminal,
            "not a Redis-compatible server",
        ),
        (
            "endless answer",
            answer(format!("*2\r\n+{}", "F".repeat(1 << 20))),
            Terminal,
            "not a Redis-compatible server",
        ),
        (
            "too long answer",
            answer(format!("*2\r\n+FULL\r\n+{token}\r\nREDIS0009")),
            Terminal,
            "right behind the answer",
        ),
        (
            "refused sync",
            link(1, |link| link.sync = b"-ERR invalid state\r\n".to_vec()),
            Retriable,
            "invalid state",
        ),
        (
            "loading",
            link(1, |link| link.sync = b"-LOADING data\r\n".to_vec()),
            Retriable,
            "not ready",
        ),
        (
            "odd sync",
            link(1, |link| link.sync = b":1\r\n".to_vec()),
            Terminal,
            "bad answer to DFLY SYNC",
        ),
        (
            "closed flow",
            link(1, |link| {
                (link.flows[0].answer, link.flows[0].ends) = (Vec::new(), Some(FakeEnd::Answer))
            }),
            Retriable,
            "closed",
        ),
    ];
    for (name, link, severity, words) in cases {
        watched.expect(name, link, severity, words);
        assert!(watched.holds_old(), "{name}");
    }
    watched.client.ok("REPLICAOF NO ONE");
    watched.client.ok("SET written 1");
}

#[test]
fn damaged_ends_of_a_full_sync_are_named() {
    let mut watched = Watched::start(2, &[]);
    let tail = |at: usize, bit: u8| link(1, |link| link.flows[0].stable[at] ^= bit);
    watched.expect(
        "wrong token",
        tail(9 + 9 + 39, 1),
        Retriable,
        "flow 0: wrong EOF token",
    );
    watched.expect(
        "wrong checksum",
        tail(9 + 1, 1),
        Retriable,
        "checksum mismatch",
    );
    let absent = link(1, |link| link.flows[0].stable[10..18].fill(0));
    watched.expect(
        "no checksum",
        absent,
        Terminal,
        "a trailer without checksum",
    );
    let cut = link(1, |link| {
        let at = link.flows[0].full.len() - 9;
        link.flows[0].full.truncate(at);
    });
    watched.expect("no cut", cut, Retriable, "silent");
    let far = link(0, |link| link.flows[0].stable[1..9].fill(0xff));
    watched.expect(
        "a far offset",
        far,
        Terminal,
        "a journal offset that no counting reaches",
    );
    let twice = link_with(1, &[200, 0, 0, 0, 0, 0, 0, 0, 0]);
    watched.expect("a second cut", twice, Terminal, "a second full-sync cut");
    let early = link_with(1, &[211, 1, 0, 0, 0, 0, 0, 0, 0]);
    watched.expect(
        "an early offset",
        early,
        Terminal,
        "a journal offset before the cut",
    );
    let behind = link(1, |link| {
        link.flows[0].full.extend_from_slice(b"\0\x01k\x01v")
    });
    watched.expect(
        "an entry behind the cut",
        behind,
        Terminal,
        "an entry behind the cut",
    );
}

#[test]
fn announced_sizes_allocate_nothing() {
    let mut watched = Watched::start(2, &[]);
    let huge = |head: &[u8], len: u64| {
        let mut bytes = head.to_vec();
        put_len(&mut bytes, len);
        link_with(1, &bytes)
    };
    const TIB: u64 = 1 << 40;
    watched.expect(
        "a key",
        huge(b"\0", TIB),
        Terminal,
        "a key of 1099511627776",
    );
    watched.expect(
        "a string",
        huge(b"\0\x01k", TIB),
        Terminal,
        "a string of 1099511627776",
    );
    watched.expect(
        "an element",
        huge(b"\x02\x01k\x02", TIB),
        Terminal,
        "a string of 1099511627776",
    );
    watched.expect(
        "a listpack",
        huge(b"\x10\x01k", TIB),
        Terminal,
        "a packed collection of 1099511627776",
    );
    watched.expect(
        "a journal blob",
        huge(&[opcode::JOURNAL_BLOB, 1], TIB),
        Terminal,
        "a journal blob of 1099511627776",
    );
    watched.expect(
        "a compressed blob",
        huge(&[opcode::LZ4_BLOB], TIB),
        Terminal,
        "a compressed blob of 1099511627776",
    );
    // What is within the limits takes memory only as it comes; it never does.
    for (name, head) in [
        ("a string", &b"\0\x01k"[..]),
        ("a listpack", b"\x10\x01k"),
        ("a blob", &[opcode::ZSTD_BLOB]),
    ] {
        let mut link = huge(head, 500 << 20);
        link.flows[0].ends = Some(FakeEnd::Full);
        watched.expect(name, link, Retriable, "closed");
    }
    // Compressed sizes are looked at before they are believed.
    let mut lzf = b"\0\x01k\xc3\x01\x80".to_vec();
    lzf.extend_from_slice(&(400_u32 << 20).to_be_bytes());
    lzf.push(0);
    watched.expect(
        "an LZF string",
        link_with(1, &lzf),
        Retriable,
        "the announced size is impossible",
    );
    let mut lz4 = vec![0x04, 0x22, 0x4d, 0x18, 0x68, 0x40];
    lz4.extend_from_slice(&(1_u64 << 40).to_le_bytes());
    lz4.extend_from_slice(&[0; 64]);
    let mut blob = Vec::new();
    put_blob(&mut blob, opcode::LZ4_BLOB, &lz4);
    watched.expect(
        "an LZ4 frame",
        link_with(1, &blob),
        Terminal,
        "a blob's content of 1099511627776",
    );
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    zstd.extend_from_slice(&(1_u64 << 40).to_le_bytes());
    zstd.extend_from_slice(&[0; 16]);
    let mut blob = Vec::new();
    put_blob(&mut blob, opcode::ZSTD_BLOB, &zstd);
    watched.expect(
        "a zstd frame",
        link_with(1, &blob),
        Terminal,
        "a blob's content of 1099511627776",
    );
    // Chunk streams that never end are bounded in number.
    let mut chunks = Vec::new();
    for id in 1..=2000_u32 {
        chunks.push(opcode::TAGGED_CHUNK);
        chunks.extend_from_slice(&id.to_le_bytes());
        chunks.extend_from_slice(&1_u32.to_le_bytes());
        chunks.push(0);
    }
    watched.expect(
        "chunk streams",
        link_with(1, &chunks),
        Terminal,
        "open chunk streams",
    );
}

#[test]
fn what_is_not_known_is_terminal_and_named() {
    for level in [0, 1] {
        let mut watched = Watched::start(2, &[]);
        for code in [199, 203, 212, 221, 240] {
            watched.expect(
                "an opcode",
                link_with(level, &[code, 0, 0]),
                Terminal,
                &format!("opcode or type {code} is not known"),
            );
        }
        watched.expect(
            "a module",
            link_with(level, b"\x07\x01k\0\0"),
            Terminal,
            "key k of database 0 (type 7, module)",
        );
        watched.expect(
            "a sketch",
            link_with(level, b"\x21\x01k\0\0"),
            Terminal,
            "key \"k\" has type 33 (probabilistic)",
        );
        watched.expect(
            "JSON",
            link_with(level, b"\x1e\x01k\x02{}"),
            Terminal,
            "key k of database 0 (type 30, json)",
        );
        // What is half here is not served; an operator may take it as it is.
        let read = watched.client.call("GET flow0:0");
        assert!(
            read.as_error()
                .is_some_and(|error| error.starts_with(b"LOADING")),
            "{read:?}"
        );
        watched.client.ok("REPLICAOF NO ONE");
        watched.client.ok("SET written 1");
    }
    // A stream that Dragonfly does not checksum.
    let mut watched = Watched::start(2, &[]);
    for code in [7, 11, 12, 14, 32, 33, 200] {
        watched.expect(
            "a record",
            link_then(0, &[code, 0, 0]),
            Terminal,
            &format!("unknown journal opcode {code}"),
        );
    }
    let known_only = Flow { level: 0, index: 0 };
    let records = known_only.records(&[
        (0, 1, &[(0, "SET good 1")]),
        (0, 1, &[(0, "BF.ADD s f")]),
        (0, 1, &[(0, "SET late 1")]),
    ]);
    watched.expect(
        "a command",
        link_then(0, &records),
        Terminal,
        "a record that is no known write: BF.ADD s f",
    );
    // The full sync had ended well: what is here stays, and can be read.
    assert_eq!(watched.client.text("GET good"), "1");
    assert_eq!(watched.client.integer("DBSIZE"), 81);
    let reads = known_only.records(&[(0, 1, &[(0, "GET good")])]);
    watched.expect(
        "a read",
        link_then(0, &reads),
        Terminal,
        "a record that is no known write: GET good",
    );
}

#[test]
fn with_leave_to_pass_over_the_link_goes_on() {
    for (level, shards) in [(0, 2), (1, 2), (1, 3)] {
        let mut watched = Watched::start(shards, &["--rdb_unknown_types=skip"]);
        let mut link = link_with(level, b"\x1e\x04json\x02{}");
        let flow = Flow { level, index: 0 };
        let dump = "RESTORE d 0 not-a-payload";
        let runs: &[streams::Run] = &[
            (0, 1, &[(0, "BF.ADD s f")]),
            (0, 1, &[(0, dump)]),
            (
                5,
                1,
                &[(0, "SET a 1"), (0, "JSON.SET g $ 1"), (0, "SET b 1")],
            ),
        ];
        link.flows[0].stable.extend(flow.records(runs));
        let primary = FakePrimary::new(link);
        replicaof(&mut watched.client, primary.address());
        eventually(DEADLINE, "the last record", || {
            watched.client.call("GET b").as_text() == Some(b"1")
        });
        let info = watched.client.info("replication");
        assert_eq!(
            (&*info["rdb_skipped_keys"], &*info["rdb_skipped_records"]),
            ("1", "3"),
            "{level} {shards}"
        );
        let listed = watched.client.ok("DEBUG REPLICA SKIPPED");
        let keys: Vec<_> = listed
            .as_items()
            .unwrap()
            .iter()
            .map(|entry| entry.as_items().unwrap()[1].as_text().unwrap().to_vec())
            .collect();
        assert_eq!(keys, [&b"d"[..], b"g", b"json", b"s"]);
        // Acks go on as if all had been executed.
        eventually(DEADLINE, "acks", || {
            primary.last_acks() == [(0, FIRST + 5), (1, FIRST)]
        });
    }
}

#[test]
fn records_behind_a_bad_check_are_not_executed() {
    let mut watched = Watched::start(2, &[]);
    let flow = Flow { level: 1, index: 0 };
    let good = flow.records(&[(0, 1, &[(0, "SET good 1")])]);
    let both = flow.records(&[(0, 1, &[(0, "SET good 1")]), (0, 1, &[(0, "SET bad 1")])]);
    assert!(both.starts_with(&good));
    let mut damaged = both.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 0x40;
    watched.expect(
        "a CHECK",
        link_then(1, &damaged),
        Retriable,
        "CHECK at byte",
    );
    assert_eq!(
        (
            watched.client.text("GET good"),
            watched.client.call("EXISTS bad").as_integer()
        ),
        ("1".into(), Some(0))
    );
    // A flipped bit of the record, not of its CHECK.
    let mut flipped = both;
    flipped[good.len() + 8] ^= 1;
    watched.expect(
        "a record",
        link_then(1, &flipped),
        Retriable,
        "flow 0: journal",
    );
    assert_eq!(watched.client.call("EXISTS bad").as_integer(), Some(0));
    watched.expect(
        "an LSN",
        link_then(1, &flow.lsn(FIRST + 2)),
        Retriable,
        "the primary wrote record 9, 6 was counted here",
    );
    let highest = [&[15, 0x81][..], &[0xff; 8]].concat();
    watched.expect(
        "the highest LSN",
        link_then(0, &highest),
        Retriable,
        "the primary wrote record 18446744073709551615",
    );
    watched.expect(
        "an LSN of level 0",
        link_then(0, &Flow { level: 0, index: 0 }.lsn(3)),
        Retriable,
        "the primary wrote record 3, 6 was counted here",
    );
    assert_eq!(watched.client.integer("DBSIZE"), 80, "nothing was lost");
}

#[test]
fn records_that_can_not_be_are_named() {
    for shards in [2, 3] {
        let mut watched = Watched::start(shards, &[]);
        let flow = Flow { level: 1, index: 0 };
        let one =
            |txid, over, line: &str| flow.records(&[(txid, over, &[(0, line), (0, "SET x 1")])]);
        let three = one(9, 3, "SET a 1");
        watched.expect(
            "too many shards",
            link_then(1, &three),
            Terminal,
            "it touches more shards than there are flows",
        );
        watched.expect(
            "no id",
            link_then(1, &one(0, 2, "SET a 1")),
            Terminal,
            "it touches several shards, and has no id",
        );
        watched.expect(
            "an argument too few",
            link_then(1, &one(0, 1, "SET a")),
            Terminal,
            "a record that is no known write: SET a",
        );
        let wrong = flow.records(&[(0, 1, &[(0, "SET w 1"), (0, "LPUSH w x")])]);
        watched.expect(
            "a wrong type",
            link_then(1, &wrong),
            Terminal,
            "record LPUSH w x: WRONGTYPE",
        );
        let db = flow.records(&[(0, 1, &[(99, "SET a 1")])]);
        watched.expect(
            "a database",
            link_then(1, &db),
            Terminal,
            "a record for database 99",
        );
        // Each flow waits for another transaction.
        let crossed = link(1, |link| {
            link.flows[0].stable.extend(one(9, 2, "SET a 1"));
            link.flows[1]
                .stable
                .extend(Flow { level: 1, index: 1 }.records(&[(8, 2, &[(0, "SET b 1")])]));
        });
        watched.expect(
            "crossed",
            crossed,
            Terminal,
            "all flows wait, each for another transaction",
        );
        assert_eq!(watched.client.call("EXISTS a b x").as_integer(), Some(0));
        for (name, bytes, words) in [
            (
                "a record's size",
                &[10, 0, 1, 1, 0x81, 1, 0, 0, 0, 0, 0, 0, 0][..],
                "record of",
            ),
            (
                "a record's strings",
                &[10, 0, 1, 0x81, 1, 0, 0, 0, 0, 0, 0, 0, 0],
                "strings",
            ),
            (
                "a record without a command",
                &[10, 0, 1, 0, 0],
                "without strings",
            ),
            ("an integer", &[10, 0xff, 1], "bad integer prefix"),
            (
                "an id",
                &[
                    10, 0x81, 255, 255, 255, 255, 255, 255, 255, 255, 1, 1, 1, b'X',
                ],
                "transaction id 18446744073709551615",
            ),
        ] {
            watched.expect(name, link_then(0, bytes), Terminal, words);
        }
    }
}

/// A flush inside a full sync of Dragonfly's: only a new one can be right.
#[test]
fn a_flush_inside_a_full_sync_of_dragonfly_starts_again() {
    let mut watched = Watched::start(2, &[]);
    let mut blob = vec![opcode::JOURNAL_BLOB, 1];
    let flush = Flow { level: 0, index: 0 }.records(&[(4, 1, &[(0, "FLUSHALL")])]);
    put_len(&mut blob, flush.len() as u64);
    blob.extend(flush);
    let primary = FakePrimary::scripted(move |attempt| {
        if attempt == 0 {
            link_with(0, &blob)
        } else {
            link(0, |_| {})
        }
    });
    let (severity, error) = watched.error_of(&primary);
    assert!(
        severity == Retriable && error.contains("flushed inside the full sync"),
        "{error}"
    );
    eventually(DEADLINE, "the second full sync", || {
        is_synced(&mut watched.client)
    });
    assert_eq!(
        (watched.client.integer("DBSIZE"), primary.attempts()),
        (80, 2)
    );
}

/// In stable sync all flows meet at it, whatever its shard count says; records of transactions do not meet.
#[test]
fn a_flush_of_dragonfly_is_a_rendezvous_and_its_transactions_are_not() {
    for shards in [1, 2, 3] {
        let mut watched = Watched::start(shards, &[]);
        let link = link(0, |link| {
            let flow = |index| Flow { level: 0, index };
            link.flows[0].stable.extend(flow(0).records(&[
                (3, 1, &[(0, "SET a 1")]),
                (4, 1, &[(0, "FLUSHALL")]),
                (5, 1, &[(0, "SET b 1")]),
            ]));
            // The part of transaction 3 on this flow comes late, and nobody waits for it; nor does it for that of 6.
            link.flows[1].stable.extend(flow(1).records(&[
                (6, 1, &[(0, "SET c 1")]),
                (4, 1, &[(0, "FLUSHALL")]),
                (3, 1, &[(0, "SET d 1")]),
            ]));
        });
        let primary = FakePrimary::new(link);
        replicaof(&mut watched.client, primary.address());
        eventually(DEADLINE, "both flows", || {
            primary.last_acks() == [(0, FIRST + 3), (1, FIRST + 3)]
        });
        assert_eq!(
            watched.client.call("EXISTS a c").as_integer(),
            Some(0),
            "{shards}"
        );
        assert_eq!(
            (
                watched.client.call("EXISTS b d").as_integer(),
                watched.client.integer("DBSIZE")
            ),
            (Some(2), 2)
        );
    }
}

/// At level 1 every bit is vouched for: whatever flips, nothing wrong is ever taken for good.
#[test]
fn every_flipped_bit_of_a_full_sync_is_found() {
    let mut watched = Watched::start(2, &["--replication_timeout=1000"]);
    let mut rng = Rng::new(11);
    let whole = link(1, |_| {}).flows[0].clone();
    for round in 0..60 {
        let (at, bit) = (
            rng.index(whole.full.len() + whole.stable.len()),
            1 << rng.below(8),
        );
        let link = link(1, |link| {
            let flow = &mut link.flows[0];
            let byte = if at < flow.full.len() {
                &mut flow.full[at]
            } else {
                &mut flow.stable[at - whole.full.len()]
            };
            *byte ^= bit;
        });
        let (_, error) = watched.error_of(&once(link));
        assert!(
            !is_synced(&mut watched.client),
            "round {round}: byte {at} bit {bit}: {error}"
        );
    }
    watched.check_memory("flipped bits");
}

/// At level 0 nothing is: a flipped bit may pass for data, but never crashes the server or takes memory.
#[test]
fn flipped_bits_of_dragonfly_are_survived() {
    for pieces in [Pieces::Whole, Pieces::Random(1)] {
        let mut watched = Watched::start(
            2,
            &["--replication_timeout=1000", "--rdb_unknown_types=skip"],
        );
        let mut rng = Rng::new(12);
        let length = link(0, |_| {}).flows[0].full.len();
        for _ in 0..30 {
            let flips: Vec<_> = (0..3)
                .map(|_| (rng.index(length), 1 << rng.below(8)))
                .collect();
            let link = link(0, |link| {
                flips
                    .iter()
                    .for_each(|(at, bit)| link.flows[0].full[*at] ^= bit)
            });
            let primary = once(link.cut(pieces));
            replicaof(&mut watched.client, primary.address());
            eventually(DEADLINE, "an end", || {
                is_synced(&mut watched.client) || watched.link_error().is_some()
            });
        }
        watched.check_memory("flipped bits of level 0");
    }
}

#[test]
fn a_full_sync_that_breaks_anywhere_is_tried_again() {
    let length = link(1, |_| {}).flows[0].full.len();
    let mut rng = Rng::new(13);
    for shards in [2, 2, 3] {
        let mut watched = Watched::start(shards, &[]);
        let cuts: Vec<usize> = (0..3).map(|_| rng.index(length)).collect();
        let primary = FakePrimary::scripted(move |attempt| {
            link(1, |link| {
                if let Some(at) = cuts.get(attempt) {
                    link.flows[0].full.truncate(*at);
                    link.flows[0].ends = Some(FakeEnd::Full);
                }
            })
        });
        replicaof(&mut watched.client, primary.address());
        eventually(DEADLINE, "the attempt that is whole", || {
            is_synced(&mut watched.client)
        });
        let info = watched.client.info("replication");
        assert_eq!(
            (primary.attempts(), &*info["master_reconnects"]),
            (4, "3"),
            "{info:?}"
        );
        assert_eq!(
            (
                watched.client.integer("DBSIZE"),
                &*info["master_link_status"]
            ),
            (80, "up")
        );
    }
}
