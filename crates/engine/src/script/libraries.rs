//! The libraries of functions that all threads know.
//!
//! They belong to the data set: FUNCTION's commands are transactions over all shards, with a record on each, a full sync brings
//! the libraries of its cut, and files hold them. [`Libraries::sources`] gives what is to be written, and
//! [`load`] takes in what has been read.

use super::Scripts;
use crate::command::CommandError;
use crate::thread::Thread;
use damselfly_lua::{FunctionInfo, Job, Library, LibrarySource};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How long a library of a client may take to load.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long one may take that a primary or a file has: it has been loaded in time once.
const REPLAY_PATIENCE: Duration = Duration::from_secs(20);
/// What a library costs beyond its text, and a function beyond its name, in bytes: about what the tables take.
const ENTRY_BYTES: usize = 200;

/// Some libraries, no two of which have a function of the same name. It never changes: a changed one takes its place.
#[derive(Debug, Clone, Default)]
pub struct LibrarySet {
    by_name: BTreeMap<String, Arc<Library>>,
    /// By name in lower case: the library, and where in it the function is.
    functions: HashMap<String, (Arc<Library>, usize)>,
}

impl LibrarySet {
    /// A function by its name, whose case does not matter.
    pub fn function(&self, name: &[u8]) -> Option<(Arc<Library>, usize)> {
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        self.functions.get(&name).cloned()
    }

    /// All libraries, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Library>> {
        self.by_name.values()
    }

    /// How many libraries there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many functions they have.
    pub fn functions_len(&self) -> usize {
        self.functions.len()
    }

    /// Bytes that they take, without what Lua makes of them.
    pub fn bytes(&self) -> usize {
        let of_function = |function: &FunctionInfo| function.name.len() + ENTRY_BYTES;
        let of_library = |library: &Arc<Library>| {
            let functions = library.functions.iter().map(of_function);
            library.source.code.len() + ENTRY_BYTES + functions.sum::<usize>()
        };
        self.iter().map(of_library).sum()
    }

    pub(crate) fn contains(&self, library: &str) -> bool {
        self.by_name.contains_key(library)
    }

    /// Adds a library, in place of one of its name.
    pub(crate) fn insert(&mut self, library: Arc<Library>) -> Result<(), CommandError> {
        let name = &library.source.name;
        for function in &library.functions {
            let found = self.functions.get(&function.name.to_ascii_lowercase());
            if found.is_some_and(|(other, _)| other.source.name != *name) {
                return Err(CommandError::owned(format!(
                    "ERR Function {} already exists",
                    function.name
                )));
            }
        }
        self.remove(name);
        for (at, function) in library.functions.iter().enumerate() {
            let name = function.name.to_ascii_lowercase();
            self.functions
                .entry(name)
                .or_insert_with(|| (library.clone(), at));
        }
        self.by_name.insert(name.clone(), library.clone());
        Ok(())
    }

    /// Removes a library. Whether there was one of this name.
    pub(crate) fn remove(&mut self, library: &str) -> bool {
        self.functions
            .retain(|_, (of, _)| of.source.name != library);
        self.by_name.remove(library).is_some()
    }
}

/// The libraries of the server.
#[derive(Debug, Default)]
pub struct Libraries {
    set: RwLock<Arc<LibrarySet>>,
}

impl Libraries {
    /// What there is now.
    pub fn current(&self) -> Arc<LibrarySet> {
        let set = self.set.read();
        set.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The function of this name.
    pub fn function(&self, name: &[u8]) -> Option<(Arc<Library>, usize)> {
        let set = self.set.read();
        set.unwrap_or_else(PoisonError::into_inner).function(name)
    }

    /// The texts of all libraries, as RDB files hold them (opcode 245). On shard 0's thread, within a cut, these are the libraries
    /// of the cut.
    pub fn sources(&self) -> Vec<Vec<u8>> {
        let set = self.current();
        set.iter()
            .map(|library| library.source.code.clone())
            .collect()
    }

    fn put(&self, set: LibrarySet) {
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
    }
}

impl Scripts {
    /// Puts other libraries in place of those that are there. Whoever does this holds a transaction over all shards, or is the
    /// only one that changes the data set.
    pub(crate) fn install(&self, set: LibrarySet) {
        let is_known = |library: &Arc<Library>| set.iter().any(|other| Arc::ptr_eq(library, other));
        let loses_some = !self.libraries.current().iter().all(is_known);
        self.libraries.put(set);
        if loses_some {
            // The states that have loaded them go.
            self.cache.renew();
        }
    }

    /// Forgets all libraries: the data set is replaced.
    pub fn forget_libraries(&self) {
        self.install(LibrarySet::default());
    }
}

/// Runs a library's text once to see what it registers.
pub(crate) fn compile(
    thread: &Thread,
    code: &[u8],
    replays: bool,
) -> Result<Arc<Library>, CommandError> {
    let source = LibrarySource::of(code).map_err(CommandError::Echo)?;
    compile_source(thread, source, replays)
}

/// [`compile`], where the first line has been read.
pub(crate) fn compile_source(
    thread: &Thread,
    source: LibrarySource,
    replays: bool,
) -> Result<Arc<Library>, CommandError> {
    let engine = &thread.engine;
    let (generation, limit) = (
        engine.scripts.cache.generation(),
        engine.options.scripts.memory_limit,
    );
    let mut interpreter = thread
        .scripts
        .take(generation, limit)
        .map_err(|error| CommandError::owned(format!("ERR no Lua state could be made: {error}")))?;
    let patience = if replays { REPLAY_PATIENCE } else { PATIENCE };
    let source = Arc::new(source);
    interpreter.start(Job::Load(source.clone(), Some(patience)), None);
    let failed = interpreter.output(|text| (!text.is_empty()).then(|| text.to_vec()));
    let functions = interpreter.loaded();
    thread.scripts.put(generation, interpreter);
    if let Some(text) = failed {
        return Err(CommandError::Echo(text));
    }
    if functions.is_empty() {
        return Err(CommandError::text("ERR No functions registered"));
    }
    let source = Arc::unwrap_or_clone(source);
    Ok(Arc::new(Library::new(source, functions)))
}

/// Takes in a library that a full sync or a file brings (the text behind opcode 245), in place of one of its name. To be called
/// on a thread of the engine, while the data set is loaded: [`Scripts::forget_libraries`] at its beginning.
///
/// # Errors
/// The text of the reply that FUNCTION LOAD would give.
pub fn load(thread: &Thread, code: &[u8]) -> Result<(), CommandError> {
    let library = compile(thread, code, true)?;
    let scripts = &thread.engine.scripts;
    let mut set = LibrarySet::clone(&scripts.libraries.current());
    set.insert(library)?;
    scripts.install(set);
    Ok(())
}
