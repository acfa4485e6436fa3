//! Servers made of maps, in one thread and in virtual time.
#![allow(dead_code)]

pub mod map;
pub mod net;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use damselfly_replication::{
    PrimaryConfig, ReplicaConfig,
    driver::{LinkOptions, Random, ReplicaOfHandle, serve_connection},
    replica::LinkPhase,
};
use map::MapSet;
use net::Net;
use tokio::task::LocalSet;

/// A seeded source of numbers (SplitMix64).
pub fn random(seed: u64) -> Random {
    let state = Arc::new(AtomicU64::new(seed));
    Random::new(move || {
        let mut mixed = state.fetch_add(0x9e37_79b9_7f4a_7c15, SeqCst);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// One server: a map that others may follow, and that may follow others.
#[derive(Clone, Debug)]
pub struct Server {
    pub map: MapSet,
    pub role: ReplicaOfHandle,
    pub port: u16,
}

impl Server {
    pub fn start(net: &Net, port: u16, shards: usize) -> Server {
        Server::start_at_level(net, port, shards, 1)
    }

    /// Level 0 hides what Dragonfly does not have.
    pub fn start_at_level(net: &Net, port: u16, shards: usize, level: u8) -> Server {
        let random = random(u64::from(port) * 7919);
        let map = MapSet::new(
            shards,
            random.clone(),
            PrimaryConfig {
                output_limit: 64 << 10,
                level,
                ..PrimaryConfig::default()
            },
        );
        let config = ReplicaConfig {
            announce_port: port,
            client_id: format!("server {port}"),
            level,
            ..ReplicaConfig::default()
        };
        let role = ReplicaOfHandle::start(
            map.clone(),
            LinkOptions {
                config,
                connect: net.clone(),
                random,
            },
        );
        let (hub, mut listener) = (map.hub(), net.listen(port));
        tokio::task::spawn_local(async move {
            while let Some(stream) = listener.recv().await {
                let hub = hub.clone();
                tokio::task::spawn_local(async move {
                    serve_connection(hub, stream, "127.0.0.1", None).await
                });
            }
        });
        Server { map, role, port }
    }

    pub async fn follow(&self, other: &Server) {
        self.role
            .follow("localhost", other.port)
            .await
            .expect("greeted");
    }

    pub fn phase(&self) -> Option<LinkPhase> {
        self.role.status().1.map(|link| link.phase)
    }

    pub fn psyncs(&self) -> u64 {
        self.role
            .status()
            .1
            .map_or(0, |link| link.stats.psync_successes)
    }

    pub fn full_syncs(&self) -> u32 {
        self.map.state().full_syncs.get()
    }

    pub async fn wait_for_stable(&self) {
        wait_until("stable sync", || {
            self.phase() == Some(LinkPhase::StableSync)
        })
        .await;
    }

    /// Waits until this replica holds what `primary` holds.
    pub async fn wait_for(&self, primary: &Server) {
        wait_until("equal contents", || {
            self.phase() == Some(LinkPhase::StableSync)
                && self.map.contents() == primary.map.contents()
        })
        .await;
    }
}

pub async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("timed out waiting for {what}");
}

/// Runs a test in one thread and in virtual time.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, test);
}
