//! The commands of connections and administration, over a socket, with several threads.

use damselfly_engine::resp::{Reply, ReplyDecoder, ReplyLimits, encode_command};
use damselfly_server::{Builder, Server};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

struct Client {
    stream: TcpStream,
    decoder: ReplyDecoder,
    rest: Vec<u8>,
}

impl Client {
    fn connect(server: &Server) -> Client {
        let stream = TcpStream::connect(server.address().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client {
            stream,
            decoder: ReplyDecoder::new(ReplyLimits::default()),
            rest: Vec::new(),
        }
    }

    fn send(&mut self, line: &str) {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut request = Vec::new();
        encode_command(&mut request, &args);
        self.stream.write_all(&request).unwrap();
    }

    /// The next reply; `None` when the server closed the connection.
    fn receive(&mut self) -> Option<Reply> {
        loop {
            let mut input = &self.rest[..];
            let reply = self.decoder.decode(&mut input).unwrap();
            let used = self.rest.len() - input.len();
            self.rest.drain(..used);
            if reply.is_some() {
                return reply;
            }
            let mut bytes = [0; 16384];
            let read = self
                .stream
                .read(&mut bytes)
                .expect("an answer or an end in time");
            if read == 0 {
                return None;
            }
            self.rest.extend_from_slice(&bytes[..read]);
        }
    }

    fn call(&mut self, line: &str) -> Reply {
        self.send(line);
        self.receive()
            .unwrap_or_else(|| panic!("closed instead of an answer to {line}"))
    }

    /// The reply as text: a string, or an error with its minus sign.
    fn text(&mut self, line: &str) -> String {
        let reply = self.call(line);
        let error = reply
            .as_error()
            .map(|error| format!("-{}", String::from_utf8_lossy(error)));
        error.unwrap_or_else(|| match reply.as_integer() {
            Some(number) => number.to_string(),
            None => String::from_utf8_lossy(reply.as_text().unwrap_or_default()).into_owned(),
        })
    }

    /// The value of a field of INFO.
    fn info(&mut self, section: &str, field: &str) -> String {
        let text = self.text(&format!("INFO {section}"));
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        found
            .unwrap_or_else(|| panic!("no {field} in {text}"))
            .to_owned()
    }

    fn local(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }
}

fn server() -> Server {
    Builder::new().threads(3).start().unwrap()
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn clients_of_all_threads_are_listed_and_killed() {
    let server = server();
    let mut me = Client::connect(&server);
    let mut others: Vec<_> = (0..5).map(|_| Client::connect(&server)).collect();
    for (index, other) in others.iter_mut().enumerate() {
        assert_eq!(other.text(&format!("CLIENT SETNAME c{index}")), "OK");
    }
    let list = me.text("CLIENT LIST");
    let ids: Vec<u64> = list
        .lines()
        .map(|line| line[3..line.find(' ').unwrap()].parse().unwrap())
        .collect();
    assert!(ids.len() == 6 && ids.is_sorted(), "{list}");
    assert!(
        list.contains("cmd=client|list")
            && list.contains("name=c4")
            && list.contains("cmd=client|setname")
    );
    assert_eq!(
        me.text(&format!("CLIENT LIST ID {} {}", ids[2], ids[1]))
            .lines()
            .count(),
        2
    );

    assert_eq!(me.text(&format!("CLIENT KILL {}", others[2].local())), "OK");
    assert_eq!(others[2].receive(), None);
    assert_eq!(
        me.text(&format!("CLIENT KILL {}", others[2].local())),
        "-ERR No such client"
    );
    assert_eq!(me.text("CLIENT KILL TYPE replica"), "0");
    assert_eq!(me.text("CLIENT KILL TYPE normal SKIPME yes"), "4");
    assert!(
        [0, 1, 3, 4]
            .into_iter()
            .all(|index: usize| others[index].receive().is_none())
    );
    eventually("only one client is left", || {
        me.info("clients", "connected_clients") == "1"
    });
    let id = me.text("CLIENT ID");
    assert_eq!(
        me.text(&format!("CLIENT KILL ID {id} SKIPME no")),
        "1",
        "whoever kills itself still gets the reply"
    );
    assert_eq!(me.receive(), None);
}

#[test]
fn replies_that_are_not_wanted_are_left_out() {
    let server = server();
    let mut client = Client::connect(&server);
    for line in [
        "CLIENT REPLY SKIP",
        "SET a 1",
        "ECHO one",
        "CLIENT REPLY OFF",
        "INCR a",
        "PING",
        "CLIENT REPLY ON",
    ] {
        client.send(line);
    }
    assert_eq!(client.receive().unwrap().as_text(), Some(&b"one"[..]));
    assert_eq!(client.receive().unwrap().as_text(), Some(&b"OK"[..]));
    assert_eq!(client.text("GET a"), "2");
}

#[test]
fn hello_switches_the_protocol_behind_earlier_replies() {
    let server = server();
    let mut client = Client::connect(&server);
    for key in 0..20 {
        client.send(&format!("GET missing:{key}"));
    }
    client.send("HELLO 3 SETNAME me");
    client.send("GET missing");
    (0..20).for_each(|_| assert_eq!(client.receive(), Some(Reply::Null)));
    let Some(Reply::Map(hello)) = client.receive() else {
        panic!("HELLO 3 answers a map")
    };
    assert_eq!(hello.len(), 7);
    assert_eq!(hello[2].1.as_integer(), Some(3));
    assert_eq!(client.receive(), Some(Reply::Null));
    assert_eq!(client.text("CLIENT GETNAME"), "me");
    assert_eq!(client.text("RESET"), "RESET");
    assert_eq!(client.text("CLIENT GETNAME"), "");
    assert_eq!(
        client
            .call("CONFIG GET timeout")
            .as_items()
            .map(<[Reply]>::len),
        Some(2)
    );
    assert_eq!(client.text("QUIT"), "OK");
    assert_eq!(client.receive(), None);
}

#[test]
fn config_set_takes_effect_before_its_reply() {
    let server = server();
    let mut client = Client::connect(&server);
    assert_eq!(client.text("CONFIG SET maxmemory 1000"), "OK");
    for key in 0..6 {
        assert!(client.text(&format!("SET key:{key} x")).starts_with("-OOM"));
    }
    assert_eq!(client.text("CONFIG SET maxmemory 0"), "OK");
    assert_eq!(client.text("SET key x"), "OK");
    assert_eq!(client.text("CONFIG SET repl-backlog-size 2mb"), "OK");
    assert_eq!(
        client.info("replication", "repl_backlog_size"),
        (2 << 20).to_string()
    );
    let mut idle = Client::connect(&server);
    assert_eq!(idle.text("CONFIG SET timeout 1"), "OK");
    assert_eq!(idle.receive(), None, "closed because it is idle");
    assert_eq!(
        Client::connect(&server).text("CONFIG REWRITE"),
        "-ERR The server is running without a config file"
    );
}

#[test]
fn info_counts_what_happened() {
    let server = server();
    let mut client = Client::connect(&server);
    for key in 0..10 {
        client.call(&format!("SET key:{key} x"));
        client.call(&format!("GET key:{key}"));
        client.call(&format!("GET missing:{key}"));
    }
    client.call("EXPIRE key:1 100");
    assert!(client.text("LPUSH key:1 x").starts_with("-WRONGTYPE"));
    assert!(client.text("GET").starts_with("-ERR"));
    assert!(client.text("NOSUCH").starts_with("-ERR"));
    client.call("MGET key:1 key:2 key:3 key:4 key:5");
    assert_eq!(client.info("stats", "keyspace_hits"), "15");
    assert_eq!(client.info("stats", "keyspace_misses"), "10");
    assert!(
        client
            .info("keyspace", "db0")
            .starts_with("keys=10,expires=1,avg_ttl=9")
    );
    let calls = |line: String| line.split(',').next().unwrap().to_owned();
    assert_eq!(
        calls(client.info("commandstats", "cmdstat_get")),
        "calls=20"
    );
    assert_eq!(
        calls(client.info("commandstats", "cmdstat_mget")),
        "calls=1",
        "one call, whatever its shards"
    );
    assert!(
        client
            .info("commandstats", "cmdstat_get")
            .ends_with("rejected_calls=1,failed_calls=0")
    );
    assert!(
        client
            .info("commandstats", "cmdstat_lpush")
            .ends_with("rejected_calls=0,failed_calls=1")
    );
    assert_eq!(client.info("errorstats", "errorstat_WRONGTYPE"), "count=1");
    assert_eq!(client.info("errorstats", "errorstat_ERR"), "count=2");
    assert!(
        client
            .info("latencystats", "latency_percentiles_usec_set")
            .starts_with("p50=")
    );
    assert!(
        client
            .info("memory", "used_memory_rss")
            .parse::<u64>()
            .unwrap()
            > 1 << 20
    );
    assert!(
        client
            .info("memory", "used_memory_peak")
            .parse::<u64>()
            .unwrap()
            > 0
    );
    eventually("a rate is sampled", || {
        client.info("stats", "instantaneous_ops_per_sec") != "0"
    });
    assert_eq!(client.text("CONFIG RESETSTAT"), "OK");
    assert_eq!(client.info("stats", "keyspace_hits"), "0");
    assert!(!client.text("INFO commandstats").contains("cmdstat_set"));
}

#[test]
fn info_shows_the_sections_that_are_asked_for() {
    let server = server();
    let mut client = Client::connect(&server);
    let mut titles = |line: &str| -> Vec<String> {
        let text = client.text(line);
        text.lines()
            .filter_map(|line| line.strip_prefix("# "))
            .map(str::to_owned)
            .collect()
    };
    let default = [
        "Server",
        "Clients",
        "Memory",
        "Persistence",
        "Stats",
        "Replication",
        "CPU",
        "Modules",
        "Errorstats",
    ];
    assert_eq!(titles("INFO")[..9], default);
    assert_eq!(titles("INFO default"), titles("INFO"));
    assert_eq!(titles("INFO everything").len(), 13);
    assert_eq!(titles("INFO all"), titles("INFO everything"));
    assert_eq!(titles("INFO keyspace CPU"), ["CPU", "Keyspace"]);
    assert_eq!(titles("INFO nothing").len(), 0);
}

#[test]
fn shutdown_ends_the_server_and_its_connections() {
    let server = Builder::new()
        .threads(3)
        .configure(|config| config.dir = "/proc/nowhere".into())
        .start()
        .unwrap();
    let (mut client, mut other) = (Client::connect(&server), Client::connect(&server));
    assert_eq!(other.text("PING"), "PONG");
    assert_eq!(client.text("SHUTDOWN LATER"), "-ERR syntax error");
    assert_eq!(
        client.text("SHUTDOWN SAVE"),
        "-ERR Errors trying to SHUTDOWN. Check logs."
    );
    client.send("SHUTDOWN NOSAVE");
    assert_eq!(client.receive(), None);
    server.wait();
    assert_eq!(other.receive(), None);
}
