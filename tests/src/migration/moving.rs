//! Clients that write on while their data moves, and `examples/move-from-redis.sh`, which moves it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use damselfly_resp::Reply;

use crate::client::{Args, Client, words};
use crate::eventually::within;
use crate::process::TempDir;
use crate::proxy::FaultProxy;

/// What a client waits for an answer until it asks elsewhere.
const REPLY_TIMEOUT: Duration = Duration::from_secs(15);
/// Before it connects again.
const RETRY_PAUSE: Duration = Duration::from_millis(5);
/// Then nobody takes writes any more.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// Keys, fields and members that a client writes over and over.
const NAMES: u64 = 500;

/// Clients that write without a pause, one acknowledged write after the other, wherever they are let to.
#[derive(Debug)]
pub struct Writers {
    stopped: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Written>>,
}

/// What one of them has written.
#[derive(Debug, Clone, Copy)]
struct Written {
    writer: usize,
    /// The number of its last write; all before it were acknowledged, too.
    last: u64,
    /// Writes that were sent again, since nobody had answered or the answer was an error.
    retried: u64,
    longest: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Writes that were sent more than once until they were.
    pub retried: u64,
    /// Of these the ones that were executed more than once.
    pub repeated: u64,
    /// The longest time from one acknowledged write of a client to its next.
    pub longest: Duration,
}

impl Writers {
    /// Starts them.
    pub fn start(address: SocketAddr, count: usize) -> Writers {
        let (stopped, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let threads = (0..count).map(|writer| {
            let (stopped, acknowledged) = (stopped.clone(), Arc::clone(&acknowledged));
            std::thread::spawn(move || write(writer, address, &stopped, &acknowledged))
        });
        let threads = threads.collect();
        Writers {
            stopped,
            acknowledged,
            threads,
        }
    }

    /// Acknowledged writes so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Stops them, and looks for all that they have written.
    ///
    /// # Errors
    /// As [`Client::receive`], or the write that is missing.
    ///
    /// # Panics
    /// When one of them panicked.
    pub fn stop(self, server: &mut Client) -> io::Result<Moved> {
        self.stopped.store(true, Ordering::Relaxed);
        let mut moved = Moved::default();
        for thread in self.threads {
            let written = thread.join().expect("a writer does not panic");
            moved.acknowledged += written.last;
            moved.retried += written.retried;
            moved.longest = moved.longest.max(written.longest);
            moved.repeated += find(server, &written)?;
        }
        Ok(moved)
    }
}

/// Write number `number` of a client: to a string, a list, a hash or a sorted set.
fn command(writer: usize, number: u64) -> Args {
    let (kind, name) = (number % 4, number / 4 % NAMES);
    words(&match kind {
        0 => format!("SET moving:{writer}:{name} {number}"),
        1 => format!("RPUSH moving:{writer}:log {number}"),
        2 => format!("HSET moving:{writer}:hash {name} {number}"),
        _ => format!("ZADD moving:{writer}:zset {number} {name}"),
    })
}

fn write(
    writer: usize,
    address: SocketAddr,
    stopped: &AtomicBool,
    acknowledged: &AtomicU64,
) -> Written {
    let mut written = Written {
        writer,
        last: 0,
        retried: 0,
        longest: Duration::ZERO,
    };
    let mut client = None;
    while !stopped.load(Ordering::Relaxed) {
        let (command, since) = (command(writer, written.last + 1), Instant::now());
        let mut attempts = 0;
        while !is_acknowledged(&mut client, address, &command) {
            client = None;
            attempts += 1;
            let waited = since.elapsed();
            assert!(
                waited < LONGEST_WAIT,
                "write {} waits for ever",
                written.last + 1
            );
            std::thread::sleep(RETRY_PAUSE);
        }
        written.last += 1;
        written.retried += u64::from(attempts > 0);
        written.longest = written.longest.max(since.elapsed());
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    written
}

fn is_acknowledged(client: &mut Option<Client>, address: SocketAddr, command: &Args) -> bool {
    let connected = match client {
        Some(client) => Ok(client),
        None => Client::connect(address).map(|new| client.insert(new)),
    };
    let reply = connected.and_then(|client| {
        client.set_timeout(Some(REPLY_TIMEOUT))?;
        client.try_call(command)
    });
    reply.is_ok_and(|reply| !matches!(reply, Reply::Error(_)))
}

/// Looks for all writes of a client. How many elements of its list are there twice.
fn find(server: &mut Client, written: &Written) -> io::Result<u64> {
    let Written { writer, last, .. } = *written;
    let missing = |what: String| Err(io::Error::other(format!("client {writer}: {what}")));
    // The last writes to each name.
    for number in last.saturating_sub(4 * NAMES) + 1..=last {
        let name = number / 4 % NAMES;
        let read = match number % 4 {
            0 => format!("GET moving:{writer}:{name}"),
            2 => format!("HGET moving:{writer}:hash {name}"),
            3 => format!("ZSCORE moving:{writer}:zset {name}"),
            _ => continue,
        };
        let found = server.try_call(&words(&read))?;
        if found.as_text() != Some(number.to_string().as_bytes()) {
            return missing(format!("write {number} of {last}: {read} is {found:?}"));
        }
    }
    let log = server.try_call(&words(&format!("LRANGE moving:{writer}:log 0 -1")))?;
    let log = log.as_items().unwrap_or_default().iter();
    let mut log: Vec<u64> = log
        .filter_map(|entry| std::str::from_utf8(entry.as_text()?).ok()?.parse().ok())
        .collect();
    let all = log.len();
    log.dedup();
    let repeated = (all - log.len()) as u64;
    let expected: Vec<u64> = (1..=last).step_by(4).collect();
    match log == expected {
        true => Ok(repeated),
        false => {
            let at = log
                .iter()
                .zip(&expected)
                .position(|(left, right)| left != right);
            let (found, wanted) = (log.len(), expected.len());
            missing(format!(
                "{found} of {wanted} list entries, other from {at:?} on"
            ))
        }
    }
}

/// The script, for users to read.
fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/move-from-redis.sh")
}

/// Runs `examples/move-from-redis.sh`: `service`, which clients write through, is turned from the old server to the new one. Gives what
/// the script says.
///
/// # Errors
/// The system's, or what the script says if it fails.
pub fn run_script(old: SocketAddr, new: SocketAddr, service: &FaultProxy) -> io::Result<String> {
    let dir = TempDir::new("moving")?;
    let (asked, done) = (dir.path().join("asked"), dir.path().join("done"));
    // What a command for DNS or a load balancer would be.
    let switch = format!(
        "touch {}; until [ -e {} ]; do sleep 0.01; done",
        asked.display(),
        done.display()
    );
    let mut script = Command::new(script());
    script
        .args([&old.ip().to_string(), &old.port().to_string(), &switch])
        .env("OLD", format!("redis-cli -p {}", old.port()))
        .env("NEW", format!("redis-cli -p {}", new.port()));
    let running = std::thread::spawn(move || script.output());
    let _ = within(Duration::from_secs(300), || {
        (asked.exists() || running.is_finished()).then_some(())
    });
    service.set_target(new);
    service.cut_all();
    std::fs::write(&done, "")?;
    let output = running.join().expect("it does not panic")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(io::Error::other(format!(
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}
