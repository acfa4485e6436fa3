//! The data set of a simulated server: the engine's own, with the checkers looking on, and the bugs of [`Fault`] put in.

use std::future::Future;
use std::sync::Arc;

use damselfly_engine::replicate::{EngineDataSet, EngineFlow, EngineShard};
use damselfly_journal::Lsn;
use damselfly_replication::{
    DataError, Effect, Lineage, LsnVector, PrimaryDataSet, ReplId, ReplicaDataSet, ReplicaFlowSink,
    Resume, ShardAction, ThreadJob, TransactionPart, Upstream, is_global_command,
};
use damselfly_snapshot::Event;

use super::fault::Fault;
use super::world::{note, pause, world};

/// A handle of one server's data.
#[derive(Clone)]
pub struct SimData {
    /// The real one.
    pub engine: EngineDataSet,
    /// Whose it is.
    pub node: usize,
}

fn is(fault: Fault) -> bool {
    world().fault == Some(fault)
}

/// Whether a bug that shows only now and then shows now.
fn strikes(fault: Fault) -> bool {
    is(fault) && world().draw(|rng| rng.percent(2))
}

impl PrimaryDataSet for SimData {
    type Shard = EngineShard;

    fn shard_count(&self) -> usize {
        self.engine.shard_count()
    }

    fn lineage(&self) -> Lineage {
        let lineage = PrimaryDataSet::lineage(&self.engine);
        let before = world().node(self.node).lineage_before_promotion();
        match before {
            Some(before) if is(Fault::GenerousFork) && before.replid() == lineage.replid() => {
                before
            }
            _ => lineage,
        }
    }

    fn readiness(&self) -> Result<(), String> {
        self.engine.readiness()
    }

    fn shard(&self, index: usize) -> EngineShard {
        self.engine.shard(index)
    }

    fn run_on_shard(&self, index: usize, job: ThreadJob) {
        self.engine.run_on_shard(index, job);
    }

    async fn on_every_shard(&self, action: ShardAction<EngineShard>) -> Result<(), DataError> {
        if is(Fault::SpreadCut) {
            return self.one_by_one(action).await;
        }
        self.engine.on_every_shard(action).await
    }
}

impl SimData {
    /// [`Fault::SpreadCut`]
    async fn one_by_one(&self, action: ShardAction<EngineShard>) -> Result<(), DataError> {
        for index in 0..self.shard_count() {
            let (data, action) = (self.engine.clone(), action.clone());
            let (done, is_done) = tokio::sync::oneshot::channel();
            let job = move || {
                Box::pin(async move {
                    action(index, &data.shard(index));
                    let _ = done.send(());
                }) as std::pin::Pin<Box<dyn Future<Output = ()>>>
            };
            self.engine.run_on_shard(index, Box::new(job));
            let _ = is_done.await;
            pause(3).await;
        }
        Ok(())
    }

    fn starts(&self, parts: &[(usize, TransactionPart)]) {
        let world = world();
        let mut watch = world.watch.borrow_mut();
        parts
            .iter()
            .for_each(|(flow, part)| watch.on_apply(self.node, *flow, part));
    }

    fn ends(&self, parts: &[(usize, TransactionPart)]) {
        let world = world();
        let mut watch = world.watch.borrow_mut();
        parts
            .iter()
            .for_each(|(flow, part)| watch.on_applied(self.node, *flow, part));
    }

    /// [`Fault::TornTransaction`]
    async fn part_by_part(&self, parts: Vec<(usize, TransactionPart)>) -> Result<(), DataError> {
        for part in parts {
            self.engine.apply_transaction(vec![part]).await?;
            pause(5).await;
        }
        Ok(())
    }
}

impl ReplicaDataSet for SimData {
    type Flow = SimFlow;

    fn replid(&self) -> ReplId {
        self.engine.replid()
    }

    async fn become_replica(&self, address: &str) -> Option<Resume> {
        world().watch.borrow_mut().on_told(self.node);
        let resume = self.engine.become_replica(address).await;
        note!(
            "node{} follows {address}, may offer {:?}",
            self.node,
            resume.as_ref().map(|resume| &resume.lsns)
        );
        resume
    }

    async fn become_primary(&self) {
        let before = PrimaryDataSet::lineage(&self.engine);
        world().watch.borrow_mut().on_promotion(self.node, &before);
        world().node(self.node).remember_lineage(before);
        self.engine.become_primary().await;
        note!("node{} leads as {}", self.node, short(self.replid()));
        world()
            .watch
            .borrow_mut()
            .on_promoted(self.node, self.replid());
    }

    fn run_on_flow(&self, flow: usize, flows: usize, job: ThreadJob) {
        self.engine.run_on_flow(flow, flows, job);
    }

    fn open_flow(&self, flow: usize, upstream: &Upstream) -> SimFlow {
        SimFlow {
            inner: self.engine.open_flow(flow, upstream),
            node: self.node,
            flow,
        }
    }

    async fn begin_full_sync(&self, upstream: &Upstream) -> Result<(), DataError> {
        note!(
            "node{} begins a full sync from {}",
            self.node,
            short(upstream.replid)
        );
        let world = world();
        world.watch.borrow_mut().on_discard(self.node, upstream);
        world.watch.borrow_mut().on_full_sync(self.node);
        self.engine.begin_full_sync(upstream).await
    }

    async fn enter_stable(
        &self,
        upstream: &Upstream,
        full: bool,
        lsns: &[Lsn],
    ) -> Result<(), DataError> {
        let kind = if full { "full" } else { "partial" };
        world().count(if full { "full syncs" } else { "partial syncs" });
        note!(
            "node{} enters stable sync ({kind}) with {} at {lsns:?}",
            self.node,
            short(upstream.replid)
        );
        world()
            .watch
            .borrow_mut()
            .on_enter_stable(self.node, upstream, full, lsns);
        let result = self.engine.enter_stable(upstream, full, lsns).await;
        let own = self.replid();
        world()
            .watch
            .borrow_mut()
            .on_stable(self.node, own, upstream, full);
        world().watch.borrow_mut().keep_data_of(self.node, upstream);
        result
    }

    async fn apply_transaction(
        &self,
        parts: Vec<(usize, TransactionPart)>,
    ) -> Result<(), DataError> {
        self.starts(&parts);
        let kept = parts.clone();
        match is(Fault::TornTransaction) {
            true => self.part_by_part(parts).await?,
            false => self.engine.apply_transaction(parts).await?,
        }
        self.ends(&kept);
        Ok(())
    }

    async fn apply_global(&self, parts: Vec<(usize, TransactionPart)>) -> Result<(), DataError> {
        if let Some((_, part)) = parts.first()
            && let Some(Effect::Command { args, .. }) = part.effects().next()
        {
            note!("node{} executes {}", self.node, args[0].escape_ascii());
        }
        self.starts(&parts);
        let kept = parts.clone();
        self.engine.apply_global(parts).await?;
        self.ends(&kept);
        Ok(())
    }

    async fn link_ended(&self, vector: Option<&LsnVector>) {
        note!("node{}: the link ended at {vector:?}", self.node);
        world().watch.borrow_mut().on_link_ended(self.node, vector);
        let at = vector.map(Vec::as_slice);
        world().watch.borrow_mut().keep_what_is_left(self.node, at);
        self.engine.link_ended(vector).await;
    }
}

/// Takes what comes over one flow.
pub struct SimFlow {
    inner: EngineFlow,
    node: usize,
    flow: usize,
}

impl ReplicaFlowSink for SimFlow {
    fn load(&mut self, event: &Event<'_>) -> Result<(), DataError> {
        if let Event::Key(meta) = event {
            let (node, flow) = (self.node, self.flow);
            world().note_key(
                format_args!("node{node} {flow} loads"),
                meta.db as u16,
                [meta.key].into_iter(),
            );
        }
        self.inner.load(event)
    }

    async fn settle(&mut self) -> Result<(), DataError> {
        self.inner.settle().await
    }

    async fn apply(&mut self, part: &TransactionPart) -> Result<(), DataError> {
        if strikes(Fault::SkipRecord) {
            return Ok(());
        }
        self.observed(part).await?;
        if strikes(Fault::ApplyTwice) && !has_global(part) {
            self.observed(part).await?;
        }
        Ok(())
    }
}

impl SimFlow {
    async fn observed(&mut self, part: &TransactionPart) -> Result<(), DataError> {
        world()
            .watch
            .borrow_mut()
            .on_apply(self.node, self.flow, part);
        self.inner.apply(part).await?;
        world()
            .watch
            .borrow_mut()
            .on_applied(self.node, self.flow, part);
        Ok(())
    }
}

fn has_global(part: &TransactionPart) -> bool {
    part.effects()
        .any(|effect| matches!(&effect, Effect::Command { args, .. } if is_global_command(args)))
}

/// The beginning of an id, for people.
pub fn short(id: ReplId) -> String {
    id.as_str()[..6].to_owned()
}

/// The handle of an engine's data.
pub fn of_engine(engine: &Arc<damselfly_engine::Engine>, node: usize) -> SimData {
    SimData {
        engine: EngineDataSet(engine.clone()),
        node,
    }
}
