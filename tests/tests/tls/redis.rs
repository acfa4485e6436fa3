//! A Redis behind TLS as primary, and a chain behind it: bytes enough that sockets are full at times.

use super::authority::Authority;
use super::tool::{await_answer, await_port, redis_cli};
use damselfly_tests::{Digest, Process, Server, eventually, free_address, same_data};
use std::path::Path;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

fn file(path: &Path) -> String {
    path.display().to_string()
}

/// A Redis that speaks nothing but TLS, with clients that have a certificate.
fn redis_behind_tls(ca: &Authority) -> (Process, String) {
    let server = ca.issue("behind-tls", &["localhost"]);
    let address = free_address().unwrap();
    let port = address.port().to_string();
    let (key, cert, authority) = (file(&server.key), file(&server.cert), file(&ca.ca()));
    let arguments = [
        "--port",
        "0",
        "--tls-port",
        &port,
        "--tls-key-file",
        &key,
        "--tls-cert-file",
        &cert,
        "--tls-ca-cert-file",
        &authority,
        "--repl-diskless-sync-delay",
        "0",
        "--save",
        "",
        "--enable-debug-command",
        "yes",
    ];
    let redis = Process::start("/usr/bin/redis-server".as_ref(), &arguments, &[]).unwrap();
    await_port(address);
    (redis, port)
}

/// As encrypted as a link would be.
#[test]
fn keys_migrate_over_tls() {
    let ca = Authority::new("migrate");
    let [key, cert] = ca.issue("server", &["localhost"]).flags();
    let ca_flag = format!("--tls_ca_cert_file={}", ca.ca().display());
    let flags = ["--tls_replication", &key, &cert, &ca_flag];
    let (redis, port) = redis_behind_tls(&ca);
    let (source, target) = (Server::start(&flags), Server::start(&flags));
    target.client().ok("SET seen 1");
    // Connections that are there already stay as they are.
    let mut there = target.client();
    there.ok("CONFIG SET tls yes");
    let mut client = source.client();
    for (key, port) in [
        ("a", target.address().port().to_string()),
        ("b", port.clone()),
    ] {
        client.ok(&format!("SET {key} value"));
        let reply = client.call(&format!("MIGRATE localhost {port} {key} 0 5000"));
        assert_eq!(reply.as_error(), None);
        assert_eq!(client.integer(&format!("EXISTS {key}")), 0);
    }
    assert_eq!(there.text("GET a"), "value");
    // It is for another name.
    client.ok("SET c 1");
    let refused = client.call(&format!("MIGRATE 127.0.0.1 {port} c 0 5000"));
    assert!(
        refused
            .as_error()
            .is_some_and(|error| error.starts_with(b"IOERR")),
        "{refused:?}"
    );
    assert_eq!(client.integer("EXISTS c"), 1);
    drop(redis);
}

#[test]
fn a_redis_is_followed_over_tls_and_a_chain_behind_it() {
    let ca = Authority::new("redis");
    let client = ca.issue("client", &[]);
    let replica = ca.issue("replica", &["localhost"]);
    let (redis, port) = redis_behind_tls(&ca);
    let authority = file(&ca.ca());
    let (client_key, client_cert) = (file(&client.key), file(&client.cert));
    let over_tls = [
        "--tls",
        "--key",
        &client_key,
        "--cert",
        &client_cert,
        "--cacert",
        &authority,
        "-p",
        &port,
    ];
    let populated = await_answer(
        redis.dir(),
        &over_tls,
        &["DEBUG", "POPULATE", "20000", "key", "500"],
        |text| text == "OK",
    );
    assert_eq!(populated, "OK");

    let [key, cert] = replica.flags();
    let ca_flag = format!("--tls_ca_cert_file={authority}");
    let flags = ["--tls_replication", &key, &cert, &ca_flag];
    let follower = Server::start(&[&flags[..], &["--proactor_threads=2"]].concat());
    let mut first = follower.client();
    let is_up = |client: &mut damselfly_tests::Client| {
        client
            .info("replication")
            .get("master_link_status")
            .is_some_and(|status| status == "up")
    };
    first.ok(&format!("REPLICAOF localhost {port}"));
    eventually(DEADLINE, "a link to the Redis", || is_up(&mut first));
    assert_eq!(first.integer("DBSIZE"), 20_000);
    // The next in the chain: clients of the middle one come over TLS too, from now on.
    first.ok("CONFIG SET tls yes");
    let last = Server::start(&[&flags[..], &["--proactor_threads=3"]].concat());
    let mut second = last.client();
    second.ok(&format!(
        "REPLICAOF localhost {}",
        follower.address().port()
    ));
    eventually(DEADLINE, "a link to the replica", || is_up(&mut second));
    same_data(DEADLINE, &mut first, &mut second, Digest::Plain);
    assert_eq!(
        redis_cli(redis.dir(), &over_tls, &["SET", "after", "1"]),
        "OK"
    );
    eventually(DEADLINE, "it arrives at the end", || {
        second.call("GET after").as_text() == Some(b"1")
    });
}
