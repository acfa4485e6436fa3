//! Telling HTTP from RESP, bounds, and who is answered.

use damselfly_tests::http::{exchange, get, parse};
use damselfly_tests::{Server, eventually_some};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);
const METRICS: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn admin_address(server: &Server) -> SocketAddr {
    eventually_some(DEADLINE, "an admin port", || {
        let log = server.log();
        let mut lines = log.lines();
        lines
            .find_map(|line| line.strip_prefix("admin port on "))?
            .parse()
            .ok()
    })
}

#[test]
fn both_protocols_share_a_port() {
    let server = Server::with_shards(2);
    let mut client = server.client();
    client.ok("SET /path value");
    let answer = get(server.address(), "/metrics", &[]);
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    assert!(answer.body.contains("\ndragonfly_master 1\n"), "{answer:?}");
    assert_eq!(get(server.address(), "/nothing", &[]).status, 404);
    // A request in pieces, two requests on a connection, and an inline command that begins as one of HTTP does.
    let mut stream = TcpStream::connect(server.address()).unwrap();
    for piece in METRICS.chunks(7) {
        stream.write_all(piece).unwrap();
        stream.flush().unwrap();
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(parse(&text).unwrap().status, 200);
    let twice = [&b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n"[..], METRICS].concat();
    let text = exchange(server.address(), &twice).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
    assert_eq!(text.matches("dragonfly_master 1").count(), 1, "{text}");
    let text = exchange(server.address(), b"GET /path\r\nQUIT\r\n").unwrap();
    assert_eq!(text, "$5\r\nvalue\r\n+OK\r\n");
    // What a browser can be made to send is no request of either kind.
    let post = b"POST / HTTP/1.1\r\nHost: a\r\n\r\nSET hacked 1\r\n";
    let text = exchange(server.address(), post).unwrap();
    assert!(
        !text.starts_with("HTTP/") && !text.contains("+OK"),
        "{text}"
    );
    client.ok("PING");
}

#[test]
fn requests_are_bounded() {
    let server = Server::start(&["--proactor_threads=1", "--maxclients=3"]);
    let long = format!(
        "GET /metrics HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(64 * 1024)
    );
    let answer = exchange(server.address(), long.as_bytes()).unwrap_or_default();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    let body = b"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let answer = exchange(server.address(), body).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let post = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = exchange(server.address(), post).unwrap();
    assert!(answer.contains("HTTP/1.1 405"), "{answer}");
    // Connections of HTTP count, however long they say nothing.
    let head = b"GET /metrics HTTP/1.1\r\n";
    let _open: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(head).unwrap();
            stream
        })
        .collect();
    // What is sent to a server that closes could take its answer away (a reset).
    let text = eventually_some(DEADLINE, "a refusal", || {
        let text = exchange(server.address(), b"").unwrap_or_default();
        text.starts_with("-ERR max number of clients")
            .then_some(text)
    });
    assert!(!text.contains("HTTP/1.1"));
}

#[test]
fn a_password_is_asked_for_and_users_who_may_not_run_info_get_nothing() {
    let server = Server::start(&[
        "--proactor_threads=2",
        "--requirepass=a:b",
        "--admin_port=-1",
        "--admin_nopass",
    ]);
    let status = |path: &str, headers: &[&str]| get(server.address(), path, headers).status;
    let asked = get(server.address(), "/metrics", &[]);
    assert_eq!(asked.status, 401);
    assert!(
        asked
            .header("www-authenticate")
            .unwrap()
            .starts_with("Basic")
    );
    assert!(!asked.body.contains("dragonfly_"));
    // default:a:b, default:b, reader:r, other:o
    let right = "Authorization: Basic ZGVmYXVsdDphOmI=";
    assert_eq!(status("/metrics", &[right]), 200);
    assert_eq!(
        status("/metrics", &["Authorization: Basic ZGVmYXVsdDpi"]),
        401
    );
    assert_eq!(status("/metrics", &["Authorization: Bearer a:b"]), 401);
    assert_eq!(status("/nothing", &[]), 401);
    let mut client = server.client();
    client.ok("AUTH a:b");
    client.ok("ACL SETUSER reader on >r +info");
    client.ok("ACL SETUSER other on >o +@all -info ~*");
    assert_eq!(
        status("/metrics", &["Authorization: Basic cmVhZGVyOnI="]),
        200
    );
    assert_eq!(
        status("/metrics", &["Authorization: Basic b3RoZXI6bw=="]),
        403
    );
    // What an earlier request of the connection said counts no more.
    let two = format!(
        "GET /metrics HTTP/1.1\r\nHost: a\r\n{right}\r\n\r\n{}",
        String::from_utf8_lossy(METRICS)
    );
    let text = exchange(server.address(), two.as_bytes()).unwrap();
    assert!(
        text.contains("HTTP/1.1 200") && text.contains("HTTP/1.1 401"),
        "{text}"
    );
    // The admin port asks nobody here.
    assert_eq!(get(admin_address(&server), "/metrics", &[]).status, 200);
}

#[test]
fn the_public_port_can_be_without_http_and_the_admin_port_is_not() {
    let server = Server::start(&[
        "--proactor_threads=1",
        "--primary_port_http_enabled=false",
        "--admin_port=-1",
        "--restricted_commands=INFO",
    ]);
    let text = exchange(server.address(), METRICS).unwrap();
    assert!(text.starts_with("-ERR wrong number of arguments"), "{text}");
    assert_eq!(get(admin_address(&server), "/metrics", &[]).status, 200);
    server
        .client()
        .ok("CONFIG SET primary_port_http_enabled yes");
    // INFO is for administrators alone, and so are its figures.
    assert_eq!(get(server.address(), "/metrics", &[]).status, 403);
}
