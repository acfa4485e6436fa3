//! Disks that are full, files that are torn, servers that are killed.

use crate::{
    DEADLINE, await_loaded, directory, error, fill, names, path, server, try_start, with_flags,
};
use damselfly_tests::{Digest, Server, TempDir, digest, eventually};
use std::process::Command;
use std::time::Duration;

fn is_temporary(name: &str) -> bool {
    name.ends_with(".damselfly-tmp")
}

/// Whatever moment it is killed at: the old snapshot is there, or the new one, and nothing else.
#[test]
fn killed_while_it_saves() {
    let dir = directory();
    let mut ours = server(&dir, "dump", 2);
    let mut client = ours.client();
    client.ok("DEBUG POPULATE 8000 pad 100");
    client.ok("SAVE");
    let mut old = digest(&mut client, Digest::Strict);
    for delay_ms in [0, 3, 10, 25, 60] {
        let mut client = ours.client();
        client.ok(&format!("SET round {delay_ms}"));
        let new = digest(&mut client, Digest::Strict);
        client.send(&["SAVE"]).unwrap();
        // A moment is what is meant.
        std::thread::sleep(Duration::from_millis(delay_ms));
        ours.kill();
        ours = server(&dir, "dump", 2);
        let found = digest(&mut ours.client(), Digest::Strict);
        assert!(found == old || found == new, "after {delay_ms} ms");
        assert!(
            !names(&dir).iter().any(|name| is_temporary(name)),
            "{:?}",
            names(&dir)
        );
        old = found;
    }
}

#[test]
fn killed_while_it_loads() {
    let dir = directory();
    let mut ours = server(&dir, "dump", 2);
    ours.client().ok("DEBUG POPULATE 60000 pad 100");
    ours.client().ok("SAVE");
    let expected = digest(&mut ours.client(), Digest::Strict);
    ours.kill();
    let flag = format!("--dir={}", dir.path().display());
    let mut loading = Server::start(&[&flag, "--dbfilename=dump", "--proactor_threads=2"]);
    assert_eq!(loading.client().info("persistence")["loading"], "1");
    loading.kill();
    let ours = server(&dir, "dump", 2);
    assert_eq!(digest(&mut ours.client(), Digest::Strict), expected);
}

/// A crash between the summary's name and the names of its shards' files.
#[test]
fn a_set_whose_summary_is_there_is_completed() {
    let dir = directory();
    let mut ours = server(&dir, "dump", 2);
    fill(&mut ours.client());
    ours.client().ok("SAVE");
    let expected = digest(&mut ours.client(), Digest::Strict);
    ours.kill();
    let summary = std::fs::read(path(&dir, "dump-summary.dfs")).unwrap();
    let text = String::from_utf8_lossy(&summary);
    let id = text.split("damselfly-snapshot").nth(1).unwrap();
    // A length of one byte, then the digits.
    let id: String = id[1..].chars().take_while(char::is_ascii_digit).collect();
    let temporary = format!(
        "dump-0001.dfs.{:016x}.damselfly-tmp",
        id.parse::<u64>().unwrap()
    );
    std::fs::rename(path(&dir, "dump-0001.dfs"), path(&dir, &temporary)).unwrap();
    std::fs::write(
        path(&dir, "dump-0000.dfs.00000000000000aa.damselfly-tmp"),
        "x",
    )
    .unwrap();
    let ours = server(&dir, "dump", 2);
    assert_eq!(digest(&mut ours.client(), Digest::Strict), expected);
    assert_eq!(
        names(&dir),
        ["dump-0000.dfs", "dump-0001.dfs", "dump-summary.dfs"]
    );
}

#[test]
fn torn_and_corrupt_files_are_named_and_nothing_is_lost() {
    let dir = directory();
    let ours = server(&dir, "", 2);
    let mut client = ours.client();
    fill(&mut client);
    let expected = digest(&mut client, Digest::Strict);
    client.ok("SAVE RDB good");
    client.ok("SAVE DF set");
    let good = std::fs::read(path(&dir, "good.rdb")).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0x55;
    std::fs::write(path(&dir, "flipped.rdb"), flipped).unwrap();
    std::fs::write(path(&dir, "torn.rdb"), &good[..good.len() / 2]).unwrap();
    std::fs::write(path(&dir, "empty.rdb"), "").unwrap();
    std::fs::remove_file(path(&dir, "set-0001.dfs")).unwrap();
    for (file, named) in [
        ("flipped", "flipped.rdb"),
        ("torn", "torn.rdb"),
        ("empty", "empty.rdb"),
        ("absent", "absent.rdb"),
    ] {
        let text = error(client.call(&format!("DFLY LOAD {file}.rdb")));
        assert!(text.contains(named), "{text}");
        assert_eq!(digest(&mut client, Digest::Strict), expected, "{file}");
    }
    let text = error(client.call("DFLY LOAD set-summary.dfs"));
    assert!(text.contains("set-0001.dfs"), "{text}");
    assert_eq!(digest(&mut client, Digest::Strict), expected);
    // A start does not begin without the data.
    for name in ["flipped.rdb", "torn.rdb", "set"] {
        let refused = refused(&dir, name);
        let file = if name == "set" { "set-0001.dfs" } else { name };
        assert!(
            refused.contains(file) && refused.contains("cannot be loaded"),
            "{refused}"
        );
    }
}

/// What a server prints that does not start.
fn refused(dir: &TempDir, name: &str) -> String {
    let flags = [
        "--port=-1".to_owned(),
        "--bind=127.0.0.1".to_owned(),
        format!("--dir={}", dir.path().display()),
        format!("--dbfilename={name}"),
    ];
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let mut process = Server::bare(&flags, &[]);
    eventually(DEADLINE, "the server to give up", || {
        process
            .exit_status()
            .is_some_and(|status| !status.success())
    });
    process.log()
}

/// A file system of one megabyte.
pub struct SmallDisk(pub TempDir);

impl SmallDisk {
    pub fn mount() -> SmallDisk {
        let dir = directory();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(dir.path())
            .status()
            .expect("mount is there");
        assert!(
            mounted.success(),
            "this test mounts a small tmpfs: run it as root"
        );
        SmallDisk(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_costs_the_save_and_nothing_else() {
    let disk = SmallDisk::mount();
    let dir = &disk.0;
    let ours = with_flags(dir, "dump", 2, &[]);
    let mut client = ours.client();
    client.ok("SET small 1");
    client.ok("SAVE");
    let old = names(dir);
    client.ok("DEBUG POPULATE 30000 pad 100");
    for command in ["SAVE", "SAVE RDB"] {
        let text = error(client.call(command));
        assert!(
            text.contains("dump") && text.contains("No space left"),
            "{text}"
        );
        assert!(text.contains("offset"), "{text}");
        assert_eq!(names(dir), old);
    }
    assert_eq!(client.info("persistence")["rdb_last_bgsave_status"], "err");
    let text = error(client.call("SHUTDOWN"));
    assert!(text.contains("Errors trying to SHUTDOWN"), "{text}");
    client.ok("SET alive 1");
    client.ok("FLUSHALL");
    client.ok("SAVE");
    assert_eq!(client.info("persistence")["rdb_last_bgsave_status"], "ok");
    drop(ours);
    let again = server(dir, "dump", 2);
    assert_eq!(again.client().integer("DBSIZE"), 0);
}

#[test]
fn a_directory_that_is_gone_is_named() {
    let dir = directory();
    let ours = server(&dir, "dump", 2);
    std::fs::remove_dir(dir.path()).unwrap();
    let mut client = ours.client();
    for command in ["SAVE", "BGSAVE"] {
        let text = error(client.call(command));
        assert!(text.contains(dir.path().to_str().unwrap()), "{text}");
    }
    client.ok("SET alive 1");
    let started = try_start(&dir, "dump", 2, &[]).unwrap_err().to_string();
    assert!(started.contains(dir.path().to_str().unwrap()), "{started}");
    std::fs::create_dir(dir.path()).unwrap();
    client.ok("SAVE");
    await_loaded(&mut client);
}
