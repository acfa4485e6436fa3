//! Servers of maps follow each other over a network in memory, in virtual time.

mod common;

use common::{Server, net::Net, random, run, wait_until};
use damselfly_replication::replica::{LinkPhase, Role};
use std::time::Duration;

async fn fill(server: &Server, from: usize, to: usize) {
    for n in from..to {
        server
            .map
            .set(
                (n % 3) as u16,
                &[(
                    &format!("key:{n}"),
                    &format!("value {n} {}", "x".repeat(n % 90)),
                )],
            )
            .await;
    }
}

#[test]
fn a_replica_takes_a_full_sync_and_then_every_write() {
    run(async {
        let net = Net::default();
        let (primary, replica) = (Server::start(&net, 1, 3), Server::start(&net, 2, 3));
        fill(&primary, 0, 2_000).await;
        fill(&replica, 0, 10).await;
        replica.follow(&primary).await;
        for n in 0..500 {
            fill(&primary, n * 3, n * 3 + 4).await;
            primary
                .map
                .set(
                    0,
                    &[
                        ("a", &n.to_string()),
                        ("b", &n.to_string()),
                        ("c", &n.to_string()),
                    ],
                )
                .await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        replica.wait_for(&primary).await;
        assert_eq!(replica.map.next_lsns(), primary.map.next_lsns());
        assert_eq!(replica.role.status().0, Role::Replica("localhost:1".into()));
        let shown = &primary.map.hub().replicas()[0];
        assert_eq!(
            (shown.port, shown.state.to_string().as_str()),
            (2, "stable_sync")
        );
        wait_until("acks", || primary.map.hub().replicas()[0].lag_records == 0).await;
    });
}

#[test]
fn shard_counts_may_differ() {
    run(async {
        let net = Net::default();
        let (primary, replica, third) = (
            Server::start(&net, 1, 4),
            Server::start(&net, 2, 1),
            Server::start(&net, 3, 3),
        );
        fill(&primary, 0, 500).await;
        replica.follow(&primary).await;
        fill(&primary, 300, 700).await;
        replica.wait_for(&primary).await;
        third.follow(&replica).await;
        primary
            .map
            .set(1, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")])
            .await;
        primary.map.flush_all().await;
        fill(&primary, 0, 100).await;
        replica.wait_for(&primary).await;
        third.wait_for(&primary).await;
        let own = replica.role.clone();
        own.follow_no_one().await.expect("promoted");
        fill(&replica, 0, 300).await;
        third.wait_for(&replica).await;
        assert_eq!(third.full_syncs(), 1, "a lineage of its own goes on");
    });
}

#[test]
fn a_broken_link_goes_on_with_partial_sync() {
    run(async {
        let net = Net::default();
        let (primary, replica) = (Server::start(&net, 1, 2), Server::start(&net, 2, 2));
        fill(&primary, 0, 200).await;
        replica.follow(&primary).await;
        replica.wait_for(&primary).await;
        for round in 0..5 {
            net.set_down(true);
            net.cut_all();
            fill(&primary, round * 50, round * 50 + 60).await;
            wait_until("the break", || {
                replica.phase() == Some(LinkPhase::Connecting)
            })
            .await;
            tokio::time::sleep(Duration::from_secs(7)).await;
            net.set_down(false);
            replica.wait_for(&primary).await;
        }
        assert_eq!((replica.full_syncs(), replica.psyncs()), (1, 5));
    });
}

#[test]
fn links_cut_at_any_byte_end_with_equal_contents() {
    for seed in 0..60 {
        run(async move {
            let random = random(seed);
            let net = Net::default();
            let shards = [1, 2, 3][seed as usize % 3];
            let (primary, replica) = (
                Server::start(&net, 1, shards),
                Server::start(&net, 2, if seed % 4 == 3 { 2 } else { shards }),
            );
            fill(&primary, 0, 300).await;
            let cuts = (0..40)
                .map(|_| {
                    (random.next_u64() % [600, 6_000, 60_000][random.next_u64() as usize % 3])
                        as i64
                })
                .collect();
            net.plan_cuts(cuts);
            replica.role.begin_as_replica("localhost", 1);
            for n in 0..300 {
                let value = n.to_string();
                primary
                    .map
                    .set(0, &[(&format!("key:{}", random.next_u64() % 300), &value)])
                    .await;
                primary
                    .map
                    .set(
                        2,
                        &[
                            ("sum:a", &value),
                            ("sum:b", &value),
                            (&format!("sum:{}", n % 7), &value),
                        ],
                    )
                    .await;
                if n % 97 == 50 {
                    primary.map.flush_all().await;
                }
                let contents = replica.map.contents();
                let stable = replica.phase() == Some(LinkPhase::StableSync);
                let sums =
                    [b"sum:a", b"sum:b"].map(|key| contents.get(&(2, key.to_vec())).cloned());
                assert!(
                    !stable || sums[0] == sums[1],
                    "seed {seed}: a torn transaction"
                );
                tokio::time::sleep(Duration::from_millis(random.next_u64() % 40)).await;
            }
            replica.wait_for(&primary).await;
        });
    }
}

#[test]
fn flush_all_inside_a_full_sync_needs_no_restart() {
    run(async {
        let net = Net::default();
        let (primary, replica) = (Server::start(&net, 1, 3), Server::start(&net, 2, 3));
        fill(&primary, 0, 5_000).await;
        replica.follow(&primary).await;
        wait_until("the full sync", || {
            replica.phase() == Some(LinkPhase::FullSync)
        })
        .await;
        primary.map.flush_all().await;
        fill(&primary, 0, 50).await;
        replica.wait_for(&primary).await;
        assert_eq!(replica.full_syncs(), 1);
    });
}

#[test]
fn after_a_failover_siblings_continue_where_that_is_safe() {
    for ahead in [false, true] {
        run(async move {
            let net = Net::default();
            let [a, b, c] = [1, 2, 3].map(|port| Server::start(&net, port, 2));
            fill(&a, 0, 300).await;
            b.follow(&a).await;
            c.follow(&a).await;
            b.wait_for(&a).await;
            c.wait_for(&a).await;
            let behind = if ahead { &b } else { &c };
            behind.role.link().expect("a replica").pause(true);
            fill(&a, 300, 400).await;
            let other = if ahead { &c } else { &b };
            other.wait_for(&a).await;
            net.close(1);
            net.cut_all();
            b.role.follow_no_one().await.expect("promoted");
            fill(&b, 1_000, 1_100).await;
            c.follow(&b).await;
            c.wait_for(&b).await;
            let expected = if ahead { (2, 0) } else { (1, 1) };
            assert_eq!((c.full_syncs(), c.psyncs()), expected, "ahead: {ahead}");
        });
    }
}

#[test]
fn a_chain_is_a_relay_and_survives_its_middle() {
    run(async {
        let net = Net::default();
        let [a, b, c] = [1, 2, 3].map(|port| Server::start(&net, port, 2));
        fill(&a, 0, 300).await;
        b.follow(&a).await;
        b.wait_for(&a).await;
        c.follow(&b).await;
        fill(&a, 200, 500).await;
        c.wait_for(&a).await;
        assert_eq!(c.map.next_lsns(), a.map.next_lsns());
        // The middle is gone: the end follows the root, and goes on.
        c.follow(&a).await;
        fill(&a, 500, 600).await;
        c.wait_for(&a).await;
        assert_eq!((c.full_syncs(), c.psyncs()), (1, 1));
        // A new full sync of the middle replaces what its replicas have.
        c.follow(&b).await;
        c.wait_for(&b).await;
        let d = Server::start(&net, 4, 2);
        fill(&d, 0, 20).await;
        b.follow(&d).await;
        b.wait_for(&d).await;
        c.wait_for(&d).await;
    });
}

#[test]
fn a_failed_replicaof_changes_nothing() {
    run(async {
        let net = Net::default();
        let (primary, replica) = (Server::start(&net, 1, 2), Server::start(&net, 2, 2));
        fill(&primary, 0, 100).await;
        replica.follow(&primary).await;
        replica.wait_for(&primary).await;
        let error = replica
            .role
            .follow("localhost", 99)
            .await
            .expect_err("nobody listens");
        assert!(error.to_string().contains("nobody listens"), "{error}");
        let error = replica
            .role
            .follow("localhost", 2)
            .await
            .expect_err("itself");
        assert!(error.to_string().contains("itself"), "{error}");
        let mut http = net.listen(80);
        tokio::task::spawn_local(async move {
            use tokio::io::AsyncWriteExt;
            while let Some(mut stream) = http.recv().await {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            }
        });
        let error = replica
            .role
            .follow("localhost", 80)
            .await
            .expect_err("no Redis");
        assert!(
            error.to_string().contains("not a Redis-compatible server"),
            "{error}"
        );
        let _silent = net.listen(81);
        let error = replica
            .role
            .follow("localhost", 81)
            .await
            .expect_err("silent");
        assert!(error.to_string().contains("no answer to PING"), "{error}");
        fill(&primary, 100, 200).await;
        replica.wait_for(&primary).await;
        assert_eq!((replica.full_syncs(), replica.psyncs()), (1, 0));
    });
}

#[test]
fn no_one_in_the_middle_of_a_full_sync_is_a_new_data_set() {
    run(async {
        let net = Net::default();
        let (primary, replica) = (Server::start(&net, 1, 2), Server::start(&net, 2, 2));
        fill(&primary, 0, 5_000).await;
        replica.follow(&primary).await;
        wait_until("the full sync", || {
            replica.phase() == Some(LinkPhase::FullSync)
        })
        .await;
        replica.role.follow_no_one().await.expect("promoted");
        assert_eq!(replica.role.status().0, Role::Primary);
        assert!(replica.map.next_lsns().iter().all(|lsn| lsn.0 == 1));
        wait_until("the session's end", || {
            primary.map.hub().replicas().is_empty()
        })
        .await;
        replica.follow(&primary).await;
        replica.wait_for(&primary).await;
        assert_eq!(replica.full_syncs(), 2);
    });
}

#[test]
fn a_frozen_replica_is_dropped_and_writers_wait_no_longer() {
    run(async {
        let net = Net::default();
        let (primary, replica) = (Server::start(&net, 1, 1), Server::start(&net, 2, 1));
        fill(&primary, 0, 100).await;
        replica.follow(&primary).await;
        replica.wait_for(&primary).await;
        replica.role.link().expect("a replica").pause(true);
        let before = tokio::time::Instant::now();
        fill(&primary, 0, 5_000).await;
        let waited = before.elapsed();
        assert!(
            waited > Duration::from_secs(20) && waited < Duration::from_secs(32),
            "{waited:?}"
        );
        assert!(primary.map.hub().replicas().is_empty());
        replica.role.link().expect("a replica").pause(false);
        replica.wait_for(&primary).await;
        assert_eq!((replica.full_syncs(), replica.psyncs()), (1, 1));
    });
}

/// The dialect of Dragonfly, with ours at both ends: no CHECK, no shard counts, flow by flow.
#[test]
fn level_0_replicates_too() {
    run(async {
        let net = Net::default();
        let (primary, replica) = (
            Server::start_at_level(&net, 1, 2, 0),
            Server::start(&net, 2, 2),
        );
        fill(&primary, 0, 3_000).await;
        replica.follow(&primary).await;
        wait_until("the full sync", || {
            replica.phase() == Some(LinkPhase::FullSync)
        })
        .await;
        primary.map.flush_all().await;
        fill(&primary, 0, 50).await;
        replica.wait_for(&primary).await;
        assert_eq!(
            replica.full_syncs(),
            2,
            "a flush inside the full sync starts it again"
        );
        primary.map.flush_all().await;
        fill(&primary, 40, 80).await;
        primary
            .map
            .set(0, &[("a", "1"), ("b", "2"), ("c", "3")])
            .await;
        replica.wait_for(&primary).await;
        net.set_down(true);
        net.cut_all();
        fill(&primary, 70, 100).await;
        tokio::time::sleep(Duration::from_secs(7)).await;
        net.set_down(false);
        replica.wait_for(&primary).await;
        assert_eq!((replica.full_syncs(), replica.psyncs()), (2, 1));
    });
}

#[test]
fn replicaofs_that_overlap_leave_the_last_one() {
    for seed in 0..30 {
        run(async move {
            let random = random(seed);
            let net = Net::default();
            let servers: Vec<Server> = (1..=4).map(|port| Server::start(&net, port, 2)).collect();
            for (n, server) in servers.iter().enumerate() {
                fill(server, n * 100, n * 100 + 50).await;
            }
            let mut asked = Vec::new();
            for _ in 0..12 {
                let (role, port) = (servers[0].role.clone(), 2 + (random.next_u64() % 4) as u16);
                asked.push(tokio::task::spawn_local(async move {
                    match port {
                        5 => (5, role.follow_no_one().await),
                        port => (port, role.follow("localhost", port).await),
                    }
                }));
                tokio::time::sleep(Duration::from_millis(random.next_u64() % 3)).await;
            }
            let mut last = 5;
            for answer in asked {
                // In the order of asking: the last one that says OK is the role.
                let (port, result) = answer.await.expect("no panic");
                match result {
                    Ok(()) => last = port,
                    Err(error) => assert!(error.to_string().contains("cancelled"), "{error}"),
                }
            }
            match last {
                5 => assert_eq!(servers[0].role.status().0, Role::Primary),
                port => {
                    assert_eq!(
                        servers[0].role.status().0,
                        Role::Replica(format!("localhost:{port}"))
                    );
                    servers[0].wait_for(&servers[usize::from(port) - 1]).await;
                }
            }
        });
    }
}

/// Roles change at random under cuts and writes; at rest whoever follows holds what it follows.
#[test]
fn failovers_at_random_end_with_equal_contents() {
    for seed in 0..40 {
        run(async move {
            let random = random(seed);
            let net = Net::default();
            let servers: Vec<Server> = (1..=3).map(|port| Server::start(&net, port, 2)).collect();
            let mut primary = 0;
            for round in 0..6_usize {
                for (n, server) in servers.iter().enumerate().filter(|(n, _)| *n != primary) {
                    // Sometimes in a chain.
                    let up = if n == 2 && random.next_u64().is_multiple_of(3) && primary == 0 {
                        1
                    } else {
                        primary
                    };
                    let _ = server.role.follow("localhost", servers[up].port).await;
                }
                for n in 0..60 {
                    fill(&servers[primary], round * 30 + n, round * 30 + n + 1).await;
                    if random.next_u64().is_multiple_of(20) {
                        net.cut_all();
                    }
                    tokio::time::sleep(Duration::from_millis(random.next_u64() % 20)).await;
                }
                if random.next_u64().is_multiple_of(2) {
                    primary = (primary + 1 + (random.next_u64() % 2) as usize) % 3;
                    servers[primary]
                        .role
                        .follow_no_one()
                        .await
                        .expect("promoted");
                }
            }
            for (_, server) in servers.iter().enumerate().filter(|(n, _)| *n != primary) {
                while server
                    .role
                    .follow("localhost", servers[primary].port)
                    .await
                    .is_err()
                {}
            }
            for server in servers
                .iter()
                .enumerate()
                .filter(|(n, _)| *n != primary)
                .map(|(_, server)| server)
            {
                server.wait_for(&servers[primary]).await;
            }
        });
    }
}
