//! What a link offers next is what was executed, on all flows: a resume never falls on one side of a rendezvous.

use damselfly_replication::LsnVector;

use super::{Followed, Verdict};

pub fn check(followed: Option<&Followed>, vector: Option<&LsnVector>) -> Verdict {
    let (Some(followed), Some(vector)) = (followed, vector) else {
        return Ok(());
    };
    let executed: Vec<u64> = followed.held.iter().map(|log| log.next()).collect();
    let told: Vec<u64> = vector.iter().map(|lsn| lsn.0).collect();
    if executed == told {
        return Ok(());
    }
    Err(format!(
        "the link would resume at {told:?}, executed was up to {executed:?}"
    ))
}
