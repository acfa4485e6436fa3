//! Sinks without room hold back every walk that would bring buckets to them.
#![cfg(feature = "store")]

use damselfly_snapshot::*;
use damselfly_store::{DbIndex, Shard, ShardOptions, Value};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

/// A link that takes nothing until it is told to.
#[derive(Default)]
struct Link {
    waiting: Cell<usize>,
    passed: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

const LIMIT: usize = 64 * 1024;

#[derive(Clone, Default)]
struct LinkSink(Rc<Link>);

impl LinkSink {
    fn pass_on(&self) {
        self.0
            .passed
            .update(|passed| passed + self.0.waiting.take());
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

impl Sink for LinkSink {
    fn write(&self, write: &mut dyn FnMut(&mut RdbWriter)) {
        let mut writer = RdbWriter::new();
        write(&mut writer);
        self.0
            .waiting
            .update(|waiting| waiting + writer.take().len());
    }

    fn has_room(&self) -> bool {
        self.0.waiting.get() < LIMIT
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        self.0.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

const STEP: usize = 16 * 1024;
const KEYS: usize = 20_000;

fn filled() -> Shard {
    let mut shard = Shard::new(ShardOptions {
        dbnum: 1,
        hash_seed: 7,
    });
    for number in 0..KEYS {
        let key = format!("key:{number}");
        shard.insert(DbIndex(0), key.as_bytes(), Value::string(&[b'x'; 64]), None);
    }
    shard
}

/// Runs `fast` until it is blocked or done, its own link always free.
fn run(shard: &mut Shard, fast: &mut Snapshot, link: &LinkSink) -> Progress {
    loop {
        let progress = fast.step(shard, STEP).unwrap();
        link.pass_on();
        if progress != Progress::More {
            return progress;
        }
    }
}

fn beside_a_slow_one(slow_is_older: bool) {
    let mut shard = filled();
    let snapshots = Snapshots::new();
    let (fast_link, slow_link) = (LinkSink::default(), LinkSink::default());
    let mut begin =
        |link: &LinkSink| snapshots.begin(&mut shard, SnapshotOptions::flow(), link.clone());
    let (mut fast, slow) = match slow_is_older {
        true => {
            let slow = begin(&slow_link);
            (begin(&fast_link), slow)
        }
        false => (begin(&fast_link), begin(&slow_link)),
    };
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut context = Context::from_waker(&waker);
    let mut rounds = 0;
    while run(&mut shard, &mut fast, &fast_link) == Progress::Blocked {
        assert!(!slow_link.has_room());
        assert!(
            slow_link.0.waiting.get() < LIMIT + 4 * STEP,
            "a link that takes nothing got {} bytes",
            slow_link.0.waiting.get()
        );
        assert!(fast.poll_room(&mut context).is_pending());
        slow_link.pass_on();
        rounds += 1;
        assert_eq!(wakes.0.load(Relaxed), rounds, "who waits hears of the room");
        assert!(fast.poll_room(&mut context).is_ready());
    }
    assert!(rounds > 5, "the slow link never held anybody back");
    assert!(fast.is_done() && fast.entries() == KEYS as u64);
    // All that the fast one came to went to the slow one, too.
    assert_eq!(slow.entries(), KEYS as u64);
}

#[test]
fn a_walk_waits_for_the_room_of_an_older_snapshot() {
    beside_a_slow_one(true);
}

#[test]
fn a_walk_waits_for_the_room_of_a_newer_snapshot() {
    beside_a_slow_one(false);
}

#[test]
fn a_snapshot_that_was_dropped_holds_nobody_back() {
    let mut shard = filled();
    let snapshots = Snapshots::new();
    let (fast_link, slow_link) = (LinkSink::default(), LinkSink::default());
    let slow = snapshots.begin(&mut shard, SnapshotOptions::flow(), slow_link.clone());
    let mut fast = snapshots.begin(&mut shard, SnapshotOptions::flow(), fast_link.clone());
    assert_eq!(run(&mut shard, &mut fast, &fast_link), Progress::Blocked);
    drop(slow);
    assert_eq!(run(&mut shard, &mut fast, &fast_link), Progress::Done);
    assert_eq!(fast.entries(), KEYS as u64);
}
