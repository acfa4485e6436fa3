//! The last runs of a journal, within bounds.

use std::{collections::VecDeque, rc::Rc};

use crate::{lsn::Lsn, run::Run};

/// A hold on the backlog from some LSN on, see [`Journal::pin`](crate::Journal::pin).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinId(u64);

/// The runs of a backlog from some LSN on.
#[derive(Clone, Debug)]
pub struct ReadFrom<'a> {
    runs: std::collections::vec_deque::Iter<'a, Kept>,
}

impl<'a> Iterator for ReadFrom<'a> {
    type Item = &'a Rc<Run>;

    fn next(&mut self) -> Option<&'a Rc<Run>> {
        self.runs.next().map(|kept| &kept.run)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.runs.size_hint()
    }
}

impl ExactSizeIterator for ReadFrom<'_> {}

#[derive(Clone, Debug)]
pub(crate) struct Kept {
    run: Rc<Run>,
    at_ms: u64,
}

#[derive(Debug)]
struct Pin {
    id: PinId,
    from: Lsn,
}

/// Runs with consecutive LSNs, the oldest first. Bounded by bytes, and by age when asked.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    runs: VecDeque<Kept>,
    bytes: usize,
    pins: Vec<Pin>,
    next_pin: u64,
}

/// Memory of a run in the backlog beside its own.
const SLOT_BYTES: usize = size_of::<Kept>();

impl Backlog {
    pub fn push(&mut self, run: Rc<Run>, at_ms: u64) {
        self.bytes += charge(&run);
        self.runs.push_back(Kept { run, at_ms });
    }

    /// Memory of all runs, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn first_lsn(&self) -> Option<Lsn> {
        self.runs.front().map(|kept| kept.run.first_lsn())
    }

    /// The runs from the one on that holds `lsn`, if there is one.
    pub fn read_from(&self, lsn: Lsn) -> Option<ReadFrom<'_>> {
        let at = self.position(lsn)?;
        Some(ReadFrom {
            runs: self.runs.range(at..),
        })
    }

    /// Nothing, as the runs from an LSN that is the next one.
    pub fn read_nothing(&self) -> ReadFrom<'_> {
        ReadFrom {
            runs: self.runs.range(self.runs.len()..),
        }
    }

    /// Whether a run begins at `lsn`.
    pub fn begins_run(&self, lsn: Lsn) -> bool {
        self.position(lsn)
            .is_some_and(|at| self.runs[at].run.first_lsn() == lsn)
    }

    fn position(&self, lsn: Lsn) -> Option<usize> {
        let at = self.runs.partition_point(|kept| kept.run.next_lsn() <= lsn);
        self.runs
            .get(at)
            .filter(|kept| kept.run.first_lsn() <= lsn)
            .map(|_| at)
    }

    pub fn pin(&mut self, from: Lsn) -> PinId {
        let id = PinId(self.next_pin);
        self.next_pin += 1;
        self.pins.push(Pin { id, from });
        id
    }

    pub fn unpin(&mut self, id: PinId) -> bool {
        let before = self.pins.len();
        self.pins.retain(|pin| pin.id != id);
        self.pins.len() < before
    }

    pub fn holds(&self, id: PinId) -> bool {
        self.pins.iter().any(|pin| pin.id == id)
    }

    /// Drops the oldest runs until the rest takes at most `max_bytes` and, when asked, none is older than `since_ms`.
    /// Pinned runs stay up to `max_pinned_bytes`; beyond, the pins that hold them are lost.
    pub fn trim(&mut self, max_bytes: usize, max_pinned_bytes: usize, since_ms: Option<u64>) {
        while let Some(oldest) = self.runs.front() {
            let aged = since_ms.is_some_and(|since| oldest.at_ms < since);
            if self.bytes <= max_bytes && !aged {
                break;
            }
            let next_lsn = oldest.run.next_lsn();
            let pinned = self.pins.iter().any(|pin| pin.from < next_lsn);
            if pinned && self.bytes <= max_pinned_bytes {
                break;
            }
            self.pins.retain(|pin| pin.from >= next_lsn);
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(kept) = self.runs.pop_front() {
            self.bytes -= charge(&kept.run);
        }
    }

    pub fn clear(&mut self) {
        self.runs = VecDeque::new();
        self.bytes = 0;
        self.pins.clear();
    }
}

fn charge(run: &Run) -> usize {
    run.memory() + SLOT_BYTES
}
