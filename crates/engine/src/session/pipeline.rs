//! The replies of one pipeline, in order, while parts of it run on other threads.

use super::Session;
use crate::core::CommandBatch;
use crate::slow::SlowCommand;
use crate::thread::{PendingBatch, Thread};
use damselfly_resp::{Proto, ReplyWriter};
use std::rc::Rc;

/// Replies that are ready, and batches that are not.
#[derive(Default)]
pub struct Pipeline {
    /// Replies to be sent to the client.
    pub out: Vec<u8>,
    /// Replies that stand behind deferred ones.
    held: Vec<u8>,
    segments: Vec<Segment>,
    batches: Vec<(usize, CommandBatch)>,
    last_start: usize,
}

#[derive(Clone, Copy)]
enum Segment {
    /// The next replies of `held`, up to here.
    Held { end: usize },
    /// A reply of a batch.
    Deferred { batch: usize, index: usize },
}

impl Pipeline {
    /// Writes one reply in its place.
    pub fn reply<R>(&mut self, proto: Proto, write: impl FnOnce(&mut ReplyWriter<'_>) -> R) -> R {
        if self.segments.is_empty() {
            self.last_start = self.out.len();
            return write(&mut ReplyWriter::new(&mut self.out, proto));
        }
        self.last_start = self.held.len();
        let result = write(&mut ReplyWriter::new(&mut self.held, proto));
        let end = self.held.len();
        match self.segments.last_mut() {
            Some(Segment::Held { end: last }) => *last = end,
            _ => self.segments.push(Segment::Held { end }),
        }
        result
    }

    /// Undoes the last [`Pipeline::reply`], of a command that turned out to have to wait.
    pub(super) fn take_back(&mut self) {
        if self.segments.is_empty() {
            self.out.truncate(self.last_start);
        } else {
            self.held.truncate(self.last_start);
            let end = self.held.len();
            if let Some(Segment::Held { end: last }) = self.segments.last_mut() {
                *last = end;
            }
        }
    }

    /// Puts the pushes that have come before the reply that was written last, unless replies before it are still to come.
    pub fn insert_pushes(&mut self, session: &Session) {
        if self.segments.is_empty() {
            session.insert_pushes(&mut self.out, self.last_start);
        }
    }

    /// Whether commands for this shard already wait to be sent: later ones go behind them.
    pub(super) fn has_batch(&self, shard: usize) -> bool {
        self.batches.iter().any(|(other, _)| *other == shard)
    }

    /// Leaves a command to a batch for its shard.
    pub(super) fn defer(
        &mut self,
        shard: usize,
        proto: Proto,
        push: impl FnOnce(&mut CommandBatch) -> usize,
    ) {
        let batch = match self.batches.iter().position(|(other, _)| *other == shard) {
            Some(at) => at,
            None => {
                self.batches.push((shard, CommandBatch::new(proto)));
                self.batches.len() - 1
            }
        };
        let index = push(&mut self.batches[batch].1);
        self.segments.push(Segment::Deferred { batch, index });
    }

    /// Bytes that the pipeline holds: when they are many, finish before reading on.
    pub fn pending_bytes(&self) -> usize {
        self.out.len()
            + self.held.len()
            + self
                .batches
                .iter()
                .map(|(_, batch)| batch.arg_bytes())
                .sum::<usize>()
    }

    /// Whether anything waits for other threads.
    pub fn is_settled(&self) -> bool {
        self.segments.is_empty()
    }

    /// Gives the commands that took long.
    pub(super) async fn finish(&mut self, thread: &Rc<Thread>) -> Vec<SlowCommand> {
        if self.segments.is_empty() {
            return Vec::new();
        }
        let pending: Vec<PendingBatch> = self
            .batches
            .drain(..)
            .map(|(shard, batch)| thread.send_batch(shard, batch))
            .collect();
        let mut replies = crate::thread::join(pending).await;
        let mut held_at = 0;
        for segment in self.segments.drain(..) {
            match segment {
                Segment::Held { end } => {
                    self.out.extend_from_slice(&self.held[held_at..end]);
                    held_at = end;
                }
                Segment::Deferred { batch, index } => {
                    self.out.extend_from_slice(replies[batch].get(index))
                }
            }
        }
        self.held.clear();
        let slow = replies.iter_mut().map(|reply| &mut reply.slow);
        slow.flat_map(std::mem::take).collect()
    }
}
