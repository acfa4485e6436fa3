//! Passwords of links: a wrong one is an error of REPLICAOF at once, and of a running link a state that INFO names.

use damselfly_tests::{Client, Server, eventually};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(20);

fn is_up(client: &mut Client) -> bool {
    client
        .info("replication")
        .get("master_link_status")
        .is_some_and(|status| status == "up")
}

fn follow(client: &mut Client, primary: &Server) -> String {
    let port = primary.address().port().to_string();
    let reply = client.try_call(&["REPLICAOF", "127.0.0.1", &port]).unwrap();
    String::from_utf8_lossy(reply.as_error().unwrap_or_default()).into_owned()
}

#[test]
fn a_wrong_password_for_another_primary_leaves_the_old_link_alone() {
    let old = Server::start(&["--proactor_threads=1"]);
    let other = Server::start(&["--proactor_threads=1", "--requirepass=secret"]);
    let replica = Server::start(&["--proactor_threads=1", "--masterauth=wrong"]);
    let mut client = replica.client();
    // A primary without users takes no password, as Redis: this one has a user that may.
    old.client().ok("ACL SETUSER default >wrong");
    assert_eq!(follow(&mut client, &old), "");
    eventually(DEADLINE, "the old link", || is_up(&mut client));
    let begun = Instant::now();
    let error = follow(&mut client, &other);
    assert!(
        error.contains("WRONGPASS") && begun.elapsed() < Duration::from_secs(5),
        "{error}"
    );
    let mut writer = old.client();
    writer.ok("AUTH wrong");
    writer.ok("SET after 1");
    eventually(DEADLINE, "the old link goes on", || {
        client.call("GET after").as_text() == Some(b"1")
    });
    let info = client.info("replication");
    assert_eq!(info["master_port"], old.address().port().to_string());
    assert_eq!(
        (
            info["master_reconnects"].as_str(),
            info["master_link_status"].as_str()
        ),
        ("0", "up")
    );
}

#[test]
fn a_password_that_changes_ends_a_running_link_for_good_when_it_breaks() {
    let primary = Server::start(&["--proactor_threads=1", "--requirepass=one"]);
    let replica = Server::start(&["--proactor_threads=1", "--masterauth=one"]);
    let (mut admin, mut client) = (primary.client(), replica.client());
    admin.ok("AUTH one");
    admin.ok("SET key 1");
    assert_eq!(follow(&mut client, &primary), "");
    eventually(DEADLINE, "a link", || is_up(&mut client));
    admin.ok("CONFIG SET requirepass two");
    admin.ok("AUTH two");
    admin.ok("SET key 2");
    eventually(DEADLINE, "links that stand go on", || {
        client.call("GET key").as_text() == Some(b"2")
    });
    admin.ok("CLIENT KILL TYPE replica");
    eventually(DEADLINE, "a terminal state", || {
        client.info("replication").contains_key("master_link_error")
    });
    let info = client.info("replication");
    assert!(info["master_link_error"].contains("WRONGPASS"), "{info:?}");
    assert_eq!(info["master_link_status"], "down");
    assert_eq!(client.text("GET key"), "2");
    for log in [primary.log(), replica.log()] {
        assert!(!log.contains("=one") && !log.contains("=two"), "{log}");
    }
    client.ok("CONFIG SET masterauth two");
    assert_eq!(follow(&mut client, &primary), "");
    eventually(DEADLINE, "the link again", || is_up(&mut client));
}

#[test]
fn a_replicas_user_needs_its_three_commands() {
    let primary = Server::start(&["--proactor_threads=1"]);
    let mut admin = primary.client();
    let replica = Server::start(&[
        "--proactor_threads=1",
        "--masteruser=repl",
        "--masterauth=pw",
    ]);
    let mut client = replica.client();
    for (rules, is_enough) in [
        ("+ping +replconf", false),
        ("+replconf +dfly", false),
        ("+ping +dfly", false),
        ("+ping +replconf +dfly", true),
    ] {
        admin.ok(&format!("ACL SETUSER repl reset on >pw {rules}"));
        let error = follow(&mut client, &primary);
        println!(
            "| {rules} | {} |",
            if error.is_empty() { "OK" } else { &error }
        );
        if is_enough {
            assert_eq!(error, "", "{rules}");
            eventually(DEADLINE, "a link", || is_up(&mut client));
        } else if !error.is_empty() {
            assert!(error.contains("NOPERM"), "{error}");
        } else {
            // What the greeting does not use is missed by the link.
            eventually(DEADLINE, "its end", || {
                let info = client.info("replication");
                info.get("master_link_error")
                    .is_some_and(|error| error.contains("NOPERM"))
            });
            client.ok("REPLICAOF NO ONE");
        }
    }
}
