//! Streams: what the commands of consumer groups record, and that a replica of the records holds the same.

mod pair;

use pair::{NOW, Pair};

/// Runs lines that prepare something; their records are replayed.
fn prepared(lines: &[&str]) -> Pair {
    let mut pair = Pair::new(7);
    for line in lines {
        let reply = pair.call(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
    pair.replay();
    pair.assert_equal();
    pair
}

/// The records of a line that runs after others.
fn effects(before: &[&str], line: &str) -> Vec<String> {
    let mut pair = prepared(before);
    let reply = pair.call(line);
    assert!(!reply.starts_with('-'), "{line}: {reply}");
    let effects = pair.effects();
    pair.assert_equal();
    effects
}

const THREE: &[&str] = &["XADD s 1-1 f v", "XADD s 2-1 f v", "XADD s 3-1 f v"];
const GROUP: &[&str] = &[
    "XADD s 1-1 f v",
    "XADD s 2-1 f v",
    "XADD s 3-1 f v",
    "XGROUP CREATE s g 0",
];
const PENDING: &[&str] = &[
    "XADD s 1-1 f v",
    "XADD s 2-1 f v",
    "XADD s 3-1 f v",
    "XGROUP CREATE s g 0",
    "XREADGROUP GROUP g a STREAMS s >",
    "XDEL s 2-1",
];

#[test]
fn entries_are_recorded_with_their_ids_and_what_trims_have_left() {
    let rows: &[(&[&str], &str, &[&str])] = &[
        (&[], "XADD s * f v", &["XADD s 1700000000000-0 f v"]),
        (&["XADD s 5-3 f v"], "XADD s 5-* f v", &["XADD s 5-4 f v"]),
        (THREE, "XADD s NOMKSTREAM 4 f v", &["XADD s 4-0 f v"]),
        (&[], "XADD s NOMKSTREAM 4 f v", &[]),
        (
            THREE,
            "XADD s MAXLEN 2 4-1 f v",
            &["XADD s MAXLEN = 2 4-1 f v"],
        ),
        (
            THREE,
            "XADD s MINID 3 4-1 f v",
            &["XADD s MAXLEN = 2 4-1 f v"],
        ),
        // Nothing but whole nodes is trimmed here.
        (
            THREE,
            "XADD s MAXLEN ~ 2 LIMIT 7 4-1 f v",
            &["XADD s 4-1 f v"],
        ),
        (THREE, "XTRIM s MAXLEN ~ 2", &[]),
        (THREE, "XTRIM s MINID 2", &["XTRIM s MAXLEN = 2"]),
        (THREE, "XDEL s 2-1 7-7", &["XDEL s 2-1 7-7"]),
        (THREE, "XDEL s 7-7", &[]),
    ];
    for (before, line, expected) in rows {
        assert_eq!(effects(before, line), *expected, "{line}");
    }
}

#[test]
fn whole_nodes_are_trimmed_by_as_much_on_a_replica() {
    let mut pair = Pair::new(1);
    (0..350).for_each(|n| drop(pair.call(&format!("XADD s 1-{} f v", n + 1))));
    pair.replay();
    assert_eq!(pair.call("XTRIM s MAXLEN ~ 120"), ":200");
    assert_eq!(pair.effects(), ["XTRIM s MAXLEN = 150"]);
    assert_eq!(pair.call("XADD s MAXLEN ~ 40 2-0 f v"), "$3 2-0");
    assert_eq!(pair.effects(), ["XADD s MAXLEN = 51 2-0 f v"]);
    pair.assert_equal();
}

#[test]
fn deliveries_are_recorded_as_claims() {
    let both = "XCLAIM s g a 0 1-1 2-1 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 2-1";
    let rows: &[(&[&str], &str, &[&str])] = &[
        (
            GROUP,
            "XREADGROUP GROUP g a COUNT 2 STREAMS s >",
            &[
                "XGROUP CREATECONSUMER s g a",
                both,
                "XGROUP SETID s g 2-1 ENTRIESREAD 2",
            ],
        ),
        (
            GROUP,
            "XREADGROUP GROUP g a COUNT 2 NOACK STREAMS s >",
            &[
                "XGROUP CREATECONSUMER s g a",
                "XGROUP SETID s g 2-1 ENTRIESREAD 2",
            ],
        ),
        (PENDING, "XREADGROUP GROUP g a STREAMS s >", &[]),
        (
            GROUP,
            "XREADGROUP GROUP g b STREAMS s 0",
            &["XGROUP CREATECONSUMER s g b"],
        ),
        // What is read again has been delivered once more. (2-1 is gone.)
        (
            PENDING,
            "XREADGROUP GROUP g a STREAMS s 0",
            &["XCLAIM s g a 0 1-1 3-1 TIME 1700000000000 RETRYCOUNT 2 FORCE JUSTID LASTID 3-1"],
        ),
    ];
    for (before, line, expected) in rows {
        assert_eq!(effects(before, line), *expected, "{line}");
    }
}

#[test]
fn claims_are_recorded_with_absolute_times() {
    let rows: &[(&str, &[&str])] = &[
        (
            "XCLAIM s g b 0 1-1 2-1 9-9 IDLE 1000 RETRYCOUNT 7",
            &[
                "XGROUP CREATECONSUMER s g b",
                "XACK s g 2-1",
                "XCLAIM s g b 0 1-1 TIME 1699999999000 RETRYCOUNT 7 FORCE JUSTID LASTID 3-1",
            ],
        ),
        ("XCLAIM s g b 5000 1-1", &[]),
        (
            "XCLAIM s g b 5000 1-1 LASTID 9-9",
            &["XGROUP SETID s g 9-9 ENTRIESREAD 3"],
        ),
        (
            "XAUTOCLAIM s g b 0 0 COUNT 2 JUSTID",
            &[
                "XGROUP CREATECONSUMER s g b",
                "XACK s g 2-1",
                "XCLAIM s g b 0 1-1 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 3-1",
            ],
        ),
        ("XACK s g 1-1 9-9", &["XACK s g 1-1 9-9"]),
        ("XACK s g 9-9", &[]),
    ];
    for (line, expected) in rows {
        assert_eq!(effects(PENDING, line), *expected, "{line}");
    }
}

/// A replica's clock says nothing: the times are the primary's, even where they lie ahead.
#[test]
fn a_replica_takes_times_as_they_come() {
    let mut pair = prepared(GROUP);
    pair.replica.space.now = NOW - 1_000_000;
    pair.call("XREADGROUP GROUP g a STREAMS s >");
    pair.primary.space.now += 10_000;
    pair.call("XCLAIM s g b 1 1-1 TIME 1700000005000");
    pair.effects();
    pair.assert_equal();
}

/// Records as a Dragonfly 1.40 sends them.
#[test]
fn records_of_dragonfly_are_executed() {
    let mut pair = Pair::new(1);
    for line in [
        "XADD stream:13 1795170493984-0 f v",
        "XADD stream:13 1795170493984-1 f v",
        "XGROUP CREATE stream:13 g2 0",
        "XGROUP CREATECONSUMER stream:13 g2 c2",
        "XCLAIM stream:13 g2 c2 0 1795170493984-0 TIME 1795170494447 RETRYCOUNT 1 FORCE JUSTID LASTID 1795170493984-0",
        "XCLAIM stream:13 g2 c2 0 1795170493984-1 TIME 1795170494447 RETRYCOUNT 1 FORCE JUSTID LASTID 1795170493984-1",
        "XGROUP SETID stream:13 g2 1795170493984-1 ENTRIESREAD 2",
        "XACK stream:13 g2 1-1",
        "XTRIM stream:13 MAXLEN 0",
    ] {
        pair.apply(line);
    }
    let pending = pair.replica_call("XPENDING stream:13 g2");
    assert_eq!(
        pending,
        "*4 :2 $15 1795170493984-0 $15 1795170493984-1 *1 *2 $2 c2 $1 2"
    );
    assert_eq!(
        pair.replica_call("XINFO GROUPS stream:13"),
        "*1 *12 $4 name $2 g2 $9 consumers :1 $7 pending :2 $17 last-delivered-id $15 1795170493984-1 $12 entries-read :2 $3 lag :0"
    );
}
