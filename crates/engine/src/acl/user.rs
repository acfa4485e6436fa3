//! A user.

use super::catalog::Catalog;
use super::error::{Denied, RuleError};
use super::password::PasswordHash;
use super::selector::{Selector, is};
use crate::command::Command;
use crate::pubsub::Kind;

/// A user as it is at one time; changing it makes a new one.
#[derive(Clone)]
pub struct User {
    /// Its name.
    pub name: Vec<u8>,
    /// Tells it from others that had the name before.
    pub id: u64,
    /// Whether anybody may authenticate as it.
    pub is_enabled: bool,
    /// Whether any password will do.
    pub needs_no_password: bool,
    /// What was said of checking the payloads of RESTORE, if anything was: it is always done.
    pub(super) checks_payloads: Option<bool>,
    pub(super) passwords: Vec<PasswordHash>,
    /// Its own first, then the others.
    pub(super) selectors: Vec<Selector>,
}

impl User {
    /// One that may do nothing.
    pub(super) fn new(name: &[u8], id: u64, all_channels: bool) -> User {
        User {
            name: name.to_vec(),
            id,
            is_enabled: false,
            needs_no_password: false,
            checks_payloads: None,
            passwords: Vec::new(),
            selectors: vec![Selector::new(all_channels)],
        }
    }

    /// The user of everybody who has not authenticated: may do everything, without a password.
    pub(super) fn default_user(id: u64, catalog: &Catalog) -> User {
        let mut user = User::new(super::DEFAULT_NAME, id, false);
        for rule in ["+@all", "~*", "&*", "on", "nopass"] {
            user.apply(rule.as_bytes(), catalog, false)
                .expect("these are rules");
        }
        user
    }

    /// The same user without some commands.
    pub(super) fn without(&self, names: &[String], catalog: &Catalog) -> User {
        let mut user = self.clone();
        for name in names {
            let rule = format!("-{name}");
            for selector in &mut user.selectors {
                selector
                    .apply(rule.as_bytes(), catalog)
                    .expect("these are commands");
            }
        }
        user
    }

    /// Whether it may do everything.
    pub fn is_free(&self) -> bool {
        self.selectors.iter().any(Selector::is_free)
    }

    /// Whether a password is right.
    pub fn accepts(&self, password: &[u8]) -> bool {
        let hash = PasswordHash::of(password);
        let right = self
            .passwords
            .iter()
            .fold(false, |right, known| right | known.matches(&hash));
        self.is_enabled && (self.needs_no_password || right)
    }

    /// Changes it by one rule. `all_channels`: whether new selectors begin with all channels.
    pub(super) fn apply(
        &mut self,
        rule: &[u8],
        catalog: &Catalog,
        all_channels: bool,
    ) -> Result<(), RuleError> {
        match rule {
            [b'(', rules @ .., b')'] => {
                let selector = selector(rules, catalog, all_channels)?;
                self.selectors.push(selector);
            }
            _ if is(rule, "on") => self.is_enabled = true,
            _ if is(rule, "off") => self.is_enabled = false,
            _ if is(rule, "nopass") => {
                self.needs_no_password = true;
                self.passwords.clear();
            }
            _ if is(rule, "resetpass") => {
                self.needs_no_password = false;
                self.passwords.clear();
            }
            _ if is(rule, "skip-sanitize-payload") => self.checks_payloads = Some(false),
            _ if is(rule, "sanitize-payload") => self.checks_payloads = Some(true),
            [b'>' | b'#', ..] => {
                let hash = password(rule)?;
                if !self.passwords.contains(&hash) {
                    self.passwords.push(hash);
                }
                self.needs_no_password = false;
            }
            [b'<' | b'!', ..] => {
                let hash = password(rule)?;
                let at = self.passwords.iter().position(|known| *known == hash);
                self.passwords.remove(at.ok_or(RuleError::NoSuchPassword)?);
            }
            _ if is(rule, "reset") => {
                let fresh = User::new(&self.name, self.id, all_channels);
                *self = User {
                    checks_payloads: Some(true),
                    ..fresh
                };
            }
            _ if is(rule, "clearselectors") => self.selectors.truncate(1),
            _ => self.selectors[0].apply(rule, catalog)?,
        }
        Ok(())
    }

    /// Whether a command line may run; else why not, and which argument is to blame: of several selectors' reasons the
    /// one that came furthest.
    ///
    /// # Errors
    /// It may not.
    pub fn check(
        &self,
        catalog: &Catalog,
        row: &'static Command,
        args: &[&[u8]],
    ) -> Result<(), (Denied, usize)> {
        let id = catalog.of_row(row);
        let mut worst = (Denied::Command, 0);
        for selector in &self.selectors {
            match selector.check(id, row, args) {
                Ok(()) => return Ok(()),
                Err(denied) => worst = worst.max(denied),
            }
        }
        Err(worst)
    }

    /// Whether one of its selectors allows a command line, and every key to be read.
    pub(crate) fn reads_every_key(
        &self,
        catalog: &Catalog,
        row: &'static Command,
        args: &[&[u8]],
    ) -> bool {
        let id = catalog.of_row(row);
        let mut selectors = self.selectors.iter();
        selectors
            .any(|selector| selector.reads_every_key() && selector.check(id, row, args).is_ok())
    }

    /// Whether it may subscribe to a channel, or to a pattern of channels.
    pub fn may_hear(&self, kind: Kind, name: &[u8]) -> bool {
        let allows = |selector: &Selector| selector.allows_channel(name, kind == Kind::Pattern);
        self.selectors.iter().any(allows)
    }

    /// Its flags, as ACL GETUSER shows them.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.is_enabled { "on" } else { "off" }];
        flags.extend(self.needs_no_password.then_some("nopass"));
        flags.extend(self.checks_payloads.map(|checks| match checks {
            true => "sanitize-payload",
            false => "skip-sanitize-payload",
        }));
        flags
    }

    /// The hashes of its passwords, in hexadecimal.
    pub fn passwords(&self) -> impl Iterator<Item = String> {
        self.passwords.iter().map(|hash| hash.to_hex())
    }

    /// The commands, keys and channels of each of its selectors, as rules; its own come first.
    pub fn rules(&self, catalog: &Catalog) -> Vec<[Vec<u8>; 3]> {
        let rules = |selector: &Selector| {
            [
                selector.command_rules(catalog),
                selector.key_rules(),
                selector.channel_rules(),
            ]
        };
        self.selectors.iter().map(rules).collect()
    }

    /// The line that makes it, in a file of users.
    pub fn line(&self, catalog: &Catalog) -> Vec<u8> {
        let mut parts = vec![b"user".to_vec(), self.name.clone()];
        parts.extend(
            self.flags()
                .into_iter()
                .map(|flag| flag.as_bytes().to_vec()),
        );
        parts.extend(self.passwords().map(|hash| format!("#{hash}").into_bytes()));
        let mut selectors = self
            .selectors
            .iter()
            .map(|selector| selector.describe(catalog));
        parts.extend(selectors.next());
        parts.extend(selectors.map(|rules| [b"(", &rules[..], b")"].concat()));
        parts.join(&b' ')
    }
}

/// What stands between the parentheses of a selector. Quotes are read as in a line of a file; what can't be is nothing.
fn selector(rules: &[u8], catalog: &Catalog, all_channels: bool) -> Result<Selector, RuleError> {
    let mut selector = Selector::new(all_channels);
    for rule in damselfly_resp::split_words(rules).unwrap_or_default() {
        selector.apply(&rule, catalog)?;
    }
    Ok(selector)
}

/// The password that a rule is about: in the clear, or its hash.
fn password(rule: &[u8]) -> Result<PasswordHash, RuleError> {
    let text = &rule[1..];
    match rule[0] {
        b'>' | b'<' => Ok(PasswordHash::of(text)),
        _ => PasswordHash::from_hex(text).ok_or(RuleError::BadHash),
    }
}
