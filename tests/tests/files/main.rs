//! Snapshots in files: what is in them, who reads them, and what is left when something goes wrong.

mod big_values;
mod crashes;
mod foreign;
mod older;
mod point_in_time;
mod reload;
mod restarts;
mod unfinished;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Server, TempDir, eventually};
use std::path::PathBuf;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);

/// A directory for snapshots.
fn directory() -> TempDir {
    TempDir::new("files").unwrap()
}

/// A server with its snapshots in this directory, under this name.
fn server(dir: &TempDir, name: &str, shards: usize) -> Server {
    with_flags(dir, name, shards, &[])
}

fn with_flags(dir: &TempDir, name: &str, shards: usize, flags: &[&str]) -> Server {
    let started = try_start(dir, name, shards, flags);
    started.unwrap_or_else(|error| panic!("{error}"))
}

/// Starts a server, and waits until it has loaded what is there.
fn try_start(dir: &TempDir, name: &str, shards: usize, flags: &[&str]) -> std::io::Result<Server> {
    let mut all = vec![
        format!("--dir={}", dir.path().display()),
        format!("--dbfilename={name}"),
        format!("--proactor_threads={shards}"),
    ];
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let server = Server::try_start(&all)?;
    await_loaded(&mut server.client());
    Ok(server)
}

fn await_loaded(client: &mut Client) {
    eventually(DEADLINE, "the data to be loaded", || {
        client.info("persistence")["loading"] == "0"
    });
}

/// Waits for the end of a BGSAVE; whether it went well.
fn await_saved(client: &mut Client) -> bool {
    eventually(DEADLINE, "the save to end", || {
        client.info("persistence")["rdb_bgsave_in_progress"] == "0"
    });
    client.info("persistence")["rdb_last_bgsave_status"] == "ok"
}

/// Ends a server with SIGTERM: it saves.
fn end(mut server: Server) {
    let status = server.terminate(DEADLINE).expect("it ends");
    assert!(status.success(), "{}", server.log());
}

/// Some keys of every type, with expiry times.
fn fill(client: &mut Client) {
    for line in [
        "DEBUG POPULATE 500 text 20",
        "DEBUG POPULATE 40 hash 10 TYPE HASH ELEMENTS 20",
        "DEBUG POPULATE 40 set 10 TYPE SET ELEMENTS 20",
        "DEBUG POPULATE 40 zset 10 TYPE ZSET ELEMENTS 20",
        "DEBUG POPULATE 40 list 10 TYPE LIST ELEMENTS 20",
        "DEBUG POPULATE 1 bighash 30 TYPE HASH ELEMENTS 4000",
        "DEBUG POPULATE 1 bigtext 300000",
        "XADD stream 1-1 field value",
        "XGROUP CREATE stream group 0",
        "XREADGROUP GROUP group one STREAMS stream >",
        "SET expiring value PXAT 4102444800123",
        "SET number 42",
        "SELECT 3",
        "SET elsewhere value",
        "SELECT 0",
    ] {
        let reply = client.call(line);
        assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply:?}");
    }
}

/// The files in a directory, by name.
fn names(dir: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn path(dir: &TempDir, name: &str) -> PathBuf {
    dir.path().join(name)
}

/// The text of an error.
fn error(reply: Reply) -> String {
    match reply {
        Reply::Error(text) => String::from_utf8_lossy(&text).into_owned(),
        other => panic!("no error: {other:?}"),
    }
}
