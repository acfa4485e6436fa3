//! Lua values as replies.

use super::{Context, text_at};
use crate::number::to_i64;
use damselfly_resp::{Proto, ReplyWriter};
use mlua::ffi::{self, lua_State};
use std::ffi::{CStr, c_int};

/// Tables in tables that a reply may have. (In Redis it is what Lua's stack allows, about eight times as many.)
const MAX_DEPTH: usize = 1_000;
/// Values between two looks at how long the script has been running.
const VALUES_PER_TICK: usize = 4_096;
/// Values that one table puts on the stack.
const SLOTS: c_int = 6;

/// Why a reply is not written to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is larger than what a script may use.
    TooLarge,
    /// The script has been told to end.
    Killed(&'static str),
}

impl Stop {
    pub(super) fn text(self) -> &'static [u8] {
        match self {
            Stop::TooLarge => b"not enough memory",
            Stop::Killed(text) => text.as_bytes(),
        }
    }
}

/// Writes what a script returned. (It and its frames have nothing to be dropped where Lua may raise an error.)
pub(super) struct Answer<'a> {
    state: *mut lua_State,
    context: &'a Context,
    /// The protocol of the client.
    proto: Proto,
    /// The protocol that the script chose for itself.
    script_proto: Proto,
    out: &'a mut Vec<u8>,
    /// Values written so far.
    values: usize,
}

type Written = Result<(), Stop>;

impl<'a> Answer<'a> {
    /// # Safety
    /// The state is alive and in a function that Lua calls, below a protected call, with the value on top of its stack.
    pub(super) unsafe fn new(
        state: *mut lua_State,
        context: &'a Context,
        proto: Proto,
        out: &'a mut Vec<u8>,
    ) -> Answer<'a> {
        Answer {
            state,
            context,
            proto,
            script_proto: context.shared.proto.get(),
            out,
            values: 0,
        }
    }

    pub(super) fn write(&mut self) -> Written {
        // SAFETY: whoever made it saw to it.
        unsafe { self.value(0) }
    }

    fn writer(&mut self) -> ReplyWriter<'_> {
        ReplyWriter::new(self.out, self.proto)
    }

    /// Writes the value on top of the stack, and leaves it there.
    unsafe fn value(&mut self, depth: usize) -> Written {
        if self.out.len() > self.context.shared.memory_limit {
            return Err(Stop::TooLarge);
        }
        self.values += 1;
        if self.values.is_multiple_of(VALUES_PER_TICK) {
            self.context.tick()?;
        }
        if depth > MAX_DEPTH {
            self.writer().error("ERR reached lua stack limit");
            return Ok(());
        }
        let state = self.state;
        // SAFETY: the value is on top.
        unsafe {
            match ffi::lua_type(state, -1) {
                ffi::LUA_TSTRING => self.writer().bulk(text_at(state, -1)),
                ffi::LUA_TNUMBER => {
                    let number = to_i64(ffi::lua_tonumber(state, -1));
                    self.writer().integer(number);
                }
                ffi::LUA_TBOOLEAN => {
                    let is_set = ffi::lua_toboolean(state, -1) != 0;
                    match (self.script_proto, is_set) {
                        (Proto::Resp3, _) => self.writer().boolean(is_set),
                        (_, true) => self.writer().integer(1),
                        (_, false) => self.writer().null(),
                    }
                }
                ffi::LUA_TTABLE => {
                    if ffi::lua_checkstack(state, SLOTS) == 0 {
                        return Err(Stop::TooLarge);
                    }
                    let top = ffi::lua_gettop(state);
                    let written = self.table(depth);
                    ffi::lua_settop(state, top);
                    return written;
                }
                _ => self.writer().null(),
            }
        }
        Ok(())
    }

    /// Pushes a field of the table on top of the stack, if it is of this type. Else the stack is as before.
    unsafe fn field(&mut self, name: &CStr, kind: c_int) -> bool {
        // SAFETY: there is a table on top, and room. A name that is no string yet may raise an error.
        unsafe {
            ffi::lua_pushlstring_(self.state, name.as_ptr(), name.count_bytes());
            ffi::lua_rawget_(self.state, -2);
            let is_there = ffi::lua_type(self.state, -1) == kind;
            if !is_there {
                ffi::lua_settop(self.state, -2);
            }
            is_there
        }
    }

    /// Writes the table on top of the stack. There may be more on the stack afterwards.
    unsafe fn table(&mut self, depth: usize) -> Written {
        let state = self.state;
        // SAFETY: there is a table on top; strings are used while they are on the stack.
        unsafe {
            if self.field(c"err", ffi::LUA_TSTRING) {
                self.writer().error(text_at(state, -1));
            } else if self.field(c"ok", ffi::LUA_TSTRING) {
                let text = text_at(state, -1).split(|byte| *byte == 0).next();
                self.writer().simple(text.unwrap_or_default());
            } else if self.field(c"double", ffi::LUA_TNUMBER) {
                let number = ffi::lua_tonumber(state, -1);
                self.writer().double(number);
            } else if self.field(c"big_number", ffi::LUA_TSTRING) {
                let digits = text_at(state, -1).iter().map(|byte| no_line_end(*byte));
                self.writer().big_number(digits.collect::<Vec<u8>>());
            } else if self.verbatim() {
            } else if self.field(c"map", ffi::LUA_TTABLE) {
                return self.map(depth);
            } else if self.field(c"set", ffi::LUA_TTABLE) {
                return self.set(depth);
            } else {
                return self.array(depth);
            }
        }
        Ok(())
    }

    /// Whether the table on top of the stack was text in a format, and has been written.
    unsafe fn verbatim(&mut self) -> bool {
        // SAFETY: there is a table on top; strings are used while they are on the stack.
        unsafe {
            let top = ffi::lua_gettop(self.state);
            let is_written = self.field(c"verbatim_string", ffi::LUA_TTABLE)
                && self.field(c"format", ffi::LUA_TSTRING)
                && self.verbatim_text();
            ffi::lua_settop(self.state, top);
            is_written
        }
    }

    /// Writes the text of the table below its format, which is on top.
    unsafe fn verbatim_text(&mut self) -> bool {
        // SAFETY: as above.
        unsafe {
            ffi::lua_pushvalue(self.state, -2);
            if !self.field(c"string", ffi::LUA_TSTRING) {
                return false;
            }
            let mut short = *b"   ";
            let format = text_at(self.state, -3);
            short
                .iter_mut()
                .zip(format)
                .for_each(|(to, from)| *to = *from);
            let text = text_at(self.state, -1);
            self.writer().verbatim(short, text);
        }
        true
    }

    /// Entries of the table on top of the stack.
    unsafe fn count(&mut self) -> usize {
        let mut count = 0;
        // SAFETY: there is a table on top, and room.
        unsafe {
            ffi::lua_pushnil(self.state);
            while ffi::lua_next(self.state, -2) != 0 {
                ffi::lua_settop(self.state, -2);
                count += 1;
            }
        }
        count
    }

    unsafe fn map(&mut self, depth: usize) -> Written {
        // SAFETY: there is a table on top, and room.
        unsafe {
            let count = self.count();
            self.writer().map(count);
            ffi::lua_pushnil(self.state);
            while ffi::lua_next(self.state, -2) != 0 {
                ffi::lua_pushvalue(self.state, -2);
                self.value(depth + 1)?;
                ffi::lua_settop(self.state, -2);
                self.value(depth + 1)?;
                ffi::lua_settop(self.state, -2);
            }
        }
        Ok(())
    }

    unsafe fn set(&mut self, depth: usize) -> Written {
        // SAFETY: there is a table on top, and room.
        unsafe {
            let count = self.count();
            self.writer().set(count);
            ffi::lua_pushnil(self.state);
            while ffi::lua_next(self.state, -2) != 0 {
                ffi::lua_settop(self.state, -2);
                self.value(depth + 1)?;
            }
        }
        Ok(())
    }

    /// The elements up to the first nil.
    unsafe fn array(&mut self, depth: usize) -> Written {
        let state = self.state;
        // SAFETY: there is a table on top, and room.
        unsafe {
            let mut len: c_int = 0;
            if ffi::lua_objlen(state, -1) > 0 {
                loop {
                    ffi::lua_rawgeti_(state, -1, len + 1);
                    let is_end = ffi::lua_type(state, -1) == ffi::LUA_TNIL;
                    ffi::lua_settop(state, -2);
                    if is_end {
                        break;
                    }
                    len += 1;
                }
            }
            self.writer().array(len as usize);
            for at in 1..=len {
                ffi::lua_rawgeti_(state, -1, at);
                self.value(depth + 1)?;
                ffi::lua_settop(state, -2);
            }
        }
        Ok(())
    }
}

fn no_line_end(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n') {
        b' '
    } else {
        byte
    }
}
