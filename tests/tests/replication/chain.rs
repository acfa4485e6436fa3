//! A replica of a replica.

use damselfly_tests::{FaultProxy, Server, eventually};

use crate::pair::{DEADLINE, follow, offsets, psync, settle, synced, write};

/// A ← B ← C, with a network at each arrow.
struct Chain {
    servers: [Server; 3],
    networks: [FaultProxy; 2],
}

impl Chain {
    fn new(shards: [usize; 3]) -> Chain {
        let servers = shards.map(Server::with_shards);
        let networks = [0, 1].map(|above: usize| FaultProxy::new(servers[above].address()));
        for (network, replica) in networks.iter().zip(&servers[1..]) {
            follow(replica, network.address());
            synced(replica);
        }
        Chain { servers, networks }
    }

    #[track_caller]
    fn settle(&self) {
        let [a, b, c] = &self.servers;
        settle(a, b);
        settle(a, c);
    }

    /// What is written while a link is cut comes through all the same.
    #[track_caller]
    fn cut(&self, link: usize, seed: u64) {
        let replica = &self.servers[link + 1];
        let before = psync(replica);
        self.networks[link].refuse(true);
        self.networks[link].cut_all();
        write(&self.servers[0], seed, 300);
        self.networks[link].refuse(false);
        eventually(DEADLINE, "a partial sync", || {
            psync(replica).successes > before.successes
        });
        assert_eq!(psync(replica).full_syncs, before.full_syncs);
        self.settle();
    }
}

#[test]
fn each_link_of_a_chain_breaks_alone() {
    for shards in [[2, 2, 2], [2, 3, 1], [3, 1, 2]] {
        let chain = Chain::new(shards);
        write(&chain.servers[0], 1, 500);
        chain.settle();
        let [_, b, c] = &chain.servers;
        chain.cut(0, 2);
        assert_eq!(
            psync(c).reconnects,
            0,
            "{shards:?}: C has nothing to do with the link of B"
        );
        let reconnects = psync(b).reconnects;
        chain.cut(1, 3);
        assert_eq!(psync(b).reconnects, reconnects, "{shards:?}");
    }
}

#[test]
fn the_end_of_a_chain_goes_on_with_the_root() {
    let mut chain = Chain::new([2, 2, 2]);
    write(&chain.servers[0], 1, 500);
    chain.settle();
    let [a, b, c] = &mut chain.servers;
    assert_eq!(
        offsets(&mut b.client()),
        offsets(&mut c.client()),
        "a relay hands records on as they came"
    );
    b.kill();
    write(a, 2, 300);
    follow(c, a.address());
    settle(a, c);
    let found = psync(c);
    assert_eq!((found.successes, found.full_syncs), (1, 0));
}

#[test]
fn a_full_sync_of_the_middle_reaches_the_end() {
    let chain = Chain::new([2, 2, 2]);
    write(&chain.servers[0], 1, 300);
    chain.settle();
    let other = Server::with_shards(2);
    write(&other, 9, 300);
    follow(&chain.servers[1], other.address());
    settle(&other, &chain.servers[1]);
    settle(&other, &chain.servers[2]);
    assert_eq!(psync(&chain.servers[2]).full_syncs, 2);
    write(&other, 10, 300);
    settle(&other, &chain.servers[2]);
}
