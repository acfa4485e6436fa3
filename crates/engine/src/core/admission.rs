//! May this command run now? The preparation of DESIGN 6, which changes nothing.

use super::freeze::Freeze;
use super::{LockMode, ShardCore, Step, key_hash};
use crate::command::{Command, KeyPositions};
use damselfly_store::{DbIndex, Intent};

impl ShardCore {
    /// Whether nothing at all could make a command wait: the fast path.
    fn is_calm(&self) -> bool {
        !self.is_over_budget()
            && !self.space.store.is_observed()
            && self.locks.is_empty()
            && self.parked.is_empty()
            && matches!(self.freeze, Freeze::None)
            && !self.holds_writes
    }

    /// Whether a command on these keys, outside of any transaction, may run now.
    pub(super) fn admits(
        &self,
        row: &Command,
        db: DbIndex,
        args: &[&[u8]],
        keys: &KeyPositions,
    ) -> Step {
        if self.is_calm() {
            return Step::Done;
        }
        let write = row.is_write();
        let mode = if write {
            LockMode::Exclusive
        } else {
            LockMode::Shared
        };
        let held = !matches!(self.freeze, Freeze::None)
            || (keys.is_empty() && self.locks.is_global())
            || (write && (self.is_over_budget() || self.is_paused()));
        let waits = held
            || keys.iter().any(|at| {
                let key = args[*at as usize];
                let hash = key_hash(key);
                self.locks.conflicts(hash, mode)
                    || self.parked.waits_for(hash)
                    || (write && self.is_blocked_for(row, db, key))
            });
        if waits { Step::Parked } else { Step::Done }
    }

    /// Whether a record without a change may be appended now.
    pub(crate) fn admits_record(&self) -> bool {
        matches!(self.freeze, Freeze::None) && !self.is_over_budget()
    }

    /// [`ShardCore::is_blocked`], in every database that the command may reach.
    pub(super) fn is_blocked_for(&self, row: &Command, db: DbIndex, key: &[u8]) -> bool {
        if row.reaches_other_databases() {
            (0..self.space.store.dbnum()).any(|db| self.is_blocked(DbIndex(db), key))
        } else {
            self.is_blocked(db, key)
        }
    }

    /// Whether a snapshot has to serialize a big value before this key may change.
    pub(super) fn is_blocked(&self, db: DbIndex, key: &[u8]) -> bool {
        if !self.space.store.is_observed() {
            return false;
        }
        let mut blocked = false;
        let intent = if self.space.store.get(db, key).is_some() {
            Intent::Update
        } else {
            Intent::Insert
        };
        self.space.store.prepare(db, key, intent, &mut |bucket| {
            blocked |= self.space.snapshots.would_park(&bucket);
        });
        blocked
    }
}
