//! Scripts by their names.

use damselfly_lua::{Script, ScriptFlags, sha1_hex};
use hashbrown::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What a script costs beyond its text, in bytes: about what the tables take.
const ENTRY_BYTES: usize = 160;

#[derive(Debug, Default)]
struct Known {
    scripts: HashMap<[u8; 40], Arc<Script>>,
    bytes: usize,
}

/// The scripts that SCRIPT LOAD and EVAL have made known. Threads keep what they have looked up until the generation changes.
#[derive(Debug, Default)]
pub struct ScriptCache {
    known: RwLock<Known>,
    generation: AtomicU64,
}

impl ScriptCache {
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The script of this name, in hexadecimal digits of either case.
    pub fn get(&self, name: &[u8]) -> Option<Arc<Script>> {
        let mut sha: [u8; 40] = name.try_into().ok()?;
        sha.make_ascii_lowercase();
        self.read().scripts.get(&sha).cloned()
    }

    /// A script that has been compiled.
    pub fn insert(&self, script: Arc<Script>) {
        let mut known = self.write();
        let bytes = script.body.len() + ENTRY_BYTES;
        if known.scripts.insert(script.sha, script).is_none() {
            known.bytes += bytes;
        }
    }

    /// Forgets all of them.
    pub fn flush(&self) {
        *self.write() = Known::default();
        self.renew();
    }

    /// Has the threads look everything up again, and make new states.
    pub(super) fn renew(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Changes when scripts are forgotten.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.read().scripts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that they take, without what Lua makes of them.
    pub fn bytes(&self) -> usize {
        self.read().bytes
    }
}

/// A script that is not known yet.
///
/// # Errors
/// Its first line can't be understood; the text is the reply's.
pub(crate) fn parse(body: &[u8]) -> Result<Script, Vec<u8>> {
    Ok(Script {
        sha: sha1_hex(body),
        body: body.to_vec(),
        flags: ScriptFlags::of(body)?,
    })
}
