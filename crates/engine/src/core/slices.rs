//! Work in the background, in slices that never hold the thread for long.

use super::execute::{delete_expired, delete_expired_elements};
use super::{LockMode, ShardCore, key_hash};
use crate::context::Effects;
use damselfly_store::DbIndex;

/// Buckets that one slice of active expiry looks at.
const EXPIRY_BUCKETS: usize = 64;
/// Fields of hashes and members of sets that one slice deletes.
const EXPIRY_ELEMENTS: usize = 128;
/// Values that have to wait, after which a slice looks no further.
const EXPIRY_PASSED_OVER: usize = 32;

/// Where active expiry goes on.
#[derive(Default, Debug)]
pub(super) struct ExpiryCursor {
    db: u16,
    cursor: u64,
}

impl ShardCore {
    /// Looks at a few buckets and deletes keys whose time has come, and some fields of hashes and members of sets. Keys that would have to wait are
    /// passed over. Returns how many were deleted.
    pub fn expire_slice(&mut self) -> usize {
        if self.is_replica
            || !self.expires
            || self.is_over_budget()
            || self.holds_writes
            || !matches!(self.freeze, super::Freeze::None)
        {
            return 0;
        }
        self.expire_keys() + self.expire_elements()
    }

    fn expire_keys(&mut self) -> usize {
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
            // Each may have brought its bucket to a snapshot.
            if self.is_over_budget() {
                break;
            }
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

    fn expire_elements(&mut self) -> usize {
        let mut deleted = 0;
        for db in (0..self.space.store.dbnum()).map(DbIndex) {
            let mut passed_over = 0;
            while !self.is_over_budget()
                && deleted < EXPIRY_ELEMENTS
                && passed_over < EXPIRY_PASSED_OVER
                && let Some((key, at)) = self.space.store.timed_at(db, passed_over)
                && at <= self.space.now
            {
                let key = key.to_vec();
                if self.has_to_wait(db, &key) {
                    passed_over += 1;
                    continue;
                }
                let mut effects = Effects::new(self.journal.is_active());
                let most = EXPIRY_ELEMENTS - deleted;
                deleted += delete_expired_elements(&mut self.space, db, &key, most, &mut effects);
                self.journal_alone(effects);
            }
        }
        deleted
    }

    /// Whether somebody is in the way of a change to the key.
    fn has_to_wait(&self, db: DbIndex, key: &[u8]) -> bool {
        let hash = key_hash(key);
        self.locks.conflicts(hash, LockMode::Exclusive)
            || self.parked.waits_for(hash)
            || self.is_blocked(db, key)
    }

    fn expire_one(&mut self, db: DbIndex, key: &[u8]) -> bool {
        if self.has_to_wait(db, key) {
            return false;
        }
        let mut effects = Effects::new(self.journal.is_active());
        delete_expired(&mut self.space, db, key, &mut effects);
        self.journal_alone(effects);
        self.serve_ready(false);
        true
    }
}
