//! What is known of saves and loads, for INFO, LASTSAVE and those who wait their turn.

use super::error::FileError;
use super::names::FileSettings;
use crate::engine::Engine;
use damselfly_store::UnixMs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

/// The snapshots of one engine.
#[derive(Debug, Default)]
pub struct Files {
    settings: Mutex<FileSettings>,
    saving: AtomicBool,
    /// The running save is to be given up.
    pub(super) gives_up: AtomicBool,
    /// Told when a save ends.
    idle: tokio::sync::Notify,
    status: Mutex<SaveStatus>,
    /// Entries that the running save has written.
    pub(super) keys_processed: AtomicU64,
    /// Progress of a load.
    pub loading: LoadProgress,
}

/// How saves went.
#[derive(Debug, Clone, Default)]
pub struct SaveStatus {
    /// When the running one began, in Unix milliseconds.
    pub running_since: Option<UnixMs>,
    /// Whether the last one failed.
    pub has_failed: bool,
    /// When the last good one ended, in Unix milliseconds.
    pub last_saved: Option<UnixMs>,
    /// How long the last one took, in milliseconds.
    pub last_took_ms: Option<u64>,
    /// Good ones.
    pub saves: u64,
    /// How many changes the shards counted at the cut of the last good one.
    pub changes: u64,
    /// Entries that the running one has written.
    pub keys_processed: u64,
    /// Entries that stood at its cut.
    pub keys_total: u64,
}

/// How far a load is, in bytes of its files.
#[derive(Debug, Default)]
pub struct LoadProgress {
    /// When it began, in Unix milliseconds.
    pub since: AtomicU64,
    /// All bytes; 0 where the data does not come from files.
    pub total_bytes: AtomicU64,
    /// Those read.
    pub loaded_bytes: AtomicU64,
    /// Entries of the last load.
    pub keys: AtomicU64,
}

impl LoadProgress {
    pub(super) fn begin(&self, total_bytes: u64) {
        self.since
            .store(crate::world::unix_ms().unsigned_abs(), Relaxed);
        self.loaded_bytes.store(0, Relaxed);
        self.keys.store(0, Relaxed);
        self.total_bytes.store(total_bytes, Relaxed);
    }

    pub(super) fn end(&self) {
        self.total_bytes.store(0, Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while it is held")
}

impl Files {
    /// Where snapshots are, and how they are called.
    pub fn settings(&self) -> FileSettings {
        lock(&self.settings).clone()
    }

    /// Changes that.
    pub fn configure(&self, settings: FileSettings) {
        *lock(&self.settings) = settings;
    }

    /// How saves went.
    pub fn status(&self) -> SaveStatus {
        SaveStatus {
            keys_processed: self.keys_processed.load(Relaxed),
            ..lock(&self.status).clone()
        }
    }

    /// Gives the running save up, if there is one, and waits for its end.
    pub(super) async fn give_up(&self) {
        let mut ended = std::pin::pin!(self.idle.notified());
        ended.as_mut().enable();
        if self.saving.load(Relaxed) {
            self.gives_up.store(true, Relaxed);
            ended.await;
        }
    }

    pub(super) fn change_status(&self, change: impl FnOnce(&mut SaveStatus)) {
        change(&mut lock(&self.status));
    }
}

/// The right to save. Dropped without a word, the save has failed.
pub(super) struct Claim {
    engine: Arc<Engine>,
    since: UnixMs,
    /// Changes of data at the cut.
    changes: Option<u64>,
}

impl Claim {
    pub(super) fn take(engine: &Arc<Engine>) -> Result<Claim, FileError> {
        let files = &engine.files;
        if files.saving.swap(true, Relaxed) {
            return Err(FileError::Busy);
        }
        let since = crate::world::unix_ms();
        files.gives_up.store(false, Relaxed);
        files.keys_processed.store(0, Relaxed);
        files.change_status(|status| {
            status.running_since = Some(since);
            status.keys_total = 0;
        });
        Ok(Claim {
            engine: engine.clone(),
            since,
            changes: None,
        })
    }

    /// When it began.
    pub(super) fn since(&self) -> UnixMs {
        self.since
    }

    /// The save was good; its cut stood at this number of changes.
    pub(super) fn saved(mut self, changes: u64) {
        self.changes = Some(changes);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let now = crate::world::unix_ms();
        let files = &self.engine.files;
        files.change_status(|status| {
            status.running_since = None;
            status.last_took_ms = Some(now.saturating_sub(self.since).unsigned_abs());
            status.has_failed = self.changes.is_none();
            status.keys_total = 0;
            if let Some(changes) = self.changes {
                (status.last_saved, status.changes) = (Some(now), changes);
                status.saves += 1;
            }
        });
        files.keys_processed.store(0, Relaxed);
        files.saving.store(false, Relaxed);
        files.idle.notify_waiters();
    }
}
