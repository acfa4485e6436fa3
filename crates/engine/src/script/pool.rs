//! A thread's Lua states.

use damselfly_lua::{Interpreter, Script};
use hashbrown::HashMap;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// States that a thread keeps for later; more are made where several scripts are under way at once.
const MAX_IDLE: usize = 8;
/// Scripts that a thread remembers by their text.
const MAX_REMEMBERED: usize = 4_096;
/// Bytes of a text that is remembered.
const MAX_REMEMBERED_BYTES: usize = 16 << 10;

/// Lua states, and scripts that were run lately.
#[derive(Default)]
pub(crate) struct InterpreterPool {
    idle: RefCell<Vec<Interpreter>>,
    by_name: RefCell<HashMap<[u8; 40], Arc<Script>>>,
    by_text: RefCell<HashMap<Vec<u8>, Arc<Script>>>,
    generation: Cell<u64>,
}

impl InterpreterPool {
    /// Forgets everything if scripts were flushed since it looked last.
    fn follow(&self, generation: u64) {
        if self.generation.replace(generation) != generation {
            self.idle.borrow_mut().clear();
            self.by_name.borrow_mut().clear();
            self.by_text.borrow_mut().clear();
        }
    }

    /// A state for one script.
    pub(crate) fn take(
        &self,
        generation: u64,
        memory_limit: usize,
    ) -> std::io::Result<Interpreter> {
        self.follow(generation);
        match self.idle.borrow_mut().pop() {
            Some(interpreter) => Ok(interpreter),
            None => Interpreter::new(memory_limit),
        }
    }

    /// Takes a state back.
    pub(crate) fn put(&self, generation: u64, interpreter: Interpreter) {
        self.follow(generation);
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE && !interpreter.is_spent() {
            idle.push(interpreter);
        }
    }

    pub(crate) fn with_text(&self, generation: u64, text: &[u8]) -> Option<Arc<Script>> {
        self.follow(generation);
        self.by_text.borrow().get(text).cloned()
    }

    pub(crate) fn with_name(&self, generation: u64, name: &[u8]) -> Option<Arc<Script>> {
        self.follow(generation);
        let name: &[u8; 40] = name.try_into().ok()?;
        self.by_name.borrow().get(name).cloned()
    }

    pub(crate) fn remember(&self, generation: u64, script: &Arc<Script>) {
        self.follow(generation);
        let mut by_name = self.by_name.borrow_mut();
        if by_name.len() >= MAX_REMEMBERED {
            by_name.clear();
        }
        by_name.insert(script.sha, script.clone());
        if script.body.len() <= MAX_REMEMBERED_BYTES {
            let mut by_text = self.by_text.borrow_mut();
            if by_text.len() >= MAX_REMEMBERED {
                by_text.clear();
            }
            by_text.insert(script.body.clone(), script.clone());
        }
    }
}
