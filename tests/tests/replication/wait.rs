//! WAIT: how many replicas have a connection's writes.

use damselfly_resp::Reply;
use damselfly_tests::{Client, FaultProxy, Server};

use crate::pair::{error, follow, synced};

fn replica(primary: &Server, shards: usize) -> (Server, FaultProxy) {
    let (server, network) = (
        Server::with_shards(shards),
        FaultProxy::new(primary.address()),
    );
    follow(&server, network.address());
    synced(&server);
    (server, network)
}

/// Writes to all shards, then WAIT.
fn written(client: &mut Client, wait: &str) -> i64 {
    client.ok("MSET a 1 b 2 c 3 d 4 e 5");
    client.integer(wait)
}

#[test]
fn as_many_as_there_are_in_time() {
    let primary = Server::with_shards(2);
    let mut client = primary.client();
    assert_eq!(client.integer("WAIT 0 0"), 0);
    assert_eq!(written(&mut client, "WAIT 1 50"), 0);
    let (first, _first_network) = replica(&primary, 2);
    assert_eq!(written(&mut client, "WAIT 1 0"), 1);
    assert_eq!(
        first.client().text("GET e"),
        "5",
        "what WAIT counts is there"
    );
    assert_eq!(client.integer("WAIT 2 50"), 1);
    let (second, network) = replica(&primary, 3);
    assert_eq!(written(&mut client, "WAIT 2 0"), 2);
    assert_eq!(second.client().text("GET e"), "5");
    // Without a number to wait for, it says how many there are already.
    assert_eq!(client.integer("WAIT 0 0"), 2);
    assert_eq!(client.integer("WAIT -1 0"), 2);

    // One that hears nothing does not count, and one is enough for who wants one.
    network.stall(true);
    assert_eq!(written(&mut client, "WAIT 1 0"), 1);
    assert_eq!(client.integer("WAIT 2 50"), 1);
    network.stall(false);
    assert_eq!(client.integer("WAIT 2 0"), 2);
    // Who has written nothing waits for nobody's writes.
    assert_eq!(primary.client().integer("WAIT 2 0"), 2);
}

#[test]
fn a_paused_replica_is_waited_for_until_it_goes_on() {
    let primary = Server::with_shards(2);
    let (server, _network) = replica(&primary, 2);
    let (mut client, mut below) = (primary.client(), server.client());
    below.ok("DEBUG REPLICA PAUSE");
    assert_eq!(written(&mut client, "WAIT 1 50"), 0);
    client.send(&["WAIT", "1", "0"]).unwrap();
    below.ok("DEBUG REPLICA RESUME");
    assert_eq!(client.receive().unwrap(), Reply::Integer(1));
}

#[test]
fn where_wait_makes_no_sense() {
    let primary = Server::with_shards(1);
    let (server, _network) = replica(&primary, 1);
    let mut client = primary.client();
    for (line, expected) in [
        ("WAIT x 0", "ERR value is not an integer or out of range"),
        ("WAIT 1 x", "ERR timeout is not an integer or out of range"),
        ("WAIT 1 -1", "ERR timeout is negative"),
        ("WAIT 1", "ERR wrong number of arguments for 'wait' command"),
    ] {
        assert_eq!(error(&client.call(line)), expected, "{line}");
    }
    assert!(
        error(&server.client().call("WAIT 1 0"))
            .starts_with("ERR WAIT cannot be used with replica")
    );
    // Inside MULTI nothing blocks.
    server.client().ok("DEBUG REPLICA PAUSE");
    for line in ["MULTI", "SET a 1", "WAIT 1 0"] {
        client.ok(line);
    }
    let reply = client.ok("EXEC");
    let items = reply.as_items().unwrap_or_default();
    assert!(matches!(items, [_, Reply::Integer(0 | 1)]), "{reply:?}");
}
