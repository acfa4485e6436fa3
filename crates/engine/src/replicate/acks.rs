//! Which replicas have executed what: how WAIT and hand-overs learn of acks.

use crate::thread::{Thread, join};
use damselfly_journal::Lsn;
use damselfly_replication::SyncId;
use std::collections::BTreeMap;
use std::rc::Rc;

/// LSNs to be reached, each with its shard; one for a shard at most.
pub(crate) type Targets = [(usize, Lsn)];

/// The replicas in stable sync that have executed everything below all targets.
pub(super) async fn reached(thread: &Rc<Thread>, targets: &Targets) -> Vec<SyncId> {
    let calls: Vec<_> = targets
        .iter()
        .map(|(shard, _)| thread.call(*shard, |thread, answer| answer.send(thread.flows.acked())))
        .collect();
    let mut shards: BTreeMap<SyncId, usize> = BTreeMap::new();
    for (acked, (_, target)) in join(calls).await.into_iter().zip(targets) {
        for (sync, _) in acked.into_iter().filter(|(_, lsn)| lsn >= target) {
            *shards.entry(sync).or_default() += 1;
        }
    }
    shards.retain(|_, reached| *reached == targets.len());
    shards.into_keys().collect()
}

/// Waits until `enough` of the replicas that have reached the targets, and gives those. Every ack wakes it; nothing else does.
pub(crate) async fn wait_until(
    thread: &Rc<Thread>,
    targets: &Targets,
    enough: impl Fn(&[SyncId]) -> bool,
) -> Vec<SyncId> {
    loop {
        // Registered before looking, so that no ack is missed.
        let acks: Vec<_> = targets
            .iter()
            .map(|(shard, _)| thread.call(*shard, |thread, answer| thread.on_next_ack(answer)))
            .collect();
        let found = reached(thread, targets).await;
        if enough(&found) {
            return found;
        }
        any(acks).await;
    }
}

/// Ready when the first of them is.
async fn any<F: Future<Output = ()> + Unpin>(mut pending: Vec<F>) {
    std::future::poll_fn(|cx| {
        let ready = pending
            .iter_mut()
            .any(|one| std::pin::Pin::new(one).poll(cx).is_ready());
        if ready {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}
