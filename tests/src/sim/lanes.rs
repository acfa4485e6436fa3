//! Many threads on one: every thread of every node is a *lane*, a set of tasks of its own. Lanes that have something to do go
//! on one at a time, in an order drawn from the seed; some are held up for a while. Time passes only when all wait.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use damselfly_engine::thread::Thread;
use tokio::task::LocalSet;
use tokio::time::Sleep;

use super::world::{World, world};

/// Lanes that go on before the runtime looks at its timers.
const BURST: usize = 16;

/// Turns without time passing after which something must be spinning.
const MAX_TURNS: u64 = 400_000;

/// The server and thread that a lane stands for.
pub type Served = (usize, Rc<Thread>);

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Names a lane; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneId(usize);

/// All lanes of a world.
#[derive(Default)]
pub struct Lanes {
    lanes: RefCell<Vec<Option<Rc<Lane>>>>,
    root: Arc<Root>,
    done: Cell<bool>,
    turns: Cell<(u64, u64)>,
}

struct Lane {
    name: String,
    signal: Arc<Signal>,
    /// Absent while it runs, and after its end.
    set: RefCell<Option<LocalSet>>,
    fresh: RefCell<Vec<Task>>,
    served: Option<Served>,
    held: RefCell<Option<Pin<Box<Sleep>>>>,
    ended: Cell<bool>,
}

#[derive(Default)]
struct Root(Mutex<Option<Waker>>);

struct Signal {
    ready: AtomicBool,
    root: Arc<Root>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.store(true, Relaxed);
        if let Some(waker) = &*self.root.0.lock().expect("nobody panics here") {
            waker.wake_by_ref();
        }
    }
}

impl Lanes {
    /// A new lane; the thread is what its tasks find as the engine's current one.
    pub fn open(&self, name: String, served: Option<Served>) -> LaneId {
        let signal = Arc::new(Signal {
            ready: AtomicBool::new(true),
            root: self.root.clone(),
        });
        let lane = Lane {
            name,
            signal,
            set: RefCell::new(Some(LocalSet::new())),
            fresh: RefCell::default(),
            served,
            held: RefCell::default(),
            ended: Cell::new(false),
        };
        let mut lanes = self.lanes.borrow_mut();
        lanes.push(Some(Rc::new(lane)));
        LaneId(lanes.len() - 1)
    }

    /// Starts a task there. Dropped, if the lane has ended.
    pub fn spawn(&self, id: LaneId, task: impl Future<Output = ()> + 'static) {
        let Some(lane) = self.lane(id) else { return };
        lane.fresh.borrow_mut().push(Box::pin(task));
        lane.signal.wake_by_ref();
    }

    /// Ends a lane: its tasks are dropped where they stand.
    pub fn end(&self, id: LaneId) {
        let Some(lane) = self.lanes.borrow_mut()[id.0].take() else {
            return;
        };
        lane.ended.set(true);
        lane.drop_tasks();
    }

    /// Holds a lane up for a while, as a busy processor or a stopped process does.
    pub fn hold(&self, id: LaneId, ms: u64) {
        if let Some(lane) = self.lane(id) {
            let until = world().at(world().now_ms() + ms);
            *lane.held.borrow_mut() = Some(Box::pin(tokio::time::sleep_until(until)));
            lane.signal.wake_by_ref();
        }
    }

    /// Lets everybody go on.
    pub fn release_all(&self) {
        for lane in self.lanes.borrow().iter().flatten() {
            *lane.held.borrow_mut() = None;
            lane.signal.wake_by_ref();
        }
    }

    /// Ends the world: [`run`](Self::run) returns.
    pub fn stop(&self) {
        self.done.set(true);
    }

    /// Runs everything until [`stop`](Self::stop), or until a checker fails; `after` is called after every turn of a lane.
    pub async fn run(&self, world: &World, after: impl Fn(&World, Option<&Served>)) {
        poll_fn(|context| self.poll(world, context, &after)).await;
        for lane in self.lanes.take().into_iter().flatten() {
            lane.ended.set(true);
            lane.drop_tasks();
        }
    }

    fn lane(&self, id: LaneId) -> Option<Rc<Lane>> {
        self.lanes.borrow()[id.0].clone()
    }

    fn poll(
        &self,
        world: &World,
        context: &mut Context<'_>,
        after: &impl Fn(&World, Option<&Served>),
    ) -> Poll<()> {
        *self.root.0.lock().expect("nobody panics here") = Some(context.waker().clone());
        for _ in 0..BURST {
            if self.done.get() || world.has_failed() {
                return Poll::Ready(());
            }
            let ready = self.ready(context);
            if ready.is_empty() {
                return Poll::Pending;
            }
            let lane = &ready[world.draw(|rng| rng.index(ready.len()))];
            self.turn(world, lane);
            after(world, lane.served.as_ref());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn ready(&self, context: &mut Context<'_>) -> Vec<Rc<Lane>> {
        let lanes = self.lanes.borrow();
        let waiting = lanes.iter().flatten();
        let ready =
            waiting.filter(|lane| lane.signal.ready.load(Relaxed) && !lane.is_held(context));
        ready.cloned().collect()
    }

    fn turn(&self, world: &World, lane: &Lane) {
        let now_ms = world.now_ms();
        let (at_ms, turns) = self.turns.get();
        self.turns.set(if at_ms == now_ms {
            (at_ms, turns + 1)
        } else {
            (now_ms, 0)
        });
        if turns > MAX_TURNS {
            return world.fail(format!(
                "{} spins: {turns} turns and no time passes",
                lane.name
            ));
        }
        let hold = world.plan.hold;
        if lane.served.is_some() && world.draw(|rng| rng.below(10_000)) < hold.per_10_000 {
            let ms = world.draw(|rng| rng.between(1, hold.max_ms as i64)) as u64;
            let until = world.at(now_ms + ms);
            *lane.held.borrow_mut() = Some(Box::pin(tokio::time::sleep_until(until)));
            lane.signal.wake_by_ref();
            return;
        }
        lane.run();
    }
}

impl Lane {
    fn is_held(&self, context: &mut Context<'_>) -> bool {
        let mut held = self.held.borrow_mut();
        let over = match held.as_mut() {
            None => return false,
            Some(sleep) => sleep.as_mut().poll(context).is_ready(),
        };
        if over {
            *held = None;
        }
        !over
    }

    fn run(&self) {
        let Some(mut set) = self.set.borrow_mut().take() else {
            return;
        };
        self.signal.ready.store(false, Relaxed);
        if let Some((_, thread)) = &self.served {
            thread.enter();
        }
        for task in self.fresh.take() {
            set.spawn_local(task);
        }
        let waker = Waker::from(self.signal.clone());
        let _ = Pin::new(&mut set).poll(&mut Context::from_waker(&waker));
        *self.set.borrow_mut() = Some(set);
        if self.ended.get() {
            self.drop_tasks();
        }
    }

    fn drop_tasks(&self) {
        if let Some((_, thread)) = &self.served {
            thread.enter();
        }
        let set = self.set.borrow_mut().take();
        drop(set);
        drop(self.fresh.take());
    }
}
