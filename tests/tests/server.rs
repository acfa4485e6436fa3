//! The binary from outside: flags, environment, addresses, signals, CONFIG.

use std::net::TcpStream;
use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Process, Server, TempDir, announced, eventually_some, within};

const DEADLINE: Duration = Duration::from_secs(20);

/// The exit code and the output of a run that ends by itself.
fn ended(flags: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut process = Server::bare(flags, variables);
    let status = eventually_some(DEADLINE, "the end of a refused start", || {
        process.exit_status()
    });
    (status.code(), process.log())
}

/// A client of a server that was started bare.
fn client_of(process: &Process) -> Client {
    let address = eventually_some(DEADLINE, "an address", || announced(&process.log()));
    Client::connect(address).unwrap()
}

fn setting(client: &mut Client, name: &str) -> String {
    let reply = client.ok(&format!("CONFIG GET {name}"));
    let items = reply.as_items().unwrap();
    String::from_utf8(items[1].as_text().unwrap().to_vec()).unwrap()
}

#[test]
fn version_and_help_are_printed() {
    let (code, text) = ended(&["--version"], &[]);
    assert!(code == Some(0) && text.starts_with("damselfly "), "{text}");
    let (code, text) = ended(&["-help"], &[]);
    assert!(code == Some(0) && text.contains("--replicaof="), "{text}");
}

#[test]
fn wrong_flags_end_with_what_is_wrong() {
    for (flag, words) in [
        ("--prot=1", "unknown flag --prot; did you mean --port?"),
        ("--port=high", "--port=high: expected a whole number"),
        (
            "--experimental_replicaof_v2=false",
            "only the new algorithm",
        ),
        ("--jwt_validate=true", "not supported"),
        ("--flagfile=/no/such/file", "/no/such/file"),
        ("redis.conf", "'redis.conf' is no flag"),
    ] {
        let (code, text) = ended(&[flag], &[]);
        assert!(
            code == Some(2) && text.contains(words),
            "{flag}: {code:?} {text}"
        );
    }
    let (code, text) = ended(&[], &[("DFLY_nonsense_flag", "1")]);
    assert!(
        code == Some(2) && text.contains("--nonsense_flag"),
        "{text}"
    );
}

#[test]
fn flags_come_from_the_environment_a_file_and_the_command_line() {
    let dir = TempDir::new("flags").unwrap();
    let file = dir.path().join("flags.txt");
    std::fs::write(
        &file,
        "# of the file\n--dbnum=4\n--timeout=7\n--cache_mode=true\n",
    )
    .unwrap();
    let flagfile = format!("--flagfile={}", file.display());
    let variables = [
        ("DFLY_port", "-1"),
        ("DFLY_maxmemory", "1gb"),
        ("DFLY_timeout", "9"),
    ];
    let process = Server::bare(
        &[
            "--bind=localhost",
            &flagfile,
            "-dbnum",
            "5",
            "--noreplica-partial-sync",
        ],
        &variables,
    );
    let mut client = client_of(&process);
    for (name, value) in [
        ("databases", "5"),
        ("timeout", "7"),
        ("maxmemory", "1073741824"),
        ("replica_partial_sync", "false"),
    ] {
        assert_eq!(setting(&mut client, name), value, "{name}");
    }
    assert!(
        process.log().contains("--cache_mode means nothing"),
        "{}",
        process.log()
    );
    assert!(client.call("SELECT 5").as_error().is_some());
}

#[test]
fn signals_end_it_cleanly() {
    let dir = TempDir::new("pid").unwrap();
    let file = dir.path().join("pid");
    let mut server = Server::start(&[&format!("--pidfile={}", file.display())]);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap().trim(),
        server.pid().to_string()
    );
    let mut client = server.client();
    client.ok("SET a 1");
    let status = server.terminate(DEADLINE).expect("SIGTERM ends it");
    assert!(status.success(), "{status}");
    assert!(!file.exists());
    assert!(TcpStream::connect(server.address()).is_err());
}

#[test]
fn port_zero_means_no_tcp() {
    let mut process = Server::bare(&["--port=0"], &[]);
    assert!(
        within(Duration::from_millis(300), || process.exit_status()).is_none(),
        "{}",
        process.log()
    );
    assert_eq!(announced(&process.log()), None);
    assert!(
        process
            .terminate(DEADLINE)
            .is_some_and(|status| status.success())
    );
}

#[test]
fn a_taken_port_is_said_and_both_families_are_served() {
    let server = Server::start(&[]);
    let port = format!("--port={}", server.address().port());
    let (code, text) = ended(&["--bind=127.0.0.1", &port], &[]);
    assert!(
        code == Some(1) && text.contains("cannot listen on 127.0.0.1"),
        "{text}"
    );
    let everywhere = Server::bare(&["--port=-1"], &[]);
    client_of(&everywhere);
    let port = announced(&everywhere.log()).unwrap().port();
    let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    for host in ["127.0.0.1", "[::1]"]
        .into_iter()
        .take(1 + usize::from(has_ipv6))
    {
        let mut client = Client::connect(format!("{host}:{port}").parse().unwrap()).unwrap();
        assert_eq!(client.text("PING"), "PONG");
    }
}

#[test]
fn clients_beyond_maxclients_are_refused() {
    let server = Server::start(&["--maxclients=3"]);
    let mut clients: Vec<Client> = Vec::new();
    // The connection that looked whether the server is up may still be going.
    eventually_some(DEADLINE, "three clients and no fourth", || {
        let mut client = server.client();
        match client.try_call(&["PING"]) {
            Ok(Reply::Simple(_)) => {
                clients.push(client);
                None
            }
            _ => (clients.len() == 3).then_some(()),
        }
    });
    clients[0].ok("CONFIG SET maxclients 4");
    assert_eq!(server.client().text("PING"), "PONG");
}

#[test]
fn config_speaks_as_redis_does() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.ok("CONFIG SET maxmemory 2mb repl-timeout 5");
    assert_eq!(setting(&mut client, "replication_timeout"), "5000");
    let error = client.call("CONFIG SET timeout x");
    let expected = "ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer";
    assert_eq!(
        error.as_error().map(String::from_utf8_lossy).as_deref(),
        Some(expected)
    );
    let error = client.call("CONFIG SET nosuch x");
    let expected = "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'";
    assert_eq!(
        error.as_error().map(String::from_utf8_lossy).as_deref(),
        Some(expected)
    );
    assert_eq!(
        client
            .ok("CONFIG GET MAXMEMORY ?ort nothing")
            .as_items()
            .unwrap()
            .len(),
        4
    );
    assert_eq!(
        setting(&mut client, "port"),
        server.address().port().to_string()
    );
    // The shards hold to what was set.
    let refused = (0..100_000).find(|number| {
        client
            .call(&format!("SET key:{number} {}", "x".repeat(1_000)))
            .as_error()
            .is_some_and(|text| text.starts_with(b"OOM"))
    });
    assert!(refused.is_some_and(|number| number > 100), "{refused:?}");
}
