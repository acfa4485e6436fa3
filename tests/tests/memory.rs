//! `maxmemory`: who is refused, that a refusal is whole, and that a replica takes what its primary had room for.

use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Digest, Server, await_synced, same_data};

const DEADLINE: Duration = Duration::from_secs(20);
const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";

fn error(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.as_error().unwrap_or_default()).into_owned()
}

/// Writes until a shard is full, which the others need not be.
fn fill(client: &mut Client) {
    let full = (0..100_000).any(|number| {
        let reply = client.call(&format!("SET fill:{number} {}", "x".repeat(4_000)));
        error(&reply) == OOM
    });
    assert!(full, "nothing was refused");
}

/// Keys of many shards, so that some lie on a full one.
fn mset(from: u32) -> String {
    let pairs: Vec<String> = (from..from + 64)
        .map(|number| format!("more:{number} x"))
        .collect();
    format!("MSET {}", pairs.join(" "))
}

#[test]
fn a_refusal_is_whole_over_all_shards() {
    let server = Server::start(&["--proactor_threads=4", "--maxmemory=4mb"]);
    let mut client = server.client();
    fill(&mut client);
    let keys = client.integer("DBSIZE");
    assert_eq!(error(&client.call(&mset(0))), OOM);
    assert_eq!(
        client.integer("DBSIZE"),
        keys,
        "a part of MSET was carried out"
    );

    client.ok("MULTI");
    client.ok("SET one 1");
    client.ok(&mset(100));
    client.ok("DEL fill:0");
    let refused = error(&client.call("EXEC"));
    assert_eq!(
        refused,
        format!("EXECABORT Transaction discarded because of: {OOM}")
    );
    assert_eq!(client.integer("DBSIZE"), keys, "a part of EXEC was");

    // What frees memory is never refused, and makes room.
    client.ok("FLUSHALL");
    client.ok(&mset(0));
    assert_eq!(client.integer("DBSIZE"), 64);
}

#[test]
fn a_replica_takes_what_its_primary_had_room_for() {
    let primary = Server::start(&["--proactor_threads=2"]);
    let port = primary.address().port();
    let follow = format!("--replicaof=127.0.0.1:{port}");
    // With another number of shards its writes are transactions of its own.
    for threads in ["--proactor_threads=2", "--proactor_threads=3"] {
        let replica = Server::start(&[threads, "--maxmemory=1mb", &follow]);
        let (mut writer, mut reader) = (primary.client(), replica.client());
        await_synced(DEADLINE, &mut reader).expect("the replica gets into stable sync");
        for number in 0..1_000 {
            writer.ok(&format!("SET {threads}:{number} {}", "x".repeat(4_000)));
            writer.ok(&mset(number));
        }
        same_data(DEADLINE, &mut writer, &mut reader, Digest::Strict);
        assert_eq!(reader.info("replication")["master_full_syncs"], "1");
    }
}
