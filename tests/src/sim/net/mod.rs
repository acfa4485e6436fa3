//! The network: connections whose bytes travel in pieces, late, and sometimes not at all.

mod pipe;
mod stream;
mod tap;

pub use stream::{PORT, SimConnect, SimStream, connect};
pub use tap::{FlowTap, Said, Tap};

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::task::{Context, Poll};

use pipe::{Pipe, Reading};

use damselfly_replication::SyncId;
use damselfly_resp::encode_command;

use super::checkers::WireEvent;
use super::fault::Fault;
use super::plan::NetPlan;
use super::world::{note, world};
use crate::rng::Rng;

/// Names a connection; never used twice.
pub type ConnId = u64;

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who connected.
    Client,
    /// Who accepted.
    Server,
}

/// All connections.
pub struct Network {
    plan: NetPlan,
    conns: BTreeMap<ConnId, Conn>,
    next: ConnId,
    /// Pairs of servers between which nothing arrives.
    apart: BTreeSet<(usize, usize)>,
    /// Connections that were cut, stalled or silenced.
    disturbed: BTreeSet<ConnId>,
    /// Who closed a connection first.
    closed_first: BTreeMap<ConnId, Side>,
}

/// One connection between two servers.
pub struct Conn {
    /// The server that connected.
    pub client: usize,
    /// The server that accepted.
    pub server: usize,
    /// What is known of what is said on it.
    pub tap: Tap,
    /// What the client sends, what the server sends.
    pipes: [Pipe; 2],
    closed: [bool; 2],
    delay_ms: (u64, u64),
    /// Broken by the network, or by the end of a server.
    broken: bool,
}

impl Network {
    /// A network without connections.
    pub fn new(plan: NetPlan) -> Network {
        Network {
            plan,
            conns: BTreeMap::new(),
            next: 1,
            apart: BTreeSet::new(),
            disturbed: BTreeSet::new(),
            closed_first: BTreeMap::new(),
        }
    }

    /// Every connection that is open.
    pub fn conns(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.conns.iter().map(|(id, conn)| (*id, conn))
    }

    /// One connection.
    pub fn conn(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(&id)
    }

    /// Whether the network has done something to the connection.
    pub fn was_disturbed(&self, id: ConnId) -> bool {
        self.disturbed.contains(&id)
    }

    /// Who closed the connection first.
    pub fn closed_first(&self, id: ConnId) -> Option<Side> {
        self.closed_first.get(&id).copied()
    }

    /// Something that makes timeouts of this server's links legitimate.
    pub fn disturb(&mut self, node: usize) {
        let of_node = self.of(|conn| conn.client == node || conn.server == node);
        self.disturbed.extend(of_node);
    }

    fn open(&mut self, client: usize, server: usize, rng: &mut Rng) -> ConnId {
        let id = self.next;
        self.next += 1;
        let (low, high) = self.plan.delay_ms;
        let base = rng.between(low as i64, high as i64) as u64;
        let pipe = || Pipe::new(self.plan.window, self.plan.bytes_per_ms);
        let conn = Conn {
            client,
            server,
            tap: Tap::default(),
            pipes: [pipe(), pipe()],
            closed: [false; 2],
            delay_ms: (base, base + (high - low) / 4),
            broken: false,
        };
        self.conns.insert(id, conn);
        id
    }

    /// Breaks a connection: what is on its way arrives up to a byte drawn by chance.
    pub fn cut(&mut self, id: ConnId, rng: &mut Rng) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.broken = true;
            world().count("cut connections");
            self.disturbed.insert(id);
            for pipe in &mut conn.pipes {
                let kept = rng.index(pipe.on_its_way() + 1);
                pipe.cut(kept);
            }
        }
    }

    /// Nothing arrives on the connection for a while.
    pub fn stall(&mut self, id: ConnId, until_ms: u64) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.pipes.iter_mut().for_each(|pipe| pipe.stall(until_ms));
            self.disturbed.insert(id);
        }
    }

    /// Breaks all connections of a server that crashed; `silently`: the others don't hear of it.
    pub fn crash(&mut self, node: usize, silently: bool, rng: &mut Rng) {
        let of_node: Vec<ConnId> = self.of(|conn| conn.client == node || conn.server == node);
        for id in of_node {
            if silently {
                self.stall(id, u64::MAX);
                self.conns.get_mut(&id).expect("just listed").broken = true;
            } else {
                self.cut(id, rng);
            }
        }
    }

    /// Nothing arrives between two servers until [`heal`](Self::heal).
    pub fn part(&mut self, one: usize, other: usize) {
        self.apart.insert((one.min(other), one.max(other)));
        let between = self.of(|conn| conn.is_between(one, other));
        between.into_iter().for_each(|id| self.stall(id, u64::MAX));
    }

    /// Whether nothing arrives between them.
    pub fn is_apart(&self, one: usize, other: usize) -> bool {
        self.apart.contains(&(one.min(other), one.max(other)))
    }

    /// Everything arrives again, but for what a crash has silenced.
    pub fn heal(&mut self) {
        self.apart.clear();
        for conn in self.conns.values_mut().filter(|conn| !conn.broken) {
            conn.pipes.iter_mut().for_each(|pipe| pipe.stall(0));
        }
    }

    /// Connections that fit.
    pub fn of(&self, fits: impl Fn(&Conn) -> bool) -> Vec<ConnId> {
        let fitting = self.conns.iter().filter(|(_, conn)| fits(conn));
        fitting.map(|(id, _)| *id).collect()
    }

    fn close(&mut self, id: ConnId, side: Side) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.closed[side as usize] = true;
        self.closed_first.entry(id).or_insert(side);
        conn.pipes[side as usize].end();
        conn.pipes[1 - side as usize].refuse();
        if conn.closed == [true; 2] {
            self.conns.remove(&id);
        }
    }

    fn poll_write(
        &mut self,
        id: ConnId,
        side: Side,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let piece = self.plan.piece;
        let Some(conn) = self.conns.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let world = world();
        let now_ms = world.now_ms();
        let whole = conn.tap.wants_whole(world.fault, side);
        let piece = world.draw(|rng| 1 + rng.index(piece));
        let pipe = &mut conn.pipes[side as usize];
        let room = if whole {
            usize::MAX
        } else {
            pipe.room().min(piece)
        };
        if pipe.is_refused() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if room == 0 {
            pipe.wait_for_room(context.waker());
            return Poll::Pending;
        }
        let taken = &bytes[..room.min(bytes.len())];
        let (low, high) = conn.delay_ms;
        let delay = world.draw(|rng| rng.between(low as i64, high as i64)) as u64;
        let mut said = Vec::new();
        let sent = match side {
            Side::Client => conn.tap.on_request_bytes(taken, &mut said),
            Side::Server => None,
        };
        conn.pipes[side as usize].send(now_ms + delay, now_ms, sent.as_deref().unwrap_or(taken));
        let (client, server, len) = (conn.client, conn.server, taken.len());
        said.into_iter()
            .for_each(|said| self.tell(client, server, said));
        Poll::Ready(Ok(len))
    }

    /// The checkers hear what a replica said.
    fn tell(&self, client: usize, server: usize, said: Said) {
        let event = match said {
            Said::Ack(flow, lsn) => WireEvent::Ack {
                client,
                server,
                flow,
                lsn: lsn.0,
            },
            Said::StartStable(sync_id) => {
                let flows = self.flows(client, server, sync_id);
                WireEvent::StartStable {
                    client,
                    sync_id,
                    flows,
                }
            }
        };
        world().watch.borrow_mut().on_wire(event);
    }

    /// The flows of one link: whether partial sync was granted, and whether the cut has arrived.
    fn flows(
        &self,
        client: usize,
        server: usize,
        sync_id: SyncId,
    ) -> BTreeMap<usize, (Option<bool>, bool)> {
        let conns = self
            .conns
            .values()
            .filter(|conn| (conn.client, conn.server) == (client, server));
        let flows = conns.filter_map(|conn| conn.tap.flow().filter(|flow| flow.sync_id == sync_id));
        flows
            .map(|flow| (flow.flow, (flow.partial, flow.cut)))
            .collect()
    }

    /// [`Fault::EarlyStable`]: asks for stable sync in the replica's name.
    fn ask_early(&mut self, client: usize, server: usize, sync_id: SyncId, now_ms: u64) {
        let control = |conn: &&mut Conn| {
            (conn.client, conn.server) == (client, server) && conn.tap.sync_id() == Some(sync_id)
        };
        if let Some(conn) = self.conns.values_mut().find(control) {
            let mut request = Vec::new();
            encode_command(
                &mut request,
                &[b"DFLY", b"STARTSTABLE", sync_id.to_string().as_bytes()],
            );
            conn.pipes[Side::Client as usize].send(now_ms, now_ms, &request);
            self.tell(client, server, Said::StartStable(sync_id));
        }
    }

    fn poll_read(
        &mut self,
        id: ConnId,
        side: Side,
        context: &mut Context<'_>,
        max: usize,
    ) -> Reading {
        let piece = self.plan.piece;
        let Some(conn) = self.conns.get_mut(&id) else {
            return Reading::Reset;
        };
        let world = world();
        let max = max.min(world.draw(|rng| 1 + rng.index(piece.max(64))));
        let from = 1 - side as usize;
        let reading = conn.pipes[from].read(world.now_ms(), max, context.waker());
        if let (Reading::Bytes(bytes), Side::Client) = (&reading, side) {
            let had_cut = conn.tap.flow().is_some_and(|flow| flow.cut);
            conn.tap.on_answer_bytes(bytes);
            let cut = conn
                .tap
                .flow()
                .filter(|flow| flow.cut && !had_cut)
                .map(|flow| flow.sync_id);
            if let (Some(sync_id), Some(Fault::EarlyStable)) = (cut, world.fault) {
                let (client, server) = (conn.client, conn.server);
                self.ask_early(client, server, sync_id, world.now_ms());
            }
        }
        reading
    }
}

impl Conn {
    /// Whether it joins these two.
    pub fn is_between(&self, one: usize, other: usize) -> bool {
        (self.client, self.server) == (one, other) || (self.client, self.server) == (other, one)
    }

    /// Whether the network broke it, or a crash.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether one of its ends was closed by its owner.
    pub fn is_closed(&self) -> bool {
        self.closed.contains(&true)
    }
}

/// Cuts some connection by chance.
pub fn cut_one(fits: impl Fn(&Conn) -> bool) -> bool {
    let world = world();
    let candidates = world.net.borrow().of(fits);
    if candidates.is_empty() {
        return false;
    }
    let id = world.draw(|rng| *rng.pick(&candidates));
    note!("cut connection {id}");
    world.draw(|rng| world.net.borrow_mut().cut(id, rng));
    true
}
