//! The page on secure replication: its command lines in their order, none left out, and its answers. Ports are free ones in place of the
//! page's, prompts of `openssl` are answered, the binary is ours; nothing else is changed. `cargo xtask seeds` shows it.

use super::tool::{await_answer, await_port, redis_cli};
use damselfly_tests::{Process, Server, TempDir, free_address};
use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a command line on the page begins with.
const BEGINNINGS: [&str; 4] = ["openssl ", "dragonfly --", "redis-cli ", PROMPT];
const PROMPT: &str = "dragonfly$> ";

/// A command line of the page, and the answer below it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    line: String,
    answer: Vec<String>,
}

/// The page itself, beside the repository: all its command lines.
fn page() -> Option<VecDeque<Step>> {
    let seeds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/seeds");
    let file = std::fs::read_dir(&seeds).ok()?.flatten().find(|file| {
        let name = file.file_name();
        name.to_string_lossy().starts_with("000_")
    })?;
    let text = std::fs::read_to_string(file.path()).ok()?;
    let text = text.replace("\\\n", "");
    let mut lines = text.lines().map(str::trim);
    let mut steps = VecDeque::new();
    while let Some(line) = lines.next() {
        if BEGINNINGS.iter().any(|begin| line.starts_with(begin)) {
            let answer = lines.by_ref().take_while(|line| !line.is_empty());
            steps.push_back(Step {
                line: line.to_owned(),
                answer: answer.map(str::to_owned).collect(),
            });
        }
    }
    Some(steps)
}

/// One who does what the page says, and shows it.
struct Reader {
    dir: TempDir,
    /// What is still to be done; without the page, only what is written here.
    page: Option<VecDeque<Step>>,
    ports: HashMap<&'static str, SocketAddr>,
}

impl Reader {
    fn new() -> Reader {
        let page = page();
        if page.is_none() {
            println!("(no ../shared/seeds/000_*.txt: the lines are those that it had)");
        }
        Reader {
            dir: TempDir::new("page").unwrap(),
            page,
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

    /// What the page calls this port, as text.
    fn port_text(&mut self, named: &'static str) -> String {
        self.port(named).port().to_string()
    }

    /// The next command line of the page, which this has to be, with the answer that stands below it.
    fn next(&mut self, line: &str, answer: &[&str]) {
        let Some(page) = &mut self.page else { return };
        let next = page.pop_front().expect("the page has no more");
        assert_eq!(next.line, line, "the page's next command line");
        assert_eq!(next.answer, answer, "the page's answer to {line}");
    }

    /// The words of the page's next command line, with other ports.
    fn words(&mut self, line: &'static str) -> Vec<String> {
        self.next(line, &[]);
        let mut words = Vec::new();
        for word in line.split_whitespace() {
            let (name, value) = word.rsplit_once('=').unwrap_or(("", word));
            let is_port = value.len() == 4 && value.starts_with("63");
            words.push(match is_port {
                false => word.to_owned(),
                true if name.is_empty() => self.port_text(value),
                true => format!("{name}={}", self.port_text(value)),
            });
        }
        words
    }

    /// `dragonfly …`, with flags that the page leaves out.
    fn server(&mut self, line: &'static str, more: &[&str]) -> Process {
        let words = self.words(line);
        let flags = [&strs(&words)[1..], more].concat();
        self.start(&flags)
    }

    /// A server that the page takes for granted, or one of its own.
    fn start(&self, flags: &[&str]) -> Process {
        println!("$ damselfly {}", flags.join(" "));
        Server::bare_in(self.path(), flags)
    }

    /// `redis-cli …`, to be told something.
    fn cli(&mut self, line: &'static str) -> Vec<String> {
        self.words(line).split_off(1)
    }

    /// What `redis-cli` answers.
    fn told(&self, to: &[&str], words: &[&str]) -> String {
        shown(to, words, redis_cli(self.path(), to, words))
    }

    /// What `redis-cli` answers in the end.
    fn told_at_last(&self, to: &[&str], words: &[&str], end: impl Fn(&str) -> bool) -> String {
        shown(to, words, await_answer(self.path(), to, words, end))
    }

    fn openssl(&self, line: &str, answers: &str) {
        println!("$ {line}");
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
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Prints a command and its answer.
fn shown(to: &[&str], words: &[&str], answer: String) -> String {
    println!("$ redis-cli {} {}", to.join(" "), words.join(" "));
    answer.lines().for_each(|line| println!("  {line}"));
    answer
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

fn is_stable(role: &str) -> bool {
    role.contains("stable_sync")
}

#[test]
fn the_page_on_secure_replication_works_word_for_word() {
    let mut reader = Reader::new();
    managing_replication(&mut reader);
    reader.ports.clear();
    certificates(&mut reader);
    secure_replication(&mut reader);
    reader.ports.clear();
    admin_ports(&mut reader);
    assert!(reader.page.is_none_or(|left| left.is_empty()));
}

/// "Managing Replication": ROLE and REPLICAOF, between servers that are there already.
fn managing_replication(reader: &mut Reader) {
    let (primary_port, replica_port) = (reader.port_text("primary"), reader.port_text("replica"));
    let _primary = reader.start(&["--port", &primary_port]);
    let _replica = reader.start(&["--port", &replica_port]);
    await_port(reader.port("primary"));
    await_port(reader.port("replica"));
    let (to_primary, to_replica) = (["-p", &primary_port], ["-p", &replica_port]);
    let by_address = ["REPLICAOF", "127.0.0.1", &primary_port];
    assert_eq!(reader.told(&to_replica, &by_address), "OK");
    reader.told_at_last(&to_replica, &["ROLE"], is_stable);
    reader.next(
        "dragonfly$> ROLE",
        &[
            "1) \"master\"",
            "2) 1) 1) \"172.19.0.4\"",
            "2) \"6379\"",
            "3) \"stable_sync\"",
        ],
    );
    let for_people = ["--no-raw", "-p", &primary_port];
    let role = reader.told_at_last(&for_people, &["ROLE"], is_stable);
    let expected =
        format!("1) \"master\"\n2) 1) 1) \"127.0.0.1\"\n2) \"{replica_port}\"\n3) \"stable_sync\"");
    assert_eq!(lines(&role), lines(&expected));
    reader.next("dragonfly$> REPLICAOF hostname_or_IP port", &[]);
    let by_name = ["REPLICAOF", "localhost", &primary_port];
    assert_eq!(reader.told(&to_replica, &by_name), "OK");
    assert_eq!(reader.told(&to_primary, &["SET", "kept", "yes"]), "OK");
    reader.told_at_last(&to_replica, &["GET", "kept"], |kept| kept == "yes");
    reader.next("dragonfly$> REPLICAOF NO ONE", &[]);
    assert_eq!(reader.told(&to_replica, &["REPLICAOF", "NO", "ONE"]), "OK");
    assert_eq!(lines(&reader.told(&to_replica, &["ROLE"])), ["master"]);
    assert_eq!(reader.told(&to_replica, &["GET", "kept"]), "yes");
}

/// "Secure Replication Prerequisites": keys and requests as the page makes them, a CA likewise, and what it signs.
fn certificates(reader: &mut Reader) {
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
    reader.next(REQUEST, &[]);
    reader.next(SIGN, &[]);
    let of = |line: &str, name: &str| line.replace("server-", &format!("{name}-"));
    let reader = &*reader;
    std::thread::scope(|scope| {
        scope.spawn(|| reader.openssl(CA, "\n\n\n\n\nThe CA\n\n"));
        for (name, host) in OWNERS {
            let answers = format!("\n\n\n\n\n{host}\n\n\n\n");
            scope.spawn(move || reader.openssl(&of(REQUEST, name), &answers));
        }
    });
    OWNERS
        .iter()
        .for_each(|(name, _)| reader.openssl(&of(SIGN, name), ""));
}

/// "Secure Replication Setup".
fn secure_replication(reader: &mut Reader) {
    let primary_port = reader.port_text("6379");
    let default_port = format!("--port={primary_port}");
    let _primary = reader.server(
        "dragonfly --tls --tls_key_file=server-key.pem --tls_cert_file=server-cert.pem --tls_ca_cert_file=ca-cert.pem",
        &[&default_port],
    );
    let _replica = reader.server(
        "dragonfly --tls --tls_key_file=replica-client-key.pem --tls_cert_file=replica-client-cert.pem \
         --tls_ca_cert_file=ca-cert.pem --tls_replication=true --port 6380",
        &[],
    );
    await_port(reader.port("6379"));
    await_port(reader.port("6380"));
    let to_replica = reader.cli(
        "redis-cli --tls --key ./client-key.pem --cert ./client-cert.pem --cacert ./ca-cert.pem -p 6380",
    );
    let to_replica = strs(&to_replica);
    let to_primary = [&to_replica[..to_replica.len() - 1], &[&primary_port]].concat();
    assert_eq!(
        reader.told(&to_primary, &["SET", "greeting", "hello"]),
        "OK"
    );
    reader.next("dragonfly$> REPLICAOF PRIMARY_HOST 6379", &[]);
    let follow = ["REPLICAOF", "localhost", &primary_port];
    assert_eq!(reader.told(&to_replica, &follow), "OK");
    let role = reader.told_at_last(&to_replica, &["ROLE"], is_stable);
    let expected = ["replica", "localhost", &primary_port, "stable_sync"];
    assert_eq!(lines(&role), expected);
    assert_eq!(reader.told(&to_replica, &["GET", "greeting"]), "hello");
    let replica_port = to_replica[to_replica.len() - 1];
    let role = reader.told(&to_primary, &["ROLE"]);
    let expected = ["master", "127.0.0.1", replica_port, "stable_sync"];
    assert_eq!(lines(&role), expected);
    replication_lag(reader, &to_primary, replica_port);
}

/// "Non-TLS Connections over Admin Ports", and then "Monitoring Replication Lag".
fn admin_ports(reader: &mut Reader) {
    let _primary = reader.server(
        "dragonfly --tls --tls_key_file=server-key.pem --tls_cert_file=server-cert.pem --tls_ca_cert_file=ca-cert.pem \
         --port 6379 -admin_port=6380 --no_tls_on_admin_port=true",
        &[],
    );
    await_port(reader.port("6380"));
    // As on the page: its next command speaks in the clear to a port that does not.
    let as_written = reader.words(
        "dragonfly --tls --tls_key_file=replica-client-key.pem --tls_cert_file=replica-client-cert.pem \
         --tls_ca_cert_file=ca-cert.pem --port 6381 -admin_port=6382",
    );
    let to_replica = reader.cli("redis-cli -p 6382");
    let to_replica = strs(&to_replica);
    let flags = &strs(&as_written)[1..];
    let replica = reader.start(flags);
    await_port(reader.port("6382"));
    let refused = reader.told(&to_replica, &["PING"]);
    assert!(refused.contains("--no_tls_on_admin_port"), "{refused}");
    drop(replica);
    let _replica = reader.start(&[flags, &["--no_tls_on_admin_port"]].concat());
    await_port(reader.port("6382"));
    let admin_port = reader.port_text("6380");
    let to_primary = ["-p", &admin_port];
    assert_eq!(
        reader.told(&to_primary, &["SET", "greeting", "hello"]),
        "OK"
    );
    reader.next("dragonfly$> REPLICAOF PRIMARY_HOST 6380", &[]);
    let follow = ["REPLICAOF", "localhost", &admin_port];
    assert_eq!(reader.told(&to_replica, &follow), "OK");
    let role = reader.told_at_last(&to_replica, &["ROLE"], is_stable);
    let expected = ["replica", "localhost", &admin_port, "stable_sync"];
    assert_eq!(lines(&role), expected);
    assert_eq!(reader.told(&to_replica, &["GET", "greeting"]), "hello");
    let (public, replica_public) = (reader.port_text("6379"), reader.port_text("6381"));
    still_encrypted(reader, &[&public, &replica_public]);
    reader.next(
        "dragonfly$> INFO REPLICATION",
        &[
            "# Replication",
            "role:master",
            "connected_slaves:1",
            "slave0:ip=127.0.0.1,port=6380,state=stable_sync,lag=0 # <- The replication lag is reported here.",
            "master_replid:3ad69228e6973c1fc24805efb46d3f6eeeee4fde",
        ],
    );
    replication_lag(reader, &to_primary, &replica_public);
}

/// "incoming connections on ports 6379 and 6381 still require TLS".
fn still_encrypted(reader: &Reader, ports: &[&str]) {
    const CERTIFIED: &str =
        "--tls --key client-key.pem --cert client-cert.pem --cacert ca-cert.pem -p";
    for port in ports {
        let plain = reader.told(&["-p", port], &["PING"]);
        assert!(plain.contains("this port speaks TLS only"), "{plain}");
        let certified: Vec<&str> = CERTIFIED.split(' ').chain([*port]).collect();
        assert_eq!(reader.told(&certified, &["PING"]), "PONG");
    }
}

/// What INFO REPLICATION says on a primary whose replica has caught up.
fn replication_lag(reader: &Reader, to_primary: &[&str], replica_port: &str) {
    let caught_up = format!("slave0:ip=127.0.0.1,port={replica_port},state=stable_sync,lag=0");
    let has_it = |text: &str| text.contains(&caught_up);
    let info = reader.told_at_last(to_primary, &["INFO", "REPLICATION"], has_it);
    let info = lines(&info);
    assert_eq!(
        info[..3],
        ["# Replication", "role:master", "connected_slaves:1"]
    );
    let is_id = |line: &&str| line.starts_with("master_replid:") && line.len() == 54;
    assert!(info.iter().any(is_id), "{info:?}");
}
