//! Load: writes of all types, out of a seed.

use std::io;

use damselfly_resp::Reply;

use super::{
    Family, Generator, NEWER_WRITES, RANDOM_WRITES, ROWS, Row, Words, about_library,
    can_be_scripted, scripted,
};
use crate::client::{Args, Client};
use crate::rng::Rng;

/// Commands of one pipeline.
const PIPELINE: usize = 64;

/// An endless, repeatable sequence of writes to keys of all five types.
#[derive(Debug, Clone)]
pub struct Workload {
    generator: Generator,
    rng: Rng,
    /// Of a hundred commands so many are run by scripts.
    scripted_percent: u64,
}

impl Workload {
    /// Writes of all types to this many keys of each, named `<prefix><type>:<number>`.
    pub fn new(seed: u64, prefix: &str, keys: u64) -> Workload {
        Workload::of(seed, Words::tame(prefix, keys), |_| true)
    }

    /// Writes with these values, of the families chosen.
    ///
    /// # Panics
    /// When no family is chosen.
    pub fn of(seed: u64, words: Words, choose: impl Fn(Family) -> bool) -> Workload {
        let rows = ROWS.iter().chain(RANDOM_WRITES);
        Workload::drawn(seed, words, rows.filter(|row| choose(row.family)))
    }

    /// All writes with these values, also those that Redis 7.0 does not know.
    pub fn newer(seed: u64, words: Words) -> Workload {
        let rows = ROWS.iter().chain(RANDOM_WRITES).chain(NEWER_WRITES);
        Workload::drawn(seed, words, rows)
    }

    fn drawn(seed: u64, words: Words, rows: impl Iterator<Item = &'static Row>) -> Workload {
        Workload {
            generator: Generator::new(rows.filter(|row| row.write), words),
            rng: Rng::new(seed),
            scripted_percent: 0,
        }
    }

    /// With so many of a hundred commands in scripts and functions, and libraries that change.
    pub fn scripted(mut self, percent: u64) -> Workload {
        self.scripted_percent = percent;
        self
    }
}

impl Iterator for Workload {
    type Item = Args;

    fn next(&mut self) -> Option<Args> {
        let first = self.generator.draw(&mut self.rng).1;
        if self.scripted_percent == 0 || !self.rng.percent(self.scripted_percent) {
            return Some(first);
        }
        if self.rng.percent(8) {
            return Some(about_library(&mut self.rng));
        }
        let second = self.generator.draw(&mut self.rng).1;
        Some(match can_be_scripted(&first) && can_be_scripted(&second) {
            true => scripted(&first, &second, &mut self.rng),
            false => first,
        })
    }
}

/// Sends this many commands in pipelines. Errors of commands are part of the load (a number too
/// large, an index out of range); returns how many commands succeeded.
///
/// # Errors
/// As [`Client::receive`]; the commands before may have been executed.
pub fn run_workload(
    client: &mut Client,
    workload: &mut Workload,
    commands: usize,
) -> io::Result<usize> {
    let mut succeeded = 0;
    let mut left = commands;
    while left > 0 {
        let batch: Vec<Args> = workload.take(PIPELINE.min(left)).collect();
        left -= batch.len();
        let replies = client.pipeline(&batch)?;
        succeeded += replies
            .iter()
            .filter(|reply| !matches!(reply, Reply::Error(_)))
            .count();
    }
    Ok(succeeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_all_types_come_up() {
        let take = |seed| {
            Workload::new(seed, "p:", 10)
                .take(2_000)
                .collect::<Vec<_>>()
        };
        assert_eq!(take(5), take(5));
        assert_ne!(take(5), take(6));
        for kind in ["string", "list", "hash", "set", "zset"] {
            let key = format!("p:{kind}:");
            assert!(
                take(5)
                    .iter()
                    .flatten()
                    .any(|argument| argument.starts_with(key.as_bytes())),
                "{kind}"
            );
        }
    }

    #[test]
    fn families_are_chosen() {
        let mut lists = Workload::of(1, Words::tame("", 3), |family| family == Family::Lists);
        assert!(
            lists
                .by_ref()
                .take(500)
                .all(|command| command[1..].iter().any(|arg| arg.starts_with(b"list:")))
        );
    }
}
