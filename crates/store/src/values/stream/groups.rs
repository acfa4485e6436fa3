//! The groups of a stream, and the guard that keeps account of their memory.

use std::ops::{Deref, DerefMut};

use super::Group;

/// Groups in the order of their names.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    list: Vec<Group>,
    /// What the groups have on the heap.
    bytes: usize,
}

impl Groups {
    pub(super) fn heap_size(&self) -> usize {
        size_of::<Groups>() + self.list.capacity() * size_of::<Group>() + self.bytes
    }

    pub(super) fn list(&self) -> &[Group] {
        &self.list
    }

    fn place(&self, name: &[u8]) -> Result<usize, usize> {
        self.list.binary_search_by(|group| group.name().cmp(name))
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Group> {
        self.place(name).ok().map(|at| &self.list[at])
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<GroupMut<'_>> {
        let at = self.place(name).ok()?;
        let group = &mut self.list[at];
        Some(GroupMut {
            before: group.heap_size(),
            group,
            sum: &mut self.bytes,
        })
    }

    pub(super) fn create(&mut self, group: Group) -> bool {
        let Err(at) = self.place(group.name()) else {
            return false;
        };
        if self.list.is_empty() {
            self.list.reserve_exact(1);
        }
        self.bytes += group.heap_size();
        self.list.insert(at, group);
        true
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let Ok(at) = self.place(name) else {
            return false;
        };
        let group = self.list.remove(at);
        self.bytes -= group.heap_size();
        true
    }

    /// Drops about so many pending entries, consumers and groups.
    pub(super) fn free_slice(&mut self, max_items: usize) {
        let mut freed = 0;
        while freed < max_items
            && let Some(group) = self.list.last_mut()
        {
            let before = group.heap_size();
            freed += 1 + group.free_slice(max_items - freed);
            self.bytes = self.bytes - before + group.heap_size();
            if group.is_freed() {
                self.bytes -= group.heap_size();
                self.list.pop();
            }
        }
    }
}

/// A group that may be changed. Its memory is counted when this is dropped.
#[derive(Debug)]
pub struct GroupMut<'a> {
    group: &'a mut Group,
    before: usize,
    sum: &'a mut usize,
}

impl Deref for GroupMut<'_> {
    type Target = Group;

    fn deref(&self) -> &Group {
        self.group
    }
}

impl DerefMut for GroupMut<'_> {
    fn deref_mut(&mut self) -> &mut Group {
        self.group
    }
}

impl Drop for GroupMut<'_> {
    fn drop(&mut self) {
        *self.sum = *self.sum - self.before + self.group.heap_size();
    }
}
