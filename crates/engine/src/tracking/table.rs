//! Which clients have read which keys of a shard.

use super::TrackingIndex;
use crate::core::ShardCore;
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// On whose behalf a shard works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caller {
    /// Whether its uses of keys don't count (CLIENT NO-TOUCH).
    pub quiet: bool,
    /// The client's id; 0 where nobody tracks anything, or no client is at work.
    pub id: u64,
    /// Its thread, if what it reads is to be remembered.
    pub tracks: Option<u32>,
}

/// A client that has read a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reader {
    pub(super) id: u64,
    pub(super) thread: u32,
}

/// What clients have to be told.
pub(crate) enum Told {
    /// A key has changed.
    Key {
        key: Arc<[u8]>,
        /// Those who have read it.
        readers: SmallVec<[Reader; 2]>,
        /// Whether those are told, too, who are told by prefix.
        broadcast: bool,
        /// Who changed it.
        writer: u64,
    },
    /// All keys may have changed.
    All { writer: u64 },
}

/// What a shard knows of client-side caches.
#[derive(Default)]
pub struct TrackingTable {
    /// For whom the shard works.
    caller: Caller,
    /// By name alone, whatever the database, as in Redis.
    keys: IndexMap<Box<[u8]>, SmallVec<[Reader; 2]>, RandomState>,
    items: usize,
    index: Arc<TrackingIndex>,
    /// Whether this shard tells of what happens on all of them.
    tells_all: bool,
    pending: Vec<Told>,
}

impl TrackingTable {
    /// That of a shard of an engine.
    pub(crate) fn new(index: Arc<TrackingIndex>, shard: usize) -> TrackingTable {
        TrackingTable {
            index,
            tells_all: shard == 0,
            ..TrackingTable::default()
        }
    }

    /// Keys that are remembered, and clients at all of them.
    pub fn totals(&self) -> (usize, usize) {
        (self.keys.len(), self.items)
    }

    /// Whether nobody has to be told of a change.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.keys.is_empty() && self.index.prefixes() == 0
    }

    /// Whether what the caller reads is to be remembered.
    #[inline]
    pub(crate) fn remembers(&self) -> bool {
        self.caller.tracks.is_some()
    }

    /// The caller has read a key. A key of another reader may have to give way, as `random` chooses.
    pub(crate) fn remember(&mut self, key: &[u8], random: u64) {
        let Caller {
            id,
            tracks: Some(thread),
            ..
        } = self.caller
        else {
            return;
        };
        let reader = Reader { id, thread };
        match self.keys.get_mut(key) {
            Some(readers) if readers.contains(&reader) => return,
            Some(readers) => readers.push(reader),
            None => drop(
                self.keys
                    .insert(key.into(), SmallVec::from_slice(&[reader])),
            ),
        }
        self.items += 1;
        let most = self.index.max_keys();
        if most > 0 && self.keys.len() > most {
            self.give_up((random % self.keys.len() as u64) as usize);
        }
    }

    /// Forgets a key; its readers are told as if it had changed.
    fn give_up(&mut self, at: usize) {
        if let Some((key, readers)) = self.keys.swap_remove_index(at) {
            self.items -= readers.len();
            self.pending.push(Told::Key {
                key: key.into(),
                readers,
                broadcast: false,
                writer: 0,
            });
        }
    }

    /// A key has changed.
    pub(crate) fn changed(&mut self, key: &[u8]) {
        let readers = self.keys.swap_remove(key).unwrap_or_default();
        let broadcast = self.index.is_broadcast(key);
        if readers.is_empty() && !broadcast {
            return;
        }
        self.items -= readers.len();
        self.pending.push(Told::Key {
            key: key.into(),
            readers,
            broadcast,
            writer: self.caller.id,
        });
    }

    /// All keys, or all of a database, are gone.
    pub(crate) fn flushed(&mut self) {
        self.keys = IndexMap::default();
        self.items = 0;
        if self.tells_all && self.index.is_used() {
            let writer = self.caller.id;
            self.pending.push(Told::All { writer });
        }
    }

    /// Whether somebody has to be told something.
    #[inline]
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(crate) fn take_pending(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.pending)
    }
}

impl ShardCore {
    /// Does some work of a client.
    #[inline]
    pub(crate) fn as_caller<R>(
        &mut self,
        caller: Caller,
        work: impl FnOnce(&mut ShardCore) -> R,
    ) -> R {
        if caller == Caller::default() {
            return work(self);
        }
        self.space.tracking.caller = caller;
        let result = self.quietly(caller.quiet, work);
        self.space.tracking.caller = Caller::default();
        result
    }

    /// Notes that keys have been read, for a client that keeps them.
    #[inline]
    pub(crate) fn note_read<'a>(&mut self, keys: impl Iterator<Item = &'a [u8]>) {
        if self.space.tracking.remembers() {
            for key in keys {
                let random = self.space.random();
                self.space.tracking.remember(key, random);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(max_keys: u64) -> TrackingTable {
        let index = Arc::new(TrackingIndex::new(1));
        index.set_max_keys(max_keys, 1);
        let mut table = TrackingTable::new(index, 0);
        table.caller = Caller {
            id: 7,
            tracks: Some(0),
            ..Caller::default()
        };
        table
    }

    #[test]
    fn a_key_is_told_once_for_each_reading() {
        let mut table = table(0);
        table.remember(b"a", 0);
        table.remember(b"a", 0);
        assert_eq!(table.totals(), (1, 1));
        table.changed(b"b");
        assert!(!table.has_pending());
        table.changed(b"a");
        table.changed(b"a");
        assert_eq!((table.take_pending().len(), table.totals()), (1, (0, 0)));
        assert!(table.is_idle());
    }

    #[test]
    fn the_table_is_bounded_and_who_is_forgotten_is_told() {
        let mut table = table(10);
        for number in 0..100u64 {
            table.remember(number.to_string().as_bytes(), number * 7_919);
        }
        assert_eq!((table.totals(), table.take_pending().len()), ((10, 10), 90));
    }
}
