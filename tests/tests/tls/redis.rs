//! A Redis behind TLS as primary, and a chain behind it: bytes enough that sockets are full at times.

use super::authority::Authority;
use super::tool::{await_answer, await_port, redis_cli};
use damselfly_tests::{Digest, Process, Server, eventually, free_address, same_data};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn a_redis_is_followed_over_tls_and_a_chain_behind_it() {
    let ca = Authority::new("redis");
    let server = ca.issue("server", &["localhost"]);
    let client = ca.issue("client", &[]);
    let replica = ca.issue("replica", &["localhost"]);
    let address = free_address().unwrap();
    let port = address.port().to_string();
    let file = |path: &std::path::Path| path.display().to_string();
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
