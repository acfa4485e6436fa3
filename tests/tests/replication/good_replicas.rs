//! WAIT and min-replicas-to-write beside Redis: how many replicas have what, and whether they are enough.

use damselfly_resp::Reply;
use damselfly_tests::{Client, Peer, PeerKind, await_synced, eventually, replicaof};

use crate::pair::DEADLINE;

/// A primary of a kind, and replicas of the same.
struct Family {
    primary: Peer,
    replicas: Vec<Peer>,
}

impl Family {
    fn of(kind: PeerKind) -> Family {
        let primary = kind.start(2).unwrap_or_else(|error| panic!("{error}"));
        primary
            .client()
            .call("CONFIG SET repl-diskless-sync-delay 0");
        Family {
            primary,
            replicas: Vec::new(),
        }
    }

    /// One more replica, which follows.
    fn grow(&mut self, kind: PeerKind) {
        let replica = kind.start(2).unwrap_or_else(|error| panic!("{error}"));
        replicaof(&mut replica.client(), self.primary.address());
        await_synced(DEADLINE, &mut replica.client()).unwrap_or_else(|error| panic!("{error}"));
        let count = self.replicas.len() as i64 + 1;
        self.replicas.push(replica);
        // What the replica says, the primary may know a moment later.
        let wait = format!("WAIT {count} 50");
        eventually(DEADLINE, "a replica that acks", || {
            self.primary.client().call(&wait) == Reply::Integer(count)
        });
    }
}

/// Each command, with its answers.
type Seen = Vec<(String, Vec<Reply>)>;

fn see(seen: &mut Seen, client: &mut Client, lines: &[&str]) {
    for line in lines {
        let replies = line.split(" ; ").map(|line| client.call(line));
        seen.push((line.to_string(), replies.collect()));
    }
}

/// Says what comes, for the table.
fn scene(seen: &mut Seen, what: &str) {
    seen.push((what.to_owned(), Vec::new()));
}

/// As many as there are, a stopped one, a dead one.
fn waits(kind: PeerKind) -> Seen {
    let (mut family, mut seen) = (Family::of(kind), Seen::new());
    let mut client = family.primary.client();
    scene(&mut seen, "no replica");
    see(
        &mut seen,
        &mut client,
        &["WAIT 0 0", "SET a 1 ; WAIT 1 30", "WAIT 0 30", "WAIT -1 0"],
    );
    family.grow(kind);
    scene(&mut seen, "one");
    let one = ["SET a 2 ; WAIT 1 0", "WAIT 2 30", "WAIT 0 0", "WAIT 1 0"];
    see(&mut seen, &mut client, &one);
    family.grow(kind);
    scene(&mut seen, "two");
    let two = [
        "SET a 3 ; WAIT 2 0",
        "SET a 4 ; WAIT 3 30",
        "WAIT 1 1000",
        "MULTI ; SET a 5 ; EXEC ; WAIT 2 0",
    ];
    see(&mut seen, &mut client, &two);
    family.replicas[0].freeze();
    // A signal takes a moment.
    eventually(DEADLINE, "a replica that stands still", || {
        client.ok("SET a 0");
        client.call("WAIT 2 20") == Reply::Integer(1)
    });
    scene(&mut seen, "two, one of them stopped");
    let stopped = [
        "SET a 6 ; WAIT 1 0",
        "WAIT 2 50",
        "SET b 1 ; SET c 1 ; WAIT 2 50",
    ];
    see(&mut seen, &mut client, &stopped);
    family.replicas[0].thaw();
    scene(&mut seen, "it goes on");
    see(&mut seen, &mut client, &["WAIT 2 0"]);
    family.replicas[1].kill();
    eventually(DEADLINE, "a primary that knows", || {
        client.info("replication")["connected_slaves"] == "1"
    });
    scene(&mut seen, "the other one killed");
    see(&mut seen, &mut client, &["SET a 7 ; WAIT 1 0", "WAIT 2 50"]);
    seen
}

#[test]
fn wait_answers_as_redis_does() {
    let (ours, theirs) = (waits(PeerKind::Damselfly), waits(PeerKind::Redis));
    println!("| replicas | commands | here | redis-server |");
    let mut replicas = "";
    for ((line, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        if ours.is_empty() {
            replicas = line;
            continue;
        }
        let last = |replies: &[Reply]| replies.last().and_then(Reply::as_integer).unwrap();
        println!(
            "| {replicas} | {line} | {} | {} |",
            last(ours),
            last(theirs)
        );
    }
    assert_eq!(ours, theirs);
}

const WRITES: [&str; 7] = [
    "SET k 1",
    "GET k",
    "MULTI ; SET k 2 ; EXEC",
    "MULTI ; GET k ; EXEC",
    "BLPOP nothing 0.01",
    "DEL k",
    "PUBLISH channel message",
];

/// Writes with too few replicas, with enough, with one that is too far behind.
fn refusals(kind: PeerKind) -> Seen {
    let (mut family, mut seen) = (Family::of(kind), Seen::new());
    let (mut client, mut queuing) = (family.primary.client(), family.primary.client());
    let settings = [
        "CONFIG GET min-replicas-to-write",
        "CONFIG SET min-slaves-to-write x",
        "CONFIG SET min-slaves-to-write 1",
        "CONFIG GET min-slaves-to-write",
        "CONFIG SET min-replicas-max-lag 1",
        "CONFIG GET min-slaves-max-lag",
    ];
    see(&mut seen, &mut queuing, &["MULTI", "SET k 1"]);
    see(&mut seen, &mut client, &settings);
    see(&mut seen, &mut client, &WRITES);
    see(
        &mut seen,
        &mut client,
        &["EVAL return(redis.call('SET',KEYS[1],1)) 1 k"],
    );
    see(&mut seen, &mut queuing, &["EXEC"]);
    family.grow(kind);
    eventually(DEADLINE, "a good replica", || {
        client.info("replication")["min_slaves_good_slaves"] == "1"
    });
    eventually(DEADLINE, "writes", || {
        client.call("SET k 1").as_error().is_none()
    });
    see(&mut seen, &mut client, &WRITES);
    family.replicas[0].freeze();
    eventually(DEADLINE, "a bad replica", || {
        client.call("SET k 1").as_error().is_some()
    });
    see(&mut seen, &mut client, &WRITES);
    see(
        &mut seen,
        &mut client,
        &["CONFIG SET min-replicas-to-write 0", "SET k 1"],
    );
    family.replicas[0].thaw();
    seen
}

#[test]
fn writes_with_too_few_replicas_are_refused_as_by_redis() {
    let (ours, theirs) = (refusals(PeerKind::Damselfly), refusals(PeerKind::Redis));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
}

#[test]
fn what_a_replica_tells_of_itself() {
    for kind in [PeerKind::Damselfly, PeerKind::Redis] {
        let mut family = Family::of(kind);
        family.grow(kind);
        let mut replica = family.replicas[0].client();
        replica.ok("CONFIG SET replica-priority 7 replica-announced no");
        let info = replica.info("replication");
        let shown = ["slave_priority", "replica_announced"].map(|name| info[name].as_str());
        assert_eq!(shown, ["7", "0"], "{kind:?}");
        replica.ok("CONFIG SET replica-announce-ip 127.0.0.9 replica-announce-port 4711");
        replica.ok("REPLICAOF NO ONE");
        replicaof(&mut replica, family.primary.address());
        eventually(DEADLINE, "the announced address", || {
            let info = family.primary.client().info("replication");
            let line = info.get("slave0").map(String::as_str);
            line.is_some_and(|line| line.starts_with("ip=127.0.0.9,port=4711,"))
        });
    }
}
