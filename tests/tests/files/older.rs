//! Servers that come back out of files that are older than what others hold: those keep their data until they are told.

use damselfly_resp::Reply;

use crate::{DEADLINE, await_loaded, directory, end, fill, with_flags};
use damselfly_tests::{
    Digest, FaultProxy, Server, TempDir, await_synced, eventually, free_address, replicaof,
    same_data,
};

fn on_port(dir: &TempDir, port: u16, flags: &[&str]) -> Server {
    let port = format!("--port={port}");
    let mut all = vec![port.as_str()];
    all.extend(flags);
    with_flags(dir, "dump", 2, &all)
}

/// Waits until INFO says this in `field`.
fn await_error(replica: &Server, field: &str, words: &str) {
    eventually(DEADLINE, words, || {
        let info = replica.client().info("replication");
        info.get(field).is_some_and(|error| error.contains(words))
    });
}

/// Whether it has this key; false while it is loading.
fn has(server: &Server, key: &str) -> bool {
    server.client().call(&format!("EXISTS {key}")) == Reply::Integer(1)
}

fn equal(primary: &Server, replica: &Server) {
    await_synced(DEADLINE, &mut replica.client()).unwrap();
    same_data(
        DEADLINE,
        &mut primary.client(),
        &mut replica.client(),
        Digest::Strict,
    );
}

/// A primary that has written a file, and then a key that it has not, which all replicas have; it was killed.
fn dies_ahead_of_its_file(mut primary: Server, replicas: &[&Server]) {
    let mut writer = primary.client();
    fill(&mut writer);
    for replica in replicas {
        equal(&primary, replica);
    }
    writer.ok("SAVE");
    writer.ok("SET unsaved 1");
    for replica in replicas {
        eventually(DEADLINE, "the write", || has(replica, "unsaved"));
    }
    primary.kill();
}

#[test]
fn a_replica_that_is_ahead_of_its_primarys_file_keeps_its_data_until_it_is_told() {
    let (dir, port) = (directory(), free_address().unwrap().port());
    let primary = on_port(&dir, port, &[]);
    let replica = Server::replica_of(primary.address(), 2);
    // LSNs are those of the primary's flows, whatever the replica's shards are.
    let other = Server::replica_of(primary.address(), 3);
    dies_ahead_of_its_file(primary, &[&replica, &other]);
    // LSNs of other shards: the file tells of its own all the same.
    let primary = on_port(&dir, port, &["--proactor_threads=3"]);
    await_loaded(&mut primary.client());
    primary.client().ok("SET newer 1");
    for replica in [&replica, &other] {
        await_error(
            replica,
            "master_link_error",
            "has come back with older data",
        );
        assert!(has(replica, "unsaved"));
        assert!(
            replica
                .log()
                .contains("REPLICAOF again follows it all the same")
        );
    }
    for replica in [&replica, &other] {
        replicaof(&mut replica.client(), primary.address());
        equal(&primary, replica);
        assert!(!has(replica, "unsaved"));
    }
}

#[test]
fn who_is_to_follow_a_restarted_primary_does_so_where_that_was_said_before() {
    let (dir, port) = (directory(), free_address().unwrap().port());
    let primary = on_port(&dir, port, &[]);
    let follow = format!("--replicaof={}", primary.address());
    let flags = ["--proactor_threads=2", &follow, "--follow_blank_master"];
    let replica = Server::start(&flags);
    dies_ahead_of_its_file(primary, &[&replica]);
    let primary = on_port(&dir, port, &[]);
    await_loaded(&mut primary.client());
    eventually(DEADLINE, "the older data", || !has(&replica, "unsaved"));
    equal(&primary, &replica);
}

/// Two restarts that both saved; the replica was away for both.
#[test]
fn restarts_that_lost_nothing_refuse_nobody() {
    let (dir, port) = (directory(), free_address().unwrap().port());
    let primary = on_port(&dir, port, &[]);
    let network = FaultProxy::new(primary.address());
    let replica = Server::replica_of(network.address(), 2);
    fill(&mut primary.client());
    equal(&primary, &replica);
    network.refuse(true);
    network.cut_all();
    primary.client().ok("SET first 1");
    end(primary);
    let primary = on_port(&dir, port, &[]);
    await_loaded(&mut primary.client());
    primary.client().ok("SET second 1");
    end(primary);
    let primary = on_port(&dir, port, &[]);
    await_loaded(&mut primary.client());
    network.refuse(false);
    eventually(DEADLINE, "what came meanwhile", || has(&replica, "second"));
    equal(&primary, &replica);
}

#[test]
fn a_replica_out_of_its_file_is_not_fed_by_whom_a_failover_left() {
    let (below_dir, former) = (directory(), Server::with_shards(2));
    let follow = |server: &Server| format!("--replicaof={}", server.address());
    let heir = Server::replica_of(former.address(), 2);
    let below = with_flags(&below_dir, "dump", 2, &[&follow(&former)]);
    fill(&mut former.client());
    for replica in [&heir, &below] {
        equal(&former, replica);
    }
    heir.client().ok("REPLICAOF NO ONE");
    replicaof(&mut below.client(), heir.address());
    equal(&heir, &below);
    heir.client().ok("SET heir 1");
    equal(&heir, &below);
    end(below);
    // It comes back with the configuration of before the failover, and the former primary still believes in itself.
    for shards in ["2", "3"] {
        let threads = format!("--proactor_threads={shards}");
        let below = with_flags(&below_dir, "dump", 2, &[&follow(&former), &threads]);
        await_error(&below, "master_link_last_error", "left at a failover");
        assert!(has(&below, "heir"));
        let mut below = below;
        below.kill();
    }
    let below = with_flags(&below_dir, "dump", 2, &[&follow(&former)]);
    await_error(&below, "master_link_last_error", "left at a failover");
    // Told by Sentinel, it follows the heir, without a full sync; told by people, whomever they want.
    let mut client = below.client();
    let (ip, port) = (heir.address().ip(), heir.address().port());
    client.ok("MULTI");
    client.ok(&format!("SLAVEOF {ip} {port}"));
    client.ok("EXEC");
    equal(&heir, &below);
    assert_eq!(client.info("replication")["master_full_syncs"], "0");
    client.ok("REPLICAOF NO ONE");
    replicaof(&mut client, former.address());
    equal(&former, &below);
    assert!(!has(&below, "heir"));
}

/// Both ends went down together, and the primary's file is older, or it has none.
#[test]
fn a_replica_out_of_its_file_refuses_a_primary_that_has_less() {
    let (dir, below_dir) = (directory(), directory());
    let port = free_address().unwrap().port();
    let primary = on_port(&dir, port, &[]);
    let follow = format!("--replicaof={}", primary.address());
    let below = with_flags(&below_dir, "dump", 2, &[&follow]);
    dies_ahead_of_its_file(primary, &[&below]);
    end(below);
    let mut primary = on_port(&dir, port, &[]);
    let below = with_flags(&below_dir, "dump", 2, &[&follow]);
    await_error(&below, "master_link_error", "has come back with older data");
    assert!(has(&below, "unsaved"));
    end(below);
    primary.kill();
    let primary = on_port(&directory(), port, &[]);
    let below = with_flags(&below_dir, "dump", 2, &[&follow]);
    await_error(&below, "master_link_error", "begun anew with nothing");
    assert!(has(&below, "unsaved"));
    replicaof(&mut below.client(), primary.address());
    equal(&primary, &below);
}

/// A server in the middle of a chain comes back out of an older file, and its primary is not there yet.
#[test]
fn a_chain_does_not_hand_down_what_its_middle_came_back_with() {
    let (dir, port) = (directory(), free_address().unwrap().port());
    let top = Server::with_shards(2);
    let network = FaultProxy::new(top.address());
    let follow = format!("--replicaof={}", network.address());
    for saves in [true, false] {
        let dbfilename = if saves {
            "--dbfilename=dump"
        } else {
            "--dbfilename="
        };
        let mut middle = on_port(&dir, port, &[&follow, dbfilename]);
        let below = Server::replica_of(middle.address(), 2);
        top.client().ok("FLUSHALL");
        fill(&mut top.client());
        equal(&top, &below);
        if saves {
            middle.client().ok("SAVE");
        }
        top.client().ok("SET unsaved 1");
        eventually(DEADLINE, "the write", || has(&below, "unsaved"));
        network.refuse(true);
        middle.kill();
        let middle = on_port(&dir, port, &[&follow, dbfilename]);
        await_error(&below, "master_link_last_error", "NOMASTERLINK");
        assert!(has(&below, "unsaved"));
        network.refuse(false);
        equal(&top, &middle);
        equal(&top, &below);
    }
}
