//! Commands out of a seed: a table of all commands with their arguments' forms, from which
//! differential tests draw hostile sequences and replication tests draw load.

mod grammar;
mod scripts;
mod table;
mod vocabulary;
mod workload;

pub use grammar::{Template, Vocabulary};
pub use scripts::{about_library, can_be_scripted, load_library, scripted};
pub use table::{Compare, Family, NEWER_WRITES, RANDOM_WRITES, ROWS, Row};
pub use vocabulary::{Mood, Words};
pub use workload::{Workload, run_workload};

use crate::client::Args;
use crate::rng::Rng;

/// Draws commands from rows, by their weights.
#[derive(Debug, Clone)]
pub struct Generator {
    rows: Vec<(&'static Row, Template)>,
    total: u64,
    words: Words,
}

impl Generator {
    /// Draws from these rows, with these values.
    ///
    /// # Panics
    /// When there is no row.
    pub fn new(rows: impl IntoIterator<Item = &'static Row>, words: Words) -> Generator {
        let rows: Vec<_> = rows
            .into_iter()
            .map(|row| (row, Template::parse(row.template)))
            .collect();
        assert!(!rows.is_empty(), "nothing to draw from");
        let total = rows.iter().map(|(row, _)| u64::from(row.weight)).sum();
        Generator { rows, total, words }
    }

    /// A command, and the row that it is of.
    pub fn draw(&mut self, rng: &mut Rng) -> (&'static Row, Args) {
        let mut ticket = rng.below(self.total);
        let chosen = self.rows.iter().find(|(row, _)| {
            let weight = u64::from(row.weight);
            let hit = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            hit
        });
        let (row, template) = chosen.expect("the ticket is below the sum of the weights");
        let mut arguments = Vec::new();
        template.expand(&mut self.words, rng, &mut arguments);
        (row, arguments)
    }
}
