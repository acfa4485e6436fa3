//! One thread of the engine: its shard, its reply slots, and the task that
//! empties its inbox.

use crate::core::{BatchReply, CommandBatch, Job, ShardCore, Step};
use crate::engine::Engine;
use crate::mesh::{Message, ReplyTo};
use crate::replicate::EngineSnapshot;
use crate::script::InterpreterPool;
pub use crate::world::{unix_ms, unix_us};
use damselfly_replication::primary::{FlowSignal, FlowTable};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Messages taken out of the inbox before other tasks of the thread get their turn.
const INBOX_BATCH: usize = 128;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Thread>>> = const { RefCell::new(None) };
}

/// One thread, as the tasks on it see it. Everything here stays on the thread.
pub struct Thread {
    /// Its index in the mesh.
    pub index: usize,
    /// What all threads share.
    pub engine: Arc<Engine>,
    /// What the embedder keeps for this thread.
    pub host: RefCell<Option<Rc<dyn Any>>>,
    /// The replication flows that leave this thread's shard.
    pub flows: FlowTable<EngineSnapshot>,
    /// What ran on this thread's connections and not on a shard alone.
    pub stats: RefCell<crate::stats::CommandStats>,
    /// What cleaning its shard took.
    pub cleaned: Cell<crate::cleaning::CleaningStats>,
    /// What of it took long.
    pub slow: RefCell<crate::slow::SlowWatch>,
    /// Who subscribes to what, of the clients on this thread.
    pub subscribers: RefCell<crate::pubsub::Subscribers>,
    /// The Lua states of this thread.
    pub(crate) scripts: InterpreterPool,
    /// Who tracks which keys, of the clients on this thread.
    pub trackers: RefCell<crate::tracking::Trackers>,
    /// Those of them that see the commands of all others.
    pub(crate) monitors: RefCell<Vec<Rc<crate::pubsub::PushQueue>>>,
    /// What waits to be pushed to the clients on this thread, by their ids.
    pub push_queues: RefCell<hashbrown::HashMap<u64, Rc<crate::pubsub::PushQueue>>>,
    core: Option<RefCell<ShardCore>>,
    waking: Cell<bool>,
    next_ack: RefCell<Vec<Answer<()>>>,
    slots: RefCell<Slots>,
    cleaning: Cell<bool>,
}

/// Places for answers that other threads will send.
#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

enum Slot {
    Free,
    Waiting(Option<Waker>),
    /// Nobody waits any more; the answer is dropped when it comes.
    Abandoned,
    /// The answer was dropped.
    Unanswered,
    Answered(Box<dyn Any + Send>),
    Batch(BatchReply),
}

impl Thread {
    /// The thread of this index; it owns a shard if there is one for it.
    pub fn new(index: usize, engine: Arc<Engine>) -> Rc<Thread> {
        let core = (index < engine.mesh.shards()).then(|| RefCell::new(engine.new_shard(index)));
        let thread = Rc::new(Thread {
            index,
            engine,
            host: RefCell::default(),
            flows: FlowTable::new(),
            subscribers: RefCell::default(),
            scripts: InterpreterPool::default(),
            trackers: RefCell::default(),
            monitors: RefCell::default(),
            push_queues: RefCell::default(),
            core,
            waking: Cell::new(false),
            next_ack: RefCell::default(),
            stats: RefCell::default(),
            cleaned: Cell::default(),
            slow: RefCell::default(),
            slots: RefCell::default(),
            cleaning: Cell::new(false),
        });
        let weak = Rc::downgrade(&thread);
        thread.flows.set_hook(move |signal| {
            let Some(thread) = weak.upgrade() else { return };
            match signal {
                FlowSignal::Room => thread.wake_later(),
                FlowSignal::Acked(..) => thread
                    .next_ack
                    .take()
                    .into_iter()
                    .for_each(|answer| answer.send(())),
            }
        });
        thread
    }

    /// Whether the shard is this thread's own.
    pub fn owns(&self, shard: usize) -> bool {
        self.index == shard && self.core.is_some()
    }

    /// The shard of this thread, with its clock set. Not to be called from inside itself.
    ///
    /// # Panics
    /// The thread owns no shard.
    pub fn with_core<R>(&self, work: impl FnOnce(&mut ShardCore) -> R) -> R {
        self.tick();
        self.with_core_now(work)
    }

    /// Whether the thread owns a shard.
    pub fn owns_any(&self) -> bool {
        self.core.is_some()
    }

    /// Sets the clock of this thread's shard.
    pub fn tick(&self) {
        if let Some(core) = &self.core {
            core.borrow_mut().space.tick(unix_ms());
        }
    }

    /// [`Thread::with_core`] without a look at the clock: for many calls in a row after [`Thread::tick`].
    pub fn with_core_now<R>(&self, work: impl FnOnce(&mut ShardCore) -> R) -> R {
        let cell = self
            .core
            .as_ref()
            .expect("asked only of a thread that owns a shard");
        let mut core = cell.borrow_mut();
        let result = work(&mut core);
        let due = core.take_cut();
        if core.space.tracking.has_pending() {
            let told = core.space.tracking.take_pending();
            drop(core);
            crate::tracking::deliver(self, told);
        } else {
            drop(core);
        }
        if let Some(action) = due {
            action();
            self.with_core(ShardCore::thaw);
        }
        result
    }

    /// The thread that this code runs on, inside an engine.
    ///
    /// # Panics
    /// On a thread of nobody's engine.
    pub fn current() -> Rc<Thread> {
        CURRENT
            .with_borrow(Clone::clone)
            .expect("called on a thread of an engine")
    }

    /// The thread that this code runs on, if it is one of an engine.
    pub fn try_current() -> Option<Rc<Thread>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Makes this thread the current one, for [`Thread::current`]. A simulator that runs several on one thread of the
    /// system calls it whenever it lets another go on.
    pub fn enter(self: &Rc<Self>) {
        CURRENT.set(Some(self.clone()));
    }

    /// The shard of this thread, if it owns one.
    pub fn try_with_core<R>(&self, work: impl FnOnce(&mut ShardCore) -> R) -> Option<R> {
        self.core.is_some().then(|| self.with_core(work))
    }

    /// Runs `work` on a shard, wherever it lives, and gives its answer.
    pub async fn on_shard<R: Send + 'static>(
        self: &Rc<Self>,
        shard: usize,
        work: impl FnOnce(&mut ShardCore) -> R + Send + 'static,
    ) -> R {
        if self.owns(shard) {
            return self.with_core(work);
        }
        self.on_thread(shard, move |thread| thread.with_core(work))
            .await
    }

    /// Runs `work` on every shard at once and gives the answers in their order.
    pub async fn on_all_shards<R: Send + 'static>(
        self: &Rc<Self>,
        work: impl FnOnce(&mut ShardCore) -> R + Send + Clone + 'static,
    ) -> Vec<R> {
        let calls: Vec<_> = (0..self.engine.mesh.shards())
            .map(|shard| {
                let work = work.clone();
                self.call(shard, move |thread, answer| {
                    answer.send(thread.with_core(work))
                })
            })
            .collect();
        join(calls).await
    }

    /// Runs `work` on another thread (or this one) and gives its answer.
    pub async fn on_thread<R: Send + 'static>(
        self: &Rc<Self>,
        thread: usize,
        work: impl FnOnce(&Rc<Thread>) -> R + Send + 'static,
    ) -> R {
        self.call(thread, move |thread, answer| answer.send(work(thread)))
            .await
    }

    /// Runs `work` on every thread at once and gives the answers in their order.
    pub async fn on_all_threads<R: Send + 'static>(
        self: &Rc<Self>,
        work: impl FnOnce(&Rc<Thread>) -> R + Send + Clone + 'static,
    ) -> Vec<R> {
        let calls: Vec<_> = (0..self.engine.mesh.threads())
            .map(|index| {
                let work = work.clone();
                self.call(index, move |thread, answer| answer.send(work(thread)))
            })
            .collect();
        join(calls).await
    }

    /// Starts `work` on a thread; the answer may be sent there later. The work is on its way when this returns.
    pub fn call<R: Send + 'static>(
        self: &Rc<Self>,
        thread: usize,
        work: impl FnOnce(&Rc<Thread>, Answer<R>) + Send + 'static,
    ) -> Pending<R> {
        let (answer, pending) = self.answer();
        if thread == self.index {
            work(self, answer);
        } else {
            self.engine.mesh.post(
                thread,
                Message::Run(Box::new(move |thread| work(thread, answer))),
            );
        }
        pending
    }

    /// A place for an answer, and the right to give it.
    pub fn answer<R: Send + 'static>(self: &Rc<Self>) -> (Answer<R>, Pending<R>) {
        let slot = self.slots.borrow_mut().take();
        let answer = Answer::new(
            self.engine.clone(),
            ReplyTo {
                thread: self.index,
                slot,
            },
        );
        (
            answer,
            Pending {
                slot: PendingSlot {
                    thread: self.clone(),
                    slot,
                },
                of: std::marker::PhantomData,
            },
        )
    }

    /// Sends a batch of commands to their shard.
    pub(crate) fn send_batch(self: &Rc<Self>, shard: usize, batch: CommandBatch) -> PendingBatch {
        let slot = self.slots.borrow_mut().take();
        let to = ReplyTo {
            thread: self.index,
            slot,
        };
        if self.owns(shard) {
            self.run_batch(Box::new(batch), to);
        } else {
            self.engine
                .mesh
                .post(shard, Message::Batch(Box::new(batch), to));
        }
        PendingBatch(PendingSlot {
            thread: self.clone(),
            slot,
        })
    }

    fn run_batch(self: &Rc<Self>, batch: Box<CommandBatch>, to: ReplyTo) {
        let job = BatchJob {
            batch,
            engine: self.engine.clone(),
            to,
        };
        self.with_core(|core| core.submit(Box::new(job)));
        self.clean_up();
    }

    /// The task that empties the inbox; ends with the runtime.
    pub async fn serve_inbox(self: Rc<Self>) {
        loop {
            let inbox = self.engine.mesh.inbox(self.index);
            poll_fn(|cx| inbox.poll_ready(cx)).await;
            (0..INBOX_BATCH)
                .map_while(|_| inbox.pop())
                .for_each(|message| self.handle(message));
            // Giving others their turn looks at all sockets, too: not for nothing.
            if !inbox.is_empty() {
                tokio::task::yield_now().await;
            }
        }
    }

    fn handle(self: &Rc<Self>, message: Message) {
        match message {
            Message::Batch(batch, to) => self.run_batch(batch, to),
            Message::BatchDone(reply, slot) => {
                self.slots.borrow_mut().fill(slot, Slot::Batch(reply))
            }
            Message::Run(task) => task(self),
            Message::Answer(answer, slot) => {
                self.slots.borrow_mut().fill(slot, Slot::Answered(answer))
            }
            Message::Unanswered(slot) => self.slots.borrow_mut().give_up(slot),
        }
    }

    /// Lets commands that wait try again, in a task of its own: usable from inside the shard.
    pub fn wake_later(self: &Rc<Self>) {
        if self.core.is_none() || self.waking.replace(true) {
            return;
        }
        let thread = self.clone();
        tokio::task::spawn_local(async move {
            thread.waking.set(false);
            thread.with_core(ShardCore::wake);
        });
    }

    /// Answers when the next ack of any replica comes to this thread's shard.
    pub(crate) fn on_next_ack(&self, answer: Answer<()>) {
        self.next_ack.borrow_mut().push(answer);
    }

    /// Frees discarded values in slices, in a task of its own, if there are any.
    pub fn clean_up(self: &Rc<Self>) {
        let waiting = self
            .core
            .as_ref()
            .is_some_and(|core| core.borrow().space.garbage_len() > 0);
        if !waiting || self.cleaning.replace(true) {
            return;
        }
        let thread = self.clone();
        tokio::task::spawn_local(async move {
            while !thread.with_core(|core| core.space.free_slice(GARBAGE_ITEMS)) {
                tokio::task::yield_now().await;
            }
            thread.cleaning.set(false);
        });
    }
}

/// Elements freed in one slice (about 100 µs).
const GARBAGE_ITEMS: usize = 2_000;

struct BatchJob {
    batch: Box<CommandBatch>,
    engine: Arc<Engine>,
    to: ReplyTo,
}

impl Job for BatchJob {
    fn step(&mut self, core: &mut ShardCore) -> Step {
        let step = self.batch.step(core);
        if step == Step::Done {
            // Before the replies: who has one may count on others having been told.
            if core.space.tracking.has_pending() {
                let told = core.space.tracking.take_pending();
                crate::tracking::deliver(&Thread::current(), told);
            }
            self.engine.mesh.post(
                self.to.thread,
                Message::BatchDone(self.batch.take_reply(), self.to.slot),
            );
        }
        step
    }

    fn keys(&self, visit: &mut dyn FnMut(u64)) {
        self.batch.keys(visit);
    }
}

/// The right to answer a call, from any thread, once. Dropped unused, the call is never answered.
#[must_use]
pub struct Answer<R> {
    engine: Arc<Engine>,
    to: Option<ReplyTo>,
    of: std::marker::PhantomData<fn(R)>,
}

impl<R: Send + 'static> Answer<R> {
    fn new(engine: Arc<Engine>, to: ReplyTo) -> Answer<R> {
        Answer {
            engine,
            to: Some(to),
            of: std::marker::PhantomData,
        }
    }

    /// Answers.
    pub fn send(mut self, answer: R) {
        if let Some(to) = self.to.take() {
            self.engine
                .mesh
                .post(to.thread, Message::Answer(Box::new(answer), to.slot));
        }
    }
}

impl<R> Drop for Answer<R> {
    fn drop(&mut self) {
        if let Some(to) = self.to.take() {
            self.engine
                .mesh
                .post(to.thread, Message::Unanswered(to.slot));
        }
    }
}

struct PendingSlot {
    thread: Rc<Thread>,
    slot: usize,
}

impl PendingSlot {
    fn poll(&self, cx: &std::task::Context<'_>) -> Poll<Slot> {
        let mut slots = self.thread.slots.borrow_mut();
        match &mut slots.slots[self.slot] {
            Slot::Waiting(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Slot::Unanswered => Poll::Pending,
            slot => Poll::Ready(std::mem::replace(slot, Slot::Free)),
        }
    }
}

impl Drop for PendingSlot {
    fn drop(&mut self) {
        self.thread.slots.borrow_mut().abandon(self.slot);
    }
}

/// An answer that is on its way.
pub struct Pending<R> {
    slot: PendingSlot,
    of: std::marker::PhantomData<fn() -> R>,
}

impl<R: 'static> Future for Pending<R> {
    type Output = R;

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<R> {
        self.slot.poll(cx).map(|slot| match slot {
            Slot::Answered(answer) => *answer
                .downcast()
                .expect("a call's answer has the call's type"),
            _ => unreachable!("a call is answered once, and polled no more after that"),
        })
    }
}

/// The replies of a batch that are on their way.
pub(crate) struct PendingBatch(PendingSlot);

impl Future for PendingBatch {
    type Output = BatchReply;

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<BatchReply> {
        self.0.poll(cx).map(|slot| match slot {
            Slot::Batch(reply) => reply,
            _ => unreachable!("a batch is answered once, and polled no more after that"),
        })
    }
}

impl Slots {
    fn take(&mut self) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::Free);
            self.slots.len() - 1
        });
        self.slots[slot] = Slot::Waiting(None);
        slot
    }

    fn fill(&mut self, slot: usize, answer: Slot) {
        match std::mem::replace(&mut self.slots[slot], answer) {
            Slot::Waiting(Some(waker)) => waker.wake(),
            Slot::Abandoned => self.release(slot),
            _ => {}
        }
    }

    /// No answer will come: whoever waits goes on waiting, until it is dropped.
    fn give_up(&mut self, slot: usize) {
        match self.slots[slot] {
            Slot::Abandoned => self.release(slot),
            _ => self.slots[slot] = Slot::Unanswered,
        }
    }

    fn abandon(&mut self, slot: usize) {
        match self.slots[slot] {
            Slot::Waiting(_) => self.slots[slot] = Slot::Abandoned,
            _ => self.release(slot),
        }
    }

    fn release(&mut self, slot: usize) {
        self.slots[slot] = Slot::Free;
        self.free.push(slot);
    }
}

/// All answers, in their order.
pub async fn join<F: Future>(pending: Vec<F>) -> Vec<F::Output> {
    let mut answers = Vec::with_capacity(pending.len());
    for one in pending {
        answers.push(one.await);
    }
    answers
}
