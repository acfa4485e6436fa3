//! The support library itself, tried on real Redis servers.

use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::commands::{Workload, run_workload};
use damselfly_tests::{
    Digest, Direction, FaultProxy, Redis, RedisVersion, differences, eventually, same_data, words,
};

const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn a_client_speaks_both_protocols() {
    let redis = Redis::start();
    let mut client = redis.client();
    assert_eq!(client.call("SET a 1"), Reply::Simple(b"OK".to_vec()));
    assert_eq!(
        (client.integer("INCR a"), client.text("GET a")),
        (2, "2".to_owned())
    );
    assert_eq!(
        client
            .call("NOSUCH")
            .as_error()
            .map(|text| text.starts_with(b"ERR unknown")),
        Some(true)
    );
    let (reply, bytes) = (
        client.send(&words("GET a")),
        client.receive_with_bytes().unwrap(),
    );
    reply.unwrap();
    assert_eq!(bytes.1, b"$1\r\n2\r\n");
    let replies = client
        .pipeline(&[words("INCR a"), words("PING"), words("GET a")])
        .unwrap();
    assert_eq!(
        replies,
        [
            Reply::Integer(3),
            Reply::Simple(b"PONG".to_vec()),
            Reply::Bulk(b"3".to_vec())
        ]
    );
    client.ok("HELLO 3");
    client.ok("HSET h f v");
    let field = (Reply::Bulk(b"f".to_vec()), Reply::Bulk(b"v".to_vec()));
    assert_eq!(client.call("HGETALL h"), Reply::Map(vec![field]));
    assert_eq!(client.info("replication")["role"], "master");
}

#[test]
fn redis_6_2_is_there_too() {
    let redis = Redis::with_options(RedisVersion::V62, &[]);
    assert!(redis.client().info("server")["redis_version"].starts_with("6.2"));
}

#[test]
fn digests_show_what_differs_and_a_proxied_replica_catches_up() {
    let (primary, mut replica) = (Redis::start(), Redis::start());
    let (mut left, mut right) = (primary.client(), replica.client());
    left.ok("SET same 1");
    left.ok("SET differs 1");
    right.ok("SET same 1");
    right.ok("SADD differs 1");
    let lines = differences(&mut left, &mut right);
    assert_eq!(
        lines,
        ["db 0 differs: string pexpiretime -1 | set pexpiretime -1"]
    );
    let proxy = FaultProxy::new(primary.address());
    let address = proxy.address();
    right.ok(&format!("REPLICAOF {} {}", address.ip(), address.port()));
    same_data(DEADLINE, &mut left, &mut right, Digest::Plain);
    assert!(proxy.moved(Direction::FromTarget) > 0);
    replica.freeze();
    left.ok("SET later 1");
    proxy.cut_all();
    replica.thaw();
    same_data(DEADLINE, &mut left, &mut right, Digest::Plain);
    eventually(DEADLINE, "link up", || {
        right.info("replication")["master_link_status"] == "up"
    });
}

#[test]
fn a_workload_is_mostly_taken_and_replicates() {
    let (primary, replica) = (Redis::start(), Redis::start());
    let (mut left, mut right) = (primary.client(), replica.client());
    let address = primary.address();
    right.ok(&format!("REPLICAOF {} {}", address.ip(), address.port()));
    let commands = 5_000;
    let taken = run_workload(&mut left, &mut Workload::new(3, "w:", 50), commands).unwrap();
    assert!(taken > commands * 8 / 10, "{taken} of {commands}");
    assert!(left.integer("DBSIZE") > 100);
    same_data(DEADLINE, &mut left, &mut right, Digest::Plain);
}
