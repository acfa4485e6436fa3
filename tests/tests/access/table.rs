//! Those who may not try every command of administration and replication. None gets in; the table is printed.

use damselfly_resp::Reply;
use damselfly_tests::{Client, Server};
use std::collections::BTreeSet;

/// Commands of replication, whatever their category.
const REPLICATION: &[&str] = &[
    "replicaof",
    "slaveof",
    "role",
    "replconf",
    "dfly",
    "repltakeover",
    "failover",
    "psync",
    "sync",
    "wait",
];

fn text(reply: &Reply) -> String {
    let text = reply.as_text().or(reply.as_error()).unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// Each command with arguments enough.
fn lines(admin: &mut Client) -> Vec<Vec<String>> {
    let mut names: BTreeSet<String> = REPLICATION.iter().map(|name| name.to_string()).collect();
    for category in ["admin", "dangerous"] {
        let listed = admin.ok(&format!("COMMAND LIST FILTERBY ACLCAT {category}"));
        names.extend(listed.as_items().unwrap().iter().map(text));
    }
    let mut lines = Vec::new();
    for name in names {
        let info = admin.ok(&format!("COMMAND INFO {name}"));
        let Some(row) = info.as_items().and_then(|rows| rows[0].as_items()) else {
            continue;
        };
        let arity = row[1].as_integer().unwrap().unsigned_abs() as usize;
        let mut line: Vec<String> = name.split('|').map(str::to_owned).collect();
        while line.len() < arity {
            line.push("1".to_owned());
        }
        lines.push(line);
    }
    lines
}

fn answer(client: &mut Client, line: &[String]) -> String {
    text(&client.try_call(line).unwrap())
}

#[test]
fn nobody_gets_in_who_may_not() {
    let server = Server::start(&["--proactor_threads=1", "--requirepass=right"]);
    let mut admin = server.client();
    admin.ok("AUTH right");
    admin.ok("SET kept 1");
    admin.ok("ACL SETUSER clerk on >pw ~* &* +@all -@admin -@dangerous -wait -role");
    let lines = lines(&mut admin);
    assert!(lines.len() >= 50, "{}", lines.len());
    let mut nobody = server.client();
    let mut wrong = server.client();
    assert!(text(&wrong.call("AUTH guessed")).starts_with("WRONGPASS"));
    assert!(text(&wrong.call("AUTH clerk guessed")).starts_with("WRONGPASS"));
    let mut clerk = server.client();
    clerk.ok("AUTH clerk pw");
    println!("| command | unauthenticated | wrongly authenticated | restricted user |");
    for line in &lines {
        let answers = [
            answer(&mut nobody, line),
            answer(&mut wrong, line),
            answer(&mut clerk, line),
        ];
        let codes: Vec<&str> = answers
            .iter()
            .map(|text| text.split(' ').next().unwrap())
            .collect();
        println!("| {} | {} |", line.join(" "), codes.join(" | "));
        assert_eq!(
            codes,
            ["NOAUTH", "NOAUTH", "NOPERM"],
            "{line:?}: {answers:?}"
        );
    }
    assert_eq!(admin.text("GET kept"), "1");
    assert_eq!(admin.info("replication")["role"], "master");
}
