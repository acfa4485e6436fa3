//! Nothing is applied twice, nothing is skipped: on every flow records are executed at the LSN after the last, and each is the one
//! that the primary's journal has there.

use damselfly_replication::TransactionPart;

use super::{Followed, Verdict};
use crate::sim::history::{self, History};

pub fn check(
    followed: Option<&Followed>,
    history: &History,
    flow: usize,
    part: &TransactionPart,
) -> Verdict {
    // Records of a full sync are not counted.
    let Some(first) = part.first_lsn() else {
        return Ok(());
    };
    let Some(followed) = followed else {
        return Err(format!("flow {flow}: a record before stable sync"));
    };
    let expected = followed.held[flow].next();
    if first.0 < expected {
        return Err(format!(
            "flow {flow}: LSN {first} is applied twice, {expected} is the next"
        ));
    }
    if first.0 > expected {
        return Err(format!(
            "flow {flow}: LSN {expected} to {first} are skipped"
        ));
    }
    let Some(written) = history.log(followed.upstream, flow) else {
        return Ok(());
    };
    for (lsn, record) in (first.0..).zip(history::of_part(part)) {
        match written.get(lsn) {
            Some(there) if history::same(there, record) => {}
            Some(_) => {
                return Err(format!(
                    "flow {flow}: the record applied at LSN {lsn} is another one than the primary's"
                ));
            }
            None => {
                return Err(format!(
                    "flow {flow}: the record applied at LSN {lsn} was never written"
                ));
            }
        }
    }
    Ok(())
}
