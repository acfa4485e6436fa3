//! The save of a server that ends.

use super::error::FileError;
use super::names::Target;
use super::save::{Of, begin};
use crate::engine::Role;
use crate::replicate::{HeldWrites, acks};
use crate::thread::Thread;
use damselfly_replication::primary::SessionState;
use std::rc::Rc;
use std::time::Duration;

/// How long replicas may take to get what they lack (Redis: `shutdown-timeout`).
const REPLICAS_TIMEOUT: Duration = Duration::from_secs(10);

/// Saves, and takes no write from the cut on: what is acknowledged is in the file, and replicas have the same, so that they can go on
/// with the server that is started from it. A save under way is given up for this one.
///
/// # Errors
/// [`FileError`]: the server goes on as if nothing had been.
pub async fn save_at_end(thread: &Rc<Thread>, target: Target) -> Result<(), FileError> {
    let engine = &thread.engine;
    let held = match engine.role() {
        Role::Primary => Some(HeldWrites::hold(thread).await),
        Role::Replica => None,
    };
    engine.files.give_up().await;
    let saving = begin(thread, target, Of::Whole).await?;
    let targets = saving.lsns();
    saving.finish().await?;
    if held.is_some() {
        let replicas = engine.replication().hub.replicas().into_iter();
        let stable = replicas.filter(|replica| replica.state == SessionState::StableSync);
        let stable = stable.count();
        let all = acks::wait_until(thread, &targets, |found| found.len() >= stable);
        if tokio::time::timeout(REPLICAS_TIMEOUT, all).await.is_err() {
            tracing::warn!("a replica does not have everything that was saved");
        }
    }
    // They wait until the server has ended.
    std::mem::forget(held);
    Ok(())
}
