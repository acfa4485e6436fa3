//! The REPLICAOF algorithm: a candidate is greeted beside the present role, and only a greeted one replaces it.
//!
//! 1. The candidate is resolved, connected, greeted. Nothing else changes; its failure is an error to the caller.
//! 2. Greeted candidates enter one serialized section: the old link is stopped, what it executed is kept, the new link starts.
//! 3. The new link tries partial sync first, and only a granted full sync discards data.
//!
//! REPLICAOFs that overlap are ordered by when they were asked: once one is carried out, those asked before it that have
//! not been are cancelled. So the last one that succeeds wins, however long each took to greet.

use std::collections::{BTreeMap, VecDeque};

/// One REPLICAOF, in the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It writes by itself.
    Primary,
    /// It follows `host:port`.
    Replica(String),
}

/// Why a REPLICAOF changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicaOfError {
    /// A later REPLICAOF was carried out first.
    #[error("ERR replication cancelled by a later REPLICAOF")]
    Cancelled,
    /// The candidate could not be greeted.
    #[error("ERR {0}")]
    Candidate(String),
    /// Too many REPLICAOFs at a time.
    #[error("ERR too many REPLICAOF commands at a time")]
    TooMany,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoordinatorOutput {
    /// Resolve, connect and greet `target` beside the present role; then `handle_greeted` or `handle_failed`.
    Greet {
        /// For which command.
        ticket: Ticket,
        /// `host:port`.
        target: String,
    },
    /// The candidate is no longer wanted: drop its connection.
    Drop(Ticket),
    /// Stop the old link, if there is one, keep what it executed, and start the candidate's link; then `handle_switched`.
    Switch(Ticket),
    /// Stop the link, and become a primary; then `handle_switched`.
    Promote(Ticket),
    /// Answer the command.
    Answer(Ticket, Result<(), ReplicaOfError>),
}

/// The machine of the REPLICAOF algorithm: candidates are greeted beside the present role, and replace it one at a time.
#[derive(Debug)]
pub struct ReplicaOf {
    role: Role,
    next: u64,
    greeting: BTreeMap<Ticket, String>,
    /// Greeted (or NO ONE), waiting for the section.
    ready: VecDeque<(Ticket, Role)>,
    section: Option<(Ticket, Role)>,
    outputs: VecDeque<CoordinatorOutput>,
}

/// Candidates at a time.
const MAX_CANDIDATES: usize = 64;

impl ReplicaOf {
    /// Of a server in this role.
    pub fn new(role: Role) -> ReplicaOf {
        ReplicaOf {
            role,
            next: 1,
            greeting: BTreeMap::new(),
            ready: VecDeque::new(),
            section: None,
            outputs: VecDeque::new(),
        }
    }

    /// What the server is; while a switch is under way still the old role.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<CoordinatorOutput> {
        self.outputs.pop_front()
    }

    /// `REPLICAOF host port`.
    pub fn request(&mut self, target: impl Into<String>) -> Ticket {
        let (ticket, target) = (self.ticket(), target.into());
        if self.greeting.len() + self.ready.len() >= MAX_CANDIDATES {
            self.answer(ticket, Err(ReplicaOfError::TooMany));
            return ticket;
        }
        self.greeting.insert(ticket, target.clone());
        self.outputs
            .push_back(CoordinatorOutput::Greet { ticket, target });
        ticket
    }

    /// `REPLICAOF NO ONE`.
    pub fn request_no_one(&mut self) -> Ticket {
        let ticket = self.ticket();
        self.ready.push_back((ticket, Role::Primary));
        self.enter();
        ticket
    }

    /// The candidate was greeted.
    pub fn handle_greeted(&mut self, ticket: Ticket) {
        match self.greeting.remove(&ticket) {
            Some(target) => self.ready.push_back((ticket, Role::Replica(target))),
            // Cancelled meanwhile, and told to be dropped; its greeting was under way here.
            None => return,
        }
        self.enter();
    }

    /// The candidate could not be greeted.
    pub fn handle_failed(&mut self, ticket: Ticket, why: impl Into<String>) {
        if self.greeting.remove(&ticket).is_some() {
            self.answer(ticket, Err(ReplicaOfError::Candidate(why.into())));
        }
    }

    /// The caller went away before its candidate was greeted.
    pub fn cancel(&mut self, ticket: Ticket) {
        if self.greeting.remove(&ticket).is_some() {
            self.outputs.push_back(CoordinatorOutput::Drop(ticket));
        }
    }

    /// The switch or promotion has been done.
    pub fn handle_switched(&mut self, ticket: Ticket) {
        match self.section.take() {
            Some((entered, role)) if entered == ticket => {
                self.role = role;
                self.answer(ticket, Ok(()));
            }
            other => self.section = other,
        }
        self.enter();
    }

    /// Lets the next one into the section; those asked before it are too late from then on.
    fn enter(&mut self) {
        if self.section.is_some() {
            return;
        }
        let Some(newest) = self.ready.iter().map(|(ticket, _)| *ticket).max() else {
            return;
        };
        self.cancel_before(newest);
        let Some((ticket, role)) = self.ready.pop_front() else {
            return;
        };
        self.outputs.push_back(match role {
            Role::Primary => CoordinatorOutput::Promote(ticket),
            Role::Replica(_) => CoordinatorOutput::Switch(ticket),
        });
        self.section = Some((ticket, role));
    }

    fn cancel_before(&mut self, entering: Ticket) {
        let later = self.greeting.split_off(&entering);
        let greeting = std::mem::replace(&mut self.greeting, later);
        let (keep, late) = self
            .ready
            .drain(..)
            .partition(|(ticket, _)| *ticket >= entering);
        self.ready = keep;
        let late: VecDeque<(Ticket, Role)> = late;
        for ticket in greeting
            .into_keys()
            .chain(late.into_iter().map(|(ticket, _)| ticket))
        {
            self.outputs.push_back(CoordinatorOutput::Drop(ticket));
            self.answer(ticket, Err(ReplicaOfError::Cancelled));
        }
    }

    fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        ticket
    }

    fn answer(&mut self, ticket: Ticket, result: Result<(), ReplicaOfError>) {
        self.outputs
            .push_back(CoordinatorOutput::Answer(ticket, result));
    }
}

#[cfg(test)]
mod tests {
    use super::{CoordinatorOutput::*, *};

    fn outputs(machine: &mut ReplicaOf) -> Vec<CoordinatorOutput> {
        std::iter::from_fn(|| machine.poll_output()).collect()
    }

    fn greet(ticket: Ticket, target: &str) -> CoordinatorOutput {
        Greet {
            ticket,
            target: target.into(),
        }
    }

    #[test]
    fn a_candidate_that_fails_changes_nothing() {
        let mut machine = ReplicaOf::new(Role::Replica("old:1".into()));
        let ticket = machine.request("dead:1");
        assert_eq!(outputs(&mut machine), [greet(ticket, "dead:1")]);
        machine.handle_failed(ticket, "cannot connect");
        assert_eq!(
            outputs(&mut machine),
            [Answer(
                ticket,
                Err(ReplicaOfError::Candidate("cannot connect".into()))
            )]
        );
        assert_eq!(machine.role(), &Role::Replica("old:1".into()));
    }

    #[test]
    fn a_greeted_candidate_replaces_the_role() {
        let mut machine = ReplicaOf::new(Role::Primary);
        let ticket = machine.request("new:1");
        machine.handle_greeted(ticket);
        assert_eq!(
            outputs(&mut machine),
            [greet(ticket, "new:1"), Switch(ticket)]
        );
        assert_eq!(machine.role(), &Role::Primary);
        machine.handle_switched(ticket);
        assert_eq!(outputs(&mut machine), [Answer(ticket, Ok(()))]);
        assert_eq!(machine.role(), &Role::Replica("new:1".into()));
    }

    #[test]
    fn the_last_one_wins_whoever_greets_first() {
        let mut machine = ReplicaOf::new(Role::Primary);
        let (first, second) = (machine.request("a:1"), machine.request("b:1"));
        outputs(&mut machine);
        machine.handle_greeted(second);
        assert_eq!(
            outputs(&mut machine),
            [
                Drop(first),
                Answer(first, Err(ReplicaOfError::Cancelled)),
                Switch(second)
            ]
        );
        machine.handle_greeted(first);
        machine.handle_switched(second);
        assert_eq!(outputs(&mut machine), [Answer(second, Ok(()))]);
        assert_eq!(machine.role(), &Role::Replica("b:1".into()));

        let (third, fourth) = (machine.request("c:1"), machine.request("d:1"));
        outputs(&mut machine);
        machine.handle_greeted(third);
        machine.handle_greeted(fourth);
        machine.handle_switched(third);
        machine.handle_switched(fourth);
        assert_eq!(
            outputs(&mut machine),
            [
                Switch(third),
                Answer(third, Ok(())),
                Switch(fourth),
                Answer(fourth, Ok(()))
            ]
        );
        assert_eq!(machine.role(), &Role::Replica("d:1".into()));
    }

    #[test]
    fn no_one_cancels_what_was_asked_before_it() {
        let mut machine = ReplicaOf::new(Role::Replica("old:1".into()));
        let candidate = machine.request("a:1");
        let no_one = machine.request_no_one();
        let later = machine.request("b:1");
        let expected = [
            greet(candidate, "a:1"),
            Drop(candidate),
            Answer(candidate, Err(ReplicaOfError::Cancelled)),
            Promote(no_one),
            greet(later, "b:1"),
        ];
        assert_eq!(outputs(&mut machine), expected);
        machine.handle_greeted(later);
        assert_eq!(outputs(&mut machine), [], "the section is taken");
        machine.handle_switched(no_one);
        assert_eq!(
            outputs(&mut machine),
            [Answer(no_one, Ok(())), Switch(later)]
        );
    }

    #[test]
    fn a_failed_later_one_does_not_harm_an_earlier_one() {
        let mut machine = ReplicaOf::new(Role::Primary);
        let (first, second) = (machine.request("a:1"), machine.request("dead:1"));
        outputs(&mut machine);
        machine.handle_failed(second, "no");
        machine.handle_greeted(first);
        assert_eq!(outputs(&mut machine)[1..], [Switch(first)]);
    }

    #[test]
    fn candidates_are_bounded() {
        let mut machine = ReplicaOf::new(Role::Primary);
        for _ in 0..MAX_CANDIDATES {
            machine.request("a:1");
        }
        let ticket = machine.request("a:1");
        assert_eq!(
            outputs(&mut machine).last(),
            Some(&Answer(ticket, Err(ReplicaOfError::TooMany)))
        );
    }

    /// Every order of events of three commands: each is answered exactly once, one switch at a time, and the role at
    /// the end is that of the last command that was answered with success.
    #[test]
    fn all_interleavings_answer_once_and_agree() {
        fn explore(events: &mut Vec<usize>, left: &mut [usize; 3]) {
            if left.iter().all(|left| *left == 0) {
                return check(events);
            }
            for command in 0..3 {
                if left[command] > 0 {
                    left[command] -= 1;
                    events.push(command);
                    explore(events, left);
                    events.pop();
                    left[command] += 1;
                }
            }
        }

        fn check(events: &[usize]) {
            for failing in 0..4 {
                let mut machine = ReplicaOf::new(Role::Primary);
                let mut tickets = [None; 3];
                let mut answers = BTreeMap::new();
                let mut won = Role::Primary;
                for command in events {
                    match tickets[*command] {
                        None => {
                            tickets[*command] = Some(machine.request(format!("host{command}:1")))
                        }
                        Some(ticket) if *command == failing => machine.handle_failed(ticket, "no"),
                        Some(ticket) => machine.handle_greeted(ticket),
                    }
                    while let Some(output) = machine.poll_output() {
                        match output {
                            Switch(ticket) => machine.handle_switched(ticket),
                            Answer(ticket, result) => {
                                if result.is_ok() {
                                    let command = tickets
                                        .iter()
                                        .position(|other| *other == Some(ticket))
                                        .expect("asked");
                                    won = Role::Replica(format!("host{command}:1"));
                                }
                                assert!(answers.insert(ticket, result).is_none(), "answered twice");
                            }
                            _ => {}
                        }
                    }
                }
                assert_eq!(answers.len(), 3, "{events:?}");
                assert_eq!(machine.role(), &won);
                let winner = tickets
                    .iter()
                    .enumerate()
                    .filter(|(command, _)| *command != failing)
                    .max_by_key(|(_, ticket)| **ticket);
                let (winner, _) = winner.expect("at most one fails");
                assert_eq!(
                    won,
                    Role::Replica(format!("host{winner}:1")),
                    "the last asked wins: {events:?}"
                );
            }
        }

        explore(&mut Vec::new(), &mut [2; 3]);
    }
}
