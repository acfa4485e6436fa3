//! What a client gets without having asked for it just now, until it is sent.

use super::Kind;
use super::limits::{OutputLimit, OutputLimits};
use crate::thread::unix_ms;
use bytes::Bytes;
use damselfly_resp::Proto;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio_util::sync::CancellationToken;

/// Bytes that a push takes beyond its own, which others may share.
const PUSH_OVERHEAD: usize = size_of::<Bytes>();
/// Pushes that are taken at once.
const CHUNK_PUSHES: usize = 64;
/// Bytes from which on no more are taken at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// The pushes that wait for one client. Lives on the client's thread. Whoever publishes never waits: a client for which too much
/// waits is dropped.
pub struct PushQueue {
    /// The client's id.
    pub id: u64,
    /// The protocol of what is pushed.
    pub proto: Cell<Proto>,
    limits: Arc<OutputLimits>,
    queue: RefCell<VecDeque<Bytes>>,
    waiting_bytes: Cell<usize>,
    reply_bytes: Cell<usize>,
    /// Pushes at the end of the queue that belong behind the reply of the command that runs.
    late: Cell<usize>,
    over_since: Cell<Option<i64>>,
    subscribed: [Cell<usize>; 3],
    is_dropped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    kill: CancellationToken,
}

impl PushQueue {
    /// An empty one for a client, which the token kills.
    pub fn new(
        id: u64,
        proto: Proto,
        limits: Arc<OutputLimits>,
        kill: CancellationToken,
    ) -> Rc<PushQueue> {
        Rc::new(PushQueue {
            id,
            proto: Cell::new(proto),
            limits,
            queue: RefCell::default(),
            waiting_bytes: Cell::new(0),
            reply_bytes: Cell::new(0),
            late: Cell::new(0),
            over_since: Cell::new(None),
            subscribed: Default::default(),
            is_dropped: Cell::new(false),
            waker: RefCell::default(),
            kill,
        })
    }

    /// Appends a push; `late` says whether it belongs behind the reply of the command that runs.
    pub fn push_around_reply(&self, push: Bytes, late: bool) {
        let waits_late = self.late.get() > 0;
        self.push(push);
        if late && !waits_late && !self.is_dropped.get() {
            self.late.set(1);
        }
    }

    /// Appends a push. If that is too much, the client is dropped.
    pub fn push(&self, push: Bytes) {
        if self.is_dropped.get() {
            return;
        }
        if self.late.get() > 0 {
            self.late.set(self.late.get() + 1);
        }
        self.waiting_bytes
            .set(self.waiting_bytes.get() + push.len() + PUSH_OVERHEAD);
        self.queue.borrow_mut().push_back(push);
        self.check();
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Drops the client if more waits for it than its limits allow.
    pub fn check(&self) {
        let (limit, counts_replies) = self.limit();
        let (mut bytes, mut since) = (self.waiting_bytes.get(), self.over_since.get());
        if counts_replies {
            bytes += self.reply_bytes.get();
        }
        // The clock is looked at only where it matters.
        let now = if limit.soft > 0 && bytes as u64 > limit.soft {
            unix_ms()
        } else {
            0
        };
        let exceeded = limit.is_exceeded(bytes, &mut since, now);
        self.over_since.set(since);
        if exceeded && !self.is_dropped.replace(true) {
            self.limits.count_dropped();
            tracing::warn!(
                id = self.id,
                bytes,
                pushes = self.len(),
                "client dropped: it does not read, and more waits for it than client-output-buffer-limit allows"
            );
            self.queue.borrow_mut().clear();
            self.waiting_bytes.set(0);
            self.kill.cancel();
        }
    }

    /// The limit, and whether replies count. It is that of subscribers for others, too, where theirs is none: what nobody has
    /// just asked for is always bounded.
    fn limit(&self) -> (OutputLimit, bool) {
        let normal = self.limits.normal();
        if self.is_subscriber() {
            (self.limits.pubsub(), true)
        } else if normal == OutputLimit::default() {
            (self.limits.pubsub(), false)
        } else {
            (normal, true)
        }
    }

    /// Notes how many bytes of replies wait to be sent.
    pub fn note_replies(&self, bytes: usize) {
        self.reply_bytes.set(bytes);
    }

    /// Pushes that wait.
    pub fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Whether no push waits.
    pub fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Bytes that wait, replies included.
    pub fn bytes(&self) -> usize {
        self.waiting_bytes.get() + self.reply_bytes.get()
    }

    /// How many names of a kind the client subscribes to.
    pub fn subscribed(&self, kind: Kind) -> usize {
        self.subscribed[kind as usize].get()
    }

    pub(super) fn set_subscribed(&self, kind: Kind, count: usize) {
        self.subscribed[kind as usize].set(count);
    }

    /// Whether the client subscribes to anything.
    pub fn is_subscriber(&self) -> bool {
        self.subscribed.iter().any(|count| count.get() > 0)
    }

    /// [`PushQueue::take_into`], up to what belongs behind the reply.
    pub fn take_early_into(&self, skipped: usize, out: &mut Vec<u8>) {
        let late = self.late.take();
        let mut queue = self.queue.borrow_mut();
        let early = queue.len().saturating_sub(late);
        let behind = queue.split_off(early);
        drop(queue);
        self.take_into(skipped, out);
        self.queue.borrow_mut().extend(behind);
        self.late.set(late);
    }

    /// Takes what waits behind the first `skipped`, as bytes to be sent among replies.
    pub fn take_into(&self, skipped: usize, out: &mut Vec<u8>) {
        let mut queue = self.queue.borrow_mut();
        let mut counted = 0;
        let skipped = skipped.min(queue.len());
        self.late.set(0);
        for push in queue.drain(skipped..) {
            counted += push.len() + PUSH_OVERHEAD;
            out.extend_from_slice(&push);
        }
        self.waiting_bytes
            .set(self.waiting_bytes.get().saturating_sub(counted));
    }

    /// Takes the first pushes out, to be sent. They count until they are ([`PushQueue::sent`]).
    pub fn take_chunk(&self) -> PushChunk {
        let mut queue = self.queue.borrow_mut();
        self.late.set(0);
        let mut chunk = PushChunk::default();
        while chunk.pushes.len() < CHUNK_PUSHES
            && chunk.bytes < CHUNK_BYTES
            && let Some(push) = queue.pop_front()
        {
            chunk.bytes += push.len();
            chunk.pushes.push_back(push);
        }
        chunk.counted = chunk.bytes + chunk.pushes.len() * PUSH_OVERHEAD;
        chunk
    }

    /// A chunk has been sent.
    pub fn sent(&self, chunk: &PushChunk) {
        let left = self.waiting_bytes.get().saturating_sub(chunk.counted);
        self.waiting_bytes.set(left);
        if self.queue.borrow().is_empty() {
            // What a burst has needed is not kept for a client that is quiet.
            *self.queue.borrow_mut() = VecDeque::new();
            self.over_since.set(None);
        }
    }

    /// Ready when a push waits. One at a time may ask.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_empty() {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// Pushes on their way to the socket.
#[derive(Debug, Default)]
pub struct PushChunk {
    /// What is still to be sent.
    pub pushes: VecDeque<Bytes>,
    /// Their bytes when they were taken.
    pub bytes: usize,
    counted: usize,
}

impl PushChunk {
    /// So many bytes have been written.
    pub fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.pushes.front_mut() {
            if written < first.len() {
                bytes::Buf::advance(first, written);
                return;
            }
            written -= first.len();
            self.pushes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(hard: u64) -> (Rc<PushQueue>, CancellationToken, Arc<OutputLimits>) {
        let (limits, kill) = (Arc::new(OutputLimits::default()), CancellationToken::new());
        let limit = OutputLimit {
            hard,
            ..OutputLimit::default()
        };
        limits.set(OutputLimit::default(), limit);
        let queue = PushQueue::new(1, Proto::Resp2, limits.clone(), kill.clone());
        (queue, kill, limits)
    }

    #[test]
    fn who_does_not_read_is_dropped_and_what_waited_is_freed() {
        let (queue, kill, limits) = queue(1_000);
        queue.push(Bytes::from(vec![0; 900]));
        assert!(!kill.is_cancelled() && queue.bytes() >= 900);
        queue.push(Bytes::from(vec![0; 100]));
        assert!(kill.is_cancelled() && queue.is_empty() && limits.dropped() == 1);
        queue.push(Bytes::from_static(b"more"));
        assert!(queue.is_empty() && limits.dropped() == 1);
    }

    #[test]
    fn many_tiny_pushes_count_more_than_their_bytes() {
        let (queue, kill, _) = queue(1_000);
        (0..100).for_each(|_| queue.push(Bytes::from_static(b"x")));
        assert!(kill.is_cancelled());
    }

    #[test]
    fn a_chunk_counts_until_it_is_sent() {
        let (queue, _, _) = queue(0);
        queue.push(Bytes::from_static(b"abc"));
        queue.push(Bytes::from_static(b"defg"));
        let bytes = queue.bytes();
        let mut chunk = queue.take_chunk();
        assert!(queue.is_empty() && queue.bytes() == bytes && chunk.bytes == 7);
        chunk.advance(5);
        assert_eq!(chunk.pushes, [Bytes::from_static(b"fg")]);
        chunk.advance(2);
        assert!(chunk.pushes.is_empty());
        queue.sent(&chunk);
        assert_eq!(queue.bytes(), 0);
    }
}
