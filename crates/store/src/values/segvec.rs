//! A vector that never moves more than one segment of its elements.

/// Elements of a segment. The first segment grows as a `Vec` does, so that small ones stay small.
const SEGMENT: usize = 256;

/// A vector in segments: pushing never copies more than a segment and the list of segments.
#[derive(Debug)]
pub(super) struct SegVec<T> {
    segments: Vec<Vec<T>>,
    len: usize,
}

impl<T> SegVec<T> {
    pub(super) const fn new() -> Self {
        SegVec {
            segments: Vec::new(),
            len: 0,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated for the segments and their list.
    pub(super) fn heap_size(&self) -> usize {
        let first = self.segments.first().map_or(0, Vec::capacity);
        let others = self.segments.len().saturating_sub(1) * SEGMENT;
        (first + others) * size_of::<T>() + self.segments.capacity() * size_of::<Vec<T>>()
    }

    pub(super) fn push(&mut self, item: T) {
        let segment = self.len / SEGMENT;
        if segment == self.segments.len() {
            self.segments
                .push(Vec::with_capacity(if segment == 0 { 1 } else { SEGMENT }));
        }
        self.segments[segment].push(item);
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let last = self.segments.last_mut()?;
        let item = last.pop();
        if last.is_empty() {
            self.segments.pop();
            shrink(&mut self.segments);
        }
        if let [first] = &mut self.segments[..] {
            shrink(first);
        }
        self.len -= 1;
        item
    }

    /// Removes the element at `index`; the last one takes its place.
    pub(super) fn swap_remove(&mut self, index: usize) -> T {
        let last = self.pop().expect("there is an element at `index`");
        if index == self.len {
            last
        } else {
            std::mem::replace(&mut self[index], last)
        }
    }
}

/// Gives back what is more than four times what is needed.
fn shrink<T>(vec: &mut Vec<T>) {
    if vec.len() * 4 < vec.capacity() {
        vec.shrink_to(vec.len() * 2);
    }
}

impl<T> std::ops::Index<usize> for SegVec<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        &self.segments[index / SEGMENT][index % SEGMENT]
    }
}

impl<T> std::ops::IndexMut<usize> for SegVec<T> {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.segments[index / SEGMENT][index % SEGMENT]
    }
}

impl<T: Clone> Clone for SegVec<T> {
    fn clone(&self) -> Self {
        let copy = |(segment, items): (usize, &Vec<T>)| {
            let mut copy = Vec::with_capacity(if segment == 0 { items.len() } else { SEGMENT });
            copy.extend_from_slice(items);
            copy
        };
        SegVec {
            segments: self.segments.iter().enumerate().map(copy).collect(),
            len: self.len,
        }
    }
}
