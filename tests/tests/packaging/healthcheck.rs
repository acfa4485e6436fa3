//! `damselfly --healthcheck`, beside servers in every state.

use damselfly_tests::{FaultProxy, Server, eventually, eventually_some, free_address, replicaof};
use std::net::SocketAddr;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

/// Whether the check of a server with these flags succeeds, and what it prints.
fn check(health: &str, address: SocketAddr, flags: &[&str]) -> (bool, String) {
    let (health, port) = (
        format!("--healthcheck={health}"),
        format!("--port={}", address.port()),
    );
    let mut check = Server::bare(
        &[&[&health, &port, "--bind=127.0.0.1"], flags].concat(),
        &[],
    );
    let status = eventually_some(DEADLINE, "an end", || check.exit_status());
    (status.success(), check.log().trim().to_owned())
}

#[test]
fn a_primary_is_ready_and_nobody_is_not() {
    let server = Server::with_shards(1);
    for (health, says) in [
        ("live", "live"),
        ("serving", "serving"),
        ("ready", "ready: primary"),
    ] {
        assert_eq!(
            check(health, server.address(), &[]),
            (true, says.to_owned())
        );
    }
    let (good, says) = check("live", free_address().unwrap(), &[]);
    assert!(!good && says.starts_with("no connection: "), "{says}");
    let (good, says) = check("well", server.address(), &[]);
    assert!(
        !good && says.contains("expected one of live, serving, ready"),
        "{says}"
    );
}

#[test]
fn passwords_are_those_of_the_flags() {
    let server = Server::start(&["--requirepass=secret", "--proactor_threads=1"]);
    let address = server.address();
    assert!(check("live", address, &[]).0);
    assert!(check("ready", address, &["--requirepass=secret"]).0);
    assert!(check("ready", address, &["--masterauth=secret"]).0);
    let (good, says) = check("ready", address, &[]);
    assert!(!good && says.starts_with("NOAUTH"), "{says}");
    let open = free_address().unwrap();
    let admin = format!("--admin_port={}", open.port());
    let flags = ["--requirepass=secret", "--admin_nopass", &admin];
    let server = Server::start(&[&["--proactor_threads=1"], &flags[..]].concat());
    assert!(check("ready", server.address(), &flags[1..]).0);
}

#[test]
fn a_replica_without_its_primary_serves_and_is_not_ready() {
    let (primary, replica) = (Server::with_shards(1), Server::with_shards(1));
    let proxy = FaultProxy::new(primary.address());
    replicaof(&mut replica.client(), proxy.address());
    let check = |health| check(health, replica.address(), &[]);
    eventually(DEADLINE, "ready", || check("ready").0);
    drop((proxy, primary));
    eventually(DEADLINE, "not ready", || !check("ready").0);
    assert_eq!(check("serving"), (true, "serving".to_owned()));
    assert!(
        check("live").0
            && check("ready")
                .1
                .starts_with("a replica that is not in sync")
    );
}

#[test]
fn a_unix_socket_is_asked_first() {
    let dir = damselfly_tests::TempDir::new("health").unwrap();
    let socket = format!("--unixsocket={}", dir.path().join("s").display());
    let server = Server::start(&[&socket, "--proactor_threads=1"]);
    let elsewhere = free_address().unwrap();
    assert!(check("ready", elsewhere, &[&socket]).0);
    drop(server);
    assert!(!check("live", elsewhere, &[&socket]).0);
}
