//! Where flows wait for each other: global commands, and in stable sync the transactions over several shards.

use std::collections::BTreeMap;

use crate::{
    error::LinkError,
    part::{TransactionPart, is_global_command},
};

/// The parts of one transaction, all of them here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// The transaction.
    pub txid: u64,
    /// Whether it is a global command, to be executed once.
    pub global: bool,
    /// The parts with their flows, in the order of the flows.
    pub parts: Vec<(usize, TransactionPart)>,
}

/// Collects parts until a transaction is complete. A flow that brought one waits, so there is at most one part of each
/// flow, and memory is bounded by one transaction's part per flow.
#[derive(Debug)]
pub struct Rendezvous {
    flows: usize,
    /// The transaction that each flow waits for.
    waits: Vec<Option<u64>>,
    meetings: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    /// Parts that are a global command and nothing else.
    global: usize,
    expected: usize,
    since_ms: u64,
    parts: Vec<(usize, TransactionPart)>,
}

impl Rendezvous {
    /// Of a link with `flows` flows.
    pub fn new(flows: usize) -> Rendezvous {
        Rendezvous {
            flows,
            waits: vec![None; flows],
            meetings: BTreeMap::new(),
        }
    }

    /// `flow` has reached `part` and waits; `global` says that it is a global command and nothing else. A transaction may have
    /// such parts beside others, which hold the command too (FLUSHALL inside MULTI). `Some` when all are here: they go on waiting until it is
    /// [finished](Self::finish).
    ///
    /// # Errors
    /// [`LinkError::Rendezvous`] when parts contradict each other, or all flows wait and nothing can complete.
    pub fn arrive(
        &mut self,
        now_ms: u64,
        flow: usize,
        part: TransactionPart,
        global: bool,
    ) -> Result<Option<Meeting>, LinkError> {
        let txid = part.txid();
        let wrong = |what| Err(LinkError::Rendezvous { txid, what });
        if flow >= self.flows || self.waits[flow].is_some() {
            return wrong("a flow arrived that is not free");
        }
        let expected = if global {
            self.flows
        } else {
            usize::from(part.shards())
        };
        if expected > self.flows {
            return wrong("it touches more shards than there are flows");
        }
        let open = self.meetings.entry(txid).or_insert_with(|| Open {
            global: 0,
            expected,
            since_ms: now_ms,
            parts: Vec::new(),
        });
        if open.expected != expected || open.parts.len() == open.expected {
            return wrong("its parts disagree on how many shards it touches");
        }
        self.waits[flow] = Some(txid);
        open.global += usize::from(global);
        open.parts.push((flow, part));
        if open.parts.len() == open.expected {
            let mut parts = std::mem::take(&mut open.parts);
            let global = open.global == parts.len();
            if global
                && !parts
                    .iter()
                    .all(|(_, part)| same_command(&parts[0].1, part))
            {
                return wrong("its parts are different global commands");
            }
            if open.global > 0 && !parts.iter().all(|(_, part)| part.has(is_global_command)) {
                return wrong("a global command stands in some of its parts only");
            }
            parts.sort_by_key(|(flow, _)| *flow);
            // The entry stays, full of nothing, until the meeting is finished: its flows are not free before.
            open.expected = 0;
            return Ok(Some(Meeting {
                txid,
                global,
                parts,
            }));
        }
        let stuck = self.waits.iter().all(Option::is_some)
            && self.meetings.values().all(|open| open.expected > 0);
        if stuck {
            wrong("all flows wait, each for another transaction")
        } else {
            Ok(None)
        }
    }

    /// The meeting has been executed: its flows are free again.
    pub fn finish(&mut self, txid: u64) -> Vec<usize> {
        self.meetings.remove(&txid);
        let freed = (0..self.flows)
            .filter(|flow| self.waits[*flow] == Some(txid))
            .collect();
        self.waits
            .iter_mut()
            .filter(|wait| **wait == Some(txid))
            .for_each(|wait| *wait = None);
        freed
    }

    /// Whether `flow` waits.
    pub fn waits(&self, flow: usize) -> bool {
        self.waits.get(flow).is_some_and(Option::is_some)
    }

    /// Since when the oldest incomplete meeting waits for somebody, and which it is.
    pub fn oldest(&self) -> Option<(u64, u64)> {
        let incomplete = self.meetings.iter().filter(|(_, open)| open.expected > 0);
        incomplete.map(|(txid, open)| (open.since_ms, *txid)).min()
    }
}

fn same_command(one: &TransactionPart, other: &TransactionPart) -> bool {
    one.len() == other.len() && one.effects().eq(other.effects())
}

#[cfg(test)]
mod tests {
    use super::*;
    use damselfly_journal::Lsn;

    fn part(txid: u64, shards: u16, lsn: u64, words: &[&str]) -> TransactionPart {
        let mut part = TransactionPart::new();
        part.start(txid, shards, Some(Lsn(lsn)));
        part.push_command(0, words.iter().map(|word| word.as_bytes()));
        part
    }

    #[test]
    fn a_transaction_waits_for_just_its_flows() {
        let mut rendezvous = Rendezvous::new(3);
        assert_eq!(
            rendezvous.arrive(0, 2, part(7, 2, 1, &["SET", "a", "1"]), false),
            Ok(None)
        );
        assert_eq!(rendezvous.oldest(), Some((0, 7)));
        let meeting = rendezvous
            .arrive(5, 0, part(7, 2, 9, &["SET", "b", "1"]), false)
            .unwrap()
            .expect("complete");
        assert_eq!(
            meeting
                .parts
                .iter()
                .map(|(flow, _)| *flow)
                .collect::<Vec<_>>(),
            [0, 2]
        );
        assert!(rendezvous.waits(0) && rendezvous.waits(2) && !rendezvous.waits(1));
        assert_eq!(rendezvous.oldest(), None);
        assert_eq!(rendezvous.finish(7), [0, 2]);
        assert!(!rendezvous.waits(0));
    }

    #[test]
    fn a_global_command_waits_for_all_whatever_its_shard_count_says() {
        let mut rendezvous = Rendezvous::new(2);
        assert_eq!(
            rendezvous.arrive(0, 1, part(3, 1, 1, &["FLUSHALL"]), true),
            Ok(None)
        );
        let meeting = rendezvous
            .arrive(0, 0, part(3, 1, 1, &["FLUSHALL"]), true)
            .unwrap()
            .expect("complete");
        assert!(meeting.global && meeting.parts.len() == 2);
    }

    #[test]
    fn two_meetings_at_a_time() {
        let mut rendezvous = Rendezvous::new(4);
        assert_eq!(
            rendezvous.arrive(0, 0, part(1, 2, 1, &["A"]), false),
            Ok(None)
        );
        assert_eq!(
            rendezvous.arrive(0, 2, part(2, 2, 1, &["B"]), false),
            Ok(None)
        );
        assert!(
            rendezvous
                .arrive(0, 3, part(2, 2, 1, &["B"]), false)
                .unwrap()
                .is_some()
        );
        assert!(
            rendezvous
                .arrive(0, 1, part(1, 2, 1, &["A"]), false)
                .unwrap()
                .is_some()
        );
        assert_eq!(rendezvous.finish(1), [0, 1]);
        assert_eq!(rendezvous.finish(2), [2, 3]);
    }

    #[test]
    fn a_global_command_among_others_stands_alone_where_nothing_else_was_done() {
        let mut rendezvous = Rendezvous::new(2);
        let mut more = part(3, 2, 1, &["FLUSHALL"]);
        more.push_command(0, [&b"SET"[..], b"a", b"1"].into_iter());
        let alone = part(3, 2, 1, &["FLUSHALL"]);
        assert_eq!(rendezvous.arrive(0, 1, alone, true), Ok(None));
        let meeting = rendezvous.arrive(0, 0, more, false).unwrap();
        let meeting = meeting.expect("complete");
        assert!(!meeting.global && meeting.parts.len() == 2);
    }

    #[test]
    fn contradictions_and_deadlocks_are_found() {
        let fails = |arrivals: &[(usize, TransactionPart, bool)]| {
            let mut rendezvous = Rendezvous::new(2);
            arrivals
                .iter()
                .try_for_each(|(flow, part, global)| {
                    rendezvous.arrive(0, *flow, part.clone(), *global).map(drop)
                })
                .is_err()
        };
        let a = || part(1, 2, 1, &["A"]);
        assert!(fails(&[(0, a(), false), (0, a(), false)]), "twice");
        assert!(fails(&[(5, a(), false)]), "no such flow");
        assert!(
            fails(&[(0, part(1, 3, 1, &["A"]), false)]),
            "three shards of two"
        );
        assert!(
            fails(&[(0, a(), false), (1, part(1, 1, 1, &["A"]), false)]),
            "counts differ"
        );
        assert!(fails(&[(0, a(), false), (1, a(), true)]), "one is global");
        assert!(
            fails(&[(0, a(), true), (1, part(1, 2, 1, &["B"]), true)]),
            "different commands"
        );
        assert!(
            fails(&[(0, a(), false), (1, part(2, 2, 1, &["B"]), false)]),
            "each waits for the other"
        );
    }
}
