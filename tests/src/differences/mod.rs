//! What differs from Redis 7.0 on purpose: the rows of `docs/compatibility.md`, each with what shows it on a pair of servers.
//!
//! A row is checked against both servers: a difference that is gone, or is another than it says, is an error.

mod both;
mod page;
mod seen;
mod table;

pub use both::Both;
pub use page::page;
pub use table::SECTIONS;

use std::path::Path;

/// Differences with one subject.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// Its rows.
    pub rows: &'static [Difference],
}

/// One difference.
#[derive(Debug, Clone, Copy)]
pub struct Difference {
    /// Commands or settings.
    pub place: &'static str,
    /// What this server does.
    pub here: &'static str,
    /// Why.
    pub why: &'static str,
    /// What shows it.
    pub shown: Shown,
}

/// What shows that a difference is there, and is as its row says.
#[derive(Debug, Clone, Copy)]
pub enum Shown {
    /// Commands for both servers, one a line. `COMMAND` alone: the replies are equal. `COMMAND => redis || here`: they are these,
    /// where `*` stands for anything, and they are different. `~ COMMAND`: whatever they are.
    Script(&'static str),
    /// What takes more than commands and replies.
    Seen(fn(&mut Both<'_>) -> Result<(), String>),
    /// Another test: its file, and its name.
    Test(&'static str, &'static str),
    /// Not shown by any test, for this reason.
    Unchecked(&'static str),
}

impl Difference {
    /// Checks this row.
    ///
    /// # Errors
    /// What is not as it says.
    pub fn check(&self, both: &mut Both<'_>) -> Result<(), String> {
        let checked = both.begin().and_then(|()| match self.shown {
            Shown::Script(script) => both.play(script),
            Shown::Seen(check) => check(both),
            Shown::Test(file, name) => has_test(file, name),
            Shown::Unchecked(_) => Ok(()),
        });
        checked.map_err(|error| format!("{}: {error}", self.place))
    }
}

fn has_test(file: &str, name: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{file}: {error}"))?;
    match text.contains(&format!("fn {name}(")) {
        true => Ok(()),
        false => Err(format!("there is no test {name} in {file}")),
    }
}
