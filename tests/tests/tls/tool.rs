//! Debian's `redis-cli`, and waiting for servers.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What `redis-cli` printed, both streams together, without the warning about passwords.
pub fn redis_cli(directory: &Path, arguments: &[&str], line: &[&str]) -> String {
    let output = Command::new("timeout")
        .arg("20")
        .arg("redis-cli")
        .args(arguments)
        .args(line)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.trim_end().to_owned()
}

/// Waits until something accepts connections there.
pub fn await_port(address: SocketAddr) {
    damselfly_tests::eventually(Duration::from_secs(20), "the port is open", || {
        std::net::TcpStream::connect(address).is_ok()
    });
}

/// Waits until a line of `redis-cli` answers what is wanted.
pub fn await_answer(
    directory: &Path,
    arguments: &[&str],
    line: &[&str],
    wanted: impl Fn(&str) -> bool,
) -> String {
    let mut last = String::new();
    damselfly_tests::eventually_some(Duration::from_secs(20), &line.join(" "), || {
        last = redis_cli(directory, arguments, line);
        wanted(&last).then(|| last.clone())
    })
}
