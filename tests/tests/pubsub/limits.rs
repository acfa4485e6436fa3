//! Clients that do not read are dropped when too much waits for them; nobody else notices.

use std::time::{Duration, Instant};

use damselfly_resp::Reply;
use damselfly_tests::{Client, Redis, Server, eventually, words};

const DEADLINE: Duration = Duration::from_secs(20);

fn dropped(client: &mut Client) -> String {
    client.info("stats")["client_output_buffer_limit_disconnections"].clone()
}

/// How long one message takes from its publishing to a subscriber that reads, at most.
const LONGEST: Duration = Duration::from_secs(5);

#[test]
fn a_subscriber_that_does_not_read_is_dropped_and_others_get_everything() {
    let server = Server::start(&[
        "--proactor_threads=2",
        "--client_output_buffer_limit=pubsub 4mb 0 0",
    ]);
    let mut publisher = server.client();
    let mut frozen: Vec<Client> = (0..4).map(|_| server.client()).collect();
    let mut reading: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for client in frozen.iter_mut().chain(&mut reading) {
        client.ok("SUBSCRIBE c");
    }
    let payload = "x".repeat(64 * 1024);
    let line = words(&format!("PUBLISH c {payload}"));
    let mut messages = 0;
    eventually(DEADLINE, "all that do not read are dropped", || {
        for _ in 0..20 {
            let begun = Instant::now();
            publisher.try_call(&line).expect("an answer");
            messages += 1;
            for client in &mut reading {
                let got = client.receive().expect("a message");
                let text = got.as_items().and_then(|items| items[2].as_text());
                assert_eq!(text.map(<[u8]>::len), Some(payload.len()));
            }
            assert!(begun.elapsed() < LONGEST);
        }
        dropped(&mut publisher) == "4"
    });
    // What waited for them is bounded: what the sockets hold comes on top.
    assert!(
        messages >= 64,
        "{messages} messages of 64 KiB are less than the limit"
    );
    assert_eq!(publisher.integer("PUBLISH c last"), 4);
    let reason = server.log();
    assert_eq!(reason.matches("client dropped").count(), 4, "{reason}");
    publisher.ok("CONFIG RESETSTAT");
    assert_eq!(dropped(&mut publisher), "0");
}

#[test]
fn a_soft_limit_drops_who_stays_above_it() {
    let server = Server::with_shards(1);
    let (mut publisher, mut frozen) = (server.client(), server.client());
    publisher
        .try_call(&[
            "CONFIG",
            "SET",
            "client-output-buffer-limit",
            "pubsub 0 100kb 0",
        ])
        .expect("an answer");
    frozen.ok("SUBSCRIBE c");
    let line = words(&format!("PUBLISH c {}", "x".repeat(1 << 20)));
    // More than two sockets hold.
    for _ in 0..16 {
        publisher.try_call(&line).expect("an answer");
    }
    let list = publisher.text("CLIENT LIST TYPE pubsub");
    let waiting = list
        .split("omem=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let waiting: usize = waiting.expect("a field").parse().expect("a number");
    assert!(waiting > 100 * 1024, "{list}");
    eventually(DEADLINE, "it is dropped without another message", || {
        dropped(&mut publisher) == "1"
    });
}

#[test]
fn a_client_that_asks_for_more_than_it_reads_is_dropped() {
    let server = Server::start(&[
        "--proactor_threads=1",
        "--client_output_buffer_limit=normal 4mb 0 0",
    ]);
    let (mut other, mut client) = (server.client(), server.client());
    other.ok(&format!("SET big {}", "x".repeat(3 << 20)));
    assert!(matches!(client.ok("GET big"), Reply::Bulk(_)));
    client.ok("MGET big");
    client
        .send(&words("MGET big big big big big big"))
        .expect("it is connected");
    eventually(DEADLINE, "it is dropped", || dropped(&mut other) == "1");
    assert!(client.receive().is_err());
}

#[test]
fn the_parameter_reads_and_shows_as_in_redis() {
    let (redis, server) = (Redis::start(), Server::with_shards(1));
    let (mut theirs, mut ours) = (redis.client(), server.client());
    for value in [
        "",
        "normal",
        "normal 1 2",
        "foo 1 2 3",
        "normal 1 2 x",
        "normal a 2 3",
        "pubsub 1mb 512kb 10",
        "normal 1 2 3 pubsub 4 5 6",
        "replica 10 5 1",
        "slave -1 0 0",
        "master 1 2 3",
        "normal 1 2 -3",
        "NORMAL 1kb 2k 3",
        "normal  1 2 3",
        "normal 0 0 0 normal 5 5 5",
        "normal 0 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60",
    ] {
        let set = ["CONFIG", "SET", "client-output-buffer-limit", value];
        let get = ["CONFIG", "GET", "client-output-buffer-limit"];
        let both = |client: &mut Client| {
            (
                client.try_call(&set).unwrap(),
                client.try_call(&get).unwrap(),
            )
        };
        assert_eq!(both(&mut theirs), both(&mut ours), "{value}");
    }
}
