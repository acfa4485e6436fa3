//! What every script does, in terms of Lua's own interface: KEYS and ARGV, the protected call, `redis.call`, and both conversions.
//!
//! The safe binding makes several closures and protected calls of each of these, which is most of what a short script would
//! cost. The rules that make it sound: functions that Lua calls leave nothing to be dropped where Lua may raise an error, which
//! jumps over their frames; they raise only below a protected call; and what they reach through their upvalue, the
//! [`Context`], is kept by the state itself.
#![allow(unsafe_code, reason = "calls of Lua's C interface")]

mod call;
mod effort;
mod from_lua;
pub(crate) mod patterns;
mod to_lua;

use crate::host::Tick;
use crate::interpreter::{Progress, Resume, Shared};
use crate::words::Words;
use corosensei::Yielder;
use damselfly_resp::Proto;
use from_lua::{Answer, Stop};
use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, Table};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::rc::Rc;

type Switch = Yielder<Resume, Progress>;

/// A function that is kept in the state's registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept(c_int);

/// How a function gets the keys and arguments of [`crate::Interpreter::input`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// As the variables KEYS and ARGV.
    Variables,
    /// As its two arguments.
    Arguments,
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// What was raised, if it was not the handler of errors that saw it first.
    pub(crate) text: Vec<u8>,
}

/// What a call is to do, and how it went.
#[derive(Clone, Copy)]
struct Task {
    function: c_int,
    input: Input,
    proto: Proto,
    status: c_int,
    stop: Option<Stop>,
}

/// What the functions that Lua calls know.
struct Context {
    shared: Rc<Shared>,
    /// Null where no job is served.
    switch: Cell<*const Switch>,
    task: Cell<Task>,
    /// Texts of numbers among a command's words.
    numbers: RefCell<Words>,
    /// A panic in the midst of a script, for after it.
    panic: Cell<Option<Box<dyn Any + Send>>>,
}

impl Context {
    /// Asks the host whether the script may go on, and lets others have their turn.
    fn tick(&self) -> Result<(), Stop> {
        match self.shared.tick() {
            Tick::Go => {}
            Tick::Pause => self.suspend(Progress::Pause),
            Tick::Kill(text) => return Err(Stop::Killed(text)),
        }
        Ok(())
    }

    fn suspend(&self, progress: Progress) {
        // SAFETY: it is null or what `Raw::serving` got, which is still there: that function resets it.
        if let Some(switch) = unsafe { self.switch.get().as_ref() } {
            switch.suspend(progress);
        }
    }
}

/// A state's functions for scripts.
pub(crate) struct Raw {
    context: Rc<Context>,
    /// The main thread of the state, which this lives no longer than.
    lua: Lua,
    state: *mut lua_State,
    enter: Kept,
}

/// Upvalues of [`enter`].
mod upvalue {
    use std::ffi::c_int;

    pub(super) const CONTEXT: c_int = 1;
    pub(super) const GLOBALS: c_int = 2;
    pub(super) const KEYS: c_int = 3;
    pub(super) const ARGV: c_int = 4;
    pub(super) const HANDLER: c_int = 5;
}

impl Raw {
    /// The functions for a state: the variables of scripts are set in `globals`, `handler` gets their errors.
    pub(crate) fn new(
        lua: &Lua,
        shared: &Rc<Shared>,
        globals: &Table,
        handler: &Function,
    ) -> mlua::Result<Raw> {
        let context = Rc::new(Context {
            shared: shared.clone(),
            switch: Cell::new(ptr::null()),
            task: Cell::new(Task {
                function: 0,
                input: Input::Variables,
                proto: Proto::Resp2,
                status: ffi::LUA_OK,
                stop: None,
            }),
            numbers: RefCell::default(),
            panic: Cell::new(None),
        });
        // As long as there are functions that have it as their upvalue there is the state.
        lua.set_app_data(context.clone());
        let at: *const Context = &*context;
        let (mut state, mut kept) = (ptr::null_mut(), 0);
        let values = (globals, "KEYS", "ARGV", handler);
        // SAFETY: it is a protected call with five values more than it has got, which it leaves without.
        unsafe {
            lua.exec_raw::<()>(values, |inside| {
                state = inside;
                ffi::lua_pushlightuserdata(inside, at.cast_mut().cast::<c_void>());
                ffi::lua_insert(inside, 1);
                ffi::lua_pushcclosure(inside, enter, upvalue::HANDLER);
                kept = ffi::luaL_ref(inside, ffi::LUA_REGISTRYINDEX);
            })?;
        }
        Ok(Raw {
            context,
            lua: lua.clone(),
            state,
            enter: Kept(kept),
        })
    }

    /// `redis.call` and `redis.pcall`.
    pub(crate) fn functions(&self) -> mlua::Result<[(&'static str, Function); 2]> {
        let function = |run: ffi::lua_CFunction| {
            let at: *const Context = &*self.context;
            // SAFETY: it is a protected call that leaves one function.
            unsafe {
                self.lua.exec_raw::<Function>((), |state| {
                    ffi::lua_pushlightuserdata(state, at.cast_mut().cast::<c_void>());
                    ffi::lua_pushcclosure(state, run, 1);
                })
            }
        };
        Ok([
            ("call", function(call::raising)?),
            ("pcall", function(call::returning)?),
        ])
    }

    /// Runs `work`, in which scripts suspend themselves through this.
    pub(crate) fn serving<R>(&self, switch: &Switch, work: impl FnOnce() -> R) -> R {
        struct Reset<'a>(&'a Cell<*const Switch>);
        impl Drop for Reset<'_> {
            fn drop(&mut self) {
                self.0.set(ptr::null());
            }
        }
        self.context.switch.set(switch);
        let _reset = Reset(&self.context.switch);
        work()
    }

    /// Keeps a function, until it is released.
    pub(crate) fn keep(&self, function: &Function) -> mlua::Result<Kept> {
        let mut kept = 0;
        // SAFETY: it is a protected call that takes the one value that it gets.
        unsafe {
            self.lua.exec_raw::<()>(function, |state| {
                kept = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
            })?;
        }
        Ok(Kept(kept))
    }

    /// Forgets a function.
    pub(crate) fn release(&self, kept: Kept) {
        // SAFETY: it needs no memory, and two places on the stack, which are there below any function.
        unsafe { ffi::luaL_unref(self.state, ffi::LUA_REGISTRYINDEX, kept.0) };
    }

    /// Runs a function and writes what it returned as the reply to `out` of what is shared.
    ///
    /// # Errors
    /// It raised an error, or what it returned can't be written.
    pub(crate) fn run(&self, function: Kept, input: Input, proto: Proto) -> Result<(), Failed> {
        self.context.task.set(Task {
            function: function.0,
            input,
            proto,
            status: ffi::LUA_OK,
            stop: None,
        });
        // SAFETY: the main thread stands outside of any function, where it has room for `LUA_MINSTACK` values, and nothing
        // but the protected call can raise an error.
        let outer = unsafe {
            ffi::lua_rawgeti_(self.state, ffi::LUA_REGISTRYINDEX, self.enter.0);
            ffi::lua_pcall(self.state, 0, 1, 0)
        };
        let task = self.context.task.get();
        let ended = match (outer, task.status, task.stop) {
            (ffi::LUA_OK, ffi::LUA_OK, None) => Ok(()),
            (ffi::LUA_OK, ffi::LUA_OK, Some(stop)) => Err(stop.text().to_vec()),
            _ => Err(self.raised()),
        };
        // SAFETY: it takes the one result.
        unsafe { ffi::lua_settop(self.state, -2) };
        if let Some(panic) = self.context.panic.take() {
            std::panic::resume_unwind(panic);
        }
        ended.map_err(|text| Failed { text })
    }

    /// The text of the error on the stack.
    fn raised(&self) -> Vec<u8> {
        // SAFETY: a string is read in place; the copy is made before anything else happens.
        unsafe {
            if ffi::lua_type(self.state, -1) != ffi::LUA_TSTRING {
                return b"execution failure".to_vec();
            }
            text_at(self.state, -1).to_vec()
        }
    }
}

/// The context of the function that runs.
///
/// # Safety
/// The function's first upvalue is a context, which the state keeps.
unsafe fn context<'a>(state: *mut lua_State) -> &'a Context {
    // SAFETY: as above; it is never changed but through its cells.
    unsafe {
        &*ffi::lua_touserdata(state, ffi::lua_upvalueindex(upvalue::CONTEXT)).cast::<Context>()
    }
}

/// The bytes of a string on the stack, in place.
///
/// # Safety
/// It is a string, and stays on the stack for as long as the bytes are used.
unsafe fn text_at<'a>(state: *mut lua_State, index: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: of a string Lua gives a pointer to so many bytes, which don't move.
    unsafe {
        let bytes = ffi::lua_tolstring(state, index, &mut len);
        std::slice::from_raw_parts(bytes.cast::<u8>(), len)
    }
}

/// Pushes a string. May raise an error.
///
/// # Safety
/// There is room for it on the stack, and nothing to be dropped in the frames up to the next protected call.
unsafe fn push_text(state: *mut lua_State, text: &[u8]) {
    // SAFETY: Lua copies so many bytes.
    unsafe { ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len()) };
}

/// Sets a field of the table below the top to the value on top, which it takes. May raise an error.
///
/// # Safety
/// As for [`push_text`]. The table has no metatable.
unsafe fn set_field(state: *mut lua_State, name: &CStr) {
    // SAFETY: as above.
    unsafe { ffi::lua_setfield(state, -2, name.as_ptr()) };
}

/// Pushes a list. May raise an error.
///
/// # Safety
/// As for [`push_text`], for two values.
unsafe fn push_list(state: *mut lua_State, words: &Words) {
    // SAFETY: as above; the words' iterator has nothing to be dropped.
    unsafe {
        ffi::lua_createtable(state, words.len() as c_int, 0);
        for (at, word) in words.iter().enumerate() {
            push_text(state, word);
            ffi::lua_rawseti_(state, -2, at as c_int + 1);
        }
    }
}

/// Runs the function of the task under the handler of errors, and writes its reply. It leaves one value: the error, if there is one.
unsafe extern "C-unwind" fn enter(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls it with its upvalues, below a protected call and with room for `LUA_MINSTACK` values. Nobody else
    // uses the keys, arguments and output of what is shared while a script runs.
    unsafe {
        let context = context(state);
        let (shared, task) = (&*context.shared, context.task.get());
        let (keys, args) = (&*shared.keys.as_ptr(), &*shared.args.as_ptr());
        let globals = ffi::lua_upvalueindex(upvalue::GLOBALS);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(upvalue::HANDLER));
        ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, task.function);
        for (name, words) in [(upvalue::KEYS, keys), (upvalue::ARGV, args)] {
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(name));
            match task.input {
                Input::Variables => push_list(state, words),
                // What a script has got before is nothing to a function.
                Input::Arguments => ffi::lua_pushnil(state),
            }
            ffi::lua_rawset(state, globals);
            if task.input == Input::Arguments {
                push_list(state, words);
            }
        }
        let given = ffi::lua_gettop(state) - 2;
        let status = ffi::lua_pcall(state, given, 1, 1);
        let mut stop = None;
        if status == ffi::LUA_OK {
            let out = &mut *shared.out.as_ptr();
            stop = Answer::new(state, context, task.proto, out).write().err();
        }
        context.task.set(Task {
            status,
            stop,
            ..task
        });
        1
    }
}
