//! Looking a command up by its name.

use super::Command;
use hashbrown::HashMap;

/// Longest command name; longer words are unknown without a look.
const MAX_NAME: usize = 32;

/// All commands of a server: the engine's families and those that the embedder adds.
pub struct CommandTable {
    by_name: HashMap<&'static [u8], &'static Command, foldhash::fast::FixedState>,
    rows: Vec<&'static Command>,
}

impl CommandTable {
    /// A table of these families. A later row takes the place of an earlier one of the same name.
    pub fn new(families: &[&'static [Command]]) -> CommandTable {
        let mut by_name = HashMap::with_hasher(foldhash::fast::FixedState::default());
        for row in families.iter().flat_map(|family| family.iter()) {
            by_name.insert(row.name.as_bytes(), row);
        }
        let mut rows: Vec<_> = by_name.values().copied().collect();
        rows.sort_by_key(|row| row.name);
        CommandTable { by_name, rows }
    }

    /// The row of this name, whatever its case.
    pub fn find(&self, name: &[u8]) -> Option<&'static Command> {
        if name.len() > MAX_NAME {
            return None;
        }
        let mut lower = [0u8; MAX_NAME];
        let lower = &mut lower[..name.len()];
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        self.by_name.get(&*lower).copied()
    }

    /// The row that a command line means: the subcommand's, if it names one.
    pub fn resolve(&self, args: &[&[u8]]) -> Option<&'static Command> {
        let row = self.find(args.first()?)?;
        let sub = args.get(1).and_then(|word| row.subcommand(word));
        sub.or(Some(row))
    }

    /// The name of a row, with that of its container before it: `client|list`.
    pub fn full_name(&self, row: &Command) -> String {
        let holds = |container: &&&Command| {
            container
                .subcommands
                .iter()
                .any(|sub| std::ptr::eq(sub, row))
        };
        match self.rows.iter().find(holds) {
            Some(container) => format!("{}|{}", container.name, row.name),
            None => row.name.to_owned(),
        }
    }

    /// All rows in the order of their names.
    pub fn rows(&self) -> &[&'static Command] {
        &self.rows
    }
}

impl Command {
    /// The subcommand of this name, whatever its case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Command> {
        self.subcommands
            .iter()
            .find(|row| row.name.as_bytes().eq_ignore_ascii_case(name))
    }
}
