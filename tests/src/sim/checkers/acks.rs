//! An ack never tells of what was not executed.

use damselfly_replication::ReplId;

use super::{Followed, Verdict};

pub fn check(
    followed: Option<&Followed>,
    upstream: Option<ReplId>,
    flow: usize,
    acked: u64,
) -> Verdict {
    let Some(followed) = followed.filter(|followed| Some(followed.upstream) == upstream) else {
        return Ok(());
    };
    let executed = followed.held.get(flow).map_or(0, |log| log.next());
    if acked <= executed {
        return Ok(());
    }
    Err(format!(
        "flow {flow}: LSN {acked} is acked, executed was up to {executed}"
    ))
}
