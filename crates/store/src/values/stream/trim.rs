//! Trimming, with the borders of Redis: nodes first, then entries of one node.

use super::StreamId;
use super::entries::Entries;

/// What trimming leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimTo {
    /// At most so many entries.
    MaxLen(u64),
    /// Entries with this id or greater ones.
    MinId(StreamId),
}

/// How to trim a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What is to be left.
    pub to: TrimTo,
    /// Only whole nodes go: a bit more may be left.
    pub approximate: bool,
    /// At most so many entries go, where it is not 0 (and where it is approximate).
    pub limit: u64,
}

/// Trims; how many entries went.
pub(super) fn trim(entries: &mut Entries, trim: Trim) -> usize {
    let mut removed = trim_nodes(entries, trim);
    if !trim.approximate {
        removed += match trim.to {
            TrimTo::MaxLen(max) => {
                let mut surplus = (entries.len() as u64).saturating_sub(max);
                entries.trim_within(|_| match surplus.checked_sub(1) {
                    Some(rest) => {
                        surplus = rest;
                        false
                    }
                    None => true,
                })
            }
            TrimTo::MinId(min) => entries.trim_within(|id| id >= min),
        };
    }
    if removed > 0 {
        entries.trimmed();
    }
    removed
}

/// Removes whole nodes.
fn trim_nodes(entries: &mut Entries, trim: Trim) -> usize {
    let mut removed = 0;
    loop {
        let len = entries.len() as u64;
        if let TrimTo::MaxLen(max) = trim.to
            && len <= max
        {
            return removed;
        }
        let taken = removed as u64 + entries.first_node_len() as u64;
        if trim.limit > 0 && taken > trim.limit {
            return removed;
        }
        let gone = entries.trim_node(|live, node| match trim.to {
            TrimTo::MaxLen(max) => len - live as u64 >= max,
            TrimTo::MinId(min) => node.last_id() < min,
        });
        match gone {
            Some(live) => removed += live,
            None => return removed,
        }
    }
}
