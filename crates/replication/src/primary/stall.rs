//! Tells a flow that is stuck from one whose replica waits for what other flows of the link still have to bring.

/// What a flow is told of each other flow of its link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiblingFlow {
    /// Whether [all of a full sync is out](super::PrimaryFlow::is_tail_sent).
    pub tail_sent: bool,
    /// Bytes that its socket has accepted so far.
    pub accepted: u64,
    /// Bytes that wait for its socket.
    pub unsent: u64,
    /// When its socket accepted bytes last.
    pub accepted_ms: u64,
}

/// How long nothing has been accepted.
///
/// A replica that has to execute a command of all shards at one point reads no further on one flow until it has found the
/// command's parts on the others. They were written to the others before, so a flow on which nothing moves is stuck only when what the
/// others had to send at its first limit is out, or does not move either.
#[derive(Debug, Default)]
pub(super) struct Stall {
    deadline_ms: Option<u64>,
    /// The `accepted` up to which each sibling is waited for; 0: not any more. Empty before the first limit.
    awaited: Vec<u64>,
}

impl Stall {
    /// Bytes wait. Counts from now, if it does not count yet.
    pub(super) fn begin(&mut self, now_ms: u64, limit_ms: u64) {
        self.deadline_ms.get_or_insert(now_ms + limit_ms);
    }

    /// Bytes were accepted; `left` wait.
    pub(super) fn moved(&mut self, now_ms: u64, limit_ms: u64, left: bool) {
        self.deadline_ms = left.then_some(now_ms + limit_ms);
        self.awaited.clear();
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.deadline_ms
    }

    /// Whether nothing will be accepted any more, as far as one can tell.
    pub(super) fn is_stuck(
        &mut self,
        now_ms: u64,
        limit_ms: u64,
        siblings: &[SiblingFlow],
    ) -> bool {
        if self.deadline_ms.is_none_or(|deadline| now_ms < deadline) {
            return false;
        }
        if self.awaited.is_empty() {
            let all = siblings.iter().map(|flow| flow.accepted + flow.unsent);
            self.awaited = all.collect();
        }
        let mut until = None;
        for (flow, awaited) in siblings.iter().zip(&mut self.awaited) {
            if *awaited == 0 {
                continue;
            }
            until = until.max(Some(flow.accepted_ms + limit_ms));
            if flow.accepted >= *awaited {
                *awaited = 0;
            }
        }
        match until.filter(|until| *until > now_ms) {
            None => true,
            later => {
                self.deadline_ms = later;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 30_000;

    fn sibling(accepted: u64, unsent: u64, accepted_ms: u64) -> SiblingFlow {
        SiblingFlow {
            accepted,
            unsent,
            accepted_ms,
            ..SiblingFlow::default()
        }
    }

    fn stalled() -> Stall {
        let mut stall = Stall::default();
        stall.begin(1_000, LIMIT);
        assert!(!stall.is_stuck(30_999, LIMIT, &[]));
        stall
    }

    #[test]
    fn a_link_on_which_nothing_moves_is_stuck_at_the_limit() {
        assert!(stalled().is_stuck(31_000, LIMIT, &[]));
        assert!(stalled().is_stuck(31_000, LIMIT, &[sibling(5, 5, 900)]));
        let mut stall = stalled();
        assert!(!stall.is_stuck(31_000, LIMIT, &[sibling(5, 5, 1_400)]));
        assert_eq!(stall.deadline(), Some(31_400), "it moved a little later");
        assert!(stall.is_stuck(31_400, LIMIT, &[sibling(5, 5, 1_400)]));
    }

    #[test]
    fn siblings_are_waited_for_until_what_they_had_is_out() {
        let mut stall = stalled();
        assert!(!stall.is_stuck(31_000, LIMIT, &[sibling(100, 50, 30_500)]));
        assert!(!stall.is_stuck(60_500, LIMIT, &[sibling(149, 9_000, 60_400)]));
        assert!(!stall.is_stuck(90_400, LIMIT, &[sibling(150, 9_000, 90_300)]));
        assert_eq!(stall.deadline(), Some(120_300), "time to arrive");
        assert!(stall.is_stuck(120_300, LIMIT, &[sibling(9_000, 9_000, 120_299)]));
    }

    #[test]
    fn moving_on_forgets_all_of_it() {
        let mut stall = stalled();
        assert!(!stall.is_stuck(31_000, LIMIT, &[sibling(100, 50, 30_500)]));
        stall.moved(32_000, LIMIT, true);
        assert_eq!(stall.deadline(), Some(62_000));
        assert!(!stall.is_stuck(62_000, LIMIT, &[sibling(500, 50, 61_000)]));
        stall.moved(63_000, LIMIT, false);
        assert!(!stall.is_stuck(999_000, LIMIT, &[]) && stall.deadline().is_none());
    }
}
