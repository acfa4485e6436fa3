//! The page on secure replication: its command lines in their order, and its answers. Ports are free ones in place of the page's,
//! and prompts of `openssl` are answered; nothing else is changed.

use super::tool::{await_answer, await_port, redis_cli};
use damselfly_tests::{Process, Server, TempDir, free_address};
use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The page itself, beside the repository.
fn page() -> Option<String> {
    let seeds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/seeds");
    let file = std::fs::read_dir(seeds).ok()?.flatten().find(|file| {
        let name = file.file_name();
        name.to_string_lossy().starts_with("000_")
    })?;
    let text = std::fs::read_to_string(file.path()).ok()?;
    Some(text.replace("\\\n", ""))
}

/// One who does what the page says.
struct Reader {
    dir: TempDir,
    page: Option<String>,
    ports: HashMap<&'static str, SocketAddr>,
}

impl Reader {
    fn new() -> Reader {
        Reader {
            dir: TempDir::new("page").unwrap(),
            page: page(),
            ports: HashMap::new(),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where what the page calls this port is.
    fn port(&mut self, named: &'static str) -> SocketAddr {
        *self
            .ports
            .entry(named)
            .or_insert_with(|| free_address().unwrap())
    }

    /// The words of a command line, which has to stand on the page so, with other ports.
    fn words(&mut self, line: &'static str) -> Vec<String> {
        if let Some(page) = &self.page {
            assert!(page.contains(line), "the page does not say: {line}");
        }
        let mut words = Vec::new();
        for word in line.split_whitespace() {
            let (name, value) = word.rsplit_once('=').unwrap_or(("", word));
            let is_port = value.len() == 4 && value.starts_with("63");
            words.push(match is_port {
                false => word.to_owned(),
                true if name.is_empty() => self.port(value).port().to_string(),
                true => format!("{name}={}", self.port(value).port()),
            });
        }
        words
    }

    /// `dragonfly …`, with flags that the page leaves out.
    fn server(&mut self, line: &'static str, more: &[String]) -> Process {
        let words = self.words(line);
        let flags: Vec<&str> = words[1..].iter().chain(more).map(String::as_str).collect();
        Server::bare_in(self.path(), &flags)
    }

    /// `redis-cli …`, and what it is told.
    fn cli(&mut self, line: &'static str) -> Vec<String> {
        self.words(line).split_off(1)
    }

    fn openssl(&self, line: &str, answers: &str) {
        let mut child = Command::new("openssl")
            .args(line.split_whitespace().skip(1))
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut prompt = child.stdin.take().unwrap();
        prompt.write_all(answers.as_bytes()).unwrap();
        drop(prompt);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
    }

    /// Keys and requests as the page makes them, a CA likewise, and what it signs.
    fn certificates(&mut self) {
        const CA: &str =
            "openssl req -x509 -newkey rsa:4096 -nodes -keyout ca-key.pem -out ca-cert.pem";
        const REQUEST: &str =
            "openssl req -newkey rsa:4096 -nodes -keyout server-key.pem -out server-req.pem";
        const SIGN: &str = "openssl x509 -req -in server-req.pem -days 365 -CA ca-cert.pem -CAkey ca-key.pem -CAcreateserial -out server-cert.pem";
        const OWNERS: [(&str, &str); 3] = [
            ("server", "localhost"),
            ("client", "a client"),
            ("replica-client", "a replica"),
        ];
        self.words(REQUEST);
        self.words(SIGN);
        let of = |line: &str, name: &str| line.replace("server-", &format!("{name}-"));
        let reader = &*self;
        std::thread::scope(|scope| {
            scope.spawn(|| reader.openssl(CA, "\n\n\n\n\nThe CA\n\n"));
            for (name, host) in OWNERS {
                let answers = format!("\n\n\n\n\n{host}\n\n\n\n");
                scope.spawn(move || reader.openssl(&of(REQUEST, name), &answers));
            }
        });
        OWNERS
            .iter()
            .for_each(|(name, _)| self.openssl(&of(SIGN, name), ""));
    }
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn the_page_on_secure_replication_works_word_for_word() {
    let mut reader = Reader::new();
    reader.certificates();
    secure_replication(&mut reader);
    reader.ports.clear();
    admin_ports(&mut reader);
}

/// "Secure Replication Setup".
fn secure_replication(reader: &mut Reader) {
    let primary_address = reader.port("6379");
    let default_port = format!("--port={}", primary_address.port());
    let _primary = reader.server(
        "dragonfly --tls --tls_key_file=server-key.pem --tls_cert_file=server-cert.pem --tls_ca_cert_file=ca-cert.pem",
        &[default_port],
    );
    let _replica = reader.server(
        "dragonfly --tls --tls_key_file=replica-client-key.pem --tls_cert_file=replica-client-cert.pem \
         --tls_ca_cert_file=ca-cert.pem --tls_replication=true --port 6380",
        &[],
    );
    await_port(primary_address);
    await_port(reader.port("6380"));
    let to_replica = reader.cli(
        "redis-cli --tls --key ./client-key.pem --cert ./client-cert.pem --cacert ./ca-cert.pem -p 6380",
    );
    let to_replica = strs(&to_replica);
    let primary_port = primary_address.port().to_string();
    let to_primary = [&to_replica[..to_replica.len() - 1], &[&primary_port]].concat();
    let dir = reader.path();
    let set = redis_cli(dir, &to_primary, &["SET", "greeting", "hello"]);
    assert_eq!(set, "OK");
    let answer = redis_cli(dir, &to_replica, &["REPLICAOF", "localhost", &primary_port]);
    assert_eq!(answer, "OK");
    let is_stable = |text: &str| text.ends_with("stable_sync");
    let role = await_answer(dir, &to_replica, &["ROLE"], is_stable);
    let expected = ["replica", "localhost", &primary_port, "stable_sync"];
    assert_eq!(lines(&role), expected);
    assert_eq!(redis_cli(dir, &to_replica, &["GET", "greeting"]), "hello");
    let replica_port = to_replica[to_replica.len() - 1];
    let role = redis_cli(dir, &to_primary, &["ROLE"]);
    let expected = ["master", "127.0.0.1", replica_port, "stable_sync"];
    assert_eq!(lines(&role), expected);
    // "Monitoring Replication Lag".
    let caught_up = format!("slave0:ip=127.0.0.1,port={replica_port},state=stable_sync,lag=0");
    let info = await_answer(dir, &to_primary, &["INFO", "REPLICATION"], |text| {
        text.contains(&caught_up)
    });
    let info = lines(&info);
    assert_eq!(
        info[..3],
        ["# Replication", "role:master", "connected_slaves:1"]
    );
    assert!(
        info.iter()
            .any(|line| line.starts_with("master_replid:") && line.len() == 54),
        "{info:?}"
    );
}

/// "Non-TLS Connections over Admin Ports".
fn admin_ports(reader: &mut Reader) {
    let _primary = reader.server(
        "dragonfly --tls --tls_key_file=server-key.pem --tls_cert_file=server-cert.pem --tls_ca_cert_file=ca-cert.pem \
         --port 6379 -admin_port=6380 --no_tls_on_admin_port=true",
        &[],
    );
    const REPLICA: &str = "dragonfly --tls --tls_key_file=replica-client-key.pem --tls_cert_file=replica-client-cert.pem \
                           --tls_ca_cert_file=ca-cert.pem --port 6381 -admin_port=6382";
    await_port(reader.port("6380"));
    // As on the page: its next command speaks in the clear to a port that does not.
    let as_written = reader.server(REPLICA, &[]);
    await_port(reader.port("6382"));
    let to_replica = reader.cli("redis-cli -p 6382");
    let to_replica = strs(&to_replica);
    let refused = redis_cli(reader.path(), &to_replica, &["PING"]);
    assert!(refused.contains("--no_tls_on_admin_port"), "{refused}");
    drop(as_written);
    let _replica = reader.server(REPLICA, &["--no_tls_on_admin_port".to_owned()]);
    await_port(reader.port("6382"));
    let admin_port = reader.port("6380").port().to_string();
    let (public, replica_public) = (reader.port("6379").port(), reader.port("6381").port());
    let dir = reader.path();
    let set = redis_cli(dir, &["-p", &admin_port], &["SET", "greeting", "hello"]);
    assert_eq!(set, "OK");
    let answer = redis_cli(dir, &to_replica, &["REPLICAOF", "localhost", &admin_port]);
    assert_eq!(answer, "OK");
    let is_stable = |text: &str| text.ends_with("stable_sync");
    let role = await_answer(dir, &to_replica, &["ROLE"], is_stable);
    assert_eq!(
        lines(&role),
        ["replica", "localhost", &admin_port, "stable_sync"]
    );
    assert_eq!(redis_cli(dir, &to_replica, &["GET", "greeting"]), "hello");
    // "incoming connections on ports 6379 and 6381 still require TLS".
    for port in [public, replica_public] {
        let port = port.to_string();
        let plain = redis_cli(dir, &["-p", &port], &["PING"]);
        assert!(plain.contains("this port speaks TLS only"), "{plain}");
        let certified = [
            "--tls",
            "--key",
            "client-key.pem",
            "--cert",
            "client-cert.pem",
            "--cacert",
            "ca-cert.pem",
            "-p",
            &port,
        ];
        assert_eq!(redis_cli(dir, &certified, &["PING"]), "PONG");
    }
}
