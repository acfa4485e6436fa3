//! Walking a list from either end.

use super::{Blob, Form, List};
use crate::packed::Item;

/// Elements of a list, from both ends.
#[derive(Clone)]
pub struct ListIter<'a> {
    form: &'a Form,
    /// Where the next element of [`Iterator::next`] is.
    front: Cursor,
    /// Behind the next element of `next_back`; sought only when it is needed.
    back: Option<Cursor>,
    /// The index behind the last element of this iterator.
    end: usize,
    left: usize,
}

/// A node and an offset in its blob.
#[derive(Clone, Copy)]
struct Cursor {
    node: usize,
    at: usize,
}

fn blob(form: &Form, node: usize) -> &Blob {
    match form {
        Form::Small(blob) => blob,
        Form::Large(nodes) => nodes.blob(node),
    }
}

/// The cursor of the element at `index`, which is there.
fn seek(form: &Form, index: usize) -> Cursor {
    match form {
        Form::Small(blob) => Cursor {
            node: 0,
            at: blob.seek(index),
        },
        Form::Large(nodes) => {
            let place = nodes.place(index);
            Cursor {
                node: place.node,
                at: nodes.blob(place.node).seek(place.entry),
            }
        }
    }
}

impl<'a> ListIter<'a> {
    pub(super) fn new(list: &'a List, start: usize, count: usize) -> Self {
        let form = &list.0;
        let front = if count == 0 {
            Cursor { node: 0, at: 0 }
        } else {
            seek(form, start)
        };
        ListIter {
            form,
            front,
            back: None,
            end: start + count,
            left: count,
        }
    }
}

impl<'a> Iterator for ListIter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut current = blob(self.form, self.front.node);
        if self.front.at == current.end() {
            self.front.node += 1;
            current = blob(self.form, self.front.node);
            self.front.at = current.start();
        }
        let item = current.item(self.front.at);
        self.front.at = current.next(self.front.at);
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for ListIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut back = self.back.unwrap_or_else(|| {
            let last = seek(self.form, self.end - 1);
            Cursor {
                node: last.node,
                at: blob(self.form, last.node).next(last.at),
            }
        });
        let mut current = blob(self.form, back.node);
        if back.at == current.start() {
            back.node -= 1;
            current = blob(self.form, back.node);
            back.at = current.end();
        }
        back.at = current.prev(back.at);
        self.back = Some(back);
        Some(current.item(back.at))
    }
}

impl ExactSizeIterator for ListIter<'_> {}
