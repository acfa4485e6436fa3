//! Scripts that would bring a server down: it answers all of them, lives, and its replica holds the same.

use super::DEADLINE;
use damselfly_resp::Reply;
use damselfly_tests::{Client, Digest, Server, same_data};
use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

/// A script a line.
const SCRIPTS: &str = include_str!("hostile.txt");

/// Kills whatever script runs for too long, until it is dropped.
struct Killer(std::sync::mpsc::Sender<()>);

impl Killer {
    fn of(server: &Server) -> Killer {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let mut client = server.client();
        std::thread::spawn(move || {
            use std::sync::mpsc::RecvTimeoutError::Timeout;
            while stopped.recv_timeout(Duration::from_millis(50)) == Err(Timeout) {
                let busy = client.call("GET key");
                if busy
                    .as_error()
                    .is_some_and(|text| text.starts_with(b"BUSY"))
                {
                    client.call("SCRIPT KILL");
                }
            }
        });
        Killer(stop)
    }
}

/// Runs a script and reads whatever comes, which may be more than a client takes, up to the answer to a PING.
fn survives(server: &Server, script: &str) {
    let mut stream = TcpStream::connect(server.address()).expect("the server lives");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let text = format!(
        "*4\r\n$4\r\nEVAL\r\n${}\r\n{script}\r\n$1\r\n1\r\n$3\r\nkey\r\n*2\r\n$4\r\nPING\r\n$4\r\nlast\r\n",
        script.len()
    );
    std::io::Write::write_all(&mut stream, text.as_bytes()).expect("it is sent");
    let (mut seen, mut chunk) = (Vec::new(), vec![0; 1 << 16]);
    while !seen.ends_with(b"$4\r\nlast\r\n") {
        let read = stream.read(&mut chunk).unwrap_or(0);
        assert!(read > 0, "no answer to {script}");
        seen.drain(..seen.len().saturating_sub(16));
        seen.extend_from_slice(&chunk[..read]);
    }
}

#[test]
fn hostile_scripts_are_survived() {
    let flags = [
        "--proactor_threads=2",
        "--busy_reply_threshold=100",
        "--lua_mem_limit=8mb",
    ];
    let primary = Server::start(&flags);
    let replica = Server::replica_of(primary.address(), 2);
    let mut client: Client = primary.client();
    let killer = Killer::of(&primary);
    for (number, script) in SCRIPTS.lines().enumerate() {
        survives(&primary, script);
        let reply = client.call(&format!("SET n:{number} {number}"));
        assert!(!matches!(reply, Reply::Null), "{script}");
    }
    drop(killer.0);
    same_data(DEADLINE, &mut client, &mut replica.client(), Digest::Strict);
}
