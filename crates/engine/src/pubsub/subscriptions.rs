//! Who subscribes to what: the table of a thread, and what one client has asked for.

use super::{Kind, Name, PushQueue};
use crate::thread::Thread;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// A client in the table of its thread.
struct Subscriber {
    since: u64,
    queue: Rc<PushQueue>,
}

/// By client id, so that everybody is served in the same order.
type Clients = BTreeMap<u64, Subscriber>;

/// The subscribers of one thread.
#[derive(Default)]
pub struct Subscribers {
    names: [HashMap<Name, Clients, foldhash::fast::RandomState>; 3],
}

impl Subscribers {
    /// Visits those who have subscribed before the stamp.
    pub(super) fn each(&self, kind: Kind, name: &[u8], stamp: u64, visit: impl Fn(&PushQueue)) {
        let clients = self.names[kind as usize].get(name);
        for subscriber in clients.into_iter().flat_map(BTreeMap::values) {
            if subscriber.since <= stamp {
                visit(&subscriber.queue);
            }
        }
    }

    /// The ids of the clients that have subscribed to something that is not allowed.
    pub fn with_other_than(&self, is_allowed: impl Fn(Kind, &[u8]) -> bool) -> Vec<u64> {
        let mut found = Vec::new();
        for kind in Kind::ALL {
            let names = self.names[kind as usize].iter();
            for (_, clients) in names.filter(|(name, _)| !is_allowed(kind, name)) {
                found.extend(clients.keys());
            }
        }
        found
    }

    fn add(&mut self, kind: Kind, name: &Name, since: u64, queue: &Rc<PushQueue>) {
        let subscriber = Subscriber {
            since,
            queue: queue.clone(),
        };
        let clients = self.names[kind as usize].entry(name.clone()).or_default();
        clients.insert(queue.id, subscriber);
    }

    fn remove(&mut self, kind: Kind, name: &Name, id: u64) {
        let names = &mut self.names[kind as usize];
        if let Some(clients) = names.get_mut(name) {
            clients.remove(&id);
            if clients.is_empty() {
                names.remove(name);
            }
        }
    }
}

/// What one client subscribes to, with the order in which it asked.
#[derive(Default)]
pub struct Subscriptions {
    names: [BTreeMap<Name, u64>; 3],
    asked: u64,
}

impl Subscriptions {
    /// How many names of a kind.
    pub fn len(&self, kind: Kind) -> usize {
        self.names[kind as usize].len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.iter().all(BTreeMap::is_empty)
    }

    /// The names of a kind, in the order of asking.
    pub fn names(&self, kind: Kind) -> Vec<Name> {
        let mut names: Vec<_> = self.names[kind as usize].iter().collect();
        names.sort_unstable_by_key(|(_, asked)| **asked);
        names.into_iter().map(|(name, _)| name.clone()).collect()
    }

    /// Subscribes. Nothing changes if it has been done before.
    pub(crate) fn add(&mut self, thread: &Thread, kind: Kind, name: &[u8], queue: &Rc<PushQueue>) {
        let names = &mut self.names[kind as usize];
        if names.contains_key(name) {
            return;
        }
        let name: Name = Arc::from(name);
        self.asked += 1;
        names.insert(name.clone(), self.asked);
        queue.set_subscribed(kind, names.len());
        let since = thread.engine.subscriptions.add(kind, &name, thread.index);
        let mut subscribers = thread.subscribers.borrow_mut();
        subscribers.add(kind, &name, since, queue);
    }

    /// Unsubscribes, if it subscribes.
    pub(crate) fn remove(&mut self, thread: &Thread, kind: Kind, name: &[u8], queue: &PushQueue) {
        let names = &mut self.names[kind as usize];
        if let Some((name, _)) = names.remove_entry(name) {
            queue.set_subscribed(kind, names.len());
            thread
                .engine
                .subscriptions
                .remove(kind, &name, thread.index);
            thread
                .subscribers
                .borrow_mut()
                .remove(kind, &name, queue.id);
        }
    }

    /// Unsubscribes from everything.
    pub(crate) fn clear(&mut self, thread: &Thread, queue: &PushQueue) {
        for kind in Kind::ALL {
            for name in self.names(kind) {
                self.remove(thread, kind, &name, queue);
            }
        }
    }
}
