//! The connections of a link among the clients of both ends: CLIENT LIST and CLIENT KILL.

use std::collections::BTreeSet;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Server, eventually};

use crate::pair::{DEADLINE, Pair, follow, settle, synced};

/// What CLIENT LIST says of each client of a type, without the line ends.
fn listed(client: &mut Client, kind: &str) -> Vec<String> {
    let text = client.text(&format!("CLIENT LIST TYPE {kind}"));
    text.lines().map(str::to_owned).collect()
}

/// One field of a line of CLIENT LIST.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let mut fields = line.split(' ').filter_map(|field| field.split_once('='));
    let found = fields.find(|(found, _)| *found == name);
    found.unwrap_or_else(|| panic!("no {name} in {line}")).1
}

fn fields(lines: &[String], name: &str) -> BTreeSet<String> {
    lines
        .iter()
        .map(|line| field(line, name).to_owned())
        .collect()
}

#[test]
fn both_ends_list_the_control_connection_and_the_flows() {
    let (primary, replica) = (Server::with_shards(2), Server::with_shards(3));
    follow(&replica, primary.address());
    synced(&replica);
    let (mut above, mut below) = (primary.client(), replica.client());
    let (masters, replicas) = (listed(&mut below, "master"), listed(&mut above, "replica"));
    assert_eq!(
        (masters.len(), replicas.len()),
        (3, 3),
        "{masters:#?} {replicas:#?}"
    );
    for (lines, flags) in [(&masters, "M"), (&replicas, "S")] {
        assert_eq!(fields(lines, "flags"), BTreeSet::from([flags.to_owned()]));
        assert_eq!(fields(lines, "id").len(), 3);
    }
    assert_eq!(
        fields(&masters, "user"),
        BTreeSet::from(["(superuser)".to_owned()])
    );
    assert_eq!(fields(&masters, "laddr"), fields(&replicas, "addr"));
    assert_eq!(fields(&masters, "addr"), fields(&replicas, "laddr"));

    let id = field(&masters[1], "id");
    let one = below.text(&format!("CLIENT LIST ID {id} 999999"));
    assert_eq!(field(one.trim_end(), "laddr"), field(&masters[1], "laddr"));
    let all = below.text("CLIENT LIST");
    assert_eq!(
        all.lines()
            .filter(|line| field(line, "flags") == "M")
            .count(),
        3
    );
    assert!(
        listed(&mut below, "normal")
            .iter()
            .all(|line| field(line, "flags") == "N")
    );
    assert!(listed(&mut above, "master").is_empty());

    below.ok("REPLICAOF NO ONE");
    assert!(listed(&mut below, "master").is_empty());
    eventually(DEADLINE, "the primary sees the end", || {
        listed(&mut above, "slave").is_empty()
    });
}

/// Kills on one end by a line that is made of a client's line, and sees that the replica goes on where it was.
fn kill_and_resume(
    pair: &Pair,
    on: &Server,
    kind: &str,
    make: impl Fn(&str) -> String,
    expected: &Reply,
) {
    let before = pair.psync();
    let mut client = on.client();
    let lines = listed(&mut client, kind);
    assert_eq!(lines.len(), 3);
    let kill = make(&lines[1]);
    assert_eq!(client.ok(&kill), *expected, "{kill}");
    // Nothing waits for the replica to see it.
    pair.primary
        .client()
        .ok(&format!("SET {} killed", kill.replace(' ', ":")));
    eventually(DEADLINE, &kill, || {
        pair.psync().successes > before.successes
    });
    let after = pair.psync();
    assert_eq!(after.full_syncs, before.full_syncs, "{kill}");
    pair.await_synced();
    pair.settle();
}

#[test]
fn a_replica_kills_its_link_and_goes_on_with_partial_sync() {
    let pair = Pair::synced(2, 2);
    let number = Reply::Integer;
    let ok = Reply::Simple(b"OK".to_vec());
    let replica = &pair.replica;
    let kill = |make: fn(&str) -> String, expected: &Reply| {
        kill_and_resume(&pair, replica, "master", make, expected)
    };
    kill(|_| "CLIENT KILL TYPE master".to_owned(), &number(3));
    kill(
        |line| format!("CLIENT KILL ID {}", field(line, "id")),
        &number(1),
    );
    kill(
        |line| format!("CLIENT KILL ADDR {}", field(line, "addr")),
        &number(3),
    );
    kill(
        |line| format!("CLIENT KILL LADDR {}", field(line, "laddr")),
        &number(1),
    );
    kill(|line| format!("CLIENT KILL {}", field(line, "addr")), &ok);
}

#[test]
fn a_link_that_reads_nothing_is_killed_too() {
    let pair = Pair::synced(2, 2);
    let mut client = pair.replica.client();
    client.ok("DEBUG REPLICA PAUSE");
    assert_eq!(client.integer("CLIENT KILL TYPE master"), 3);
    eventually(DEADLINE, "the break", || pair.psync().reconnects == 1);
    client.ok("DEBUG REPLICA RESUME");
    pair.primary.client().ok("SET a 1");
    pair.settle();
}

#[test]
fn a_primary_kills_the_links_of_its_replicas() {
    let pair = Pair::synced(2, 2);
    let primary = &pair.primary;
    let kill = |make: fn(&str) -> String, expected: i64| {
        kill_and_resume(&pair, primary, "replica", make, &Reply::Integer(expected));
    };
    kill(|_| "CLIENT KILL TYPE replica".to_owned(), 3);
    kill(|_| "CLIENT KILL TYPE slave".to_owned(), 3);
    kill(|line| format!("CLIENT KILL ID {}", field(line, "id")), 1);
    kill(
        |line| format!("CLIENT KILL ADDR {}", field(line, "addr")),
        1,
    );
}

#[test]
fn conditions_that_the_link_does_not_meet_leave_it() {
    let pair = Pair::synced(1, 1);
    let (mut client, mut above) = (pair.replica.client(), pair.primary.client());
    let id = client.integer("CLIENT ID");
    for line in [
        "CLIENT KILL TYPE replica".to_owned(),
        "CLIENT KILL TYPE pubsub".to_owned(),
        "CLIENT KILL USER default TYPE master".to_owned(),
        format!("CLIENT KILL TYPE master ID {id} SKIPME no"),
        "CLIENT KILL TYPE master MAXAGE 100000".to_owned(),
    ] {
        assert_eq!(client.integer(&line), 0, "{line}");
    }
    assert_eq!(above.integer("CLIENT KILL TYPE master"), 0);
    above.ok("SET a 1");
    settle(&pair.primary, &pair.replica);
    assert_eq!(pair.psync().reconnects, 0);
}

#[test]
fn a_primary_lists_what_waits_for_a_flow_and_when_it_acked() {
    // Writes do not wait for what is not sent.
    let flags = [
        "--proactor_threads=1",
        "--replication_stream_output_limit=256MB",
    ];
    let primary = Server::start(&flags);
    let mut replica = Server::with_shards(1);
    follow(&replica, primary.address());
    synced(&replica);
    let mut client = primary.client();
    let mut flow = || {
        let lines = listed(&mut client, "replica");
        let number = |line: &String, name| field(line, name).parse::<u64>().unwrap();
        let ages = lines.iter().map(|line| number(line, "age")).min().unwrap();
        let idle = lines.iter().map(|line| number(line, "idle")).min().unwrap();
        let waiting = lines.iter().map(|line| number(line, "omem")).max().unwrap();
        (ages, idle, waiting)
    };
    eventually(DEADLINE, "acks beside an old connection", || {
        matches!(flow(), (2.., 0, 0))
    });
    replica.freeze();
    let mut writer = primary.client();
    let value = "v".repeat(1 << 20);
    // More than the system buffers.
    for number in 0..20 {
        writer.ok(&format!("SET key:{number} {value}"));
    }
    eventually(DEADLINE, "bytes that wait", || flow().2 > 1 << 20);
    replica.thaw();
    eventually(DEADLINE, "none", || matches!(flow(), (_, ..2, 0)));
}
