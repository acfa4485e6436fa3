//! Values of many slices in RDB files, which know no chunks: they stand there whole, and nobody waits for all of one.

use crate::foreign::of_version;
use crate::{await_saved, directory, with_flags};
use damselfly_tests::{Args, Client, Digest, RedisVersion, digest, words};

/// Elements of each value, in commands of so many.
const ELEMENTS: usize = 8_000;
const STEP: usize = 500;

/// One big value of each kind, expiring or not, in two databases.
fn fill_big(client: &mut Client) {
    for database in ["4", "0"] {
        client.ok(&format!("SELECT {database}"));
        client.ok("DEBUG POPULATE 2 text 3000000");
        for start in (0..ELEMENTS).step_by(STEP) {
            let numbers = start..start + STEP;
            let elements: Vec<String> = numbers.clone().map(|at| format!("element:{at}")).collect();
            let pairs: Vec<String> = numbers.map(|at| format!("{at} element:{at}")).collect();
            for line in [
                format!("RPUSH list {}", elements.join(" ")),
                format!("SADD set {}", elements.join(" ")),
                format!("HSET hash {}", pairs.join(" ")),
                format!("ZADD zset {}", pairs.join(" ")),
            ] {
                client.ok(&line);
            }
            let entries: Vec<Args> = elements
                .iter()
                .map(|element| words(&format!("XADD stream {} f {element}", &element[8..])))
                .filter(|entry| entry[2] != b"0")
                .collect();
            client.pipeline(&entries).unwrap();
        }
        client.ok("XGROUP CREATE stream group 0");
        client.ok("XREADGROUP GROUP group one COUNT 2000 STREAMS stream >");
        client.ok("PEXPIREAT zset 4102444800123");
    }
}

#[test]
fn they_stand_whole_in_files_of_every_version() {
    let dir = directory();
    let ours = with_flags(&dir, "dump", 3, &["--nodf_snapshot_format"]);
    let mut client = ours.client();
    fill_big(&mut client);
    let (plain, strict) = (
        digest(&mut client, Digest::Plain),
        digest(&mut client, Digest::Strict),
    );
    let groups = client.call("XINFO STREAM stream FULL COUNT 1");
    for version in [12, 11, 10, 9] {
        client.ok(&format!("CONFIG SET rdb_version {version}"));
        client.ok(&format!("SAVE RDB of{version}"));
        client.ok(&format!("DFLY LOAD of{version}.rdb"));
        assert_eq!(digest(&mut client, Digest::Plain), plain, "{version}");
        // What groups have read is not in version 9.
        if version > 9 {
            assert_eq!(digest(&mut client, Digest::Strict), strict, "{version}");
            assert_eq!(client.call("XINFO STREAM stream FULL COUNT 1"), groups);
        }
    }
    for (version, name) in [
        (RedisVersion::V62, "of9.rdb"),
        (RedisVersion::V70, "of9.rdb"),
        (RedisVersion::V70, "of10.rdb"),
    ] {
        let theirs = of_version(version, &dir, name).unwrap();
        let found = digest(&mut theirs.client(), Digest::Plain);
        assert_eq!(found, plain, "{version:?} {name}");
    }
}

/// Both hashes change in one transaction: a file has both or neither.
#[test]
fn they_stand_as_at_the_cut_while_they_change() {
    let dir = directory();
    let ours = with_flags(&dir, "dump", 3, &["--nodf_snapshot_format"]);
    let mut client = ours.client();
    fill_big(&mut client);
    client.ok("COPY hash other");
    let mut saver = ours.client();
    for round in 0..3 {
        saver.ok(&format!("BGSAVE RDB at{round}"));
        for step in 0..40 {
            let field = step * 190;
            client.ok("MULTI");
            client.ok(&format!("HSET hash turn {round}:{step} {field} changed"));
            client.ok(&format!("HSET other turn {round}:{step} {field} changed"));
            client.ok("EXEC");
        }
        client.ok("DEL set");
        client.ok("APPEND text:1 more");
        assert!(await_saved(&mut saver));
        client.ok(&format!("DFLY LOAD at{round}.rdb"));
        let turns = [
            client.call("HGET hash turn"),
            client.call("HGET other turn"),
        ];
        assert_eq!(turns[0], turns[1], "{round}");
        assert_eq!(client.integer("EXISTS set"), 1, "it was there at the cut");
    }
}
