//! [`Group`]: a consumer group, with its consumers and their pending entries.

use super::StreamId;
use super::pending::{Consumer, ConsumerId, PendingEntry};
use super::runs::Runs;

/// A consumer group.
///
/// Pending entries stand once in the group, with all that is known of them, and as bare ids with their consumer.
#[derive(Clone, Debug)]
pub struct Group {
    name: Box<[u8]>,
    last_id: StreamId,
    entries_read: Option<u64>,
    pending: Runs<PendingEntry>,
    /// By [`ConsumerId`]; there are holes where consumers were removed.
    consumers: Vec<Option<Box<Consumer>>>,
    /// The consumers in the order of their names.
    by_name: Vec<ConsumerId>,
    /// What consumers, their names and their ids take.
    consumer_bytes: usize,
}

impl Group {
    pub(super) fn new(name: &[u8], last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group {
            name: name.into(),
            last_id,
            entries_read,
            pending: Runs::default(),
            consumers: Vec::new(),
            by_name: Vec::new(),
            consumer_bytes: 0,
        }
    }

    pub(super) fn heap_size(&self) -> usize {
        self.name.len()
            + self.pending.heap_size()
            + self.consumers.capacity() * size_of::<Option<Box<Consumer>>>()
            + self.by_name.capacity() * size_of::<ConsumerId>()
            + self.consumer_bytes
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The id of the last entry that was delivered.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// Sets the id of the last entry that was delivered.
    pub fn set_last_id(&mut self, id: StreamId) {
        self.last_id = id;
    }

    /// How many of the stream's entries were delivered or passed over, if that is known.
    pub fn entries_read(&self) -> Option<u64> {
        self.entries_read
    }

    /// Sets what [`Group::entries_read`] returns.
    pub fn set_entries_read(&mut self, count: Option<u64>) {
        self.entries_read = count;
    }

    /// How many consumers it has.
    pub fn consumer_count(&self) -> usize {
        self.by_name.len()
    }

    /// The consumers, in the order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerId, &Consumer)> {
        self.by_name.iter().map(|&id| (id, self.consumer(id)))
    }

    fn place_of(&self, name: &[u8]) -> Result<usize, usize> {
        self.by_name
            .binary_search_by(|&id| self.consumer(id).name().cmp(name))
    }

    /// The consumer of this name.
    pub fn consumer_id(&self, name: &[u8]) -> Option<ConsumerId> {
        self.place_of(name).ok().map(|at| self.by_name[at])
    }

    /// A consumer.
    ///
    /// # Panics
    /// When it was removed.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers[id.0 as usize]
            .as_ref()
            .expect("ids are not kept over a removal")
    }

    /// Changes a consumer and keeps the sum true.
    fn change<R>(&mut self, id: ConsumerId, change: impl FnOnce(&mut Consumer) -> R) -> R {
        let consumer = self.consumers[id.0 as usize]
            .as_mut()
            .expect("ids are not kept over a removal");
        let before = consumer.heap_size();
        let result = change(consumer);
        self.consumer_bytes = self.consumer_bytes - before + consumer.heap_size();
        result
    }

    /// Adds a consumer that was never active; `None` where the name is taken.
    pub fn create_consumer(&mut self, name: &[u8], seen_ms: i64) -> Option<ConsumerId> {
        let at = self.place_of(name).err()?;
        let consumer = Box::new(Consumer {
            name: name.into(),
            seen_ms,
            active_ms: -1,
            pending: Runs::default(),
        });
        self.consumer_bytes += size_of::<Consumer>() + consumer.heap_size();
        let hole = if self.by_name.len() < self.consumers.len() {
            self.consumers.iter().position(Option::is_none)
        } else {
            None
        };
        let slot = hole.unwrap_or_else(|| {
            self.consumers.push(None);
            self.consumers.len() - 1
        });
        let id = ConsumerId(u32::try_from(slot).expect("consumers do not fill the memory"));
        self.consumers[slot] = Some(consumer);
        self.by_name.insert(at, id);
        Some(id)
    }

    /// Removes a consumer with its pending entries; how many these were, or `None` where there is no such consumer.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let at = self.place_of(name).ok()?;
        let id = self.by_name.remove(at);
        let consumer = self.consumers[id.0 as usize].take()?;
        self.consumer_bytes -= size_of::<Consumer>() + consumer.heap_size();
        let count = consumer.pending.len();
        if count > self.pending.len() / 16 {
            self.pending.retain(|entry| entry.consumer != id);
        } else {
            for id in consumer.pending.iter() {
                let place = self.pending.find(*id).expect("it stands in both places");
                self.pending.remove(place);
            }
        }
        Some(count)
    }

    /// Notes when a consumer was heard of.
    pub fn set_seen(&mut self, consumer: ConsumerId, ms: i64) {
        self.change(consumer, |consumer| consumer.seen_ms = ms);
    }

    /// Notes when a consumer got or claimed something.
    pub fn set_active(&mut self, consumer: ConsumerId, ms: i64) {
        self.change(consumer, |consumer| consumer.active_ms = ms);
    }

    /// How many entries are pending.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// The pending entry of this id.
    pub fn pending(&self, id: StreamId) -> Option<PendingEntry> {
        self.pending.get(self.pending.find(id)?).copied()
    }

    /// Pending entries from `from` to `to`, both included, ascending.
    pub fn pending_range(
        &self,
        from: StreamId,
        to: StreamId,
    ) -> impl Iterator<Item = PendingEntry> {
        self.pending
            .iter_from(self.pending.lower_bound(from))
            .copied()
            .take_while(move |entry| entry.id <= to)
    }

    /// Pending entries of one consumer from `from` to `to`, both included, ascending.
    pub fn consumer_pending_range(
        &self,
        consumer: ConsumerId,
        from: StreamId,
        to: StreamId,
    ) -> impl Iterator<Item = PendingEntry> {
        let ids = &self.consumer(consumer).pending;
        ids.iter_from(ids.lower_bound(from))
            .take_while(move |id| **id <= to)
            .map(|id| self.pending(*id).expect("it stands in both places"))
    }

    /// The pending entry with the least id.
    pub fn first_pending(&self) -> Option<PendingEntry> {
        self.pending.get(self.pending.start()).copied()
    }

    /// The pending entry with the greatest id.
    pub fn last_pending(&self) -> Option<PendingEntry> {
        self.pending.last().copied()
    }

    /// Puts a pending entry there, or in the place of that with its id; whether it is new.
    pub fn set_pending(&mut self, entry: PendingEntry) -> bool {
        let (id, new_owner) = (entry.id, entry.consumer);
        let old = self
            .pending
            .find(id)
            .and_then(|place| self.pending.get_mut(place));
        let (is_new, old_owner) = match old {
            Some(old) => {
                let owner = std::mem::replace(old, entry).consumer;
                (false, Some(owner))
            }
            None => {
                self.pending.insert(entry);
                (true, None)
            }
        };
        if old_owner != Some(new_owner) {
            self.disown(old_owner, id);
            self.change(new_owner, |consumer| consumer.pending.insert(id));
        }
        is_new
    }

    fn disown(&mut self, owner: Option<ConsumerId>, id: StreamId) {
        if let Some(owner) = owner.filter(|owner| *owner != ConsumerId::NOBODY) {
            self.change(owner, |consumer| {
                let place = consumer.pending.find(id).expect("it stands in both places");
                consumer.pending.remove(place);
            });
        }
    }

    /// Removes the pending entry of this id: it was acknowledged, or is gone.
    pub fn remove_pending(&mut self, id: StreamId) -> Option<PendingEntry> {
        let entry = self.pending.remove(self.pending.find(id)?);
        self.disown(Some(entry.consumer), id);
        Some(entry)
    }

    /// Adds a pending entry whose consumer is not known yet; false where the id is there already.
    /// [`Group::load_owner`] has to follow.
    pub fn load_pending(&mut self, id: StreamId, delivered_ms: i64, deliveries: u64) -> bool {
        let is_new = self.pending.find(id).is_none();
        if is_new {
            self.pending.insert(PendingEntry {
                id,
                consumer: ConsumerId::NOBODY,
                delivered_ms,
                deliveries,
            });
        }
        is_new
    }

    /// Gives a loaded pending entry to a consumer; false where there is none with the id, or where it has one.
    pub fn load_owner(&mut self, consumer: ConsumerId, id: StreamId) -> bool {
        let found = self
            .pending
            .find(id)
            .and_then(|place| self.pending.get_mut(place));
        let Some(entry) = found.filter(|entry| entry.consumer == ConsumerId::NOBODY) else {
            return false;
        };
        entry.consumer = consumer;
        self.change(consumer, |consumer| consumer.pending.insert(id));
        true
    }

    /// Whether every pending entry has its consumer: so it must be once the group is loaded.
    pub fn is_loaded(&self) -> bool {
        let owned: usize = self
            .consumers()
            .map(|(_, consumer)| consumer.pending_count())
            .sum();
        owned == self.pending.len()
    }

    /// Drops about so many pending entries and consumers; how many. For values that nobody reads any more.
    pub(super) fn free_slice(&mut self, max_items: usize) -> usize {
        let mut freed = 0;
        while freed < max_items && self.pending.len() > 0 {
            freed += self.pending.pop_run(|_| {});
        }
        while freed < max_items
            && let Some(id) = self.by_name.last().copied()
        {
            let left = self.change(id, |consumer| {
                freed += consumer.pending.pop_run(|_| {});
                consumer.pending.len()
            });
            if left == 0 {
                self.by_name.pop();
                let consumer = self.consumers[id.0 as usize].take();
                let size = consumer.map_or(0, |gone| size_of::<Consumer>() + gone.heap_size());
                self.consumer_bytes -= size;
                freed += 1;
            }
        }
        freed
    }

    pub(super) fn is_freed(&self) -> bool {
        self.pending.len() == 0 && self.by_name.is_empty()
    }
}

#[cfg(test)]
impl Group {
    /// Checks that both places of pending entries agree, and the sum.
    pub(super) fn audit(&self) {
        self.pending.audit();
        assert!(self.is_loaded());
        let mut bytes = 0;
        for (id, consumer) in self.consumers() {
            consumer.pending.audit();
            bytes += size_of::<Consumer>() + consumer.heap_size();
            for pending in consumer.pending.iter() {
                assert_eq!(self.pending(*pending).map(|entry| entry.consumer), Some(id));
            }
        }
        assert_eq!(bytes, self.consumer_bytes);
        assert!(
            self.consumers()
                .map(|(_, consumer)| consumer.name())
                .is_sorted_by(|a, b| a < b)
        );
    }
}
