//! A partial sync is granted only where the replica's contents are a prefix of the primary's history.

use damselfly_journal::Lsn;

use super::Verdict;
use crate::sim::history::Log;

pub fn check(flow: usize, mine: &Log, theirs: &Log, at: Lsn) -> Verdict {
    if mine.next() != at.0 {
        return Err(format!(
            "flow {flow}: partial sync goes on at LSN {at}, {} is the next one here",
            mine.next()
        ));
    }
    match mine.differs_before(theirs, at.0) {
        None => Ok(()),
        Some(lsn) => Err(format!(
            "flow {flow}: partial sync at LSN {at}, but the record at {lsn} is not the primary's"
        )),
    }
}
