//! Clients that remember what was acknowledged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use damselfly_resp::Reply;

use crate::client::Client;

/// Keys that are asked for at once.
const CHUNK: usize = 500;

/// Clients that write as fast as they are answered, every third time to several shards, each until a write is not acknowledged.
#[derive(Debug)]
pub struct Acknowledged {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    writers: Vec<JoinHandle<Written>>,
}

/// What clients wrote.
#[derive(Debug, Default)]
pub struct Written {
    /// The keys whose writes were acknowledged, each written once.
    pub keys: Vec<String>,
    /// The longest time that an acknowledged write took.
    pub longest: Duration,
}

impl Acknowledged {
    /// Starts so many clients of a server.
    pub fn start(server: SocketAddr, writers: usize) -> Acknowledged {
        let (stop, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let writers = (0..writers).map(|writer| {
            let (stop, count) = (stop.clone(), count.clone());
            std::thread::spawn(move || write(server, writer, &stop, &count))
        });
        Acknowledged {
            writers: writers.collect(),
            stop,
            count,
        }
    }

    /// Writes acknowledged so far.
    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Ends it.
    ///
    /// # Panics
    /// When a client did.
    pub fn end(self) -> Written {
        self.stop.store(true, Relaxed);
        let mut all = Written::default();
        for writer in self.writers {
            let written = writer.join().expect("it connects");
            all.longest = all.longest.max(written.longest);
            all.keys.extend(written.keys);
        }
        all
    }
}

impl Written {
    /// How many of them a server does not have.
    ///
    /// # Panics
    /// When it does not answer.
    #[track_caller]
    pub fn lost(&self, server: &mut Client) -> usize {
        let found = self.keys.chunks(CHUNK).map(|keys| {
            let found = server.integer(&format!("EXISTS {}", keys.join(" ")));
            usize::try_from(found).unwrap_or_default()
        });
        self.keys.len() - found.sum::<usize>()
    }
}

fn write(server: SocketAddr, writer: usize, stop: &AtomicBool, count: &AtomicUsize) -> Written {
    let mut client = Client::connect(server).expect("the server listens");
    let mut written = Written::default();
    for n in 0.. {
        let key = format!("{writer}:{n}");
        let args: &[&str] = match n % 3 {
            0 => &["MSET", &key, "1", "{a}x", "1", "{b}y", "1"],
            _ => &["SET", &key, "1"],
        };
        let begun = Instant::now();
        if !matches!(client.try_call(args), Ok(Reply::Simple(_))) {
            break;
        }
        written.longest = written.longest.max(begun.elapsed());
        written.keys.push(key);
        count.fetch_add(1, Relaxed);
        if stop.load(Relaxed) {
            break;
        }
    }
    written
}
