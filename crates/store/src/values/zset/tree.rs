//! A counted B+tree: the order of a large sorted set.
//!
//! Leaves hold scores and member numbers; each child of an inner node is stored with the number of members
//! below it and with the least of them, so that a rank and a bound are found in one descent. Nodes that fall
//! below a quarter are joined with a neighbour when both fit into one. A full leaf that is extended at
//! either end is not halved, so that loading in order fills the leaves.

use std::cmp::Ordering;

use smallvec::SmallVec;

use super::members::Ranked;
use super::node::{Child, Leaf, Node, Sizes};

/// Members in order. Its owner knows the order and says it with every call.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: Node,
    len: usize,
    sizes: Sizes,
}

impl Tree {
    pub(super) fn new() -> Self {
        Tree {
            root: Node::empty_leaf(),
            len: 0,
            sizes: Sizes {
                leaves: 1,
                inners: 0,
            },
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn heap_size(&self) -> usize {
        self.sizes.heap_size()
    }

    /// Inserts `new`; `order` compares others with it.
    pub(super) fn insert(&mut self, new: Ranked, order: impl Fn(&Ranked) -> Ordering) {
        self.len += 1;
        if let Some(right) = self.root.insert(new, &order, &mut self.sizes) {
            let left = std::mem::replace(&mut self.root, Node::Inner(Vec::new()));
            self.root = Node::inner([Child::of(left), Child::of(right)].into_iter());
            self.sizes.inners += 1;
        }
    }

    /// Removes the member that `order` finds equal, and which is there.
    pub(super) fn remove(&mut self, order: impl Fn(&Ranked) -> Ordering) {
        self.root.remove(&order, &mut self.sizes);
        self.len -= 1;
        self.lower_root();
    }

    /// Takes away root nodes with a single child.
    fn lower_root(&mut self) {
        while let Node::Inner(children) = &mut self.root {
            match children.len() {
                0 => *self = Tree::new(),
                1 => {
                    self.root = children.remove(0).node;
                    self.sizes.inners -= 1;
                }
                _ => return,
            }
        }
    }

    /// Changes what the member that `order` finds equal, and which is there, is called.
    pub(super) fn renumber(&mut self, id: u32, order: impl Fn(&Ranked) -> Ordering) {
        self.root.renumber(id, &order);
    }

    /// How many members come first for which `before` holds; it holds for a prefix of the order.
    pub(super) fn partition(&self, before: impl Fn(&Ranked) -> bool) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return rank + leaf.partition(before),
                Node::Inner(children) => {
                    let behind = children.partition_point(|child| before(&child.least));
                    let Some(at) = behind.checked_sub(1) else {
                        return rank;
                    };
                    rank += children[..at]
                        .iter()
                        .map(|child| child.count)
                        .sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// The members from `rank` on, ascending, or descending where `reverse`.
    pub(super) fn iter_from(&self, rank: usize, reverse: bool) -> Iter<'_> {
        let mut iter = Iter {
            path: Path::new(),
            leaf: None,
            at: 0,
            reverse,
        };
        if rank < self.len {
            iter.seek(&self.root, rank);
        }
        iter
    }

    /// The member at `rank`.
    pub(super) fn get(&self, rank: usize) -> Option<Ranked> {
        self.iter_from(rank, false).next()
    }

    /// Drops the last leaf, if there is any member.
    pub(super) fn pop_leaf(&mut self) {
        self.len -= self.root.pop_leaf(&mut self.sizes);
        self.lower_root();
    }
}

/// The inner nodes above a leaf, each with the child that leads to it.
type Path<'a> = SmallVec<[(&'a [Child], usize); 6]>;

/// Members in order from some rank on.
#[derive(Clone, Debug)]
pub(super) struct Iter<'a> {
    path: Path<'a>,
    leaf: Option<&'a Leaf>,
    /// In the leaf: the next one.
    at: usize,
    reverse: bool,
}

impl<'a> Iter<'a> {
    fn seek(&mut self, mut node: &'a Node, mut rank: usize) {
        loop {
            match node {
                Node::Leaf(leaf) => {
                    (self.leaf, self.at) = (Some(&**leaf), rank);
                    return;
                }
                Node::Inner(children) => {
                    let mut at = 0;
                    while rank >= children[at].count {
                        rank -= children[at].count;
                        at += 1;
                    }
                    self.path.push((children, at));
                    node = &children[at].node;
                }
            }
        }
    }

    /// Goes to the neighbouring leaf; `None` behind the last.
    fn turn_page(&mut self) {
        self.leaf = None;
        while let Some((children, at)) = self.path.pop() {
            let neighbour = if self.reverse {
                at.wrapping_sub(1)
            } else {
                at + 1
            };
            if let Some(child) = children.get(neighbour) {
                self.path.push((children, neighbour));
                let rank = if self.reverse { child.count - 1 } else { 0 };
                return self.seek(&child.node, rank);
            }
        }
    }
}

impl Iterator for Iter<'_> {
    type Item = Ranked;

    #[inline]
    fn next(&mut self) -> Option<Ranked> {
        let leaf = self.leaf?;
        let ranked = leaf.get(self.at);
        match self.reverse {
            false if self.at + 1 < leaf.len => self.at += 1,
            true if self.at > 0 => self.at -= 1,
            _ => self.turn_page(),
        }
        Some(ranked)
    }
}

#[cfg(test)]
impl Tree {
    /// Checks every count and every bound.
    pub(super) fn audit(&self) {
        let mut sizes = Sizes::default();
        assert_eq!(self.root.audit(&mut sizes).0, self.len);
        assert_eq!(sizes, self.sizes);
    }
}
