//! How the server is, in one line and three facts: for a service manager, which asks from outside of the engine's threads.

use damselfly_engine::Engine;
use damselfly_engine::replication::primary::SessionState;
use damselfly_engine::replication::replica::{LinkPhase, Role};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Looks at a running engine.
pub struct Watcher {
    engine: Arc<Engine>,
    /// The last beat that each thread has answered.
    answered: Arc<[AtomicU64]>,
}

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Whether it still loads what its files hold.
    pub is_starting: bool,
    /// Whether it saves.
    pub is_saving: bool,
    /// What it is doing, for people.
    pub text: String,
}

impl Watcher {
    /// Of an engine.
    pub(crate) fn new(engine: Arc<Engine>) -> Watcher {
        let threads = 0..engine.mesh.threads();
        Watcher {
            answered: threads.map(|_| AtomicU64::new(0)).collect(),
            engine,
        }
    }

    /// How the server is now.
    pub fn condition(&self) -> Condition {
        let files = &self.engine.files;
        let total = files.loading.total_bytes.load(Ordering::Relaxed);
        let saving = files.status();
        let is_starting = self.engine.is_loading() && self.follows().is_none();
        let is_saving = saving.running_since.is_some();
        let text = if is_starting {
            let read = files.loading.loaded_bytes.load(Ordering::Relaxed);
            let percent = (read * 100).checked_div(total).unwrap_or(0).min(100);
            format!("loading: {percent} % of {} MiB", total >> 20)
        } else if is_saving {
            let (keys, all) = (saving.keys_processed, saving.keys_total);
            format!("{}; saving: {keys} of {all} keys", self.role())
        } else {
            self.role()
        };
        Condition {
            is_starting,
            is_saving,
            text,
        }
    }

    /// Asks every thread of the engine for an answer to this beat.
    pub fn ask(&self, beat: u64) {
        for thread in 0..self.answered.len() {
            let answered = self.answered.clone();
            let answer = move |_: &std::rc::Rc<_>| answered[thread].store(beat, Ordering::Relaxed);
            self.engine.mesh.run_on(thread, Box::new(answer));
        }
    }

    /// Whether all of them have answered it.
    pub fn have_answered(&self, beat: u64) -> bool {
        let of_thread = |answered: &AtomicU64| answered.load(Ordering::Relaxed) >= beat;
        self.answered.iter().all(of_thread)
    }

    /// The primary that it follows.
    fn follows(&self) -> Option<String> {
        match self.engine.replication().link.status().0 {
            Role::Primary => None,
            Role::Replica(address) => Some(address),
        }
    }

    fn role(&self) -> String {
        let replication = self.engine.replication();
        let (role, link) = replication.link.status();
        let Role::Replica(address) = role else {
            let replicas = replication.hub.replicas();
            let stable = replicas
                .iter()
                .filter(|replica| replica.state == SessionState::StableSync)
                .count();
            return format!("primary; replicas in sync: {stable} of {}", replicas.len());
        };
        let Some(link) = link else {
            return format!("replica of {address}: connecting");
        };
        let error = link.last_error.map(|error| format!(": {error}"));
        let error = error.unwrap_or_default().replace(['\r', '\n'], " ");
        match link.phase {
            LinkPhase::StableSync => format!("replica, in sync with {address}"),
            LinkPhase::FullSync => format!("replica of {address}: full sync"),
            LinkPhase::Failed => format!("replica of {address}: link given up{error}"),
            _ => format!("replica of {address}: connecting{error}"),
        }
    }
}
