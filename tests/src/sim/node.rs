//! A server: the real engine on lanes, the real driver over the simulated network.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use damselfly_engine::engine::start_tasks;
use damselfly_engine::eviction::EvictionOptions;
use damselfly_engine::thread::Thread;
use damselfly_engine::{Engine, EngineOptions, Role};
use damselfly_journal::Lsn;
use damselfly_replication::driver::{
    LinkOptions, LinkStatus, PrimaryHub, Random, ReplicaOfHandle, serve_connection,
};
use damselfly_replication::replica::LinkPhase;
use damselfly_replication::{Lineage, LinkError, ReplId, ReplicaConfig, RestartedPrimary};

use super::checkers::{Before, Contents, contents};
use super::clients;
use super::data::{SimData, of_engine};
use super::fault::Fault;
use super::lanes::LaneId;
use super::net::{PORT, SimConnect, SimStream};
use super::world::{note, world};
use crate::rng::Rng;

/// Databases of every server.
pub const DBNUM: u16 = 4;

/// One server, up or down.
pub struct Node {
    /// Its number; its name in the network is `node<number>`.
    pub index: usize,
    running: RefCell<Option<Rc<Running>>>,
    silent: Cell<bool>,
    /// REPLICAOFs asked for.
    asked: Cell<u64>,
    /// Those that were answered.
    answered: Cell<u64>,
    before_promotion: RefCell<Option<Lineage>>,
}

/// What a crash ends.
pub struct Running {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Its threads, as the engine knows them.
    pub threads: Vec<Rc<Thread>>,
    lanes: Vec<LaneId>,
    hub: PrimaryHub<SimData>,
    replicaof: RefCell<Option<ReplicaOfHandle>>,
}

impl Node {
    /// A server that is down.
    pub fn new(index: usize) -> Rc<Node> {
        Rc::new(Node {
            index,
            running: RefCell::default(),
            silent: Cell::new(false),
            asked: Cell::new(0),
            answered: Cell::new(0),
            before_promotion: RefCell::default(),
        })
    }

    /// Starts it, empty, as a primary.
    pub fn boot(self: &Rc<Self>) {
        let world = world();
        let plan = &world.plan;
        let shape = plan.nodes[self.index];
        note!("node{} starts with {} shards", self.index, shape.shards);
        let options = EngineOptions {
            threads: shape.threads,
            shards: shape.shards,
            dbnum: DBNUM,
            backlog_max_bytes: plan.backlog_bytes,
            max_memory: plan.memory.max_bytes,
            eviction: EvictionOptions {
                policy: plan.memory.policy,
                ..EvictionOptions::default()
            },
            seed: world.draw(Rng::next_u64),
            ..EngineOptions::default()
        };
        let engine = Engine::new(options, &[]);
        world.watch.borrow_mut().on_boot(self.index);
        self.asked.set(0);
        self.answered.set(0);
        let threads: Vec<_> = (0..shape.threads)
            .map(|index| Thread::new(index, engine.clone()))
            .collect();
        let lane = |thread: &Rc<Thread>| {
            let name = format!("node{} thread {}", self.index, thread.index);
            let lane = world.lanes.open(name, Some((self.index, thread.clone())));
            let thread = thread.clone();
            world.lanes.spawn(lane, async move { start_tasks(&thread) });
            lane
        };
        let lanes = threads.iter().map(lane).collect();
        let data = of_engine(&engine, self.index);
        let random = Random::new(|| super::world::world().draw(Rng::next_u64));
        let mut primary = plan.primary.clone();
        if world.fault == Some(Fault::NoBudget) {
            primary.output_limit = usize::MAX / 2;
        }
        let hub = PrimaryHub::new(data.clone(), primary, random.clone());
        let all = hub.clone();
        engine.ends_replicas_with(Box::new(move |why| all.end_all(why)));
        let running = Rc::new(Running {
            engine,
            threads,
            lanes,
            hub,
            replicaof: RefCell::default(),
        });
        let options = LinkOptions {
            config: self.replica_config(),
            connect: SimConnect { node: self.index },
            random,
        };
        let filled = running.clone();
        world.lanes.spawn(running.lanes[0], async move {
            *filled.replicaof.borrow_mut() = Some(ReplicaOfHandle::start(data, options));
        });
        *self.running.borrow_mut() = Some(running.clone());
        clients::start(self, &running);
    }

    fn replica_config(&self) -> ReplicaConfig {
        let plan = world().plan.replica.clone();
        ReplicaConfig {
            client_id: format!("node{}", self.index),
            announce_port: PORT,
            restarted_primary: match world().fault {
                Some(Fault::FollowBlank) => RestartedPrimary::Follow,
                _ => plan.restarted_primary,
            },
            ..plan
        }
    }

    /// Ends it where it stands; all that it held is lost. `silently`: nobody is told.
    pub fn crash(&self, silently: bool) {
        let Some(running) = self.running.take() else {
            return;
        };
        let world = world();
        note!(
            "node{} crashes{}",
            self.index,
            if silently { " silently" } else { "" }
        );
        world.count("crashes");
        self.silent.set(silently);
        world.draw(|rng| world.net.borrow_mut().crash(self.index, silently, rng));
        running.lanes.iter().for_each(|lane| world.lanes.end(*lane));
    }

    /// Lets nothing of it go on for a while, as SIGSTOP does.
    pub fn freeze(&self, ms: u64) {
        let world = world();
        if let Some(running) = self.running() {
            note!("node{} freezes for {ms} ms", self.index);
            world.net.borrow_mut().disturb(self.index);
            running
                .lanes
                .iter()
                .for_each(|lane| world.lanes.hold(*lane, ms));
        }
    }

    /// What runs.
    pub fn running(&self) -> Option<Rc<Running>> {
        self.running.borrow().clone()
    }

    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        self.running.borrow().is_some()
    }

    /// Whether it is down without anybody having been told: connecting takes for ever.
    pub fn is_silent(&self) -> bool {
        self.silent.get() && !self.is_up()
    }

    /// A server that is up again, or has not crashed silently, answers.
    pub fn speak(&self) {
        self.silent.set(false);
    }

    /// Serves a connection.
    pub fn accept(&self, from: usize, stream: SimStream) {
        let Some(running) = self.running() else {
            return;
        };
        let world = world();
        let lane = world.draw(|rng| *rng.pick(&running.lanes));
        let hub = running.hub.clone();
        world.lanes.spawn(lane, async move {
            let _ = serve_connection(hub, stream, &format!("10.0.0.{from}"), None).await;
        });
    }

    /// `REPLICAOF host port`, whose outcome the checkers see.
    pub fn follow(self: &Rc<Self>, host: String, port: u16) {
        let Some((running, handle)) = self.handle() else {
            return;
        };
        note!("node{}: REPLICAOF {host} {port}", self.index);
        let (node, before) = (self.clone(), self.before());
        self.asked.set(self.asked.get() + 1);
        world().lanes.spawn(running.lanes[0], async move {
            let Some(before) = before else { return };
            if world().fault == Some(Fault::SwitchFirst)
                && let Some(link) = handle.link()
            {
                link.stop().await;
            }
            let result = handle.follow(&host, port).await;
            node.answered.set(node.answered.get() + 1);
            match result {
                Ok(()) => {
                    world().count("REPLICAOFs");
                    note!("node{} switched to {host}", node.index);
                }
                Err(error) => {
                    world().count("failed REPLICAOFs");
                    note!("node{} did not switch to {host}: {error}", node.index);
                    // What the old link had to do with it, if anything, shows in a moment.
                    super::world::pause(50).await;
                    world().watch.borrow_mut().on_failed_switch(
                        node.index,
                        &before,
                        &error.to_string(),
                    );
                }
            }
        });
    }

    /// `REPLICAOF NO ONE`.
    pub fn lead(self: &Rc<Self>) {
        let Some((running, handle)) = self.handle() else {
            return;
        };
        note!("node{}: REPLICAOF NO ONE", self.index);
        let node = self.clone();
        self.asked.set(self.asked.get() + 1);
        world().lanes.spawn(running.lanes[0], async move {
            let result = handle.follow_no_one().await;
            node.answered.set(node.answered.get() + 1);
            note!("node{}: REPLICAOF NO ONE answers {result:?}", node.index);
        });
    }

    /// `DEBUG REPLICA PAUSE|RESUME`
    pub fn pause_link(&self, paused: bool) {
        if let Some(link) = self.handle().and_then(|(_, handle)| handle.link()) {
            note!(
                "node{}: its link is {}",
                self.index,
                if paused { "paused" } else { "resumed" }
            );
            world().net.borrow_mut().disturb(self.index);
            link.pause(paused);
        }
    }

    fn handle(&self) -> Option<(Rc<Running>, ReplicaOfHandle)> {
        let running = self.running()?;
        let handle = running.replicaof.borrow().clone()?;
        Some((running, handle))
    }

    /// How its link does.
    pub fn link_status(&self) -> Option<LinkStatus> {
        self.handle()?.1.status().1
    }

    /// Whether it has given up a primary that came back with nothing, and waits to be told.
    pub fn waits_to_be_told(&self) -> bool {
        let link = self.link_status();
        link.is_some_and(|link| {
            link.phase == LinkPhase::Failed && link.last_error == Some(LinkError::BlankPrimary)
        })
    }

    /// Whether it follows this server, as it says itself.
    pub fn follows(&self, host: &str) -> bool {
        let role = self.handle().map(|(_, handle)| handle.status().0);
        role == Some(damselfly_replication::replica::Role::Replica(format!(
            "{host}:{PORT}"
        )))
    }

    /// What a REPLICAOF may not change unless it succeeds.
    pub fn before(&self) -> Option<Before> {
        let (running, handle) = self.handle()?;
        let (role, link) = handle.status();
        let sync_id = link.as_ref().and_then(|link| link.sync_id);
        let world = world();
        let net = world.net.borrow();
        let of_link =
            |conn: &super::net::Conn| conn.client == self.index && conn.tap.link() == sync_id;
        let stable = link.as_ref().is_some_and(|link| {
            link.phase == damselfly_replication::replica::LinkPhase::StableSync
        });
        Some(Before {
            role,
            replid: running.engine.lineage().replid(),
            asked: self.asked.get(),
            answered: self.answered.get(),
            full_syncs: link.map_or(0, |link| link.stats.full_syncs),
            conns: if stable && sync_id.is_some() {
                net.of(of_link)
            } else {
                Vec::new()
            },
        })
    }

    /// Its sequence of records.
    pub fn replid(&self) -> Option<ReplId> {
        Some(self.running()?.engine.lineage().replid())
    }

    /// Whether it takes writes.
    pub fn is_primary(&self) -> bool {
        self.running().is_some_and(|running| {
            running.engine.role() == Role::Primary && !running.engine.is_loading()
        })
    }

    /// The next LSN of each shard.
    pub fn next_lsns(&self) -> Vec<u64> {
        let threads = self
            .running()
            .map(|running| running.threads.clone())
            .unwrap_or_default();
        threads
            .iter()
            .filter_map(|thread| thread.try_with_core(|core| core.journal.next_lsn().0))
            .collect()
    }

    /// Whether its backlog reaches back to these LSNs.
    pub fn reaches_back(&self, lsns: &[u64]) -> bool {
        let Some(running) = self.running() else {
            return false;
        };
        let reaches = |(thread, lsn): (&Rc<Thread>, &u64)| {
            thread.try_with_core(|core| core.journal.contains_border(Lsn(*lsn))) == Some(true)
        };
        running.threads.iter().zip(lsns).all(reaches)
    }

    /// All that it holds.
    pub fn contents(&self) -> Contents {
        self.running()
            .map(|running| contents(&running.threads))
            .unwrap_or_default()
    }

    /// Lanes of its threads.
    pub fn lanes(&self) -> Vec<LaneId> {
        self.running()
            .map(|running| running.lanes.clone())
            .unwrap_or_default()
    }

    /// The lineage before the last promotion, for [`Fault::GenerousFork`].
    pub fn remember_lineage(&self, lineage: Lineage) {
        *self.before_promotion.borrow_mut() = Some(lineage);
    }

    /// See [`remember_lineage`](Self::remember_lineage).
    pub fn lineage_before_promotion(&self) -> Option<Lineage> {
        self.before_promotion.borrow().clone()
    }
}

impl Running {
    /// The lane of a thread.
    pub fn lane(&self, thread: usize) -> LaneId {
        self.lanes[thread]
    }
}
