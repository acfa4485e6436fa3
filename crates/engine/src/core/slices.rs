//! Work in the background, in slices that never hold the thread for long.

use super::execute::delete_expired;
use super::{LockMode, ShardCore, key_hash};
use crate::context::Effects;
use damselfly_store::DbIndex;

/// Buckets that one slice of active expiry looks at.
const EXPIRY_BUCKETS: usize = 64;

/// Where active expiry goes on.
#[derive(Default, Debug)]
pub(super) struct ExpiryCursor {
    db: u16,
    cursor: u64,
}

impl ShardCore {
    /// Looks at a few buckets and deletes keys whose time has come. Keys that would have to wait are passed over.
    /// Returns how many were deleted.
    pub fn expire_slice(&mut self) -> usize {
        if self.is_replica
            || !self.expires
            || self.is_over_budget()
            || !matches!(self.freeze, super::Freeze::None)
        {
            return 0;
        }
        let Some(db) = self.next_expiring_db() else {
            return 0;
        };
        let mut found = Vec::new();
        self.expiry_cursor.cursor = self.space.store.expiring_slice(
            db,
            self.expiry_cursor.cursor,
            EXPIRY_BUCKETS,
            self.space.now,
            &mut found,
        );
        if self.expiry_cursor.cursor == 0 {
            self.expiry_cursor.db = (db.0 + 1) % self.space.store.dbnum();
        }
        let mut deleted = 0;
        for key in &found {
            deleted += usize::from(self.expire_one(db, key.as_bytes()));
        }
        deleted
    }

    fn next_expiring_db(&self) -> Option<DbIndex> {
        let dbnum = self.space.store.dbnum();
        (0..dbnum)
            .map(|ahead| DbIndex((self.expiry_cursor.db + ahead) % dbnum))
            .find(|db| self.space.store.expires_len(*db) > 0)
    }

    fn expire_one(&mut self, db: DbIndex, key: &[u8]) -> bool {
        let hash = key_hash(key);
        if self.locks.conflicts(hash, LockMode::Exclusive)
            || self.parked.waits_for(hash)
            || self.is_blocked(db, key)
        {
            return false;
        }
        let mut effects = Effects::new(self.journal.is_active());
        delete_expired(&mut self.space, db, key, &mut effects);
        self.journal_alone(effects);
        self.serve_ready(false);
        true
    }
}
