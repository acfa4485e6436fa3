//! At rest all servers hold the same: every library of functions, key, value and expiry time (`DEBUG DIGEST STRICT`, key by key).

use std::collections::BTreeMap;

use damselfly_engine::digest::{Digest, Strictness};
use damselfly_engine::thread::Thread;
use damselfly_store::{DbIndex, WalkCursor};

use super::Verdict;
use std::rc::Rc;

/// Digests of all entries, by database and key.
pub type Contents = BTreeMap<(u16, Vec<u8>), String>;

/// A database that there is not: libraries of functions are shown there.
const LIBRARIES: u16 = u16::MAX;
/// Differing keys that a message names.
const SHOWN: usize = 5;

/// All that the shards of a server hold.
pub fn contents(threads: &[Rc<Thread>]) -> Contents {
    let mut all = Contents::new();
    if let Some(thread) = threads.first() {
        for library in thread.engine.scripts.libraries.current().iter() {
            let name = library.source.name.clone().into_bytes();
            all.insert((LIBRARIES, name), format!("{:?}", library.source.code));
        }
    }
    for thread in threads {
        thread.enter();
        thread.try_with_core(|core| {
            for db in (0..core.space.store.dbnum()).map(DbIndex) {
                let mut cursor = WalkCursor::default();
                while let Some((bucket, next)) = core.space.store.walk_next(db, cursor) {
                    for entry in bucket.entries() {
                        let digest =
                            Digest::of_value(entry.value(), entry.expire_at(), Strictness::Strict);
                        let kind = entry.value().kind();
                        all.insert(
                            (db.0, entry.key().to_vec()),
                            format!("{kind:?} {digest} {:?}", entry.expire_at()),
                        );
                    }
                    cursor = next;
                }
            }
        });
    }
    all
}

/// Whether a replica holds what its primary holds.
pub fn compare(replica: &Contents, primary: &Contents) -> Verdict {
    if replica == primary {
        return Ok(());
    }
    let keys = replica.keys().chain(primary.keys());
    let differing: std::collections::BTreeSet<_> = keys
        .filter(|key| replica.get(*key) != primary.get(*key))
        .collect();
    let shown: Vec<String> = differing
        .iter()
        .take(SHOWN)
        .map(|key| {
            let (db, name) = (key.0, key.1.escape_ascii());
            format!(
                "{name} in db {db}: {:?} here, {:?} on the primary",
                replica.get(*key),
                primary.get(*key)
            )
        })
        .collect();
    Err(format!(
        "{} of {} keys differ at rest: {}",
        differing.len(),
        primary.len(),
        shown.join("; ")
    ))
}
