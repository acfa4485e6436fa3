//! Replication where the primary asks for a password.

use std::time::Duration;

use damselfly_tests::{Server, await_synced, eventually, replicaof};

const DEADLINE: Duration = Duration::from_secs(20);

fn refused(server: &Server, primary: std::net::SocketAddr) -> String {
    let reply = replicaof(&mut server.client(), primary);
    String::from_utf8_lossy(reply.as_error().unwrap_or_default()).into_owned()
}

#[test]
fn a_replica_authenticates_with_a_password_or_as_a_user() {
    let primary = Server::start(&["--requirepass=secret", "--proactor_threads=2"]);
    let mut admin = primary.client();
    admin.ok("AUTH secret");
    admin.ok("SET key value");
    admin.ok("ACL SETUSER repl on >password +psync +replconf +ping +dfly");
    for flags in [
        &["--masterauth=secret"][..],
        &["--masteruser=repl", "--masterauth=password"],
    ] {
        let replica = Server::start(&[flags, &["--proactor_threads=2"]].concat());
        assert_eq!(refused(&replica, primary.address()), "");
        let mut client = replica.client();
        await_synced(DEADLINE, &mut client).expect("it gets into stable sync");
        admin.ok("INCR counter");
        eventually(DEADLINE, "it arrives", || {
            client.call("GET counter") == admin.call("GET counter")
        });
        assert_eq!(client.text("GET key"), "value");
    }
}

#[test]
fn a_wrong_password_is_an_error_of_replicaof_and_changes_nothing() {
    let primary = Server::start(&["--requirepass=secret"]);
    for flags in [
        &[][..],
        &["--masterauth=wrong"],
        &["--masteruser=nobody", "--masterauth=secret"],
    ] {
        let replica = Server::start(flags);
        let mut client = replica.client();
        client.ok("SET kept 1");
        let error = refused(&replica, primary.address());
        assert!(!error.is_empty(), "{flags:?}");
        assert!(!error.contains("secret"), "{error}");
        assert_eq!(client.text("GET kept"), "1");
        assert!(client.text("INFO replication").contains("role:master"));
    }
}
