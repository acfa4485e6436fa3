//! A service that is no Redis replicates its own map, through the `damselfly-replication` crate alone.
//!
//! Two directories of names and numbers run in this one thread, each behind a TCP port of its own. The second follows
//! the first while that is being written to; then it becomes the primary, and the first follows it. The program ends by
//! itself, and fails if the two differ.
//!
//! Run it with `cargo run -p damselfly-examples --bin replicated_map`.
//!
//! What a service has to bring, apart from its data:
//! * a [`Journal`], to which every change is appended as a command of its own making (here `PUT name number`);
//! * a snapshot that can be interrupted by writers: what they are about to change is sent first ([`Walk::send_first`]);
//! * somewhere to put what comes from a primary ([`ReplicaFlowSink`]).

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
    rc::Rc,
    time::Duration,
};

use damselfly_journal::{Journal, JournalOptions, Lsn, RunBuilder};
use damselfly_replication::{
    DataError, Effect, Lineage, LineageChange, LsnVector, OnThread, PrimaryConfig, PrimaryDataSet,
    PrimaryShard, ReplId, ReplicaConfig, ReplicaDataSet, ReplicaFlowSink, Resume, ShardAction,
    ShardSnapshot, ThreadJob, TransactionPart, Upstream,
    driver::{LinkOptions, PrimaryHub, Random, ReplicaOfHandle, TcpConnect, serve_connection},
    primary::{FlowHandle, FlowTable},
    replica::LinkPhase,
};
use damselfly_snapshot::{Encoder, EntryMeta, Event, Head, Part, Profile};
use tokio::{net::TcpListener, task::LocalSet};

type Name = Vec<u8>;
type Number = Vec<u8>;

/// The service: its data, and what replication needs beside it.
struct Directory {
    entries: RefCell<BTreeMap<Name, Number>>,
    journal: RefCell<Journal>,
    flows: FlowTable<DirectorySnapshot>,
    walks: RefCell<Vec<Walk>>,
    walks_begun: Cell<u64>,
    lineage: RefCell<Lineage>,
    loading: Cell<bool>,
    hub: RefCell<Option<PrimaryHub<Handle>>>,
    room: Rc<tokio::sync::Notify>,
}

/// A handle of a directory, as the replication crate wants it.
#[derive(Clone)]
struct Handle(OnThread<Directory>);

impl Handle {
    fn new() -> Handle {
        let room = Rc::new(tokio::sync::Notify::new());
        let flows = FlowTable::new();
        let signal = room.clone();
        flows.set_hook(move |_| signal.notify_waiters());
        let directory = Directory {
            entries: RefCell::default(),
            journal: RefCell::new(Journal::new(JournalOptions::default())),
            flows,
            walks: RefCell::default(),
            walks_begun: Cell::new(0),
            lineage: RefCell::new(Lineage::new(Random::default().replid())),
            loading: Cell::new(false),
            hub: RefCell::new(None),
            room,
        };
        let handle = Handle(OnThread::new(directory));
        let hub = PrimaryHub::new(handle.clone(), PrimaryConfig::default(), Random::default());
        handle.0.get().hub.replace(Some(hub));
        handle
    }

    /// A user's write: waits for slow replicas, then changes and records in one step.
    async fn put(&self, name: &str, number: &str) {
        let directory = self.0.get();
        while directory.flows.is_over_budget() {
            let _ =
                tokio::time::timeout(Duration::from_millis(10), directory.room.notified()).await;
        }
        directory.change(name.as_bytes(), number.as_bytes());
        let mut journal = directory.journal.borrow_mut();
        if journal.is_active() {
            journal.append(
                RunBuilder::new(0, 1).command(0, &[b"PUT", name.as_bytes(), number.as_bytes()]),
                0,
            );
        } else {
            // Nobody needs the record, but its number is used up, so that no replica mistakes an old one for it.
            journal.skip(1);
        }
    }

    fn entries(&self) -> BTreeMap<Name, Number> {
        self.0.get().entries.borrow().clone()
    }

    /// Carries out what a change of lineage asks for; `at` is where a relayed journal begins.
    fn follow_lineage(&self, change: LineageChange, at: Option<Lsn>) {
        let directory = self.0.get();
        if let (true, Some(hub)) = (change.end_replicas, directory.hub.borrow().as_ref()) {
            hub.end_all("the directory has another history now");
        }
        if let Some(lsn) = at.or(change.restart_journal.then_some(Lsn::FIRST)) {
            directory.journal.borrow_mut().start_at(lsn);
        }
    }
}

impl Directory {
    fn change(&self, name: &[u8], number: &[u8]) {
        let mut entries = self.entries.borrow_mut();
        for walk in self.walks.borrow_mut().iter_mut() {
            walk.send_first(name, entries.get(name));
        }
        entries.insert(name.to_vec(), number.to_vec());
    }

    /// Executes a part of a primary's stream, and passes it on to one's own replicas as it came.
    fn apply(&self, part: &TransactionPart) -> Result<(), DataError> {
        for effect in part.effects() {
            match effect {
                Effect::Command { args, .. } => match args.as_slice() {
                    [b"PUT", name, number] => self.change(name, number),
                    _ => {
                        return Err(DataError::terminal(
                            "the primary records something that this directory does not know",
                        ));
                    }
                },
                Effect::Ping => {}
            }
        }
        if let Some(first) = part.first_lsn() {
            let mut run = RunBuilder::new(0, 1);
            part.write_to(&mut run);
            let relayed = self.journal.borrow_mut().append_relayed(&mut run, first, 0);
            relayed.map_err(|error| DataError::retriable(error.to_string()))?;
        }
        Ok(())
    }
}

/// How far a snapshot is: in the order of the names.
struct Walk {
    id: u64,
    flow: FlowHandle,
    passed: Option<Name>,
    sent_ahead: BTreeSet<Name>,
}

impl Walk {
    fn is_due(&self, name: &[u8]) -> bool {
        self.passed
            .as_ref()
            .is_none_or(|passed| name > passed.as_slice())
            && !self.sent_ahead.contains(name)
    }

    /// The entry is about to change: what stood there at the cut goes first.
    fn send_first(&mut self, name: &[u8], number: Option<&Number>) {
        if self.is_due(name) {
            if let Some(number) = number {
                write_entry(&self.flow, name, number);
            }
            self.sent_ahead.insert(name.to_vec());
        }
    }
}

fn write_entry(flow: &FlowHandle, name: &[u8], number: &[u8]) {
    flow.write_snapshot(|writer| {
        writer.select(0);
        Encoder::new(Profile::Flow).string(
            writer.buffer(),
            Head::Entry(&EntryMeta::new(name)),
            number,
        );
    });
}

// What a primary provides.

impl PrimaryDataSet for Handle {
    type Shard = DirectoryShard;

    fn shard_count(&self) -> usize {
        1
    }

    fn lineage(&self) -> Lineage {
        self.0.get().lineage.borrow().clone()
    }

    fn readiness(&self) -> Result<(), String> {
        if self.0.get().loading.get() {
            Err("LOADING the directory is loading".to_owned())
        } else {
            Ok(())
        }
    }

    fn shard(&self, _: usize) -> DirectoryShard {
        DirectoryShard(self.0.get())
    }

    fn run_on_shard(&self, _: usize, job: ThreadJob) {
        tokio::task::spawn_local(job());
    }

    async fn on_every_shard(&self, action: ShardAction<DirectoryShard>) -> Result<(), DataError> {
        action(0, &DirectoryShard(self.0.get()));
        Ok(())
    }
}

struct DirectoryShard(Rc<Directory>);

impl PrimaryShard for DirectoryShard {
    type Snapshot = DirectorySnapshot;

    fn with_journal<R>(&self, use_it: impl FnOnce(&mut Journal) -> R) -> R {
        use_it(&mut self.0.journal.borrow_mut())
    }

    fn flows(&self) -> &FlowTable<DirectorySnapshot> {
        &self.0.flows
    }

    fn begin_snapshot(&self, flow: FlowHandle) -> DirectorySnapshot {
        let id = self.0.walks_begun.replace(self.0.walks_begun.get() + 1);
        self.0.walks.borrow_mut().push(Walk {
            id,
            flow,
            passed: None,
            sent_ahead: BTreeSet::new(),
        });
        DirectorySnapshot {
            directory: self.0.clone(),
            id,
        }
    }
}

struct DirectorySnapshot {
    directory: Rc<Directory>,
    id: u64,
}

impl ShardSnapshot for DirectorySnapshot {
    async fn step(&mut self) -> Result<bool, DataError> {
        const STEP_ENTRIES: usize = 64;
        let entries = self.directory.entries.borrow();
        let mut walks = self.directory.walks.borrow_mut();
        let walk = walks
            .iter_mut()
            .find(|walk| walk.id == self.id)
            .expect("it ends with its snapshot");
        let from = walk.passed.take().map_or(Unbounded, Excluded);
        let mut slice = entries.range((from.clone(), Unbounded));
        walk.passed = match from {
            Excluded(name) => Some(name),
            _ => None,
        };
        for (name, number) in slice.by_ref().take(STEP_ENTRIES) {
            if walk.is_due(name) {
                write_entry(&walk.flow, name, number);
            }
            walk.passed = Some(name.clone());
        }
        Ok(slice.next().is_none())
    }
}

impl Drop for DirectorySnapshot {
    fn drop(&mut self) {
        self.directory
            .walks
            .borrow_mut()
            .retain(|walk| walk.id != self.id);
    }
}

// What a replica accepts.

impl ReplicaDataSet for Handle {
    type Flow = DirectoryFlow;

    fn replid(&self) -> ReplId {
        self.lineage().replid()
    }

    async fn become_replica(&self, _: &str) -> Option<Resume> {
        let directory = self.0.get();
        let journal = directory.journal.borrow();
        // Only a journal that was kept has every change.
        if journal.keeps_backlog() {
            self.lineage().resume(vec![journal.next_lsn()])
        } else {
            None
        }
    }

    async fn become_primary(&self) {
        let directory = self.0.get();
        let next = directory.journal.borrow().next_lsn();
        let change = directory
            .lineage
            .borrow_mut()
            .promoted(Random::default().replid(), &[next]);
        self.follow_lineage(change, None);
        directory.loading.set(false);
    }

    fn run_on_flow(&self, _: usize, _: usize, job: ThreadJob) {
        tokio::task::spawn_local(job());
    }

    fn open_flow(&self, _: usize, _: &Upstream) -> DirectoryFlow {
        DirectoryFlow {
            directory: self.0.get(),
            entry: None,
        }
    }

    async fn begin_full_sync(&self, upstream: &Upstream) -> Result<(), DataError> {
        if upstream.flows != 1 {
            return Err(DataError::terminal("the primary is no directory"));
        }
        let directory = self.0.get();
        directory.loading.set(true);
        directory.entries.borrow_mut().clear();
        let change = directory
            .lineage
            .borrow_mut()
            .full_sync_begun(Random::default().replid());
        self.follow_lineage(change, None);
        Ok(())
    }

    async fn enter_stable(
        &self,
        upstream: &Upstream,
        full: bool,
        lsns: &[Lsn],
    ) -> Result<(), DataError> {
        let directory = self.0.get();
        let change = directory
            .lineage
            .borrow_mut()
            .stable_entered(upstream.history, true, lsns);
        self.follow_lineage(change, full.then_some(lsns[0]));
        directory.journal.borrow_mut().keep_backlog(true);
        directory.loading.set(false);
        Ok(())
    }

    async fn apply_transaction(
        &self,
        parts: Vec<(usize, TransactionPart)>,
    ) -> Result<(), DataError> {
        parts
            .iter()
            .try_for_each(|(_, part)| self.0.get().apply(part))
    }

    async fn apply_global(&self, parts: Vec<(usize, TransactionPart)>) -> Result<(), DataError> {
        self.apply_transaction(parts).await
    }

    async fn link_ended(&self, _: Option<&LsnVector>) {}
}

struct DirectoryFlow {
    directory: Rc<Directory>,
    entry: Option<(Name, Number)>,
}

impl ReplicaFlowSink for DirectoryFlow {
    fn load(&mut self, event: &Event<'_>) -> Result<(), DataError> {
        match event {
            Event::Key(meta) => self.entry = Some((meta.key.to_vec(), Number::new())),
            Event::Part {
                part: Part::Str(bytes),
                ..
            } => {
                if let Some((_, number)) = &mut self.entry {
                    number.extend_from_slice(bytes);
                }
            }
            Event::KeyEnd { .. } => {
                if let Some((name, number)) = self.entry.take() {
                    self.directory.change(&name, &number);
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
        self.directory.apply(part)
    }
}

/// A directory behind a port: others may follow it, and it may follow others.
struct Service {
    handle: Handle,
    role: ReplicaOfHandle,
    port: u16,
}

impl Service {
    async fn start() -> std::io::Result<Service> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let handle = Handle::new();
        let config = ReplicaConfig {
            announce_port: port,
            client_id: format!("directory {port}"),
            ..ReplicaConfig::default()
        };
        let options = LinkOptions {
            config,
            connect: TcpConnect,
            random: Random::default(),
        };
        let role = ReplicaOfHandle::start(handle.clone(), options);
        let hub = handle
            .0
            .get()
            .hub
            .borrow()
            .clone()
            .expect("set when it was made");
        tokio::task::spawn_local(async move {
            while let Ok((stream, from)) = listener.accept().await {
                let (hub, ip) = (hub.clone(), from.ip().to_string());
                tokio::task::spawn_local(async move {
                    if let Err(error) = serve_connection(hub, stream, &ip, None).await {
                        eprintln!("a connection ended: {error}");
                    }
                });
            }
        });
        Ok(Service { handle, role, port })
    }

    async fn wait_until_equal(&self, primary: &Service) {
        let stable = || {
            self.role
                .status()
                .1
                .is_some_and(|link| link.phase == LinkPhase::StableSync)
        };
        let wait = async {
            while !stable() || self.handle.entries() != primary.handle.entries() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait)
            .await
            .expect("equal within 30 s");
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (first, second) = (Service::start().await?, Service::start().await?);
    for n in 0..20_000 {
        first
            .handle
            .put(&format!("name {n}"), &format!("{}", n * 7919))
            .await;
    }
    println!("the first has {} entries", first.handle.entries().len());

    second.role.follow("127.0.0.1", first.port).await?;
    for n in 15_000..25_000 {
        first.handle.put(&format!("name {n}"), "moved").await;
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    second.wait_until_equal(&first).await;
    let status = second.role.status().1.expect("it follows");
    println!(
        "the second followed while it was written to: {} entries, {} full sync",
        second.handle.entries().len(),
        status.stats.full_syncs
    );

    second.role.follow_no_one().await?;
    second.handle.put("name 1", "of the new primary").await;
    first.role.follow("127.0.0.1", second.port).await?;
    first.wait_until_equal(&second).await;
    let status = first.role.status().1.expect("it follows");
    println!(
        "roles are changed: {} partial sync, {} full syncs",
        status.stats.psync_successes, status.stats.full_syncs
    );
    assert_eq!(
        status.stats.psync_successes, 1,
        "the first had nothing that the second did not have"
    );
    assert_eq!(
        first
            .handle
            .entries()
            .get(b"name 1".as_slice())
            .map(Vec::as_slice),
        Some(&b"of the new primary"[..])
    );
    println!("equal: {} entries", first.handle.entries().len());
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, run())
}
