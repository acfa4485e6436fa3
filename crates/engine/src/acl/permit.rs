//! What a session knows of its user.

use super::{Acl, DEFAULT_NAME, User};
use std::sync::Arc;

/// Never a version.
const NOT_FREE: u64 = 0;

/// A session's user, as it was at some version of the users.
pub struct Permit {
    user: Arc<User>,
    /// Whether somebody has said that it is this user, or nobody has to.
    is_authenticated: bool,
    version: u64,
    /// The version at which everything is allowed.
    free_at: u64,
}

impl Permit {
    /// That of a client that has said nothing yet.
    pub fn new(acl: &Acl) -> Permit {
        let (user, version) = acl.versioned(DEFAULT_NAME);
        let user = user.expect("the default user is never deleted");
        let is_authenticated = user.needs_no_password && user.is_enabled;
        Permit::of(user, is_authenticated, version)
    }

    fn of(user: Arc<User>, is_authenticated: bool, version: u64) -> Permit {
        let is_free = is_authenticated && user.is_free();
        Permit {
            user,
            is_authenticated,
            version,
            free_at: if is_free { version } else { NOT_FREE },
        }
    }

    /// Whether everything is allowed, without a further look.
    #[inline]
    pub fn is_free(&self, acl: &Acl) -> bool {
        self.free_at == acl.version()
    }

    /// Follows the users to their present version. Whether the user is still there.
    pub fn refresh(&mut self, acl: &Acl) -> bool {
        if self.version == acl.version() {
            return true;
        }
        let (user, version) = acl.versioned(&self.user.name);
        match user {
            Some(user) if user.id == self.user.id => {
                *self = Permit::of(user, self.is_authenticated, version);
                true
            }
            _ => false,
        }
    }

    /// Becomes another user's.
    pub fn authenticate(&mut self, user: Arc<User>) {
        // Of no version: the user may have changed since it was looked up.
        *self = Permit::of(user, true, NOT_FREE);
    }

    /// Whether a command needs authentication before it.
    pub fn needs_auth(&self, acl: &Acl) -> bool {
        if self.is_authenticated {
            return false;
        }
        let open = |user: Arc<User>| user.needs_no_password && user.is_enabled;
        !acl.user(DEFAULT_NAME).is_some_and(open)
    }

    /// The user.
    pub fn user(&self) -> &Arc<User> {
        &self.user
    }
}
