//! What has to hold, one file each. [`Watch`] tells the checkers what happens.

mod acks;
mod atomic;
mod contents;
mod cuts;
mod exactly_once;
mod failed_switch;
mod lineage;
mod lsn_monotonic;
mod memory;
mod resume;
mod txid_order;
mod wiped;

pub use atomic::{ACCOUNTS, TWINS, account, twin};
pub use contents::{Contents, compare, contents};
pub use failed_switch::Before;

use std::collections::{BTreeMap, BTreeSet};

use damselfly_engine::thread::Thread;
use damselfly_journal::Lsn;
use damselfly_replication::{Lineage, LsnVector, ReplId, SyncId, TransactionPart, Upstream};

use super::history::{self, History, Log};
use super::plan::Plan;
use super::world::world;

/// What a checker says: `Err` ends the simulation.
pub type Verdict = Result<(), String>;

/// What was said on a connection.
pub enum WireEvent {
    /// A replica asked for stable sync.
    StartStable {
        /// The replica.
        client: usize,
        /// The link.
        sync_id: SyncId,
        /// Its flows: whether partial sync was granted, and whether the cut has arrived.
        flows: BTreeMap<usize, (Option<bool>, bool)>,
    },
    /// A replica acked.
    Ack {
        /// The replica.
        client: usize,
        /// The primary that the ack is for.
        server: usize,
        /// The flow.
        flow: usize,
        /// Everything below is executed, as it says.
        lsn: u64,
    },
}

/// All checkers, and what they share.
pub struct Watch {
    /// What was written.
    history: History,
    views: Vec<View>,
    /// Sequences of data sets that were promoted in the middle of a full sync: their contents are no point of any history.
    torn: BTreeSet<ReplId>,
    monotonic: lsn_monotonic::LsnMonotonic,
    order: txid_order::TxidOrder,
    memory: memory::Memory,
}

/// One server, as the checkers see it.
#[derive(Default)]
pub struct View {
    /// The sequence that its journals hold.
    own: Option<ReplId>,
    /// What it follows, from its first stable sync on.
    followed: Option<Followed>,
    torn_promotion: bool,
    /// What may not be discarded without having been told to.
    keeps: wiped::Keeps,
    /// What had been executed of the old history when it was promoted.
    fork: Option<Vec<u64>>,
    /// How it last came into stable sync: with whom, and whether after a full sync.
    entered: Option<(ReplId, bool)>,
}

/// A primary's sequence, as far as a replica has executed it.
pub struct Followed {
    /// The primary's own sequence.
    upstream: ReplId,
    /// What was executed, by flow.
    held: Vec<Log>,
}

impl Watch {
    /// For the servers of a plan.
    pub fn new(plan: &Plan) -> Watch {
        Watch {
            history: History::default(),
            views: plan.nodes.iter().map(|_| View::default()).collect(),
            torn: BTreeSet::new(),
            monotonic: lsn_monotonic::LsnMonotonic::default(),
            order: txid_order::TxidOrder::default(),
            memory: memory::Memory::new(plan),
        }
    }

    /// A server has started, empty.
    pub fn on_boot(&mut self, node: usize) {
        self.views[node] = View::default();
        self.monotonic.forget(node);
    }

    /// A thread of a server has had its turn.
    pub fn after_turn(&mut self, node: usize, thread: &Thread) {
        let (loading, own) = (thread.engine.is_loading(), thread.engine.lineage().replid());
        if !loading && thread.owns(thread.index) {
            self.views[node].own = Some(own);
            let shard = thread.index;
            let verdict =
                thread.with_core(|core| self.read_journal(node, own, shard, &core.journal));
            self.judge(node, verdict);
        }
        self.judge(node, self.memory.check(thread));
    }

    fn read_journal(
        &mut self,
        node: usize,
        own: ReplId,
        shard: usize,
        journal: &damselfly_journal::Journal,
    ) -> Verdict {
        let next = journal.next_lsn();
        self.monotonic.check(node, shard, own, next)?;
        let log = self.history.log_mut(own, shard, next.0);
        if log.next() == next.0 {
            return Ok(());
        }
        let Some(runs) = journal.read_from(Lsn(log.next())) else {
            // Nobody needed them recorded, or they are gone already.
            let active = journal.is_active();
            while log.next() < next.0 {
                let unique = (world().draw(|rng| rng.next_u64()) | 2) & !1;
                log.push(if active { history::UNSEEN } else { unique });
            }
            return Ok(());
        };
        for run in runs {
            self.order.on_run(own, shard, run)?;
            self.memory.on_run(run);
            history::of_run(own, shard, run)
                .into_iter()
                .for_each(|record| log.push(record));
        }
        Ok(())
    }

    /// Something was said on a connection.
    pub fn on_wire(&mut self, event: WireEvent) {
        match event {
            WireEvent::StartStable {
                client,
                flows,
                sync_id,
            } => self.judge(client, cuts::on_start_stable(sync_id, &flows)),
            WireEvent::Ack {
                client,
                server,
                flow,
                lsn,
            } => {
                let upstream = world().node(server).replid();
                let verdict =
                    acks::check(self.views[client].followed.as_ref(), upstream, flow, lsn);
                self.judge(client, verdict);
            }
        }
    }

    /// A full sync begins: the old data goes.
    pub fn on_full_sync(&mut self, node: usize) {
        self.views[node].followed = None;
    }

    /// The data set goes over to stable sync.
    pub fn on_enter_stable(&mut self, node: usize, upstream: &Upstream, full: bool, lsns: &[Lsn]) {
        let verdict = self.enter_stable(node, upstream, full, lsns);
        self.judge(node, verdict);
    }

    fn enter_stable(
        &mut self,
        node: usize,
        upstream: &Upstream,
        full: bool,
        lsns: &[Lsn],
    ) -> Verdict {
        let theirs = |flow: usize| {
            self.history
                .log(upstream.replid, flow)
                .cloned()
                .unwrap_or_default()
        };
        if full {
            let held = lsns
                .iter()
                .enumerate()
                .map(|(flow, lsn)| theirs(flow).before(lsn.0))
                .collect();
            self.views[node].followed = Some(Followed {
                upstream: upstream.replid,
                held,
            });
            return Ok(());
        }
        let mine = match self.views[node].followed.take() {
            Some(followed) => followed.held,
            // It was a primary until now: its own journals say what it holds.
            None => (0..lsns.len())
                .map(|shard| self.own_log(node, shard))
                .collect(),
        };
        let verdict = (0..lsns.len())
            .try_for_each(|flow| lineage::check(flow, &mine[flow], &theirs(flow), lsns[flow]));
        self.views[node].followed = Some(Followed {
            upstream: upstream.replid,
            held: mine,
        });
        verdict
    }

    fn own_log(&self, node: usize, shard: usize) -> Log {
        let own = self.views[node].own;
        own.and_then(|own| self.history.log(own, shard))
            .cloned()
            .unwrap_or_default()
    }

    /// It has gone over.
    pub fn on_stable(&mut self, node: usize, own: ReplId, upstream: &Upstream, full: bool) {
        if self.torn.contains(&upstream.replid) {
            self.torn.insert(own);
        }
        self.views[node].own = Some(own);
        self.views[node].entered = Some((upstream.replid, full));
        let relays = world().plan.nodes[node].shards == upstream.flows;
        if let (Some(followed), true, true) = (&self.views[node].followed, full, relays) {
            for (shard, log) in followed.held.iter().enumerate() {
                self.history.set(own, shard, log.clone());
            }
        }
    }

    /// A part is about to be executed.
    pub fn on_apply(&mut self, node: usize, flow: usize, part: &TransactionPart) {
        for effect in part.effects() {
            if let damselfly_replication::Effect::Command { db, args } = effect {
                let lsn = part.first_lsn();
                world().note_key(
                    format_args!("node{node} {flow} executes {lsn:?}"),
                    db,
                    args.iter().copied(),
                );
            }
        }
        let followed = self.views[node].followed.as_ref();
        let verdict = exactly_once::check(followed, &self.history, flow, part);
        self.judge(node, verdict);
    }

    /// A part has been executed.
    pub fn on_applied(&mut self, node: usize, flow: usize, part: &TransactionPart) {
        if let (Some(followed), Some(_)) = (&mut self.views[node].followed, part.first_lsn()) {
            let log = &mut followed.held[flow];
            history::of_part(part)
                .into_iter()
                .for_each(|record| log.push(record));
        }
    }

    /// An attempt of a link is over.
    pub fn on_link_ended(&mut self, node: usize, vector: Option<&LsnVector>) {
        let verdict = resume::check(self.views[node].followed.as_ref(), vector);
        self.judge(node, verdict);
    }

    /// REPLICAOF NO ONE is about to be carried out.
    pub fn on_promotion(&mut self, node: usize, before: &Lineage) {
        self.views[node].torn_promotion = !before.reached_stable();
        self.views[node].fork = self.executed(node);
        self.views[node].followed = None;
    }

    /// It was carried out.
    pub fn on_promoted(&mut self, node: usize, own: ReplId) {
        if self.views[node].torn_promotion {
            self.torn.insert(own);
        }
    }

    /// The next LSN of each flow, as far as a replica has executed them.
    pub fn executed(&self, node: usize) -> Option<Vec<u64>> {
        let followed = self.views[node].followed.as_ref()?;
        Some(followed.held.iter().map(|log| log.next()).collect())
    }

    /// What a server that was promoted had executed of the history before.
    pub fn fork(&self, node: usize) -> Option<Vec<u64>> {
        self.views[node].fork.clone()
    }

    /// With whom a replica came into stable sync last, and whether after a full sync.
    pub fn entered(&self, node: usize) -> Option<(ReplId, bool)> {
        self.views[node].entered
    }

    /// Whether the contents of this sequence are no point of any history.
    pub fn is_torn(&self, replid: ReplId) -> bool {
        self.torn.contains(&replid)
    }

    /// What a client read of the accounts and the twins.
    pub fn on_read(
        &mut self,
        node: usize,
        accounts: &[Option<Vec<u8>>],
        twins: &[Option<Vec<u8>>],
    ) {
        world().count("reads of transactions");
        self.judge(node, atomic::check(accounts, twins));
    }

    /// A REPLICAOF has failed.
    pub fn on_failed_switch(&mut self, node: usize, before: &Before, error: &str) {
        self.judge(node, failed_switch::check(node, before, error));
    }

    fn judge(&self, node: usize, verdict: Verdict) {
        if let Err(what) = verdict {
            world().fail(format!("node{node}: {what}"));
        }
    }
}
