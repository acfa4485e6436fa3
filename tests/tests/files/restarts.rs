//! Restarts from files: the data, and the place in the history.

use crate::{DEADLINE, await_loaded, directory, end, error, fill, server, with_flags};
use damselfly_tests::{
    Client, Digest, Psync, Redis, Server, TempDir, await_synced, digest, eventually, free_address,
    replicaof, same_data,
};

/// A server on a port that it has again after a restart.
fn on_port(dir: &TempDir, port: u16, flags: &[&str]) -> Server {
    let port = format!("--port={port}");
    let mut all = vec![port.as_str()];
    all.extend(flags);
    with_flags(dir, "dump", 2, &all)
}

/// Partial syncs that a replica was granted, and full ones.
fn syncs(replica: &mut Client) -> (u64, u64) {
    let psync = Psync::of(replica);
    (psync.successes, psync.full_syncs)
}

#[test]
fn a_server_comes_back_with_its_data() {
    let dir = directory();
    let first = server(&dir, "dump", 2);
    let mut client = first.client();
    fill(&mut client);
    let expected = digest(&mut client, Digest::Strict);
    drop(client.try_call(&["SHUTDOWN"]));
    let mut first = first;
    eventually(DEADLINE, "the end", || first.exit_status().is_some());
    let second = server(&dir, "dump", 2);
    let mut client = second.client();
    assert_eq!(digest(&mut client, Digest::Strict), expected);
    client.ok("SET unsaved 1");
    drop(client.try_call(&["SHUTDOWN", "NOSAVE"]));
    let mut second = second;
    eventually(DEADLINE, "the end", || second.exit_status().is_some());
    let third = server(&dir, "dump", 2);
    assert_eq!(digest(&mut third.client(), Digest::Strict), expected);
}

#[test]
fn a_replica_goes_on_where_its_file_stood() {
    let (dir, primary) = (directory(), Server::with_shards(2));
    let mut writer = primary.client();
    fill(&mut writer);
    let follow = format!("--replicaof={}", primary.address());
    let replica = with_flags(&dir, "dump", 2, &[&follow]);
    await_synced(DEADLINE, &mut replica.client()).unwrap();
    end(replica);
    writer.ok("DEBUG POPULATE 50 later 10");
    let replica = with_flags(&dir, "dump", 2, &[&follow]);
    await_synced(DEADLINE, &mut replica.client()).unwrap();
    same_data(DEADLINE, &mut writer, &mut replica.client(), Digest::Strict);
    assert_eq!(syncs(&mut replica.client()), (1, 0));
}

/// Redis's offset is in the file, and in Redis's own.
#[test]
fn a_replica_of_redis_goes_on_where_its_file_stood() {
    let (dir, primary) = (directory(), Redis::start());
    let mut writer = primary.client();
    for number in 0..200 {
        writer.ok(&format!("SET key:{number} {number}"));
    }
    let follow = format!("--replicaof={}", primary.address());
    let replica = with_flags(&dir, "dump", 2, &[&follow]);
    await_synced(DEADLINE, &mut replica.client()).unwrap();
    writer.ok("SELECT 2");
    writer.ok("INCRBY number 7");
    same_data(DEADLINE, &mut writer, &mut replica.client(), Digest::Plain);
    end(replica);
    writer.ok("INCRBY number 5");
    writer.ok("RPUSH list a");
    let replica = with_flags(&dir, "dump", 3, &[&follow]);
    await_synced(DEADLINE, &mut replica.client()).unwrap();
    same_data(DEADLINE, &mut writer, &mut replica.client(), Digest::Plain);
    assert_eq!(syncs(&mut replica.client()), (1, 0));
    // Redis's own file, taken while it has a backlog.
    writer.ok("SAVE");
    let file = primary.dir().join("dump.rdb");
    writer.ok("INCRBY number 5");
    let other = with_flags(&dir, "unused", 2, &[]);
    let mut client = other.client();
    client.ok(&format!("DFLY LOAD {}", file.display()));
    let (ip, port) = (primary.address().ip(), primary.address().port());
    client.ok(&format!("REPLICAOF {ip} {port}"));
    await_synced(DEADLINE, &mut client).unwrap();
    same_data(DEADLINE, &mut writer, &mut client, Digest::Plain);
    assert_eq!(syncs(&mut client), (1, 0));
}

#[test]
fn replicas_go_on_with_a_primary_that_was_ended_and_started() {
    let (dir, port) = (directory(), free_address().unwrap().port());
    let primary = on_port(&dir, port, &[]);
    let replica = Server::replica_of(primary.address(), 2);
    let mut writer = primary.client();
    fill(&mut writer);
    await_synced(DEADLINE, &mut replica.client()).unwrap();
    end(primary);
    let primary = on_port(&dir, port, &[]);
    let mut writer = primary.client();
    writer.ok("SET after restart");
    await_synced(DEADLINE, &mut replica.client()).unwrap();
    same_data(DEADLINE, &mut writer, &mut replica.client(), Digest::Strict);
    assert_eq!(syncs(&mut replica.client()), (1, 1));
}

/// LSNs are of shards: with more or fewer of them a file says nothing of a place in a history, and nobody goes on by partial sync.
#[test]
fn another_number_of_shards_begins_a_new_history() {
    const NAMED: &str = "the file is of another number of shards";
    let (dir, replicas, port) = (directory(), directory(), free_address().unwrap().port());
    let primary = on_port(&dir, port, &[]);
    let follow = format!("--replicaof={}", primary.address());
    let replica = with_flags(&replicas, "dump", 2, &[&follow]);
    let mut writer = primary.client();
    fill(&mut writer);
    await_synced(DEADLINE, &mut replica.client()).unwrap();
    end(replica);
    writer.ok("SET meanwhile 1");
    // The replica comes back with three shards, out of a file of two.
    let replica = with_flags(&replicas, "dump", 3, &[&follow]);
    await_synced(DEADLINE, &mut replica.client()).unwrap();
    same_data(DEADLINE, &mut writer, &mut replica.client(), Digest::Strict);
    assert_eq!(syncs(&mut replica.client()), (0, 1));
    assert!(replica.log().contains(NAMED), "{}", replica.log());
    // The primary comes back with three shards, out of a file of two: as many as its replica, but with other LSNs.
    end(primary);
    let three = ["--proactor_threads=3"];
    let primary = on_port(&dir, port, &three);
    let mut writer = primary.client();
    await_loaded(&mut writer);
    writer.ok("DEL text:1 text:2");
    await_synced(DEADLINE, &mut replica.client()).unwrap();
    same_data(DEADLINE, &mut writer, &mut replica.client(), Digest::Strict);
    assert_eq!(syncs(&mut replica.client()), (0, 2));
    assert!(primary.log().contains(NAMED), "{}", primary.log());
}

/// A primary that has failed comes back from its file as a replica of the one that took its place.
#[test]
fn a_former_primary_follows_its_heir() {
    let (dir, port) = (directory(), free_address().unwrap().port());
    let mut primary = on_port(&dir, port, &[]);
    let heir = Server::replica_of(primary.address(), 2);
    fill(&mut primary.client());
    await_synced(DEADLINE, &mut heir.client()).unwrap();
    let (mut before, mut behind) = (primary.client(), heir.client());
    same_data(DEADLINE, &mut before, &mut behind, Digest::Strict);
    primary.client().ok("SAVE");
    primary.kill();
    let mut writer = heir.client();
    writer.ok("REPLICAOF NO ONE");
    writer.ok("SET heir 1");
    let former = on_port(&dir, port, &[]);
    let mut follower = former.client();
    follower.ok(&format!(
        "REPLICAOF {} {}",
        heir.address().ip(),
        heir.address().port()
    ));
    await_synced(DEADLINE, &mut follower).unwrap();
    same_data(DEADLINE, &mut writer, &mut follower, Digest::Strict);
    assert_eq!(syncs(&mut follower), (1, 0));
}

/// The epoch is in the file: whoever went through the failover is not fed by what was left at it.
#[test]
fn a_former_primary_from_its_file_cannot_feed_replicas_of_its_heir() {
    let (dir, port) = (directory(), free_address().unwrap().port());
    let mut former = on_port(&dir, port, &[]);
    let heir_dir = directory();
    let (heir, below) = (server(&heir_dir, "dump", 2), Server::with_shards(2));
    fill(&mut former.client());
    for replica in [&heir, &below] {
        replicaof(&mut replica.client(), former.address());
        await_synced(DEADLINE, &mut replica.client()).unwrap();
    }
    former.client().ok("SAVE RDB");
    former.kill();
    heir.client().ok("REPLICAOF NO ONE");
    replicaof(&mut below.client(), heir.address());
    await_synced(DEADLINE, &mut below.client()).unwrap();
    heir.client().ok("SET heir 1");
    same_data(
        DEADLINE,
        &mut heir.client(),
        &mut below.client(),
        Digest::Strict,
    );
    // Of other numbers of shards, too: epochs do not belong to journals.
    for shards in ["2", "3"] {
        let threads = format!("--proactor_threads={shards}");
        let former = on_port(&dir, port, &[&threads]);
        await_loaded(&mut former.client());
        let refused = error(replicaof(&mut below.client(), former.address()));
        assert!(refused.contains("left at a failover"), "{refused}");
        assert_eq!(below.client().integer("EXISTS heir"), 1);
        // Data that its operator loads over its own is as new as it is itself, and no newer.
        former.client().ok("DEBUG RELOAD");
        let refused = error(replicaof(&mut below.client(), former.address()));
        assert!(refused.contains("left at a failover"), "{refused}");
        let mut former = former;
        former.kill();
    }
    // The heir's own file has its epoch.
    heir.client().ok("SAVE");
    drop(heir);
    let heir = server(&heir_dir, "dump", 2);
    await_loaded(&mut heir.client());
    replicaof(&mut below.client(), heir.address());
    await_synced(DEADLINE, &mut below.client()).unwrap();
    assert_eq!(below.client().integer("EXISTS heir"), 1);
}

#[test]
fn a_takeover_with_save_leaves_a_file_from_which_the_old_primary_follows() {
    let (dir, port) = (directory(), free_address().unwrap().port());
    let mut former = on_port(&dir, port, &[]);
    let heir = Server::replica_of(former.address(), 2);
    fill(&mut former.client());
    await_synced(DEADLINE, &mut heir.client()).unwrap();
    heir.client().ok("REPLTAKEOVER 20 SAVE");
    eventually(DEADLINE, "the end", || former.exit_status().is_some());
    assert!(former.exit_status().is_some_and(|status| status.success()));
    let mut writer = heir.client();
    writer.ok("SET heir 1");
    let follow = format!("--replicaof={}", heir.address());
    let former = on_port(&dir, port, &[&follow]);
    let mut follower = former.client();
    await_loaded(&mut follower);
    await_synced(DEADLINE, &mut follower).unwrap();
    same_data(DEADLINE, &mut writer, &mut follower, Digest::Strict);
    assert_eq!(syncs(&mut follower), (1, 0));
}
