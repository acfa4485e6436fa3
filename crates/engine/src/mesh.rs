//! The mesh: how threads send each other work. Every thread has one inbox; what
//! arrives is taken out in batches, and answers find their place by slab index.

use crate::core::{BatchReply, CommandBatch};
use crate::thread::Thread;
use atomic_waker::AtomicWaker;
use crossbeam_queue::SegQueue;
use std::any::Any;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// Work that a thread does for another.
pub type Task = Box<dyn FnOnce(&Rc<Thread>) + Send>;

/// Where an answer goes: a slot of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyTo {
    /// The thread that waits.
    pub thread: usize,
    /// Its slot.
    pub slot: usize,
}

/// What travels between threads.
pub(crate) enum Message {
    /// Commands for the receiver's shard.
    Batch(Box<CommandBatch>, ReplyTo),
    /// Their replies.
    BatchDone(BatchReply, usize),
    /// Anything else.
    Run(Task),
    /// The answer to a `Run` that was asked for one.
    Answer(Box<dyn Any + Send>, usize),
    /// No answer will come for this slot.
    Unanswered(usize),
}

/// One thread's inbox. The number of messages in it is bounded by the connections: each has one batch or call under way.
#[derive(Default)]
pub(crate) struct Inbox {
    queue: SegQueue<Message>,
    waker: AtomicWaker,
}

impl Inbox {
    fn push(&self, message: Message) {
        self.queue.push(message);
        self.waker.wake();
    }

    pub(crate) fn pop(&self) -> Option<Message> {
        self.queue.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Ready when there is something in it.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.queue.is_empty() {
            return Poll::Ready(());
        }
        self.waker.register(cx.waker());
        if self.queue.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

/// All inboxes, and what the threads count together.
pub struct Mesh {
    inboxes: Vec<Inbox>,
    shards: usize,
    txid: AtomicU64,
    waiter: AtomicU64,
}

impl Mesh {
    /// A mesh of so many threads, the first `shards` of which own a shard.
    pub fn new(threads: usize, shards: usize) -> Mesh {
        assert!(
            (1..=threads).contains(&shards),
            "every shard needs a thread of its own"
        );
        Mesh {
            inboxes: (0..threads).map(|_| Inbox::default()).collect(),
            shards,
            txid: AtomicU64::new(1),
            waiter: AtomicU64::new(1),
        }
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.inboxes.len()
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// A new transaction id, higher than all before.
    pub fn next_txid(&self) -> u64 {
        self.txid.fetch_add(1, Ordering::Relaxed)
    }

    /// A number for a client that begins to wait, higher than all before.
    pub fn next_waiter(&self) -> u64 {
        self.waiter.fetch_add(1, Ordering::Relaxed)
    }

    /// No transaction has an id that is as high as this.
    pub fn txids_end(&self) -> u64 {
        self.txid.load(Ordering::Relaxed)
    }

    /// Raises the counter above ids that another server has drawn, so that ours keep ascending after it.
    pub fn raise_txid(&self, above: u64) {
        // What a peer says must not make ours overflow.
        self.txid
            .fetch_max(above.min(u64::MAX / 2) + 1, Ordering::Relaxed);
    }

    /// Sends work to a thread. Usable from any thread, also from outside the mesh.
    pub fn run_on(&self, thread: usize, task: Task) {
        self.post(thread, Message::Run(task));
    }

    pub(crate) fn post(&self, thread: usize, message: Message) {
        self.inboxes[thread].push(message);
    }

    pub(crate) fn inbox(&self, thread: usize) -> &Inbox {
        &self.inboxes[thread]
    }

    /// The shard of a key: Dragonfly's placement, so that equal counts place alike.
    pub fn shard_of(&self, key: &[u8]) -> usize {
        if self.shards == 1 {
            0
        } else {
            shard_of(key, self.shards)
        }
    }
}

/// Seed of the placement hash (Dragonfly's `Shard()` in `engine_shard_set.h`).
const PLACEMENT_SEED: u64 = 120_577_240_643;

/// The shard of a key among so many.
pub fn shard_of(key: &[u8], shards: usize) -> usize {
    (xxhash_rust::xxh64::xxh64(key, PLACEMENT_SEED) % shards as u64) as usize
}
