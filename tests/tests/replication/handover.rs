//! REPLTAKEOVER and FAILOVER: a replica becomes the primary, and no acknowledged write is lost; or it does not, and the primary
//! goes on.

use std::time::{Duration, Instant};

use damselfly_resp::Reply;
use damselfly_tests::load::Acknowledged;
use damselfly_tests::{Redis, Server, eventually};

use crate::pair::{DEADLINE, Pair, error, follow, psync, settle, synced};

const WRITERS: usize = 20;

/// Waits until so many more writes were acknowledged.
fn goes_on(load: &Acknowledged, more: usize) {
    let goal = load.count() + more;
    eventually(DEADLINE, "writes", || load.count() >= goal);
}

#[test]
fn a_takeover_under_load_loses_nothing() {
    let mut pair = Pair::synced(2, 2);
    let sibling = Server::with_shards(2);
    follow(&sibling, pair.primary.address());
    synced(&sibling);
    let load = Acknowledged::start(pair.primary.address(), WRITERS);
    goes_on(&load, 500);
    assert_eq!(pair.replica.client().text("REPLTAKEOVER 30"), "OK");
    let acknowledged = load.end();
    eventually(DEADLINE, "the end of the primary", || {
        pair.primary.exit_status().is_some()
    });
    let mut client = pair.replica.client();
    assert_eq!(client.info("replication")["role"], "master");
    assert_eq!(acknowledged.lost(&mut pair.replica.client()), 0);
    client.ok("SET after 1");
    // Who has it already is told the same.
    assert_eq!(client.text("REPLTAKEOVER 1"), "OK");
    follow(&sibling, pair.replica.address());
    settle(&pair.replica, &sibling);
    assert_eq!(
        psync(&sibling).full_syncs,
        0,
        "a sibling goes on where it was"
    );
}

#[test]
fn a_replica_that_cannot_catch_up_is_refused_in_time() {
    let pair = Pair::synced(2, 2);
    pair.replica.client().ok("DEBUG REPLICA PAUSE");
    let load = Acknowledged::start(pair.primary.address(), WRITERS);
    goes_on(&load, 200);
    let begun = Instant::now();
    let reply = pair.replica.client().call("REPLTAKEOVER 1");
    assert!(
        error(&reply).contains("did not catch up in time"),
        "{reply:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(4));
    goes_on(&load, 200);
    assert_eq!(pair.replica.client().info("replication")["role"], "slave");
    pair.replica.client().ok("DEBUG REPLICA RESUME");
    let acknowledged = load.end();
    pair.settle();
    assert_eq!(acknowledged.lost(&mut pair.replica.client()), 0);
}

#[test]
fn where_a_takeover_makes_no_sense() {
    let pair = Pair::amid_full_sync(1, 1);
    let (mut client, mut primary) = (pair.replica.client(), pair.primary.client());
    assert_eq!(primary.text("REPLTAKEOVER 1"), "OK", "a primary is one");
    for (line, expected) in [
        (
            "REPLTAKEOVER x",
            "ERR value is not an integer or out of range",
        ),
        ("REPLTAKEOVER -1", "ERR timeout is negative"),
        ("REPLTAKEOVER 1 x", "ERR syntax error"),
        ("REPLTAKEOVER 1", "ERR Full sync not done"),
    ] {
        assert_eq!(error(&client.call(line)), expected, "{line}");
    }
    for (line, expected) in [
        ("DFLY TAKEOVER 1 SYNC99", "ERR syncid not found"),
        (
            "DFLY TAKEOVER x SYNC1",
            "ERR value is not an integer or out of range",
        ),
    ] {
        assert_eq!(error(&primary.call(line)), expected, "{line}");
    }
}

#[test]
fn failover_under_load_swaps_the_roles() {
    let (a, b) = (Server::with_shards(2), Server::with_shards(2));
    follow(&b, a.address());
    synced(&b);
    let load = Acknowledged::start(a.address(), WRITERS);
    goes_on(&load, 500);
    let to = format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 20000", b.address().port());
    assert_eq!(a.client().text(&to), "OK");
    eventually(DEADLINE, "the new primary", || {
        b.client().info("replication")["role"] == "master"
    });
    let acknowledged = load.end();
    assert_eq!(acknowledged.lost(&mut b.client()), 0);
    b.client().ok("SET after 1");
    settle(&b, &a);
    assert_eq!(psync(&a).full_syncs, 0, "the old one had all");
    assert_eq!(
        a.client().info("replication")["master_failover_state"],
        "no-failover"
    );
    // And back again, whichever replica there is.
    assert_eq!(b.client().text("FAILOVER"), "OK");
    eventually(DEADLINE, "the old primary", || {
        a.client().info("replication")["role"] == "master"
    });
    a.client().ok("SET after 2");
    settle(&a, &b);
    assert_eq!(psync(&b).full_syncs, 0);
}

/// Stops a replica, and waits until nothing gets to it any more: what it was reading it still reads.
fn pause(primary: &Server, replica: &Server) {
    replica.client().ok("DEBUG REPLICA PAUSE");
    let mut client = primary.client();
    eventually(DEADLINE, "a replica that stands still", || {
        client.ok("MSET k 1 lost 0");
        client.call("WAIT 1 30") == Reply::Integer(0)
    });
}

#[test]
fn a_failover_that_is_given_up_changes_nothing() {
    let (a, b) = (Server::with_shards(2), Server::with_shards(2));
    follow(&b, a.address());
    synced(&b);
    let (mut client, mut writer) = (a.client(), a.client());
    pause(&a, &b);
    client.ok("FAILOVER");
    eventually(DEADLINE, "writes that wait", || {
        client.info("replication")["master_failover_state"] == "waiting-for-sync"
    });
    assert_eq!(
        error(&client.call("FAILOVER")),
        "ERR FAILOVER already in progress."
    );
    writer.send(&["SET", "k", "2"]).expect("it is connected");
    assert_eq!(client.integer("EXISTS other"), 0, "reads go on");
    client.ok("FAILOVER ABORT");
    assert_eq!(
        writer.receive().expect("an answer"),
        Reply::Simple(b"OK".to_vec())
    );
    eventually(DEADLINE, "the end of the failover", || {
        client.info("replication")["master_failover_state"] == "no-failover"
    });
    // The same by its timeout.
    client.ok("FAILOVER TIMEOUT 50");
    writer.ok("SET k 3");
    assert_eq!(client.info("replication")["role"], "master");
    // With force the timeout promotes; what the replica had not is lost, and the old primary follows all the same.
    b.client().ok("DEBUG REPLICA RESUME");
    settle(&a, &b);
    pause(&a, &b);
    writer.ok("SET lost 1");
    let to = format!(
        "FAILOVER TO 127.0.0.1 {} FORCE TIMEOUT 50",
        b.address().port()
    );
    client.ok(&to);
    eventually(DEADLINE, "the new primary", || {
        b.client().info("replication")["role"] == "master"
    });
    settle(&b, &a);
    assert_ne!(a.client().call("GET lost"), Reply::Bulk(b"1".to_vec()));
}

#[test]
fn failovers_that_are_refused_are_so_in_the_words_of_redis() {
    let (ours, theirs) = (Server::with_shards(1), Redis::start());
    let mut clients = [ours.client(), theirs.client()];
    for line in [
        "FAILOVER ABORT",
        "FAILOVER",
        "FAILOVER x",
        "FAILOVER TO a",
        "FAILOVER TO a b",
        "FAILOVER TO 127.0.0.1 1",
        "FAILOVER TIMEOUT 0",
        "FAILOVER TIMEOUT -1",
        "FAILOVER TIMEOUT x",
        "FAILOVER TIMEOUT 1 TIMEOUT 2",
        "FAILOVER FORCE",
        "FAILOVER FORCE TO 127.0.0.1 1 TIMEOUT 5",
        "FAILOVER ABORT x",
    ] {
        let [ours, theirs] = clients.each_mut().map(|client| client.call(line));
        assert_eq!(ours, theirs, "{line}");
        assert!(ours.as_error().is_some(), "{line}");
    }
    // With a replica.
    let (our_replica, their_replica) = (Server::with_shards(1), Redis::start());
    follow(&our_replica, ours.address());
    synced(&our_replica);
    damselfly_tests::replicaof(&mut their_replica.client(), theirs.address());
    eventually(DEADLINE, "the replica of Redis", || {
        theirs.client().call("WAIT 1 1") == Reply::Integer(1)
    });
    for line in [
        "FAILOVER TO 127.0.0.1 1",
        "FAILOVER FORCE",
        "FAILOVER FORCE TIMEOUT 1",
    ] {
        let [ours, theirs] = clients.each_mut().map(|client| client.call(line));
        assert_eq!(ours, theirs, "{line}");
    }
    let [ours, theirs] =
        [our_replica.client(), their_replica.client()].map(|mut replica| replica.call("FAILOVER"));
    assert_eq!(ours, theirs);
}
