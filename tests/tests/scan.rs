//! The guarantee of SCAN and its family on a whole server: what is there from the first call to the last comes, whatever other
//! clients do meanwhile; cursors from elsewhere do no harm. (`crates/store` has the same on its own, with bugs that must be found.)

use std::collections::{BTreeSet, VecDeque};

use damselfly_resp::Reply;
use damselfly_tests::load::{Load, LoadPlan, Pipe};
use damselfly_tests::{Args, Client, Rng, Server, words};

const SHARDS: usize = 3;
/// Keys that stay: by number a string, a list, or a hash.
const STAY: u64 = 3_000;
/// Different keys that come and go, enough for tables to split many times.
const COME: u64 = 40_000;

/// One page: the next cursor, and the items.
fn page(client: &mut Client, line: &str) -> (String, Vec<String>) {
    let reply = client.call(line);
    let text = |reply: &Reply| match reply {
        Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{line}: {other:?}"),
    };
    match reply.as_items() {
        Some([cursor, items]) => (
            text(cursor),
            items.as_items().unwrap().iter().map(text).collect(),
        ),
        _ => panic!("{line}: {reply:?}"),
    }
}

/// All pages from a cursor on, and how many there were.
fn scan_from(
    client: &mut Client,
    cursor: &str,
    line: impl Fn(&str) -> String,
    mut between: impl FnMut(&mut Client),
) -> (BTreeSet<String>, usize) {
    let (mut cursor, mut found, mut calls) = (cursor.to_owned(), BTreeSet::new(), 0);
    loop {
        let (next, items) = page(client, &line(&cursor));
        found.extend(items);
        calls += 1;
        assert!(calls < 100_000, "{} never ends", line("0"));
        if next == "0" {
            return (found, calls);
        }
        cursor = next;
        between(client);
    }
}

fn stay(number: u64) -> (String, &'static str) {
    match number % 3 {
        0 => (format!("stay:string:{number}"), "string"),
        1 => (format!("stay:list:{number}"), "list"),
        _ => (format!("stay:hash:{number}"), "hash"),
    }
}

fn fill(client: &mut Client) {
    let lines = (0..STAY).map(|number| match stay(number) {
        (key, "string") => words(&format!("SET {key} x")),
        (key, "list") => words(&format!("RPUSH {key} x")),
        (key, _) => words(&format!("HSET {key} field x")),
    });
    client.pipeline(&lines.collect::<Vec<_>>()).unwrap();
}

/// Draws what other clients do; each of the lines that belong together is drawn on its own.
struct Storm {
    rng: Rng,
    next: VecDeque<Args>,
    /// Of 100, how many changes bring a key.
    inserts: u64,
}

impl Storm {
    fn lines(&mut self) -> Vec<String> {
        let come = format!("come:{}", self.rng.below(COME));
        let (stay, kind) = stay(self.rng.below(STAY));
        match self.rng.below(100) {
            0 => {
                let db = 1 + self.rng.below(3);
                ["SELECT 9", "SET other x", "FLUSHDB", "SELECT 0"]
                    .map(|line| line.replace('9', &db.to_string()))
                    .to_vec()
            }
            1..4 => vec![format!("SET {come} x PX {}", 1 + self.rng.below(5))],
            4..8 => vec![format!("EXPIRE {stay} 1000")],
            8..10 => vec![format!("PERSIST {stay}")],
            10..18 => vec![match kind {
                "string" => format!("SET {stay} {}", "longer".repeat(self.rng.index(9) + 1)),
                "list" => format!("RPUSH {stay} more"),
                _ => format!("HSET {stay} field{} x", self.rng.below(9)),
            }],
            18 => {
                self.inserts = 100 - self.inserts;
                Vec::new()
            }
            _ if self.rng.percent(self.inserts) => vec![format!("SET {come} x")],
            _ => vec![format!("DEL {come}")],
        }
    }

    fn draw(&mut self, pipe: &mut Pipe) {
        while self.next.is_empty() {
            self.next = self.lines().iter().map(|line| words(line)).collect();
        }
        let args = self.next.pop_front().unwrap_or_default();
        pipe.queue(&args.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
}

#[test]
fn keys_that_stay_come_whatever_the_others_do() {
    let server = Server::with_shards(SHARDS);
    let mut client = server.client();
    fill(&mut client);
    let plan = LoadPlan {
        connections: 2,
        pipeline: 32,
        ..LoadPlan::default()
    };
    let load = Load::start(server.address(), plan, |number| {
        let mut storm = Storm {
            rng: Rng::new(7 + number as u64),
            next: VecDeque::new(),
            inserts: 85,
        };
        move |pipe: &mut Pipe| storm.draw(pipe)
    });
    for options in [
        "COUNT 1",
        "COUNT 7",
        "",
        "COUNT 100",
        "COUNT 5000",
        "MATCH stay:* COUNT 50",
        "TYPE hash COUNT 20",
        "MATCH *:list:* TYPE list COUNT 3",
    ] {
        let before = load.commands();
        let (found, calls) = scan_from(
            &mut client,
            "0",
            |at| format!("SCAN {at} {options}"),
            |_| {},
        );
        let wanted = |(key, kind): (String, &'static str)| match options {
            _ if options.contains("TYPE") && !options.contains(kind) => None,
            _ => Some(key),
        };
        let missed: Vec<_> = (0..STAY)
            .filter_map(|number| wanted(stay(number)))
            .filter(|key| !found.contains(key))
            .collect();
        assert!(
            missed.is_empty(),
            "SCAN {options}: {} missed: {missed:?}",
            missed.len()
        );
        assert!(
            options == "COUNT 5000" || calls > 10 && load.commands() > before,
            "SCAN {options}: nothing happened during {calls} calls"
        );
    }
    let report = load.stop();
    assert_eq!((report.errors, report.breaks), (0, 0));
}

/// The elements of one collection come and go between the calls; it begins packed.
fn elements_that_stay(add: fn(u64) -> String, remove: fn(u64) -> String, scan: &str, seed: u64) {
    const STAY: u64 = 100;
    let server = Server::with_shards(1);
    let (mut client, mut rng) = (server.client(), Rng::new(seed));
    for (count, share) in [(1, 80), (10, 50), (10, 95), (1000, 80), (3, 60)] {
        client.call("DEL key");
        let lines = (0..STAY).map(|number| words(&add(number)));
        client.pipeline(&lines.collect::<Vec<_>>()).unwrap();
        // Packed in one answer, whatever COUNT says: then it would be over at once.
        if share != 50 {
            let more = (STAY..900).map(|number| words(&add(number)));
            client.pipeline(&more.collect::<Vec<_>>()).unwrap();
        }
        let between = |client: &mut Client| {
            let lines = (0..rng.below(60)).map(|_| {
                let number = STAY + rng.below(4_000);
                words(&if rng.percent(share) {
                    add(number)
                } else {
                    remove(number)
                })
            });
            client.pipeline(&lines.collect::<Vec<_>>()).unwrap();
        };
        let line = |at: &str| format!("{scan} key {at} COUNT {count}");
        let (found, _) = scan_from(&mut client, "0", line, between);
        let missed = (0..STAY).filter(|number| !found.contains(&format!("element:{number}")));
        assert_eq!(missed.count(), 0, "{scan} COUNT {count}");
    }
}

#[test]
fn elements_that_stay_come_whatever_becomes_of_the_value() {
    elements_that_stay(
        |number| format!("HSET key element:{number} x"),
        |number| format!("HDEL key element:{number}"),
        "HSCAN",
        1,
    );
    elements_that_stay(
        |number| format!("SADD key element:{number}"),
        |number| format!("SREM key element:{number}"),
        "SSCAN",
        2,
    );
    elements_that_stay(
        |number| format!("ZADD key {} element:{number}", number % 50),
        |number| format!("ZREM key element:{number}"),
        "ZSCAN",
        3,
    );
}

#[test]
fn cursors_from_elsewhere_do_no_harm() {
    let server = Server::with_shards(SHARDS);
    let mut client = server.client();
    fill(&mut client);
    let members = (0..900).map(|number| words(&format!("SADD big element:{number}")));
    client.pipeline(&members.collect::<Vec<_>>()).unwrap();
    client.ok("SADD small a b c");
    let mut rng = Rng::new(3);
    let foreign = [
        1,
        77,
        1 << 47,
        1 << 48,
        (2 << 48) | 5,
        3 << 48,
        i64::MAX as u64,
        u64::MAX,
    ];
    for cursor in foreign.into_iter().chain((0..40).map(|_| rng.next_u64())) {
        let cursor = cursor.to_string();
        for line in ["SCAN", "SSCAN big", "SSCAN small", "SSCAN none"] {
            scan_from(
                &mut client,
                &cursor,
                |at| format!("{line} {at} COUNT 100"),
                |_| {},
            );
        }
    }
    for line in ["SCAN x", "SCAN 18446744073709551616", "SSCAN big 1x"] {
        assert_eq!(
            client.call(line).as_error(),
            Some(&b"ERR invalid cursor"[..]),
            "{line}"
        );
    }
    // COUNT is about how much is looked at in a call.
    let (found, calls) = scan_from(
        &mut client,
        "0",
        |at| format!("SCAN {at} COUNT 500"),
        |_| {},
    );
    assert_eq!(found.len() as u64, STAY + 2);
    assert!((5..10).contains(&calls), "{calls} calls");
    let (_, calls) = scan_from(
        &mut client,
        "0",
        |at| format!("SCAN {at} MATCH none COUNT 500"),
        |_| {},
    );
    assert!((5..10).contains(&calls), "{calls} calls");
}
