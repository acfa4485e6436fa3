//! Files that go to Redis and come from it.

use crate::{await_loaded, await_saved, directory, end, fill, names, path, server, with_flags};
use damselfly_tests::{Digest, Redis, RedisVersion, Server, TempDir, digest, eventually};
use std::time::{Duration, UNIX_EPOCH};

fn redis(dir: &TempDir, name: &str) -> Redis {
    of_version(RedisVersion::V70, dir, name).unwrap_or_else(|error| panic!("{error}"))
}

/// A Redis that loads this file, if it can.
pub(crate) fn of_version(
    version: RedisVersion,
    dir: &TempDir,
    name: &str,
) -> std::io::Result<Redis> {
    let dir = dir.path().to_str().unwrap();
    let options = ["--dir", dir, "--dbfilename", name, "--loglevel", "notice"];
    let theirs = Redis::try_start(version, &options)?;
    // DEBUG DIGEST answers while it loads.
    await_loaded(&mut theirs.client());
    Ok(theirs)
}

#[test]
fn an_rdb_file_goes_to_redis_and_comes_back() {
    let dir = directory();
    let ours = server(&dir, "unused", 3);
    let mut client = ours.client();
    fill(&mut client);
    let expected = digest(&mut client, Digest::Plain);
    client.ok("SAVE RDB there");
    let theirs = redis(&dir, "there.rdb");
    assert_eq!(digest(&mut theirs.client(), Digest::Plain), expected);
    theirs.client().ok("SAVE");
    client.ok("FLUSHALL");
    client.ok("DFLY LOAD there.rdb");
    assert_eq!(digest(&mut client, Digest::Plain), expected);
    // And from the start on.
    let third = server(&dir, "there.rdb", 2);
    assert_eq!(digest(&mut third.client(), Digest::Plain), expected);
}

#[test]
fn libraries_of_functions_are_in_them() {
    let dir = directory();
    let ours = server(&dir, "dump", 2);
    let mut client = ours.client();
    let code = "#!lua name=lib\nredis.register_function('answer', function() return 42 end)";
    client.try_call(&["FUNCTION", "LOAD", code]).unwrap();
    client.ok("SAVE RDB there");
    end(ours);
    let again = server(&dir, "dump", 3);
    let mut client = again.client();
    assert_eq!(client.integer("FCALL answer 0"), 42);
    assert_eq!(
        redis(&dir, "there.rdb").client().integer("FCALL answer 0"),
        42
    );
    client.ok("FUNCTION FLUSH");
    client.ok("DFLY LOAD there.rdb");
    assert_eq!(client.integer("FCALL answer 0"), 42);
    client.ok("DEBUG RELOAD");
    assert_eq!(client.integer("FCALL answer 0"), 42);
}

#[test]
fn the_version_of_rdb_files_is_chosen() {
    let dir = directory();
    let ours = with_flags(&dir, "dump", 2, &["--rdb_version=10"]);
    let mut client = ours.client();
    fill(&mut client);
    let expected = digest(&mut client, Digest::Plain);
    for (version, name) in [
        ("9", "nine"),
        ("10", "ten"),
        ("11", "eleven"),
        ("12", "twelve"),
    ] {
        client.ok(&format!("CONFIG SET rdb_version {version}"));
        client.ok(&format!("SAVE RDB {name}"));
        let file = std::fs::read(dir.path().join(format!("{name}.rdb"))).unwrap();
        assert!(file.starts_with(format!("REDIS{version:0>4}").as_bytes()));
        client.ok(&format!("DFLY LOAD {name}.rdb"));
        assert_eq!(digest(&mut client, Digest::Plain), expected, "{version}");
    }
    client.ok("CONFIG SET rdb_version 10");
    client.ok("BGSAVE RDB background");
    assert!(await_saved(&mut client));
    assert!(client.call("CONFIG SET rdb_version 8").as_error().is_some());
    for (version, name) in [
        (RedisVersion::V62, "nine.rdb"),
        (RedisVersion::V70, "nine.rdb"),
        (RedisVersion::V70, "ten.rdb"),
        (RedisVersion::V70, "background.rdb"),
    ] {
        let theirs = of_version(version, &dir, name).unwrap();
        let found = digest(&mut theirs.client(), Digest::Plain);
        assert_eq!(found, expected, "{version:?} {name}");
    }
    for (version, name, why) in [
        (RedisVersion::V62, "ten.rdb", "RDB format version 10"),
        (RedisVersion::V70, "eleven.rdb", "RDB format version 11"),
    ] {
        let error = of_version(version, &dir, name).expect_err("it can't read it");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn formats_and_names() {
    let dir = directory();
    let ours = with_flags(&dir, "dump", 2, &["--nodf_snapshot_format"]);
    let mut client = ours.client();
    fill(&mut client);
    let expected = digest(&mut client, Digest::Strict);
    client.ok("SAVE");
    assert_eq!(names(&dir), ["dump.rdb"]);
    client.ok("SAVE DF");
    assert_eq!(
        names(&dir),
        [
            "dump-0000.dfs",
            "dump-0001.dfs",
            "dump-summary.dfs",
            "dump.rdb"
        ]
    );
    assert!(client.integer("LASTSAVE") > 0);
    assert_eq!(client.info("persistence")["rdb_saves"], "2");
    assert_eq!(
        client.info("persistence")["rdb_changes_since_last_save"],
        "0"
    );
    client.ok("DEBUG RELOAD");
    assert_eq!(digest(&mut client, Digest::Strict), expected);
    for file in ["dump-summary.dfs", "dump.rdb"] {
        client.ok("SET more data");
        client.ok(&format!("DFLY LOAD {file}"));
        assert_eq!(digest(&mut client, Digest::Strict), expected, "{file}");
    }
    drop(ours);
    // Another number of shards takes the same files, and writes fewer or more of them.
    let other = server(&dir, "dump", 1);
    assert_eq!(digest(&mut other.client(), Digest::Strict), expected);
    end(other);
    assert_eq!(
        names(&dir),
        ["dump-0000.dfs", "dump-summary.dfs", "dump.rdb"]
    );
}

#[test]
fn the_newest_of_several_times_is_loaded() {
    let dir = directory();
    let name = "dump-{timestamp}";
    for number in ["1", "2"] {
        let server = server(&dir, name, 2);
        server.client().ok(&format!("SET number {number}"));
        end(server);
        // Names have seconds.
        let second = || UNIX_EPOCH.elapsed().expect("a clock").as_secs();
        let before = second();
        eventually(Duration::from_secs(5), "the next second", || {
            second() > before
        });
    }
    assert_eq!(names(&dir).len(), 6);
    let last = server(&dir, name, 2);
    assert_eq!(last.client().text("GET number"), "2");
}

#[test]
fn without_a_name_nothing_is_saved_or_loaded_unasked() {
    let dir = directory();
    let server = server(&dir, "", 2);
    server.client().ok("SET a b");
    end(server);
    assert!(names(&dir).is_empty());
    let flag = format!("--dir={}", dir.path().display());
    let empty = Server::start(&[&flag, "--dbfilename=there"]);
    await_loaded(&mut empty.client());
    assert_eq!(empty.client().integer("DBSIZE"), 0);
    assert!(!path(&dir, "there-summary.dfs").exists());
}
