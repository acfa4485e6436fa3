//! WAIT: until enough replicas have executed what this connection wrote.

use super::acks;
use crate::command::CommandError;
use crate::session::{AsyncResult, Session};
use crate::thread::join;
use damselfly_journal::Lsn;
use damselfly_resp::{ReplyWriter, parse_i64};
use std::time::Duration;

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
        let mut targets = self.last_writes(now);
        if targets.is_empty() {
            // Every replica in stable sync has reached that; its first ack tells that it is there.
            targets.push((0, Lsn(0)));
        }
        let deadline = async {
            match timeout_ms {
                0 => std::future::pending().await,
                ms => tokio::time::sleep(Duration::from_millis(ms)).await,
            }
        };
        tokio::select! {
            biased;
            found = acks::wait_until(&self.thread, &targets, |found| found.len() >= wanted) => found.len(),
            () = deadline => acks::reached(&self.thread, &targets).await.len(),
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
}
