//! What one client has asked for.

use super::{Caller, Tracked};
use crate::session::Session;
use crate::thread::Thread;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Which of the keys that it reads a client is told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// All.
    #[default]
    All,
    /// Those of a command before which it says so (OPTIN).
    OptIn,
    /// Those of a command before which it does not say otherwise (OPTOUT).
    OptOut,
    /// Whatever it reads, all that change under its prefixes (BCAST).
    Broadcast,
}

/// What CLIENT TRACKING ON asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackingOptions {
    /// Which keys.
    pub mode: Mode,
    /// Not of its own changes.
    pub noloop: bool,
    /// Who is told in its place: its id and thread.
    pub redirect: Option<(u64, usize)>,
    /// Prefixes, for [`Mode::Broadcast`].
    pub prefixes: Vec<Vec<u8>>,
}

/// A client's tracking.
#[derive(Default)]
pub struct Tracking {
    on: Option<Rc<Tracked>>,
    /// Which keys.
    pub mode: Mode,
    /// Its prefixes.
    pub prefixes: BTreeSet<Vec<u8>>,
    /// Whether CLIENT CACHING was said for the next command.
    pub caching: bool,
    /// Whether that command has been.
    spent: bool,
}

impl Tracking {
    /// What it is told of, if it tracks.
    pub fn tracked(&self) -> Option<&Tracked> {
        self.on.as_deref()
    }

    fn remembers(&self) -> bool {
        self.on.is_some()
            && match self.mode {
                Mode::All => true,
                Mode::OptIn => self.caching,
                Mode::OptOut => !self.caching,
                Mode::Broadcast => false,
            }
    }

    /// CLIENT CACHING: the next command is another one than usual.
    pub fn mark_next(&mut self) {
        (self.caching, self.spent) = (true, false);
    }

    fn disable(&mut self, thread: &Thread) {
        let Some(tracked) = self.on.take() else {
            return;
        };
        let mut trackers = thread.trackers.borrow_mut();
        trackers.clients.remove(&tracked.id);
        thread.engine.tracking.remove_client(thread.index);
        for prefix in std::mem::take(&mut self.prefixes) {
            thread.engine.tracking.remove_prefix(&prefix);
            if let Some(clients) = trackers.prefixes.get_mut(&prefix) {
                clients.remove(&tracked.id);
                if clients.is_empty() {
                    trackers.prefixes.remove(&prefix);
                }
            }
        }
        *self = Tracking::default();
    }
}

impl Session {
    /// Begins to track, or changes how; prefixes come on top of those that are there.
    pub fn track(&mut self, options: TrackingOptions) {
        let tracked = Rc::new(Tracked {
            id: self.id,
            queue: self.push_queue(),
            redirect: options.redirect,
            noloop: options.noloop,
            is_broken: Cell::new(false),
        });
        let (thread, index) = (&self.thread, &self.thread.engine.tracking);
        let mut trackers = thread.trackers.borrow_mut();
        if self.tracking.on.is_none() {
            index.add_client(thread.index);
        }
        trackers.clients.insert(self.id, tracked.clone());
        self.tracking.on = Some(tracked);
        self.tracking.mode = options.mode;
        if options.mode != Mode::Broadcast {
            return;
        }
        let mut prefixes = options.prefixes;
        if prefixes.is_empty() {
            prefixes.push(Vec::new());
        }
        for prefix in prefixes {
            if self.tracking.prefixes.insert(prefix.clone()) {
                index.add_prefix(&prefix);
                trackers.prefixes.entry(prefix).or_default().insert(self.id);
            }
        }
    }

    /// Tracks no more.
    pub fn untrack(&mut self) {
        self.tracking.disable(&self.thread);
    }

    /// A command begins: what was said for the one before holds no more. `is_about_clients` is a command of CLIENT, for which nothing
    /// is said.
    pub(crate) fn begin_tracked(&mut self, is_about_clients: bool) {
        let in_multi = self.multi.is_some();
        let tracking = &mut self.tracking;
        if tracking.spent && !in_multi {
            (tracking.caching, tracking.spent) = (false, false);
        }
        tracking.spent |= tracking.caching && !is_about_clients;
    }

    /// On whose behalf a shard runs a command of this session that reads, or one that writes.
    #[inline]
    pub(crate) fn caller(&self, reads: bool) -> Caller {
        if let Some(caller) = self.acts_for {
            let tracks = caller.tracks.filter(|_| reads);
            return Caller { tracks, ..caller };
        }
        let is_used = self.thread.engine.tracking.is_used();
        let tracks = is_used && reads && self.tracking.remembers();
        Caller {
            quiet: self.no_touch,
            id: if is_used { self.id } else { 0 },
            tracks: tracks.then_some(self.thread.index as u32),
        }
    }
}
