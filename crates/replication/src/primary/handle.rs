//! A shard's flows: shared between the shard, which writes to them, and the tasks that send.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    rc::Rc,
    task::Waker,
};

use damselfly_journal::{Consumer, ConsumerId, Journal, Lsn, PinId, Run, StreamLevel};
use damselfly_snapshot::RdbWriter;

use super::flow::{FlowEnd, FlowStage, PrimaryFlow};
use crate::ids::SyncId;

/// What the shard is told of its flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowSignal {
    /// A flow is under its budget again, or gone: writers that wait may look again.
    Room,
    /// A replica acked: everything below the LSN is executed there.
    Acked(SyncId, Lsn),
}

type Hook = Rc<dyn Fn(FlowSignal)>;

/// One flow, shared by shard, snapshot, journal and the sending task; all on one thread.
#[derive(Clone)]
pub struct FlowHandle(Rc<FlowCell>);

struct FlowCell {
    sync: SyncId,
    flow: RefCell<PrimaryFlow>,
    sender: RefCell<Option<Waker>>,
    woken: Cell<bool>,
    /// The tasks that walk snapshots, its own and others' of the shard, waiting for room.
    walkers: RefCell<Vec<Waker>>,
    /// The task that walks its own snapshot, whatever it waits for.
    walker: RefCell<Option<Waker>>,
    ended: RefCell<Option<FlowEnd>>,
    hook: Rc<RefCell<Option<Hook>>>,
}

impl FlowHandle {
    /// The link that it belongs to.
    pub fn sync_id(&self) -> SyncId {
        self.0.sync
    }

    /// The extension level of the replica.
    pub fn level(&self) -> StreamLevel {
        self.0.flow.borrow().level()
    }

    /// What it is doing.
    pub fn stage(&self) -> FlowStage {
        self.0.flow.borrow().stage()
    }

    /// Lends the writer of the full-sync stream, to append baseline entries to. `None` when nothing may be written
    /// any more: the flow has ended, or its cut was sent.
    pub fn write_snapshot<R>(&self, write: impl FnOnce(&mut RdbWriter) -> R) -> Option<R> {
        if self.has_ended() {
            return None;
        }
        let (result, room) = {
            let mut flow = self.0.flow.borrow_mut();
            let before = flow.is_over_budget();
            let result = flow.write_snapshot(write);
            (result, before && !flow.is_over_budget())
        };
        self.wake();
        if room {
            self.signal(FlowSignal::Room);
        }
        result
    }

    /// Whether a snapshot may add more; writers don't ask this, but [`is_over_budget`](Self::is_over_budget).
    pub fn has_room(&self) -> bool {
        self.0.flow.borrow().has_room()
    }

    /// Whether writes to the shard have to wait. Never true of a flow that has ended.
    pub fn is_over_budget(&self) -> bool {
        !self.has_ended() && self.0.flow.borrow().is_over_budget()
    }

    /// Bytes not accepted by the socket yet.
    pub fn unsent(&self) -> usize {
        self.0.flow.borrow().unsent()
    }

    /// Whether the link is over; what is written now goes nowhere.
    pub fn has_ended(&self) -> bool {
        self.0.ended.borrow().is_some()
    }

    /// Ends the flow, and with it the link: the sending task sees it and closes the connection.
    pub fn end(&self, why: FlowEnd) {
        self.0.ended.borrow_mut().get_or_insert(why);
        self.wake();
        self.wake_walkers();
        if let Some(waker) = self.0.walker.borrow_mut().take() {
            waker.wake();
        }
        self.signal(FlowSignal::Room);
    }

    /// Why it ended.
    pub fn ended(&self) -> Option<FlowEnd> {
        self.0.ended.borrow().clone()
    }

    /// Lends the machine to the sending task, and tells the shard when room comes of it.
    pub fn with_flow<R>(&self, use_it: impl FnOnce(&mut PrimaryFlow) -> R) -> R {
        let (result, room) = {
            let mut flow = self.0.flow.borrow_mut();
            let before = flow.is_over_budget();
            let result = use_it(&mut flow);
            (result, before && !flow.is_over_budget())
        };
        if self.has_room() {
            self.wake_walkers();
        }
        if room {
            self.signal(FlowSignal::Room);
        }
        result
    }

    /// Tells the shard of an ack.
    pub fn acked(&self, lsn: Lsn) {
        self.signal(FlowSignal::Acked(self.0.sync, lsn));
    }

    /// Wakes the sending task.
    pub fn wake(&self) {
        self.0.woken.set(true);
        if let Some(waker) = self.0.sender.borrow_mut().take() {
            waker.wake();
        }
    }

    /// For the sending task: ready when [`wake`](Self::wake) was called since the last time.
    pub fn poll_wake(&self, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        if self.0.woken.replace(false) {
            return std::task::Poll::Ready(());
        }
        *self.0.sender.borrow_mut() = Some(context.waker().clone());
        std::task::Poll::Pending
    }

    /// For walking tasks: ready when there is room, or the flow has ended.
    pub fn poll_room(&self, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        if self.has_room() || self.has_ended() {
            return std::task::Poll::Ready(());
        }
        let mut walkers = self.0.walkers.borrow_mut();
        if !walkers.iter().any(|waker| waker.will_wake(context.waker())) {
            walkers.push(context.waker().clone());
        }
        std::task::Poll::Pending
    }

    /// For the task that walks the flow's snapshot: ready when the flow has ended.
    pub fn poll_end(&self, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        if self.has_ended() {
            return std::task::Poll::Ready(());
        }
        *self.0.walker.borrow_mut() = Some(context.waker().clone());
        std::task::Poll::Pending
    }

    fn wake_walkers(&self) {
        let walkers = std::mem::take(&mut *self.0.walkers.borrow_mut());
        walkers.into_iter().for_each(Waker::wake);
    }

    fn signal(&self, signal: FlowSignal) {
        let hook = self.0.hook.borrow().clone();
        if let Some(hook) = hook {
            hook(signal);
        }
    }
}

impl fmt::Debug for FlowHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowHandle")
            .field("sync", &self.0.sync)
            .field("unsent", &self.unsent())
            .finish_non_exhaustive()
    }
}

/// Hands runs of the journal to the flow.
struct FlowConsumer(FlowHandle);

impl Consumer for FlowConsumer {
    fn on_run(&mut self, run: &Rc<Run>) {
        if !self.0.has_ended() {
            self.0.0.flow.borrow_mut().on_run(run);
            self.0.wake();
        }
    }

    fn is_over_budget(&self) -> bool {
        self.0.is_over_budget()
    }
}

/// The flows of one shard. A handle: clones share it.
pub struct FlowTable<S> {
    slots: Rc<RefCell<BTreeMap<SyncId, Slot<S>>>>,
    hook: Rc<RefCell<Option<Hook>>>,
}

struct Slot<S> {
    handle: Option<FlowHandle>,
    snapshot: Option<S>,
    consumer: Option<ConsumerId>,
    /// Holds the backlog between the promise of a partial sync and STARTSTABLE.
    pin: Option<(Lsn, PinId)>,
}

impl<S> Default for Slot<S> {
    fn default() -> Self {
        Slot {
            handle: None,
            snapshot: None,
            consumer: None,
            pin: None,
        }
    }
}

impl<S> Default for FlowTable<S> {
    fn default() -> Self {
        FlowTable {
            slots: Rc::default(),
            hook: Rc::default(),
        }
    }
}

impl<S> Clone for FlowTable<S> {
    fn clone(&self) -> Self {
        FlowTable {
            slots: self.slots.clone(),
            hook: self.hook.clone(),
        }
    }
}

impl<S> fmt::Debug for FlowTable<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.slots.borrow().keys()).finish()
    }
}

impl<S> FlowTable<S> {
    /// An empty table.
    pub fn new() -> Self {
        FlowTable::default()
    }

    /// What is to be called on every [`FlowSignal`], on the shard's thread. It may be called from within a call of
    /// the data set into the journal or a flow, so it should only note, or wake.
    pub fn set_hook(&self, hook: impl Fn(FlowSignal) + 'static) {
        *self.hook.borrow_mut() = Some(Rc::new(hook));
    }

    /// Whether writes to the shard have to wait: some flow has more unsent bytes than its output limit.
    pub fn is_over_budget(&self) -> bool {
        self.slots
            .borrow()
            .values()
            .any(|slot| slot.handle.as_ref().is_some_and(FlowHandle::is_over_budget))
    }

    /// Whether there is no flow.
    pub fn is_empty(&self) -> bool {
        self.slots.borrow().is_empty()
    }

    /// Every flow that is attached.
    pub fn handles(&self) -> Vec<FlowHandle> {
        self.slots
            .borrow()
            .values()
            .filter_map(|slot| slot.handle.clone())
            .collect()
    }

    /// The next LSN that each replica in stable sync wants of this shard.
    pub fn acked(&self) -> Vec<(SyncId, Lsn)> {
        let acked = |handle: FlowHandle| Some((handle.sync_id(), handle.0.flow.borrow().acked()?));
        self.handles().into_iter().filter_map(acked).collect()
    }

    /// Ends every flow: the data was discarded, or its history changed.
    pub fn end_all(&self, why: &FlowEnd) {
        self.handles()
            .iter()
            .for_each(|handle| handle.end(why.clone()));
    }

    /// The flow of a link.
    pub fn get(&self, sync: SyncId) -> Option<FlowHandle> {
        self.slots.borrow().get(&sync)?.handle.clone()
    }

    /// Adds the flow of a link. For drivers, as all that follows.
    pub fn attach(&self, sync: SyncId, flow: PrimaryFlow) -> FlowHandle {
        let cell = FlowCell {
            sync,
            flow: RefCell::new(flow),
            sender: RefCell::default(),
            woken: Cell::new(true),
            walkers: RefCell::default(),
            walker: RefCell::default(),
            ended: RefCell::default(),
            hook: self.hook.clone(),
        };
        let handle = FlowHandle(Rc::new(cell));
        self.slots.borrow_mut().entry(sync).or_default().handle = Some(handle.clone());
        handle
    }

    /// Holds the backlog from `lsn` on for a link; `false` if it does not reach back that far. `borders_only`: only the border of a
    /// transaction's part will do (peers of level 1).
    pub fn pin(&self, sync: SyncId, lsn: Lsn, journal: &mut Journal, borders_only: bool) -> bool {
        if borders_only && !journal.contains_border(lsn) {
            return false;
        }
        let Some(pin) = journal.pin(lsn) else {
            return false;
        };
        let old = self
            .slots
            .borrow_mut()
            .entry(sync)
            .or_default()
            .pin
            .replace((lsn, pin));
        if let Some((_, old)) = old {
            journal.unpin(old);
        }
        true
    }

    /// The pin of a link, now the caller's to release.
    pub fn take_pin(&self, sync: SyncId) -> Option<(Lsn, PinId)> {
        self.slots.borrow_mut().get_mut(&sync)?.pin.take()
    }

    /// From here on the flow gets every run of the journal.
    pub fn consume(&self, handle: &FlowHandle, journal: &mut Journal) {
        let id = journal.add_consumer(Box::new(FlowConsumer(handle.clone())));
        self.slots
            .borrow_mut()
            .entry(handle.sync_id())
            .or_default()
            .consumer = Some(id);
    }

    /// Keeps the snapshot that was begun at the cut, for the task that walks it.
    pub fn put_snapshot(&self, sync: SyncId, snapshot: S) {
        self.slots.borrow_mut().entry(sync).or_default().snapshot = Some(snapshot);
    }

    /// The snapshot that was kept for a link.
    pub fn take_snapshot(&self, sync: SyncId) -> Option<S> {
        self.slots.borrow_mut().get_mut(&sync)?.snapshot.take()
    }

    /// Forgets a link: its pins and its consumer; gives its snapshot back, to be dropped when the journal is no longer lent.
    pub fn detach(&self, sync: SyncId, journal: &mut Journal) -> Option<S> {
        let slot = self.slots.borrow_mut().remove(&sync)?;
        let catching_up = slot
            .handle
            .as_ref()
            .and_then(|handle| handle.0.flow.borrow().pin());
        for pin in slot.pin.map(|(_, pin)| pin).into_iter().chain(catching_up) {
            journal.unpin(pin);
        }
        if let Some(consumer) = slot.consumer {
            drop(journal.remove_consumer(consumer));
        }
        if let Some(handle) = slot.handle {
            handle.end(FlowEnd::Session {
                why: "detached".to_owned(),
            });
        }
        slot.snapshot
    }
}
