//! What a replica passed over because this server does not have it (`--rdb_unknown_types=skip`): counted, and
//! listed as far as a bounded list goes.

use crate::command::Command;
use damselfly_replication::DataError;
use damselfly_store::DbIndex;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Keys that are listed; more are only counted.
const MAX_LISTED: usize = 1024;
/// Bytes of a key or of an argument that are kept.
const SHOWN_BYTES: usize = 256;
/// Words of a record that are shown.
const SHOWN_WORDS: usize = 3;

/// Commands of other servers that write, are not here yet, and have their first key behind a subcommand or operation.
const KEY_IS_SECOND: [&[u8]; 2] = [b"XGROUP", b"BITOP"];

/// What was passed over since the data set was last replaced. Shared by all threads; touched only when there is something to pass over.
#[derive(Debug, Default)]
pub struct Skipped {
    enabled: AtomicBool,
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    keys: u64,
    records: u64,
    listed: BTreeMap<(u32, Vec<u8>), (String, u64)>,
}

/// A key of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its database.
    pub db: u32,
    /// The key; its beginning if it is long.
    pub key: Vec<u8>,
    /// What was passed over first, and why.
    pub why: String,
    /// How often something of it was passed over.
    pub times: u64,
}

impl Skipped {
    /// Whether unknown things are passed over, instead of ending the link.
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Sets that.
    pub fn enable(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
    }

    /// Keys of full syncs, and records, that were passed over.
    pub fn counts(&self) -> (u64, u64) {
        let board = self.board();
        (board.keys, board.records)
    }

    /// The first of the keys that were passed over, ordered by database and key.
    pub fn listed(&self) -> Vec<SkippedKey> {
        let board = self.board();
        let entries = board.listed.iter();
        entries
            .map(|((db, key), (why, times))| SkippedKey {
                db: *db,
                key: key.clone(),
                why: why.clone(),
                times: *times,
            })
            .collect()
    }

    /// The data set is replaced: nothing of it has been passed over yet.
    pub(crate) fn clear(&self) {
        *self.board() = Board::default();
    }

    /// A key of a full sync.
    pub(crate) fn key(&self, db: u32, key: &[u8], why: String) {
        let mut board = self.board();
        board.keys += 1;
        board.list(db, key, why);
    }

    /// A record that could not be executed: passed over if that is wanted, else the error.
    pub(crate) fn record(
        &self,
        row: Option<&Command>,
        db: DbIndex,
        args: &[&[u8]],
        error: DataError,
    ) -> Result<(), DataError> {
        if !self.is_enabled() {
            return Err(error);
        }
        let mut board = self.board();
        board.records += 1;
        board.list(u32::from(db.0), first_key(row, args), error.message);
        Ok(())
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Board {
    fn list(&mut self, db: u32, key: &[u8], why: String) {
        let key = key[..key.len().min(SHOWN_BYTES)].to_vec();
        let full = self.listed.len() >= MAX_LISTED;
        match self.listed.entry((db, key)) {
            Entry::Occupied(mut listed) => listed.get_mut().1 += 1,
            Entry::Vacant(_) if full => {}
            Entry::Vacant(place) => {
                tracing::warn!(db, key = %place.key().1.escape_ascii(), why, "passed over");
                place.insert((why, 1));
                if self.listed.len() == MAX_LISTED {
                    tracing::warn!(
                        "{MAX_LISTED} keys were passed over; further ones are counted, and not listed"
                    );
                }
            }
        }
    }
}

/// The first key of a record: where its row says, or, if it has none, where most commands have it.
fn first_key<'a>(row: Option<&Command>, args: &[&'a [u8]]) -> &'a [u8] {
    let name = args.first().copied().unwrap_or_default();
    let known = row
        .and_then(|row| row.keys.positions(args).ok())
        .and_then(|keys| keys.first().map(|at| *at as usize));
    let second = KEY_IS_SECOND
        .iter()
        .any(|other| name.eq_ignore_ascii_case(other));
    let at = known.unwrap_or(if second { 2 } else { 1 });
    args.get(at).copied().unwrap_or_default()
}

/// The beginning of a command, for errors.
pub(crate) fn shown(args: &[&[u8]]) -> String {
    let words: Vec<String> = args
        .iter()
        .take(SHOWN_WORDS)
        .map(|arg| {
            arg[..arg.len().min(SHOWN_BYTES / 4)]
                .escape_ascii()
                .to_string()
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(skipped: &Skipped, line: &str) -> Result<(), DataError> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        skipped.record(
            None,
            DbIndex(0),
            &args,
            DataError::terminal(format!("unknown: {}", shown(&args))),
        )
    }

    #[test]
    fn what_is_unknown_ends_the_link_unless_it_is_to_be_passed_over() {
        let skipped = Skipped::default();
        assert_eq!(
            record(&skipped, "XADD s 1-1 f v"),
            Err(DataError::terminal("unknown: XADD s 1-1"))
        );
        assert_eq!(skipped.counts(), (0, 0));
        skipped.enable(true);
        record(&skipped, "XADD s 1-1 f v").unwrap();
        record(&skipped, "XADD s 1-2 f v").unwrap();
        record(&skipped, "xgroup CREATE t g 0").unwrap();
        record(&skipped, "NOTHING").unwrap();
        skipped.key(3, b"s", "a stream".into());
        assert_eq!(skipped.counts(), (1, 4));
        let listed: Vec<_> = skipped
            .listed()
            .into_iter()
            .map(|key| (key.db, key.key, key.why, key.times))
            .collect();
        let line =
            |db, key: &str, why: &str, times| (db, key.as_bytes().to_vec(), why.to_owned(), times);
        let expected = [
            line(0, "", "unknown: NOTHING", 1),
            line(0, "s", "unknown: XADD s 1-1", 2),
            line(0, "t", "unknown: xgroup CREATE t", 1),
            line(3, "s", "a stream", 1),
        ];
        assert_eq!(listed, expected);
        skipped.clear();
        assert!(skipped.counts() == (0, 0) && skipped.listed().is_empty() && skipped.is_enabled());
    }

    #[test]
    fn the_list_is_bounded_and_the_count_is_not() {
        let skipped = Skipped::default();
        for number in 0..2 * MAX_LISTED {
            skipped.key(
                0,
                format!("{number:0>1000}").as_bytes(),
                "what it is".into(),
            );
            skipped.key(0, format!("{number}").as_bytes(), "what it is".into());
        }
        assert_eq!(skipped.counts().0, 4 * MAX_LISTED as u64);
        assert_eq!(skipped.listed().len(), MAX_LISTED);
        assert!(
            skipped
                .listed()
                .iter()
                .all(|key| key.key.len() <= SHOWN_BYTES)
        );
    }
}
