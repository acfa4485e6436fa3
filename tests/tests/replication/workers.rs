//! A group of workers reads streams of a primary that is killed and replaced by its replica.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Server, eventually, words};

use crate::pair::{DEADLINE, follow, settle, synced};

const STREAMS: u64 = 4;
const WORKERS: usize = 3;
const JOBS: u64 = 600;
/// Jobs that the replica has acknowledgements of when the primary dies.
const BEFORE: usize = 150;

/// A stream, and an id in it.
type Entry = (String, String);

/// What happened, as the clients saw it.
#[derive(Default)]
struct Seen {
    /// Jobs that a replica had before their producer went on.
    kept: BTreeSet<u64>,
    /// Jobs that some worker got.
    delivered: BTreeSet<u64>,
    /// Entries whose acknowledgement a replica had before the worker went on. (A producer that does not know what became of a job
    /// adds it again, as another entry.)
    done: BTreeSet<Entry>,
    /// Entries that came again although they were done.
    again: Vec<Entry>,
}

struct Shop {
    /// Where the primary is now.
    primary: Mutex<SocketAddr>,
    seen: Mutex<Seen>,
}

impl Shop {
    /// Goes on at the present primary whenever a connection breaks, until `work` has nothing more to do.
    fn staff(&self, mut work: impl FnMut(&mut Client, bool) -> io::Result<bool>) {
        loop {
            let address = *self.primary.lock().unwrap();
            let Ok(mut client) = Client::connect(address) else {
                std::thread::yield_now();
                continue;
            };
            let mut is_new = true;
            loop {
                match work(&mut client, is_new) {
                    Ok(true) => is_new = false,
                    Ok(false) => return,
                    Err(_) => break,
                }
            }
        }
    }

    fn produce(&self, jobs: impl Iterator<Item = u64>) {
        let mut jobs = jobs.peekable();
        self.staff(|client, _| {
            let Some(&job) = jobs.peek() else {
                return Ok(false);
            };
            let stream = job % STREAMS;
            expect(client, &format!("XADD jobs:{stream} * job {job}"))?;
            let kept = is_replicated(client)?;
            jobs.next();
            if kept {
                self.seen.lock().unwrap().kept.insert(job);
            }
            Ok(true)
        });
    }

    /// What it had and did not acknowledge first, then what is new.
    fn work(&self, name: usize) {
        self.staff(|client, is_new| {
            let from = if is_new { "0" } else { ">" };
            let command = format!(
                "XREADGROUP GROUP crew worker:{name} COUNT 4 BLOCK 100 STREAMS {} {}",
                (0..STREAMS)
                    .map(|stream| format!("jobs:{stream}"))
                    .collect::<Vec<_>>()
                    .join(" "),
                [from; STREAMS as usize].join(" "),
            );
            for (stream, id, job) in entries(&expect(client, &command)?) {
                self.take((stream.clone(), id.clone()), job);
                expect(client, &format!("XACK {stream} crew {id}"))?;
                if is_replicated(client)? {
                    self.seen.lock().unwrap().done.insert((stream, id));
                }
            }
            Ok(!self.is_over(client)?)
        });
    }

    fn take(&self, entry: Entry, job: u64) {
        let mut seen = self.seen.lock().unwrap();
        seen.delivered.insert(job);
        if seen.done.contains(&entry) {
            seen.again.push(entry);
        }
    }

    /// Whether all jobs are there, and none is left to anybody.
    fn is_over(&self, client: &mut Client) -> io::Result<bool> {
        if self.seen.lock().unwrap().delivered.len() < JOBS as usize {
            return Ok(false);
        }
        for stream in 0..STREAMS {
            let pending = expect(client, &format!("XPENDING jobs:{stream} crew"))?;
            if pending.as_items().and_then(|items| items[0].as_integer()) != Some(0) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The reply, or what broke: a server that is dying says so in errors, too.
fn expect(client: &mut Client, line: &str) -> io::Result<Reply> {
    let reply = client.try_call(&words(line))?;
    match reply.as_error() {
        Some(error) => Err(io::Error::other(error.escape_ascii().to_string())),
        None => Ok(reply),
    }
}

fn is_replicated(client: &mut Client) -> io::Result<bool> {
    Ok(expect(client, "WAIT 1 1000")?.as_integer() >= Some(1))
}

/// Stream, id and job of each entry that XREADGROUP gave.
fn entries(reply: &Reply) -> Vec<(String, String, u64)> {
    let text = |reply: &Reply| String::from_utf8(reply.as_text().unwrap().to_vec()).unwrap();
    let mut found = Vec::new();
    for stream in reply.as_items().unwrap_or_default() {
        let [name, entries] = stream.as_items().unwrap() else {
            panic!("{stream:?}");
        };
        for entry in entries.as_items().unwrap() {
            let [id, fields] = entry.as_items().unwrap() else {
                panic!("{entry:?}");
            };
            let job = text(&fields.as_items().unwrap()[1]);
            found.push((text(name), text(id), job.parse().unwrap()));
        }
    }
    found
}

#[test]
fn nothing_acknowledged_comes_again_and_nothing_kept_is_lost() {
    let [mut a, b] = [2, 2].map(Server::with_shards);
    follow(&b, a.address());
    synced(&b);
    for stream in 0..STREAMS {
        a.client()
            .ok(&format!("XGROUP CREATE jobs:{stream} crew $ MKSTREAM"));
    }
    let shop = Shop {
        primary: Mutex::new(a.address()),
        seen: Mutex::default(),
    };
    std::thread::scope(|scope| {
        let shop = &shop;
        for part in 0..2 {
            scope.spawn(move || shop.produce((0..JOBS).filter(move |job| job % 2 == part)));
        }
        for name in 0..WORKERS {
            scope.spawn(move || shop.work(name));
        }
        eventually(DEADLINE, "some jobs done", || {
            shop.seen.lock().unwrap().done.len() >= BEFORE
        });
        a.kill();
        b.client().ok("REPLICAOF NO ONE");
        *shop.primary.lock().unwrap() = b.address();
        // Somebody has to acknowledge what comes now.
        a = Server::with_shards(2);
        follow(&a, b.address());
    });
    let seen = shop.seen.into_inner().unwrap();
    assert_eq!(seen.again, [], "done, and delivered again");
    let lost: Vec<_> = seen
        .kept
        .iter()
        .filter(|job| !seen.delivered.contains(job))
        .collect();
    assert!(lost.is_empty(), "kept, and never delivered: {lost:?}");
    assert!(seen.kept.len() > BEFORE && seen.done.len() > BEFORE);
    settle(&b, &a);
}
