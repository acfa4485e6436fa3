//! The next LSN of a shard never goes back while the sequence is the same.

use std::collections::BTreeMap;

use damselfly_journal::Lsn;
use damselfly_replication::ReplId;

use super::Verdict;

/// The last LSN seen of every shard.
#[derive(Default)]
pub struct LsnMonotonic {
    last: BTreeMap<(usize, usize), (ReplId, Lsn)>,
}

impl LsnMonotonic {
    /// The server has lost its memory.
    pub fn forget(&mut self, node: usize) {
        self.last.retain(|(other, _), _| *other != node);
    }

    pub fn check(&mut self, node: usize, shard: usize, replid: ReplId, next: Lsn) -> Verdict {
        match self.last.insert((node, shard), (replid, next)) {
            Some((same, last)) if same == replid && next < last => Err(format!(
                "shard {shard} went back from LSN {last} to {next} in the sequence {replid}"
            )),
            _ => Ok(()),
        }
    }
}
