//! Rules that say what a selector allows, found from what it allows: categories that fit best first, then single commands
//! (Redis 7.0, `acl.c`).

use super::catalog::{Catalog, CommandSet};
use super::category;
use super::selector::{KeyPattern, Selector};
use crate::command::KeyUse;

impl Selector {
    /// Its commands, as rules.
    pub(super) fn command_rules(&self, catalog: &Catalog) -> Vec<u8> {
        let adds = !self.future_commands;
        let (first, sign) = if adds { ("-@all", '+') } else { ("+@all", '-') };
        let mut text = first.to_owned();
        let mut told = Selector::default();
        if !adds {
            told.commands = CommandSet::ALL;
        }
        for category in self.fitting_categories(adds, catalog) {
            told.set_category(category, adds, catalog);
            text.push_str(&format!(" {sign}@{}", category::NAMES[category]));
        }
        let mut text = text.into_bytes();
        self.push_single_commands(&mut told, catalog, &mut text);
        text
    }

    /// Categories, each the best of its turn: those of more commands that are (not) allowed than others, with the fewest of these.
    fn fitting_categories(&self, adds: bool, catalog: &Catalog) -> Vec<usize> {
        let mut left = self.clone();
        let mut applied = Vec::new();
        loop {
            let mut best: Option<(usize, usize, usize)> = None;
            for category in (0..category::NAMES.len()).filter(|index| !applied.contains(index)) {
                let (on, off) = count(&left.commands, category, catalog);
                let (same, other) = if adds { (on, off) } else { (off, on) };
                let better = |(_, least, most): (usize, usize, usize)| {
                    other < least || (other == least && same > most)
                };
                if same > other && best.is_none_or(better) {
                    best = Some((category, other, same));
                }
            }
            let Some((category, ..)) = best else {
                return applied;
            };
            left.set_category(category, !adds, catalog);
            applied.push(category);
        }
    }

    /// What differs yet, command by command; a command's first arguments after it.
    fn push_single_commands(&self, told: &mut Selector, catalog: &Catalog, text: &mut Vec<u8>) {
        for id in catalog.ids() {
            let (name, wanted) = (catalog.get(id).name.as_bytes(), self.commands.has(id));
            if wanted != told.commands.has(id) {
                text.extend_from_slice(if wanted { b" +" } else { b" -" });
                text.extend_from_slice(name);
                told.set(id, wanted, catalog);
            }
            let arguments = self.first_args.get(&id).filter(|_| !wanted);
            for argument in arguments.into_iter().flatten() {
                text.extend_from_slice(&[b" +", name, b"|", argument].concat());
            }
        }
    }

    /// Its patterns of keys, as rules.
    pub(super) fn key_rules(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let rule = |known: &KeyPattern| {
            let sign: &[u8] = match known.access {
                KeyUse::READ => b"%R~",
                KeyUse::WRITE => b"%W~",
                _ => b"~",
            };
            [sign, &known.pattern].concat()
        };
        self.keys.iter().map(rule).collect::<Vec<_>>().join(&b' ')
    }

    /// Its patterns of channels, as rules.
    pub(super) fn channel_rules(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let rules = self
            .channels
            .iter()
            .map(|channel| [b"&", &channel[..]].concat());
        rules.collect::<Vec<_>>().join(&b' ')
    }

    /// All of it, as a line of a file has it.
    pub(super) fn describe(&self, catalog: &Catalog) -> Vec<u8> {
        let mut parts = vec![self.key_rules()];
        if !self.all_channels {
            parts.push(b"resetchannels".to_vec());
        }
        parts.push(self.channel_rules());
        parts.push(self.command_rules(catalog));
        parts.retain(|part| !part.is_empty());
        parts.join(&b' ')
    }
}

/// How many commands of Redis in a category are allowed, and how many are not.
fn count(commands: &CommandSet, category: usize, catalog: &Catalog) -> (usize, usize) {
    let inside = |known: &super::catalog::Known| known.is_redis && known.categories.has(category);
    let of_category = catalog.ids().filter(|id| inside(catalog.get(*id)));
    let (on, off): (Vec<_>, Vec<_>) = of_category.partition(|id| commands.has(*id));
    (on.len(), off.len())
}
