//! Telling clients what they have to forget.

use super::table::{Reader, Told};
use crate::pubsub::PushQueue;
use crate::thread::Thread;
use bytes::Bytes;
use damselfly_resp::{Proto, ReplyWriter};
use hashbrown::HashMap;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// Where those who speak RESP2 hear of keys.
const CHANNEL: &str = "__redis__:invalidate";

/// A client that tracks.
pub struct Tracked {
    /// Its id.
    pub id: u64,
    pub(super) queue: Rc<PushQueue>,
    /// Who is told in its place: its id and thread.
    pub redirect: Option<(u64, usize)>,
    /// Whether it is not told of its own changes.
    pub noloop: bool,
    /// Whether who is to be told in its place was gone.
    pub is_broken: Cell<bool>,
}

/// The clients of one thread that track.
#[derive(Default)]
pub struct Trackers {
    pub(super) clients: HashMap<u64, Rc<Tracked>>,
    pub(super) prefixes: BTreeMap<Vec<u8>, BTreeSet<u64>>,
}

/// A key, and who changed it.
type Change = (Arc<[u8]>, u64);

/// What is told to the clients of one thread.
enum Notice {
    Key(u64, Change),
    Prefixes(Arc<[Change]>),
    All(u64),
}

/// Tells the clients of all threads.
pub(crate) fn deliver(thread: &Thread, told: Vec<Told>) {
    let index = &thread.engine.tracking;
    let mut by_thread: BTreeMap<usize, Vec<Notice>> = BTreeMap::new();
    let mut broadcast = Vec::new();
    for told in told {
        match told {
            Told::All { writer } => {
                for at in (0..index.threads()).filter(|at| index.has_clients(*at)) {
                    by_thread.entry(at).or_default().push(Notice::All(writer));
                }
            }
            Told::Key {
                key,
                readers,
                broadcast: by_prefix,
                writer,
            } => {
                for Reader { id, thread } in readers {
                    let notice = Notice::Key(id, (key.clone(), writer));
                    by_thread.entry(thread as usize).or_default().push(notice);
                }
                if by_prefix {
                    broadcast.push((key, writer));
                }
            }
        }
    }
    if !broadcast.is_empty() {
        broadcast.sort();
        broadcast.dedup_by(|one, other| one.0 == other.0);
        let changes: Arc<[Change]> = broadcast.into();
        for at in (0..index.threads()).filter(|at| index.has_clients(*at)) {
            let notice = Notice::Prefixes(changes.clone());
            by_thread.entry(at).or_default().push(notice);
        }
    }
    for (at, notices) in by_thread {
        if at == thread.index {
            notices.into_iter().for_each(|notice| tell(thread, notice));
            continue;
        }
        let task = move |thread: &Rc<Thread>| {
            notices.into_iter().for_each(|notice| tell(thread, notice));
        };
        thread.engine.mesh.run_on(at, Box::new(task));
    }
}

fn tell(thread: &Thread, notice: Notice) {
    match notice {
        Notice::Key(id, (key, writer)) => {
            let tracked = thread.trackers.borrow().clients.get(&id).cloned();
            if let Some(tracked) = tracked.filter(|tracked| !tracked.is_own(writer)) {
                tracked.send(thread, &keys([&*key].into_iter()), writer);
            }
        }
        Notice::Prefixes(changes) => tell_prefixes(thread, &changes),
        Notice::All(writer) => {
            let clients: BTreeMap<u64, Rc<Tracked>> = {
                let trackers = thread.trackers.borrow();
                let clients = trackers.clients.iter();
                clients
                    .map(|(id, tracked)| (*id, tracked.clone()))
                    .collect()
            };
            for tracked in clients.values() {
                let nothing = match tracked.queue.proto.get() {
                    Proto::Resp2 => &b"$-1\r\n"[..],
                    Proto::Resp3 => b"_\r\n",
                };
                tracked.send(thread, nothing, writer);
            }
        }
    }
}

/// One message for each prefix and client, with all keys that changed.
fn tell_prefixes(thread: &Thread, changes: &[Change]) {
    let mut messages = Vec::new();
    let trackers = thread.trackers.borrow();
    for (prefix, clients) in &trackers.prefixes {
        let here: Vec<&Change> = changes
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .collect();
        for tracked in clients.iter().filter_map(|id| trackers.clients.get(id)) {
            let others = here.iter().filter(|(_, writer)| !tracked.is_own(*writer));
            let told: Vec<&[u8]> = others.map(|(key, _)| &**key).collect();
            if let Some((_, writer)) = here.first().filter(|_| !told.is_empty()) {
                messages.push((tracked.clone(), keys(told.into_iter()), *writer));
            }
        }
    }
    drop(trackers);
    for (tracked, payload, writer) in messages {
        tracked.send(thread, &payload, writer);
    }
}

fn keys<'a>(keys: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut out = ReplyWriter::new(&mut payload, Proto::Resp2);
    out.array(keys.len());
    keys.for_each(|key| out.bulk(key));
    payload
}

fn message(proto: Proto, head: &[&str], payload: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(payload.len() + 64);
    let mut out = ReplyWriter::new(&mut bytes, proto);
    out.push(head.len() + 1);
    head.iter().for_each(|word| out.bulk(word));
    out.raw(payload);
    bytes.into()
}

impl Tracked {
    /// Whether it does not want to hear of what this client changes, because it is itself.
    fn is_own(&self, writer: u64) -> bool {
        self.noloop && writer == self.id
    }

    /// Sends what is encoded already, to itself or to who is told in its place. Behind the reply, if the change was its own.
    fn send(self: &Rc<Self>, thread: &Thread, payload: &[u8], writer: u64) {
        let Some((target, at)) = self.redirect else {
            if self.queue.proto.get() == Proto::Resp3 {
                let message = message(Proto::Resp3, &["invalidate"], payload);
                self.queue.push_around_reply(message, writer == self.id);
            }
            return;
        };
        if at == thread.index {
            if !send_instead(thread, target, payload) {
                self.broken(target);
            }
            return;
        }
        let (from, id, payload) = (thread.index, self.id, payload.to_vec());
        let task = move |thread: &Rc<Thread>| {
            if !send_instead(thread, target, &payload) {
                let tell = move |thread: &Rc<Thread>| {
                    let tracked = thread.trackers.borrow().clients.get(&id).cloned();
                    tracked
                        .into_iter()
                        .for_each(|tracked| tracked.broken(target));
                };
                thread.engine.mesh.run_on(from, Box::new(tell));
            }
        };
        thread.engine.mesh.run_on(at, Box::new(task));
    }

    /// Who was to be told in its place is gone.
    fn broken(&self, target: u64) {
        self.is_broken.set(true);
        if self.queue.proto.get() == Proto::Resp3 {
            let number = format!(":{target}\r\n");
            let head = ["tracking-redir-broken"];
            self.queue
                .push(message(Proto::Resp3, &head, number.as_bytes()));
        }
    }
}

/// Tells a client in place of another. Whether it is there.
fn send_instead(thread: &Thread, target: u64, payload: &[u8]) -> bool {
    let Some(queue) = thread.push_queues.borrow().get(&target).cloned() else {
        return false;
    };
    match queue.proto.get() {
        Proto::Resp3 => queue.push(message(Proto::Resp3, &["invalidate"], payload)),
        Proto::Resp2 if queue.is_subscriber() => {
            queue.push(message(Proto::Resp2, &["message", CHANNEL], payload));
        }
        Proto::Resp2 => {}
    }
    true
}
