//! Commands that only administrators' connections may run, whoever their user is.

use super::catalog::{Catalog, CommandSet};
use super::user::User;
use crate::command::Command;

/// A set of commands; a container's subcommands belong to it.
#[derive(Debug)]
pub struct Restricted {
    commands: CommandSet,
    names: Vec<String>,
}

impl Restricted {
    /// Of the commands of these names.
    ///
    /// # Errors
    /// The name that no command has.
    pub fn new(catalog: &Catalog, names: &[String]) -> Result<Restricted, String> {
        let mut commands = CommandSet::default();
        for name in names {
            let id = catalog.find(name.as_bytes()).ok_or_else(|| name.clone())?;
            commands.set(id, true);
            for sub in &catalog.get(id).subcommands {
                commands.set(*sub, true);
            }
        }
        Ok(Restricted {
            commands,
            names: names.to_vec(),
        })
    }

    /// Whether a command is one of them.
    pub fn has(&self, catalog: &Catalog, row: &'static Command) -> bool {
        self.commands.has(catalog.of_row(row))
    }

    /// The user as it is where they are not to be had.
    pub fn limit(&self, user: &User, catalog: &Catalog) -> User {
        user.without(&self.names, catalog)
    }
}
