//! One simulated world: what everything in it reaches through the thread that runs it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;

use tokio::time::{Duration, Instant};

use super::Show;
use super::checkers::Watch;
use super::fault::Fault;
use super::lanes::{LaneId, Lanes};
use super::net::Network;
use super::node::Node;
use super::plan::Plan;
use crate::rng::Rng;

/// Unix time at which every simulation begins, in milliseconds.
const EPOCH_MS: i64 = 1_700_000_000_000;

/// Lines of the trace that a failure shows.
const TRACE_LINES: usize = 120;

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// How often something happened.
pub type Counts = BTreeMap<&'static str, u64>;

/// A world of one seed.
pub struct World {
    /// What the seed means.
    pub plan: Plan,
    /// The bug that was put in.
    pub fault: Option<Fault>,
    /// The threads of all nodes.
    pub lanes: Lanes,
    /// All connections.
    pub net: RefCell<Network>,
    /// The servers.
    pub nodes: OnceCell<Vec<Rc<Node>>>,
    /// The checkers.
    pub watch: RefCell<Watch>,
    rng: RefCell<Rng>,
    start: Instant,
    trace: RefCell<Trace>,
    violation: RefCell<Option<String>>,
    show: Show,
    quiet: Cell<bool>,
    busy: Cell<u64>,
    counts: RefCell<Counts>,
    director: Cell<Option<LaneId>>,
}

#[derive(Default)]
struct Trace {
    lines: VecDeque<String>,
    hash: DefaultHasher,
}

impl World {
    /// The world of `plan`, entered by this thread until [`leave`].
    pub fn enter(plan: Plan, fault: Option<Fault>, show: Show) -> Rc<World> {
        let rng = Rng::new(plan.seed ^ 0x51ED_270B_1DF4_22C6);
        let world = Rc::new(World {
            net: RefCell::new(Network::new(plan.net.clone())),
            watch: RefCell::new(Watch::new(&plan)),
            plan,
            fault,
            lanes: Lanes::default(),
            nodes: OnceCell::new(),
            rng: RefCell::new(rng),
            start: Instant::now(),
            trace: RefCell::default(),
            violation: RefCell::default(),
            show,
            quiet: Cell::new(false),
            busy: Cell::new(0),
            counts: RefCell::default(),
            director: Cell::new(None),
        });
        WORLD.set(Some(world.clone()));
        damselfly_engine::world::simulate(Some(damselfly_engine::world::Simulated {
            unix_ms,
            random,
        }));
        world
    }

    /// Virtual milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// The moment `ms` after the start.
    pub fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Draws from the one generator of the world.
    pub fn draw<R>(&self, draw: impl FnOnce(&mut Rng) -> R) -> R {
        draw(&mut self.rng.borrow_mut())
    }

    /// A server.
    pub fn node(&self, index: usize) -> &Rc<Node> {
        &self.nodes.get().expect("made before anything runs")[index]
    }

    /// All servers.
    pub fn nodes(&self) -> &[Rc<Node>] {
        self.nodes.get().map_or(&[], Vec::as_slice)
    }

    /// Starts a task that belongs to no server.
    pub fn direct(&self, task: impl Future<Output = ()> + 'static) {
        let lane = self.director.get().unwrap_or_else(|| {
            let lane = self.lanes.open("the director".to_owned(), None);
            self.director.set(Some(lane));
            lane
        });
        self.lanes.spawn(lane, task);
    }

    /// Does something after a while.
    pub fn later(&self, ms: u64, act: impl FnOnce() + 'static) {
        self.direct(async move {
            pause(ms).await;
            act();
        });
    }

    /// Clients write nothing from here on.
    pub fn quiet(&self) {
        self.quiet.set(true);
    }

    /// Whether clients are to write nothing.
    pub fn is_quiet(&self) -> bool {
        self.quiet.get()
    }

    /// Requests of writers that have not been answered.
    pub fn busy(&self) -> u64 {
        self.busy.get()
    }

    /// A writer has sent something; it is answered when what this gives is dropped.
    pub fn begin_request(self: &Rc<Self>) -> Request {
        self.busy.set(self.busy.get() + 1);
        Request(self.clone())
    }

    /// Notes an event: it is part of what a repetition has to reproduce.
    pub fn note(&self, event: fmt::Arguments<'_>) {
        let line = format!("{:>8} {event}", self.now_ms());
        if self.show.events {
            println!("{line}");
        }
        let mut trace = self.trace.borrow_mut();
        trace.hash.write(line.as_bytes());
        trace.lines.push_back(line);
        if trace.lines.len() > TRACE_LINES {
            trace.lines.pop_front();
        }
    }

    /// Notes what was done with the key that is to be seen, if this is about it.
    pub fn note_key<'a>(
        &self,
        what: fmt::Arguments<'_>,
        db: u16,
        mut args: impl Iterator<Item = &'a [u8]> + Clone,
    ) {
        let Some(key) = &self.show.key else { return };
        if args.clone().any(|arg| arg == key) {
            let first: Vec<u8> = args.by_ref().take(8).collect::<Vec<_>>().join(&b' ');
            let shown = first[..first.len().min(120)].escape_ascii().to_string();
            self.note(format_args!("{what} in db {db}: {shown}"));
        }
    }

    /// Counts something that is good to have seen.
    pub fn count(&self, what: &'static str) {
        self.count_more(what, 1);
    }

    /// Counts something that happened so often.
    pub fn count_more(&self, what: &'static str, times: u64) {
        *self.counts.borrow_mut().entry(what).or_default() += times;
    }

    /// All that was counted.
    pub fn counts(&self) -> Counts {
        self.counts.borrow().clone()
    }

    /// A checker found something: the simulation ends. The first finding counts.
    pub fn fail(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(format_args!("VIOLATION {what}"));
        self.violation.borrow_mut().get_or_insert(what);
    }

    /// Whether something was found.
    pub fn has_failed(&self) -> bool {
        self.violation.borrow().is_some()
    }

    /// What was found.
    pub fn violation(&self) -> Option<String> {
        self.violation.borrow().clone()
    }

    /// A number that two runs of a seed have in common if they went the same way.
    pub fn trace_hash(&self) -> u64 {
        self.trace.borrow().hash.finish()
    }

    /// The last events.
    pub fn last_events(&self) -> Vec<String> {
        self.trace.borrow().lines.iter().cloned().collect()
    }
}

/// A request under way.
pub struct Request(Rc<World>);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
    }
}

/// The world that this thread runs.
///
/// # Panics
/// Outside of a simulation.
pub fn world() -> Rc<World> {
    WORLD
        .with_borrow(Clone::clone)
        .expect("called within a simulation")
}

/// Notes an event in the world's trace.
macro_rules! note {
    ($($arg:tt)*) => { $crate::sim::world::world().note(format_args!($($arg)*)) };
}
pub(super) use note;

/// Ends this thread's simulation.
pub fn leave() {
    damselfly_engine::world::simulate(None);
    WORLD.set(None);
}

/// A pause of virtual time.
pub async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn unix_ms() -> i64 {
    EPOCH_MS + world().now_ms() as i64
}

fn random() -> u64 {
    world().draw(Rng::next_u64)
}
