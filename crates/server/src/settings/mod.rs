//! The configuration of a running server: what CONFIG GET and CONFIG SET see and change.
//!
//! Every parameter is a row of the flags' table under its own name and under Redis's names, or a
//! constant that clients of Redis read. Threads take a cheap look at [`Settings::generation`], and
//! load the new [`Config`] when it has moved.

mod names;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::config::Config;
use crate::flags::{Change, Kind};
use names::{Entry, Target};

/// What stands for a password.
const HIDDEN: &str = "(hidden)";

/// Whether a text matches a glob-style pattern, letters of either case alike: (pattern, text).
pub type GlobMatch<'a> = &'a dyn Fn(&[u8], &[u8]) -> bool;

/// Is told of every change, with the configuration that holds from now on.
type Watcher = Box<dyn Fn(&Arc<Config>) + Send + Sync>;

/// Why CONFIG SET changed nothing. The text is Redis 7.0's, without the `ERR ` before it.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingError {
    /// No pairs of names and values.
    #[error("syntax error")]
    Syntax,
    /// No such parameter.
    #[error("Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// A parameter that can't be set, or not to this value.
    #[error("CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Refused {
        /// The parameter, as the client wrote it.
        name: String,
        /// Why.
        reason: String,
    },
}

/// The configuration of a running server, shared by its threads.
pub struct Settings {
    current: RwLock<Arc<Config>>,
    generation: AtomicU64,
    watchers: RwLock<Vec<Watcher>>,
}

impl Settings {
    /// Starts with a configuration.
    pub fn new(config: Config) -> Settings {
        Settings {
            current: RwLock::new(Arc::new(config)),
            generation: AtomicU64::new(0),
            watchers: RwLock::default(),
        }
    }

    /// The configuration as it is now.
    pub fn load(&self) -> Arc<Config> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A number that grows with every change: one relaxed read tells a thread whether to
    /// [`load`](Settings::load) again.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Calls `watcher` after every change, on the thread that made it.
    pub fn watch(&self, watcher: impl Fn(&Arc<Config>) + Send + Sync + 'static) {
        self.watchers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(watcher));
    }

    /// Changes the configuration from inside the server (REPLICAOF, say).
    pub fn update(&self, change: impl FnOnce(&mut Config)) {
        let updated: Result<(), ()> = self.try_update(|config| {
            change(config);
            Ok(())
        });
        updated.expect("the change above never fails");
    }

    /// CONFIG GET: names and values of all parameters that one of the patterns names, each once.
    /// A name without a wildcard comes back as it was written, in any case and with `_` for `-`.
    pub fn get(&self, patterns: &[&[u8]], matches: GlobMatch<'_>) -> Vec<(String, String)> {
        let config = self.load();
        let mut found: Vec<(String, String)> = Vec::new();
        let mut add = |name: String, entry: &Entry| {
            if !found
                .iter()
                .any(|(seen, _)| seen.eq_ignore_ascii_case(&name))
            {
                found.push((name, entry.show(&config)));
            }
        };
        for pattern in patterns {
            if pattern.iter().any(|byte| b"[*?".contains(byte)) {
                let entries = names::entries()
                    .iter()
                    .filter(|entry| matches(pattern, entry.name.as_bytes()));
                entries.for_each(|entry| add(entry.name.to_owned(), entry));
            } else if let Some(entry) = names::find(pattern) {
                add(String::from_utf8_lossy(pattern).into_owned(), entry);
            }
        }
        found
    }

    /// CONFIG SET: names and values in turn. Either all are set or none.
    ///
    /// # Errors
    /// [`SettingError`] about the first parameter that can't be set.
    pub fn set(&self, arguments: &[&[u8]]) -> Result<(), SettingError> {
        let changes = Changes::resolve(arguments)?;
        self.try_update(|config| changes.apply(config))
    }

    /// What the configuration would be after [`set`](Settings::set).
    ///
    /// # Errors
    /// As [`set`](Settings::set).
    pub fn preview(&self, arguments: &[&[u8]]) -> Result<Config, SettingError> {
        let mut config = Config::clone(&self.load());
        Changes::resolve(arguments)?.apply(&mut config)?;
        Ok(config)
    }

    /// Changes a copy and puts it in place when the change succeeds.
    fn try_update<E>(&self, change: impl FnOnce(&mut Config) -> Result<(), E>) -> Result<(), E> {
        let updated = {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            let mut config = Config::clone(&current);
            change(&mut config)?;
            *current = Arc::new(config);
            self.generation.fetch_add(1, Ordering::Release);
            current.clone()
        };
        let watchers = self.watchers.read().unwrap_or_else(PoisonError::into_inner);
        watchers.iter().for_each(|watcher| watcher(&updated));
        Ok(())
    }
}

/// Whether a parameter is a password.
pub fn is_secret(name: &[u8]) -> bool {
    names::find(name).is_some_and(|entry| match entry.target {
        Target::Flag { flag, .. } => flag.kind == Kind::Secret,
        Target::Constant(_) => false,
    })
}

fn refused(name: &[u8], reason: impl Into<String>) -> SettingError {
    SettingError::Refused {
        name: String::from_utf8_lossy(name).into_owned(),
        reason: reason.into(),
    }
}

/// What CONFIG SET asks for.
struct Changes<'a> {
    pairs: &'a [[&'a [u8]; 2]],
    entries: Vec<&'static Entry>,
}

impl<'a> Changes<'a> {
    /// The parameters of all pairs, checked for what does not depend on the values.
    fn resolve(arguments: &'a [&'a [u8]]) -> Result<Changes<'a>, SettingError> {
        let (pairs, rest) = arguments.as_chunks::<2>();
        if !rest.is_empty() || pairs.is_empty() {
            return Err(SettingError::Syntax);
        }
        let mut entries: Vec<&'static Entry> = Vec::with_capacity(pairs.len());
        for [name, _] in pairs {
            let entry = names::find(name)
                .ok_or_else(|| SettingError::Unknown(String::from_utf8_lossy(name).into_owned()))?;
            match entry.change() {
                Change::Startup => return Err(refused(name, "can't set immutable config")),
                Change::Protected => return Err(refused(name, "can't set protected config")),
                Change::Runtime => {}
            }
            if entries.iter().any(|seen| seen.is_same(entry)) {
                return Err(refused(name, "duplicate parameter"));
            }
            entries.push(entry);
        }
        Ok(Changes { pairs, entries })
    }

    fn apply(&self, config: &mut Config) -> Result<(), SettingError> {
        for (entry, [name, value]) in self.entries.iter().zip(self.pairs) {
            let value = String::from_utf8_lossy(value);
            entry
                .set(config, &value)
                .map_err(|reason| refused(name, reason))?;
        }
        Ok(())
    }
}

impl Entry {
    fn change(&self) -> Change {
        match self.target {
            Target::Flag { flag, .. } => flag.change,
            Target::Constant(_) => Change::Runtime,
        }
    }

    /// Whether two names stand for one parameter.
    fn is_same(&self, other: &Entry) -> bool {
        match (&self.target, &other.target) {
            (Target::Flag { flag: left, .. }, Target::Flag { flag: right, .. }) => {
                left.name == right.name
            }
            _ => self.name == other.name,
        }
    }

    fn show(&self, config: &Config) -> String {
        match self.target {
            Target::Constant(value) => value.to_owned(),
            Target::Flag { flag, .. } if flag.kind == Kind::Secret => {
                let is_empty = (flag.get)(config).to_string().is_empty();
                if is_empty { "" } else { HIDDEN }.to_owned()
            }
            Target::Flag { flag, scale, redis } => match (flag.get)(config) {
                crate::flags::Value::Bool(truth) if redis => {
                    if truth { "yes" } else { "no" }.to_owned()
                }
                crate::flags::Value::Int(number) => (number / scale).to_string(),
                other => other.to_string(),
            },
        }
    }

    fn set(&self, config: &mut Config, text: &str) -> Result<(), String> {
        let (flag, scale) = match self.target {
            Target::Constant(value) if value.eq_ignore_ascii_case(text) => return Ok(()),
            Target::Constant(value) => {
                return Err(format!("this server knows no other value than '{value}'"));
            }
            Target::Flag { flag, scale, .. } => (flag, scale),
        };
        let kind = match flag.kind {
            // In Redis's unit, which is never finer than the flag's.
            Kind::Int { min, max } if scale > 1 => Kind::Int {
                min: (min / scale).max(1),
                max,
            },
            kind => kind,
        };
        let value = match kind.parse_config(text)? {
            crate::flags::Value::Int(number) => {
                crate::flags::Value::Int(number.saturating_mul(scale))
            }
            value => value,
        };
        (flag.set)(config, &value)
    }
}

#[cfg(test)]
mod tests;
