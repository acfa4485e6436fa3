//! `/metrics`: that Prometheus can read it, and that its figures are right.

use damselfly_tests::http::get;
use damselfly_tests::metrics::Metrics;
use damselfly_tests::{Client, Server, await_synced, eventually_some};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

fn scrape(address: SocketAddr) -> Metrics {
    let answer = get(address, "/metrics", &[]);
    assert_eq!(answer.status, 200);
    Metrics::parse(&answer.body).unwrap_or_else(|error| panic!("{error}\n{}", answer.body))
}

#[test]
fn a_quiet_primary_and_its_replica_say_what_they_are() {
    let primary = Server::with_shards(2);
    let replica = Server::replica_of(primary.address(), 2);
    await_synced(DEADLINE, &mut replica.client()).unwrap();
    let mut client = primary.client();
    for number in 0..100 {
        client.ok(&format!("SET key:{number} value"));
    }
    client.ok("SELECT 3");
    client.ok("SET other 1 EX 1000");
    client.ok("GET other");
    client.ok("GET missing");
    let port = replica.address().port();
    let of_replica = format!(
        "{{replica_ip=\"127.0.0.1\",replica_port=\"{port}\",replica_state=\"stable_sync\"}}"
    );
    let lag = |unit: &str| format!("dragonfly_connected_replica_lag_{unit}{of_replica}");
    let metrics = eventually_some(DEADLINE, "a replica that has acked all", || {
        let metrics = scrape(primary.address());
        (metrics.get(&lag("records")) == Some(0.0)).then_some(metrics)
    });
    let expect = |metrics: &Metrics, name: &str, value: f64| {
        assert_eq!(metrics.get(name), Some(value), "{name}");
    };
    for (name, value) in [
        (lag("bytes").as_str(), 0.0),
        (&lag("milliseconds"), 0.0),
        ("dragonfly_master", 1.0),
        ("dragonfly_connected_replicas", 1.0),
        ("dragonfly_db_keys{db=\"db0\"}", 100.0),
        ("dragonfly_db_keys{db=\"db3\"}", 1.0),
        ("dragonfly_db_keys_expiring{db=\"db3\"}", 1.0),
        ("dragonfly_commands_total{cmd=\"set\"}", 101.0),
        ("dragonfly_keyspace_hits_total", 1.0),
        ("dragonfly_keyspace_misses_total", 1.0),
        ("dragonfly_replication_syncs_total{kind=\"full\"}", 1.0),
        ("dragonfly_replication_syncs_total{kind=\"partial\"}", 0.0),
        ("dragonfly_memory_max_bytes", 0.0),
    ] {
        expect(&metrics, name, value);
    }
    let acked = format!("dragonfly_connected_replica_offset_records{of_replica}");
    let offset = metrics.get("dragonfly_replication_offset_records").unwrap();
    assert!(offset >= 101.0, "{offset}");
    expect(&metrics, &acked, offset);
    assert_eq!(metrics.get("dragonfly_master_link_status"), None);
    let own = scrape(replica.address());
    expect(&own, "dragonfly_master", 0.0);
    expect(&own, "dragonfly_master_link_status", 1.0);
    expect(
        &own,
        "dragonfly_master_link_state{state=\"stable_sync\"}",
        1.0,
    );
    expect(&own, "dragonfly_master_link_state{state=\"broken\"}", 0.0);
    expect(&own, "dragonfly_master_full_syncs_total", 1.0);
    expect(&own, "dragonfly_slave_repl_offset", offset);
    expect(&own, "dragonfly_replica_reconnect_count", 0.0);
    check_info(&mut client, offset);
    accepted_by_promtool(&get(primary.address(), "/metrics", &[]).body);
    accepted_by_promtool(&get(replica.address(), "/metrics", &[]).body);
}

/// What INFO says of the same.
fn check_info(client: &mut Client, offset: f64) {
    let stats = client.info("stats");
    assert_eq!(stats["sync_full"], "1");
    assert_eq!(stats["sync_partial_ok"], "0");
    assert!(stats["total_net_repl_output_bytes"].parse::<u64>().unwrap() > 1_000);
    let replication = client.info("replication");
    let line = &replication["slave0"];
    assert!(
        line.contains(&format!("state=stable_sync,lag=0,offset={offset},")),
        "{line}"
    );
    client.ok("CONFIG SET info_replication_valkey_compatible yes");
    let line = &client.info("replication")["slave0"];
    assert!(line.contains("state=online,lag="), "{line}");
}

/// Where it is installed. It also finds fault with names, those of Dragonfly and the unit of the lag among them.
fn accepted_by_promtool(text: &str) {
    if Path::new("/usr/bin/promtool").exists() {
        let found = damselfly_tests::metrics::promtool_complaints(text).unwrap();
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn the_rules_and_their_tests_pass_promtool_and_know_only_figures_that_there_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring");
    let dashboard = std::fs::read_to_string(folder.join("dashboard.json")).unwrap();
    let _: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let rules = std::fs::read_to_string(folder.join("alerts.yml")).unwrap();
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let sources = ["server", "replicas", "link"].map(|name| {
        let file = format!("../crates/server/src/http/metrics/{name}.rs");
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
    });
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        words
            .filter_map(|word| word.strip_prefix("dragonfly_"))
            .map(str::to_owned)
            .collect()
    };
    for name in [dashboard, rules, readme]
        .iter()
        .flat_map(|text| words(text))
    {
        let quoted = format!("\"{name}\"");
        let is_there = sources.iter().any(|source| source.contains(&quoted));
        assert!(is_there, "there is no dragonfly_{name}");
    }
    if Path::new("/usr/bin/promtool").exists() {
        for arguments in [["check", "alerts.yml"], ["test", "alerts_test.yml"]] {
            let output = Command::new("promtool")
                .args([arguments[0], "rules", arguments[1]])
                .current_dir(&folder)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    }
}
