//! `redis.call` and `redis.pcall`.

use super::{Context, context, push_text, set_field, text_at, to_lua};
use crate::host::Called;
use crate::interpreter::Progress;
use crate::number::push_g;
use damselfly_resp::ArgVec;
use mlua::ffi::{self, lua_State};
use smallvec::SmallVec;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is wrong with a call, before there is a command.
#[derive(Clone, Copy)]
enum Refused {
    /// `redis.call` raises it, `redis.pcall` returns it.
    Words(&'static str),
    /// Both raise it.
    Call(&'static str),
}

const NO_WORDS: &str = "ERR Please specify at least one argument for this redis lib call";
const BAD_WORDS: &str = "ERR Lua redis lib command arguments must be strings or integers";
const NO_SCRIPT: &str = "ERR redis.call/pcall can only be called inside a script invocation";

pub(super) unsafe extern "C-unwind" fn raising(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls it, with its upvalue.
    unsafe { call(state, true) }
}

pub(super) unsafe extern "C-unwind" fn returning(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls it, with its upvalue.
    unsafe { call(state, false) }
}

/// Runs a command and pushes its reply, or raises its error.
///
/// # Safety
/// It is called by Lua, below a protected call, with a context as the upvalue.
unsafe fn call(state: *mut lua_State, raises: bool) -> c_int {
    // SAFETY: what is called here leaves nothing to be dropped. The reply is nobody else's until the next command runs.
    unsafe {
        let context = context(state);
        if let Err(refused) = invoke(context, state) {
            let (Refused::Words(text) | Refused::Call(text)) = refused;
            push_error(state, text.as_bytes(), false);
            return if raises || matches!(refused, Refused::Call(_)) {
                ffi::lua_error(state)
            } else {
                1
            };
        }
        let reply: &[u8] = &*context.shared.reply.as_ptr();
        match reply.strip_prefix(b"-") {
            Some(error) if raises => {
                push_reply_error(state, error);
                ffi::lua_error(state)
            }
            _ => {
                to_lua::push(state, reply);
                1
            }
        }
    }
}

/// Pushes an error as scripts see it: a table. May raise another.
///
/// # Safety
/// As for [`push_text`], for three values.
pub(super) unsafe fn push_error(state: *mut lua_State, text: &[u8], counted: bool) {
    // SAFETY: as above.
    unsafe {
        ffi::lua_createtable(state, 0, 2);
        push_text(state, text);
        finish_error(state, counted);
    }
}

/// Pushes an error reply, without its `-`: a code word and a text, or just a text.
///
/// # Safety
/// As for [`push_text`], for four values.
pub(super) unsafe fn push_reply_error(state: *mut lua_State, reply: &[u8]) {
    let text = reply.trim_ascii_end();
    // SAFETY: as above.
    unsafe {
        ffi::lua_createtable(state, 0, 2);
        if reply.contains(&b' ') {
            push_text(state, text);
        } else {
            push_text(state, b"ERR ");
            push_text(state, text);
            ffi::lua_concat(state, 2);
        }
        finish_error(state, true);
    }
}

/// The text on top becomes the error's.
unsafe fn finish_error(state: *mut lua_State, counted: bool) {
    // SAFETY: as for the callers.
    unsafe {
        set_field(state, c"err");
        if counted {
            ffi::lua_pushboolean(state, 1);
            set_field(state, c"ignore_error_stats_update");
        }
    }
}

/// Runs the command on the stack; its reply is in what is shared.
///
/// # Safety
/// The values on the stack are the arguments of the function that runs.
unsafe fn invoke(context: &Context, state: *mut lua_State) -> Result<(), Refused> {
    // SAFETY: as above.
    let work = || unsafe { run(context, state) };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => {
            context.panic.set(Some(panic));
            Err(Refused::Call("ERR the command failed"))
        }
    }
}

/// # Safety
/// The values on the stack are the arguments of the function that runs. (Nothing here raises an error.)
unsafe fn run(context: &Context, state: *mut lua_State) -> Result<(), Refused> {
    let shared = &*context.shared;
    let mut numbers = context.numbers.borrow_mut();
    let mut number_at: SmallVec<[usize; 8]> = SmallVec::new();
    let mut args: ArgVec<'_> = ArgVec::new();
    // SAFETY: the arguments stay on the stack, and strings there stay where they are.
    unsafe {
        let count = ffi::lua_gettop(state);
        if count == 0 {
            return Err(Refused::Words(NO_WORDS));
        }
        numbers.clear();
        for index in 1..=count {
            match ffi::lua_type(state, index) {
                ffi::LUA_TSTRING => args.push(text_at(state, index)),
                ffi::LUA_TNUMBER => {
                    numbers.push_with(|out| push_g(out, ffi::lua_tonumber(state, index), 17));
                    number_at.push(args.len());
                    args.push(b"");
                }
                _ => return Err(Refused::Words(BAD_WORDS)),
            }
        }
    }
    for (at, text) in number_at.iter().zip(numbers.iter()) {
        args[*at] = text;
    }
    let called = {
        let host = shared.host.borrow();
        let Some(host) = &*host else {
            return Err(Refused::Call(NO_SCRIPT));
        };
        let mut reply = shared.reply.borrow_mut();
        reply.clear();
        host.call(&args, shared.proto.get(), &mut reply)
    };
    if called == Called::Later {
        let mut words = shared.words.borrow_mut();
        words.clear();
        words.extend(args.iter().copied());
        drop(words);
        context.suspend(Progress::Call);
    }
    Ok(())
}
