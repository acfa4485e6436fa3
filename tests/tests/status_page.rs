//! The status page without a browser: its headers, and the document that it draws.

use std::net::SocketAddr;
use std::time::Duration;

use damselfly_tests::http::get;
use damselfly_tests::{Server, await_synced, eventually_some, replicaof};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(20);

fn status(server: SocketAddr) -> Value {
    let answer = get(server, "/status.json", &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_str(&answer.body).unwrap()
}

#[test]
fn the_page_may_run_its_own_script_and_nothing_else() {
    let server = Server::with_shards(1);
    let answer = get(server.address(), "/", &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = answer.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "style-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(answer.body.starts_with("<!doctype html>"));
    assert!(answer.body.contains("<script>\"use strict\";"));
}

#[test]
fn the_document_has_both_ends_of_a_link() {
    let primary = Server::with_shards(2);
    let mut client = primary.client();
    (0..50).for_each(|number| drop(client.ok(&format!("SET key:{number} value"))));
    let replica = Server::start(&["--proactor_threads=2", "--replication_acks_interval=700"]);
    replicaof(&mut replica.client(), primary.address());
    await_synced(DEADLINE, &mut replica.client()).unwrap();
    let ours = eventually_some(DEADLINE, "an ack", || {
        let status = status(primary.address());
        (status["replicas"][0]["ack_age_ms"].is_u64()).then_some(status)
    });
    assert_eq!(ours["server"]["role"], "primary");
    assert_eq!(ours["server"]["name"], primary.address().to_string());
    assert_eq!(ours["server"]["keys"], 50);
    assert_eq!(ours["primary"], Value::Null);
    let shown = &ours["replicas"][0];
    assert_eq!(shown["phase"], "stable_sync");
    assert_eq!(shown["dialect"], "damselfly");
    assert_eq!(shown["ack_interval_ms"], 700);
    assert_eq!(shown["port"], replica.address().port());
    assert_eq!(shown["flows"].as_array().unwrap().len(), 2);
    assert_eq!(
        shown["flows"][0]["keys_sent"],
        shown["flows"][0]["keys_total"]
    );
    let theirs = status(replica.address());
    assert_eq!(theirs["server"]["role"], "replica");
    let link = &theirs["primary"];
    assert_eq!(link["phase"], "stable_sync");
    assert_eq!(link["full_syncs"], 1);
    assert_eq!(link["last_error"], Value::Null);
    let flows = link["flows"].as_array().unwrap().iter();
    let loaded: u64 = flows
        .map(|flow| flow["keys_loaded"].as_u64().unwrap())
        .sum();
    assert_eq!(loaded, 50);
}

#[test]
fn a_frozen_replica_is_behind_in_all_units_and_a_dead_primary_is_a_broken_link() {
    let mut primary = Server::with_shards(1);
    let mut replica = Server::replica_of(primary.address(), 1);
    await_synced(DEADLINE, &mut replica.client()).unwrap();
    replica.freeze();
    let mut client = primary.client();
    (0..10).for_each(|number| drop(client.ok(&format!("SET key:{number} value"))));
    eventually_some(DEADLINE, "lag in all units", || {
        let lag = status(primary.address())["replicas"][0]["lag"].clone();
        let behind = lag["records"] == 10 && lag["bytes"].as_u64()? >= 100;
        (behind && lag["ms"].as_u64()? >= 100).then_some(())
    });
    replica.thaw();
    eventually_some(DEADLINE, "no lag", || {
        let lag = status(primary.address())["replicas"][0]["lag"].clone();
        (lag["records"] == 0 && lag["bytes"] == 0 && lag["ms"] == 0).then_some(())
    });
    primary.kill();
    let link = eventually_some(DEADLINE, "a broken link", || {
        let link = status(replica.address())["primary"].clone();
        (link["phase"] == "broken").then_some(link)
    });
    assert!(link["last_error"].as_str().is_some(), "{link}");
    assert!(link["down_ms"].as_u64().is_some(), "{link}");
}
