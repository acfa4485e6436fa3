//! HTTP on ports that speak TLS: what is sniffed lies below the encryption, and a browser needs no more than a password.

use super::authority::{Authority, Identity};
use super::client::TlsClient;
use damselfly_tests::http::{Answer, exchange, get, parse};
use damselfly_tests::{Server, eventually_some};
use std::net::SocketAddr;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

/// `GET path`, the last request of its connection, with a further line of its head or none.
fn request(path: &str, line: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{line}\r\n")
}

fn server(identity: &Identity, more: &[&str]) -> Server {
    let [key, cert] = identity.flags();
    let flags = ["--tls", "--proactor_threads=2", &key, &cert];
    Server::start(&[&flags[..], more].concat())
}

/// An answer, whole.
fn answer(text: &str) -> Answer {
    let answer = parse(text).unwrap_or_else(|| panic!("no answer of HTTP: {text:?}"));
    let length = answer.header("content-length").unwrap().parse();
    assert_eq!(length, Ok(answer.body.len()));
    answer
}

#[test]
fn a_certificate_opens_the_page_and_the_metrics() {
    let ca = Authority::new("http");
    let (own, theirs) = (ca.issue("server", &["localhost"]), ca.issue("scraper", &[]));
    let authority = format!("--tls_ca_cert_file={}", ca.ca().display());
    let server = server(&own, &[&authority]);
    let connect = || TlsClient::connect(server.address(), &ca.ca(), &theirs).unwrap();
    let ask = |bytes: &[u8]| connect().exchange([bytes].into_iter()).unwrap();
    let metrics = answer(&ask(request("/metrics", "").as_bytes()));
    assert_eq!(metrics.status, 200);
    assert!(metrics.body.contains("\ndragonfly_master 1\n"));
    // More than one record holds.
    let page = answer(&ask(request("/", "").as_bytes()));
    assert!(page.body.len() > 16 * 1024 && page.body.trim_end().ends_with("</html>"));
    // In pieces; two requests at once; RESP on the same port, where a line begins as one of HTTP does, and what a browser can be
    // made to send.
    let pieces = request("/status.json", "");
    let text = connect().exchange(pieces.as_bytes().chunks(7)).unwrap();
    assert!(
        answer(&text).body.contains("\"role\":\"primary\""),
        "{text}"
    );
    let twice = format!(
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n{}",
        request("/metrics", "")
    );
    let text = ask(twice.as_bytes());
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
    assert_eq!(
        ask(b"SET /path value\r\nGET /path\r\nQUIT\r\n"),
        "+OK\r\n$5\r\nvalue\r\n+OK\r\n"
    );
    let post = ask(b"POST / HTTP/1.1\r\nHost: a\r\n\r\nSET hacked 1\r\n");
    assert!(
        !post.starts_with("HTTP/") && !post.contains("+OK"),
        "{post}"
    );
    let stranger = TlsClient::browser(server.address(), &ca.ca());
    let refused =
        stranger.and_then(|mut it| it.exchange([request("/", "").as_bytes()].into_iter()));
    assert!(refused.is_err(), "{refused:?}");
}

#[test]
fn a_browser_needs_a_password_and_one_without_tls_reads_why_it_gets_nothing() {
    let ca = Authority::new("http");
    let own = ca.issue("server", &["localhost"]);
    let server = server(
        &own,
        &[
            "--requirepass=a:b",
            "--admin_port=-1",
            "--no_tls_on_admin_port",
        ],
    );
    let ask = |path: &str, line: &str| {
        let mut client = TlsClient::browser(server.address(), &ca.ca()).unwrap();
        answer(
            &client
                .exchange([request(path, line).as_bytes()].into_iter())
                .unwrap(),
        )
    };
    let asked = ask("/", "");
    assert_eq!(asked.status, 401);
    assert!(
        asked
            .header("www-authenticate")
            .unwrap()
            .starts_with("Basic")
    );
    // default:a:b, default:b
    let right = "Authorization: Basic ZGVmYXVsdDphOmI=\r\n";
    let wrong = "Authorization: Basic ZGVmYXVsdDpi\r\n";
    assert_eq!(ask("/status.json", right).status, 200);
    assert_eq!(ask("/metrics", wrong).status, 401);
    let plain = exchange(server.address(), request("/", "").as_bytes()).unwrap();
    let plain = parse(&plain).unwrap_or_else(|| panic!("{plain}"));
    assert!(
        plain.status == 400 && plain.body.contains("https://"),
        "{plain:?}"
    );
    // The admin port is in the clear here.
    let admin: SocketAddr = eventually_some(DEADLINE, "an admin port", || {
        let log = server.log();
        let mut lines = log.lines();
        lines
            .find_map(|line| line.strip_prefix("admin port on "))?
            .parse()
            .ok()
    });
    assert_eq!(get(admin, "/metrics", &[right.trim()]).status, 200);
}
