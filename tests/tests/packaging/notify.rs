//! A service manager's end of `Type=notify`.

use damselfly_tests::{
    Client, Process, Server, TempDir, announced, eventually, eventually_some, within,
};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

/// Keys whose loading takes a moment.
const KEYS: u32 = 200_000;

struct Manager {
    dir: TempDir,
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new() -> Manager {
        let dir = TempDir::new("notify").unwrap();
        let socket = UnixDatagram::bind(dir.path().join("socket")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Manager {
            dir,
            socket,
            heard: Vec::new(),
        }
    }

    fn start(&self, flags: &[&str], watchdog: &[(&str, &str)]) -> Process {
        let socket = self.dir.path().join("socket");
        let data = format!("--dir={}", self.dir.path().display());
        let flags = [
            &["--port=-1", "--bind=127.0.0.1", "--dbfilename=data", &data],
            flags,
        ]
        .concat();
        let socket = ("NOTIFY_SOCKET", socket.to_str().unwrap());
        Server::bare(&flags, &[&[socket], watchdog].concat())
    }

    /// Every line that was sent so far.
    fn heard(&mut self) -> &[String] {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            self.heard.extend(text.lines().map(str::to_owned));
        }
        &self.heard
    }

    /// Where a line stands that begins so, once it has come.
    #[track_caller]
    fn await_line(&mut self, start: &str) -> usize {
        let mut last = Vec::new();
        let found = within(DEADLINE, || {
            last = self.heard().to_vec();
            last.iter().position(|line| line.starts_with(start))
        });
        found.unwrap_or_else(|| panic!("no {start} in {last:?}"))
    }
}

/// Where a server listens.
fn address(server: &Process) -> SocketAddr {
    eventually_some(DEADLINE, "the address", || announced(&server.log()))
}

#[test]
fn a_service_manager_hears_each_phase() {
    let mut manager = Manager::new();
    let watchdog = [("WATCHDOG_USEC", "200000")];
    let mut server = manager.start(&["--proactor_threads=2"], &watchdog);
    manager.await_line("READY=1");
    manager.await_line("STATUS=primary; replicas in sync: 0 of 0");
    let replica = Server::replica_of(address(&server), 2);
    manager.await_line("STATUS=primary; replicas in sync: 1 of 1");
    let beats = |lines: &[String]| lines.iter().filter(|line| *line == "WATCHDOG=1").count();
    let before = beats(manager.heard());
    eventually(DEADLINE, "signs of life go on", || {
        beats(manager.heard()) > before + 2
    });
    drop(replica);
    server.signal(Signal::TERM);
    manager.await_line("STOPPING=1");
    assert!(server.terminate(DEADLINE).unwrap().success());
}

#[test]
fn loading_takes_the_time_that_it_takes_and_a_link_is_named() {
    let mut manager = Manager::new();
    let mut server = manager.start(&["--proactor_threads=2"], &[]);
    let mut client = Client::connect(address(&server)).unwrap();
    client.ok(&format!("DEBUG POPULATE {KEYS} key 64"));
    assert!(server.terminate(DEADLINE).unwrap().success());
    manager.heard();
    manager.heard.clear();
    let primary = Server::with_shards(2);
    let follow = format!("--replicaof={}", primary.address());
    // Without being told it would keep what is in its file: the primary began with nothing.
    let told = "--follow_blank_master";
    let _again = manager.start(&["--proactor_threads=2", &follow, told], &[]);
    let ready = manager.await_line("READY=1");
    assert!(manager.await_line("STATUS=loading: ") < ready);
    assert!(manager.await_line("EXTEND_TIMEOUT_USEC=60000000") < ready);
    manager.await_line(&format!(
        "STATUS=replica, in sync with {}",
        primary.address()
    ));
}
