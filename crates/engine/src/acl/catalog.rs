//! The commands as rules see them: each with a number and its categories.

use super::category::Categories;
use super::{absent, category};
use crate::command::{Command, CommandTable, Flags};
use hashbrown::HashMap;

/// The number of a command in a [`Catalog`].
pub type CommandId = u16;

/// Words of a [`CommandSet`].
const SET_WORDS: usize = 10;

/// A command.
pub struct Known {
    /// Its name, with that of its container before it: `client|list`.
    pub name: String,
    /// Its categories.
    pub categories: Categories,
    /// Whether it is a subcommand.
    pub is_sub: bool,
    /// Its subcommands.
    pub subcommands: Vec<CommandId>,
    /// Whether Redis 7.0 has it.
    pub is_redis: bool,
    /// Whether it is here.
    pub is_here: bool,
}

/// All commands.
pub struct Catalog {
    known: Vec<Known>,
    by_name: HashMap<String, CommandId>,
    by_row: HashMap<usize, CommandId, foldhash::fast::FixedState>,
}

impl Catalog {
    /// Of all commands of the table, and those of Redis that it lacks.
    ///
    /// # Panics
    /// There are more than a `CommandSet` holds.
    pub fn new(table: &CommandTable) -> Catalog {
        let mut catalog = Catalog {
            known: Vec::new(),
            by_name: HashMap::new(),
            by_row: HashMap::default(),
        };
        table.rows().iter().for_each(|row| catalog.add_row(row));
        catalog.add_absent();
        assert!(catalog.known.len() <= SET_WORDS * 64, "too many commands");
        catalog
    }

    fn add_row(&mut self, row: &'static Command) {
        let id = self.add(
            row.name.to_owned(),
            Categories::of(row.acl_categories()),
            None,
        );
        self.known[usize::from(id)].is_redis = is_redis(row);
        self.by_row.insert(std::ptr::from_ref(row).addr(), id);
        for sub in row.subcommands {
            let own = if row.flags.has(Flags::LOOSE_SUBCOMMANDS) {
                // They are no commands of their own, but words of the command's.
                id
            } else {
                let categories = Categories::of(sub.acl_categories());
                let own = self.add(format!("{}|{}", row.name, sub.name), categories, Some(id));
                self.known[usize::from(own)].is_redis = is_redis(sub);
                own
            };
            self.by_row.insert(std::ptr::from_ref(sub).addr(), own);
        }
    }

    /// A container comes before its subcommands in the order of names.
    fn add_absent(&mut self) {
        let mut absent: Vec<(&str, Categories)> = absent::COMMANDS
            .iter()
            .flat_map(|(categories, names)| {
                let categories = Categories::of(categories.split(' '));
                names.split(' ').map(move |name| (name, categories))
            })
            .collect();
        absent.sort_unstable_by_key(|(name, _)| *name);
        for (name, categories) in absent {
            if self.by_name.contains_key(name) {
                continue;
            }
            let container = name.split_once('|');
            let container = container.and_then(|(name, _)| self.by_name.get(name).copied());
            let id = self.add(name.to_owned(), categories, container);
            self.known[usize::from(id)].is_here = false;
        }
    }

    fn add(
        &mut self,
        name: String,
        categories: Categories,
        container: Option<CommandId>,
    ) -> CommandId {
        let id = self.known.len() as CommandId;
        self.by_name.insert(name.clone(), id);
        if let Some(container) = container {
            self.known[usize::from(container)].subcommands.push(id);
        }
        self.known.push(Known {
            name,
            categories,
            is_sub: container.is_some(),
            subcommands: Vec::new(),
            is_redis: true,
            is_here: true,
        });
        id
    }

    /// The command of this name, whatever its case.
    pub fn find(&self, name: &[u8]) -> Option<CommandId> {
        let name = std::str::from_utf8(name).ok()?;
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    /// The command of a row.
    ///
    /// # Panics
    /// The row is not of the table that the catalog was made of.
    pub fn of_row(&self, row: &'static Command) -> CommandId {
        self.by_row[&std::ptr::from_ref(row).addr()]
    }

    /// What is known of a command.
    pub fn get(&self, id: CommandId) -> &Known {
        &self.known[usize::from(id)]
    }

    /// The numbers of all commands.
    pub fn ids(&self) -> impl Iterator<Item = CommandId> + use<> {
        0..self.known.len() as CommandId
    }

    /// The names of the commands that are here and in a category, by its name.
    pub fn names_in(&self, name: &[u8]) -> Option<Vec<&str>> {
        let category = category::find(name)?;
        let inside = |known: &&Known| known.is_here && known.categories.has(category);
        Some(
            self.known
                .iter()
                .filter(inside)
                .map(|known| known.name.as_str())
                .collect(),
        )
    }
}

/// Whether Redis 7.0 has the command, too.
fn is_redis(row: &Command) -> bool {
    let newer = row
        .since
        .split('.')
        .take(2)
        .map(|part| part.parse::<u32>().unwrap_or(0));
    newer.collect::<Vec<_>>() <= vec![7, 0]
        && !row.flags.has(Flags::INTERNAL)
        && !row.flags.has(Flags::DRAGONFLY)
}

/// A set of commands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommandSet([u64; SET_WORDS]);

impl CommandSet {
    /// All there may be.
    pub const ALL: CommandSet = CommandSet([u64::MAX; SET_WORDS]);

    /// Whether a command is in it.
    pub fn has(&self, id: CommandId) -> bool {
        self.0[usize::from(id) / 64] & (1 << (id % 64)) != 0
    }

    /// Puts a command in, or takes it out.
    pub fn set(&mut self, id: CommandId, inside: bool) {
        let (word, bit) = (&mut self.0[usize::from(id) / 64], 1 << (id % 64));
        if inside { *word |= bit } else { *word &= !bit }
    }
}
