//! Nodes that come from outside are looked at once, element by element, before they become part of a stream.

use std::fmt;

use super::{StreamId, listpack};
use crate::packed::Raw;

/// What is wrong in a node that came from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeError {
    /// The bytes are no listpack.
    Listpack,
    /// The elements are not laid out as a node's.
    Layout,
    /// There are more or fewer entries than the node says.
    Counts,
    /// Ids do not ascend.
    Order,
}

impl NodeError {
    /// The fault in words.
    pub fn why(self) -> &'static str {
        match self {
            NodeError::Listpack => "the listpack is broken",
            NodeError::Layout => "elements are not those of entries",
            NodeError::Counts => "entries are not as many as the node says",
            NodeError::Order => "ids do not ascend",
        }
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why())
    }
}

impl std::error::Error for NodeError {}

/// Live entries of a node that is good, with the first and the last of their ids.
pub(super) type Found = (usize, Option<(StreamId, StreamId)>);

/// Reads elements of a listpack that nobody has checked.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    elements: usize,
}

impl<'a> Walk<'a> {
    fn element(&mut self) -> Result<Raw<'a>, NodeError> {
        let (element, next) = listpack::checked(self.bytes, self.at).ok_or(NodeError::Listpack)?;
        self.at = next;
        self.elements += 1;
        Ok(element)
    }

    fn int(&mut self) -> Result<i64, NodeError> {
        match self.element()? {
            Raw::Int(int) => Ok(int),
            _ => Err(NodeError::Layout),
        }
    }

    /// A number of elements or entries, which can't be more than there are bytes.
    fn count(&mut self) -> Result<usize, NodeError> {
        let count = usize::try_from(self.int()?).map_err(|_| NodeError::Layout)?;
        if count > self.bytes.len() {
            return Err(NodeError::Layout);
        }
        Ok(count)
    }

    fn skip(&mut self, count: usize) -> Result<(), NodeError> {
        (0..count).try_for_each(|_| self.element().map(drop))
    }

    /// An entry of a node with the id `master` and `fields` fields: its id, and whether it is deleted.
    fn entry(&mut self, master: StreamId, fields: usize) -> Result<(StreamId, bool), NodeError> {
        let before = self.elements;
        let flags = self.bytes[self.at];
        // Flags are changed in place, so they have to be one byte.
        if self.int()? != i64::from(flags) || flags > 3 {
            return Err(NodeError::Layout);
        }
        let (ms, seq) = (self.int()?, self.int()?);
        let parts = if flags & 2 != 0 {
            fields
        } else {
            2 * self.count()?
        };
        self.skip(parts)?;
        let elements = self.elements - before;
        if self.count()? != elements {
            return Err(NodeError::Layout);
        }
        Ok((master.plus(ms, seq), flags & 1 != 0))
    }
}

/// Checks a node with the id `master`.
pub(super) fn check(master: StreamId, bytes: &[u8]) -> Result<Found, NodeError> {
    let stated = listpack::checked_header(bytes).ok_or(NodeError::Listpack)?;
    let mut walk = Walk {
        bytes,
        at: listpack::HEADER_BYTES,
        elements: 0,
    };
    let (live, deleted, fields) = (walk.count()?, walk.count()?, walk.count()?);
    walk.skip(fields)?;
    if walk.int()? != 0 {
        return Err(NodeError::Layout);
    }
    let (mut live_found, mut deleted_found) = (0, 0);
    let mut ids: Option<(StreamId, StreamId)> = None;
    while walk.at < listpack::end(bytes) {
        let (id, is_deleted) = walk.entry(master, fields)?;
        if is_deleted {
            deleted_found += 1;
            continue;
        }
        if id < master || id == StreamId::MIN || ids.is_some_and(|(_, last)| id <= last) {
            return Err(NodeError::Order);
        }
        live_found += 1;
        ids = Some((ids.map_or(id, |(first, _)| first), id));
    }
    let counted = stated.is_none_or(|stated| usize::from(stated) == walk.elements);
    if !counted || (live, deleted) != (live_found, deleted_found) || live + deleted == 0 {
        return Err(NodeError::Counts);
    }
    Ok((live, ids))
}
