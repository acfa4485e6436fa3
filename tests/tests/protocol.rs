//! Requests that are odd or wrong, as bytes, against `damselfly` and `redis-server` 7.0: the same
//! replies, and a connection that is closed where Redis closes it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use damselfly_tests::{Redis, Rng, Server};

/// How long a server may take to answer and to close.
const DEADLINE: Duration = Duration::from_secs(10);

/// What each case is sent as, in one piece and byte by byte.
#[rustfmt::skip]
const CASES: &[&[u8]] = &[
    // Inline commands.
    b"PING\r\n", b"PING\n", b"  PING  \r\n", b"\r\n\r\nPING\r\n", b"\n\n\nPING\n", b"ECHO \"a b\"\r\n", b"ECHO 'a \\' b'\r\n",
    b"ECHO \"\\x41\\n\\t\\\\\"\r\n", b"ECHO \"unbalanced\r\nPING\r\n", b"ECHO 'unbalanced\r\n", b"ECHO \"a\"b\r\n", b"ECHO \"\"\r\n",
    b"PING\r\nPING extra\r\nPING a b c\r\n", b"\"PING\"\r\n", b"NOSUCH a b\r\n",
    // Arrays.
    b"*1\r\n$4\r\nPING\r\n", b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", b"*0\r\n*1\r\n$4\r\nPING\r\n", b"*-1\r\n*1\r\n$4\r\nPING\r\n",
    b"*-10\r\nPING\r\n", b"*1\r\n$4\r\nPINGxxPING\r\n", b"*2\r\n$4\r\nECHO\r\n$3\r\na\r\n\r\n",
    b"*1\r\n$4\r\nping\r\n*1\r\n$4\r\nPiNg\r\n",
    // Broken headers.
    b"*a\r\n", b"*\r\n", b"* 1\r\n$4\r\nPING\r\n", b"*1 \r\n$4\r\nPING\r\n", b"*01\r\n$4\r\nPING\r\n", b"*+1\r\n$4\r\nPING\r\n",
    b"*2147483648\r\n", b"*9223372036854775807\r\n", b"*99999999999999999999\r\n", b"*1\r\n+PING\r\n", b"*1\r\nPING\r\n",
    b"*1\r\n:1\r\n", b"*1\r\n*1\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$a\r\n", b"*1\r\n$\r\n", b"*1\r\n$ 4\r\nPING\r\n",
    b"*1\r\n$536870913\r\n", b"*1\r\n$9223372036854775807\r\n", b"*1\r\n$99999999999999999999\r\n", b"*1\r\n$-5\r\n", b"*1\r\n\r\n",
    b"*1\r\n$4\r\nPING\r\n*a\r\n*1\r\n$4\r\nPING\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$x\r\n",
    // Commands that are refused before they run.
    b"*1\r\n$3\r\nGET\r\n", b"*1\r\n$0\r\n\r\n", b"*1\r\n$3\r\n\x00\xff\r\r\n", b"*2\r\n$6\r\nCONFIG\r\n$7\r\nNONSUCH\r\n",
    b"*1\r\n$6\r\nCONFIG\r\n", b"*2\r\n$5\r\nHELLO\r\n$1\r\n4\r\n", b"*2\r\n$5\r\nHELLO\r\n$1\r\na\r\n", b"QUIT\r\nPING\r\n",
    b"*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nPING\r\n",
    // Other people's protocols. (What stands before `Host:` is answered if it came with an earlier read.)
    b"GET / HTTP/1.1\r\n\r\n", b"Host: x\r\n\r\n", b"hOST: x\r\nPING\r\n", b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nPING",
];

/// Sends bytes in pieces of a size, then the end; gives all that comes back.
fn exchange(address: SocketAddr, bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    for piece in bytes.chunks(piece.max(1)) {
        // A server that has closed already takes no more.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    // A close with bytes unread is a reset: what came before it counts.
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        answer.extend_from_slice(&chunk[..length]);
    }
    answer
}

fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn differences(left: SocketAddr, right: SocketAddr) -> Vec<String> {
    let mut found = Vec::new();
    let large = [b"ECHO ".to_vec(), vec![b'x'; 70_000]].concat();
    let cases = CASES.iter().copied().chain([large.as_slice()]);
    for case in cases {
        for piece in [case.len(), 1 + case.len() / 3] {
            let (first, second) = (exchange(left, case, piece), exchange(right, case, piece));
            if first != second {
                let sent: String = escaped(case).chars().take(100).collect();
                found.push(format!(
                    "sent   {sent}\n  first  {}\n  second {}",
                    escaped(&first),
                    escaped(&second)
                ));
                break;
            }
        }
    }
    found
}

#[test]
fn odd_requests_are_answered_as_redis_does() {
    let (redis, server) = (
        Redis::start(),
        Server::start(&["--proactor_threads=1", "--primary_port_http_enabled=false"]),
    );
    let found = differences(redis.address(), server.address());
    assert!(
        found.is_empty(),
        "{} differ; first = redis-server 7.0\n{}",
        found.len(),
        found.join("\n")
    );
}

/// The tool itself, and that no case depends on time.
#[test]
fn redis_answers_odd_requests_as_redis_does() {
    let redis = Redis::start();
    assert_eq!(
        differences(redis.address(), redis.address()),
        Vec::<String>::new()
    );
}

/// Garbage of all kinds ends connections at most, never the server.
#[test]
fn garbage_does_no_harm() {
    let server = Server::start(&["--proactor_threads=2"]);
    let mut rng = Rng::new(11);
    for _ in 0..300 {
        let (first, second) = (*rng.pick(CASES), *rng.pick(CASES));
        let mut bytes = [first, second].concat();
        for _ in 0..1 + rng.below(4) {
            let place = rng.index(bytes.len());
            match rng.below(3) {
                0 => bytes[place] = rng.next_u64() as u8,
                1 => bytes.truncate(place),
                _ => bytes.insert(place, *rng.pick(b"*$\r\n-10")),
            }
            if bytes.is_empty() {
                break;
            }
        }
        exchange(server.address(), &bytes, 1 + rng.index(40));
    }
    assert_eq!(server.client().text("PING"), "PONG");
}
