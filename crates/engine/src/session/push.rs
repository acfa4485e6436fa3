//! What a client is told without having asked for it just now, and what it publishes itself.

use super::Session;
use crate::pubsub::{PushQueue, Space, publish, record};
use damselfly_resp::{Proto, ReplyWriter};
use std::rc::Rc;

impl Session {
    /// Where pushes to this client wait; from now on its connection looks there.
    pub fn push_queue(&mut self) -> Rc<PushQueue> {
        let (id, proto, kill) = (self.id, self.proto, &self.kill);
        let (limits, queues) = (&self.thread.engine.output_limits, &self.thread.push_queues);
        let queue = self.pushes.get_or_insert_with(|| {
            let queue = PushQueue::new(id, proto, limits.clone(), kill.clone());
            queues.borrow_mut().insert(id, queue.clone());
            queue
        });
        queue.clone()
    }

    /// Changes the protocol of replies and pushes.
    pub fn set_proto(&mut self, proto: Proto) {
        self.proto = proto;
        if let Some(queue) = &self.pushes {
            queue.proto.set(proto);
        }
    }

    /// Puts the pushes that have come into `out` at `at`: before the reply that begins there, but for those that belong behind it.
    pub fn insert_pushes(&self, out: &mut Vec<u8>, at: usize) {
        let Some(queue) = self.pushes.as_ref().filter(|queue| !queue.is_empty()) else {
            return;
        };
        self.insert_pushes_after(0, queue, out, at);
        queue.take_into(0, out);
    }

    fn insert_pushes_after(&self, skipped: usize, queue: &PushQueue, out: &mut Vec<u8>, at: usize) {
        let reply = out.split_off(at.min(out.len()));
        queue.take_early_into(skipped, out);
        out.extend_from_slice(&reply);
    }

    /// How many pushes wait.
    pub(super) fn pushes_len(&self) -> usize {
        self.pushes.as_ref().map_or(0, |queue| queue.len())
    }

    /// In a transaction: puts those pushes before the reply at `at` that the command itself has brought about. As in Redis 7.0 they
    /// stand inside of the transaction's replies; what others have sent comes behind them.
    pub(super) fn insert_own_pushes(&self, others: usize, out: &mut Vec<u8>, at: usize) {
        if let Some(queue) = self.pushes.as_ref().filter(|queue| queue.len() > others) {
            self.insert_pushes_after(others, queue, out, at);
        }
    }

    /// Whether the client may only say what belongs to subscriptions: in RESP2 it could not tell a reply from a message.
    pub fn is_listening(&self) -> bool {
        self.proto == Proto::Resp2 && !self.subscriptions.is_empty()
    }

    /// Ends all its subscriptions.
    pub(crate) fn unsubscribe_all(&mut self) {
        if let Some(queue) = &self.pushes {
            self.subscriptions.clear(&self.thread, queue);
        }
    }

    /// Publishes, and answers how many get it. Replicas get it when [`Session::record_published`] is called.
    pub(super) fn publish(&mut self, space: Space, args: &[&[u8]], out: &mut Vec<u8>) {
        let receivers = self.publish_line(space, args);
        ReplyWriter::new(out, self.proto).integer(receivers as i64);
    }

    /// Publishes what a command line says, from inside a transaction or a script: how many get it. Whoever runs the transaction
    /// calls [`Session::record_published`] when it has ended.
    pub fn publish_line(&mut self, space: Space, args: &[&[u8]]) -> usize {
        if self.thread.engine.records_publishing() {
            let line = args.iter().map(|arg| arg.to_vec()).collect();
            self.published.push((self.db, line));
        }
        publish(&self.thread, space, args[1], args[2])
    }

    /// Has what was published recorded for replicas.
    pub async fn record_published(&mut self) {
        let lines = std::mem::take(&mut self.published);
        if record(&self.thread, lines).await {
            self.note_written(0);
        }
    }
}
