//! Which LSN stood where and when: how far behind a replica is in bytes and in time.

use std::collections::VecDeque;

use damselfly_journal::Lsn;

/// Records that come within this time share a mark.
const STEP_MS: u64 = 20;
/// Marks that are kept at most; beyond, every two become one.
const MARKS: usize = 512;

/// Where the stream stood at one time.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// The LSN behind the last record.
    next: Lsn,
    /// Bytes of all records before it.
    bytes: u64,
    /// When the first of its records was seen.
    at_ms: u64,
}

/// What a replica has not acked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Behind {
    /// Bytes of records, to within what comes in 20 ms.
    pub bytes: u64,
    /// When the oldest of them was seen, to within 20 ms; `None` without any.
    pub oldest_ms: Option<u64>,
}

/// The marks between what is acked and what was written.
#[derive(Debug, Default)]
pub(super) struct Trail {
    marks: VecDeque<Mark>,
    taken_bytes: u64,
    acked_bytes: u64,
}

impl Trail {
    /// Counts records of so many bytes.
    pub(super) fn take(&mut self, bytes: usize) {
        self.taken_bytes += bytes as u64;
    }

    /// What was counted so far ends before `next`, and it is `now_ms`.
    pub(super) fn mark(&mut self, next: Lsn, now_ms: u64) {
        let bytes = self.taken_bytes;
        match self.marks.back_mut() {
            Some(last) if last.next == next => {}
            Some(last) if now_ms < last.at_ms + STEP_MS => (last.next, last.bytes) = (next, bytes),
            None if bytes == self.acked_bytes => {}
            _ => self.marks.push_back(Mark {
                next,
                bytes,
                at_ms: now_ms,
            }),
        }
        if self.marks.len() > MARKS {
            self.thin();
        }
    }

    /// Everything before `next` was acked.
    pub(super) fn acked(&mut self, next: Lsn) {
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.next <= next) {
            self.acked_bytes = mark.bytes;
        }
    }

    /// What is left.
    pub(super) fn behind(&self) -> Behind {
        Behind {
            bytes: self.taken_bytes - self.acked_bytes,
            oldest_ms: self.marks.front().map(|mark| mark.at_ms),
        }
    }

    fn thin(&mut self) {
        let pairs = self.marks.make_contiguous().chunks(2);
        self.marks = pairs
            .map(|pair| Mark {
                at_ms: pair[0].at_ms,
                ..pair[pair.len() - 1]
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(trail: &mut Trail, lsn: u64, now_ms: u64) {
        trail.take(10);
        trail.mark(Lsn(lsn + 1), now_ms);
    }

    #[test]
    fn acks_take_marks_away() {
        let mut trail = Trail::default();
        assert_eq!(trail.behind(), Behind::default());
        (1..=3).for_each(|lsn| write(&mut trail, lsn, lsn * 100));
        let behind = |bytes, oldest_ms| Behind { bytes, oldest_ms };
        assert_eq!(trail.behind(), behind(30, Some(100)));
        trail.acked(Lsn(2));
        assert_eq!(trail.behind(), behind(20, Some(200)));
        trail.acked(Lsn(4));
        assert_eq!(trail.behind(), behind(0, None));
        write(&mut trail, 4, 900);
        assert_eq!(trail.behind(), behind(10, Some(900)));
    }

    #[test]
    fn records_of_one_moment_share_a_mark() {
        let mut trail = Trail::default();
        (1..=5).for_each(|lsn| write(&mut trail, lsn, 100 + lsn));
        trail.acked(Lsn(3));
        assert_eq!(trail.behind().oldest_ms, Some(101));
        trail.acked(Lsn(6));
        assert_eq!(trail.behind(), Behind::default());
    }

    #[test]
    fn a_replica_that_is_silent_for_long_costs_little() {
        let mut trail = Trail::default();
        let writes = MARKS as u64 * 10;
        (1..=writes).for_each(|lsn| write(&mut trail, lsn, lsn * 100));
        assert!(trail.marks.len() <= MARKS);
        assert_eq!(trail.behind().oldest_ms, Some(100));
        assert_eq!(trail.behind().bytes, writes * 10);
        trail.acked(Lsn(writes + 1));
        assert_eq!(trail.behind(), Behind::default());
    }
}
