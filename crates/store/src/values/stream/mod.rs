//! Streams: logs of entries with ids, read by consumer groups.
//!
//! Entries stand in nodes of up to a hundred, each one listpack in exactly the form that Redis has in memory and in RDB
//! files (`node`): ids are differences to the node's, and field names that repeat are not repeated. Nodes stand in runs
//! (`runs`), so that finding one is a binary search and no change moves more than a run.
//!
//! Where a node ends depends on the entries alone, as in Redis, so that approximate trimming removes the same ones.
//! A deleted entry is marked; a node without live entries goes, and one that gets no more entries is
//! written anew when most of it is deleted (Redis keeps those).
//!
//! An empty stream is a value like any other: it keeps its last id and its groups.

mod check;
mod entries;
mod entry;
mod group;
mod groups;
mod id;
mod listpack;
mod node;
mod pending;
mod runs;
mod trim;

use std::fmt;
use std::ops::Deref;

pub use check::NodeError;
pub use entries::{AppendError, Entries};
pub use entry::{Entry, Fields, StreamRange};
pub use group::Group;
pub use groups::GroupMut;
pub use id::StreamId;
pub use pending::{Consumer, ConsumerId, PendingEntry};
pub use trim::{Trim, TrimTo};

use self::groups::Groups;
use super::limits::Limits;

/// A stream. What can be read of its entries is in [`Entries`], to which it derefs.
#[derive(Clone, Default)]
pub struct Stream {
    entries: Entries,
    groups: Option<Box<Groups>>,
}

const _: () = assert!(size_of::<Stream>() <= 104);

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.fmt(f)
    }
}

impl Deref for Stream {
    type Target = Entries;

    fn deref(&self) -> &Entries {
        &self.entries
    }
}

impl Stream {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes on the heap behind this struct.
    pub fn heap_size(&self) -> usize {
        self.entries.heap_size() + self.groups.as_ref().map_or(0, |groups| groups.heap_size())
    }

    /// The name that Redis 7.0's OBJECT ENCODING gives a stream.
    pub fn redis_encoding(&self) -> &'static str {
        "stream"
    }

    /// The entries, for use beside a [`GroupMut`].
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Appends an entry, with Redis's default limits for nodes.
    ///
    /// # Errors
    /// [`AppendError`]; nothing has changed then.
    pub fn append<'a, I>(&mut self, id: StreamId, fields: I) -> Result<(), AppendError>
    where
        I: ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        self.append_within(id, fields, &Limits::REDIS_7)
    }

    /// As [`Stream::append`], with other limits.
    ///
    /// # Errors
    /// [`AppendError`]; nothing has changed then.
    pub fn append_within<'a, I>(
        &mut self,
        id: StreamId,
        fields: I,
        limits: &Limits,
    ) -> Result<(), AppendError>
    where
        I: ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        self.entries.append(id, fields, limits)
    }

    /// Sets the id that the next entry's must be greater than. It must not be below that of the last entry.
    pub fn set_last_id(&mut self, id: StreamId) {
        self.entries.set_last_id(id);
    }

    /// Sets the greatest id that was ever deleted.
    pub fn set_max_deleted_id(&mut self, id: StreamId) {
        self.entries.set_max_deleted_id(id);
    }

    /// Sets how many entries were ever added.
    pub fn set_entries_added(&mut self, count: u64) {
        self.entries.set_entries_added(count);
    }

    /// Removes an entry; false where there is none with this id. Pending entries stay.
    pub fn delete(&mut self, id: StreamId) -> bool {
        self.entries.delete(id)
    }

    /// Removes entries from the front, those that Redis would; how many.
    pub fn trim(&mut self, trim: Trim) -> usize {
        trim::trim(&mut self.entries, trim)
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups().len()
    }

    /// The groups, in the order of their names.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Group> {
        let list = self.groups.as_ref().map_or(&[][..], |groups| groups.list());
        list.iter()
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.as_ref()?.get(name)
    }

    /// Adds a group; false where the name is taken.
    pub fn create_group(
        &mut self,
        name: &[u8],
        last_id: StreamId,
        entries_read: Option<u64>,
    ) -> bool {
        self.groups
            .get_or_insert_default()
            .create(Group::new(name, last_id, entries_read))
    }

    /// Removes a group; whether it was there.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let Some(groups) = &mut self.groups else {
            return false;
        };
        let removed = groups.remove(name);
        if groups.list().is_empty() {
            self.groups = None;
        }
        removed
    }

    /// The group of this name, to be changed.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<GroupMut<'_>> {
        self.groups.as_mut()?.get_mut(name)
    }

    /// The group of this name, to be changed while the entries are read.
    pub fn entries_and_group(&mut self, name: &[u8]) -> Option<(&Entries, GroupMut<'_>)> {
        let group = self.groups.as_mut()?.get_mut(name)?;
        Some((&self.entries, group))
    }

    /// Ids and listpacks of the nodes from `id` on, ascending.
    pub fn listpacks_from(&self, id: StreamId) -> impl Iterator<Item = (StreamId, &[u8])> {
        self.entries.listpacks_from(id)
    }

    /// Appends a node as [`Stream::listpacks_from`] gives them. The last id is raised to that of its last entry;
    /// how many entries were added is to be set afterwards.
    ///
    /// # Errors
    /// [`NodeError`]: whatever the bytes are, a stream stays one.
    pub fn push_listpack(&mut self, id: StreamId, listpack: &[u8]) -> Result<(), NodeError> {
        self.entries.push_node(id, listpack)
    }

    /// Drops about `max_items` entries; true when nothing is left. See the [module](super).
    pub fn free_slice(&mut self, max_items: usize) -> bool {
        let freed = self.entries.free_slice(max_items);
        if let Some(groups) = &mut self.groups {
            groups.free_slice(max_items.saturating_sub(freed));
            if groups.list().is_empty() {
                self.groups = None;
            }
        }
        self.groups.is_none() && self.entries.node_count() == 0
    }
}

#[cfg(test)]
mod tests;
