//! The deterministic simulation: whole servers in virtual time, over a network that goes wrong, out of a seed.
//!
//! Nothing in it is a model. Every server is the real engine (shard cores, mesh, coordinator, sessions), the real machines of both
//! ends of replication, and their real driver; only the world around them is simulated:
//!
//! - **Threads** are [`lanes`]: sets of tasks that go on one at a time, in an order drawn from the seed, some of them held up.
//! - **Time** is tokio's paused clock: it jumps to the next timer when nobody has anything to do. A world of ten seconds takes
//!   some tens of milliseconds.
//! - **The network** ([`net`]) delivers bytes in random pieces with delays, cuts connections at any byte, stalls and parts servers.
//! - **Randomness** is one generator, so that a seed always gives the same simulation.
//!
//! A [`Plan`] is drawn from the seed: servers, shards, settings, load, and what goes wrong ([`scenario`]). The [`checkers`] look on
//! at every step, and at the end everything is healed and all servers must hold the same.
//!
//! A seed repeats only in a build with `--cfg tokio_unstable`, as `cargo xtask sim` makes it: `select!` draws which branch goes first,
//! and only there can its generator be seeded.
//!
//! [`Fault`]s are bugs put in on purpose, to see that the checkers find them.

// cargo knows nothing of tokio's flag.
#![allow(unexpected_cfgs)]

pub mod checkers;
mod clients;
mod data;
mod failover;
mod fault;
mod history;
pub mod lanes;
pub mod net;
mod node;
mod plan;
pub mod scenario;
mod world;

pub use fault::Fault;
pub use plan::{Plan, Theme};
pub use world::Counts;

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};

use node::Node;
use world::World;

/// Seeds the hashing of collections, which is the same for all seeds of a process.
const HASH_SEED: u64 = 0x0DA5_E1F1;

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// How a simulation ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What a checker found, or a panic.
    pub violation: Option<String>,
    /// The last events.
    pub events: Vec<String>,
    /// The same for two runs that went the same way.
    pub trace_hash: u64,
    /// Virtual time that passed, in milliseconds.
    pub virtual_ms: u64,
    /// How often what happened.
    pub counts: Counts,
}

impl Outcome {
    /// Whether another run of the seed goes the same way.
    pub fn has_repeated(&self, seed: u64, fault: Option<Fault>) -> bool {
        run(seed, fault, &Show::default()).trace_hash == self.trace_hash
    }
}

/// To be called once, before the first simulation of the process: makes seeds repeat, and panics of tasks findings.
pub fn prepare() {
    damselfly_store::values::seed_hashing(HASH_SEED);
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or("a panic").to_owned();
        PANICS.with_borrow_mut(|panics| panics.push(format!("panic at {place}: {message}")));
    }));
}

/// What is to be seen of a simulation.
#[derive(Debug, Clone, Default)]
pub struct Show {
    /// Events are printed as they happen.
    pub events: bool,
    /// Everything that is journalled, loaded or executed for this key is an event.
    pub key: Option<Vec<u8>>,
}

/// Runs the simulation of one seed.
pub fn run(seed: u64, fault: Option<Fault>, show: &Show) -> Outcome {
    PANICS.take();
    damselfly_snapshot::faults::skip_buckets(fault == Some(Fault::SkipBucket));
    let runtime = runtime(seed);
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(simulate(seed, fault, show.clone()))
    }));
    world::leave();
    result.unwrap_or_else(|_| Outcome {
        violation: PANICS.take().pop(),
        events: Vec::new(),
        trace_hash: 0,
        virtual_ms: 0,
        counts: Counts::new(),
    })
}

/// A runtime without input and output, in which time stands still while anybody has something to do.
fn runtime(seed: u64) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    // `select!` draws by chance which branch it looks at first.
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()));
    let _ = seed;
    builder
        .build()
        .expect("such a runtime needs nothing of the system")
}

/// Whether a seed always gives the same simulation: only where tokio's random choices can be seeded, too.
pub fn repeats() -> bool {
    cfg!(tokio_unstable)
}

async fn simulate(seed: u64, fault: Option<Fault>, show: Show) -> Outcome {
    let world = World::enter(Plan::of(seed), fault, show);
    let nodes = (0..world.plan.nodes.len()).map(Node::new).collect();
    assert!(world.nodes.set(nodes).is_ok(), "set once");
    world.direct(scenario::run());
    world.lanes.run(&world, after_turn).await;
    Outcome {
        violation: world.violation(),
        events: world.last_events(),
        trace_hash: world.trace_hash(),
        virtual_ms: world.now_ms(),
        counts: world.counts(),
    }
}

/// The checkers look at what a thread of a server has done.
fn after_turn(world: &World, lane: Option<&lanes::Served>) {
    if let Some((node, thread)) = lane {
        world.watch.borrow_mut().after_turn(*node, thread);
    }
    if let Some(panic) = PANICS.with_borrow_mut(Vec::pop) {
        world.fail(panic);
    }
}
