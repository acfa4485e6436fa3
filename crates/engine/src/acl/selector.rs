//! A selector: one set of commands, keys and channels that go together. A user has one of its own, and any number more;
//! a command line may run if one of them allows all of it.

use super::catalog::{Catalog, CommandId, CommandSet};
use super::category;
use super::error::{Denied, RuleError};
use crate::command::{ChannelUse, Command, KeyUse};
use crate::families::glob::Glob;
use crate::pubsub::Kind;
use std::collections::BTreeMap;

/// A pattern of keys, and what may be done to those that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub(super) pattern: Vec<u8>,
    pub(super) access: KeyUse,
}

/// What is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    pub(super) all_keys: bool,
    pub(super) all_channels: bool,
    pub(super) all_commands: bool,
    /// Whether commands that don't exist yet are allowed: the rules began with `+@all`.
    pub(super) future_commands: bool,
    pub(super) commands: CommandSet,
    /// First arguments with which a command is allowed that is not.
    pub(super) first_args: BTreeMap<CommandId, Vec<Vec<u8>>>,
    pub(super) keys: Vec<KeyPattern>,
    pub(super) channels: Vec<Vec<u8>>,
}

impl Selector {
    /// One that allows nothing but, perhaps, all channels.
    pub(super) fn new(all_channels: bool) -> Selector {
        Selector {
            all_channels,
            ..Selector::default()
        }
    }

    /// Whether everything is allowed.
    pub(super) fn is_free(&self) -> bool {
        self.all_keys && self.all_channels && self.all_commands
    }

    /// Changes it by one rule.
    pub(super) fn apply(&mut self, rule: &[u8], catalog: &Catalog) -> Result<(), RuleError> {
        match rule {
            [] => {}
            _ if is(rule, "allkeys") || rule == b"~*" => {
                self.all_keys = true;
                self.keys.clear();
            }
            _ if is(rule, "resetkeys") => {
                self.all_keys = false;
                self.keys.clear();
            }
            _ if is(rule, "allchannels") || rule == b"&*" => {
                self.all_channels = true;
                self.channels.clear();
            }
            _ if is(rule, "resetchannels") => {
                self.all_channels = false;
                self.channels.clear();
            }
            _ if is(rule, "allcommands") || is(rule, "+@all") => self.set_all(true),
            _ if is(rule, "nocommands") || is(rule, "-@all") => self.set_all(false),
            [b'~' | b'%', ..] => self.add_keys(rule)?,
            [b'&', channel @ ..] => self.add_channel(channel)?,
            [sign @ (b'+' | b'-'), b'@', name @ ..] => {
                let category = category::find(name).ok_or(RuleError::Unknown)?;
                self.set_category(category, *sign == b'+', catalog);
            }
            [b'+', name @ ..] => self.allow(name, catalog)?,
            [b'-', name @ ..] => {
                let id = catalog.find(name).ok_or(RuleError::Unknown)?;
                self.set(id, false, catalog);
            }
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn set_all(&mut self, allowed: bool) {
        self.all_commands = allowed;
        self.future_commands = allowed;
        self.commands = if allowed {
            CommandSet::ALL
        } else {
            CommandSet::default()
        };
        self.first_args.clear();
    }

    /// Of a command, and all its subcommands.
    pub(super) fn set(&mut self, id: CommandId, allowed: bool, catalog: &Catalog) {
        self.commands.set(id, allowed);
        self.all_commands &= allowed;
        self.first_args.remove(&id);
        for sub in &catalog.get(id).subcommands {
            self.set(*sub, allowed, catalog);
        }
    }

    pub(super) fn set_category(&mut self, category: usize, allowed: bool, catalog: &Catalog) {
        for id in catalog.ids() {
            if catalog.get(id).categories.has(category) {
                self.set(id, allowed, catalog);
            }
        }
    }

    /// `+command`, `+container|sub`, `+command|argument`.
    fn allow(&mut self, name: &[u8], catalog: &Catalog) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|byte| *byte == b'|') else {
            let id = catalog.find(name).ok_or(RuleError::Unknown)?;
            self.set(id, true, catalog);
            return Ok(());
        };
        let (command, argument) = (&name[..bar], &name[bar + 1..]);
        let id = catalog.find(command).ok_or(RuleError::Unknown)?;
        let known = catalog.get(id);
        if known.is_sub {
            return Err(RuleError::FirstArgOfSub);
        }
        if argument.is_empty() {
            return Err(RuleError::Syntax);
        }
        if !known.subcommands.is_empty() {
            let sub = catalog.find(name).ok_or(RuleError::Unknown)?;
            self.set(sub, true, catalog);
            return Ok(());
        }
        let arguments = self.first_args.entry(id).or_default();
        if !arguments
            .iter()
            .any(|known| known.eq_ignore_ascii_case(argument))
        {
            arguments.push(argument.to_vec());
        }
        Ok(())
    }

    fn add_keys(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AfterAllKeys);
        }
        let (access, pattern) = key_rule(rule)?;
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|known| known.pattern == pattern) {
            Some(known) => known.access = known.access.or(access),
            None => self.keys.push(KeyPattern {
                pattern: pattern.to_vec(),
                access,
            }),
        }
        Ok(())
    }

    fn add_channel(&mut self, channel: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::AfterAllChannels);
        }
        if has_spaces(channel) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| known == channel) {
            self.channels.push(channel.to_vec());
        }
        Ok(())
    }

    /// Whether a command line may run; else why not, and at which argument.
    pub(super) fn check(
        &self,
        id: CommandId,
        row: &'static Command,
        args: &[&[u8]],
    ) -> Result<(), (Denied, usize)> {
        if !self.allows_command(id, row, args) {
            return Err((Denied::Command, 0));
        }
        if !self.all_keys
            && let Some(at) = row.uses(args).into_iter().find(|(at, access)| {
                !args
                    .get(*at)
                    .is_some_and(|key| self.allows_key(key, *access))
            })
        {
            return Err((Denied::Key, at.0));
        }
        if !self.all_channels
            && let Some(channels) = row
                .channels
                .filter(|channels| channels.usage != ChannelUse::Unsubscribe)
            && let Some(at) = channels
                .of(args)
                .iter()
                .position(|channel| !self.allows_channel(channel, channels.kind == Kind::Pattern))
        {
            return Err((Denied::Channel, at + 1));
        }
        Ok(())
    }

    fn allows_command(&self, id: CommandId, row: &Command, args: &[&[u8]]) -> bool {
        if self.all_commands || row.needs_no_auth() || self.commands.has(id) {
            return true;
        }
        let Some((arguments, first)) = self.first_args.get(&id).zip(args.get(1)) else {
            return false;
        };
        arguments
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(first))
    }

    /// Whether a key may be used so.
    pub fn allows_key(&self, key: &[u8], access: KeyUse) -> bool {
        self.all_keys
            || self
                .keys
                .iter()
                .any(|known| known.access.has(access) && Glob::new(&known.pattern).matches(key))
    }

    /// Whether every key may be read.
    pub(super) fn reads_every_key(&self) -> bool {
        let all = |known: &KeyPattern| known.pattern == b"*" && known.access.has(KeyUse::READ);
        self.all_keys || self.keys.iter().any(all)
    }

    /// A pattern of a client is allowed only where it is one of the rules, word for word.
    pub(super) fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_channels
            || self.channels.iter().any(|known| {
                if is_pattern {
                    known == channel
                } else {
                    Glob::new(known).matches(channel)
                }
            })
    }
}

/// `~pattern`, or `%` with `R`, `W` or both before it.
fn key_rule(rule: &[u8]) -> Result<(KeyUse, &[u8]), RuleError> {
    if let [b'~', pattern @ ..] = rule {
        return Ok((KeyUse::READ.or(KeyUse::WRITE), pattern));
    }
    let mut access = KeyUse::NONE;
    let mut rest = &rule[1..];
    while let [letter, after @ ..] = rest {
        rest = after;
        let more = match letter.to_ascii_uppercase() {
            b'R' => KeyUse::READ,
            b'W' => KeyUse::WRITE,
            b'~' => break,
            _ => return Err(RuleError::Syntax),
        };
        if access.has(more) {
            return Err(RuleError::Syntax);
        }
        access = access.or(more);
    }
    if access == KeyUse::NONE {
        return Err(RuleError::Syntax);
    }
    Ok((access, rest))
}

/// Whether a text has blanks, or bytes that a line of a file can't hold.
pub(super) fn has_spaces(text: &[u8]) -> bool {
    text.iter()
        .any(|byte| matches!(byte, b' ' | b'\t'..=b'\r' | 0))
}

pub(super) fn is(rule: &[u8], word: &str) -> bool {
    rule.eq_ignore_ascii_case(word.as_bytes())
}
