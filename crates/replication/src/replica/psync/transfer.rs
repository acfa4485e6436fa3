//! The RDB that a Redis sends: from a file, with its size said before, or straight from its memory, with a mark behind.

use damselfly_snapshot::{Event, RdbDecoder};

use super::{Position, preparation::Framing};
use crate::{config::ReplicaConfig, error::LinkError, ids::ID_LEN};

/// A Redis that follows another one tells with this field which database its stream goes on in.
const STREAM_DB: &[u8] = b"repl-stream-db";

#[derive(Debug)]
pub(super) struct Transfer {
    framing: Framing,
    rdb: RdbDecoder,
    /// Bytes that are not of the RDB.
    behind: Vec<u8>,
    /// Where the commands behind it begin.
    at: Position,
}

impl Transfer {
    pub(super) fn new(config: &ReplicaConfig, framing: Framing, at: Position) -> Transfer {
        Transfer {
            framing,
            rdb: RdbDecoder::splitting(config.limits.rdb.clone()).in_runs(),
            behind: Vec::new(),
            at,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.rdb.is_ended() {
            return self.behind.extend_from_slice(bytes);
        }
        let own = match &mut self.framing {
            Framing::Marked(_) => bytes.len(),
            Framing::Sized(left) => {
                let own = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                *left -= own as u64;
                own
            }
        };
        self.rdb.feed(&bytes[..own]);
        self.behind.extend_from_slice(&bytes[own..]);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.rdb.is_ended()
    }

    /// The next entry or field. `Ok(None)`: something else was read; `Err(None)`: more bytes are needed.
    pub(super) fn poll(&mut self) -> Result<Option<Event<'_>>, Option<LinkError>> {
        let event = self
            .rdb
            .next()
            .map_err(|error| Some(LinkError::Rdb { flow: 0, error }))?;
        match event {
            None if self.framing == Framing::Sized(0) => {
                Err(Some(order("the RDB is longer than was said")))
            }
            None => Err(None),
            Some(Event::JournalBlob { .. } | Event::FullSyncCut | Event::JournalOffset(_)) => {
                Err(Some(order("a Redis sent what only shard flows have")))
            }
            Some(Event::Aux { key, value }) if key == STREAM_DB => {
                let db = std::str::from_utf8(value)
                    .ok()
                    .and_then(|db| db.parse().ok());
                self.at.db = db.unwrap_or(0);
                Ok(None)
            }
            Some(Event::Eof(_)) => Ok(None),
            other => Ok(other),
        }
    }

    /// After the RDB: where the commands begin, and what is here of them; `None` until more bytes come.
    pub(super) fn poll_end(&mut self) -> Result<Option<(Position, Vec<u8>)>, LinkError> {
        let over = self.rdb.take_rest();
        self.behind.splice(0..0, over.iter().copied());
        match &self.framing {
            Framing::Sized(0) if over.is_empty() => {
                Ok(Some((self.at, std::mem::take(&mut self.behind))))
            }
            Framing::Sized(_) => Err(order("the RDB is shorter than was said")),
            Framing::Marked(mark) => {
                let got = &self.behind[..self.behind.len().min(ID_LEN)];
                if !mark.as_bytes().starts_with(got) {
                    return Err(LinkError::EofToken { flow: 0 });
                }
                if got.len() < ID_LEN {
                    return Ok(None);
                }
                Ok(Some((self.at, self.behind.split_off(ID_LEN))))
            }
        }
    }
}

fn order(what: &'static str) -> LinkError {
    LinkError::StreamOrder { flow: 0, what }
}
