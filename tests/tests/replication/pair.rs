//! A primary and its replica, with a network between them that can break.

use std::net::SocketAddr;
use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::commands::{Workload, run_workload};
use damselfly_tests::{
    Client, Digest, FaultProxy, Psync, Server, await_synced, eventually, replicaof, same_data,
};

/// For whatever is waited for: these servers share two cores with others.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// What holds a full sync up long enough for something to be done in its midst.
const SLOWNESS: Duration = Duration::from_millis(25);

/// Both servers.
pub struct Pair {
    pub primary: Server,
    pub replica: Server,
    /// What the replica follows.
    pub network: FaultProxy,
}

impl Pair {
    /// Two servers with these numbers of shards; the replica does not follow yet.
    pub fn apart(primary: usize, replica: usize) -> Pair {
        let (primary, replica) = (Server::with_shards(primary), Server::with_shards(replica));
        let network = FaultProxy::new(primary.address());
        Pair {
            primary,
            replica,
            network,
        }
    }

    /// Two servers, the replica in stable sync.
    pub fn synced(primary: usize, replica: usize) -> Pair {
        let pair = Pair::apart(primary, replica);
        pair.follow();
        pair.await_synced();
        pair
    }

    /// Two servers with some 3 MB of data, the replica in the midst of a full sync that takes its time.
    pub fn amid_full_sync(primary: usize, replica: usize) -> Pair {
        let pair = Pair::apart(primary, replica);
        pair.primary.client().ok("DEBUG POPULATE 6000 pad 500 RAND");
        pair.follow_slowly();
        pair
    }

    /// Makes the replica one, over a link that is slow from the greeting on, and waits for its full sync to begin.
    pub fn follow_slowly(&self) {
        self.follow();
        self.network.delay(SLOWNESS);
        eventually(DEADLINE, "a full sync", || self.is_in_full_sync());
    }

    /// Makes the replica one.
    pub fn follow(&self) {
        follow(&self.replica, self.network.address());
    }

    pub fn await_synced(&self) {
        synced(&self.replica);
    }

    pub fn is_in_full_sync(&self) -> bool {
        self.replica.client().info("replication")["master_sync_in_progress"] == "1"
    }

    /// The rest of a full sync goes fast.
    pub fn hurry(&self) {
        self.network.delay(Duration::ZERO);
    }

    /// Both hold the same in the end; nobody else writes meanwhile.
    #[track_caller]
    pub fn settle(&self) {
        self.hurry();
        settle(&self.primary, &self.replica);
    }

    /// Cuts the link, lets something be done at its ends, and lets the replica come back.
    pub fn while_cut(&self, work: impl FnOnce()) {
        self.network.refuse(true);
        self.network.cut_all();
        work();
        self.network.refuse(false);
    }

    /// How the replica came to its data.
    pub fn psync(&self) -> Psync {
        psync(&self.replica)
    }
}

/// How a replica came to its data.
pub fn psync(replica: &Server) -> Psync {
    Psync::of(&mut replica.client())
}

/// REPLICAOF, which is answered by OK.
#[track_caller]
pub fn follow(replica: &Server, primary: SocketAddr) {
    let reply = replicaof(&mut replica.client(), primary);
    assert_eq!(reply, Reply::Simple(b"OK".to_vec()));
}

/// Waits for stable sync.
#[track_caller]
pub fn synced(replica: &Server) {
    if let Err(error) = await_synced(DEADLINE, &mut replica.client()) {
        panic!("{error}");
    }
}

/// A replica follows and holds the same as its primary in the end.
#[track_caller]
pub fn settle(primary: &Server, replica: &Server) {
    synced(replica);
    same_data(
        DEADLINE,
        &mut primary.client(),
        &mut replica.client(),
        Digest::Strict,
    );
}

/// Writes of all types, another sequence for each seed.
#[track_caller]
pub fn write(server: &Server, seed: u64, commands: usize) {
    let mut workload = Workload::new(seed, "mixed:", 40);
    let done = run_workload(&mut server.client(), &mut workload, commands);
    assert!(done.expect("the writer's connection lasts") > commands / 2);
}

/// The text of an error reply; empty if it is none.
pub fn error(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.as_error().unwrap_or_default()).into_owned()
}

/// `DEBUG REPLICA OFFSET`: the next LSN of each flow; none before stable sync.
pub fn offsets(replica: &mut Client) -> Vec<i64> {
    let reply = replica.ok("DEBUG REPLICA OFFSET");
    match reply.as_items() {
        Some([_, lsns]) => integers(lsns),
        _ => panic!("DEBUG REPLICA OFFSET: {reply:?}"),
    }
}

/// An array of integers.
pub fn integers(reply: &Reply) -> Vec<i64> {
    let items = reply.as_items().unwrap_or_default().iter();
    items.filter_map(Reply::as_integer).collect()
}
