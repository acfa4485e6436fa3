//! A data set for tests: string keys in a few shards, all in one thread.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use damselfly_journal::{Journal, JournalOptions, Lsn, RunBuilder};
use damselfly_replication::{
    DataError, Effect, Lineage, LineageChange, LsnVector, OnThread, PrimaryConfig, PrimaryDataSet,
    PrimaryShard, ReplId, ReplicaDataSet, ReplicaFlowSink, Resume, ShardAction, ShardSnapshot,
    ThreadJob, TransactionPart, Upstream,
    driver::{PrimaryHub, Random},
    primary::{FlowHandle, FlowTable},
};
use damselfly_snapshot::{Encoder, EntryMeta, Event, Head, Part, Profile};

/// Database and key.
pub type Place = (u16, Vec<u8>);
/// Commands with their databases.
type Commands = Vec<(u16, Vec<Vec<u8>>)>;
pub type Contents = BTreeMap<Place, Vec<u8>>;

#[derive(Clone, Debug)]
pub struct MapSet(OnThread<State>);

#[derive(Debug)]
pub struct State {
    shards: Vec<Rc<Shard>>,
    lineage: RefCell<Lineage>,
    loading: Cell<bool>,
    pub full_syncs: Cell<u32>,
    txid: Cell<u64>,
    random: Random,
    hub: RefCell<Option<PrimaryHub<MapSet>>>,
    room: Rc<tokio::sync::Notify>,
}

#[derive(Debug)]
pub struct Shard {
    map: RefCell<Contents>,
    journal: RefCell<Journal>,
    flows: FlowTable<MapSnapshot>,
    walks: RefCell<Vec<Walk>>,
    next_walk: Cell<u64>,
}

/// A running snapshot, in the order of the keys.
#[derive(Debug)]
struct Walk {
    id: u64,
    flow: FlowHandle,
    /// Everything up to here was sent.
    passed: Option<Place>,
    /// What was sent ahead because it was about to change.
    ahead: BTreeSet<Place>,
    flushed: bool,
}

impl MapSet {
    pub fn new(shards: usize, random: Random, config: PrimaryConfig) -> MapSet {
        let room = Rc::new(tokio::sync::Notify::new());
        let shards = (0..shards)
            .map(|_| Rc::new(Shard::new(room.clone())))
            .collect();
        let state = State {
            shards,
            lineage: RefCell::new(Lineage::new(random.replid())),
            loading: Cell::new(false),
            full_syncs: Cell::new(0),
            txid: Cell::new(1),
            random: random.clone(),
            hub: RefCell::default(),
            room,
        };
        let set = MapSet(OnThread::new(state));
        set.0
            .get()
            .hub
            .replace(Some(PrimaryHub::new(set.clone(), config, random)));
        set
    }

    pub fn hub(&self) -> PrimaryHub<MapSet> {
        self.0.get().hub.borrow().clone().expect("set at the start")
    }

    pub fn state(&self) -> Rc<State> {
        self.0.get()
    }

    pub fn contents(&self) -> Contents {
        let mut all = Contents::new();
        self.state()
            .shards
            .iter()
            .for_each(|shard| all.extend(shard.map.borrow().clone()));
        all
    }

    pub fn next_lsns(&self) -> LsnVector {
        self.state()
            .shards
            .iter()
            .map(|shard| shard.journal.borrow().next_lsn())
            .collect()
    }

    /// Sets keys, atomically.
    pub async fn set(&self, db: u16, pairs: &[(&str, &str)]) {
        let state = self.state();
        let mut parts: BTreeMap<usize, Vec<(&str, &str)>> = BTreeMap::new();
        for (key, value) in pairs {
            parts
                .entry(state.place(key.as_bytes()))
                .or_default()
                .push((key, value));
        }
        state.wait_for_room(parts.keys().copied()).await;
        let shards = parts.len() as u16;
        let txid = if pairs.len() > 1 {
            state.next_txid()
        } else {
            0
        };
        for (index, pairs) in parts {
            let mut run = RunBuilder::new(txid, shards);
            for (key, value) in pairs {
                state.shards[index].put(db, key.as_bytes(), Some(value.as_bytes()));
                run.command(db, &[b"SET", key.as_bytes(), value.as_bytes()]);
            }
            state.shards[index].record(&mut run);
        }
    }

    pub async fn flush_all(&self) {
        let state = self.state();
        state.wait_for_room(0..state.shards.len()).await;
        let txid = state.next_txid();
        for shard in &state.shards {
            shard.flush();
            shard.record(
                RunBuilder::new(txid, state.shards.len() as u16).command(0, &[b"FLUSHALL"]),
            );
        }
    }

    fn change(&self, change: LineageChange, lsns: Option<&[Lsn]>) {
        let state = self.state();
        if change.end_replicas {
            self.hub().end_all("the lineage changed");
        }
        for (index, shard) in state.shards.iter().enumerate() {
            match lsns {
                Some(lsns) => shard.journal.borrow_mut().start_at(lsns[index]),
                None if change.restart_journal => shard.journal.borrow_mut().start_at(Lsn::FIRST),
                None => {}
            }
        }
    }
}

impl State {
    fn place(&self, key: &[u8]) -> usize {
        let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        (hash >> 7) as usize % self.shards.len()
    }

    fn next_txid(&self) -> u64 {
        self.txid.replace(self.txid.get() + 1)
    }

    async fn wait_for_room(&self, shards: impl Iterator<Item = usize> + Clone) {
        while shards
            .clone()
            .any(|index| self.shards[index].flows.is_over_budget())
        {
            let _ = tokio::time::timeout(Duration::from_millis(50), self.room.notified()).await;
        }
    }

    fn execute(&self, db: u16, args: &[&[u8]]) -> Result<(), DataError> {
        match args {
            [b"SET", key, value] => self.shards[self.place(key)].put(db, key, Some(value)),
            [b"DEL", key] => self.shards[self.place(key)].put(db, key, None),
            [b"FLUSHALL"] => self.shards.iter().for_each(|shard| shard.flush()),
            other => return Err(DataError::terminal(format!("unknown record {other:?}"))),
        }
        Ok(())
    }

    /// Executes parts at once; relays pass them on, others record what they do.
    fn apply(
        &self,
        parts: &[(usize, TransactionPart)],
        relay: bool,
        global: bool,
    ) -> Result<(), DataError> {
        for (index, (flow, part)) in parts.iter().enumerate() {
            for effect in part.effects().filter(|_| !global || index == 0) {
                if let Effect::Command { db, args } = effect {
                    self.execute(db, &args)?;
                }
            }
            if relay && let Some(first) = part.first_lsn() {
                let mut run = RunBuilder::new(0, 1);
                part.write_to(&mut run);
                let relayed = self.shards[*flow]
                    .journal
                    .borrow_mut()
                    .append_relayed(&mut run, first, 0);
                relayed.map_err(|error| DataError::retriable(error.to_string()))?;
            }
        }
        if !relay {
            self.record_own(parts, global);
        }
        Ok(())
    }

    fn record_own(&self, parts: &[(usize, TransactionPart)], global: bool) {
        let txid = self.next_txid();
        let mut runs: BTreeMap<usize, Commands> = BTreeMap::new();
        for (_, part) in parts.iter().take(if global { 1 } else { parts.len() }) {
            for effect in part.effects() {
                let Effect::Command { db, args } = effect else {
                    continue;
                };
                let owned: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
                let shards = if global {
                    0..self.shards.len()
                } else {
                    self.place(args[1])..self.place(args[1]) + 1
                };
                shards.for_each(|shard| runs.entry(shard).or_default().push((db, owned.clone())));
            }
        }
        let shards = runs.len() as u16;
        for (index, commands) in runs {
            let mut run = RunBuilder::new(txid, shards);
            for (db, args) in commands {
                run.command(db, &args.iter().map(Vec::as_slice).collect::<Vec<_>>());
            }
            self.shards[index].record(&mut run);
        }
    }
}

impl Shard {
    fn new(room: Rc<tokio::sync::Notify>) -> Shard {
        let flows = FlowTable::new();
        flows.set_hook(move |_| room.notify_waiters());
        Shard {
            map: RefCell::default(),
            journal: RefCell::new(Journal::new(JournalOptions::default())),
            flows,
            walks: RefCell::default(),
            next_walk: Cell::new(0),
        }
    }

    fn put(&self, db: u16, key: &[u8], value: Option<&[u8]>) {
        let place = (db, key.to_vec());
        let mut map = self.map.borrow_mut();
        for walk in self.walks.borrow_mut().iter_mut() {
            walk.before_change(&place, map.get(&place));
        }
        match value {
            Some(value) => drop(map.insert(place, value.to_vec())),
            None => drop(map.remove(&place)),
        }
    }

    fn flush(&self) {
        self.walks
            .borrow_mut()
            .iter_mut()
            .for_each(|walk| walk.flushed = true);
        self.map.borrow_mut().clear();
    }

    fn record(&self, run: &mut RunBuilder) {
        let mut journal = self.journal.borrow_mut();
        if journal.is_active() {
            journal.append(run, 0);
        } else {
            journal.skip(run.len() as u64);
        }
    }
}

impl Walk {
    fn is_due(&self, place: &Place) -> bool {
        !self.flushed
            && self.passed.as_ref().is_none_or(|passed| place > passed)
            && !self.ahead.contains(place)
    }

    fn before_change(&mut self, place: &Place, value: Option<&Vec<u8>>) {
        if self.is_due(place) {
            if let Some(value) = value {
                write_entry(&self.flow, place, value);
            }
            self.ahead.insert(place.clone());
        }
    }
}

fn write_entry(flow: &FlowHandle, (db, key): &Place, value: &[u8]) {
    flow.write_snapshot(|writer| {
        writer.select(u32::from(*db));
        Encoder::new(Profile::Flow).string(
            writer.buffer(),
            Head::Entry(&EntryMeta::new(key)),
            value,
        );
    });
}

impl PrimaryDataSet for MapSet {
    type Shard = MapShard;

    fn shard_count(&self) -> usize {
        self.state().shards.len()
    }

    fn lineage(&self) -> Lineage {
        self.state().lineage.borrow().clone()
    }

    fn readiness(&self) -> Result<(), String> {
        if self.state().loading.get() {
            Err("LOADING the data set is loading".into())
        } else {
            Ok(())
        }
    }

    fn shard(&self, index: usize) -> MapShard {
        MapShard(self.state().shards[index].clone())
    }

    fn run_on_shard(&self, _: usize, job: ThreadJob) {
        tokio::task::spawn_local(job());
    }

    async fn on_every_shard(&self, action: ShardAction<MapShard>) -> Result<(), DataError> {
        for (index, shard) in self.state().shards.iter().enumerate() {
            action(index, &MapShard(shard.clone()));
        }
        Ok(())
    }
}

pub struct MapShard(Rc<Shard>);

impl PrimaryShard for MapShard {
    type Snapshot = MapSnapshot;

    fn with_journal<R>(&self, use_it: impl FnOnce(&mut Journal) -> R) -> R {
        use_it(&mut self.0.journal.borrow_mut())
    }

    fn flows(&self) -> &FlowTable<MapSnapshot> {
        &self.0.flows
    }

    fn begin_snapshot(&self, flow: FlowHandle) -> MapSnapshot {
        let id = self.0.next_walk.replace(self.0.next_walk.get() + 1);
        self.0.walks.borrow_mut().push(Walk {
            id,
            flow,
            passed: None,
            ahead: BTreeSet::new(),
            flushed: false,
        });
        MapSnapshot {
            shard: self.0.clone(),
            id,
        }
    }
}

pub struct MapSnapshot {
    shard: Rc<Shard>,
    id: u64,
}

impl std::fmt::Debug for MapSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MapSnapshot({})", self.id)
    }
}

impl ShardSnapshot for MapSnapshot {
    async fn step(&mut self) -> Result<bool, DataError> {
        const STEP_ENTRIES: usize = 16;
        let map = self.shard.map.borrow();
        let mut walks = self.shard.walks.borrow_mut();
        let walk = walks
            .iter_mut()
            .find(|walk| walk.id == self.id)
            .expect("removed only with the snapshot");
        let from = walk
            .passed
            .clone()
            .map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let mut left = STEP_ENTRIES;
        for (place, value) in map.range((from, std::ops::Bound::Unbounded)) {
            if left == 0 || walk.flushed {
                break;
            }
            left -= 1;
            if walk.is_due(place) {
                write_entry(&walk.flow, place, value);
            }
            walk.passed = Some(place.clone());
        }
        Ok(left > 0)
    }
}

impl Drop for MapSnapshot {
    fn drop(&mut self) {
        self.shard
            .walks
            .borrow_mut()
            .retain(|walk| walk.id != self.id);
    }
}

impl ReplicaDataSet for MapSet {
    type Flow = MapFlow;

    fn replid(&self) -> ReplId {
        self.lineage().replid()
    }

    async fn become_replica(&self, _: &str) -> Option<Resume> {
        let state = self.state();
        let kept = state
            .shards
            .iter()
            .all(|shard| shard.journal.borrow().keeps_backlog());
        if kept {
            self.lineage().resume(self.next_lsns())
        } else {
            None
        }
    }

    async fn become_primary(&self) {
        let state = self.state();
        let change = state
            .lineage
            .borrow_mut()
            .promoted(state.random.replid(), &self.next_lsns());
        self.change(change, None);
        state.loading.set(false);
    }

    fn run_on_flow(&self, _: usize, _: usize, job: ThreadJob) {
        tokio::task::spawn_local(job());
    }

    fn open_flow(&self, flow: usize, upstream: &Upstream) -> MapFlow {
        MapFlow {
            set: self.clone(),
            flow,
            relay: self.relays(upstream),
            entry: None,
        }
    }

    async fn begin_full_sync(&self, _: &Upstream) -> Result<(), DataError> {
        let state = self.state();
        state.loading.set(true);
        state.full_syncs.set(state.full_syncs.get() + 1);
        state.shards.iter().for_each(|shard| shard.flush());
        let change = state
            .lineage
            .borrow_mut()
            .full_sync_begun(state.random.replid());
        self.change(change, None);
        Ok(())
    }

    async fn enter_stable(
        &self,
        upstream: &Upstream,
        full: bool,
        lsns: &[Lsn],
    ) -> Result<(), DataError> {
        let state = self.state();
        let relay = self.relays(upstream);
        let change = state
            .lineage
            .borrow_mut()
            .stable_entered(upstream.history, relay, lsns);
        self.change(
            change,
            Some(lsns).filter(|_| relay && (full || self.next_lsns() != lsns)),
        );
        state
            .shards
            .iter()
            .for_each(|shard| shard.journal.borrow_mut().keep_backlog(true));
        state.loading.set(false);
        Ok(())
    }

    async fn apply_transaction(
        &self,
        parts: Vec<(usize, TransactionPart)>,
    ) -> Result<(), DataError> {
        let relay = self.lineage().is_relay();
        self.state().apply(&parts, relay, false)
    }

    async fn apply_global(&self, parts: Vec<(usize, TransactionPart)>) -> Result<(), DataError> {
        let relay = self.lineage().is_relay();
        self.state().apply(&parts, relay, true)
    }

    async fn link_ended(&self, _: Option<&LsnVector>) {}
}

impl MapSet {
    fn relays(&self, upstream: &Upstream) -> bool {
        upstream.flows == self.shard_count()
    }
}

pub struct MapFlow {
    set: MapSet,
    flow: usize,
    relay: bool,
    entry: Option<(Place, Vec<u8>)>,
}

impl ReplicaFlowSink for MapFlow {
    fn load(&mut self, event: &Event<'_>) -> Result<(), DataError> {
        match event {
            Event::Key(meta) => {
                self.entry = Some(((meta.db as u16, meta.key.to_vec()), Vec::new()))
            }
            Event::Part {
                part: Part::Str(bytes),
                ..
            } => {
                if let Some((_, value)) = &mut self.entry {
                    value.extend_from_slice(bytes);
                }
            }
            Event::Part { .. } => return Err(DataError::terminal("only strings are kept here")),
            Event::KeyEnd { .. } => {
                if let Some(((db, key), value)) = self.entry.take() {
                    let state = self.set.state();
                    state.shards[state.place(&key)].put(db, &key, Some(&value));
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), DataError> {
        Ok(())
    }

    async fn apply(&mut self, part: &TransactionPart) -> Result<(), DataError> {
        // In a full sync nothing is recorded: the links of replicas were ended, and none begins.
        let relay = self.relay || part.first_lsn().is_none();
        self.set
            .state()
            .apply(&[(self.flow, part.clone())], relay, false)
    }
}
