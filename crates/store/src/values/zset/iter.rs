//! Walking a sorted set in order.

use super::large::Large;
use super::tree;
use super::{Form, score_at};
use crate::packed::{Item, Packed};

/// Members of a sorted set with their scores, in order.
#[derive(Clone)]
pub struct ZSetIter<'a>(Walk<'a>);

#[derive(Clone)]
enum Walk<'a> {
    Ascending {
        packed: &'a Packed<false>,
        at: usize,
    },
    /// The offsets of the members still to come, the next one last.
    Descending {
        packed: &'a Packed<false>,
        offsets: Vec<usize>,
    },
    Large {
        large: &'a Large,
        iter: tree::Iter<'a>,
    },
}

impl<'a> ZSetIter<'a> {
    pub(super) fn ascending(form: &'a Form, rank: usize) -> Self {
        ZSetIter(match form {
            Form::Packed(packed) => {
                let at = if rank < packed.len() / 2 {
                    packed.seek(2 * rank)
                } else {
                    packed.end()
                };
                Walk::Ascending { packed, at }
            }
            Form::Large(large) => Walk::Large {
                large,
                iter: large.tree.iter_from(rank, false),
            },
        })
    }

    pub(super) fn descending(form: &'a Form, rank: usize) -> Self {
        ZSetIter(match form {
            Form::Packed(packed) => {
                let count = if rank < packed.len() / 2 { rank + 1 } else { 0 };
                let mut at = packed.start();
                let mut offsets = Vec::with_capacity(count);
                for _ in 0..count {
                    offsets.push(at);
                    at = packed.skip(at, 2);
                }
                Walk::Descending { packed, offsets }
            }
            Form::Large(large) => Walk::Large {
                large,
                iter: large.tree.iter_from(rank, true),
            },
        })
    }
}

impl<'a> Iterator for ZSetIter<'a> {
    type Item = (Item<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Walk::Ascending { packed, at } => {
                if *at == packed.end() {
                    return None;
                }
                let member = *at;
                *at = packed.skip(member, 2);
                Some((packed.item(member), score_at(packed, member)))
            }
            Walk::Descending { packed, offsets } => {
                let member = offsets.pop()?;
                Some((packed.item(member), score_at(packed, member)))
            }
            Walk::Large { large, iter } => {
                let ranked = iter.next()?;
                Some((Item::borrowed(large.members.name(ranked.id)), ranked.score))
            }
        }
    }
}
