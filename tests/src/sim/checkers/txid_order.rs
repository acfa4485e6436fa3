//! On every shard, records of transactions over several shards stand in ascending txid order (PROTOCOL 4).

use std::collections::BTreeMap;

use damselfly_journal::Run;
use damselfly_replication::ReplId;

use super::Verdict;

/// The last such transaction of every sequence.
#[derive(Default)]
pub struct TxidOrder {
    last: BTreeMap<(ReplId, usize), u64>,
}

impl TxidOrder {
    pub fn on_run(&mut self, replid: ReplId, shard: usize, run: &Run) -> Verdict {
        if run.shards() < 2 {
            return Ok(());
        }
        let last = self.last.insert((replid, shard), run.txid()).unwrap_or(0);
        if run.txid() > last {
            return Ok(());
        }
        let (txid, lsn) = (run.txid(), run.first_lsn());
        Err(format!(
            "shard {shard} journals transaction {txid} at LSN {lsn} behind transaction {last}"
        ))
    }
}
