//! The large form of a sorted set: members, an index of them by hash, and a tree of them by order.

use std::cmp::Ordering;

use super::super::buckets::Buckets;
use super::super::elem;
use super::members::{Members, Probe, Ranked};
use super::tree::Tree;

/// What dropping a leaf counts for in [`Large::free_slice`]: it holds no memory but its own.
const LEAF_COST: usize = 4;

/// The large form.
#[derive(Clone)]
pub(super) struct Large {
    pub(super) members: Members,
    pub(super) index: Buckets<u32>,
    pub(super) tree: Tree,
}

impl Large {
    pub(super) fn new() -> Self {
        Large {
            members: Members::new(),
            index: Buckets::new(),
            tree: Tree::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn heap_size(&self) -> usize {
        self.members.heap_size() + self.index.heap_size() + self.tree.heap_size()
    }

    /// The number of a member.
    pub(super) fn find(&self, name: &[u8]) -> Option<u32> {
        self.index
            .find(elem::hash(name), |&id| self.members.name(id) == name)
            .copied()
    }

    /// Sets a member's score; returns the score that it had.
    pub(super) fn insert(&mut self, name: &[u8], score: f64) -> Option<f64> {
        let Some(id) = self.find(name) else {
            let id = self.members.push(name, score);
            let members = &self.members;
            self.index
                .insert_new(elem::hash(name), id, |&id| members.hash(id));
            self.add_to_tree(id);
            return None;
        };
        let old = self.members.score(id);
        if old != score {
            self.remove_from_tree(id);
            self.members.set_score(id, score);
            self.add_to_tree(id);
        }
        Some(old)
    }

    fn add_to_tree(&mut self, id: u32) {
        let members = &self.members;
        let order = order_around(members, id);
        self.tree.insert(
            Ranked {
                score: members.score(id),
                id,
            },
            order,
        );
    }

    fn remove_from_tree(&mut self, id: u32) {
        self.tree.remove(order_around(&self.members, id));
    }

    /// Removes a member; returns the score that it had.
    pub(super) fn remove(&mut self, name: &[u8]) -> Option<f64> {
        let id = self.find(name)?;
        Some(self.remove_id(id))
    }

    /// Removes member `id`, and gives its number to the last one, so that numbers have no gaps.
    pub(super) fn remove_id(&mut self, id: u32) -> f64 {
        let score = self.members.score(id);
        self.remove_from_tree(id);
        let (members, index) = (&self.members, &mut self.index);
        index.remove(
            members.hash(id),
            |&other| other == id,
            |&id| members.hash(id),
        );
        let last = members.last_id();
        if last != id {
            self.tree.renumber(id, order_around(members, last));
            let moved = index.find_mut(members.hash(last), |&other| other == last);
            *moved.expect("every member is in the index") = id;
        }
        self.members.swap_remove(id);
        score
    }

    /// The rank of a member.
    pub(super) fn rank(&self, name: &[u8]) -> Option<usize> {
        let order = order_around(&self.members, self.find(name)?);
        Some(self.tree.partition(|other| order(other).is_lt()))
    }

    /// Drops about `max_items` members, from all three parts one after the other.
    pub(super) fn free_slice(&mut self, max_items: usize) {
        let mut left = max_items;
        while left > 0 && self.tree.len() > 0 {
            self.tree.pop_leaf();
            left = left.saturating_sub(LEAF_COST);
        }
        if left > 0 && self.index.len() > 0 {
            let before = self.index.len();
            self.index.free_slice(left, |_| ());
            left = left.saturating_sub(before - self.index.len());
        }
        if self.index.len() == 0 {
            self.members.free_slice(left);
        }
    }
}

/// Compares others with member `id`.
fn order_around(members: &Members, id: u32) -> impl Fn(&Ranked) -> Ordering + '_ {
    let probe = Probe {
        score: members.score(id),
        name: members.name(id),
    };
    move |other| members.compare(other, &probe)
}
