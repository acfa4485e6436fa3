//! A server that came back with less does not take its replicas' data, unless it is told to.

use damselfly_tests::{FaultProxy, Server, eventually, replicaof};

use crate::pair::{DEADLINE, error, follow, settle, synced, write};

/// A primary with a replica that holds what it held; the primary dies and comes back with nothing.
fn restarted(flag: &str) -> (Server, Server) {
    let mut primary = Server::with_shards(2);
    let replica = Server::start(&["--proactor_threads=2", flag]);
    follow(&replica, primary.address());
    synced(&replica);
    write(&primary, 1, 300);
    settle(&primary, &replica);
    primary.crash_and_restart();
    (primary, replica)
}

#[test]
fn a_primary_that_comes_back_with_nothing_is_refused() {
    let (primary, replica) = restarted("--follow_blank_master=false");
    let mut client = replica.client();
    let keys = client.integer("DBSIZE");
    assert!(keys > 0);
    // What it got since does not count: it began anew.
    primary.client().ok("SET fresh 1");
    eventually(DEADLINE, "a link that has given up", || {
        let info = client.info("replication");
        let error = info.get("master_link_error");
        error.is_some_and(|error| error.contains("begun anew with nothing"))
    });
    let info = client.info("replication");
    assert_eq!(info["master_link_status"], "down");
    assert_eq!(client.integer("DBSIZE"), keys, "the data is kept");
    // It may be promoted, or told to follow all the same.
    follow(&replica, primary.address());
    settle(&primary, &replica);
    assert_eq!(client.integer("DBSIZE"), 1);
}

#[test]
fn any_other_data_set_is_refused_where_that_is_asked_for() {
    let (first, second) = (Server::with_shards(2), Server::with_shards(2));
    // One that has followed is not blank.
    follow(&second, first.address());
    synced(&second);
    second.client().ok("REPLICAOF NO ONE");
    let below = Server::start(&[
        "--proactor_threads=2",
        "--break_replication_on_master_restart",
    ]);
    let third = Server::with_shards(2);
    third.client().ok("SET mine 1");
    let network = FaultProxy::new(third.address());
    follow(&below, network.address());
    synced(&below);
    network.refuse(true);
    network.cut_all();
    network.set_target(second.address());
    network.refuse(false);
    eventually(DEADLINE, "a link that has given up", || {
        let info = below.client().info("replication");
        let error = info.get("master_link_error");
        error.is_some_and(|error| error.contains("--break_replication_on_master_restart"))
    });
    assert_eq!(below.client().integer("EXISTS mine"), 1);
}

#[test]
fn the_old_primary_cannot_feed_replicas_of_the_new_one() {
    let servers: Vec<Server> = (0..3).map(|_| Server::with_shards(2)).collect();
    let [old, new, below] = &servers[..] else {
        unreachable!("three")
    };
    for replica in [new, below] {
        follow(replica, old.address());
        synced(replica);
    }
    write(old, 1, 300);
    settle(old, new);
    settle(old, below);
    new.client().ok("REPLICAOF NO ONE");
    follow(below, new.address());
    synced(below);
    new.client().ok("SET after 1");
    settle(new, below);
    // The old one is still there, and believes in itself.
    old.client().ok("SET stale 1");
    let refused = error(&replicaof(&mut below.client(), old.address()));
    assert!(refused.contains("left at a failover"), "{refused}");
    assert_eq!(
        below.client().info("replication")["master_port"],
        new.address().port().to_string(),
        "nothing has changed"
    );
    // So does a transaction, as Sentinel sends it; there the link is tried again and again.
    let mut client = below.client();
    client.ok("MULTI");
    client.ok(&format!(
        "SLAVEOF {} {}",
        old.address().ip(),
        old.address().port()
    ));
    client.ok("EXEC");
    eventually(DEADLINE, "a link that is refused", || {
        let info = below.client().info("replication");
        let error = info.get("master_link_last_error");
        error.is_some_and(|error| error.contains("left at a failover"))
    });
    assert_eq!(client.integer("EXISTS after"), 1);
    assert_eq!(client.integer("EXISTS stale"), 0);
    // When the old one follows the new one, it has its epoch, and may be followed.
    follow(old, new.address());
    settle(new, old);
    eventually(DEADLINE, "a chain", || {
        client.info("replication")["master_link_status"] == "up"
    });
    settle(new, below);
    // Who is no replica any more may follow whom it wants.
    new.client().ok("REPLICAOF NO ONE");
    below.client().ok("REPLICAOF NO ONE");
    follow(below, old.address());
}
