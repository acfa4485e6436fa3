//! What nobody sends who means well: each gets an error of bounded cost, and the server goes on.

use damselfly_tests::http::exchange;
use damselfly_tests::{Server, eventually};
use std::time::Duration;

const END: &str = "\r\nHost: a\r\n\r\n";

fn head(line: &str, count: usize) -> String {
    let lines: String = (0..count)
        .map(|number| format!("X{number}: a\r\n"))
        .collect();
    format!("{line} HTTP/1.1\r\nConnection: close\r\n{lines}\r\n")
}

/// Requests, and how the last answer to each begins.
fn requests() -> Vec<(&'static str, String, &'static str)> {
    let long = |bytes: usize| format!("GET /{} HTTP/1.1{END}", "a".repeat(bytes));
    let with =
        |line: &str, body: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n{body}");
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\r\nSET hacked 1\r\n";
    vec![
        ("a long path", long(20_000), "HTTP/1.1 431"),
        ("a longer one", long(500_000), "HTTP/1.1 431"),
        (
            "a line without an end",
            format!("GET /{}", "a".repeat(100_000)),
            "-ERR Protocol error: too big inline request",
        ),
        ("many lines", head("GET /metrics", 60), "HTTP/1.1 200"),
        ("too many lines", head("GET /metrics", 65), "HTTP/1.1 431"),
        (
            "far too many lines",
            head("GET /metrics", 20_000),
            "HTTP/1.1 431",
        ),
        (
            "a long line",
            with(&format!("X: {}", "a".repeat(500_000)), ""),
            "HTTP/1.1 431",
        ),
        ("no line at all", with("X y\0: \x01", ""), "HTTP/1.1 400"),
        (
            "another version",
            format!("GET / HTTP/1.9{END}"),
            "HTTP/1.1 400",
        ),
        ("a body", with("Content-Length: 5", "hello"), "HTTP/1.1 413"),
        (
            "a body in chunks",
            with("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
            "HTTP/1.1 413",
        ),
        (
            "two lengths",
            with("Content-Length: 5\r\nTransfer-Encoding: chunked", "hello"),
            "HTTP/1.1 413",
        ),
        (
            "a length beyond all",
            with("Content-Length: 99999999999999999999", ""),
            "HTTP/1.1 400",
        ),
        (
            "a body to come",
            with("Expect: 100-continue\r\nContent-Length: 5", ""),
            "HTTP/1.1 413",
        ),
        (
            "out of the root",
            format!("GET /../etc/passwd HTTP/1.1\r\nConnection: close{END}"),
            "HTTP/1.1 404",
        ),
        ("POST, as from a browser", post.to_owned(), ""),
        (
            "POST behind GET",
            format!("GET /nothing HTTP/1.1{END}{post}"),
            "HTTP/1.1 405",
        ),
        (
            "bytes behind GET",
            format!("GET /nothing HTTP/1.1{END}\0\u{1}\u{2}\r\n\r\n"),
            "HTTP/1.1 400",
        ),
    ]
}

/// The last answer: those before it have no line of this kind in their bodies.
fn last(text: &str) -> &str {
    let at = text.rfind("HTTP/1.1 ").unwrap_or(0);
    &text[at..]
}

#[test]
fn bad_requests_are_answered_and_cost_little() {
    let server = Server::start(&["--proactor_threads=1"]);
    let mut client = server.client();
    let before = client.info("memory")["used_memory"].parse::<u64>().unwrap();
    for (what, request, answer) in requests() {
        // What comes behind a refusal may take its answer away (a reset), never the refusal.
        match exchange(server.address(), request.as_bytes()) {
            Ok(text) if answer.is_empty() => assert_eq!(text, "", "{what}"),
            Ok(text) => assert!(last(&text).starts_with(answer), "{what}: {text}"),
            Err(error) => assert!(request.len() > 64 * 1024, "{what}: {error}"),
        }
    }
    assert_eq!(client.integer("EXISTS hacked"), 0);
    // As many at once as somebody cares to send, in order.
    let many = format!("GET /nothing HTTP/1.1{END}").repeat(2_000) + &head("HEAD /metrics", 0);
    let text = exchange(server.address(), many.as_bytes()).unwrap();
    assert_eq!(text.matches("HTTP/1.1 404").count(), 2_000);
    assert!(last(&text).starts_with("HTTP/1.1 200"));
    eventually(Duration::from_secs(20), "no connection is left", || {
        client.info("clients")["connected_clients"] == "1"
    });
    let after = client.info("memory")["used_memory"].parse::<u64>().unwrap();
    assert!(after < before + (1 << 20), "{before} to {after}");
}
