//! Who may do what: users, their rules, and what was denied (Redis 7.0's access control lists).
//!
//! All users of a server are one [`Acl`], shared by its threads. A session keeps a [`Permit`]: its user as it was at some
//! version of the users. Every change raises the version before its reply is sent, and a session whose permit is of another
//! version looks again before it runs a command. So a change holds everywhere at once; and whoever may do everything pays one
//! comparison a command, without a lock.

mod absent;
mod catalog;
mod category;
mod describe;
mod error;
mod file;
mod log;
mod password;
mod permit;
mod restricted;
mod selector;
mod user;

pub use catalog::{Catalog, CommandId};
pub use category::NAMES as CATEGORY_NAMES;
pub use error::{Denied, RuleError};
pub use file::{FileErrors, parse_file};
pub use log::{LogContext, LogEntry};
pub use password::{PasswordHash, generate};
pub use permit::Permit;
pub use restricted::Restricted;
pub use user::User;

use crate::command::CommandTable;
use selector::has_spaces;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// The user of every connection that has not authenticated.
pub const DEFAULT_NAME: &[u8] = b"default";
/// Kinds of denials that are kept, unless the configuration says otherwise.
const DEFAULT_LOG_LEN: usize = 128;

/// All users, by their names.
pub type Users = BTreeMap<Vec<u8>, Arc<User>>;

/// The users of a server.
pub struct Acl {
    catalog: Catalog,
    version: AtomicU64,
    users: RwLock<Users>,
    next_user: AtomicU64,
    log: Mutex<log::AclLog>,
    log_len: AtomicUsize,
    open_channels: AtomicBool,
}

impl Acl {
    /// A server's, with the default user alone.
    pub fn new(table: &CommandTable) -> Acl {
        let catalog = Catalog::new(table);
        let default = Arc::new(User::default_user(0, &catalog));
        Acl {
            catalog,
            version: AtomicU64::new(1),
            users: RwLock::new(BTreeMap::from([(DEFAULT_NAME.to_vec(), default)])),
            next_user: AtomicU64::new(1),
            log: Mutex::default(),
            log_len: AtomicUsize::new(DEFAULT_LOG_LEN),
            open_channels: AtomicBool::new(false),
        }
    }

    /// The commands as rules see them.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// A number that grows with every change.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// All users, as they are now.
    pub fn users(&self) -> Users {
        self.users
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A user.
    pub fn user(&self, name: &[u8]) -> Option<Arc<User>> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.get(name).cloned()
    }

    /// The user of who has not authenticated, and the version that it is of.
    fn versioned(&self, name: &[u8]) -> (Option<Arc<User>>, u64) {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        (users.get(name).cloned(), self.version())
    }

    fn change<R>(&self, change: impl FnOnce(&mut Users) -> R) -> R {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut users);
        self.version.fetch_add(1, Ordering::Release);
        result
    }

    fn new_user(&self, name: &[u8]) -> User {
        let id = self.next_user.fetch_add(1, Ordering::Relaxed);
        User::new(name, id, self.has_open_channels())
    }

    /// Makes or changes a user by rules: by all, or, if one is wrong, by none.
    ///
    /// # Errors
    /// The first rule that is wrong, and why.
    pub fn set_user(&self, name: &[u8], rules: &[Vec<u8>]) -> Result<(), (Vec<u8>, RuleError)> {
        self.change(|users| {
            let known = users.get(name).map(|user| User::clone(user));
            let mut user = known.unwrap_or_else(|| self.new_user(name));
            for rule in rules {
                user.apply(rule, &self.catalog, self.has_open_channels())
                    .map_err(|error| (rule.clone(), error))?;
            }
            users.insert(name.to_vec(), Arc::new(user));
            Ok(())
        })
    }

    /// Deletes users, and gives those that there were.
    pub fn delete_users(&self, names: &[&[u8]]) -> Vec<Arc<User>> {
        self.change(|users| {
            names
                .iter()
                .filter_map(|name| users.remove(*name))
                .collect()
        })
    }

    /// Puts other users in place of all; the default user keeps its id, and all others are new. Gives those that were deleted.
    pub fn replace_users(&self, new: Users) -> Vec<Arc<User>> {
        self.change(|users| {
            let default = users.remove(DEFAULT_NAME);
            let default_id = default.as_ref().map_or(0, |user| user.id);
            let deleted = std::mem::take(users).into_values().collect();
            *users = new;
            let mut default = users.remove(DEFAULT_NAME).map_or_else(
                || User::default_user(default_id, &self.catalog),
                Arc::unwrap_or_clone,
            );
            default.id = default_id;
            users.insert(DEFAULT_NAME.to_vec(), Arc::new(default));
            deleted
        })
    }

    /// Gives the default user this password as its only one; none lets everybody in.
    pub fn set_default_password(&self, password: Option<PasswordHash>) {
        let rules = match password {
            Some(hash) => vec![
                b"resetpass".to_vec(),
                format!("#{}", hash.to_hex()).into_bytes(),
            ],
            None => vec![b"nopass".to_vec()],
        };
        let set = self.set_user(DEFAULT_NAME, &rules);
        set.expect("these are rules");
    }

    /// Whether new users may use all channels (`acl-pubsub-default`).
    pub fn has_open_channels(&self) -> bool {
        self.open_channels.load(Ordering::Relaxed)
    }

    /// Says whether new users may use all channels, and how many kinds of denials are kept.
    pub fn configure(&self, open_channels: bool, log_len: usize) {
        self.open_channels.store(open_channels, Ordering::Relaxed);
        self.log_len.store(log_len, Ordering::Relaxed);
    }

    /// Notes a denial.
    pub fn log(&self, entry: LogEntry) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.add(entry, self.log_len.load(Ordering::Relaxed));
    }

    /// The last denials, at most so many kinds of them.
    pub fn log_entries(&self, most: usize) -> Vec<LogEntry> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entries(most)
    }

    /// Forgets all denials.
    pub fn reset_log(&self) {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// Whether a user may be called so.
pub fn is_valid_name(name: &[u8]) -> bool {
    !has_spaces(name)
}

/// The rules of a command line, where a selector may stand in several arguments.
///
/// # Errors
/// The argument that opens a selector which is not closed.
pub fn join_selectors(args: &[&[u8]]) -> Result<Vec<Vec<u8>>, Vec<u8>> {
    let mut rules: Vec<Vec<u8>> = Vec::with_capacity(args.len());
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for arg in args {
        open = match open {
            Some((first, mut text)) => {
                text.push(b' ');
                text.extend_from_slice(arg);
                Some((first, text))
            }
            None if arg.starts_with(b"(") && !arg.ends_with(b")") => Some((arg, arg.to_vec())),
            None => {
                rules.push(arg.to_vec());
                None
            }
        };
        if open.as_ref().is_some_and(|(_, text)| text.ends_with(b")")) {
            rules.extend(open.take().map(|(_, text)| text));
        }
    }
    match open {
        Some((first, _)) => Err(first.to_vec()),
        None => Ok(rules),
    }
}
