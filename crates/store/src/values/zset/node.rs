//! Nodes of the counted B+tree: what is done to one node and those below it.

use std::cmp::Ordering;

use super::members::Ranked;

/// Members in a leaf at most.
pub(super) const LEAF: usize = 64;

/// Children of an inner node at most.
pub(super) const FANOUT: usize = 48;

/// Nodes with less than one in so many of their places taken look for a neighbour to join.
const JOIN_BELOW: usize = 4;

/// A node. The children of an inner one all have the same depth; no node but an empty root is empty.
#[derive(Debug)]
pub(super) enum Node {
    Leaf(Box<Leaf>),
    Inner(Vec<Child>),
}

/// Members in order, their scores and numbers apart.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) len: usize,
    scores: [f64; LEAF],
    ids: [u32; LEAF],
}

/// A node below an inner node, with what one wants to know of it first.
#[derive(Clone, Debug)]
pub(super) struct Child {
    /// Members below.
    pub(super) count: usize,
    /// The least of them.
    pub(super) least: Ranked,
    pub(super) node: Node,
}

/// How many nodes a tree has: all that its heap size depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) leaves: usize,
    pub(super) inners: usize,
}

impl Sizes {
    pub(super) fn heap_size(self) -> usize {
        self.leaves * size_of::<Leaf>() + self.inners * FANOUT * size_of::<Child>()
    }

    fn forget(&mut self, node: &Node) {
        match node {
            Node::Leaf(_) => self.leaves -= 1,
            Node::Inner(_) => self.inners -= 1,
        }
    }
}

impl Clone for Node {
    fn clone(&self) -> Self {
        match self {
            Node::Leaf(leaf) => Node::Leaf(leaf.clone()),
            Node::Inner(children) => Node::inner(children.iter().cloned()),
        }
    }
}

impl Leaf {
    pub(super) fn new() -> Self {
        Leaf {
            len: 0,
            scores: [0.0; LEAF],
            ids: [0; LEAF],
        }
    }

    pub(super) fn get(&self, at: usize) -> Ranked {
        Ranked {
            score: self.scores[at],
            id: self.ids[at],
        }
    }

    /// How many members come first for which `before` holds; it holds for a prefix.
    pub(super) fn partition(&self, before: impl Fn(&Ranked) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low.midpoint(high);
            if before(&self.get(middle)) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        low
    }

    fn insert(&mut self, at: usize, new: Ranked) {
        self.scores.copy_within(at..self.len, at + 1);
        self.ids.copy_within(at..self.len, at + 1);
        (self.scores[at], self.ids[at]) = (new.score, new.id);
        self.len += 1;
    }

    fn remove(&mut self, at: usize) {
        self.scores.copy_within(at + 1..self.len, at);
        self.ids.copy_within(at + 1..self.len, at);
        self.len -= 1;
    }

    fn append(&mut self, other: &Leaf, from: usize) {
        let moved = other.len - from;
        self.scores[self.len..self.len + moved].copy_from_slice(&other.scores[from..other.len]);
        self.ids[self.len..self.len + moved].copy_from_slice(&other.ids[from..other.len]);
        self.len += moved;
    }

    /// Inserts into a full leaf; returns the leaf to the right of it.
    fn insert_splitting(&mut self, at: usize, new: Ranked) -> Leaf {
        let mut right = Leaf::new();
        if at == LEAF {
            right.insert(0, new);
        } else if at == 0 {
            right = std::mem::replace(self, right);
            self.insert(0, new);
        } else {
            let half = LEAF / 2;
            right.append(self, half);
            self.len = half;
            if at <= half {
                self.insert(at, new)
            } else {
                right.insert(at - half, new)
            }
        }
        right
    }
}

impl Child {
    pub(super) fn of(node: Node) -> Self {
        Child {
            count: node.count(),
            least: node.least(),
            node,
        }
    }
}

impl Node {
    pub(super) fn empty_leaf() -> Self {
        Node::Leaf(Box::new(Leaf::new()))
    }

    /// An inner node, with place for all the children that it may ever have.
    pub(super) fn inner(children: impl Iterator<Item = Child>) -> Self {
        let mut places = Vec::with_capacity(FANOUT);
        places.extend(children);
        Node::Inner(places)
    }

    fn count(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.len,
            Node::Inner(children) => children.iter().map(|child| child.count).sum(),
        }
    }

    fn least(&self) -> Ranked {
        match self {
            Node::Leaf(leaf) => leaf.get(0),
            Node::Inner(children) => children[0].least,
        }
    }

    /// Members or children.
    fn width(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.len,
            Node::Inner(children) => children.len(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Node::Leaf(_) => LEAF,
            Node::Inner(_) => FANOUT,
        }
    }

    /// Inserts `new`, which `order` compares with; returns the node that splits off to the right.
    pub(super) fn insert(
        &mut self,
        new: Ranked,
        order: &impl Fn(&Ranked) -> Ordering,
        sizes: &mut Sizes,
    ) -> Option<Node> {
        match self {
            Node::Leaf(leaf) => {
                let at = leaf.partition(|other| order(other).is_lt());
                if leaf.len < LEAF {
                    leaf.insert(at, new);
                    return None;
                }
                sizes.leaves += 1;
                Some(Node::Leaf(Box::new(leaf.insert_splitting(at, new))))
            }
            Node::Inner(children) => {
                let at = position(children, order);
                let child = &mut children[at];
                match child.node.insert(new, order, sizes) {
                    None => {
                        child.count += 1;
                        child.least = child.node.least();
                        None
                    }
                    Some(right) => {
                        child.count = child.node.count();
                        child.least = child.node.least();
                        insert_child(children, at + 1, Child::of(right), sizes)
                    }
                }
            }
        }
    }

    /// Removes the member that `order` finds equal, and which is there.
    pub(super) fn remove(&mut self, order: &impl Fn(&Ranked) -> Ordering, sizes: &mut Sizes) {
        match self {
            Node::Leaf(leaf) => {
                let at = leaf.partition(|other| order(other).is_lt());
                debug_assert!(at < leaf.len && order(&leaf.get(at)).is_eq());
                leaf.remove(at);
            }
            Node::Inner(children) => {
                let at = position(children, order);
                let child = &mut children[at];
                child.node.remove(order, sizes);
                child.count -= 1;
                if child.count == 0 {
                    sizes.forget(&children.remove(at).node);
                } else {
                    child.least = child.node.least();
                    join_around(children, at, sizes);
                }
            }
        }
    }

    /// Changes what the member that `order` finds equal, and which is there, is called.
    pub(super) fn renumber(&mut self, id: u32, order: &impl Fn(&Ranked) -> Ordering) {
        match self {
            Node::Leaf(leaf) => {
                let at = leaf.partition(|other| order(other).is_lt());
                leaf.ids[at] = id;
            }
            Node::Inner(children) => {
                let at = position(children, order);
                let child = &mut children[at];
                child.node.renumber(id, order);
                child.least = child.node.least();
            }
        }
    }

    /// Drops the last leaf; returns how many members it had.
    pub(super) fn pop_leaf(&mut self, sizes: &mut Sizes) -> usize {
        match self {
            Node::Leaf(leaf) => std::mem::take(&mut leaf.len),
            Node::Inner(children) => {
                let last = children.last_mut().expect("inner nodes are not empty");
                let freed = last.node.pop_leaf(sizes);
                last.count -= freed;
                if last.count == 0 {
                    sizes.forget(&last.node);
                    children.pop();
                }
                freed
            }
        }
    }
}

/// The child that `order` leads to.
fn position(children: &[Child], order: &impl Fn(&Ranked) -> Ordering) -> usize {
    children
        .partition_point(|child| order(&child.least).is_le())
        .saturating_sub(1)
}

/// Inserts a child; where there is no place, returns the node that splits off to the right.
fn insert_child(
    children: &mut Vec<Child>,
    at: usize,
    new: Child,
    sizes: &mut Sizes,
) -> Option<Node> {
    if children.len() < FANOUT {
        children.insert(at, new);
        return None;
    }
    sizes.inners += 1;
    if at == FANOUT {
        return Some(Node::inner(std::iter::once(new)));
    }
    let half = FANOUT / 2;
    let mut right = Vec::with_capacity(FANOUT);
    right.extend(children.drain(half..));
    if at <= half {
        children.insert(at, new)
    } else {
        right.insert(at - half, new)
    }
    Some(Node::Inner(right))
}

/// Joins child `at`, if it has become small, with a neighbour, if both fit into one node.
fn join_around(children: &mut Vec<Child>, at: usize, sizes: &mut Sizes) {
    let node = &children[at].node;
    if node.width() * JOIN_BELOW >= node.capacity() {
        return;
    }
    if !join_with_next(children, at, sizes) && at > 0 {
        join_with_next(children, at - 1, sizes);
    }
}

fn join_with_next(children: &mut Vec<Child>, at: usize, sizes: &mut Sizes) -> bool {
    let fits = |next: &Child| next.node.width() + children[at].node.width() <= next.node.capacity();
    if !children.get(at + 1).is_some_and(fits) {
        return false;
    }
    let next = children.remove(at + 1);
    sizes.forget(&next.node);
    let child = &mut children[at];
    child.count += next.count;
    match (&mut child.node, next.node) {
        (Node::Leaf(leaf), Node::Leaf(next)) => leaf.append(&next, 0),
        (Node::Inner(grandchildren), Node::Inner(mut next)) => grandchildren.append(&mut next),
        _ => unreachable!("the children of a node have the same depth"),
    }
    true
}

#[cfg(test)]
impl Node {
    /// Checks what is below; returns the number of members and the depth.
    pub(super) fn audit(&self, sizes: &mut Sizes) -> (usize, usize) {
        let children = match self {
            Node::Leaf(leaf) => {
                sizes.leaves += 1;
                assert!(leaf.scores[..leaf.len].is_sorted());
                return (leaf.len, 0);
            }
            Node::Inner(children) => children,
        };
        sizes.inners += 1;
        assert_eq!(children.capacity(), FANOUT);
        let below: Vec<(usize, usize)> = children
            .iter()
            .map(|child| child.node.audit(sizes))
            .collect();
        for (child, (count, _)) in children.iter().zip(&below) {
            let least = child.node.least();
            assert_eq!(
                (child.count, child.least.id, child.least.score),
                (*count, least.id, least.score)
            );
            assert!(*count > 0);
        }
        assert!(below.iter().all(|(_, depth)| *depth == below[0].1));
        (below.iter().map(|(count, _)| count).sum(), below[0].1 + 1)
    }
}
