//! MONITOR: clients that see the commands of all others.
//!
//! While nobody does, a command pays for one load. A line is made once, by the thread that the command came to, and shared by
//! all who get it; where too much of it waits for one that does not read, that one is dropped, as a subscriber is.

use crate::command::{Command, Flags};
use crate::pubsub::PushQueue;
use crate::thread::{Thread, unix_us};
use bytes::Bytes;
use damselfly_store::DbIndex;
use std::io::Write;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many clients look on, by the threads that they live on.
#[derive(Debug)]
pub struct Monitors {
    all: AtomicUsize,
    threads: Box<[AtomicUsize]>,
}

impl Monitors {
    /// None, on so many threads.
    pub fn new(threads: usize) -> Monitors {
        Monitors {
            all: AtomicUsize::new(0),
            threads: (0..threads).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// Whether anybody looks on.
    #[inline]
    pub fn any(&self) -> bool {
        self.all.load(Ordering::Relaxed) != 0
    }

    fn change(&self, thread: usize, by: isize) {
        for count in [&self.all, &self.threads[thread]] {
            count.fetch_add(by as usize, Ordering::Relaxed);
        }
    }
}

/// A client of this thread looks on from now on.
pub(crate) fn add(thread: &Thread, queue: Rc<PushQueue>) {
    thread.monitors.borrow_mut().push(queue);
    thread.engine.monitors.change(thread.index, 1);
}

/// A client of this thread looks on no more.
pub(crate) fn remove(thread: &Thread, id: u64) {
    let mut monitors = thread.monitors.borrow_mut();
    let before = monitors.len();
    monitors.retain(|queue| queue.id != id);
    if monitors.len() < before {
        thread.engine.monitors.change(thread.index, -1);
    }
}

/// Shows a command to all who look on. `from` is where it comes from; `own` the client that sent it, which sees it behind its
/// reply. What is for administrators is shown to nobody, and no secrets are.
#[cold]
pub(crate) fn show(
    thread: &Rc<Thread>,
    db: DbIndex,
    from: &str,
    own: u64,
    row: &Command,
    args: &[&[u8]],
) {
    if row.flags.has(Flags::ADMIN) {
        return;
    }
    let line = line(unix_us(), db, from, &row.shown(args));
    for (index, count) in thread.engine.monitors.threads.iter().enumerate() {
        if count.load(Ordering::Relaxed) == 0 {
            continue;
        }
        let line = line.clone();
        if index == thread.index {
            tell(thread, &line, own);
        } else {
            let task = move |thread: &Rc<Thread>| tell(thread, &line, own);
            thread.engine.mesh.run_on(index, Box::new(task));
        }
    }
}

fn tell(thread: &Thread, line: &Bytes, own: u64) {
    for queue in &*thread.monitors.borrow() {
        queue.push_around_reply(line.clone(), queue.id == own);
    }
}

fn line(us: i64, db: DbIndex, from: &str, args: &[&[u8]]) -> Bytes {
    let mut line = format!(
        "+{}.{:06} [{} {from}]",
        us / 1_000_000,
        us % 1_000_000,
        db.0
    )
    .into_bytes();
    for arg in args {
        line.push(b' ');
        quote(arg, &mut line);
    }
    line.extend_from_slice(b"\r\n");
    line.into()
}

/// An argument in quotes, as people and `redis-cli` read it.
fn quote(arg: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in arg {
        let escaped = match byte {
            b'\\' | b'"' => *byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x07 => b'a',
            0x08 => b'b',
            b' '..=b'~' => {
                out.push(*byte);
                continue;
            }
            _ => {
                write!(out, "\\x{byte:02x}").expect("a vector takes everything");
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', escaped]);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_redis_writes_it() {
        let args: [&[u8]; 3] = [b"set", b"a\x00\"\\\n\r\t\x07\x08\x7f\xff'", b""];
        let line = line(1_795_294_091_000_042, DbIndex(3), "lua", &args);
        let shown = "+1795294091.000042 [3 lua] \"set\" \"a\\x00\\\"\\\\\\n\\r\\t\\a\\b\\x7f\\xff'\" \"\"\r\n";
        assert_eq!(line, shown.as_bytes());
    }
}
