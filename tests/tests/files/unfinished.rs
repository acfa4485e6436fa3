//! Servers that end, or save, while a full sync or a load is half done: the file of what was there before stays as it is.

use crate::crashes::SmallDisk;
use crate::{DEADLINE, await_loaded, directory, error, fill, names, path, server};
use damselfly_tests::{
    Client, Digest, Direction, FaultProxy, Redis, RedisVersion, Server, TempDir, await_synced,
    digest, eventually, replicaof,
};
use std::net::SocketAddr;

/// More than sockets take on the way.
const MANY_KEYS: &str = "DEBUG POPULATE 60000 new 300";
/// How much comes before the link stands still.
const HALF_BYTES: u64 = 3 << 20;

/// A Redis that sends many bytes, however much alike they are.
fn redis() -> Redis {
    let redis = Redis::with_options(RedisVersion::V70, &["--rdbcompression", "no"]);
    redis.client().ok(MANY_KEYS);
    redis
}

/// The files of a directory, with all that is in them.
fn contents(dir: &TempDir) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let bytes = std::fs::read(path(dir, &name)).unwrap();
        (name, bytes)
    };
    names(dir).into_iter().map(read).collect()
}

fn is_loading(client: &mut Client) -> bool {
    client.info("persistence")["loading"] == "1"
}

/// A server with data in a file, that has discarded it for that of a primary, of which only a half comes.
struct Half {
    dir: TempDir,
    before: Vec<(String, Vec<u8>)>,
    expected: String,
    replica: Server,
    _network: FaultProxy,
}

impl Half {
    fn begin(primary: SocketAddr) -> Half {
        let dir = directory();
        let replica = server(&dir, "dump", 2);
        let mut client = replica.client();
        fill(&mut client);
        client.ok("SAVE");
        let network = FaultProxy::new(primary);
        let expected = digest(&mut client, Digest::Strict);
        network.delay(std::time::Duration::from_millis(5));
        replicaof(&mut client, network.address());
        eventually(DEADLINE, "a half of the full sync", || {
            network.moved(Direction::FromTarget) > HALF_BYTES
        });
        network.stall(true);
        assert!(is_loading(&mut client), "{}", replica.log());
        Half {
            before: contents(&dir),
            dir,
            expected,
            replica,
            _network: network,
        }
    }

    /// Nothing of the file was lost, and a server that is started from it has what was there before.
    fn keeps_its_file(self) {
        let Half {
            dir,
            before,
            expected,
            replica,
            ..
        } = self;
        drop(replica);
        assert!(contents(&dir) == before, "{:?}", names(&dir));
        let again = server(&dir, "dump", 2);
        assert_eq!(digest(&mut again.client(), Digest::Strict), expected);
    }
}

fn ends(primary: SocketAddr) {
    let mut killed = Half::begin(primary);
    killed.replica.kill();
    killed.keeps_its_file();
    let mut terminated = Half::begin(primary);
    let status = terminated.replica.terminate(DEADLINE).expect("it ends");
    assert!(status.success(), "{}", terminated.replica.log());
    terminated.keeps_its_file();
    let mut saving = Half::begin(primary);
    drop(saving.replica.client().try_call(&["SHUTDOWN", "SAVE"]));
    eventually(DEADLINE, "the end", || {
        saving.replica.exit_status().is_some()
    });
    saving.keeps_its_file();
}

#[test]
fn a_full_sync_that_does_not_end_costs_no_file() {
    let primary = Server::with_shards(2);
    primary.client().ok(MANY_KEYS);
    ends(primary.address());
}

#[test]
fn a_full_sync_from_redis_that_does_not_end_costs_no_file() {
    let primary = redis();
    ends(primary.address());
}

/// The planned times go on, and so do those who ask for a save.
#[test]
fn a_part_of_a_full_sync_is_not_saved() {
    let primary = redis();
    let half = Half::begin(primary.address());
    let mut client = half.replica.client();
    for command in ["SAVE", "BGSAVE"] {
        assert!(error(client.call(command)).starts_with("LOADING"));
    }
    client
        .try_call(&["CONFIG", "SET", "snapshot_cron", "* * * * * *"])
        .unwrap();
    eventually(DEADLINE, "a planned save", || {
        half.replica
            .log()
            .contains("no snapshot at the planned time")
    });
    assert_eq!(client.info("persistence")["rdb_last_bgsave_status"], "ok");
    half.keeps_its_file();
}

#[test]
fn killed_while_it_loads_another_file() {
    let dir = directory();
    let mut ours = server(&dir, "dump", 2);
    let mut client = ours.client();
    client.ok("DEBUG POPULATE 60000 other 100");
    client.ok("SAVE RDB other");
    client.ok("FLUSHALL");
    fill(&mut client);
    client.ok("SAVE");
    let (expected, before) = (digest(&mut client, Digest::Strict), contents(&dir));
    let mut observer = ours.client();
    client.send(&["DFLY", "LOAD", "other.rdb"]).unwrap();
    eventually(DEADLINE, "it to load", || is_loading(&mut observer));
    ours.kill();
    assert!(contents(&dir) == before);
    let again = server(&dir, "dump", 2);
    assert_eq!(digest(&mut again.client(), Digest::Strict), expected);
}

/// Neither writes anything; a save afterwards fails, and the old file is there still.
#[test]
fn a_full_disk_is_no_obstacle_to_loads_and_full_syncs() {
    let disk = SmallDisk::mount();
    let dir = &disk.0;
    let mut ours = server(dir, "dump.rdb", 2);
    fill(&mut ours.client());
    ours.client().ok("SAVE");
    let expected = digest(&mut ours.client(), Digest::Strict);
    ours.kill();
    let _ = std::fs::write(path(dir, "filler"), vec![1; 2 << 20]);
    let before = contents(dir);
    let mut ours = server(dir, "dump.rdb", 2);
    assert_eq!(digest(&mut ours.client(), Digest::Strict), expected);
    let primary = redis();
    let mut client = ours.client();
    replicaof(&mut client, primary.address());
    await_synced(DEADLINE, &mut client).unwrap();
    assert_eq!(client.integer("DBSIZE"), 60_000);
    save_fails(&mut client);
    assert!(contents(dir) == before, "{:?}", names(dir));
    // A value of which the most goes to a file beside.
    client.ok("REPLICAOF NO ONE");
    client.ok("FLUSHALL");
    client.ok("DEBUG POPULATE 1 hash 60 TYPE HASH ELEMENTS 30000");
    save_fails(&mut client);
    assert!(contents(dir) == before, "{:?}", names(dir));
    ours.kill();
    let again = server(dir, "dump.rdb", 2);
    await_loaded(&mut again.client());
    assert_eq!(digest(&mut again.client(), Digest::Strict), expected);
}

fn save_fails(client: &mut Client) {
    let text = error(client.call("SAVE"));
    assert!(
        text.contains("dump.rdb") && text.contains("No space left"),
        "{text}"
    );
}
