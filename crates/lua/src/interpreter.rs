//! One Lua state on a stack of its own.
//!
//! Lua 5.1 can't give up control inside of `pcall`, a metamethod, an iterator or the comparison of a sort. So the whole of it
//! runs on a stack of its own, which is suspended and resumed wherever a command has to wait, or the script has taken its time.

use crate::functions::Registered;
use crate::host::{Host, Tick};
use crate::library::{FunctionInfo, Library, LibrarySource};
use crate::libs::JsonOptions;
use crate::machine::Machine;
use crate::random::Random;
use crate::script::Script;
use crate::words::Words;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use damselfly_resp::Proto;
use mlua::Function;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of address space of an interpreter's stack; memory is taken as it is needed. Lua bounds its own nesting, in C as in
/// Lua, and so do our functions.
const STACK_BYTES: usize = 16 << 20;

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It wants a command to be run: see [`Interpreter::command`].
    Call,
    /// It gives others their turn.
    Pause,
    /// It is done.
    Done,
}

/// What an interpreter is asked to do.
#[derive(Debug, Clone)]
pub enum Job {
    /// Compiles a script. What comes out is the text of the error, or nothing.
    Compile(Arc<Script>),
    /// Loads a library, for at most this long, and forgets it. What comes out is the text of the error, or nothing; its functions
    /// are what [`Interpreter::loaded`] gives.
    Load(Arc<LibrarySource>, Option<Duration>),
    /// Runs the function of this name of a library, with the keys and arguments of [`Interpreter::input`]. What comes out is the
    /// reply in this protocol.
    Call(Arc<Library>, String, Proto),
    /// Runs a script, with the keys and arguments of [`Interpreter::input`]. What comes out is the reply in this protocol.
    Eval(Arc<Script>, Proto),
}

pub(crate) enum Resume {
    Run(Job),
    GoOn,
    End,
}

/// What the two sides of the stack share.
pub(crate) struct Shared {
    pub(crate) host: RefCell<Option<Rc<dyn Host>>>,
    /// The command that the script runs.
    pub(crate) words: RefCell<Words>,
    /// The reply to it.
    pub(crate) reply: RefCell<Vec<u8>>,
    pub(crate) keys: RefCell<Words>,
    pub(crate) args: RefCell<Words>,
    pub(crate) out: RefCell<Vec<u8>>,
    /// The protocol of the replies to the script's commands.
    pub(crate) proto: Cell<Proto>,
    /// What the script has chosen for `cjson`; the next one begins with the defaults.
    pub(crate) json_options: JsonOptions,
    pub(crate) random: Random,
    /// What the library that is being loaded has registered.
    pub(crate) registered: RefCell<Option<Vec<Registered>>>,
    /// What the last library that was loaded has.
    pub(crate) loaded: RefCell<Vec<FunctionInfo>>,
    /// When the library has to be loaded.
    pub(crate) deadline: Cell<Option<Instant>>,
    /// Suspends the script; a function of Lua, because hooks can't know the stack.
    pub(crate) pause: RefCell<Option<Function>>,
    /// Whether the script has been told to end.
    pub(crate) is_killed: Cell<bool>,
    /// Whether the state keeps a lot of memory between scripts.
    pub(crate) is_bloated: Cell<bool>,
    /// Bytes that the state may have.
    pub(crate) memory_limit: usize,
}

impl Shared {
    /// Asks the host what the script does next.
    pub(crate) fn tick(&self) -> Tick {
        if self.deadline.get().is_some_and(|end| Instant::now() >= end) {
            return Tick::Kill("ERR FUNCTION LOAD timeout");
        }
        let host = self.host.borrow().clone();
        host.map_or(Tick::Go, |host| host.tick())
    }
}

/// A Lua state as scripts see it, for one script after another.
pub struct Interpreter {
    coroutine: Option<Coroutine<Resume, Progress, ()>>,
    shared: Rc<Shared>,
    is_running: bool,
}

impl Interpreter {
    /// A new one, whose scripts may use so many bytes.
    ///
    /// # Errors
    /// There is no memory for its stack.
    pub fn new(memory_limit: usize) -> std::io::Result<Interpreter> {
        let shared = Rc::new(Shared {
            host: RefCell::default(),
            words: RefCell::default(),
            reply: RefCell::default(),
            keys: RefCell::default(),
            args: RefCell::default(),
            out: RefCell::default(),
            proto: Cell::new(Proto::Resp2),
            json_options: JsonOptions::default(),
            random: Random::new(),
            registered: RefCell::default(),
            loaded: RefCell::default(),
            deadline: Cell::default(),
            pause: RefCell::default(),
            is_killed: Cell::new(false),
            is_bloated: Cell::new(false),
            memory_limit,
        });
        let inner = shared.clone();
        let stack = DefaultStack::new(STACK_BYTES)?;
        let coroutine = Coroutine::with_stack(stack, move |yielder, first| {
            Machine::serve(&inner, yielder, first);
        });
        Ok(Interpreter {
            coroutine: Some(coroutine),
            shared,
            is_running: false,
        })
    }

    /// Sets what the next job works on: a script's keys and arguments.
    pub fn input<'a>(
        &mut self,
        keys: impl IntoIterator<Item = &'a [u8]>,
        args: impl IntoIterator<Item = &'a [u8]>,
    ) {
        let (mut to_keys, mut to_args) =
            (self.shared.keys.borrow_mut(), self.shared.args.borrow_mut());
        to_keys.clear();
        to_keys.extend(keys);
        to_args.clear();
        to_args.extend(args);
    }

    /// Begins a job.
    ///
    /// # Panics
    /// Another one is under way.
    pub fn start(&mut self, job: Job, host: Option<Rc<dyn Host>>) -> Progress {
        assert!(!self.is_running, "one job at a time");
        *self.shared.host.borrow_mut() = host;
        self.shared.out.borrow_mut().clear();
        self.is_running = true;
        self.go(Resume::Run(job))
    }

    /// Goes on after [`Progress::Call`] or [`Progress::Pause`].
    pub fn resume(&mut self) -> Progress {
        self.go(Resume::GoOn)
    }

    fn go(&mut self, resume: Resume) -> Progress {
        let coroutine = self.coroutine.as_mut().filter(|inside| !inside.done());
        let progress = match coroutine.map(|inside| inside.resume(resume)) {
            Some(CoroutineResult::Yield(progress)) => progress,
            Some(CoroutineResult::Return(())) | None => Progress::Done,
        };
        if progress == Progress::Done {
            self.is_running = false;
            *self.shared.host.borrow_mut() = None;
        }
        progress
    }

    /// The command that the script wants to be run, and where its reply belongs.
    pub fn command<R>(&self, run: impl FnOnce(&Words, Proto, &mut Vec<u8>) -> R) -> R {
        let mut reply = self.shared.reply.borrow_mut();
        reply.clear();
        run(
            &self.shared.words.borrow(),
            self.shared.proto.get(),
            &mut reply,
        )
    }

    /// Sets the reply to the command that the script waits for.
    pub fn reply(&self, reply: &[u8]) {
        let mut to = self.shared.reply.borrow_mut();
        to.clear();
        to.extend_from_slice(reply);
    }

    /// What came out of the last job.
    pub fn output<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        read(&self.shared.out.borrow())
    }

    /// The functions of the library that the last job has loaded.
    pub fn loaded(&self) -> Vec<FunctionInfo> {
        self.shared.loaded.take()
    }

    /// Whether it had better not be used any more: its state could not be made, or has grown large.
    pub fn is_spent(&self) -> bool {
        self.shared.is_bloated.get() || self.coroutine.as_ref().is_none_or(Coroutine::done)
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        let Some(mut coroutine) = self.coroutine.take() else {
            return;
        };
        if self.is_running {
            // A stack that stands in the midst of Lua is left as it is: there is no way to unwind it.
            std::mem::forget(coroutine);
        } else if !coroutine.done() {
            coroutine.resume(Resume::End);
        }
    }
}
