//! What changes of users do to connections; AUTH, HELLO and RESET; ACL LOG.

use std::time::Duration;

use crate::pair::Both;
use damselfly_resp::Reply;
use damselfly_tests::{Server, eventually};

const DEADLINE: Duration = Duration::from_secs(20);

/// Lines of `connection: command`, sent one after the other.
#[track_caller]
fn script(both: &mut Both, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, command) = line.split_once(": ").expect("a connection and a command");
        both.line(name, command);
    }
}

#[test]
fn connections_follow_the_default_users_password() {
    let mut both = Both::start();
    both.line("before", "PING");
    both.line("admin", "CONFIG SET requirepass secret");
    script(
        &mut both,
        "before: PING
         new: PING
         new: NOTHING
         new: GET
         new: CONFIG GET x
         new: HELLO 3
         new: HELLO
         new: HELLO 3 AUTH default wrong
         new: HELLO 9 AUTH default secret
         new: HELLO 3 SETNAME x
         new: AUTH wrong
         new: AUTH default wrong
         new: AUTH nobody secret
         new: AUTH a b c
         new: MULTI
         new: EXEC
         new: RESET
         new: PING
         new: AUTH secret
         new: PING
         new: RESET
         new: PING
         new: HELLO 2 AUTH default secret SETNAME a\tb
         new: PING
         new: ACL WHOAMI
         new: QUIT
         admin: ACL SETUSER default off
         off: PING
         off: AUTH secret
         off: AUTH default secret
         before: PING
         admin: CONFIG SET requirepass \"\"
         admin: ACL SETUSER default on nopass
         open: PING
         open: AUTH x
         open: AUTH default x",
    );
}

#[test]
fn changes_hold_at_once_for_what_is_connected_and_what_is_queued() {
    let mut both = Both::start();
    both.line("admin", "ACL SETUSER u on >p ~a* &* +@all");
    both.line("u", "AUTH u p");
    script(
        &mut both,
        "u: SET a1 1
         u: SET b1 1
         admin: ACL SETUSER u ~b*
         u: SET b1 1
         admin: ACL SETUSER u -set
         u: SET b1 1
         u: MULTI
         u: GET a1
         u: MGET a1 b1
         u: PING
         admin: ACL SETUSER u resetkeys ~a*
         u: EXEC
         u: MULTI
         u: GET a1
         u: GET b1
         u: EXEC
         u: MULTI
         u: GET a1
         u: AUTH default x
         u: GET b1
         admin: ACL SETUSER u -get
         u: EXEC
         u: ACL WHOAMI
         u: AUTH u p
         u: MULTI
         u: PING
         admin: ACL SETUSER u -@all
         u: EXEC
         u: DISCARD
         u: MULTI
         u: ACL WHOAMI
         u: RESET
         u: ACL WHOAMI
         u: AUTH u p
         admin: ACL SETUSER u off +@all
         u: GET a1
         late: AUTH u p
         admin: ACL DELUSER u
         u: PING
         admin: ACL SETUSER u on nopass +@all
         admin: AUTH u x
         admin: ACL DELUSER u
         admin: PING",
    );
}

/// Also those that wait for keys, or say nothing at all.
#[test]
fn connections_of_a_deleted_user_end() {
    let server = Server::with_shards(2);
    let mut admin = server.client();
    admin.ok("ACL SETUSER u on nopass +@all ~*");
    let mut clients: Vec<_> = (0..8).map(|_| server.client()).collect();
    for client in &mut clients {
        client.ok("AUTH u x");
    }
    clients[0].send(&["BLPOP", "k", "0"]).unwrap();
    eventually(DEADLINE, "it arrives", || {
        let list = admin.text("CLIENT LIST");
        list.lines().filter(|line| line.contains("user=u ")).count() == 8
    });
    admin.ok("ACL DELUSER u");
    for client in &mut clients {
        assert!(client.receive().is_err(), "it should be closed");
    }
    assert!(!admin.text("CLIENT LIST").contains("user=u "));
    admin.ok("PING");
}

/// The log without ages and clients.
fn log(reply: &Reply) -> Vec<Vec<String>> {
    let text = |reply: &Reply| match reply {
        Reply::Integer(number) => number.to_string(),
        other => String::from_utf8_lossy(other.as_text().unwrap_or_default()).into_owned(),
    };
    let entries = reply.as_items().unwrap_or_default().iter();
    entries
        .map(|entry| {
            entry.as_items().unwrap_or_default()[..11]
                .iter()
                .map(text)
                .collect()
        })
        .collect()
}

#[test]
fn the_log_has_what_was_denied() {
    let mut both = Both::start();
    both.line("admin", "ACL SETUSER u on >p ~a* +@all -set -debug|sleep");
    both.line("admin", "ACL SETUSER u on >p ~a* +@all -set");
    for line in [
        "AUTH u wrong",
        "HELLO 2 AUTH u wrong",
        "AUTH u wrong",
        "AUTH u p",
        "SET a 1",
        "set a 2",
        "GET b",
        "GET b",
        "MGET a1 c d",
        "CONFIG GET x",
        "MULTI",
        "GET b",
        "GET q",
        "EXEC",
        "MULTI",
        "AUTH nobody x",
        "GET a",
        "EXEC",
    ] {
        both.line("u", line);
    }
    both.line("admin", "ACL SETUSER u -config|get");
    both.line("u", "CONFIG GET x");
    for line in ["ACL LOG", "ACL LOG 2", "ACL LOG 0", "ACL LOG 100"] {
        let (left, right) = both.replies("admin", line);
        assert_eq!(log(&left), log(&right), "{line}");
    }
    both.line("admin", "CONFIG SET acllog-max-len 2");
    both.line("u", "GET another");
    both.line("u", "GET zz");
    let (left, right) = both.replies("admin", "ACL LOG");
    assert_eq!(log(&left), log(&right));
    assert_eq!(log(&right).len(), 2);
    both.line("admin", "ACL LOG RESET");
    both.line("admin", "ACL LOG");
}

/// Many connections change what one may do while another works: it sees each change before the answer to it.
#[test]
fn no_thread_is_late() {
    let server = Server::with_shards(2);
    let mut admin = server.client();
    admin.ok("ACL SETUSER u on nopass +@all ~*");
    let mut clients: Vec<_> = (0..4).map(|_| server.client()).collect();
    for client in &mut clients {
        client.ok("AUTH u x");
    }
    for round in 0..200 {
        let (rule, denied) = if round % 2 == 0 {
            ("-get", true)
        } else {
            ("+get", false)
        };
        admin.ok(&format!("ACL SETUSER u {rule}"));
        for client in &mut clients {
            assert_eq!(
                client.call("GET k").as_error().is_some(),
                denied,
                "round {round}"
            );
        }
    }
}

/// What INFO, CONFIG GET and the log of the server say.
#[test]
fn passwords_are_shown_nowhere() {
    let server = Server::start(&[
        "--requirepass=first-secret",
        "--masterauth=second-secret",
        "--v=2",
    ]);
    let mut client = server.client();
    assert!(client.call("PING").as_error().is_some());
    client.ok("AUTH first-secret");
    client.ok("CONFIG SET requirepass third-secret");
    client.ok("ACL SETUSER u on >fourth-secret +@all");
    let mut shown = String::new();
    for line in ["INFO everything", "CLIENT LIST"] {
        shown += &client.text(line);
    }
    for line in ["CONFIG GET *", "ACL LIST", "ACL LOG", "ACL GETUSER default"] {
        shown += &format!("{:?}", client.ok(line));
    }
    shown += &server.log();
    for secret in [
        "first-secret",
        "second-secret",
        "third-secret",
        "fourth-secret",
    ] {
        assert!(!shown.contains(secret), "{secret}");
    }
}

/// What may be listened to, and who is disconnected when that changes.
#[test]
fn listeners_hear_what_they_may_and_no_more() {
    let mut both = Both::start();
    let rules = [
        "&a* &p? +@all ~*",
        "&* +@all",
        "+@all",
        "&a1 (+@pubsub &p*) +@all",
        "&a1 &p* -@all +subscribe",
    ];
    for rules in rules {
        for later in [
            "resetchannels",
            "allchannels",
            "resetchannels &a1",
            "resetchannels &p*",
            "-@all",
            "+get",
        ] {
            both.line("admin", &format!("ACL SETUSER u reset on nopass {rules}"));
            for line in [
                "SUBSCRIBE a1",
                "SUBSCRIBE a1 b1",
                "SUBSCRIBE b1",
                "PSUBSCRIBE p*",
                "PSUBSCRIBE p?",
                "SSUBSCRIBE a1",
            ] {
                both.reconnect("u");
                both.line("u", "AUTH u x");
                both.line("u", line);
                both.line("admin", &format!("ACL SETUSER u {later}"));
                both.line("u", "UNSUBSCRIBE nothing");
                both.line("admin", &format!("ACL SETUSER u reset on nopass {rules}"));
            }
        }
    }
}
