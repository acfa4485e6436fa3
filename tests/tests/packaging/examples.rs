//! The example configurations: each is taken as it stands, with ports, addresses and directories of this machine, and the server answers.

use damselfly_tests::{Client, Process, Server, TempDir, announced, eventually, eventually_some};
use damselfly_tests::{Redis, RedisVersion, free_address};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

/// The password in all of them.
const PASSWORD: &str = "change-me";

/// A running example.
struct Example {
    server: Process,
    address: SocketAddr,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/examples")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

impl Example {
    /// Starts one, with another primary and other lines at the end.
    fn start(dir: &Path, name: &str, primary: Option<SocketAddr>, more: &str) -> Example {
        let mut text = text(name);
        for port in ["6379", "6380"] {
            text = text.replace(&format!("--port={port}\n"), "--port=-1\n");
        }
        text = text.replace("/var/lib/damselfly", dir.to_str().unwrap());
        text = text.replace("/etc/damselfly/tls", dir.to_str().unwrap());
        text = text.replace("--dbfilename=dump", "--dbfilename=");
        if let Some(primary) = primary {
            assert!(text.contains("--replicaof=10.0.0.1:6379"), "{name}");
            text = text.replace("10.0.0.1:6379", &primary.to_string());
            text = text.replace("#--replicaof", "--replicaof");
        }
        let file = dir.join(name);
        std::fs::write(&file, text + more).unwrap();
        let flags = [
            format!("--flagfile={}", file.display()),
            "--bind=127.0.0.1".to_owned(),
            "--proactor_threads=1".to_owned(),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let server = Server::bare(&flags, &[]);
        let address = eventually_some(DEADLINE, name, || announced(&server.log()));
        assert!(!server.log().contains("is ignored"), "{}", server.log());
        Example { server, address }
    }

    fn client(&self) -> Client {
        let mut client = Client::connect(self.address).unwrap();
        client.ok(&format!("AUTH {PASSWORD}"));
        client
    }

    fn is_in_sync(&self) {
        let mut client = self.client();
        eventually(DEADLINE, "in sync", || {
            client
                .info("replication")
                .get("master_link_status")
                .is_some_and(|status| status == "up")
        });
    }
}

#[test]
fn a_primary_and_its_replica() {
    let dir = TempDir::new("examples").unwrap();
    let primary = Example::start(dir.path(), "primary.conf", None, "");
    primary.client().ok("SET greeting hello");
    let replica = Example::start(dir.path(), "replica.conf", Some(primary.address), "");
    replica.is_in_sync();
    assert_eq!(replica.client().text("GET greeting"), "hello");
}

#[test]
fn a_replica_of_a_redis() {
    let dir = TempDir::new("examples").unwrap();
    let redis = Redis::with_options(RedisVersion::V70, &["--requirepass", PASSWORD]);
    let replica = Example::start(
        dir.path(),
        "replica-of-redis.conf",
        Some(redis.address()),
        "",
    );
    replica.is_in_sync();
}

#[test]
fn nodes_that_a_sentinel_watches() {
    let dir = TempDir::new("examples").unwrap();
    let (one, two) = (dir.path().join("1"), dir.path().join("2"));
    [&one, &two]
        .iter()
        .for_each(|dir| std::fs::create_dir(dir).unwrap());
    let primary = Example::start(&one, "sentinel-node.conf", None, "");
    let replica = Example::start(&two, "sentinel-node.conf", Some(primary.address), "");
    replica.is_in_sync();
    let own = free_address().unwrap();
    let (ip, port) = (primary.address.ip(), primary.address.port());
    let text = text("sentinel.conf").replace(
        "port 26379",
        &format!("port {}\nbind 127.0.0.1", own.port()),
    );
    let text = text.replace("10.0.0.1 6379", &format!("{ip} {port}"));
    let file = dir.path().join("sentinel.conf");
    std::fs::write(&file, text).unwrap();
    let program = Path::new("/usr/bin/redis-sentinel");
    let _sentinel = Process::start(program, &[file.to_str().unwrap()], &[]).unwrap();
    let mut sentinel = eventually_some(DEADLINE, "a sentinel", || Client::connect(own).ok());
    eventually(DEADLINE, "the sentinel sees the primary", || {
        let seen = sentinel
            .info("sentinel")
            .remove("master0")
            .unwrap_or_default();
        seen.contains("status=ok") && seen.contains("slaves=1")
    });
    // What a failover ends with is kept in the server's own file.
    let mut client = replica.client();
    client.ok("REPLICAOF NO ONE");
    client.ok("CONFIG REWRITE");
    let kept = std::fs::read_to_string(two.join("sentinel-node.conf")).unwrap();
    assert!(!kept.contains("\n--replicaof"), "{kept}");
}

#[test]
fn nodes_with_tls() {
    let dir = TempDir::new("examples").unwrap();
    certificates(dir.path());
    let primary = Example::start(dir.path(), "tls.conf", None, "");
    let follow = format!("--replicaof=localhost:{}\n", primary.address.port());
    let replica = Example::start(dir.path(), "tls.conf", None, &follow);
    let ready = |example: &Example| {
        let port = format!("--port={}", example.address.port());
        let file = format!("--flagfile={}", dir.path().join("tls.conf").display());
        let mut check = Server::bare(
            &[&file, &port, "--bind=127.0.0.1", "--healthcheck=ready"],
            &[],
        );
        eventually_some(DEADLINE, "an end", || check.exit_status()).success()
    };
    eventually(DEADLINE, "both are ready", || {
        ready(&primary) && ready(&replica)
    });
    assert!(replica.server.log().contains("TLS certificate read"));
}

/// A CA and the certificate of a node, by the commands of docs/operations.md.
fn certificates(dir: &Path) {
    let lines = [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=damselfly-ca -keyout ca.key -out ca.crt",
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=node -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -CA ca.crt -CAkey ca.key -keyout node.key -out node.crt",
    ];
    for line in lines {
        let mut openssl = Command::new("openssl");
        openssl
            .args(line.split(' '))
            .current_dir(dir)
            .stderr(Stdio::null());
        assert!(openssl.status().unwrap().success(), "openssl {line}");
    }
}
