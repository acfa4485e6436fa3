//! A message on its way to its subscribers.

use super::index::Audience;
use super::{Kind, Name, Space};
use crate::thread::Thread;
use bytes::Bytes;
use damselfly_resp::{Proto, ReplyWriter};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

/// What is sent, in the two versions of the protocol; made when it is first needed.
#[derive(Default)]
struct Encoded([OnceLock<Bytes>; 2]);

impl Encoded {
    fn get(&self, proto: Proto, parts: &[&[u8]]) -> Bytes {
        let place = &self.0[usize::from(proto == Proto::Resp3)];
        place.get_or_init(|| encode(proto, parts)).clone()
    }
}

fn encode(proto: Proto, parts: &[&[u8]]) -> Bytes {
    let room = parts.iter().map(|part| part.len() + 16).sum();
    let mut bytes = Vec::with_capacity(room);
    let mut out = ReplyWriter::new(&mut bytes, proto);
    out.push(parts.len());
    parts.iter().for_each(|part| out.bulk(part));
    bytes.into()
}

/// A message, shared by all threads that have subscribers.
pub(super) struct Message {
    pub(super) space: Space,
    pub(super) channel: Box<[u8]>,
    payload: Box<[u8]>,
    pub(super) stamp: u64,
    plain: Encoded,
    patterns: Vec<(Name, Encoded)>,
}

impl Message {
    /// The bytes for subscribers of the channel.
    pub(super) fn plain(&self, proto: Proto) -> Bytes {
        let word: &[u8] = match self.space {
            Space::Channels => b"message",
            Space::Shard => b"smessage",
        };
        self.plain.get(proto, &[word, &self.channel, &self.payload])
    }
}

/// Sends a message to all subscribers, from a thread of the engine. How many get it. Nothing waits: what is sent to another
/// thread arrives there in the order of sending.
pub fn publish(thread: &Rc<Thread>, space: Space, channel: &[u8], payload: &[u8]) -> usize {
    let Audience {
        receivers,
        threads,
        patterns,
        stamp,
    } = thread.engine.subscriptions.audience(space, channel);
    if receivers == 0 {
        return 0;
    }
    let message = Arc::new(Message {
        space,
        channel: channel.into(),
        payload: payload.into(),
        stamp,
        plain: Encoded::default(),
        patterns: patterns
            .into_iter()
            .map(|name| (name, Encoded::default()))
            .collect(),
    });
    for index in threads {
        if index == thread.index {
            thread.subscribers.borrow().deliver(&message);
            continue;
        }
        let message = message.clone();
        let task = move |thread: &Rc<Thread>| thread.subscribers.borrow().deliver(&message);
        thread.engine.mesh.run_on(index, Box::new(task));
    }
    receivers
}

impl super::Subscribers {
    /// Gives a message to those of this thread whom it is for.
    pub(super) fn deliver(&self, message: &Message) {
        let kind = Kind::from(message.space);
        self.each(kind, &message.channel, message.stamp, |queue| {
            queue.push(message.plain(queue.proto.get()));
        });
        for (pattern, encoded) in &message.patterns {
            self.each(Kind::Pattern, pattern, message.stamp, |queue| {
                let parts: [&[u8]; 4] = [b"pmessage", pattern, &message.channel, &message.payload];
                queue.push(encoded.get(queue.proto.get(), &parts));
            });
        }
    }
}
