//! The records of what consumer groups have done: who has which entries pending, since when, and how often delivered.

use super::ids::IdText;
use crate::context::RewriteContext;
use crate::keyspace::EventClass;
use damselfly_store::values::stream::{PendingEntry, StreamId};
use smallvec::SmallVec;

/// Ids in one record at most.
const IDS_OF_A_RECORD: usize = 1024;

/// What a command has done to a group for one consumer.
pub(super) struct GroupChanges<'a> {
    pub(super) key: &'a [u8],
    pub(super) group: &'a [u8],
    pub(super) consumer: &'a [u8],
    /// The consumer is new.
    pub(super) created: bool,
    /// Pending entries that have been removed.
    pub(super) removed: Vec<StreamId>,
    /// Pending entries of the consumer that are new or have changed.
    pub(super) delivered: Vec<PendingEntry>,
    /// The last id of the group, as it is now.
    pub(super) last_id: StreamId,
    /// How many entries the group has read, where the last id has changed and that is to be told.
    pub(super) read: Option<Option<u64>>,
}

impl<'a> GroupChanges<'a> {
    pub(super) fn new(key: &'a [u8], group: &'a [u8], consumer: &'a [u8]) -> GroupChanges<'a> {
        GroupChanges {
            key,
            group,
            consumer,
            created: false,
            removed: Vec::new(),
            delivered: Vec::new(),
            last_id: StreamId::MIN,
            read: None,
        }
    }

    /// Whether nothing has changed that a replica has to know.
    pub(super) fn is_empty(&self) -> bool {
        !self.created && self.removed.is_empty() && self.delivered.is_empty() && self.read.is_none()
    }

    /// Records all of it.
    pub(super) fn record(&self, cx: &mut RewriteContext<'_>) {
        if self.created {
            let words: [&[u8]; 5] = [
                b"XGROUP",
                b"CREATECONSUMER",
                self.key,
                self.group,
                self.consumer,
            ];
            cx.effect(&words);
            cx.notify(EventClass::Stream, "xgroup-createconsumer", self.key);
        }
        for ids in self.removed.chunks(IDS_OF_A_RECORD) {
            self.record_removed(cx, ids);
        }
        let same = |a: &PendingEntry, b: &PendingEntry| {
            (a.delivered_ms, a.deliveries) == (b.delivered_ms, b.deliveries)
        };
        for alike in self.delivered.chunk_by(same) {
            for entries in alike.chunks(IDS_OF_A_RECORD) {
                self.record_delivered(cx, entries);
            }
        }
        if let Some(read) = self.read {
            self.record_last_id(cx, read);
        }
    }

    fn record_removed(&self, cx: &mut RewriteContext<'_>, ids: &[StreamId]) {
        let ids: Vec<IdText> = ids.iter().map(|id| IdText::of(*id)).collect();
        let mut words: Vec<&[u8]> = vec![b"XACK", self.key, self.group];
        words.extend(ids.iter().map(IdText::as_ref));
        cx.effect(&words);
    }

    /// `XCLAIM key group consumer 0 id… TIME t RETRYCOUNT n FORCE JUSTID LASTID id`
    fn record_delivered(&self, cx: &mut RewriteContext<'_>, entries: &[PendingEntry]) {
        let Some(first) = entries.first() else {
            return;
        };
        let ids: SmallVec<[IdText; 4]> = entries.iter().map(|entry| IdText::of(entry.id)).collect();
        let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
        let last_id = IdText::of(self.last_id);
        let mut words: SmallVec<[&[u8]; 16]> =
            SmallVec::from_slice(&[b"XCLAIM", self.key, self.group, self.consumer, b"0"]);
        words.extend(ids.iter().map(IdText::as_ref));
        words.extend_from_slice(&[
            b"TIME",
            time.format(first.delivered_ms).as_bytes(),
            b"RETRYCOUNT",
            count.format(first.deliveries.cast_signed()).as_bytes(),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            last_id.as_ref(),
        ]);
        cx.effect(&words);
    }

    fn record_last_id(&self, cx: &mut RewriteContext<'_>, read: Option<u64>) {
        let mut count = itoa::Buffer::new();
        cx.effect(&[
            b"XGROUP",
            b"SETID",
            self.key,
            self.group,
            IdText::of(self.last_id).as_ref(),
            b"ENTRIESREAD",
            count.format(read.map_or(-1, u64::cast_signed)).as_bytes(),
        ]);
    }
}
