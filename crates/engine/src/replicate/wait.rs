//! WAIT: until enough replicas have executed what this connection wrote.

use crate::command::CommandError;
use crate::session::{AsyncResult, Session};
use crate::thread::join;
use damselfly_journal::Lsn;
use damselfly_replication::SyncId;
use damselfly_replication::driver::ReplicaStatus;
use damselfly_replication::primary::SessionState;
use damselfly_resp::{ReplyWriter, parse_i64};
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two looks while no ack comes: nobody tells when a replica gets to stable sync.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

pub(super) fn wait<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        if session.thread.engine.role() == crate::engine::Role::Replica {
            return Err(CommandError::text(
                "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is \
                 configured to be writable (which is not the default) writes to replicas are just local and are not \
                 propagated.",
            ));
        }
        let wanted = parse_i64(args[1]).ok_or(CommandError::NotInteger)?;
        let timeout = parse_i64(args[2]).ok_or(CommandError::text(
            "ERR timeout is not an integer or out of range",
        ))?;
        let timeout =
            u64::try_from(timeout).map_err(|_| CommandError::text("ERR timeout is negative"))?;
        // What is queued between MULTI and EXEC never blocks.
        let wanted = if session.executing { 0 } else { wanted };
        let count = session
            .wait_for_replicas(wanted.max(0) as usize, timeout)
            .await;
        ReplyWriter::new(out, session.proto).integer(count as i64);
        Ok(())
    })
}

impl Session {
    /// How many replicas have all writes of this connection, when `wanted` have, or the time is up (0: no limit).
    async fn wait_for_replicas(&mut self, wanted: usize, timeout_ms: u64) -> usize {
        let shards: Vec<usize> = (0..self.thread.engine.mesh.shards())
            .filter(|shard| self.has_written(*shard))
            .collect();
        let now = self.ask_for_acks(&shards).await;
        let targets = self.last_writes(now);
        let deadline = async {
            match timeout_ms {
                0 => std::future::pending().await,
                ms => tokio::time::sleep(Duration::from_millis(ms)).await,
            }
        };
        tokio::pin!(deadline);
        loop {
            // Registered before looking, so that no ack is missed.
            let acks: Vec<_> = shards
                .iter()
                .map(|shard| {
                    self.thread
                        .call(*shard, |thread, answer| thread.on_next_ack(answer))
                })
                .collect();
            let count = self.count_reached(&targets).await;
            if count >= wanted {
                return count;
            }
            tokio::select! {
                () = any(acks) => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                () = &mut deadline => return self.count_reached(&targets).await,
            }
        }
    }

    /// The LSNs behind this connection's writes, out of those of now: what came since the last WAIT is not its own.
    fn last_writes(&mut self, mut targets: Vec<(usize, Lsn)>) -> Vec<(usize, Lsn)> {
        for (shard, target) in &mut targets {
            let mut known = self.waited_for.iter().filter(|(known, _)| known == shard);
            // A journal that has begun anew meanwhile is behind what was known.
            *target = known.next().map_or(*target, |(_, lsn)| (*lsn).min(*target));
        }
        self.waited_for.clone_from(&targets);
        targets
    }

    /// The replicas in stable sync that have reached all targets.
    async fn count_reached(&self, targets: &[(usize, Lsn)]) -> usize {
        if !targets.is_empty() {
            return self.count_acked(targets).await;
        }
        let replicas = self.thread.engine.replication().hub.replicas();
        let stable = |replica: &&ReplicaStatus| replica.state == SessionState::StableSync;
        replicas.iter().filter(stable).count()
    }

    /// Writes a PING on each shard, which replicas answer at once. The LSN that they have to reach there.
    async fn ask_for_acks(&self, shards: &[usize]) -> Vec<(usize, Lsn)> {
        let calls: Vec<_> = shards
            .iter()
            .map(|shard| {
                self.thread.call(*shard, |thread, answer| {
                    answer.send(thread.with_core(|core| {
                        let target = core.journal.next_lsn();
                        if core.journal.consumer_count() > 0 {
                            core.journal.ping(core.space.now.unsigned_abs());
                        }
                        target
                    }));
                })
            })
            .collect();
        shards.iter().copied().zip(join(calls).await).collect()
    }

    /// [`Session::count_reached`] for a connection that has written.
    async fn count_acked(&self, targets: &[(usize, Lsn)]) -> usize {
        let calls: Vec<_> = targets
            .iter()
            .map(|(shard, _)| {
                self.thread
                    .call(*shard, |thread, answer| answer.send(thread.flows.acked()))
            })
            .collect();
        let mut reached: BTreeMap<SyncId, usize> = BTreeMap::new();
        for (acked, (_, target)) in join(calls).await.into_iter().zip(targets) {
            for (sync, _) in acked.into_iter().filter(|(_, lsn)| lsn >= target) {
                *reached.entry(sync).or_default() += 1;
            }
        }
        reached
            .values()
            .filter(|shards| **shards == targets.len())
            .count()
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
